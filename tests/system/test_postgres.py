"""PostgreSQL as a source of data and as MLflow's store: a real server on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.build_panel import staggered
from tests.real_command import (
    ESTIMATIONS,
    STUDY,
    Folder,
    free_port,
    killed,
    numbers,
    patience,
)
from tests.system.debian import program

pytestmark = pytest.mark.system

USER, PASSWORD = "economist", "s3cret-p4ss"
FAST = ("executor=inline", "report=quick")
#: From a database: integers, doubles, a numeric, a boolean, text and a missing value.
TABLE = """
CREATE TABLE panel (
  unit text, time integer, first double precision, d boolean, x1 numeric,
  x2 double precision, region text, w smallint, y double precision
)"""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server of our own on a port of this machine."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Credentials as libpq reads them; they stand in no file and no argument."""
        return {"PGUSER": USER, "PGPASSWORD": PASSWORD}

    def url(self, database: str) -> str:
        return f"postgresql://127.0.0.1:{self.port}/{database}"

    def does(self, database: str, *statements: str, rows: Any = ()) -> list[tuple]:
        """Carry out statements; the rows of the last. `rows` go to the first."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=USER,
            password=PASSWORD,
            autocommit=True,
            connect_timeout=60,
        ) as connection:
            for statement in statements:
                cursor = connection.cursor()
                if rows and statement is statements[0]:
                    cursor.executemany(statement, rows)
                else:
                    cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self, name: str) -> str:
        """An empty database; its URL."""
        self.does("postgres", f"DROP DATABASE IF EXISTS {name}")
        self.does("postgres", f"CREATE DATABASE {name}")
        return self.url(name)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A cluster in a temporary folder; the server refuses to be run by root."""
    initdb = program("initdb", "postgresql")
    owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    port = free_port()
    # Not below pytest's folders: only their owner may enter those.
    with tempfile.TemporaryDirectory(prefix="estimand-postgres-") as name:
        home = Path(name)
        home.chmod(0o755)
        cluster, password = home / "cluster", home / "password"
        cluster.mkdir(mode=0o700)
        password.write_text(PASSWORD + "\n")
        for path in (cluster, password) if owner else ():
            shutil.chown(path, **owner)
        options = ["--auth=scram-sha-256", f"--username={USER}", "--no-sync"]
        options += [f"--pwfile={password}", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(
            [initdb, "--pgdata", cluster, *options],
            check=True,
            capture_output=True,
            cwd=home,
            **owner,
        )
        settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
        ]
        command = [initdb.with_name("postgres"), "-D", cluster, "-p", str(port)]
        for setting in settings:
            command += ["-c", setting]
        with (
            (home / "log").open("wb") as log,
            subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=home, **owner
            ) as process,
        ):
            try:
                yield _answering(Server(port), process, home / "log")
            finally:
                process.send_signal(signal.SIGINT)  # a fast shutdown
                process.wait(timeout=patience(60))


def _answering(server: Server, process: subprocess.Popen[bytes], log: Path) -> Server:
    import psycopg

    start = time.monotonic()
    while process.poll() is None and time.monotonic() < start + patience(60):
        try:
            server.does("postgres", "SELECT 1")
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return server
    pytest.fail(f"PostgreSQL does not answer: {log.read_text()}")


# A source of data


@pytest.fixture
def source(server: Server, tmp_path: Path) -> Folder:
    """A study that reads the panel from the database instead of its CSV."""
    url = server.database("laws")
    frame = staggered(seed=3)
    frame["d"] = frame["d"].astype(bool)
    # As text: PostgreSQL rounds a double that becomes a numeric to 15 digits.
    frame["x1"] = [Decimal(repr(x)) for x in frame["x1"].tolist()]
    # The rows come in no order that the study could rely on.
    rows = list(frame.sample(frac=1, random_state=1).itertuples(index=False, name=None))
    server.does("laws", TABLE)
    marks = ", ".join(["%s"] * len(frame.columns))
    server.does("laws", f"INSERT INTO panel VALUES ({marks})", rows=rows)
    query = "SELECT * FROM panel"
    text = STUDY.replace("data.csv", f'{{url: "{url}", query: {query}}}')
    return Folder.make(tmp_path / "study", text)


def command(folder: Folder, *args: str, **env: str) -> tuple[int, str, str]:
    with folder.start(*args, "tracking=none", *FAST, **env) as process:
        out, err = process.communicate(timeout=patience(120))
    return process.returncode, out, err


def test_a_study_reads_postgresql_with_credentials_of_the_environment(
    server: Server, source: Folder, tmp_path: Path
):
    settings = ("tracking=none", "report=quick")
    done = source.run(*settings, **server.environment)
    assert done.exit == 0, done.err
    assert done.counts == (ESTIMATIONS, 0)
    from_csv = Folder.make(tmp_path / "csv").run(*settings)
    assert numbers(done.folder) == numbers(from_csv.folder)
    assert source.run(*settings, **server.environment).counts == (0, ESTIMATIONS)
    # Nothing that was written down knows the password.
    for path in source.path.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()
    # What changed in the database is noticed.
    server.does(
        "laws", "UPDATE panel SET y = y + 1 WHERE unit = 'u001' AND time = 2003"
    )
    again = source.run(*settings, "--only", "main.plain", **server.environment)
    assert again.counts == (1, 0)


def test_a_wrong_password_is_said_and_not_repeated(server: Server, source: Folder):
    code, out, err = command(source, PGUSER=USER, PGPASSWORD="wr0ng-p4ss")
    assert (code, out) == (3, "")
    assert "password authentication failed" in err
    assert "wr0ng-p4ss" not in err
    assert "Traceback" not in err


def test_a_query_that_writes_is_refused_by_the_server(server: Server, source: Folder):
    study = source.path / "study.yaml"
    query = '"WITH gone AS (DELETE FROM panel RETURNING *) SELECT * FROM gone"'
    text = study.read_text().replace("SELECT * FROM panel", query)
    study.write_text(text)
    code, out, err = command(source, **server.environment)
    assert (code, out) == (8, "")
    assert "more than select" in err
    assert server.does("laws", "SELECT count(*) FROM panel") == [(320,)]


def test_a_server_that_is_not_there_is_said(source: Folder, server: Server):
    study = source.path / "study.yaml"
    study.write_text(study.read_text().replace(f":{server.port}/", ":9/"))
    code, out, err = command(source, **server.environment)
    assert (code, out) == (3, "")
    assert "refused" in err
    assert PASSWORD not in err


# MLflow's store

SMALL = STUDY.partition("  units:")[0]
SHOWN = 3


@pytest.fixture
def tracked(server: Server, tmp_path: Path) -> tuple[Folder, dict[str, str]]:
    """A study and an environment that shows it in a database of the server."""
    environment = server.environment | {
        "MLFLOW_TRACKING_URI": server.database("tracking"),
        "MLFLOW_ARTIFACT_LOCATION": str(tmp_path / "artifacts"),
    }
    return Folder.make(tmp_path / "study", SMALL), environment


def statuses(server: Server) -> list[str]:
    return [row[0] for row in server.does("tracking", "SELECT status FROM runs")]


def test_runs_are_shown_in_a_database_with_artifacts_in_a_folder(
    server: Server, tracked: tuple[Folder, dict[str, str]], tmp_path: Path
):
    folder, environment = tracked
    settings = ("tracking=server", "executor=inline")
    first = folder.run(*settings, **environment)
    assert first.exit == 0, first.err
    assert statuses(server) == ["FINISHED"] * (1 + SHOWN)
    (metric,) = server.does(
        "tracking",
        "SELECT m.value FROM latest_metrics m JOIN tags t ON t.run_uuid = m.run_uuid "
        "WHERE t.key = 'address' AND t.value = 'main.plain' AND m.key = 'estimate'",
    )
    table = pd.read_csv(first.folder / "coefficients.csv")
    # Doubles all the way.
    assert metric[0] == pytest.approx(table.estimate[0], rel=1e-15)
    reports = sorted((tmp_path / "artifacts").rglob("report.html"))
    assert [r.read_bytes() for r in reports] == [
        (first.folder / "report.html").read_bytes()
    ]
    assert not (folder.runs / ".mlflow" / "mlflow.db").exists()

    second = folder.run(*settings, **environment)
    assert second.counts == (0, SHOWN)
    assert statuses(server) == ["FINISHED"] * 2 * (1 + SHOWN)

    # The view is thrown away and made again from the folders.
    server.database("tracking")
    verb = ("rebuild", "tracking=server")
    for _ in range(2):
        with folder.start(verb=verb, **environment) as process:
            out, err = process.communicate(timeout=patience(120))
        assert (process.returncode, out) == (0, "2 runs are in MLflow.\n"), err
        assert statuses(server) == ["FINISHED"] * 2 * (1 + SHOWN)


def test_a_run_killed_while_the_database_is_written_to_leaves_nothing_running(
    server: Server, tracked: tuple[Folder, dict[str, str]], monkeypatch
):
    import psycopg

    folder, environment = tracked
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings = ("tracking=server", "executor=inline", "report=quick")
    assert folder.run(*settings).exit == 0  # makes the tables
    shown = len(statuses(server))

    def showing(_folder: Folder, _before: int) -> bool:
        # Begun, and held at its numbers by the lock: it can't end before it is killed.
        return "RUNNING" in statuses(server)

    with psycopg.connect(
        server.url("tracking"), user=USER, password=PASSWORD
    ) as another:
        another.execute("LOCK TABLE metrics, latest_metrics IN SHARE MODE")
        code, _ = killed(folder, 0.0, showing, signal.SIGKILL, *settings)
        assert code == -signal.SIGKILL
        assert len(statuses(server)) > shown
        assert "RUNNING" in statuses(server)
    done = folder.run(*settings)
    assert done.exit == 0, done.err
    assert set(statuses(server)) <= {"FINISHED", "KILLED"}
    # All runs are shown whole: what was begun is finished first.
    assert statuses(server).count("FINISHED") == 3 * (1 + SHOWN)


def test_a_store_that_is_gone_costs_the_view_only(
    server: Server, tracked: tuple[Folder, dict[str, str]]
):
    folder, environment = tracked
    gone = environment | {
        "MLFLOW_TRACKING_URI": f"postgresql://{USER}:{PASSWORD}@127.0.0.1:9/tracking"
    }
    settings = ("tracking=server", "executor=inline", "report=quick")
    # MLflow by itself would try for two minutes.
    with folder.start(*settings, **gone) as process:
        out, err = process.communicate(timeout=patience(60))
    assert process.returncode == 6
    assert "3 of 3 estimations" in out
    assert "estimand rebuild" in err
    assert PASSWORD not in out + err
    assert folder.latest().is_dir()
