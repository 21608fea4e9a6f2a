"""PostgreSQL as the store: its connections, its transactions, whose turn it is to write, and which of many receivers leads.

Whoever reads before it writes takes turns, as with SQLite: one transaction at a time in the whole database, by an advisory lock
that ends with the transaction. What only adds a row, or locks the row that it changes, writes beside the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from receiver.model import Clock
from receiver.settings.types import SecretRef, SecretUnreadable
from receiver.storage.unavailable import StoreUnavailable

CONNECT_SECONDS = 3
IDLE_SECONDS = 60
"""After so long without a word within a transaction its holder has hung: the server ends it, so that others get their turn."""
CLOCK_SECONDS = 30
"""How often the clock of the database is compared with ours."""

_OUR_FAULTS = (ProgrammingError, DataError, IntegrityError, NotSupportedError)
"""A wrong statement or value must be seen, not tried again."""
_NO_RIGHT, _NO_TABLE, _NO_SCHEMA, _READ_ONLY = "42501", "42P01", "3F000", "25006"
_OPERATORS_FAULTS = (_NO_RIGHT, _NO_TABLE, _NO_SCHEMA)

KEY = 1_918_058
"""Of our advisory locks; the second number of each says what for."""
_TURN = text(f"SELECT pg_advisory_xact_lock({KEY}, 1)")
# a standby gives such a lock too, but it is worth nothing
_LEAD = text(f"SELECT pg_backend_pid() WHERE NOT pg_is_in_recovery() AND pg_try_advisory_lock({KEY}, 2)")
_LEADS = text(
    f"SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = {KEY} AND objid = 2 AND objsubid = 2 AND granted "  # noqa: S608
    "AND pid = :pid AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

_LIVELINESS = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""Who is gone without a word (a cut wire, a lost machine) is noticed in 25 seconds on both sides."""


class Postgres:
    """The store at `url`. `busy_seconds` is how long anybody waits for a turn or a row; a statement may take four times as long.
    `connections` is how many there are at most, besides the one of the lead.
    """

    def __init__(self, url: URL, password: SecretRef | None, busy_seconds: float, connections: int) -> None:
        self._password, self._busy_seconds, self._connections = password, busy_seconds, connections
        url = url.set(drivername="postgresql+psycopg")
        arguments = {"connect_timeout": CONNECT_SECONDS, "application_name": "art58", "client_encoding": "utf8", **_LIVELINESS}
        arguments = {name: value for name, value in arguments.items() if name not in url.query}
        self.engine = create_engine(
            url, connect_args=arguments, pool_size=connections, max_overflow=0, pool_timeout=busy_seconds, hide_parameters=True
        )
        self._alone = create_engine(
            url, connect_args=arguments, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
        )
        for engine in (self.engine, self._alone):
            event.listen(engine, "do_connect", self._give_password)
            event.listen(engine, "connect", self._prepare)
        self._reading = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writing = self.engine.execution_options(isolation_level="READ COMMITTED")
        self._leader: Connection | None = None
        self._pid: int | None = None
        self._is_fenced = False

    @contextmanager
    def write(self, *, beside: bool) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends; `beside` the others that write. Raises StoreUnavailable."""
        with self._told("written"), self._writing.connect() as connection, connection.begin():
            if not beside:
                connection.execute(_TURN)
                self._fence(connection)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view. Raises StoreUnavailable."""
        with self._told("read"), self._reading.connect() as connection, connection.begin():
            yield connection

    def leads(self) -> bool:
        """Whether this is the one receiver of all that share the database that may judge; tried anew at each call.

        That is a lock of a connection: it falls with it, whatever ends it, and no clock has a part in it. From the first call on
        `write` refuses those who do not lead. Raises StoreUnavailable.
        """
        self._is_fenced = True
        try:
            with self._told("led"):
                self._leader = self._leader or self._alone.connect()
                found = self._leader.execute(text("SELECT 1") if self._pid else _LEAD).scalar_one_or_none()
        except StoreUnavailable:
            self.resign()
            raise
        if self._pid is None:
            self._pid = found
        if self._pid is None and self._is_recovering():
            self.resign()  # another server may be the primary by now
        return self._pid is not None

    @property
    def leader(self) -> int:
        """The process of the server that holds the lock of our lead; 0 if we do not lead."""
        return self._pid or 0

    def follow(self, leader: int) -> None:
        """From now on `write` refuses once that one does not lead any more."""
        self._is_fenced, self._pid = True, leader

    def resign(self) -> None:
        """Let another one lead."""
        leader, self._leader, self._pid = self._leader, None, None
        if leader is not None:
            with suppress(DBAPIError):
                leader.close()

    def offset(self, clock: Clock) -> timedelta:
        """By how much the clock of the database is ahead of this one. Raises StoreUnavailable."""
        with self._told("read"), self._reading.connect() as connection:
            connection.execute(text("SELECT 1"))  # so that it is not the connecting that is measured
            before = clock()
            there: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            return there.astimezone(UTC) - (before + (clock() - before) / 2)

    def take_time(self, connection: Connection) -> None:
        """What changes tables may take as long as it takes, once it has its turn."""
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            raise StoreUnavailable(f"the store is kept in {encoding}: make its database with ENCODING 'UTF8'")

    def close(self) -> None:
        self.resign()
        self.engine.dispose()
        self._alone.dispose()

    def _is_recovering(self) -> bool:
        with self._told("read"):
            assert self._leader  # noqa: S101
            return bool(self._leader.execute(text("SELECT pg_is_in_recovery()")).scalar_one())

    def _fence(self, connection: Connection) -> None:
        if self._is_fenced and connection.execute(_LEADS, {"pid": self._pid or 0}).first() is None:
            raise StoreUnavailable("the store is not written: another receiver leads by now")

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        try:
            yield
        except NoConnectionFree as error:
            why = f"all {self._connections} connections of this process are in use"
            raise StoreUnavailable(f"the store cannot be {done}: {why}") from error
        except SecretUnreadable as error:
            raise StoreUnavailable(f"the store cannot be {done}: its password: {error}") from None
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            is_connecting = error.statement is None and state is None  # what stands in the address is wrong
            if isinstance(error, _OUR_FAULTS) and state not in _OPERATORS_FAULTS and not is_connecting:
                raise
            if state == _READ_ONLY or error.connection_invalidated:
                self.engine.dispose()  # another server may be the primary by now
            raise StoreUnavailable(f"the store cannot be {done}: {_in_short(error)}") from error

    def _give_password(self, _dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        """Read at each connecting: so it may change while we run, and stands in no address."""
        if self._password:
            parameters["password"] = self._password.read().reveal()

    def _prepare(self, connection: Any, _record: Any) -> None:
        milliseconds = int(self._busy_seconds * 1000)
        wanted = {
            "lock_timeout": max(milliseconds, 1),
            "statement_timeout": max(milliseconds * 4, 1000),
            "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
            # a plan that is kept is one for tables as they were then: made while they were empty, it reads all of them for ever
            "plan_cache_mode": "force_custom_plan",
            # the server's own side of _LIVELINESS: what a lost machine held is free again
            "tcp_keepalives_idle": 10,
            "tcp_keepalives_interval": 5,
            "tcp_keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        }
        settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in wanted.items())
        was, connection.autocommit = connection.autocommit, True
        connection.execute(f"SELECT {settings}")
        # a 200 is never given for what a power cut could take back; stronger settings are left as they are
        unsynced = "current_setting('synchronous_commit') = 'off'"
        connection.execute(f"SELECT set_config('synchronous_commit', 'on', false) WHERE {unsynced}")
        connection.autocommit = was


def _in_short(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())


class StoreClock:
    """The clock of the database, so that all replicas agree how long a claim has held; as last compared while it is away."""

    def __init__(self, store: Postgres, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._offset = timedelta()
        self._compared_at: datetime | None = None

    def __call__(self) -> datetime:
        now = self._clock()
        if self._compared_at is None or abs(now - self._compared_at) > timedelta(seconds=CLOCK_SECONDS):
            with suppress(StoreUnavailable):
                self._offset = self._store.offset(self._clock)
                self._compared_at = now
        return now + self._offset
