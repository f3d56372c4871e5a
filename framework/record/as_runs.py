"""A recorded run as MLflow shows it: its tags, times and the table that opens."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime

from framework.record import bulk
from framework.record.process import this_process
from framework.record.shown import Estimation, Recorded, description, parent_tags

#: Key of the saved view that `view_url` opens.
VIEW = "estimand"


def as_finished(
    recorded: Recorded, note: str
) -> tuple[bulk.Finished, list[bulk.Finished]]:
    """The run and its estimations, all over."""
    ours = tags_of(recorded)
    begun, ended = times_of(recorded)
    text = {"mlflow.note.content": description(recorded, note)}
    tags = ours | parent_tags(recorded) | text
    parent = bulk.Finished(recorded.run_id, begun, ended, tags, {}, {})
    nested = ours | {"mlflow.parentRunId": parent.key}
    return parent, [
        finished(estimation, nested, begun, place)
        for place, estimation in enumerate(recorded.estimations, start=1)
    ]


def tags_of(recorded: Recorded) -> dict[str, str]:
    """Tags of everything that this process writes of a run."""
    return {
        "estimand.run_id": recorded.run_id,
        "estimand.folder": str(recorded.folder),
        "estimand.process": this_process(),
        "mlflow.user": _user(),
        "mlflow.source.name": "estimand",
        "mlflow.source.type": "LOCAL",
    }


def times_of(recorded: Recorded) -> tuple[int, int]:
    """Milliseconds since 1970 at which a run began and ended."""
    created = recorded.manifest["created"]
    ended = recorded.manifest["finished"] or created
    return _milliseconds(created), _milliseconds(ended)


def finished(
    estimation: Estimation, nested: Mapping[str, str], begun: int, place: int
) -> bulk.Finished:
    """An estimation of a run; `place` (from 1) is its place in the study."""
    start = begun + place
    return bulk.Finished(
        estimation.address,
        start,
        start + round(1000 * estimation.metrics.get("seconds", 0.0)),
        {**nested, "place": f"{place:05d}", **estimation.tags},
        estimation.metrics,
        estimation.parameters,
    )


def view_tag(parent: str, recorded: Recorded) -> tuple[str, str]:
    """Tag of the table that opens: the run's estimations, what matters in columns."""
    columns = [
        *(
            f"metrics.`{name}`"
            for name in ("estimate", "std_error", "p_value", "n_obs")
        ),
        "tags.`verdict`",
        *(f"params.`{name}`" for name in recorded.varying),
        *(f"params.`{name}`" for name in ("estimator", "outcome", "controls")),
    ]
    state = {
        "searchFilter": f"tags.`mlflow.parentRunId` = '{parent}'",
        # Sorted by anything but the date, the page does not fold children away.
        "orderByKey": "tags.`place`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": dict.fromkeys(columns, 110),
    }
    return f"mlflow.sharedViewState.{VIEW}", json.dumps(state)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _milliseconds(moment: str) -> int:
    return round(1000 * datetime.fromisoformat(moment).timestamp())
