"""Options of the expectations in `expect`, and of the adjustments in `families`.

What each takes to hold is decided in `framework.expect`; here is only what may be
written. `docs/expectations.md` has one sentence on each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from framework.contract import Plugin
from framework.errors import did_you_mean
from framework.spec import wording

_MAPPING = "one of them, written {name: {options}}"

Level = Annotated[float, Field(gt=0, lt=0.5)]
Bound = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Index = int | float | str


class Expectation(Plugin):
    """What all expectations share: which number is judged, and against what."""

    term: str | None = Field(
        None, description="column whose coefficient is judged; default: the treatment"
    )
    estimand: str | None = Field(
        None, description="quantity judged; default: the first of `model.estimand`"
    )
    level: Level = Field(0.05, description="size of the test")
    against: str | None = Field(
        None, description="address of another estimation; default: the baseline"
    )
    event_time: Index | None = Field(None, description="row with this event time")
    cohort: Index | None = Field(None, description="row of this cohort")
    period: Index | None = Field(None, description="row of this period")
    group: Index | None = Field(None, description="row of this group")
    order: Index | None = Field(None, description="row of this lead or lag")
    quantile: Index | None = Field(None, description="row of this quantile")
    dose: Index | None = Field(None, description="row of this dose")
    variable: Index | None = Field(None, description="row of this variable")
    treatment_level: Index | None = Field(
        None, description="row of this level of a treatment with levels"
    )

    #: Judged once for all values of a line, not once for each.
    of_line: ClassVar[bool] = False
    #: Which of the options above have a meaning here; another is refused.
    uses: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _no_idle_option(self) -> Self:
        idle = self.model_fields_set & set(Expectation.model_fields) - self.uses
        if idle:
            raise ValueError(
                f"{', '.join(sorted(idle))} would do nothing here"
                + ("; write it inside `of`" if "of" in type(self).model_fields else "")
            )
        return self

    def index(self) -> dict[str, Index]:
        """Index columns of the coefficients that were asked for, with their value."""
        names = {name: name for name in _INDEX} | {"treatment_level": "level"}
        asked = {column: getattr(self, name) for name, column in names.items()}
        return {column: value for column, value in asked.items() if value is not None}


_INDEX = (
    "event_time",
    "cohort",
    "period",
    "group",
    "order",
    "quantile",
    "dose",
    "variable",
)
_ROW = frozenset({"term", "estimand", "treatment_level", *_INDEX})


class Positive(Expectation):
    """The estimate is above zero; with `level`, a one-sided test at it says so.

    Without `level` only the sign of the point estimate is judged.
    """

    uses: ClassVar[frozenset[str]] = _ROW | {"level"}


class Negative(Expectation):
    """The estimate is below zero; with `level`, a one-sided test at it says so.

    Without `level` only the sign of the point estimate is judged.
    """

    uses: ClassVar[frozenset[str]] = _ROW | {"level"}


class SameSign(Expectation):
    """The estimate has the sign of the one it is compared with."""

    main: ClassVar[str | None] = "against"
    uses: ClassVar[frozenset[str]] = _ROW | {"against"}


class Significant(Expectation):
    """The two-sided p value, adjusted if the column is in a family, is at most `level`.

    `{not: significant}` says that the p value is above `level`; that is no evidence
    for an effect of zero, for which there is `equivalent`.
    """

    main: ClassVar[str | None] = "level"
    uses: ClassVar[frozenset[str]] = _ROW | {"level"}


class Equivalent(Expectation):
    """The effect is shown to be smaller than `bound` in size (two one-sided tests)."""

    main: ClassVar[str | None] = "bound"
    uses: ClassVar[frozenset[str]] = _ROW | {"level"}
    paper: ClassVar[str] = "Schuirmann (1987), J. Pharmacokinet. Biopharm. 15"
    bound: Bound = Field(
        description="largest effect that counts as none, outcome units"
    )


class _Flat(Expectation):
    main: ClassVar[str | None] = "bound"
    uses: ClassVar[frozenset[str]] = frozenset({"term", "estimand", "level"})
    bound: Bound | None = Field(
        None, description="largest coefficient that counts as none, outcome units"
    )


class FlatPretrend(_Flat):
    """Every coefficient before the treatment is shown to be smaller than `bound`.

    Without a bound it can only fail or stay open: a test that does not reject is no
    evidence for parallel trends.
    """

    paper: ClassVar[str] = "Roth (2022), AER: Insights 4"


class InsignificantLeads(_Flat):
    """Every lead of the treatment is shown to be smaller than `bound`.

    Without a bound it can only fail or stay open, as for `flat_pretrend`.
    """


class Extreme(Expectation):
    """Few random assignments give as large a statistic as the true one.

    The randomization p value (b + 1) / (B + 1), two-sided, is at most `level`.
    """

    main: ClassVar[str | None] = "level"
    uses: ClassVar[frozenset[str]] = frozenset({"level"})
    paper: ClassVar[str] = "Phipson and Smyth (2010), SAGMB 9"


class StrongFirstStage(Expectation):
    """The first-stage F statistic is at least `at_least`."""

    main: ClassVar[str | None] = "at_least"
    paper: ClassVar[str] = "Staiger and Stock (1997), Econometrica 65"
    at_least: float = Field(10.0, gt=0, allow_inf_nan=False)


class Differ(Expectation):
    """The values of the line (or the two estimations) are not all equal.

    A test by the influence functions rejects equality at `level`.
    """

    main: ClassVar[str | None] = "level"
    uses: ClassVar[frozenset[str]] = _ROW | {"level", "against"}
    of_line: ClassVar[bool] = True


class Equal(Expectation):
    """The values of the line (or the two estimations) agree.

    `bound`: every difference is shown to be smaller (two one-sided tests).
    `tolerance`: the numbers themselves are that close; nothing is tested.
    """

    main: ClassVar[str | None] = "bound"
    uses: ClassVar[frozenset[str]] = _ROW | {"level", "against"}
    of_line: ClassVar[bool] = True
    bound: Bound | None = Field(
        None, description="largest difference that counts as none, outcome units"
    )
    tolerance: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="largest distance of the numbers printed",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Equal:
        if self.bound is not None and self.tolerance is not None:
            raise ValueError("`equal` takes either `bound` or `tolerance`, not both")
        return self


class Within(Expectation):
    """The estimate is not further than `tolerance` from `number`."""

    uses: ClassVar[frozenset[str]] = _ROW
    number: float = Field(allow_inf_nan=False)
    tolerance: float = Field(ge=0, allow_inf_nan=False)


class Covers(Expectation):
    """The 1 - `level` interval contains `number`: a known truth, say."""

    main: ClassVar[str | None] = "number"
    uses: ClassVar[frozenset[str]] = _ROW | {"level"}
    number: Finite | dict[str, Finite] = Field(
        description="what should lie in the interval; on a line with several values "
        "one number, or value -> its own",
    )


def flatten(written: Any) -> dict[str, Any]:
    """An expectation as written (or stored) -> flat, with its options checked.

    Returns:
        `{"name": …, option: value, …}`, options as written, nested ones flat too.

    Raises:
        ValueError: no such expectation, or an option that is wrong.
    """
    name, options = _split(written)
    try:
        expectation = EXPECTATIONS[name].model_validate(options)
    except ValidationError as error:
        raise ValueError(_say(name, error)) from error
    kept = expectation.model_dump(mode="json", exclude_unset=True)
    return {"name": name, **kept}


def read(flat: Mapping[str, Any]) -> tuple[str, Expectation]:
    """A flat expectation -> its name and its options.

    Raises:
        ValueError: no such expectation, or an option that is wrong.
    """
    name, options = _split(flat)
    return name, EXPECTATIONS[name].model_validate(options)


def _split(written: Any) -> tuple[str, dict[str, Any]]:
    options: Any
    if isinstance(written, str):
        name, options = written, {}
    elif isinstance(written, Mapping) and "name" in written:
        name = str(written["name"])
        options = {str(k): v for k, v in written.items() if k != "name"}
    elif isinstance(written, Mapping) and len(written) == 1:
        ((key, argument),) = written.items()
        name, options = str(key), argument
    else:
        raise ValueError(
            f"an expectation is `name` or {_MAPPING}, not {written!r}; "
            "several make a list"
        )
    if name not in EXPECTATIONS:
        raise ValueError(f"no expectation '{name}', {did_you_mean(name, _NAMES)}")
    main = EXPECTATIONS[name].main
    if isinstance(options, Mapping):
        return name, dict(options)
    if main is None:
        raise ValueError(
            f"expectation '{name}' has no main option, so `{options}` has no meaning"
        )
    return name, {main: options}


def _say(name: str, error: ValidationError) -> str:
    said = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        message = wording.say(item)
        said.append(f"{name}.{where}: {message}" if where else f"{name}: {message}")
    return "; ".join(said)


def _as_list(written: Any) -> Any:
    many = isinstance(written, list | tuple)
    return written if many else [written]


_NESTED_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})
Nested = Annotated[dict[str, Any], BeforeValidator(flatten), _NESTED_SCHEMA]


class _Nesting(Expectation):
    main: ClassVar[str | None] = "of"

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, options: Any) -> Any:
        """`{not: {equivalent: 0.03}}` is `{not: {of: {equivalent: 0.03}}}`."""
        if isinstance(options, Mapping) and "of" not in options:
            inner = [key for key in options if key in EXPECTATIONS]
            if len(inner) == 1:
                kept = {k: v for k, v in options.items() if k != inner[0]}
                return kept | {"of": {inner[0]: options[inner[0]]}}
        return options


class Share(_Nesting):
    """Another expectation holds at `at_least` of the values (or draws) of the line."""

    of_line: ClassVar[bool] = True
    of: Nested = Field(description="the expectation that is counted")
    at_least: float = Field(gt=0, le=1, description="share of the values, 0 to 1")


class Any_(_Nesting):  # noqa: N801 - `any` is the word of the dialect
    """At least one of several expectations holds."""

    of: Annotated[list[Nested], BeforeValidator(_as_list)] = Field(min_length=1)


class Not(_Nesting):
    """Another expectation fails; one that cannot be judged stays so."""

    of: Nested = Field(description="the expectation that must fail")


EXPECTATIONS: dict[str, type[Expectation]] = {
    "positive": Positive,
    "negative": Negative,
    "same_sign": SameSign,
    "significant": Significant,
    "equivalent": Equivalent,
    "flat_pretrend": FlatPretrend,
    "insignificant_leads": InsignificantLeads,
    "extreme": Extreme,
    "strong_first_stage": StrongFirstStage,
    "differ": Differ,
    "equal": Equal,
    "within": Within,
    "covers": Covers,
    "share": Share,
    "any": Any_,
    "not": Not,
}
_NAMES = tuple(EXPECTATIONS)


class Holm(Plugin):
    """Step-down Bonferroni: controls the chance of any false rejection."""

    paper: ClassVar[str] = "Holm (1979), Scand. J. Statist. 6"


class RomanoWolf(Plugin):
    """Step-down maximum of t statistics, which uses their dependence.

    The joint distribution comes from signs drawn for the clusters' influence functions.
    """

    main: ClassVar[str | None] = "draws"
    paper: ClassVar[str] = "Romano and Wolf (2005), JASA 100"
    draws: int = Field(9999, ge=99, le=1_000_000, description="multiplier draws")


FAMILIES: dict[str, type[Plugin]] = {"holm": Holm, "romano_wolf": RomanoWolf}
