"""`python -m framework` and the command `estimand`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from framework.commands.line import main as run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before there was anything to run
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
