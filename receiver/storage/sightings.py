"""Alerts as they are derived, by the ten thousand: read and written without what SQLAlchemy does for each row.

In a storm the store is most of the work. So nothing is built of a row that is known already, nothing is written that stays as it
is (each index of a column that is written costs as much as the row), and a new alert is written once: with its incident.
"""

from collections import defaultdict
from collections.abc import Container, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Connection, Integer, bindparam, select, type_coerce

from receiver.model import Alert, Learnt, Source
from receiver.storage.tables import BEGINNING, Moment, alerts, chunks
from receiver.storage.upsert import Raw, insert_raw, update_raw

Key = tuple[datetime, str, str]
"""startsAt, source, fingerprint."""


class StoredAlert(NamedTuple):
    """An alert as the driver gives it: times in microseconds since 1970, the rest as JSON where it is no text. See model.Alert."""

    source: Source
    fingerprint: str
    starts_at: int
    ends_at: int | None
    labels: str
    annotations: str
    generator_url: str
    fired_at: int | None
    resolved_at: int | None
    incident_id: str | None
    learnt: Learnt
    cause: str | None
    pinned: int
    inhibited_by: str


_JSON = msgspec.json.Encoder()
_LABELS = msgspec.json.Decoder(dict[str, str])
_NAMES = msgspec.json.Decoder(tuple[str, ...])
MICROSECOND = timedelta(microseconds=1)
_COLUMNS = StoredAlert._fields
_KEY = ("source", "fingerprint", "starts_at")
_MAY_CHANGE = tuple(name for name in _COLUMNS if name not in (*_KEY, "labels"))
_values_of = attrgetter(*_MAY_CHANGE)


def _raw(name: str) -> Any:
    """A column as the driver gives it."""
    kind = alerts.c[name].type
    return type_coerce(alerts.c[name], BigInteger()) if isinstance(kind, Moment) else alerts.c[name]


# what was said to fire after its end, and not to be over since, may fire for long without a word
AGAIN = (alerts.c.fired_at > alerts.c.ends_at) & (alerts.c.fired_at > BEGINNING)
_SINCE: Any = bindparam("since")
RECENT = alerts.c.ends_at.is_(None) | (alerts.c.ends_at >= _SINCE) | (alerts.c.fired_at >= _SINCE) | AGAIN
"""Fires, or was not over at `since`."""

# statements are built once: that takes longer than to ask them for a few alerts
_ALERTS = select(*(type_coerce(alerts.c.pinned, Integer()) if name == "pinned" else _raw(name) for name in _COLUMNS))
_MANY: Any = bindparam("many", expanding=True)
# not as pairs: for these SQLite reads the whole table
_OF_SOURCE = _ALERTS.where(alerts.c.source == bindparam("its_source"), alerts.c.fingerprint.in_(_MANY))
_ABOUT_SERVICES = _ALERTS.where(alerts.c.cause.is_not(None), RECENT)
_OF_CAUSES = _ALERTS.where(alerts.c.cause.in_(_MANY), RECENT)
_OF_INCIDENTS = _ALERTS.where(alerts.c.incident_id.in_(_MANY))
_KEYS_OF_CAUSES = _OF_CAUSES.with_only_columns(alerts.c.source, alerts.c.fingerprint, _raw("starts_at"), alerts.c.cause)
_KEYS_OF_INCIDENTS = _OF_INCIDENTS.with_only_columns(alerts.c.source, alerts.c.fingerprint, _raw("starts_at"), alerts.c.incident_id)


def sightings(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[datetime, Alert]]:
    """All known sightings of the alerts with these (source, fingerprint), by their startsAt."""
    found: dict[tuple[str, str], dict[datetime, Alert]] = defaultdict(dict)
    for source, its_keys in groupby(sorted(set(keys)), key=itemgetter(0)):
        for chunk in chunks([fingerprint for _, fingerprint in its_keys]):
            for row in connection.execute(_OF_SOURCE, {"its_source": source, "many": list(chunk)}).all():
                alert = alert_of(StoredAlert._make(row))
                found[alert.source, alert.fingerprint][alert.starts_at] = alert
    return found


def near(
    connection: Connection,
    since: datetime,
    causes: Iterable[str] | None,
    known: Container[Key],
    found: dict[Key, StoredAlert],
) -> None:
    """Add to `found` the alerts about services that fire, or were not over at `since`, of these causes (None: all).

    Without those `known`.
    """
    if causes is None:
        _take(connection.execute(_ABOUT_SERVICES, {"since": since}).all(), known, found)
        return
    for chunk in chunks(sorted(set(causes))):
        keys = connection.execute(_KEYS_OF_CAUSES, {"since": since, "many": list(chunk)})
        if others := _of_others(keys.all(), known, found):
            _take(connection.execute(_OF_CAUSES, {"since": since, "many": others}).all(), known, found)


def of_incidents(connection: Connection, ids: Iterable[str], known: Container[Key], found: dict[Key, StoredAlert]) -> None:
    """Add to `found` the alerts of these incidents, without those `known`."""
    for chunk in chunks(sorted(set(ids))):
        keys = connection.execute(_KEYS_OF_INCIDENTS, {"many": list(chunk)})
        if others := _of_others(keys.all(), known, found):
            _take(connection.execute(_OF_INCIDENTS, {"many": others}).all(), known, found)


def _of_others(keys: Iterable[Any], known: Container[Key], found: Container[Key]) -> list[str]:
    """What alerts that are in neither are of: in a storm all are known, and to read them whole takes several times as long."""
    return sorted({of for *its, of in keys if (key := (_moment(its[2]), its[0], its[1])) not in known and key not in found})


def about_services(connection: Connection, since: datetime) -> list[Alert]:
    """The alerts about services of the catalogue that fire, or were not over at `since`."""
    return [alert_of(row) for row in map(StoredAlert._make, connection.execute(_ABOUT_SERVICES, {"since": since}).all())]


def keep(connection: Connection, changes: Iterable[tuple[Alert | None, Alert]]) -> None:
    """Write what these alerts are now. With each comes what the store has of it: None, or what was read in this transaction."""
    new: list[Raw] = []
    changed: dict[tuple[str, ...], list[Raw]] = defaultdict(list)
    for stored, alert in changes:
        if stored is None:
            new.append(_row(alert))
            continue
        before, after = _values_of(stored), _values_of(alert)
        if before != after:
            names = tuple([name for name, was, is_ in zip(_MAY_CHANGE, before, after, strict=True) if was != is_])
            changed[names].append(tuple([_value(alert, name) for name in (*names, *_KEY)]))
    insert_raw(connection, alerts, _COLUMNS, new)
    for names, rows in changed.items():
        update_raw(connection, alerts, names, rows)


def _take(rows: Iterable[Any], known: Container[Key], found: dict[Key, StoredAlert]) -> None:
    for row in rows:
        key = _moment(row[2]), row[0], row[1]
        if key not in known and key not in found:
            found[key] = StoredAlert._make(row)


def alert_of(row: StoredAlert) -> Alert:
    return Alert(
        row.source,
        row.fingerprint,
        _moment(row.starts_at),
        None if row.ends_at is None else _moment(row.ends_at),
        _LABELS.decode(row.labels),
        _LABELS.decode(row.annotations),
        row.generator_url,
        None if row.fired_at is None else _moment(row.fired_at),
        None if row.resolved_at is None else _moment(row.resolved_at),
        row.incident_id,
        row.learnt,
        row.cause,
        bool(row.pinned),
        () if row.inhibited_by == "[]" else _NAMES.decode(row.inhibited_by),
    )


def _row(alert: Alert) -> Raw:
    """Written out, as it is done for each alert of a storm."""
    return (
        alert.source,
        alert.fingerprint,
        _microseconds(alert.starts_at),
        None if alert.ends_at is None else _microseconds(alert.ends_at),
        _JSON.encode(alert.labels).decode(),
        _JSON.encode(alert.annotations).decode(),
        alert.generator_url,
        None if alert.fired_at is None else _microseconds(alert.fired_at),
        None if alert.resolved_at is None else _microseconds(alert.resolved_at),
        alert.incident_id,
        alert.learnt,
        alert.cause,
        alert.pinned,
        _JSON.encode(alert.inhibited_by).decode() if alert.inhibited_by else "[]",
    )


def _value(alert: Alert, name: str) -> Any:
    value = getattr(alert, name)
    if isinstance(value, datetime):
        return _microseconds(value)
    return _JSON.encode(value).decode() if isinstance(value, dict | tuple) else value


# alerts of a group began together, and what one body says was said at once
@lru_cache(maxsize=4096)
def _moment(microseconds: int) -> datetime:
    return BEGINNING + timedelta(microseconds=microseconds)


@lru_cache(maxsize=4096)
def _microseconds(moment: datetime) -> int:
    return (moment - BEGINNING) // MICROSECOND
