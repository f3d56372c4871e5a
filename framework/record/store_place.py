"""Where MLflow's store lies: whose it is, its files, its lock."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """Where MLflow lives (`conf/tracking/*.yaml`).

    Attributes:
        runs: folder of all runs.
        enabled: False leaves MLflow alone.
        uri: any MLflow tracking URI; None = SQLite below `runs`. Not in `repr`: it
            may hold a password.
        artifact_location: URI or folder for copies of reports; None = below `runs`
            for a database, the server's own place for a server.
    """

    runs: Path
    enabled: bool = True
    uri: str | None = field(default=None, repr=False)
    artifact_location: str | None = None

    @property
    def store(self) -> str:
        """The tracking URI in force; PostgreSQL by the driver that is ours."""
        if self.uri:
            return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.uri)
        return f"sqlite:///{self.database}"

    @property
    def artifacts(self) -> str | None:
        """Where a new experiment keeps its files; None = the server decides."""
        if self.artifact_location:
            if "://" in self.artifact_location:
                return self.artifact_location
            return Path(self.artifact_location).resolve().as_uri()
        return None if self.is_server else (self._folder / "artifacts").as_uri()

    @property
    def is_server(self) -> bool:
        """A server owns the store; otherwise we open the database ourselves."""
        return self.store.startswith(("http://", "https://", "databricks"))

    @property
    def is_ours(self) -> bool:
        """The default store, which only this software writes to."""
        return not self.uri

    @property
    def lock(self) -> Path:
        """The file that the one writer holds."""
        return self._folder / "lock"

    @property
    def database(self) -> Path:
        """The file of the default store."""
        return self._folder / "mlflow.db"

    @property
    def mark(self) -> Path:
        """The file that holds the version of MLflow that the default store is of."""
        return self._folder / "schema"

    @property
    def _folder(self) -> Path:
        return self.runs.resolve() / ".mlflow"


def local_folder(uri: str) -> Path | None:
    """The folder behind a file URI, None for anything remote."""
    parts = urlsplit(uri)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        return None
    return Path(unquote(parts.path) if parts.scheme else uri)


def masked(text: str) -> str:
    """A text without the passwords of its URIs; one may hold a slash."""
    return re.sub(r"(://[^/\s:@]+):[^\s@]+@", r"\1:***@", text)
