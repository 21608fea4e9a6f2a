"""How a store stands: what is in it, how large it is, which tables it has, and who works on it."""

import os
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, select, text
from sqlalchemy.engine import make_url

from receiver.law.wording import clock_time
from receiver.storage import heartbeat, notifications, schema
from receiver.storage.database import Database
from receiver.storage.parts import INBOX, address, home, parts
from receiver.storage.postgres import KEY
from receiver.storage.tables import metadata
from receiver.storage.tables import notifications as bodies

_LEADER = text(
    "SELECT host(a.client_addr), a.pid, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.classid = :key AND l.objid = 2 AND l.objsubid = 2 AND l.granted "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Part(msgspec.Struct, frozen=True):
    """One database or file. `revision` is None where it has no tables; bytes on the disk, `free_bytes` of them to be used again."""

    address: str
    revision: str | None
    size_bytes: int
    free_bytes: int


class Standing(msgspec.Struct, frozen=True):
    """All of it at one moment. `rows` is empty where the tables are not those of this version.

    `leader` is where the connection of the one that judges comes from, where the store can tell.
    """

    kind: str
    parts: tuple[Part, ...]
    wanted: str
    rows: dict[str, int]
    oldest_notification: datetime | None
    newest_notification: datetime | None
    waiting: int | None
    leader: str | None
    last_tick: datetime | None

    @property
    def is_current(self) -> bool:
        return all(part.revision == self.wanted for part in self.parts)


def look(database: Database) -> Standing:
    """Ask it; nothing is written. Raises StoreUnavailable."""
    found = tuple(_part(part) for part in parts(database))
    wanted = schema.wanted()
    kind, leader = _server(database)
    if any(part.revision != wanted for part in found):
        return Standing(kind, found, wanted, {}, None, None, None, leader, None)
    rows = {}
    for name, table in metadata.tables.items():
        with home(database, name).read() as connection:
            _take_time(connection)
            rows[name] = connection.execute(select(func.count()).select_from(table)).scalar_one()
    with home(database, INBOX).read() as connection:
        oldest, newest = _ends(connection)
        waiting = notifications.count_waiting(connection)
    with database.read() as connection:
        ticked_at = heartbeat.last(connection, "tick")
    return Standing(kind, found, wanted, rows, oldest, newest, waiting, leader, ticked_at)


def _part(database: Database) -> Part:
    url = make_url(database.url)
    if database.is_sqlite and not Path(str(url.database)).exists():
        return Part(address(database.url), None, 0, 0)  # to open it would make it
    with database.read() as connection:
        revision = schema.there(connection)
        if database.is_sqlite:
            page = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
            free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one() * page
            size = sum(_size(f"{url.database}{suffix}") for suffix in ("", "-wal"))
        else:
            free = 0  # it does not tell without reading every page
            size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    return Part(address(database.url), revision, size, free)


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)  # noqa: PTH202 - the name and an ending, not a path of its own
    except OSError:
        return 0


def _server(database: Database) -> tuple[str, str | None]:
    with database.read() as connection:
        if database.is_sqlite:
            return f"SQLite {connection.exec_driver_sql('SELECT sqlite_version()').scalar_one()}", None
        version = connection.execute(text("SHOW server_version")).scalar_one()
        return f"PostgreSQL {version}", _leader(connection)


def _leader(connection: Connection) -> str | None:
    row = connection.execute(_LEADER, {"key": KEY}).first()
    if row is None:
        return None
    address, pid, since = row
    return f"from {address or 'this machine'} since {clock_time(since)} (process {pid} of the server)"


def _take_time(connection: Connection) -> None:
    """To count a large table takes longer than anybody else may take."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _ends(connection: Connection) -> tuple[datetime | None, datetime | None]:
    """When the first and the last that are kept came, as they are numbered: a time of their own has no index."""
    moments = select(bodies.c.received_at).limit(1)
    oldest = connection.execute(moments.order_by(bodies.c.id)).scalar_one_or_none()
    newest = connection.execute(moments.order_by(bodies.c.id.desc())).scalar_one_or_none()
    return oldest, newest
