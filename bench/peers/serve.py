"""Run one task of a peer as often as asked; one line in, one line of JSON out.

It runs in the peer's own environment, where nothing of this project is: the standard
library and numpy only. Called as `python -P serve.py TASKS_FILE TASK FOLDER`; the folder
holds `about.json` and `data.npz`, and every other line on stdin is the arguments of one
timed call. What the peer prints goes to stderr.
"""

import importlib.util
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path

#: `ru_maxrss` is in bytes on macOS, in kilobytes elsewhere.
_UNIT = 1 if sys.platform == "darwin" else 1024


def main(tasks: str, name: str, folder: str) -> None:
    """Prepare the task, say so, then time it on every line until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    spec = importlib.util.spec_from_file_location("tasks", tasks)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    about = json.loads(Path(folder, "about.json").read_text(encoding="utf-8"))
    call = getattr(module, name)(_arrays(Path(folder, "data.npz")), about)
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        arguments = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        values = call(**arguments)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak = _peak()
        found = {"seconds": wall, "cpu": cpu, "peak": peak, "values": values or {}}
        answers.write(json.dumps(found) + "\n")


def _peak() -> int:
    """Most memory that this process has held, bytes.

    Linux hands `ru_maxrss` down from the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _arrays(path: Path) -> dict:
    if not path.exists():
        return {}
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


if __name__ == "__main__":
    main(*sys.argv[1:])
