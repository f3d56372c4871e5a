"""What a study expects, judged: `holds`, `fails` or `cannot be judged`, and why.

`judge` takes the finished estimations of a run and returns the verdicts; `difference`
compares two estimations by their influence functions. `docs/expectations.md` says what
each expectation takes to hold.
"""

from __future__ import annotations

from framework.expect.comparison import Difference, Equality, difference, equality
from framework.expect.interference import flags
from framework.expect.judging import judge
from framework.expect.pooled import Beside, pooled
from framework.expect.rows import CannotBeJudged, Finished, Judged, Row, judged_row
from framework.expect.scene import Adjusted, Status, Verdict
from framework.expect.shifts import Shift, shifts

__all__ = [
    "Adjusted",
    "Beside",
    "CannotBeJudged",
    "Difference",
    "Equality",
    "Finished",
    "Judged",
    "Row",
    "Shift",
    "Status",
    "Verdict",
    "difference",
    "equality",
    "flags",
    "judge",
    "judged_row",
    "pooled",
    "shifts",
]
