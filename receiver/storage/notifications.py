"""Bodies exactly as received, and which of them still wait to be derived."""

from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from receiver.model import Notification, Source
from receiver.storage.tables import notifications as table


def add(connection: Connection, source: Source, received_at: datetime, body: bytes, refused: str | None = None) -> None:
    """Keep one body; `refused` says why it can never be right."""
    connection.execute(insert(table).values(source=source, received_at=received_at, body=body, refused=refused))


def waiting(connection: Connection, limit: int) -> list[Notification]:
    """The oldest accepted bodies from which no alerts were derived yet."""
    query = select(table).where(table.c.derived_at.is_(None), table.c.refused.is_(None)).order_by(table.c.id).limit(limit)
    return [Notification(row.id, row.source, row.received_at, row.body) for row in connection.execute(query)]


def count_waiting(connection: Connection) -> int:
    query = select(func.count()).select_from(table).where(table.c.derived_at.is_(None), table.c.refused.is_(None))
    return connection.execute(query).scalar_one()


def refused(connection: Connection, limit: int) -> list[Notification]:
    """The latest bodies that were refused, newest first."""
    query = select(table).where(table.c.refused.is_not(None)).order_by(table.c.id.desc()).limit(limit)
    return [Notification(row.id, row.source, row.received_at, row.body, row.refused) for row in connection.execute(query)]


def mark_derived(connection: Connection, ids: list[int], at: datetime) -> None:
    connection.execute(update(table).where(table.c.id.in_(ids)).values(derived_at=at))


def mark_refused(connection: Connection, id_: int, reason: str) -> None:
    """A body that was taken in but from which nothing can be derived."""
    connection.execute(update(table).where(table.c.id == id_).values(refused=reason))
