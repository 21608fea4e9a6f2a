"""The alerts that news may concern: those near in time, and all of the incidents that these belong to.

Of an incident with thousands of alerts nearly all decide nothing: where one of the same cause began before and lasted at least as
long, it is the same failure, and neither its beginning nor its end hangs on the shorter one. Those are left out, so that news of a
large incident cost little more than of a small one. Of news that are alike in all that decides, one stands for all. Where a person
put an alert into an incident, or one follows from another, each may have ties of its own: there all are read.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from math import inf
from operator import itemgetter
from typing import NamedTuple

from receiver.incidents import correlate
from receiver.incidents.fold import LATE
from receiver.model import Alert
from receiver.storage import sightings
from receiver.storage.database import Connection
from receiver.storage.sightings import Key, StoredAlert

_LATE = LATE // sightings.MICROSECOND


class Concerned(NamedTuple):
    """`of_large`: the incidents of which alerts are left out; whoever moves these has to ask for the whole. `alike`: the news for
    which another one, by its key, stands; they go where it goes.
    """

    alerts: list[Alert]
    of_large: frozenset[str] = frozenset()
    alike: Mapping[Key, list[Alert]] = {}


def find(
    connection: Connection, news: Sequence[Alert], since: datetime, causes: Collection[str] | None, *, whole: bool
) -> Concerned:
    """Those that were not over at `since`, of these causes (None: any). `whole`: nothing is left out."""
    # the news first: what the store has of them is older
    known = {correlate.order_of(alert): alert for alert in news}
    rows: dict[Key, StoredAlert] = {}
    sightings.near(connection, since, causes, known, rows)
    asked: set[str] = set()
    incidents = {alert.incident_id for alert in news}
    while ids := {id_ for id_ in incidents.union(row.incident_id for row in rows.values()) if id_} - asked:
        asked |= ids
        sightings.of_incidents(connection, ids, known, rows)
    if whole or any(alert.pinned for alert in news) or any(row.pinned or row.inhibited_by != "[]" for row in rows.values()):
        return Concerned([*news, *map(sightings.alert_of, rows.values())])
    sighted = Counter(key[1:] for key in (*known, *rows))
    deciding, of_large = _deciding(rows, sighted)
    first, alike = _alike(known, sighted)
    return Concerned([*first, *(sightings.alert_of(rows[key]) for key in deciding)], of_large, alike)


def _alike(news: Mapping[Key, Alert], sighted: Mapping[tuple[str, str], int]) -> tuple[list[Alert], Mapping[Key, list[Alert]]]:
    """The news without those that are like an earlier one, and these by the key of that one: a group begins and ends at once."""
    first: dict[tuple[object, ...], tuple[Key, Alert]] = {}
    alike: dict[Key, list[Alert]] = defaultdict(list)
    several: list[Alert] = []
    for key, alert in sorted(news.items(), key=itemgetter(0)):
        if sighted[key[1:]] > 1:
            several.append(alert)
            continue
        its = alert.cause, alert.starts_at, alert.ends_at, alert.fired_at, alert.resolved_at, alert.incident_id
        of_first, _ = first.setdefault(its, (key, alert))
        if of_first is not key:
            alike[of_first].append(alert)
    return [*several, *(alert for _, alert in first.values())], alike


def _deciding(rows: Mapping[Key, StoredAlert], sighted: Mapping[tuple[str, str], int]) -> tuple[list[Key], frozenset[str]]:
    """Those that begin first or last longer than all before them, of each incident and cause; and the incidents of the others.

    Of alerts that were sighted twice, one sighting tells of the other: they all decide, as do those without cause or incident.
    """
    deciding: list[Key] = []
    alike: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key, row in rows.items():
        if row.incident_id is None or row.cause is None or sighted[key[1:]] > 1:
            deciding.append(key)
        else:
            alike[row.incident_id, row.cause].append(key)
    of_large = set()
    for (incident_id, _), keys in alike.items():
        last = -inf
        before = len(deciding)
        for key in sorted(keys):
            if (end := _end(rows[key])) > last:
                last = end
                deciding.append(key)
        if len(deciding) - before < len(keys):
            of_large.add(incident_id)
    return deciding, frozenset(of_large)


def _end(row: StoredAlert) -> float:
    """When an alert that was sighted once was over, in microseconds; see fold.ended_at."""
    if row.ends_at is None or row.resolved_at is None:
        return inf
    is_over = row.fired_at is None or row.fired_at <= row.ends_at + _LATE or row.fired_at <= row.resolved_at
    return row.ends_at if is_over else inf
