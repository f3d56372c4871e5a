"""One finding of an audit: what, where, the number that proves it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal[
    "impossible", "inconsistent", "doubtful", "confirmed", "cannot be judged"
]
#: Worst first; the last two are no fault.
SEVERITIES: tuple[Severity, ...] = (
    "impossible",
    "inconsistent",
    "doubtful",
    "cannot be judged",
    "confirmed",
)
ALARMS: frozenset[Severity] = frozenset(SEVERITIES[:3])
#: What a finding stands on: printed numbers alone, who is treated when and where, or
#: the values of the study's data.
Basis = Literal["print", "design", "data"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What an audit found at one place.

    Attributes:
        rule: name of the rule.
        severity: `impossible` (no data can give it), `inconsistent` (two statements
            contradict each other, or one contradicts the design), `doubtful`,
            `confirmed`, `cannot be judged`.
        address: of the column or number in the study.
        printed: what the paper says.
        computed: what follows from the rest.
        reason: one sentence.
        proof: the number that proves it.
        basis: what it stands on.
        where: place in the paper, as the claim says.
        spec: `file:line:column` of the line in the study.
    """

    rule: str
    severity: Severity
    address: str
    printed: str
    computed: str
    reason: str
    proof: str
    basis: Basis = "print"
    where: str = ""
    spec: str = ""

    @property
    def alarm(self) -> bool:
        """It speaks against what is printed."""
        return self.severity in ALARMS

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)
