"""What persons state about incidents, and what the receiver joined and parted: appended, never changed."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, insert, select

from receiver.model import Act, Deed
from receiver.storage import incidents
from receiver.storage.tables import acts as table
from receiver.storage.tables import chunks

_JSON = msgspec.json.Encoder()
_DEED: msgspec.json.Decoder[Deed] = msgspec.json.Decoder(Deed)


def add(connection: Connection, incident_id: str, at: datetime, who: str, why: str, deed: Deed) -> None:
    """Keep one act; there is no way to change or remove it."""
    connection.execute(insert(table).values(incident_id=incident_id, at=at, who=who, why=why, deed=_JSON.encode(deed).decode()))


# built once: that takes longer than to ask it for a few incidents
_OF_INCIDENTS = select(table).where(table.c.incident_id.in_(bindparam("ids", expanding=True))).order_by(table.c.id)


def of_incidents(connection: Connection, incident_ids: Iterable[str]) -> dict[str, list[Act]]:
    """The acts on these incidents, in the order in which they were kept."""
    found: dict[str, list[Act]] = defaultdict(list)
    for chunk in chunks(sorted(set(incident_ids))):
        for row in connection.execute(_OF_INCIDENTS, {"ids": list(chunk)}):
            found[row.incident_id].append(_act(row))
    return found


_LAST = select(table.c.incident_id, func.max(table.c.id)).group_by(table.c.incident_id)
_LAST_OF = (
    _LAST.where(table.c.incident_id.in_(incidents.LIVING_IDS)),
    _LAST.where(table.c.incident_id.in_(bindparam("ids", expanding=True))),
)


def last(connection: Connection, incident_ids: Iterable[str] | None = None) -> dict[str, int]:
    """The id of the last act on each living incident, or on each of these, that somebody acted on."""
    return dict(incidents.one_of_each(connection, *_LAST_OF, incident_ids))


def _act(row: Row[Any]) -> Act:
    return Act(row.id, row.incident_id, row.at, row.who, row.why, _DEED.decode(row.deed))
