"""`runs/<study>/<run id>/`: the record of a run, there whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from framework.cache import Cell
from framework.errors import StorageError
from framework.record.manifest import frame_path, manifest, spec_sha
from framework.record.resolved import FILE, resolved_text
from framework.record.storage import (
    drafts,
    point_latest,
    remove_quietly,
    storage_errors,
    sync_folder,
    sync_tree,
)
from framework.record.tables import (
    coefficients_table,
    file_name,
    frame_table,
    scalars_table,
    tests_table,
)
from framework.run_folders import is_run

if TYPE_CHECKING:
    import pandas as pd

    from framework.record.inputs import RunInputs

_FREE_SPACE = "free some space or mend the permission, then run again: no finished \
estimation is computed twice"
_LATEST = "move away what is called `latest` there (it should be a link), then \
`estimand report` and `estimand rebuild`"
_REPORT = "mend what is said above, then `estimand report`"


def write_run(
    inputs: RunInputs,
    runs: Path,
    *,
    output: Path | None = None,
    render: Callable[[Path], None] | None = None,
) -> Path:
    """Write a run's folder; nothing has its final name before it is complete.

    Args:
        inputs: the run.
        runs: folder of all runs.
        output: write the same folder here, too.
        render: adds tables, figures and the report to the folder it is given. If it
            fails, the run is recorded without them and its error goes on.

    Returns:
        `runs/<study>/<run id>`, which `latest` now names.

    Raises:
        StorageError: R20 the disk refused; R21 `output` holds something else.
    """
    if output is not None:
        check_output(output)
    study = runs / inputs.study
    failed: BaseException | None = None
    with storage_errors("the run's folder could not be written", fix=_FREE_SPACE):
        study.mkdir(parents=True, exist_ok=True)
        with drafts(study):
            draft, run_id = _open_draft(study, inputs)
            try:
                _fill(draft, inputs, run_id)
                failed = _rendered(draft, render)
                sync_tree(draft)
                folder = draft.rename(study / run_id)
            except BaseException:
                remove_quietly(draft)
                raise
            sync_folder(study)
            with storage_errors(
                f"the run is in {folder}, but {study / 'latest'} can't name it",
                fix=_LATEST,
            ):
                point_latest(folder)
    if failed is not None:
        with storage_errors(f"the run is in {folder}, its report failed", fix=_REPORT):
            raise failed
    if output is not None:
        copy_run(folder, output)
    return folder


def _rendered(
    draft: Path, render: Callable[[Path], None] | None
) -> BaseException | None:
    """What stopped the report, an interruption included: the numbers come first."""
    try:
        if render is not None:
            render(draft)
    except BaseException as error:
        return error
    return None


def check_output(output: Path) -> None:
    """Refuse to write a run over anything that is not a run.

    Raises:
        StorageError: R21 a file, or a folder that holds other things.
    """
    if not output.exists() or is_run(output):
        return
    if output.is_dir() and not any(output.iterdir()):
        return
    raise StorageError(
        "R21",
        f"--output {output} exists and is not a run's folder",
        why="What it holds would be lost.",
        fix="name a folder that is new, empty or an earlier run's",
    )


def copy_run(folder: Path, output: Path) -> None:
    """Copy a run's folder to `output`, replacing an earlier run there in one step.

    Raises:
        StorageError: R20, R21; the run in `runs/` is untouched.
    """
    check_output(output)
    target = output.resolve()
    draft = target.with_name(f".{target.name}.new")
    old = target.with_name(f".{target.name}.old")
    with storage_errors(
        f"the run is in {folder}, but --output {output} could not be written",
        fix="copy that folder by hand, or run again with another --output",
    ):
        target.parent.mkdir(parents=True, exist_ok=True)
        for left_over in (draft, old):
            if left_over.exists():
                shutil.rmtree(left_over)
        try:
            shutil.copytree(folder, draft)
            sync_tree(draft)
            if target.exists():
                target.rename(old)
            draft.rename(target)
        except BaseException:
            if old.exists() and not target.exists():
                old.rename(target)
            remove_quietly(draft)
            raise
        sync_folder(target.parent)
        remove_quietly(old)


def _open_draft(study: Path, inputs: RunInputs) -> tuple[Path, str]:
    """A new draft folder and the run id that only its owner may take.

    The draft is made first: whoever made it is alone in looking whether the name is
    free, so two processes in the same second can't choose the same id.
    """
    content = [
        inputs.study,
        spec_sha(inputs),
        inputs.base,
        inputs.code,
        str(inputs.seed),
    ]
    outcomes = [column.outcome for column in inputs.columns]
    content += [cell.fingerprint for cell in outcomes if isinstance(cell, Cell)]
    moment = inputs.created.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    attempt = 0
    while True:
        parts = [*content, str(attempt)] if attempt else content
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:6]
        run_id, attempt = f"{moment}-{digest}", attempt + 1
        draft = study / f".{run_id}.draft"
        try:
            draft.mkdir()
        except FileExistsError:
            continue
        if not (study / run_id).exists():
            return draft, run_id
        draft.rmdir()


def _fill(folder: Path, inputs: RunInputs, run_id: str) -> None:
    done = [
        (column.estimation, column.outcome)
        for column in inputs.shown
        if isinstance(column.outcome, Cell)
    ]
    (folder / "spec.yaml").write_text(inputs.spec, encoding="utf-8", newline="")
    if inputs.sources:
        (folder / "sources").mkdir()
    for name, text in inputs.sources.items():
        stem, suffix = Path(name).stem, Path(name).suffix or ".yaml"
        target = folder / "sources" / (file_name(stem) + suffix)
        target.write_text(text, encoding="utf-8", newline="")
    coefficients_table(done).write(folder / "coefficients.csv")
    scalars_table(done).write(folder / "scalars.csv")
    tests_table(done).write(folder / "tests.csv")
    (folder / "frames").mkdir()
    _write_frames(folder, "data", inputs.panel.frames)
    for estimation, cell in done:
        frames = dict(cell.result.frames)
        if cell.draws is not None:
            frames["draws"] = cell.draws
        _write_frames(folder, estimation.address, frames)
    notes = _write_panel(folder / "panel.parquet", inputs.panel.frame)
    (folder / FILE).write_text(resolved_text(inputs), encoding="utf-8", newline="")
    text = manifest(inputs, run_id, notes=notes)
    (folder / "manifest.json").write_text(text, encoding="utf-8", newline="")


def _write_frames(
    folder: Path, address: str, frames: Mapping[str, pd.DataFrame]
) -> None:
    for name, frame in frames.items():
        frame_table(frame).write(folder / frame_path(address, name))


def _write_panel(path: Path, frame: pd.DataFrame) -> tuple[str, ...]:
    """Write the prepared panel; a column of mixed types is stored as text, and said."""
    import pyarrow as pa
    from pandas.api.types import is_object_dtype

    mixed: list[str] = []
    for name in [n for n in frame.columns if is_object_dtype(frame[n])]:
        try:
            pa.array(frame[name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            mixed.append(str(name))
            frame = frame.assign(
                **{name: frame[name].map(str, na_action="ignore").astype(object)}
            )
    frame.to_parquet(path, engine="pyarrow", index=False)
    return tuple(
        f"column {name} holds values of several types; panel.parquet has them as text"
        for name in mixed
    )


__all__ = [
    "check_output",
    "copy_run",
    "write_run",
]
