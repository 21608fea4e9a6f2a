"""Signs of life: the store can be written, and when the worker last ticked."""

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from receiver.storage.tables import heartbeat as table


def beat(connection: Connection, name: str, at: datetime) -> None:
    if connection.execute(update(table).where(table.c.name == name).values(at=at)).rowcount == 0:
        connection.execute(insert(table).values(name=name, at=at))


def last(connection: Connection, name: str) -> datetime | None:
    return connection.execute(select(table.c.at).where(table.c.name == name)).scalar_one_or_none()
