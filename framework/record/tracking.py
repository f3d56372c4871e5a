"""MLflow as a view of `runs/`: the only file that knows it.

Everything shown there is read from a run's folder, so the store can be thrown away and
made again (`rebuild`). One process writes at a time, one MLflow run per estimation;
draws, coefficient vectors and models are never logged. A new run in our own store that
is in order is written without loading MLflow (`bulk`); whatever is to be made, mended
or asked of a server goes through MLflow's client.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import StorageError
from framework.record import bulk, new_store
from framework.record.as_runs import (
    VIEW,
    as_finished,
    finished,
    tags_of,
    times_of,
    view_tag,
)
from framework.record.own_store import (
    DRAFT,
    copy_changed,
    is_current,
    is_there,
    made,
    settle_files,
)
from framework.record.pages import demand_free, demand_local, serve_store
from framework.record.process import is_alive
from framework.record.shown import Recorded, description, parent_tags, read
from framework.record.storage import NOTICED, exclusive, replace_text, sync_folder
from framework.record.store_place import TrackingConfig, local_folder, masked
from framework.run_folders import is_run, run_folders

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: Files and folders of a run that its MLflow parent carries.
ARTIFACTS = (
    "report.html",
    "tables",
    "figures",
    "coefficients.csv",
    "manifest.json",
    "spec.yaml",
)
#: Told in a sentence whom a command waits for.
Waits = Callable[[str], None]

_LOCK_SECONDS = 120.0
#: What a store of our own says that no waiting and no space will mend.
_NEWER = "Can't locate revision"
_SPOILT = (
    _NEWER,
    "malformed",
    "not a database",
    "already exists",
    "no such table",
    "no such column",
    "duplicate column",
)
_REBUILD = "the results are safe in runs/; when it is mended, run `estimand rebuild`"
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
#: Defaults that a user's own environment may override: a server that is down is said
#: within seconds (MLflow's own settings wait for minutes).
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
#: Tags of a study's experiment: what the pages shall look like.
_KIND = {"mlflow.experimentKind": "custom_model_development"}


def sync(
    folder: Path,
    tracking: TrackingConfig,
    *,
    note: str = "",
    progress: Callable[[int, int], None] | None = None,
    waits: Waits | None = None,
) -> str:
    """Show a finished run in MLflow; again changes nothing.

    What a killed process left half done is finished first, so no run of ours stays
    RUNNING, and runs of the study that were recorded and never shown are shown, too.

    Args:
        folder: the run's folder.
        tracking: where to.
        note: the tables in Markdown; "" = `tables/*.md` of the folder.
        progress: called with (estimations shown, all) after each.
        waits: told once, in a sentence, whom it waits for and how long at most.

    Returns:
        Address of the run in MLflow's pages, or, for a database without a server,
        the name of the experiment; "" when tracking is off.

    Raises:
        StorageError: R22 MLflow refused, with the way to catch up; R24 no run there.
    """
    if not tracking.enabled:
        return ""
    recorded = read(folder)
    if tracking.is_ours and _added(tracking, recorded, note, waits):
        if progress:
            progress(len(recorded.estimations), len(recorded.estimations))
        return recorded.study
    with _open(tracking, waits) as client:
        _finish_orphans(client, tracking, spare=recorded.folder)
        _catch_up(client, tracking, recorded)
        parent = _show(client, tracking, recorded, note, progress)
        if not tracking.is_server:
            return recorded.study
        page = f"experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}"
        return f"{tracking.store.rstrip('/')}/#/{page}"


def rebuild(
    tracking: TrackingConfig,
    *,
    progress: Callable[[int, int], None] | None = None,
    waits: Waits | None = None,
) -> int:
    """Show every run of `runs/` in MLflow, those it already has left as they are.

    Args:
        tracking: where to.
        progress: called with (runs shown, all) after each.
        waits: as `sync`.

    Returns:
        The number of runs.

    Raises:
        StorageError: R22; what was shown stays.
    """
    folders = list(run_folders(tracking.runs))
    with _open(tracking, waits) as client:
        _finish_orphans(client, tracking)
        for count, folder in enumerate(folders, start=1):
            _show(client, tracking, read(folder))
            if progress:
                progress(count, len(folders))
    return len(folders)


def view_url(tracking: TrackingConfig, study: str, *, base: str) -> str:
    """Page with a study's newest estimations: estimate, se, p, N and what varies.

    Args:
        tracking: the store.
        study: the study's name.
        base: where the pages are served, e.g. `http://127.0.0.1:5000`.

    Raises:
        StorageError: R22; R24 the study was never shown.
    """
    with _open(tracking) as client:
        experiment = client.get_experiment_by_name(study)
        if experiment is None:
            raise StorageError(
                "R24",
                f"MLflow has no experiment {study!r}",
                fix="`estimand run` the study, or `estimand rebuild`",
            )
        key = experiment.experiment_id
        return f"{base.rstrip('/')}/#/experiments/{key}/runs?viewStateShareKey={VIEW}"


def serve(
    tracking: TrackingConfig,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    ready: Callable[[str], None] | None = None,
    waits: Waits | None = None,
) -> int:
    """Serve MLflow's pages on this machine until interrupted.

    Args:
        tracking: the store; a server's own address is only announced.
        host: this machine's own address: MLflow asks nobody for a password.
        port: a free port.
        ready: called with the address once it answers.
        waits: as `sync`.

    Returns:
        The server's exit code, 0 after an interruption.

    Raises:
        SafetyError: X40 the host is not this machine.
        StorageError: R22 the store cannot be opened; R25 the port is taken.
    """
    demand_local(host, port)
    if tracking.is_server:
        if ready:
            ready(tracking.store)
        return 0
    demand_free(host, port)
    with _open(tracking, waits):
        pass  # creates the store or brings it up to date
    options = ["--no-serve-artifacts"]
    options += ["--default-artifact-root", str(tracking.artifacts)]
    return serve_store(
        options,
        host=host,
        port=port,
        # Not an argument: every user of the machine sees those, and a URI may hold a
        # password.
        environment=_ENVIRONMENT | {"MLFLOW_BACKEND_STORE_URI": tracking.store},
        log=tracking.lock.with_name("server.log"),
        ready=ready,
    )


# --- The store ---------------------------------------------------------------------


@contextmanager
def _open(
    tracking: TrackingConfig, waits: Waits | None = None
) -> Iterator[MlflowClient]:
    """A client on an up-to-date store, for one writer at a time.

    Raises:
        StorageError: R22 whatever MLflow or its database said; R23 another writer.
    """
    with (
        _alone(tracking, waits),
        # From the first import on: alembic greets when it is loaded.
        _quiet("mlflow", "alembic"),
    ):
        os.environ.update(_ENVIRONMENT)
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        from alembic.util import CommandError
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if tracking.is_ours:
                _await_others(tracking, waits)
                _make_or_upgrade(tracking)
                settle_files(tracking)
            else:
                _demand_answer(tracking.store)
            yield MlflowClient(tracking_uri=tracking.store)
        except (
            MlflowException,
            SQLAlchemyError,
            CommandError,
            sqlite3.Error,
            OSError,
        ) as error:
            raise _refused(tracking, error) from error


def _refused(tracking: TrackingConfig, error: Exception) -> StorageError:
    said = _first_line(error)
    what = f"MLflow at {masked(tracking.store)} refused: {masked(said)}"
    why, fix = "MLflow shows runs, it does not hold them.", _REBUILD
    if tracking.is_ours and any(words in said for words in _SPOILT):
        away = f"{tracking.database}.old"
        fix = (
            f"mv '{tracking.database}' '{away}', then `estimand rebuild` makes it anew "
            "from runs/ (what was typed into MLflow's pages stays in the old file)"
        )
        if _NEWER in said:
            maker = tracking.mark.read_text("ascii") if tracking.mark.exists() else ""
            why = (
                f"Another MLflow ({maker or 'unknown'}) has made it than the one that is "
                f"installed ({version('mlflow')})."
            )
            fix = f"install that one; or {fix}"
    return StorageError("R22", what, why=why, fix=fix)


@contextmanager
def _alone(tracking: TrackingConfig, waits: Waits | None) -> Iterator[None]:
    """The one writer of ours.

    Raises:
        StorageError: R23 another one; R22 the disk refused.
    """
    said = f"another run that writes to MLflow's store (it holds {tracking.lock})"
    tell = None if waits is None else lambda: waits(_waiting_for(said))
    try:
        with exclusive(tracking.lock, seconds=_LOCK_SECONDS, waits=tell):
            yield
    except OSError as error:
        raise _refused(tracking, error) from error


def _await_others(tracking: TrackingConfig, waits: Waits | None) -> None:
    """Wait until no other program (a viewer of databases, a backup) holds our database.

    MLflow itself waits for 20 seconds at every statement and then gives up.

    Raises:
        StorageError: R22 it is held for longer than another run of ours might.
    """
    if not tracking.database.exists():
        return
    noticed = min(NOTICED, _LOCK_SECONDS)
    for seconds in (noticed, _LOCK_SECONDS - noticed):
        connection = sqlite3.connect(
            tracking.database, timeout=seconds, isolation_level=None
        )
        with closing(connection):
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                # What else is wrong with it is found, and said, by who uses it.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    return
                busy = error
            else:
                return
        if waits is not None and seconds == noticed:
            held = f"another program that holds {tracking.database}"
            waits(_waiting_for(held))
    raise _refused(tracking, busy) from busy


def _waiting_for(whom: str) -> str:
    return f"waiting for {whom}, at most {_LOCK_SECONDS:g} s"


def _demand_answer(store: str) -> None:
    """Ask a database server once: MLflow itself would ask for two minutes.

    Raises:
        SQLAlchemyError: it does not answer.
        StorageError: R22 its driver is not installed.
    """
    if not store.startswith(("postgresql", "mysql", "mssql")):
        return
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    try:
        create_engine(store, poolclass=NullPool).connect().close()
    except ImportError as error:
        raise StorageError(
            "R22",
            f"the driver of {masked(store)} is not installed ({error})",
            why="MLflow shows runs, it does not hold them.",
            fix="pip install 'estimand[postgresql]', then `estimand rebuild`",
        ) from error


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """No chatter of migrations; the levels are the user's again afterwards."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        # An error is raised, too, and said in a sentence: MLflow logs its traceback.
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _make_or_upgrade(tracking: TrackingConfig) -> None:
    """Make our own store, or bring one of an earlier MLflow up to date."""
    if is_current(tracking) or made(tracking):
        return
    if is_there(tracking):
        _upgrade(tracking.database)
    else:
        make_by_mlflow(tracking)
    replace_text(tracking.mark, version("mlflow"))


def _upgrade(database: Path) -> None:
    """All of MLflow's migrations or none: they are made in a copy.

    One that is killed leaves half a schema behind, which no migration takes up again.
    """
    utils: Any = import_module("mlflow.store.db.utils")
    database = database.resolve()
    draft = database.with_name(f".{database.name}.draft")
    for name in (draft.name, f"{draft.name}-journal"):
        draft.with_name(name).unlink(missing_ok=True)
    with closing(sqlite3.connect(database, isolation_level=None)) as held:
        # A write-ahead log would be read as that of the copy which takes its place.
        held.execute("PRAGMA journal_mode = DELETE")
        held.execute("BEGIN IMMEDIATE")  # nobody writes what the copy would lack
        with (
            closing(sqlite3.connect(database)) as old,
            closing(sqlite3.connect(draft)) as new,
        ):
            old.backup(new)
        engine = utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{draft}")
        try:
            utils._upgrade_db(engine)
        finally:
            engine.dispose()
        shutil.copymode(database, draft)
        draft.replace(database)
        sync_folder(database.parent)


def make_by_mlflow(tracking: TrackingConfig) -> None:
    """A new store of our own, by MLflow itself and all its migrations."""
    from sqlalchemy import text

    utils: Any = import_module("mlflow.store.db.utils")
    engine = utils.create_sqlalchemy_engine_with_retry(tracking.store)
    try:
        utils._initialize_tables(engine)
        with engine.begin() as connection:
            connection.execute(text(new_store.DEFAULT), new_store.default_experiment())
    finally:
        engine.dispose()


def _experiment(client: MlflowClient, tracking: TrackingConfig, study: str) -> str:
    """The study's experiment, made or brought back from the bin."""
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        made: str = client.create_experiment(
            study,
            artifact_location=tracking.artifacts,
            tags=_KIND,
        )
        return made
    if experiment.lifecycle_stage != "active":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def _runs(
    client: MlflowClient,
    experiments: Sequence[str],
    where: str,
    *,
    deleted: bool = False,
) -> list[Run]:
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    found: list[Run] = []
    token: str | None = None
    while experiments:
        page = client.search_runs(
            list(experiments), where, view, max_results=1000, page_token=token
        )
        found += page
        token = page.token
        if not token:
            break
    return found


def _finish_orphans(
    client: MlflowClient, tracking: TrackingConfig, spare: Path | None = None
) -> None:
    """Finish, or close as KILLED, what a dead process left RUNNING.

    Args:
        client: of the store.
        tracking: the store's configuration.
        spare: folder of the run that is about to be shown anyway.
    """
    experiments = [e.experiment_id for e in client.search_experiments()]
    running = _runs(
        client,
        experiments,
        "attributes.status = 'RUNNING' AND tags.`estimand.run_id` LIKE '%'",
    )
    orphans: dict[Path, list[Run]] = defaultdict(list)
    for run in running:
        tags = run.data.tags
        # Holding the lock of our own store means that no other writer lives.
        if tracking.is_ours or not is_alive(tags.get("estimand.process", "")):
            orphans[Path(tags.get("estimand.folder", ""))].append(run)
    for folder, runs in orphans.items():
        if folder == spare:
            continue
        if is_run(folder):
            _show(client, tracking, read(folder))
        for run in runs:
            if client.get_run(run.info.run_id).info.status == "RUNNING":
                client.set_terminated(run.info.run_id, status="KILLED")


def _catch_up(
    client: MlflowClient, tracking: TrackingConfig, recorded: Recorded
) -> None:
    """Show the study's other runs that MLflow never had: one query where all are there.

    A process that dies between its run's folder and MLflow leaves no trace in MLflow.
    What a user deleted there stays deleted.
    """
    others = _others(tracking, recorded)
    experiment = client.get_experiment_by_name(recorded.study) if others else None
    if experiment is not None:
        shown = _runs(
            client, [experiment.experiment_id], "tags.kind = 'study'", deleted=True
        )
        for run in shown:
            others.pop(run.data.tags.get("estimand.run_id", ""), None)
    for folder in others.values():
        # A record that was changed by hand is named by `rebuild`, and stops no other.
        with suppress(StorageError):
            _show(client, tracking, read(folder))


def _others(tracking: TrackingConfig, recorded: Recorded) -> dict[str, Path]:
    """The study's other runs: id -> folder."""
    return {
        folder.name: folder
        for folder in run_folders(tracking.runs, recorded.study)
        if folder.name != recorded.run_id
    }


# --- What MLflow gets --------------------------------------------------------------


def _added(
    tracking: TrackingConfig, recorded: Recorded, note: str, waits: Waits | None
) -> bool:
    """Write a run that is all our own store lacks, at once and without loading MLflow.

    Returns:
        False where the store is to be made, upgraded or mended first, or where its
        database refuses: nothing was written, and MLflow's client is to do or say it.
    """
    with _alone(tracking, waits):
        try:
            if not (is_current(tracking) or made(tracking)):
                return False
        except (sqlite3.Error, OSError):
            return False
        _await_others(tracking, waits)
        others = _others(tracking, recorded)
        try:
            settle_files(tracking)
            with bulk.writing(tracking.database) as store:
                if not bulk.in_order(store, recorded.study, recorded.run_id, others):
                    return False
                place = str(tracking.artifacts)
                experiment = bulk.experiment(store, recorded.study, place, _KIND)
                local = local_folder(experiment.artifacts)
                if local is None:
                    store.rollback()
                    return False
                parent, children = as_finished(recorded, note)
                bulk.insert(store, experiment, [parent, *children])
                bulk.tag(store, experiment, *view_tag(parent.key, recorded))
                draft = local / DRAFT.format(parent.key)
                for name in ARTIFACTS:
                    source = recorded.folder / name
                    copy_changed(source, draft / "artifacts", recorded.folder)
            draft.rename(local / parent.key)
        except sqlite3.Error:
            return False
    return True


def _show(
    client: MlflowClient,
    tracking: TrackingConfig,
    recorded: Recorded,
    note: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """One parent, one child per estimation that is not there yet."""
    experiment = _experiment(client, tracking, recorded.study)
    ours = tags_of(recorded)
    parent, present = _present(client, experiment, recorded.run_id)
    begun, ended = times_of(recorded)
    text = description(recorded, note)
    if parent is None:
        parent = client.create_run(
            experiment,
            start_time=begun,
            run_name=recorded.run_id,
            tags=ours | parent_tags(recorded) | {"mlflow.note.content": text},
        )
    elif parent.data.tags.get("mlflow.note.content", "") != text:
        client.set_tag(parent.info.run_id, "mlflow.note.content", text)
    nested = ours | {"mlflow.parentRunId": parent.info.run_id}
    missing: list[bulk.Finished] = []
    for place, estimation in enumerate(recorded.estimations, start=1):
        if estimation.address not in present:
            missing.append(finished(estimation, nested, begun, place))
    shown = len(recorded.estimations) - len(missing)
    for count in _log(client, experiment, missing, tracking):
        if progress:
            progress(shown + count, len(recorded.estimations))
    _put_artifacts(client, tracking, parent, recorded.folder)
    _save_view(client, experiment, parent.info.run_id, recorded)
    if parent.info.status == "RUNNING":
        client.set_terminated(parent.info.run_id, status="FINISHED", end_time=ended)
    return parent


def _present(
    client: MlflowClient, experiment: str, run_id: str
) -> tuple[Run | None, frozenset[str]]:
    """The parent if there is one, and addresses whose estimation is shown whole.

    A child that a killed process left half written is closed and thrown away.
    """
    parent: Run | None = None
    present: set[str] = set()
    for run in _runs(client, [experiment], f"tags.`estimand.run_id` = '{run_id}'"):
        if run.data.tags.get("kind") == "study":
            parent = run
        elif run.info.status == "FINISHED":
            present.add(run.data.tags["address"])
        else:
            client.set_terminated(run.info.run_id, status="KILLED")
            client.delete_run(run.info.run_id)
    return parent, frozenset(present)


def _log(
    client: MlflowClient,
    experiment: str,
    runs: Sequence[bulk.Finished],
    tracking: TrackingConfig,
) -> Iterator[int]:
    """Write runs, many at once where the database is ours; how many are there so far.

    Args:
        client: of the store.
        experiment: id of the experiment.
        runs: the runs that are missing.
        tracking: the store's configuration.
    """
    if not tracking.is_ours:
        for count, run in enumerate(runs, start=1):
            _log_one(client, experiment, run)
            yield count
        return
    place = client.get_experiment(experiment).artifact_location
    theirs = bulk.Experiment(int(experiment), place)
    for first in range(0, len(runs), bulk.TOGETHER):
        together = runs[first : first + bulk.TOGETHER]
        with bulk.writing(tracking.database) as store:
            bulk.insert(store, theirs, together)
        yield first + len(together)


def _log_one(client: MlflowClient, experiment: str, run: bulk.Finished) -> None:
    from mlflow.entities import Metric, Param

    made = client.create_run(
        experiment, start_time=run.begun, run_name=run.name, tags=dict(run.tags)
    ).info.run_id
    client.log_batch(
        made,
        metrics=[Metric(k, v, run.ended, 0) for k, v in run.metrics.items()],
        params=[Param(k, v) for k, v in run.parameters.items()],
    )
    client.set_terminated(made, status="FINISHED", end_time=run.ended)


def _put_artifacts(
    client: MlflowClient, tracking: TrackingConfig, parent: Run, folder: Path
) -> None:
    """Copy the report, tables and figures to the parent, what differs only."""
    local = None if tracking.is_server else local_folder(parent.info.artifact_uri)
    for name in ARTIFACTS:
        source = folder / name
        if not source.exists():
            continue
        if local is None and source.is_dir():
            client.log_artifacts(parent.info.run_id, str(source), name)
        elif local is None:
            client.log_artifact(parent.info.run_id, str(source))
        else:
            copy_changed(source, local, folder)


def _save_view(
    client: MlflowClient, experiment: str, parent: str, recorded: Recorded
) -> None:
    client.set_experiment_tag(experiment, *view_tag(parent, recorded))


# --- Small matters -----------------------------------------------------------------


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
