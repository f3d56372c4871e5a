"""The real command, held at a moment: `python -m tests.held MOMENT FOLDER ARGS`.

Who waits for a moment to come by may wake up when it has passed. Here the command
itself says that it is there (`FOLDER/held`), and stays until it may go on
(`FOLDER/go`) or a signal ends it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Estimations that have ended in this run when it is held among them.
_ENDED = 3
_STATE = re.compile(r"\.jobs/.*/\.\d+\.json")
_DRAFT = re.compile(r"(^|/)runs/laws/\.[^/]*\.draft/")


@dataclass
class Held:
    """What Python announces is looked through for the moment."""

    moment: str
    folder: Path
    ended: int = 0
    passed: bool = False

    def announced(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit hook."""
        if not self.passed and getattr(self, self.moment)(event, args):
            self.passed = True
            (self.folder / "held").touch()
            while not (self.folder / "go").exists():
                time.sleep(0.005)

    def estimating(self, event: str, args: tuple[Any, ...]) -> bool:
        """Some estimations are finished; no worker is given another one."""
        if event == "os.rename" and _STATE.search(os.fspath(args[0])):
            draft = Path(args[0]).read_text(encoding="utf-8")
            self.ended += '"status": "done"' in draft
        return self.ended == _ENDED

    def writing(self, event: str, args: tuple[Any, ...]) -> bool:
        """A first file is opened in the run's folder, which has its temporary name."""
        return event == "open" and _DRAFT.search(str(args[0])) is not None


def main() -> None:
    """Become the command."""
    _, moment, folder, *args = sys.argv
    sys.addaudithook(Held(moment, Path(folder)).announced)
    sys.argv = ["estimand", *args]

    from framework.__main__ import main as command

    command()


if __name__ == "__main__":
    main()
