"""What metrics tell of the living incidents: some figures of each newest assessment, and nothing else of it."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from receiver.storage.incidents import latest_documents
from receiver.storage.tables import incidents


class Threshold(msgspec.Struct, frozen=True, gc=False):
    """Of the nearest condition."""

    users: int


class Impact(msgspec.Struct, frozen=True, gc=False):
    """What a living incident does to one service; each name means what it means in an assessment."""

    incident_id: str
    service: str
    failure_started_at: datetime
    verdict: str
    condition: Threshold
    affected_users: int | None
    method: str
    measured: bool
    major_since: datetime | None
    major_expected_at: datetime | None
    withdrawn: bool = False


_IMPACT = msgspec.json.Decoder(Impact)
# asked for apart: for both in one condition SQLite reads all of them
_LIVING = (
    select(incidents.c.id).where(incidents.c.state.in_(("open", "recovering"))),
    select(incidents.c.id).where(incidents.c.to_assess.is_(True)),
)


def impacts(connection: Connection) -> Iterator[Impact]:
    """Of every incident that `incidents.living` gives, one by one, without those withdrawn."""
    living = {id_ for query in _LIVING for id_ in connection.scalars(query)}
    for document in latest_documents(connection, living):
        impact = _IMPACT.decode(document)
        if not impact.withdrawn:
            yield impact
