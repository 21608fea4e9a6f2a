"""Alerts, the incidents they belong to, and the assessments of these."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar, get_args

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from receiver.model import Alert, Assessment, Conclusion, Incident, IncidentState, Source
from receiver.storage.tables import alerts, assessments, incidents

_JSON = msgspec.json.Encoder()
_ASSESSMENT = msgspec.json.Decoder(Assessment)
_CONCLUSION = msgspec.json.Decoder(Conclusion)
_ALERT_KEY = ("source", "fingerprint", "starts_at")
_Item = TypeVar("_Item")
_CHUNK = 400  # bound variables per statement, under SQLite's limit


def sightings(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[datetime, Alert]]:
    """All known sightings of the alerts with these (source, fingerprint), by their startsAt."""
    found: dict[tuple[str, str], dict[datetime, Alert]] = defaultdict(dict)
    for source, its_keys in groupby(sorted(set(keys)), key=itemgetter(0)):
        for chunk in _chunks([fingerprint for _, fingerprint in its_keys]):
            # not as pairs: for these SQLite reads the whole table
            for row in connection.execute(select(alerts).where(alerts.c.source == source, alerts.c.fingerprint.in_(chunk))):
                found[row.source, row.fingerprint][row.starts_at] = _alert(row)
    return found


def save_alerts(connection: Connection, changed: Iterable[Alert]) -> None:
    """Insert or replace these sightings."""
    rows = [
        msgspec.structs.asdict(alert)
        | {"labels": _JSON.encode(alert.labels).decode(), "annotations": _JSON.encode(alert.annotations).decode()}
        for alert in changed
    ]
    if rows:
        # two statements for all of them: a storm brings thousands, and nothing can be taken in while they are written
        same = [alerts.c[name] == bindparam(f"old_{name}") for name in _ALERT_KEY]
        connection.execute(delete(alerts).where(*same), [{f"old_{name}": row[name] for name in _ALERT_KEY} for row in rows])
        connection.execute(insert(alerts), rows)


def alerts_of(connection: Connection, incident_ids: Iterable[str]) -> dict[str, list[Alert]]:
    """The alerts of these incidents, earliest first."""
    found: dict[str, list[Alert]] = defaultdict(list)
    for chunk in _chunks(sorted(set(incident_ids))):
        query = select(alerts).where(alerts.c.incident_id.in_(chunk)).order_by(alerts.c.starts_at, alerts.c.fingerprint)
        for row in connection.execute(query):
            found[row.incident_id].append(_alert(row))
    return found


def firing_alone(connection: Connection, source: Source) -> list[Alert]:
    """The alerts of this source that fire and belong to no incident."""
    query = select(alerts).where(alerts.c.source == source, alerts.c.ends_at.is_(None), alerts.c.incident_id.is_(None))
    return [_alert(row) for row in connection.execute(query)]


def living(connection: Connection) -> list[Incident]:
    """Every incident that is not closed, oldest first."""
    # told by what they are: for `!= "closed"` SQLite reads all of them in their order
    query = select(incidents).where(incidents.c.state.in_(("open", "recovering")))
    query = query.order_by(incidents.c.opened_at, incidents.c.id)
    return [_incident(row) for row in connection.execute(query)]


def listed(connection: Connection, states: tuple[IncidentState, ...], limit: int) -> list[Incident]:
    """The newest incidents in these states, newest first."""
    query = select(incidents).order_by(incidents.c.opened_at.desc(), incidents.c.id).limit(limit)
    if set(states) != set(get_args(IncidentState)):  # else the order alone, which has an index of its own
        query = query.where(incidents.c.state.in_(states))
    return [_incident(row) for row in connection.execute(query)]


def get(connection: Connection, id_: str) -> Incident | None:
    row = connection.execute(select(incidents).where(incidents.c.id == id_)).first()
    return _incident(row) if row else None


def save(connection: Connection, *changed: Incident) -> None:
    """Insert or replace."""
    for chunk in _chunks(changed):
        known = set(connection.execute(select(incidents.c.id).where(incidents.c.id.in_([each.id for each in chunk]))).scalars())
        rows = [msgspec.structs.asdict(incident) for incident in chunk]
        if new := [row for row in rows if row["id"] not in known]:
            connection.execute(insert(incidents), new)
        if old := [{"its_id": row.pop("id"), **row} for row in rows if row["id"] in known]:
            connection.execute(update(incidents).where(incidents.c.id == bindparam("its_id")), old)


def failing_since(connection: Connection, since: datetime) -> list[tuple[str | None, datetime, datetime | None]]:
    """Equipment, start and recovery (None: not yet) of every incident that was not over at `since`."""
    columns = incidents.c.equipment, incidents.c.failure_started_at, incidents.c.restored_at
    query = select(*columns).where(incidents.c.restored_at.is_(None) | (incidents.c.restored_at >= since))
    return [(equipment, started_at, restored_at) for equipment, started_at, restored_at in connection.execute(query)]


def count_by_state(connection: Connection) -> dict[str, int]:
    query = select(incidents.c.state, func.count()).group_by(incidents.c.state)
    return {state: number for state, number in connection.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def latest_assessments(connection: Connection, incident_ids: Iterable[str]) -> dict[str, list[Assessment]]:
    """The newest assessment of each service of these incidents, in the order in which the services were first assessed."""
    found: dict[str, list[Assessment]] = defaultdict(list)
    for document in _latest(connection, incident_ids):
        assessment = _ASSESSMENT.decode(document)
        found[assessment.incident_id].append(assessment)
    return found


def latest_conclusions(connection: Connection, incident_ids: Iterable[str]) -> dict[str, list[Conclusion]]:
    """The same without their explanations, which are most of what is stored: in a third of the time."""
    found: dict[str, list[Conclusion]] = defaultdict(list)
    for document in _latest(connection, incident_ids):
        conclusion = _CONCLUSION.decode(document)
        found[conclusion.incident_id].append(conclusion)
    return found


def _latest(connection: Connection, incident_ids: Iterable[str]) -> Iterator[str]:
    for chunk in _chunks(sorted(set(incident_ids))):
        newest = (
            select(
                assessments.c.incident_id,
                func.max(assessments.c.number).label("number"),
                func.min(assessments.c.number).label("first"),
            )
            .where(assessments.c.incident_id.in_(chunk))
            .group_by(assessments.c.incident_id, assessments.c.service)
            .subquery()
        )
        query = select(assessments.c.document, newest.c.first).join(
            newest, (assessments.c.incident_id == newest.c.incident_id) & (assessments.c.number == newest.c.number)
        )
        # put into order here: to sort long documents takes SQLite as long again
        for document, _ in sorted(connection.execute(query), key=itemgetter(1)):
            yield document


def history(connection: Connection, incident_id: str) -> list[Assessment]:
    """Every assessment of an incident, oldest first."""
    query = select(assessments.c.document).where(assessments.c.incident_id == incident_id).order_by(assessments.c.number)
    return [_ASSESSMENT.decode(document) for document in connection.execute(query).scalars()]


def append(connection: Connection, *new: Assessment) -> None:
    """Add assessments; there is no way to change or remove one."""
    for chunk in _chunks(new):
        rows = [
            {
                "incident_id": assessment.incident_id,
                "number": assessment.number,
                "service": assessment.service,
                "assessed_at": assessment.assessed_at,
                "verdict": assessment.verdict.value,
                "document": _JSON.encode(assessment).decode(),
            }
            for assessment in chunk
        ]
        connection.execute(insert(assessments), rows)


def unrouted(connection: Connection) -> list[str]:
    """The incidents that have assessments nobody has planned deliveries from."""
    query = select(assessments.c.incident_id).where(assessments.c.routed_at.is_(None)).distinct()
    return list(connection.execute(query).scalars())


def mark_routed(connection: Connection, incident_id: str, up_to: int, at: datetime) -> None:
    query = update(assessments).where(
        assessments.c.incident_id == incident_id, assessments.c.number <= up_to, assessments.c.routed_at.is_(None)
    )
    connection.execute(query.values(routed_at=at))


def _chunks(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _alert(row: Row[Any]) -> Alert:
    values = dict(row._mapping)
    labels, annotations = msgspec.json.decode(values["labels"]), msgspec.json.decode(values["annotations"])
    return Alert(**values | {"labels": labels, "annotations": annotations})


def _incident(row: Row[Any]) -> Incident:
    return Incident(**row._mapping)
