"""The folder of a finished run, read back as typed values.

`runs/<study>/<run id>/` is a contract (`manifest.json`, `coefficients.csv`,
`scalars.csv`, `tests.csv`, `frames/`); this is the only reader that rendering uses.
Nothing here computes: a number on the page is the number in the folder.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from framework.errors import StorageError
from framework.result import INDEX_COLUMNS

Status = Literal["done", "failed", "refused", "not_identified", "not_built"]
#: What a column that has no numbers is called in prose.
STATUS_WORDS: Mapping[str, str] = {
    "failed": "failed",
    "refused": "refused",
    "not_identified": "not identified",
    "not_built": "not built yet",
}
#: Index columns that hold whole numbers of periods.
_ORDERED = frozenset({"event_time", "order"})


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One row of `coefficients.csv`; a missing number is NaN.

    `index` holds the index columns that are filled, as text (`{"event_time": "-3"}`).
    """

    equation: str
    estimand: str
    term: str
    estimate: float
    std_error: float
    p_value: float
    conf_low: float
    conf_high: float
    index: tuple[tuple[str, str], ...] = ()

    def at(self, name: str) -> float | None:
        """The number in an index column, None where there is none."""
        for key, value in self.index:
            if key == name:
                number = _number(value)
                return None if math.isnan(number) else number
        return None


@dataclass(frozen=True, slots=True)
class TestRow:
    """One row of `tests.csv`: a p value, or the reason why there is none."""

    __test__ = False  # pytest: this is not a test class

    name: str
    null: str
    statistic: float
    df: str
    p_value: float
    reason: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A table of the run as text, header and rows as they stand in the CSV."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self, name: str) -> tuple[str, ...]:
        """A column as text; KeyError if there is none."""
        try:
            position = self.columns.index(name)
        except ValueError:
            raise KeyError(name) from None
        return tuple(row[position] for row in self.rows)

    def numbers(self, name: str) -> tuple[float, ...]:
        """A column as numbers; what is no number becomes NaN."""
        return tuple(_number(value) for value in self.text(name))

    def is_numeric(self, name: str) -> bool:
        """Every filled cell is a number, and one is filled."""
        filled = [value for value in self.text(name) if value.strip()]
        return bool(filled) and all(_is_number(value) for value in filled)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One line of a row ledger."""

    stage: str
    name: str
    rows_in: int
    rows_out: int
    cells: int
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judged expectation."""

    expectation: str
    status: str
    reason: str
    flag: str = ""

    @property
    def mark(self) -> str:
        return {"holds": "✓", "fails": "✗"}.get(self.status, "?")

    def sentence(self) -> str:
        """`✓ same_sign holds: both are positive`."""
        reason = f": {self.reason}" if self.reason else ""
        flagged = ", flagged" if self.flag else ""
        return f"{self.mark} {self.expectation} {self.status}{flagged}{reason}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a column has no numbers."""

    code: str
    what: str
    why: str
    fix: str
    acknowledge: str = ""

    def fault(self) -> str:
        """What and why."""
        parts = [self.what.rstrip(".") + (f" ({self.code})." if self.code else ".")]
        if self.why:
            parts.append(f"{self.why[:1].upper()}{self.why[1:].rstrip('.')}.")
        return " ".join(parts)

    def sentence(self) -> str:
        """What, why and the way out in one line."""
        fix = f" Fix: {self.fix.rstrip('.')}." if self.fix else ""
        return self.fault() + fix


@dataclass(frozen=True, slots=True)
class OutcomeChange:
    """How the outcome differs from that of the estimation it is compared with."""

    who: str
    rows: int
    changed: float
    mean: float
    largest: float
    lost: int
    gained: int


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a column is from the one it is compared with; NaN = unknown, `reason`."""

    against: str
    difference: float
    std_error: float
    p_value: float
    reason: str = ""
    outcome: OutcomeChange | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure that an estimation asks for: kind, frame, options."""

    kind: str
    frame: str
    title: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """A printed number beside ours."""

    address: str
    printed: str
    estimate: float
    std_error: float
    stars: str
    difference: float
    agrees: bool | None
    text: str
    ours: str
    differing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeadingOptions:
    """`report: {heading: {title, rows, baseline}}`."""

    title: str = ""
    rows: tuple[str, ...] = ()
    baseline: Literal["first", "last", "none"] = "none"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What was done to data that a variation prepares differently."""

    key: str
    rows: int
    ledger: tuple[LedgerRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One estimation of the run: what was asked, what came out, what is said about it.

    Attributes:
        address: `heading.line[.value]`.
        panel: key of the prepared data, one of `RunFolder.preparations` or the base.
        changes: path of the study's tree -> value, relative to the model; empty for
            the model itself.
        choices: path of `each` -> name of the value, as the study writes them.
        coefficients: rows in the engine's order, the judged one among them.
        frames: name -> file below the run folder, read on demand by `RunFolder.frame`.
        flag: what another column of the run says against these numbers; may be empty.
        beside: what another column has that these need beside them; may be empty.
        adjusted: p value across the columns of a family, None if there is none;
            `adjustment` how it was adjusted, or why there is none.
        about: estimand, term and index of the judged coefficient, as the run decided.
        terms: term of a coefficient -> its label, where the run wrote one.
    """

    address: str
    heading: str
    line: str
    value: str
    status: Status
    estimator: str = ""
    outcome: str = ""
    treatment: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    mediators: tuple[str, ...] = ()
    fixed_effects: tuple[str, ...] = ()
    inference: str = ""
    weights: str = ""
    sample: tuple[str, ...] = ()
    estimand: str = ""
    confidence: float = 0.95
    changes: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    formula: str = ""
    fingerprint: str = ""
    panel: str = ""
    cached: bool = False
    seconds: float = 0.0
    ledger: tuple[LedgerRow, ...] = ()
    notes: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    problems: tuple[Fault, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    flag: str = ""
    beside: str = ""
    same_as: str = ""
    adjusted: float | None = None
    adjustment: str = ""
    shift: Shift | None = None
    plots: tuple[Drawing, ...] = ()
    frames: Mapping[str, str] = field(default_factory=dict)
    draws: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    coefficients: tuple[Coefficient, ...] = ()
    scalars: Mapping[str, float] = field(default_factory=dict)
    tests: tuple[TestRow, ...] = ()

    @property
    def done(self) -> bool:
        return self.status == "done"

    @property
    def is_model(self) -> bool:
        """The model itself: a `{}` line."""
        return self.done and not self.changes and not self.value and not self.draws

    @property
    def judged(self) -> Coefficient | None:
        """The coefficient that the column is about; None for tables of many."""
        about = self.about
        index = {str(k): str(v) for k, v in (about.get("index") or {}).items()}
        said = (about.get("estimand"), about.get("term"))
        for row in self.coefficients:
            if (row.estimand, row.term) == said and dict(row.index) == index:
                return row
        single = [row for row in self.coefficients if not row.index]
        asked = [row for row in single if row.estimand == self.estimand]
        named = [row for row in single if row.estimand != "coefficient"]
        for rows in (asked, named, single if not self.treatment else []):
            if rows:
                return rows[0]
        return single[0] if single else None

    @property
    def event_times(self) -> tuple[Coefficient, ...]:
        """Event-study rows in the order of time."""
        rows = [row for row in self.coefficients if row.at("event_time") is not None]
        return tuple(sorted(rows, key=lambda row: row.at("event_time") or 0.0))

    def test(self, name: str) -> TestRow | None:
        return next((test for test in self.tests if test.name == name), None)

    def why_empty(self) -> str:
        """The reason in words for a column without numbers."""
        word = STATUS_WORDS.get(self.status, self.status)
        reasons = " ".join(fault.sentence() for fault in self.problems)
        reasons = reasons or "the run recorded no reason."
        return f"{word}: {reasons}"


@dataclass(frozen=True, slots=True)
class Heading:
    """A table or figure of the study: its columns in the order written."""

    name: str
    columns: tuple[Column, ...]
    options: HeadingOptions

    @property
    def title(self) -> str:
        return self.options.title or spoken(self.name).capitalize()

    def lines(self) -> Mapping[str, tuple[Column, ...]]:
        """Line -> its columns (one, or one per value)."""
        found: dict[str, list[Column]] = {}
        for column in self.columns:
            found.setdefault(column.line, []).append(column)
        return {line: tuple(columns) for line, columns in found.items()}


@dataclass(frozen=True)
class RunFolder:
    """A run's folder. No slots: headings are computed once."""

    path: Path
    study: str
    run_id: str
    title: str
    created: str
    finished: str
    seed: int
    generated: str
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    labels: Mapping[str, str]
    families: Mapping[str, Any]
    source: str
    data_sha256: str
    data_rows: int
    data_columns: int
    data_ledger: tuple[LedgerRow, ...]
    data_notes: tuple[str, ...]
    data_frames: Mapping[str, str]
    data_plots: tuple[Drawing, ...]
    preparations: tuple[Preparation, ...]
    overrides: tuple[str, ...]
    columns: tuple[Column, ...]
    verdicts: Mapping[str, int]
    published: tuple[Published, ...]
    options: Mapping[str, HeadingOptions]
    spec: str
    multiverses: tuple[Mapping[str, Any], ...] = ()
    primary: str = ""

    @classmethod
    def read(cls, path: Path) -> RunFolder:
        """Read a folder.

        Raises:
            StorageError: R01 there is no readable manifest, or a CSV is broken.
        """
        manifest = _manifest(path)
        data = manifest.get("data") or {}
        return cls(
            path=path,
            study=str(manifest.get("study", path.parent.name)),
            run_id=str(manifest.get("run_id", path.name)),
            title=manifest.get("title") or "",
            created=str(manifest.get("created") or ""),
            finished=str(manifest.get("finished") or ""),
            seed=int(manifest.get("seed") or 0),
            generated=manifest.get("generated") or "",
            versions=_texts(manifest.get("versions")),
            hashes=_texts(manifest.get("hashes")),
            labels=_labels(manifest),
            families=manifest.get("families") or {},
            source=str(data.get("source") or ""),
            data_sha256=str(data.get("sha256") or ""),
            data_rows=int(data.get("rows") or 0),
            data_columns=int(data.get("columns") or 0),
            data_ledger=_ledger(data.get("ledger")),
            data_notes=tuple(data.get("notes") or ()),
            data_frames=_texts(data.get("frames")),
            data_plots=_drawings(data.get("plots")),
            preparations=tuple(
                Preparation(
                    key=str(key),
                    rows=int(other.get("rows") or 0),
                    ledger=_ledger(other.get("ledger")),
                    notes=tuple(other.get("notes") or ()),
                )
                for key, other in (manifest.get("panels") or {}).items()
            ),
            overrides=tuple(str(o) for o in manifest.get("overrides") or ()),
            columns=tuple(_columns(path, manifest.get("columns") or ())),
            verdicts={k: int(v) for k, v in (manifest.get("verdicts") or {}).items()},
            published=tuple(_published(row) for row in manifest.get("published") or ()),
            options={
                name: _options(options or {})
                for name, options in (manifest.get("report") or {}).items()
            },
            spec=_spec(path),
            multiverses=tuple(manifest.get("multiverses") or ()),
            primary=str(manifest.get("primary") or ""),
        )

    @cached_property
    def headings(self) -> tuple[Heading, ...]:
        """Headings in the order of the study."""
        found: dict[str, list[Column]] = {}
        for column in self.columns:
            found.setdefault(column.heading, []).append(column)
        return tuple(
            Heading(name, tuple(columns), self.options.get(name, HeadingOptions()))
            for name, columns in found.items()
        )

    def heading(self, name: str) -> Heading:
        """The heading of that name.

        Raises:
            StorageError: R02 there is none; lists what exists.
        """
        for heading in self.headings:
            if heading.name == name:
                return heading
        known = ", ".join(heading.name for heading in self.headings)
        raise StorageError("R02", f"this run has no heading '{name}'; it has: {known}")

    @property
    def baseline(self) -> Column | None:
        """The model itself, if a `{}` line of any heading estimated it."""
        return next((column for column in self.columns if column.is_model), None)

    def frame(self, column: Column, name: str) -> Frame | None:
        """A frame of a column; None if the run has no such file."""
        return self._frame(column.frames.get(name))

    def data_frame(self, name: str) -> Frame | None:
        """A frame of the study's data steps, `step.table`; None without such a file."""
        return self._frame(self.data_frames.get(name))

    def _frame(self, file: str | None) -> Frame | None:
        if file is None:
            return None
        path = (self.path / file).resolve()
        # A manifest is data: it must not make us read outside the run.
        if not path.is_relative_to(self.path.resolve()) or not path.is_file():
            return None
        header, rows = _read_csv(path)
        return Frame(header, tuple(rows))

    def label(self, term: str) -> str:
        """The user's label of a term; the parts of `a × b` are labelled one by one."""
        if term in self.labels:
            return self.labels[term] or term
        for sign in (" × ", "×"):
            if sign in term:
                return " × ".join(self.label(part) for part in term.split(sign))
        return term


def spoken(slug: str) -> str:
    """A slug as words: `law_year` -> `law year`."""
    return slug.replace("_", " ").strip()


def _manifest(path: Path) -> Mapping[str, Any]:
    file = path / "manifest.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(
            "R01",
            f"'{path}' is no run: it has no manifest.json",
            fix="give the folder of a finished run, runs/<study>/<run id>",
        ) from None
    except (OSError, ValueError) as error:
        raise StorageError("R01", f"cannot read '{file}': {error}") from error
    if not isinstance(manifest, dict):
        raise StorageError("R01", f"'{file}' is not a manifest: no mapping at the top")
    return manifest


def _spec(path: Path) -> str:
    file = path / "spec.yaml"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _columns(path: Path, entries: Sequence[Mapping[str, Any]]) -> Iterator[Column]:
    coefficients = _by_column(path / "coefficients.csv")
    scalars = _by_column(path / "scalars.csv")
    tests = _by_column(path / "tests.csv")
    for entry in entries:
        value = "" if entry.get("value") is None else str(entry["value"])
        key = (str(entry["heading"]), str(entry["line"]), value)
        yield Column(
            address=str(entry.get("address") or ".".join(part for part in key if part)),
            heading=key[0],
            line=key[1],
            value=value,
            status=entry.get("status", "done"),
            estimator=entry.get("estimator") or "",
            outcome=entry.get("outcome") or "",
            treatment=tuple(entry.get("treatment") or ()),
            controls=tuple(entry.get("controls") or ()),
            mediators=tuple(entry.get("mediators") or ()),
            fixed_effects=tuple(entry.get("fixed_effects") or ()),
            inference=entry.get("inference") or "",
            weights=entry.get("weights") or "",
            sample=tuple(entry.get("sample") or ()),
            estimand=entry.get("estimand") or "",
            confidence=float(entry.get("confidence") or 0.95),
            changes=entry.get("changes") or {},
            choices=_texts(entry.get("choices")),
            formula=entry.get("formula") or "",
            fingerprint=entry.get("fingerprint") or "",
            panel=entry.get("panel") or "",
            cached=bool(entry.get("cached")),
            seconds=float(entry.get("seconds") or 0.0),
            ledger=_ledger(entry.get("ledger")),
            notes=tuple(entry.get("notes") or ()),
            acknowledged=tuple(entry.get("acknowledged") or ()),
            problems=tuple(_fault(p) for p in entry.get("problems") or ()),
            verdicts=tuple(
                Verdict(
                    str(v.get("expectation", "")),
                    str(v.get("status", "")),
                    str(v.get("reason") or ""),
                    str(v.get("flag") or ""),
                )
                for v in entry.get("verdicts") or ()
            ),
            flag=str(entry.get("flag") or ""),
            same_as=str(entry.get("same_as") or ""),
            beside=str(entry.get("beside") or ""),
            adjusted=(entry.get("adjusted") or {}).get("p_value"),
            adjustment=_adjustment(entry.get("adjusted") or {}),
            shift=_shift(entry.get("shift")),
            plots=_drawings(entry.get("plots")),
            frames=_texts(entry.get("frames")),
            draws=entry.get("draws") or {},
            about=entry.get("judged") or {},
            terms=_texts(entry.get("terms")),
            coefficients=tuple(_coefficient(row) for row in coefficients.get(key, ())),
            scalars={
                row["name"]: _number(row["number"]) for row in scalars.get(key, ())
            },
            tests=tuple(_test(row) for row in tests.get(key, ())),
        )


def _by_column(file: Path) -> dict[tuple[str, str, str], list[dict[str, str]]]:
    """Rows of a run's CSV by (heading, line, value); empty if the file is absent."""
    found: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    if not file.is_file():
        return found
    header, rows = _read_csv(file)
    if not {"heading", "check"} <= set(header):
        raise StorageError("R01", f"'{file}' lacks the columns heading and check")
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        key = (cells["heading"], cells["check"], cells.get("value", ""))
        found.setdefault(key, []).append(cells)
    return found


def _read_csv(file: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    with file.open(newline="", encoding="utf-8") as handle:
        reader = csv.reader(handle)
        header = tuple(next(reader, ()))
        rows = [tuple(row) for row in reader if row]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise StorageError(
                "R01",
                f"'{file}' record {number} has {len(row)} fields, "
                f"the header {len(header)}",
            )
    return header, rows


def _coefficient(row: Mapping[str, str]) -> Coefficient:
    index = tuple(
        (name, _period(row[name]) if name in _ORDERED else row[name])
        for name in INDEX_COLUMNS
        if row.get(name, "").strip()
    )
    return Coefficient(
        equation=row.get("equation", ""),
        estimand=row.get("estimand", ""),
        term=row.get("term", ""),
        estimate=_number(row.get("estimate", "")),
        std_error=_number(row.get("std_error", "")),
        p_value=_number(row.get("p_value", "")),
        conf_low=_number(row.get("conf_low", "")),
        conf_high=_number(row.get("conf_high", "")),
        index=index,
    )


def _period(text: str) -> str:
    number = _number(text)
    return str(int(number)) if number == number // 1 else text


def _test(row: Mapping[str, str]) -> TestRow:
    return TestRow(
        name=row.get("name", ""),
        null=row.get("null", ""),
        statistic=_number(row.get("statistic", "")),
        df=row.get("df", ""),
        p_value=_number(row.get("p_value", "")),
        reason=row.get("reason", ""),
    )


def _fault(entry: Mapping[str, Any]) -> Fault:
    return Fault(
        code=str(entry.get("code") or ""),
        what=str(entry.get("what") or ""),
        why=str(entry.get("why") or ""),
        fix=str(entry.get("fix") or ""),
        acknowledge=str(entry.get("acknowledge") or ""),
    )


def _drawings(entries: Sequence[Mapping[str, Any]] | None) -> tuple[Drawing, ...]:
    return tuple(
        Drawing(
            str(entry.get("kind", "")),
            str(entry.get("frame") or "coefficients"),
            str(entry.get("title") or ""),
            entry.get("options") or {},
        )
        for entry in entries or ()
    )


def _adjustment(entry: Mapping[str, Any]) -> str:
    if reason := str(entry.get("reason") or ""):
        return f"no adjusted p: {reason}"
    method = str(entry.get("method") or "")
    return f"adjusted p: {method}" if method else ""


def _shift(entry: Mapping[str, Any] | None) -> Shift | None:
    if not entry:
        return None
    outcome = entry.get("outcome")
    return Shift(
        against=str(entry.get("against") or ""),
        difference=_number(entry.get("difference")),
        std_error=_number(entry.get("std_error")),
        p_value=_number(entry.get("p_value")),
        reason=str(entry.get("reason") or ""),
        outcome=OutcomeChange(
            who=str(outcome.get("who") or ""),
            rows=int(outcome.get("rows") or 0),
            changed=_number(outcome.get("changed")),
            mean=_number(outcome.get("mean")),
            largest=_number(outcome.get("largest")),
            lost=int(outcome.get("lost") or 0),
            gained=int(outcome.get("gained") or 0),
        )
        if outcome
        else None,
    )


def _published(entry: Mapping[str, Any]) -> Published:
    ours = entry.get("ours") or {}
    agrees = entry.get("agrees")
    return Published(
        address=str(entry.get("address") or ""),
        printed=str(entry.get("printed") or ""),
        estimate=_number(ours.get("estimate")),
        std_error=_number(ours.get("std_error")),
        stars=str(ours.get("stars") or ""),
        difference=_number(entry.get("difference")),
        agrees=None if agrees is None else bool(agrees),
        text=str(entry.get("text") or ""),
        ours=str(entry.get("as_printed") or ""),
        differing=tuple(str(what) for what in entry.get("differing") or ()),
    )


def _options(entry: Mapping[str, Any]) -> HeadingOptions:
    return HeadingOptions(
        title=str(entry.get("title") or ""),
        rows=tuple(str(row) for row in entry.get("rows") or ()),
        baseline=entry.get("baseline") or "none",
    )


def _ledger(entries: Sequence[Mapping[str, Any]] | None) -> tuple[LedgerRow, ...]:
    return tuple(
        LedgerRow(
            stage=str(entry.get("stage") or ""),
            name=str(entry.get("name") or ""),
            rows_in=int(entry.get("rows_in") or 0),
            rows_out=int(entry.get("rows_out") or 0),
            cells=int(entry.get("cells") or 0),
            detail=str(entry.get("detail") or ""),
        )
        for entry in entries or ()
    )


def _labels(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Labels of columns, and of terms built from columns where the run wrote them."""
    labels: dict[str, str] = {}
    for entry in manifest.get("columns") or ():
        labels |= _texts(entry.get("terms"))
    return labels | _texts(manifest.get("labels"))


def _texts(entry: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(k): "" if v is None else str(v) for k, v in (entry or {}).items()}


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _is_number(text: str) -> bool:
    return text.strip().lower() in {"nan", "inf", "-inf"} or not math.isnan(
        _number(text)
    )
