"""An incident with all that is known of it when it is judged: its alerts, the services they hit, what persons stated."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import reduce
from itertools import chain
from typing import NamedTuple

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.incidents import correlate
from receiver.incidents.correlate import hold_of
from receiver.incidents.topology import parents_of
from receiver.law.counting import Affected, keep_largest
from receiver.model import Alert, Assessment, Conclusion, Incident
from receiver.stated import Stated, stated
from receiver.storage import acts
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database


class Hit(msgspec.Struct, gc=False):
    """A service that an incident hits: its alerts, the equipment that failed under it, all that its alerts name, and when it
    recovered by its alerts; `restored` is that as far as it is believed.
    """

    service: Service
    alerts: list[Alert]
    units: tuple[str | None, ...]
    named: frozenset[str]
    ended: datetime | None
    restored: datetime | None = None


class Version(NamedTuple):
    """By what it is seen that an incident, or something that is known of it, is another now than when it was read.

    `told` is the digest of its alerts, `number` that of its newest assessment, `act` the id of the last act on it.
    """

    incident: Incident
    told: int
    number: int
    act: int


class Case(msgspec.Struct, gc=False):
    """An incident to be judged with all that is known of it at this tick. Its alerts are without what only people read, and one
    stands for those that are alike; `numbers`: for how many, by its key, if for more than itself.

    `ended`: when it recovered by its alerts and by what a person stated, `held_at` when that will have held. `gone`: what was last
    assessed of services that it has no more. `version`: as it was read.
    """

    incident: Incident
    version: Version
    alerts: list[Alert]
    numbers: dict[correlate.Key, int]
    hits: list[Hit]
    previous: dict[str, Conclusion]
    stated: Stated
    ended: datetime | None = None
    held_at: datetime | None = None
    gone: list[Assessment] = []
    without_data: dict[str, datetime] = {}

    @property
    def is_over(self) -> bool:
        """Whether it is none, or part of another: nothing of it is looked at any more."""
        return self.incident.dismissed or self.incident.joined_to is not None

    def unconfirmed(self, now: datetime) -> bool:
        """Whether it has to be seen that it works: a recovery was told that was not told before, or has held."""
        if self.stated.restored_at:
            return False  # a person has seen it
        state = self.incident.state
        if self.ended and (state == "open" or (state == "recovering" and self.held_at and self.held_at <= now)):
            return True
        return any(hit.ended and not self.was_restored(hit) for hit in self.hits)

    def was_restored(self, hit: Hit) -> bool:
        before = self.previous.get(hit.service.name)
        return before is not None and before.restored_at is not None


class _Read(msgspec.Struct, gc=False):
    """What was read of an incident, each with the part of its version that tells whether it still is so.

    `ends`: what `find_end` made of it; None: that is still to be found.
    """

    told: int = 0
    alerts: list[Alert] = []
    numbers: dict[correlate.Key, int] = {}
    hits: list[Hit] = []
    number: int = 0
    conclusions: list[Conclusion] = []
    act: int = 0
    stated: Stated = Stated()
    ends: tuple[datetime | None, datetime | None, list[datetime | None]] | None = None


class Cases:
    """The living incidents, read from one store again and again: what did not change is remembered. Not for several threads.

    Who changed it does not matter, another process or this one: what is remembered is compared with what is in the store. Only
    what is above equipment is not looked at: whoever learns something of that has it all forgotten.
    """

    def __init__(self, catalogue: Catalogue, hold: timedelta) -> None:
        self._catalogue, self._hold = catalogue, hold
        self._read: dict[str, _Read] = {}
        # of labels those on which something hangs, the same ones for all alike
        of_services = {"alertname", "rulename", "service", *(service.equipment_label for service in catalogue.services)}
        self._names = sorted(catalogue.matched | of_services | {"equipment"})
        self._labels: dict[tuple[str | None, ...], dict[str, str]] = {}

    def forget(self) -> None:
        """Read all of it anew the next time."""
        self._read.clear()

    def load(self, database: Database, ids: Collection[str] | None = None) -> list[Case]:
        """Every living incident, or each of these that lives, oldest first. Raises StoreUnavailable."""
        with database.read() as connection:
            living = store.living(connection, ids)
            versions = self._brought_up_to_date(connection, living, ids)
            cases = [self._case(incident, version) for incident, version in zip(living, versions, strict=True)]
            _add_what_others_tell(connection, cases)
            without_data = _without_data(connection, cases)
        for case in cases:
            is_grafanas = without_data and any(alert.source == "grafana" for alert in case.alerts)
            self._find_end(case, without_data if is_grafanas else {})
        return cases

    def _brought_up_to_date(self, connection: Connection, living: list[Incident], ids: Collection[str] | None) -> list[Version]:
        told, numbers, acted = store.digests(connection, ids), store.last_numbers(connection, ids), acts.last(connection, ids)
        its_own = {incident.id: self._read.get(incident.id) or _Read() for incident in living}
        self._read = its_own if ids is None else self._read | its_own
        versions = [
            Version(incident, told.get(incident.id, 0), numbers.get(incident.id, 0), acted.get(incident.id, 0))
            for incident in living
        ]
        its = [(version, self._read[version.incident.id]) for version in versions]
        alerts = store.plain_alerts_of(connection, [v.incident.id for v, read in its if read.told != v.told], self._shared)
        latest = store.latest_conclusions(connection, [v.incident.id for v, read in its if read.number != v.number])
        said = acts.of_incidents(connection, [v.incident.id for v, read in its if read.act != v.act])
        for version, read in its:
            id_ = version.incident.id
            if read.told != version.told:
                read.told, read.ends = version.told, None
                read.alerts, read.numbers = _one_of_alike(alerts.pop(id_, []))
                read.hits = _hits(connection, self._catalogue, read.alerts)
            if read.number != version.number:
                read.number, read.conclusions = version.number, latest[id_]
            if read.act != version.act:
                read.act, read.stated, read.ends = version.act, stated(said[id_]), None
        return versions

    def _shared(self, _: str, labels: dict[str, str]) -> dict[str, str]:
        its = tuple(map(labels.get, self._names))
        found = self._labels.get(its)
        if found is None:
            if len(self._labels) >= _MOST_SHARED:
                self._labels.clear()
            found = {name: value for name, value in zip(self._names, its, strict=True) if value is not None}
            self._labels[its] = found
        return found

    def _case(self, incident: Incident, version: Version) -> Case:
        read = self._read[incident.id]
        its = [] if incident.dismissed or incident.joined_to else read.hits
        hits = [Hit(hit.service, hit.alerts, hit.units, hit.named, hit.ended) for hit in its]
        previous = {last.service: last for last in read.conclusions}
        for hit in hits:
            last = previous.get(hit.service.name)
            if last and not hit.named.issuperset(last.units):
                # counted of more equipment than it has by what is known now
                previous[last.service] = msgspec.structs.replace(last, affected=Affected(bound=last.affected.bound))
        return Case(incident, version, read.alerts, read.numbers, hits, previous, read.stated)

    def _find_end(self, case: Case, without_data: dict[str, datetime]) -> None:
        read = self._read[case.incident.id]
        if read.ends and not without_data and not case.is_over:
            case.ended, case.held_at, its = read.ends
            for hit, ended in zip(case.hits, its, strict=True):
                hit.ended = ended
            return
        case.without_data = without_data
        find_end(case, self._catalogue, self._hold)
        is_so_for_good = not without_data and not case.is_over
        read.ends = (case.ended, case.held_at, [hit.ended for hit in case.hits]) if is_so_for_good else None


_MOST_SHARED = 10_000


def _one_of_alike(alerts: list[Alert]) -> tuple[list[Alert], dict[correlate.Key, int]]:
    """Of those that differ in nothing that a tick looks at the first, in their order; and for how many it stands.

    A group of fifty begins and ends at once. Of what was sighted twice each sighting tells of the other.
    """
    sighted = Counter((alert.source, alert.fingerprint) for alert in alerts)
    first: dict[tuple[object, ...], Alert] = {}
    numbers: dict[correlate.Key, int] = Counter()
    for alert in alerts:
        # labels are shared: those of two alerts are the same, or differ
        its: tuple[object, ...] = alert.starts_at, alert.ends_at, alert.fired_at, alert.resolved_at, alert.cause, id(alert.labels)
        if sighted[alert.source, alert.fingerprint] > 1:
            its += (alert.fingerprint,)
        numbers[correlate.order_of(first.setdefault((alert.source, *its), alert))] += 1
    return list(first.values()), {key: number for key, number in numbers.items() if number > 1}


def _add_what_others_tell(connection: Connection, cases: list[Case]) -> None:
    """What was counted of the parts of an incident before they became that, and of services that it has no more."""
    # who became part of another is to be looked at once more, and so is that one
    joined = {case.incident.joined_to or case.incident.id for case in cases if case.incident.to_assess}
    parts = store.parts_of(connection, joined) if joined else {}
    of_parts = store.latest_conclusions(connection, chain.from_iterable(parts.values())) if parts else {}
    cut = {case.incident.id: {hit.service.name for hit in case.hits} for case in cases}
    lacking = [case.incident.id for case in cases if not cut[case.incident.id].issuperset(case.previous)]
    whole = store.latest_assessments(connection, lacking)
    for case in cases:
        id_ = case.incident.id
        if id_ in parts:
            _keep_what_parts_counted(case, [last for part in parts[id_] for last in of_parts[part]])
        case.gone = [last for last in whole.get(id_, ()) if last.service not in cut[id_]]


def _without_data(connection: Connection, cases: list[Case]) -> dict[str, datetime]:
    """Since when rules of Grafana have no data, by their name."""
    if not any(alert.source == "grafana" for case in cases for alert in case.alerts):
        return {}
    return {alert.name: alert.starts_at for alert in store.firing_alone(connection, "grafana") if alert.is_ignorance}


def _keep_what_parts_counted(case: Case, of_parts: list[Conclusion]) -> None:
    """What was measured before it became part of this: the largest number of the accident may be among it."""
    for hit in case.hits:
        for part in of_parts:
            if part.service != hit.service.name or part.withdrawn or not hit.named.issuperset(part.units):
                continue
            last = case.previous.get(part.service)
            if last is None:
                case.previous[part.service] = msgspec.structs.replace(part, number=0)
                continue
            kept = reduce(keep_largest, part.affected.kept, last.affected.kept)
            case.previous[part.service] = msgspec.structs.replace(last, affected=msgspec.structs.replace(last.affected, kept=kept))


def _hits(connection: Connection, catalogue: Catalogue, alerts: list[Alert]) -> list[Hit]:
    """The services that these alerts are about, in the order of the catalogue."""
    parents = parents_of(connection, catalogue, alerts) if len(correlate.equipments_of(alerts)) > 1 else {}
    by_service: dict[str, list[Alert]] = {}
    for alert in alerts:
        for service in correlate.services_of(alert, catalogue):
            by_service.setdefault(service.name, []).append(alert)
    found = []
    for service in catalogue.services:
        if its := by_service.get(service.name):
            names = frozenset(name for _, name in correlate.equipments_of(its))
            found.append(Hit(service, its, correlate.units_of(its, parents) or (None,), names, None))
    return found


def find_end(case: Case, catalogue: Catalogue, hold: timedelta) -> None:
    """When it, and each service, recovered: as its alerts tell, and for what began before it the end that a person stated."""
    word = case.stated.restored_at if not case.stated.is_going_on else None
    told = [(alert, None if _is_unknown(case, alert, end) else end) for alert, end in correlate.ends_of(case.alerts)]
    ends = {correlate.order_of(alert): correlate.by_word(alert, end, case.stated) for alert, end in told}
    last_told = _last(end for alert, end in told if word and alert.starts_at <= word)
    case.ended = _last([*ends.values(), *([word] if word else [])])
    holds = [end + hold_of(alert, catalogue, hold) for alert, _ in told if (end := ends[correlate.order_of(alert)])]
    if word:
        holds.append(word + max((hold_of(alert, catalogue, hold) for alert in case.alerts), default=hold))
    case.held_at = max(holds, default=None) if case.ended else None
    of_alert = {correlate.order_of(alert): end for alert, end in told}
    for hit in case.hits:
        its = [correlate.order_of(alert) for alert in hit.alerts]
        hit.ended = _last(ends[key] for key in its)
        # of several services the stated end is that of those that recovered last
        if word and hit.ended and hit.ended < word and _last(of_alert[key] for key in its) == last_told:
            hit.ended = word


def _is_unknown(case: Case, alert: Alert, end: datetime | None) -> bool:
    """Whether Grafana calls it over though the rule has no data since then: ignorance never closes."""
    since = case.without_data.get(alert.name) if alert.source == "grafana" else None
    return since is not None and end is not None and end >= since


def _last(ends: Iterable[datetime | None]) -> datetime | None:
    """The last of these; None if one of them is still to come, or there is none."""
    its = list(ends)
    return None if None in its else max((end for end in its if end), default=None)


def named(cases: list[Case]) -> dict[str, set[str | None]]:
    named: dict[str, set[str | None]] = {}
    for case in cases:
        for hit in case.hits:
            named.setdefault(hit.service.name, set()).update(hit.named or {None})
    return named
