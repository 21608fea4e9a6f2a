"""Bodies exactly as received, large ones compressed, and which of them still wait to be derived."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, Select, bindparam, delete, func, insert, select, update

from receiver.model import Learnt, Notification, Source
from receiver.storage.packed import packed, unpacked
from receiver.storage.tables import notifications as table

MOST_BYTES = 4 * 2**20
"""Of bodies that are read at once; a single one may be larger."""
MOST_REFUSED = 1000
"""Refused bodies that are kept, the latest: whoever sends what can never be right may do so for ever."""


def add(connection: Connection, source: Source, received_at: datetime, body: bytes, learnt: Learnt = "webhook") -> None:
    """Keep one body; what was not sent to us but found has the form of Alertmanager's webhook too."""
    connection.execute(insert(table).values(source=source, received_at=received_at, body=packed(body), learnt=learnt))


class Arrived(NamedTuple):
    """A body that came by webhook, as it is kept: `packed`."""

    source: Source
    received_at: datetime
    body: bytes
    times: int = 1
    learnt: Learnt = "webhook"


def move(here: Connection, there: Connection) -> None:
    """Give all bodies to another store, once though it was killed before they were gone here. They keep their numbers but where
    others have them: what an earlier version took in since, or what came back out of a backup, is numbered from one again.
    """
    last = 0
    while found := here.execute(select(table).where(table.c.id > last).order_by(table.c.id).limit(100)).all():
        rows: list[dict[str, Any]] = [row._asdict() for row in found]
        numbered = there.execute(_TOLD_APART.where(table.c.id.in_([row["id"] for row in rows])))
        taken = {id_: tuple(its) for id_, *its in numbered}
        others = [row for row in rows if taken.get(row["id"], _of(row)) != _of(row)]
        if new := [row for row in rows if row["id"] not in taken]:
            there.execute(insert(table), new)
        if others:
            there.execute(insert(table), [{name: value for name, value in row.items() if name != "id"} for row in others])
        last = rows[-1]["id"]
    if last:
        here.execute(delete(table))


_TOLD_APART = select(table.c.id, table.c.source, table.c.received_at, table.c.body)


def _of(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["source"], row["received_at"], row["body"]


def refuse(connection: Connection, source: Source, received_at: datetime, body: bytes, reason: str) -> None:
    """Keep what can never be right; when the same comes again for the same reason, count it."""
    kept = packed(body)
    # an earlier version compressed nothing
    same = update(table).where(table.c.source == source, table.c.refused == reason, table.c.body.in_([kept, body]))
    if connection.execute(same.values(times=table.c.times + 1, received_at=received_at)).rowcount:
        return
    connection.execute(insert(table).values(source=source, received_at=received_at, body=kept, refused=reason))
    connection.execute(delete(table).where(table.c.id.in_(_latest_refused().offset(MOST_REFUSED))))


# built once: it is asked at each step of a replay at which something came
_SIZES = (
    select(table.c.id, func.length(table.c.body))
    .where(table.c.derived_at.is_(None), table.c.refused.is_(None))
    .order_by(table.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_WAITING = (
    select(table)
    .where(table.c.id.between(bindparam("first"), bindparam("last")), table.c.derived_at.is_(None), table.c.refused.is_(None))
    .order_by(table.c.id)
)


def waiting(connection: Connection, limit: int) -> list[Notification]:
    """The oldest accepted bodies from which no alerts were derived yet: so many, of no more than MOST_BYTES but for the first.

    Nor are more read as they are kept: what is compressed may be much larger.
    """
    sizes = connection.execute(_SIZES, {"limit": limit}).all()
    if not sizes:
        return []
    last, total = sizes[0]
    for id_, size in sizes[1:]:
        total += size
        if total > MOST_BYTES:
            break
        last = id_
    rows = connection.execute(_WAITING, {"first": sizes[0][0], "last": last})
    found: list[Notification] = []
    total = 0
    for row in rows:
        body = unpacked(row.body)
        total += len(body)
        if found and total > MOST_BYTES:
            break
        found.append(Notification(row.id, row.source, row.received_at, body, learnt=row.learnt))
    return found


def count_waiting(connection: Connection) -> int:
    query = select(func.count()).select_from(table).where(table.c.derived_at.is_(None), table.c.refused.is_(None))
    return connection.execute(query).scalar_one()


def refused(connection: Connection, limit: int) -> list[Notification]:
    """The latest bodies that were refused, newest first."""
    latest = table.c.id.in_(_latest_refused().limit(limit))
    query = select(table).where(latest).order_by(table.c.received_at.desc(), table.c.id.desc())
    return [
        Notification(row.id, row.source, row.received_at, unpacked(row.body), row.refused, row.times)
        for row in connection.execute(query)
    ]


def mark_derived(connection: Connection, ids: list[int], at: datetime) -> None:
    connection.execute(update(table).where(table.c.id.in_(ids)).values(derived_at=at))


def mark_refused(connection: Connection, id_: int, reason: str) -> None:
    """A body that was taken in but from which nothing can be derived."""
    connection.execute(update(table).where(table.c.id == id_).values(refused=reason))


def _latest_refused() -> Select[int]:
    query = select(table.c.id).where(table.c.refused.is_not(None))
    return query.order_by(table.c.received_at.desc(), table.c.id.desc())
