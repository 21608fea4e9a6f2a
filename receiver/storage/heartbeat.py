"""Signs of life: the store can be written, and when the worker last ticked."""

from datetime import datetime

from sqlalchemy import Connection, select

from receiver.storage.tables import heartbeat as table
from receiver.storage.upsert import upsert


def beat(connection: Connection, name: str, at: datetime) -> None:
    upsert(connection, table, [{"name": name, "at": at}])


def last(connection: Connection, name: str) -> datetime | None:
    return connection.execute(select(table.c.at).where(table.c.name == name)).scalar_one_or_none()
