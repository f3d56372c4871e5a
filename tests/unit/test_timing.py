"""Where the seconds of a run went."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

from framework.commands.timing import Stopwatch, said


def test_laps_follow_each_other_and_add_up() -> None:
    before = time.perf_counter()
    watch = Stopwatch()
    begun = time.perf_counter()
    time.sleep(0.02)
    watch.lap("data")
    drawing = watch.around(lambda _: time.sleep(0.03), "record", "figures")
    assert drawing is not None
    drawing(Path())
    ending = time.perf_counter()
    watch.lap("record")
    ended = time.perf_counter()
    assert list(watch.spent) == ["data", "record", "figures"]
    assert watch.spent["data"] >= 0.02
    assert watch.spent["figures"] >= 0.03
    # Nothing is counted twice and nothing between two laps is lost.
    slack = 1e-9  # s, of adding differences of a clock that counts in nanoseconds
    total = sum(watch.spent.values())
    assert ending - begun - slack <= total <= ended - before + slack
    assert Stopwatch().around(None, "a", "b") is None


def test_a_command_counts_from_the_start_of_its_process() -> None:
    script = (
        "import time; time.sleep(0.3)\n"
        "from framework.commands.timing import Stopwatch\n"
        "print(Stopwatch.of_process().spent)"
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    whole = time.perf_counter() - begun
    (spent,) = ast.literal_eval(done.stdout).values()
    # Linux counts in hundredths of a second.
    assert 0.3 <= spent <= whole + 0.01


def test_the_table_names_the_largest_parts() -> None:
    lines = [("a.x", 0.5), ("a.x", 0.5), ("b.y", 3.0), ("c.z", 0.2), ("d.w", 0.4)]
    table = said({"data": 2.0, "estimations": 4.0}, {"sbm": 1.9, "log": 0.001}, lines)
    assert table == [
        "Where the seconds went: 6.0 s",
        "     2.00  data (sbm 1.90)",
        "     4.00  estimations (b.y 3.00, a.x 1.00, d.w 0.40, others 0.20)",
    ]


def test_numbers_of_the_table_are_the_stages() -> None:
    table = said({"a": 1.25, "b": 0.5}, {}, [])
    numbers = [float(re.findall(r"[\d.]+", line)[0]) for line in table[1:]]
    assert sum(numbers) == 1.75
