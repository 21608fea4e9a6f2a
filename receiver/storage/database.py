"""One store behind one face: engine, transactions, migrations. SQLite by default, with every commit on disk before it returns."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry


class StoreUnavailable(Exception):
    """The store cannot take this now: locked, read-only, full or gone. Nothing was written."""


class Database:
    """The store at a SQLAlchemy address. `busy_seconds` is how long a writer waits for another one."""

    def __init__(self, url: str, busy_seconds: float = 5.0) -> None:
        self.url = url
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        arguments: dict[str, Any] = {"timeout": busy_seconds} if self.is_sqlite else {}
        self.engine: Engine = create_engine(url, connect_args=arguments)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends. Raises StoreUnavailable, and then nothing of it is."""
        with self._transaction(writing=True) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view. Raises StoreUnavailable."""
        with self._transaction(writing=False) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(writing=writing) as connection, connection.begin():
                yield connection
        except (DBAPIError, _FileGone) as error:
            # a connection opened while the file was read-only or gone stays so: open new ones next time
            self.engine.dispose()
            why = error.orig if isinstance(error, DBAPIError) else error
            raise StoreUnavailable(f"the store cannot be {'written' if writing else 'read'}: {why}") from error

    def migrate(self) -> None:
        """Bring the tables to this version. Raises StoreUnavailable."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = None
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()


class _FileGone(Exception):
    """The database's file is no longer the one that this connection has open."""


def _prepare_sqlite(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    # we say BEGIN ourselves: the driver's own way would start a transaction too late to keep a writer's place
    connection.isolation_level = None
    # FULL: the log is synced at every commit, so a 200 is never given for what a power cut could take back
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
    for pragma in pragmas:
        try:
            connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError:
            if not pragma.startswith("journal_mode"):
                raise
            # a read-only or locked file: it has its journal mode already, the write itself will say what is wrong
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    record.info["file"] = (path, _identity(path))


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
    # with a write-ahead log SQLite would write on, without a word, into a file that was moved away or deleted
    path, identity = connection.info["file"]
    if _identity(path) != identity:
        raise _FileGone(f"{path} was moved, replaced or deleted")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - on every transaction: a Path would cost more than the call
    except OSError:
        return None
    return status.st_dev, status.st_ino
