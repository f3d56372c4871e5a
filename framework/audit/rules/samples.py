"""Printed N against the rows of the study's samples and against the text's sample."""

from __future__ import annotations

from collections.abc import Iterator

from framework.audit.finding import Finding
from framework.audit.rule import Rule
from framework.audit.scene import Leaf, Scene, listed


def judge(scene: Scene) -> Iterator[Finding]:
    """N of every column; those that agree are counted in one confirmation."""
    printed = [leaf for leaf in scene.leaves if leaf.name == "n_obs"]
    yield from _against_text(scene, printed)
    rows = {leaf.column: _rows(scene, leaf.column) for leaf in printed}
    agree: list[Leaf] = []
    unknown: dict[str, list[Leaf]] = {}
    for leaf in printed:
        ours = rows[leaf.column]
        if ours is None:
            why = scene.why(leaf.column) or "the line can't be resolved"
            unknown.setdefault(why, []).append(leaf)
        elif leaf.interval.holds(ours):
            agree.append(leaf)
        else:
            yield _unlike(scene, leaf, ours, rows)
    for why, leaves in unknown.items():
        yield _unknown(scene, leaves, why)
    if agree:
        yield Finding(
            "samples",
            "confirmed",
            _headings(agree),
            _texts(agree),
            f"the samples of {len(agree)} columns have these rows",
            "The declared sample has as many rows as the table prints.",
            f"{len(agree)} of {len(printed)}",
            basis="design",
        )
    yield from _treated(scene)


def _headings(leaves: list[Leaf]) -> str:
    return ", ".join(dict.fromkeys(leaf.column.split(".")[0] for leaf in leaves))


def _texts(leaves: list[Leaf]) -> str:
    return "N " + ", ".join(dict.fromkeys(leaf.printed.text for leaf in leaves))


def _unknown(scene: Scene, leaves: list[Leaf], why: str) -> Finding:
    return Finding(
        "samples",
        "cannot be judged",
        listed(leaf.column for leaf in leaves),
        _texts(leaves),
        f"no rows: {why}",
        "The rows of these columns are not known.",
        f"0 of {len(leaves)}",
        basis="design",
        spec=scene.spec(leaves[0].address),
    )


def _rows(scene: Scene, column: str) -> int | None:
    design = scene.design(column)
    return None if design is None else len(design.request.frame)


def _unlike(
    scene: Scene, leaf: Leaf, ours: int, rows: dict[str, int | None]
) -> Finding:
    twins = [
        column
        for column, count in rows.items()
        if count is not None and leaf.interval.holds(count)
    ]
    other = f"; {listed(twins)} has" if twins else "; no declared sample has"
    return Finding(
        "samples",
        "inconsistent",
        leaf.address,
        f"N {leaf.printed.text}",
        f"the line's sample has {ours:,} rows{other} {leaf.printed.text}",
        "The printed N is not that of the sample that is declared for this column.",
        f"{leaf.printed.text} against {ours:,}",
        # Who is matched or trimmed depends on values.
        basis="data" if scene.model(leaf.column).get("sample") else "design",
        spec=scene.spec(leaf.address),
    )


def _against_text(scene: Scene, printed: list[Leaf]) -> Iterator[Finding]:
    """More rows than units times periods of the text cannot be in its sample."""
    sample = scene.claims.sample
    if sample.units is None or sample.periods is None:
        return
    first, last = sample.periods
    length = last - first + 1
    most = sample.units * length
    over: dict[str, list[Leaf]] = {}
    for leaf in printed:
        if leaf.interval.low > most:
            over.setdefault(leaf.printed.text, []).append(leaf)
    for text, leaves in over.items():
        n = int(leaves[0].printed.number)
        whole = n // sample.units if n % sample.units == 0 else 0
        years = f" = {sample.units} × {whole} periods" if whole else ""
        yield Finding(
            "samples",
            "inconsistent",
            leaves[0].address,
            f"N {text} in {listed(leaf.column for leaf in leaves)}",
            f"{sample.units} units × {length} periods ({first} to {last}) = {most:,}; "
            f"{text}{years}",
            "The column has more rows than the sample that the text describes.",
            f"{n:,} > {most:,}",
            spec=scene.spec(leaves[0].address),
        )


def _treated(scene: Scene) -> Iterator[Finding]:
    said = scene.claims.sample.treated_units
    if said is None:
        return
    column = next(
        (c for c, e in scene.estimations.items() if e.runs and scene.treatment(c)), ""
    )
    design = scene.design(column) if column else None
    treatment = design.request.treatment if design else None
    if design is None or treatment is None or treatment.series is None:
        return
    series = treatment.series
    treated = int(series.loc[series["value"] > 0, "unit"].nunique())
    cells = int((series["value"] > 0).sum())
    yield Finding(
        "samples",
        "confirmed" if treated == said else "inconsistent",
        column,
        f"the text: {said} treated units",
        f"{treated} treated units, {cells} treated rows",
        "The treatment has as many treated units as the text says."
        if treated == said
        else "The treatment has another number of treated units than the text says.",
        f"{treated} of {said}",
        basis="design",
        spec=scene.spec(column),
    )


RULE = Rule("samples", "does a declared sample have the printed N?", judge)
