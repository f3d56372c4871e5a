"""`python -m framework` and the command `estimand`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # Pydantic asks every installed distribution for a plugin of its own: a tenth of the
    # time of `validate`, and code that no study names could change what one says.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from framework.commands.line import main as run

        code = run(sys.argv[1:], whole_process=True)
    except KeyboardInterrupt:  # before there was anything to run
        code = 130
    finally:
        gc.freeze()  # the process ends: searching its memory for cycles frees nothing
    sys.exit(code)


if __name__ == "__main__":
    main()
