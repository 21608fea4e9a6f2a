"""Notifications that a receiver kept, to be replayed."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from receiver.model import Notification
from receiver.storage.packed import unpacked
from receiver.storage.tables import equipment_parents
from receiver.storage.tables import notifications as table


def accepted(connection: Connection, since: datetime, until: datetime) -> Iterator[Notification]:
    """Those taken in between, both included, in the order in which they came."""
    between = table.c.received_at.between(since, until), table.c.refused.is_(None)
    for row in connection.execute(select(table).where(*between).order_by(table.c.received_at, table.c.id)):
        yield Notification(row.id, row.source, row.received_at, unpacked(row.body), learnt=row.learnt)


def span(connection: Connection) -> tuple[datetime, datetime] | None:
    """When the first and the last of them came; None where there is none."""
    moments = select(table.c.received_at).where(table.c.refused.is_(None)).limit(1)
    first = connection.execute(moments.order_by(table.c.received_at)).scalar_one_or_none()
    last = connection.execute(moments.order_by(table.c.received_at.desc())).scalar_one_or_none()
    return (first, last) if first and last else None


_LEARNT = select(equipment_parents.c.learnt_at).where(equipment_parents.c.learnt_at >= bindparam("since")).distinct()


def learnt_since(connection: Connection, since: datetime) -> list[datetime]:
    """The moments from then on at which it was learnt what is above equipment."""
    return list(connection.execute(_LEARNT, {"since": since}).scalars())
