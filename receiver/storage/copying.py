"""All of a store into another one, of whatever kind: the same rows with the same ids, all or nothing, read back and compared."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, delete, func, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from receiver.storage import heartbeat, schema
from receiver.storage.alone import alone
from receiver.storage.database import Database
from receiver.storage.parts import INBOX, home, parts
from receiver.storage.tables import Moment, metadata
from receiver.storage.tables import heartbeat as signs_of_life

ROWS, BYTES = 500, 4 * 1024 * 1024
"""Of a chunk at most; one row may be larger."""
_UNFINISHED = "copying"
"""In the part for what came in: it was filled, and the main one was not yet."""
_ANY_TIME = datetime(2020, 1, 1, tzinfo=UTC)
"""When that was is of no use to anybody."""
_NUL, _INSTEAD = "\0", "\ufffd"

_Row = Sequence[Any]


class NotCopied(Exception):
    """It cannot be done; the target holds what it held before. The text says why and what to do."""


class Copied(msgspec.Struct, frozen=True):
    """What both sides hold of a table by now. `sha256` is that of all rows, whatever their order.

    `replaced` texts had a NUL character, which PostgreSQL does not keep: U+FFFD stands for it there.
    """

    table: str
    rows: int
    sha256: str
    replaced: int = 0


class Progress(msgspec.Struct, frozen=True):
    """How far it got: rows of this table that are copied, or with `is_compared` read back, of how many, and how many a second."""

    table: str
    done: int
    rows: int
    per_second: float
    is_compared: bool


Tell = Callable[[Progress], None]


def copy(source: Database, target: Database, tell: Tell) -> list[Copied]:
    """Copy it and compare both. The source is not changed. Raises NotCopied, InUse, StoreUnavailable."""
    if _place(source) == _place(target):
        raise NotCopied("both configurations name the same store. Write database_url of the new one into the one behind --to")
    target.migrate()
    with ExitStack() as held:
        ours = {part: held.enter_context(alone(part)) for part in parts(source)}
        # the last of these is on disk first: it is the main part that says that all is there
        theirs = {part: held.enter_context(alone(part)) for part in parts(target)}
        for connection in ours.values():
            _refuse_other_tables(connection)
        _refuse_unmoved(source, ours)
        _refuse_rows(target, theirs)
        tables = [_Table(table, ours[home(source, table.name)], theirs[home(target, table.name)]) for table in _raw_tables()]
        found = [table.copy(tell) for table in tables]
        for table, copied in zip(tables, found, strict=True):
            table.compare(copied, tell)
        _mark(target, theirs)
    _unmark(target)
    return found


def _place(database: Database) -> str:
    return make_url(database.url).render_as_string()


def _refuse_other_tables(connection: Connection) -> None:
    if (revision := schema.there(connection)) != schema.wanted():
        try:
            schema.order(revision)
        except schema.Newer as newer:
            raise NotCopied(f"the source is of a newer version: {newer}") from None
        raise NotCopied(f"the source has tables of revision {revision}, and {schema.wanted()} is wanted. First: art58 db migrate")


def _refuse_unmoved(source: Database, connections: Mapping[Database, Connection]) -> None:
    """Notifications of a version that kept them in the main part."""
    for part in parts(source)[:-1]:
        if connections[part].execute(select(metadata.tables[INBOX].c.id).limit(1)).first():
            raise NotCopied("the source has its notifications where an older version kept them. First: art58 db migrate")


def _refuse_rows(target: Database, connections: Mapping[Database, Connection]) -> None:
    """What an unfinished copy left in the part for what came in is thrown away."""
    used = {table.name: table for table in metadata.sorted_tables}
    main, inbox = connections[target], connections[home(target, INBOX)]
    held = [name for name, table in used.items() if name != INBOX and main.execute(select(table).limit(1)).first()]
    if main is not inbox and not held and heartbeat.last(inbox, _UNFINISHED):
        inbox.execute(delete(used[INBOX]))
    if inbox.execute(select(used[INBOX].c.id).limit(1)).first():
        held.append(INBOX)
    if held:
        raise NotCopied(
            f"the target is not empty: it has rows in {', '.join(held)}. Name a new store, or empty it: art58 db migrate --to base "
            "throws away all that it holds"
        )


def _mark(target: Database, connections: Mapping[Database, Connection]) -> None:
    for part in parts(target)[1:]:
        heartbeat.beat(connections[part], _UNFINISHED, _ANY_TIME)


def _unmark(target: Database) -> None:
    for part in parts(target)[1:]:
        with part.write() as connection:
            connection.execute(delete(signs_of_life).where(signs_of_life.c.name == _UNFINISHED))


def _raw_tables() -> list[Table]:
    """Those that are referred to first; with values as they lie there, so that nothing is rounded or taken for something else."""
    return [
        Table(
            table.name, MetaData(), *(Column(each.name, _as_it_lies(each), primary_key=each.primary_key) for each in table.columns)
        )
        for table in metadata.sorted_tables
    ]


def _as_it_lies(column: Column[Any]) -> Any:
    return BigInteger() if isinstance(column.type, Moment) else column.type


class _Table:
    """One table on both sides."""

    def __init__(self, table: Table, source: Connection, target: Connection) -> None:
        self._table, self._source, self._target = table, source, target
        self._takes_nul = target.dialect.name != "postgresql"

    def copy(self, tell: Tell) -> Copied:
        """Read and write it all. Raises NotCopied."""
        digest, replaced = _Digest(), 0
        pace = _Pace(self._table.name, self._rows(self._source), tell, is_compared=False)
        names = [column.name for column in self._table.columns]
        for rows in self._chunks(self._source, "source"):
            kept = rows if self._takes_nul else [tuple(map(_without_nul, row)) for row in rows]
            replaced += sum(
                new is not old for mine, its in zip(rows, kept, strict=True) for old, new in zip(mine, its, strict=True)
            )
            with _told(f"the target does not take these rows of {self._table.name}"):
                self._target.execute(insert(self._table), [dict(zip(names, row, strict=True)) for row in kept])
            digest.add(kept)
            pace.at(digest.rows)
        self._count_on()
        return Copied(self._table.name, digest.rows, digest.hex, replaced)

    def compare(self, copied: Copied, tell: Tell) -> None:
        """Read back what was written. Raises NotCopied."""
        digest = _Digest()
        pace = _Pace(self._table.name, copied.rows, tell, is_compared=True)
        for rows in self._chunks(self._target, "target"):
            digest.add(rows)
            pace.at(digest.rows)
        if (digest.rows, digest.hex) != (copied.rows, copied.sha256) or self._rows(self._source) != copied.rows:
            there = f"{copied.rows:,} rows were written to {self._table.name}, and {digest.rows:,} read back"
            raise NotCopied(f"the copy is not the same: {there}. Nothing was copied. That should never be: please report it")

    def _rows(self, connection: Connection) -> int:
        return int(connection.execute(select(func.count()).select_from(self._table)).scalar_one())

    def _chunks(self, connection: Connection, side: str) -> Iterator[list[_Row]]:
        """All rows, as many at a time as memory may hold. Raises NotCopied."""
        found = self._read(connection)
        while True:
            with _told(f"{self._table.name} of the {side} cannot be read"):
                rows = next(found, None)
            if rows is None:
                return
            yield rows

    def _read(self, connection: Connection) -> Iterator[list[_Row]]:
        if self._table.name == INBOX:
            for first, last in _spans(connection, self._table):
                its = self._table.c.id.between(first, last)
                yield list(connection.execute(select(self._table).where(its)))
            return
        found = connection.execution_options(yield_per=ROWS).execute(select(self._table))
        yield from map(list, found.partitions())

    def _count_on(self) -> None:
        """The next row gets the number after the last one; SQLite finds that by itself."""
        if self._target.dialect.name != "postgresql":
            return
        for column in self._table.primary_key:
            if isinstance(column.type, Integer):
                its = {"table": self._table.name, "column": column.name}
                sequence = self._target.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), its).scalar_one()
                last = self._target.execute(select(func.max(column))).scalar_one()
                if sequence and last and last > 0:
                    self._target.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


@contextmanager
def _told(wrong: str) -> Iterator[None]:
    """What a store says is said of it, and of no other that is at work."""
    try:
        yield
    except DBAPIError as error:
        raise NotCopied(f"{wrong}: {' '.join(str(error.orig).split())}. Nothing was copied") from error


def _spans(connection: Connection, table: Table) -> Iterator[tuple[int, int]]:
    """First and last id of each chunk: bodies may be large."""
    sizes = select(table.c.id, func.length(table.c.body)).order_by(table.c.id).limit(ROWS)
    found = connection.execute(sizes).all()
    while found:
        first = last = found[0][0]
        held = 0
        for id_, size in found:
            if held and held + size > BYTES:
                yield first, last
                first, held = id_, 0
            held += size
            last = id_
        yield first, last
        found = connection.execute(sizes.where(table.c.id > last)).all()


def _without_nul(value: Any) -> Any:
    return value.replace(_NUL, _INSTEAD) if isinstance(value, str) and _NUL in value else value


class _Digest:
    """Of rows in any order: the sum of the digests of each."""

    def __init__(self) -> None:
        self.rows, self._sum = 0, 0

    def add(self, rows: Sequence[_Row]) -> None:
        for row in rows:
            said = b"".join(map(_written, row))
            self._sum += int.from_bytes(hashlib.sha256(said).digest(), "big")
        self.rows += len(rows)

    @property
    def hex(self) -> str:
        return f"{self._sum % 2**256:064x}"


def _written(value: Any) -> bytes:
    """A value with its kind and its length, so that no two rows are written alike."""
    if value is None:
        return b"-"
    if isinstance(value, int):  # a truth value is a number in one store, and none in the other
        return b"i%d;" % value
    kind, said = ("s", value.encode()) if isinstance(value, str) else ("b", bytes(value))
    return f"{kind}{len(said)}:".encode() + said


class _Pace:
    """Tells how far it got, chunk after chunk."""

    def __init__(self, table: str, rows: int, tell: Tell, *, is_compared: bool) -> None:
        self._table, self._rows, self._tell, self._is_compared = table, rows, tell, is_compared
        self._began = time.monotonic()

    def at(self, done: int) -> None:
        passed = max(time.monotonic() - self._began, 1e-6)
        self._tell(Progress(self._table, done, self._rows, done / passed, self._is_compared))
