"""One store behind one face: engine, transactions, migrations. SQLite, or PostgreSQL for many receivers (storage.postgres); every
commit is on disk before it returns.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection as Connection
from sqlalchemy import Dialect, Engine, PoolProxiedConnection, Table, create_engine, event, insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from receiver.model import Clock
from receiver.settings import Settings
from receiver.settings.types import SecretRef
from receiver.storage import notifications
from receiver.storage.newest import has_newest
from receiver.storage.postgres import Postgres, StoreClock
from receiver.storage.unavailable import StoreUnavailable as StoreUnavailable

CONNECTIONS = 4
"""Unless the settings say otherwise: a transaction takes milliseconds, and a server has a hundred connections for all."""
ASK_AGAIN_SECONDS = 0.01
"""How long SQLite itself waits for another process that writes: its sleeps get ever longer, and others overtake. We ask again."""
APPEND_AGAIN_SECONDS = 0.0002
"""The same for what senders wait for, which takes a few times as long: asking less often makes their waits longer."""
LARGE_BYTES = 256 * 1024
"""Of rows that are added at once: from here on the statement that added them is not kept, for it would keep them."""
MAKING_SECONDS = 0.5
"""How long others may take to make the file."""

_OUR_FAULTS = (
    *(ProgrammingError, DataError, IntegrityError, NotSupportedError),
    *(sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.IntegrityError, sqlite3.NotSupportedError),
)
"""A wrong statement or value must be seen, not tried again."""


class Database:
    """The store at an address. `busy_seconds` is how long a writer waits for another one; `password` is read when needed;
    `connections` to a server are open at most.

    `inbox` is where bodies come in. With SQLite, which has one writer at a time, it is a file of its own beside the other: so their
    senders wait for one another alone, however much the worker writes at once. It has the same tables and uses `notifications`.
    """

    def __init__(
        self,
        url: str,
        busy_seconds: float = 5.0,
        password: SecretRef | None = None,
        connections: int = CONNECTIONS,
        *,
        is_inbox: bool = False,
    ) -> None:
        self.url = url
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._busy_seconds = busy_seconds
        self._turn = threading.Lock()
        self._line: PoolProxiedConnection | None = None
        self._postgres = None if self.is_sqlite else Postgres(parsed, password, busy_seconds, connections)
        if self._postgres:
            self.engine: Engine = self._postgres.engine
        else:
            self.engine = create_engine(url, connect_args={"timeout": ASK_AGAIN_SECONDS})
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", self._begin_sqlite)
        self.inbox = self
        if self.is_sqlite and parsed.database and not is_inbox:
            beside = parsed.set(database=str(inbox_of(Path(parsed.database))))
            self.inbox = Database(beside.render_as_string(), busy_seconds, is_inbox=True)

    @classmethod
    def of(cls, settings: Settings, busy_seconds: float = 5.0) -> "Database":
        """The store that the settings name."""
        return cls(settings.database, busy_seconds, settings.database_password, settings.database_connections)

    @contextmanager
    def write(self, *, beside: bool = False) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends. Raises StoreUnavailable, and then nothing of it is.

        One at a time, so that what was read in it stays true until its end. `beside` is for what only adds rows, or locks those
        that it changes: where the store can, it does not wait for the others.
        """
        if self._postgres:
            with self._postgres.write(beside=beside) as connection:
                yield connection
            return
        with self._our_turn(), self._transaction(writing=True) as connection:
            yield connection

    def append(self, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows with these columns, on disk when it returns. Raises StoreUnavailable, and then none of them is, or only in
        a file that was moved away meanwhile.

        It is what the sender of a webhook waits for: SQLAlchemy would take three times as long over it as SQLite with its disk. And
        it is one statement, which SQLite makes a transaction of its own: Python would hold the others up between two of them. So
        the rows are few, as many as this process has threads.
        """
        if self._postgres:
            with self._postgres.write(beside=True) as connection:
                connection.execute(insert(table), [dict(zip(columns, row, strict=True)) for row in rows])
            return
        statement, in_its_form = _appending(self.engine.dialect, table, columns, len(rows))
        values = [value for row in rows for value in in_its_form(row)]
        is_large = sum(len(value) for row in rows for value in row if isinstance(value, bytes)) > LARGE_BYTES
        with self._our_turn(), self._told(writing=True):
            is_new = self._line is None
            self._line = self._line or self.engine.raw_connection()
            line = cast("sqlite3.Connection", self._line.driver_connection)
            try:
                if is_new:
                    line.execute("PRAGMA busy_timeout = 0")
                _check_file(self._line.info)
                # each time that it is asked it is given the values
                self._insist(line, statement, values, ASK_AGAIN_SECONDS if is_large else APPEND_AGAIN_SECONDS)
                _check_file(self._line.info)  # it may have gone while others were writing
            except BaseException:
                self._hang_up()  # whatever it was
                raise
            if is_large:
                self._hang_up()

    def _hang_up(self) -> None:
        """Close what stays open to add rows: the next ones are added by a new connection."""
        if self._line:
            self._line.invalidate()
            self._line = None

    @contextmanager
    def _our_turn(self) -> Iterator[None]:
        """SQLite has one writer at a time: the threads of this process queue here, so that only one of them asks it."""
        if not self._turn.acquire(timeout=self._busy_seconds):
            raise StoreUnavailable("the store cannot be written: others have been writing for too long")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view. Raises StoreUnavailable."""
        with self._postgres.read() if self._postgres else self._transaction(writing=False) as connection:
            yield connection

    def leads(self) -> bool:
        """Whether this process may derive, judge and plan, which one at a time does. Raises StoreUnavailable."""
        return self._postgres is None or self._postgres.leads()

    @property
    def leader(self) -> int:
        """By what another process of this receiver may `follow` this one, while it leads."""
        return self._postgres.leader if self._postgres else 0

    def follow(self, leader: int) -> None:
        """Write in the name of that leader, as long as it leads."""
        if self._postgres:
            self._postgres.follow(leader)

    def resign(self) -> None:
        """Let another process lead."""
        if self._postgres:
            self._postgres.resign()

    def clock(self, clock: Clock) -> Clock:
        """The clock by which all who share this store agree; `clock` where they are on one machine."""
        return StoreClock(self._postgres, clock) if self._postgres else clock

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[Connection]:
        with (
            self._told(writing=writing),
            self.engine.connect().execution_options(writing=writing) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _told(self, *, writing: bool) -> Iterator[None]:
        """What goes wrong in the block is told as StoreUnavailable, unless it is our own fault."""
        try:
            yield
        except _OUR_FAULTS:
            raise
        except (DBAPIError, sqlite3.Error, _FileGone) as error:
            # a connection opened while the file was read-only or gone stays so: open new ones next time
            self.engine.dispose()
            why = getattr(error, "orig", error)
            raise StoreUnavailable(f"the store cannot be {'written' if writing else 'read'}: {why}") from error

    def _begin_sqlite(self, connection: Connection) -> None:
        if connection.get_execution_options().get("writing"):
            self._insist(cast("sqlite3.Connection", connection.connection.driver_connection), "BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN")
        _check_file(connection.info)

    def _insist(self, connection: sqlite3.Connection, statement: str, values: Sequence[Any] = (), pause: float = 0) -> None:
        """Execute what needs the writer's turn, waiting for other processes; `pause`: how long, where SQLite itself does not."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                connection.execute(statement, values)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(pause)
            else:
                return

    def migrate(self) -> None:
        """Bring the tables to this version. Raises StoreUnavailable."""
        with self.migrating() as connection:
            if not has_newest(connection):
                # only here, as it is large: of the processes of a receiver most never need it, and of its starts few do
                from receiver.storage import schema

                schema.change(connection, schema.wanted())
        if self.inbox is not self:
            self.inbox.migrate()
            # the bodies that came before there was an inbox; killed within, it is done again
            with self.write() as connection, self.inbox.write() as inbox:
                notifications.move(connection, inbox)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """As `write`, and it may take as long as it takes. Raises StoreUnavailable."""
        with self.write() as connection:
            if self._postgres:
                self._postgres.take_time(connection)
            yield connection

    def close(self) -> None:
        if self._postgres:
            self._postgres.close()
        self._hang_up()
        self.engine.dispose()
        if self.inbox is not self:
            self.inbox.close()


class _FileGone(Exception):
    """The database's file is no longer the one that this connection has open."""


def inbox_of(file: Path) -> Path:
    """art58.db has art58-inbox.db beside it."""
    return file.with_name(f"{file.stem}-inbox{file.suffix}")


def _prepare_sqlite(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    # we say BEGIN ourselves: the driver's own way would start a transaction too late to keep a writer's place
    connection.isolation_level = None
    # FULL: the log is synced at every commit, so a 200 is never given for what a power cut could take back
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
    for pragma in pragmas:
        try:
            _set(connection, pragma, time.monotonic() + MAKING_SECONDS)
        except sqlite3.OperationalError:
            if not pragma.startswith("journal_mode"):
                raise
            # a read-only or locked file: it has its journal mode already, the write itself will say what is wrong
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    record.info["file"] = (path, _identity(path))


def _check_file(info: Mapping[Any, Any]) -> None:
    """With a write-ahead log SQLite would write on, without a word, into a file that was moved away or deleted."""
    path, identity = info["file"]
    if _identity(path) != identity:
        raise _FileGone(f"{path} was moved, replaced or deleted")


@cache
def _appending(
    dialect: Dialect, table: Table, columns: tuple[str, ...], rows: int
) -> tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
    """The statement that adds so many rows, and what brings the values of one into the form in which SQLite keeps them."""
    row = f"({', '.join('?' * len(columns))})"
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - our names
    forms = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is for name in columns]
    return statement, lambda row: tuple(form(value) for form, value in zip(forms, row, strict=True))


def _as_it_is(value: Any) -> Any:
    return value


def _set(connection: sqlite3.Connection, pragma: str, deadline: float) -> None:
    """Of several that make a file at once only one may say how its journal is kept; the others would fail later."""
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(ASK_AGAIN_SECONDS)
        else:
            return


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - on every transaction: a Path would cost more than the call
    except OSError:
        return None
    return status.st_dev, status.st_ino
