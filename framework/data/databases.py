"""SQLite, DuckDB and PostgreSQL, asked for one SELECT and for nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.data.source_file import (
    distinct_names,
    inside,
    near,
)
from framework.errors import DataError, SafetyError, SpecError

if TYPE_CHECKING:
    import pandas as pd


def read_database(
    source: Mapping[str, Any], root: Path, base: Path | None
) -> tuple[pd.DataFrame, str]:
    """Rows of a query, as the database returns them, and the database without secrets.

    Args:
        source: `{url, query}`.
        root, base: as for `framework.data.sources.read`.

    Raises:
        SpecError: X12 no database that is read here.
        DataError: D17 no such database or no driver, D18 it refuses the query.
        SafetyError: X04 more than a select, X08 out of the project, X09 a password.
    """
    url, query = str(source["url"]), str(source["query"])
    kind, _, rest = url.partition("://")
    kind = kind.partition("+")[0].lower()
    if kind in {"sqlite", "duckdb"}:
        name = rest.removeprefix("/")
        path = inside(name, root, base)
        if not path.is_file():
            raise DataError(
                "D17",
                f"there is no database '{name}'",
                why="a path starts at the study's folder",
                fix=near(path),
                path="data.source.url",
            )
        frame = (_sqlite if kind == "sqlite" else _duckdb)(path, query)
        shown = f"{kind}:///{name}"
    elif kind in {"postgresql", "postgres"}:
        shown = _without_secrets(rest)
        frame = _postgresql(shown, query)
    else:
        raise SpecError(
            "X12",
            f"'{kind}' is not a database that is read here",
            fix="sqlite:///file.db, duckdb:///file.duckdb or postgresql://host/name",
            path="data.source.url",
        )
    return frame, shown


def _refused(query: str) -> SafetyError:
    return SafetyError(
        "X04",
        f"the query does more than select: {' '.join(query.split())[:80]}",
        why="a study only reads",
        fix="query: SELECT … FROM …",
        path="data.source.query",
    )


def _failed(error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:300]
    return DataError("D18", f"the database answers: {reason}", path="data.source.query")


def _begins_as_select(query: str) -> None:
    if not query.lstrip("( \n\t").lower().startswith(("select", "with", "values")):
        raise _refused(query)


def _sqlite(path: Path, query: str) -> pd.DataFrame:
    import sqlite3

    import pandas as pd

    _begins_as_select(query)

    allowed = {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }

    def only_select(action: int, *_: object) -> int:
        return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY

    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_authorizer(only_select)
        try:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description or ()]
            rows = cursor.fetchall()
        except sqlite3.DatabaseError as error:
            if "not authorized" in str(error) or "prohibited" in str(error):
                raise _refused(query) from error
            raise _failed(error) from error
        except sqlite3.ProgrammingError as error:
            raise _refused(query) from error
    if not names:
        raise _refused(query)
    return pd.DataFrame(rows, columns=list(distinct_names(names, "the query")))


def _duckdb(path: Path, query: str) -> pd.DataFrame:
    import duckdb

    # External access off: SELECT * FROM 'any/file.csv' is refused by the engine.
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "lock_configuration": "true",
    }
    try:
        with duckdb.connect(str(path), read_only=True, config=config) as connection:
            statements = connection.extract_statements(query)
            if [s.type for s in statements] != [duckdb.StatementType.SELECT]:
                raise _refused(query)
            found = connection.execute(statements[0])
            distinct_names([c[0] for c in found.description or ()], "the query")
            frame: pd.DataFrame = found.df()
    except duckdb.PermissionException as error:
        raise _refused(query) from error
    except duckdb.Error as error:
        raise _failed(error) from error
    return frame


def _without_secrets(rest: str) -> str:
    """The URL of a server; a password in a study would be published with it."""
    server, _, options = rest.partition("?")
    login, at, host = server.rpartition("@")
    if ":" in login or (
        options and re.search(r"pass|key|user", options, re.IGNORECASE)
    ):
        raise SafetyError(
            "X09",
            "the database's URL holds a password",
            why="a study is shared, stored and printed in reports",
            fix="url: postgresql://host/name, and set PGUSER and PGPASSWORD in the "
            "environment",
            path="data.source.url",
        )
    if options and not re.fullmatch(r"sslmode=[a-z-]+", options):
        raise SpecError(
            "X12",
            "the only option of a database's URL is sslmode",
            path="data.source.url",
        )
    question = f"?{options}" if options else ""
    return f"postgresql://{login}{at}{host}{question}"


def _postgresql(url: str, query: str) -> pd.DataFrame:
    import pandas as pd
    import sqlalchemy as sql

    _begins_as_select(query)
    driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        # The server itself refuses to write in a read-only session.
        engine = sql.create_engine(
            driver,
            connect_args={"options": "-c default_transaction_read_only=on"},
            poolclass=sql.pool.NullPool,
        )
        with engine.connect() as connection:
            cursor = connection.execute(sql.text(query))
            names = distinct_names(list(cursor.keys()), "the query")
            return pd.DataFrame(cursor.fetchall(), columns=list(names))
    except ModuleNotFoundError as error:
        raise DataError(
            "D17",
            "the PostgreSQL driver is not installed",
            fix="pip install 'psycopg[binary]'",
            path="data.source.url",
        ) from error
    except sql.exc.SQLAlchemyError as error:
        if "read-only transaction" in str(error):
            raise _refused(query) from error
        secret = os.environ.get("PGPASSWORD")
        text = str(getattr(error, "orig", None) or error)
        raise _failed(
            Exception(text.replace(secret, "***") if secret else text)
        ) from error
