"""Figures of efficiency scores, as data: where, when, and for want of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.panel import Panel
from framework.result import Plot

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


def score_plots(
    panel: Panel,
    name: str,
    tables: Mapping[str, pd.DataFrame],
    technology: str | None = None,
    column: str = "score",
    frontier: float = 1.0,
) -> tuple[Plot, ...]:
    """A strip of all units by period, their distribution, and the slacks.

    Args:
        panel: its unit and time name columns of the tables.
        name: of the step.
        tables: what the step leaves behind, of it `scores` and `slack_shares`.
        technology: the one whose scores are the outcome; None = all are.
        column: of `scores` that holds them.
        frontier: the score of a row on it.
    """
    unit, time = panel.unit, panel.time
    if time is None:
        return ()
    what = f"{column.capitalize()} ({name})"
    only: dict[str, Any] = {"only": {"technology": technology}} if technology else {}
    plots = [
        Plot(
            "distribution",
            "scores",
            f"{name} by {time}",
            {"group": time, "value": column, "what": what}
            | {"line": frontier, "line_label": "frontier"}
            | only,
        )
    ]
    if unit is not None:
        options = {"row": unit, "column": time, "value": column, "what": what}
        title = f"{name} of every {unit} by {time}, largest mean on top"
        plots.insert(0, Plot("heatmap", "scores", title, options | only))
    if "slack_shares" in tables:
        plots.append(
            Plot(
                "heatmap",
                "slack_shares",
                f"mean distance to the frontier of {name}, as a share of each quantity",
                {"row": "quantity", "column": time, "value": "share"}
                | {"order": "given", "percent": True},
            )
        )
    return tuple(plots)


def slack_shares(
    panel: Panel,
    rows: Sequence[Integers],
    shares: Sequence[Floats],
    names: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """The table `slack_shares`: mean relative slack of each quantity by period.

    Args:
        panel: the data.
        rows: positions in the panel, by technology.
        shares: (E, c) of its rows, NaN where there is no projection.
        names: of the quantities.
    """
    import numpy as np
    import pandas as pd

    if panel.time is None:
        return {}
    held = pd.DataFrame(np.concatenate(list(shares)), columns=list(names))
    held = held.replace([np.inf, -np.inf], np.nan)
    clock = panel.frame[panel.time].to_numpy()[np.concatenate(list(rows))]
    mean = held.groupby(clock).mean()
    mean.index.name = panel.time
    table = mean.melt(ignore_index=False, var_name="quantity", value_name="share")
    return {"slack_shares": table.reset_index()[["quantity", panel.time, "share"]]}


__all__ = ["score_plots", "slack_shares"]
