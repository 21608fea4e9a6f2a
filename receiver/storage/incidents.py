"""Alerts, the incidents they belong to, and the assessments of these."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import chain
from operator import attrgetter, itemgetter
from sys import intern
from typing import Any, get_args

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    CursorResult,
    Row,
    Select,
    Text,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    type_coerce,
    union,
    update,
)

from receiver.law.provisions import JST
from receiver.model import Alert, Assessment, Conclusion, Incident, IncidentState, Learnt, Source
from receiver.storage.sightings import AGAIN, RECENT
from receiver.storage.sightings import about_services as about_services
from receiver.storage.sightings import sightings as sightings
from receiver.storage.tables import Moment, acts, alerts, assessments, chunks, incidents, moment_of
from receiver.storage.upsert import upsert

_JSON = msgspec.json.Encoder()
_ASSESSMENT = msgspec.json.Decoder(Assessment)
_CONCLUSION = msgspec.json.Decoder(Conclusion)

# statements are built once: that takes longer than to ask them for a few incidents
_ALERTS = select(*(alerts.c[name] for name in Alert.__struct_fields__))
_INCIDENTS = select(*(incidents.c[name] for name in Incident.__struct_fields__))
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)


def save_alerts(connection: Connection, changed: Iterable[Alert]) -> None:
    """Insert or replace these sightings."""
    rows = [
        msgspec.structs.asdict(alert)
        | {name: _JSON.encode(getattr(alert, name)).decode() for name in ("labels", "annotations", "inhibited_by")}
        for alert in changed
    ]
    # one statement for all of them: a storm brings thousands, and nothing can be taken in while they are written
    upsert(connection, alerts, rows)


_ALERTS_OF = _ALERTS.where(alerts.c.incident_id.in_(_IDS)).order_by(alerts.c.starts_at, alerts.c.fingerprint)


def alerts_of(connection: Connection, incident_ids: Iterable[str]) -> dict[str, list[Alert]]:
    """The alerts of these incidents, earliest first."""
    found: dict[str, list[Alert]] = defaultdict(list)
    for chunk in chunks(sorted(set(incident_ids))):
        for row in connection.execute(_ALERTS_OF, {"ids": list(chunk)}).all():
            found[row.incident_id].append(_alert(row))
    return found


def any_inhibited(connection: Connection, since: datetime) -> bool:
    """Whether of an alert that fires, or was not over at `since`, Alertmanager says that it follows from another."""
    recent = (func.coalesce(alerts.c.ends_at, literal(since, Moment())) >= since) | AGAIN
    # written out: for a bound variable SQLite does not see that the index has only these
    is_inhibited = alerts.c.inhibited_by != literal("[]", literal_execute=True)
    return connection.execute(select(alerts.c.ends_at).where(is_inhibited, recent).limit(1)).first() is not None


def mark_unwatched(connection: Connection, since: Mapping[str, datetime | None]) -> None:
    """Since when nobody tells whether these incidents go on, by id; None: somebody does. Nothing else of them is touched."""
    if since:
        rows = [{"its_id": id_, "unwatched_since": moment} for id_, moment in since.items()]
        connection.execute(update(incidents).where(incidents.c.id == bindparam("its_id")), rows)


_ALONE = _ALERTS.where(alerts.c.source == bindparam("its_source"), alerts.c.ends_at.is_(None), alerts.c.incident_id.is_(None))


def firing_alone(connection: Connection, source: Source) -> list[Alert]:
    """The alerts of this source that fire and belong to no incident."""
    return [_alert(row) for row in connection.execute(_ALONE, {"its_source": source})]


# asked for apart: for both in one condition SQLite reads all of them
_GOING_ON = ("open", "recovering")
_LIVING = (
    _INCIDENTS.where(incidents.c.state.in_(_GOING_ON)),
    _INCIDENTS.where(incidents.c.to_assess.is_(True)),
)


def living(connection: Connection, ids: Iterable[str] | None = None) -> list[Incident]:
    """Every incident that the clock can change, and those to be looked at once more, oldest first; with `ids` those among them."""
    if ids is None:
        found = {row.id: _incident(row) for query in _LIVING for row in connection.execute(query).all()}
    else:
        found = {id_: one for id_, one in named(connection, ids).items() if one.to_assess or one.state in _GOING_ON}
    return sorted(found.values(), key=attrgetter("opened_at", "id"))


LIVING_IDS = union(*(query.with_only_columns(incidents.c.id) for query in _LIVING))


_OF_CAUSES = alerts.c.cause.in_(bindparam("causes", expanding=True))
_LIVING_OF = select(alerts.c.incident_id).where(_OF_CAUSES, alerts.c.incident_id.in_(LIVING_IDS)).distinct()


def living_of(connection: Connection, causes: Iterable[str]) -> set[str]:
    """The ids of the living incidents with alerts of these causes."""
    found: set[str] = set()
    for chunk in chunks(sorted(set(causes))):
        found |= set(connection.execute(_LIVING_OF, {"causes": list(chunk)}).scalars())
    return found


def one_of_each(
    connection: Connection, of_all: Select[Any], of_these: Select[Any], ids: Iterable[str] | None
) -> Iterator[tuple[str, Any]]:
    """The rows (incident, something) of `of_all`, about all that live; with `ids` those of `of_these`, which names them."""
    if ids is None:
        yield from ((id_, found) for id_, found in connection.execute(of_all))
        return
    for chunk in chunks(sorted(set(ids))):
        yield from ((id_, found) for id_, found in connection.execute(of_these, {"ids": list(chunk)}))


# numbers as they are stored, so that nothing is converted that is only compared; of a name its length, so that none can feign two
_SAID = func.coalesce(cast(alerts.c.starts_at, Text), "") + ","
for _column in (alerts.c.ends_at, alerts.c.fired_at, alerts.c.resolved_at):
    _SAID += func.coalesce(cast(_column, Text), "") + ","
_SAID += case((alerts.c.cause.is_(None), "-"), else_="+") + alerts.c.source
_SAID += cast(func.length(alerts.c.fingerprint), Text) + "," + alerts.c.fingerprint
_DIGEST = select(alerts.c.incident_id, func.aggregate_strings(_SAID, "\n")).group_by(alerts.c.incident_id)
_DIGESTS = _DIGEST.where(alerts.c.incident_id.in_(LIVING_IDS)), _DIGEST.where(alerts.c.incident_id.in_(_IDS))


def digests(connection: Connection, ids: Iterable[str] | None = None) -> dict[str, int]:
    """Of the living incidents, or of these, a number that is another one as soon as one of their alerts, or a time of it, is.

    The numbers of one process can be compared, in whichever order the store reads. It takes an eighth of reading the alerts.
    """
    return {id_: hash(frozenset(said.split("\n"))) for id_, said in one_of_each(connection, *_DIGESTS, ids)}


_MOMENTS = ("starts_at", "ends_at", "fired_at", "resolved_at")
_OTHERS = ("incident_id", "source", "fingerprint", "labels", "cause", "learnt", "inhibited_by")
_PLAIN = select(*(type_coerce(alerts.c[name], BigInteger) for name in _MOMENTS), *(alerts.c[name] for name in _OTHERS))
_PLAIN_OF = _PLAIN.where(alerts.c.incident_id.in_(_IDS))
_PLAIN_RECENT = _PLAIN.where(alerts.c.cause.is_not(None), RECENT)
_PLAIN_SIGHTINGS = _PLAIN.where(
    alerts.c.source == bindparam("its_source"), alerts.c.fingerprint.in_(bindparam("its", expanding=True))
)
_LABELS = msgspec.json.Decoder(dict[str, str])
_AT_ONCE = 500
"""Rows that are taken from the driver at once: one by one takes longer."""

Labels = Callable[[str, dict[str, str]], dict[str, str]]
"""From the fingerprint of an alert and its labels those to be kept, maybe the very dictionary that another alert has."""


def all_labels(_: str, labels: dict[str, str]) -> dict[str, str]:
    """All of them; a word that thousands share is kept once."""
    return {intern(name): intern(value) for name, value in labels.items()}


def plain_alerts_of(connection: Connection, incident_ids: Iterable[str], labels: Labels = all_labels) -> dict[str, list[Alert]]:
    """As `alerts_of`, in half of the time and a quarter of the memory: without annotations and all else that only people read.

    What is found here must not be saved.
    """
    found: dict[str, list[Alert]] = defaultdict(list)
    for chunk in chunks(sorted(set(incident_ids))):
        for alert in _plain(connection.execute(_PLAIN_OF, {"ids": list(chunk)}), labels):
            found[alert.incident_id or ""].append(alert)
    for its in found.values():  # put into order here: the store would sort whole rows, of all incidents at once
        its.sort(key=attrgetter("starts_at", "fingerprint"))
    return found


def plain_about_services(connection: Connection, since: datetime, labels: Labels = all_labels) -> Iterator[Alert]:
    """As `about_services`, one by one and plain."""
    return _plain(connection.execute(_PLAIN_RECENT, {"since": since}), labels)


def plain_sightings(
    connection: Connection, source: Source, fingerprints: Iterable[str], labels: Labels = all_labels
) -> dict[str, list[Alert]]:
    """As `sightings`, by fingerprint and plain."""
    found: dict[str, list[Alert]] = defaultdict(list)
    for chunk in chunks(sorted(set(fingerprints))):
        for alert in _plain(connection.execute(_PLAIN_SIGHTINGS, {"its_source": source, "its": list(chunk)}), labels):
            found[alert.fingerprint].append(alert)
    return found


def _plain(rows: CursorResult[Any], labels: Labels) -> Iterator[Alert]:
    """One by one, and cheap, as in a storm they are a hundred thousand."""
    moments = _Moments()
    nothing: dict[str, str] = {}
    every: Iterator[Any] = chain.from_iterable(rows.partitions(_AT_ONCE))
    for starts_at, ends_at, fired_at, resolved_at, id_, source, fingerprint, told, cause, learnt, by in every:
        yield Alert(
            source,
            fingerprint,
            moments[starts_at],
            moments[ends_at],
            labels(fingerprint, _LABELS.decode(told)),
            nothing,
            "",
            moments[fired_at],
            moments[resolved_at],
            id_ and intern(id_),
            learnt,
            cause and intern(cause),
            inhibited_by=() if by == "[]" else tuple(msgspec.json.decode(by)),
        )


class _Moments(dict[int | None, Any]):
    """The moments of what is stored; alerts of a group began together, and what one body says was said at once."""

    def __missing__(self, stored: int | None) -> datetime | None:
        self[stored] = found = None if stored is None else moment_of(stored)
        return found


def listed(connection: Connection, states: tuple[IncidentState, ...], limit: int) -> list[Incident]:
    """The newest incidents in these states, newest first."""
    query = _INCIDENTS.order_by(incidents.c.opened_at.desc(), incidents.c.id).limit(limit)
    if set(states) != set(get_args(IncidentState)):  # else the order alone, which has an index of its own
        query = query.where(incidents.c.state.in_(states))
    return [_incident(row) for row in connection.execute(query)]


_NAMED = _INCIDENTS.where(incidents.c.id.in_(_IDS))


def named(connection: Connection, ids: Iterable[str]) -> dict[str, Incident]:
    """Those of these that there are, by id."""
    found: dict[str, Incident] = {}
    # whoever asks may ask for anything, and PostgreSQL cannot even be asked for a text with NUL in it
    for chunk in chunks(sorted({id_ for id_ in ids if "\0" not in id_})):
        found |= {row.id: _incident(row) for row in connection.execute(_NAMED, {"ids": list(chunk)}).all()}
    return found


def parts_of(connection: Connection, ids: Iterable[str]) -> dict[str, list[str]]:
    """Of each of these incidents the ids of those that became part of it, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for chunk in chunks(sorted(set(ids))):
        query = select(incidents.c.id, incidents.c.joined_to).where(incidents.c.joined_to.in_(chunk)).order_by(incidents.c.id)
        for part, whole in connection.execute(query):
            found[whole].append(part)
    return found


def learnt(connection: Connection, ids: Iterable[str]) -> dict[str, list[Learnt]]:
    """In which ways the alerts of each of these incidents were first learnt."""
    found: dict[str, list[Learnt]] = defaultdict(list)
    for chunk in chunks(sorted(set(ids))):
        query = select(alerts.c.incident_id, alerts.c.learnt).where(alerts.c.incident_id.in_(chunk)).distinct()
        for id_, way in connection.execute(query.order_by(alerts.c.incident_id, alerts.c.learnt)):
            found[id_].append(way)
    return found


def get(connection: Connection, id_: str) -> Incident | None:
    return named(connection, [id_]).get(id_)


_KNOWN = select(incidents.c.id).where(incidents.c.id.in_(_IDS))


def save(connection: Connection, *changed: Incident) -> None:
    """Insert or replace."""
    for chunk in chunks(changed):
        known = set(connection.execute(_KNOWN, {"ids": [each.id for each in chunk]}).scalars())
        rows = [msgspec.structs.asdict(each) | {"units": _JSON.encode(each.units).decode()} for each in chunk]
        if new := [row for row in rows if row["id"] not in known]:
            connection.execute(insert(incidents), new)
        if old := [{"its_id": row.pop("id"), **row} for row in rows if row["id"] in known]:
            connection.execute(update(incidents).where(incidents.c.id == bindparam("its_id")), old)


def forget(connection: Connection, ids: Iterable[str]) -> None:
    """Remove those of these incidents that have no alerts any more; for such that nobody was told of."""
    for chunk in chunks(sorted(ids)):
        bare = ~select(alerts.c.cause).where(alerts.c.incident_id == incidents.c.id).exists()
        connection.execute(delete(incidents).where(incidents.c.id.in_(chunk), bare))


_TOLD = tuple(select(table.c.incident_id).where(table.c.incident_id.in_(_IDS)).distinct() for table in (assessments, acts))


def told(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Those of these incidents that were assessed, or that somebody acted on: others may have heard of them."""
    found: set[str] = set()
    for chunk in chunks(sorted(set(ids))):
        for query in _TOLD:
            found |= set(connection.execute(query, {"ids": list(chunk)}).scalars())
    return found


_DAY, _JST = (int(time / timedelta(microseconds=1)) for time in (timedelta(days=1), JST.utcoffset(None)))
_1970 = date(1970, 1, 1).toordinal()


def _day(column: ColumnElement[datetime]) -> ColumnElement[int]:
    """In Japan, since 1970."""
    return (type_coerce(column, BigInteger) + _JST) // _DAY


_FAILING = select(
    incidents.c.units, incidents.c.equipment, _day(incidents.c.failure_started_at), _day(incidents.c.restored_at)
).where(
    incidents.c.restored_at.is_(None) | (incidents.c.restored_at >= bindparam("since")),
    incidents.c.joined_to.is_(None),
    incidents.c.dismissed.is_(False),
)


def failing_days(connection: Connection, since: datetime, now: datetime) -> dict[str | None, set[date]]:
    """The days in Japan, from `since` to `now`, on which equipment (None: not named) was failing.

    Without incidents that were none or are part of another. Days are counted as numbers: of many weeks incidents are many.
    """
    earliest, today = (moment.astimezone(JST).toordinal() - _1970 for moment in (since, now))
    names: dict[str, list[str | None]] = {}
    found: dict[str | None, set[int]] = defaultdict(set)
    for units, equipment, first, last in connection.execute(_FAILING, {"since": since}):
        if units not in names:
            names[units] = msgspec.json.decode(units)
        days = range(max(first, earliest), (today if last is None else last) + 1)
        for unit in names[units] or (equipment,):
            found[unit].update(days)
    return {unit: {date.fromordinal(_1970 + day) for day in days} for unit, days in found.items()}


def count_by_state(connection: Connection) -> dict[str, int]:
    query = select(incidents.c.state, func.count()).group_by(incidents.c.state)
    return {state: number for state, number in connection.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def latest_assessments(connection: Connection, incident_ids: Iterable[str]) -> dict[str, list[Assessment]]:
    """The newest assessment of each service of these incidents, in the order in which the services were first assessed.

    Without those that were withdrawn.
    """
    found: dict[str, list[Assessment]] = defaultdict(list)
    for document in latest_documents(connection, incident_ids):
        assessment = _ASSESSMENT.decode(document)
        if not assessment.withdrawn:
            found[assessment.incident_id].append(assessment)
    return found


_LAST_NUMBER = select(assessments.c.incident_id, func.max(assessments.c.number)).group_by(assessments.c.incident_id)
_LAST_NUMBERS = (
    _LAST_NUMBER.where(assessments.c.incident_id.in_(LIVING_IDS)),
    _LAST_NUMBER.where(assessments.c.incident_id.in_(_IDS)),
)


def last_numbers(connection: Connection, incident_ids: Iterable[str] | None = None) -> dict[str, int]:
    """The number of the newest assessment of each living incident, or of each of these, that was assessed."""
    return dict(one_of_each(connection, *_LAST_NUMBERS, incident_ids))


def latest_conclusions(connection: Connection, incident_ids: Iterable[str]) -> dict[str, list[Conclusion]]:
    """The same without their explanations, which are most of what is stored: in a third of the time. With those withdrawn."""
    found: dict[str, list[Conclusion]] = defaultdict(list)
    for document in latest_documents(connection, incident_ids):
        conclusion = _CONCLUSION.decode(document)
        found[conclusion.incident_id].append(conclusion)
    return found


_NEWEST = (
    select(
        assessments.c.incident_id,
        func.max(assessments.c.number).label("number"),
        func.min(assessments.c.number).label("first"),
    )
    .where(assessments.c.incident_id.in_(_IDS))
    .group_by(assessments.c.incident_id, assessments.c.service)
    .subquery()
)
_LATEST = select(assessments.c.document, _NEWEST.c.first).join(
    _NEWEST, (assessments.c.incident_id == _NEWEST.c.incident_id) & (assessments.c.number == _NEWEST.c.number)
)


def latest_documents(connection: Connection, incident_ids: Iterable[str]) -> Iterator[str]:
    """What `latest_assessments` is made from, with those withdrawn, as JSON: some at a time, as together they are large."""
    for chunk in chunks(sorted(set(incident_ids))):
        # put into order here: to sort long documents takes SQLite as long again
        for document, _ in sorted(connection.execute(_LATEST, {"ids": list(chunk)}).all(), key=itemgetter(1)):
            yield document


def history(connection: Connection, incident_id: str) -> list[Assessment]:
    """Every assessment of an incident, oldest first."""
    query = select(assessments.c.document).where(assessments.c.incident_id == incident_id).order_by(assessments.c.number)
    return [_ASSESSMENT.decode(document) for document in connection.execute(query).scalars()]


def append(connection: Connection, *new: Assessment) -> None:
    """Add assessments; there is no way to change or remove one."""
    for chunk in chunks(new):
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


_ROUTED = (
    update(assessments)
    .where(
        assessments.c.incident_id == bindparam("its_id"),
        assessments.c.number <= bindparam("up_to"),
        assessments.c.routed_at.is_(None),
    )
    .values(routed_at=bindparam("at"))
)


def mark_routed(connection: Connection, numbers: Mapping[str, int], at: datetime) -> None:
    """The assessments of these incidents up to these numbers."""
    if numbers:
        connection.execute(_ROUTED, [{"its_id": id_, "up_to": number, "at": at} for id_, number in numbers.items()])


_OF_ALERT_IN_JSON = tuple(Alert.__struct_fields__.index(name) for name in ("labels", "annotations", "inhibited_by"))
_INHIBITED_BY = Alert.__struct_fields__.index("inhibited_by")
_UNITS = Incident.__struct_fields__.index("units")


def _alert(row: Row[Any]) -> Alert:
    values = list(row)
    for at in _OF_ALERT_IN_JSON:
        values[at] = msgspec.json.decode(values[at])
    values[_INHIBITED_BY] = tuple(values[_INHIBITED_BY])
    return Alert(*values)


def _incident(row: Row[Any]) -> Incident:
    values = list(row)
    values[_UNITS] = tuple(msgspec.json.decode(values[_UNITS]))
    return Incident(*values)
