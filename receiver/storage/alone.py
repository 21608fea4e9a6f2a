"""A store for oneself: no receiver works on it meanwhile, and none has it open."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from receiver.storage.database import Database
from receiver.storage.parts import address
from receiver.storage.tables import metadata
from receiver.storage.unavailable import StoreUnavailable

_WAIT_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.05
_STOP = "Stop the receiver (art58 serve, web and worker) on every machine, then try again"
# all receivers of one database have the same configuration, hence the same name
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND application_name = current_setting('application_name')"
)


class InUse(Exception):
    """A receiver, or another command of it, has the store open, which the text names. Nothing was changed."""


class Gone(StoreUnavailable):
    """As StoreUnavailable; the text names the store, for several may be at work."""


@contextmanager
def alone(database: Database) -> Iterator[Connection]:
    """A transaction that is on disk when the block ends, while nobody else can write. Raises InUse, Gone.

    SQLite: its own lock of the whole file, which is not given while any other process has the file open, idle or not.
    PostgreSQL: no other connection to this database calls itself as ours does; whoever comes later waits for the tables.
    """
    database.engine.dispose()  # our own connections are none that it is to be alone from
    shown = address(database.url)
    try:
        with _sqlite(database.url, shown) if database.is_sqlite else _postgres(database, shown) as connection:
            yield connection
    except Gone:
        raise
    except StoreUnavailable as error:
        raise Gone(f"{shown}: {error}") from error


@contextmanager
def _sqlite(url: str, shown: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _WAIT_SECONDS})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise InUse(f"{shown}: another process has it open. {_STOP}") from None
        raise StoreUnavailable(str(error.orig)) from error
    except DBAPIError as error:
        raise StoreUnavailable(str(error.orig)) from error
    finally:
        engine.dispose()


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    # before the first look into the file: from then on it is locked for all others until the connection ends
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _postgres(database: Database, shown: str) -> Iterator[Connection]:
    with database.write() as connection:
        # of one who has just ended the server tells for a moment more
        deadline = time.monotonic() + _WAIT_SECONDS
        while others := connection.execute(_OTHERS).scalar_one():
            if time.monotonic() > deadline:
                raise InUse(f"{shown}: it has {others} other connection(s) of art58. {_STOP}")
            time.sleep(_LOOK_AGAIN_SECONDS)
            connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"SET LOCAL {name} = 0"))  # it takes as long as it takes
        if names := sorted(metadata.tables.keys() & set(inspect(connection).get_table_names())):
            connection.execute(text(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE"))
        yield connection
