"""Stored bodies -> alerts -> incidents, idempotently and in one transaction: a kill at any line loses and doubles nothing.

Whatever is news, the failures it may concern are told apart anew from all that is known of their alerts: late evidence may join two
incidents, part one, or open again what was over.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

import msgspec

from receiver import payloads
from receiver.catalogue import Catalogue
from receiver.incidents import concerned, correlate, handed_on
from receiver.incidents.correlate import Stretch
from receiver.incidents.fold import ended_at, fold
from receiver.incidents.topology import parents_of, related_causes
from receiver.incidents.uncollected import uncollected
from receiver.law.wording import clock_time
from receiver.model import RECEIVER, Alert, AlertEvent, Deed, Incident, Merged, Reopened, Split, Withdrawn
from receiver.stated import Stated, stated
from receiver.storage import acts, notifications, sightings
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database
from receiver.storage.sightings import Key

FURTHEST_AHEAD = timedelta(days=1)
"""By so much the clock of a sender may be ahead of ours."""
BATCH = 500
"""Bodies per transaction at most: with one alert in each it takes less than a tenth of a second. Of large ones it is fewer."""


@uncollected()
def derive_waiting(database: Database, catalogue: Catalogue, hold: timedelta, now: datetime) -> int:
    """Derive a batch of the waiting bodies; how many there were. `hold`: how long a recovery must hold unless its service says."""
    with database.inbox.read() as connection:
        bodies = notifications.waiting(connection, BATCH)
    if not bodies:
        return 0  # without taking a writer's turn
    events: list[tuple[AlertEvent, datetime]] = []
    refused: dict[int, str] = {}
    for body in bodies:
        try:
            decoded = payloads.decode(body.source, body.body, body.learnt)
        except payloads.Unacceptable as error:
            refused[body.id] = str(error)  # taken in by an older version that was less strict
        else:
            events += [(event, body.received_at) for event in decoded]
    with database.write() as connection:
        news = _fold_in(connection, events, catalogue)
        _Books(connection, catalogue, hold, now).enter(news)
    # killed before this they are derived once more, which changes nothing
    with database.inbox.write() as connection:
        for id_, why in refused.items():
            notifications.mark_refused(connection, id_, why)
        notifications.mark_derived(connection, [body.id for body in bodies], now)
    return len(bodies)


def derive_again(
    connection: Connection, catalogue: Catalogue, hold: timedelta, incident_ids: Collection[str], now: datetime
) -> None:
    """Tell these incidents' failures apart anew: more is known of what is above their equipment, or a person had a hand in them."""
    its = store.alerts_of(connection, incident_ids)
    known = [alert for alerts in its.values() for alert in alerts if alert.cause]
    _Books(connection, catalogue, hold, now).enter(_News(known, {}, are_known=True))


class _News(NamedTuple):
    """Sightings that are new, or of which something is new that incidents hang on, as they are now. They are not yet stored.

    `stored`: what the store has of those that changed (None: nothing), by their key. `are_known`: nothing of the alerts is new, but
    what is told of their equipment, or what a person states.
    """

    alerts: list[Alert]
    stored: dict[Key, Alert | None]
    are_known: bool = False


def _fold_in(connection: Connection, events: Iterable[tuple[AlertEvent, datetime]], catalogue: Catalogue) -> _News:
    """What the events say of their alerts. What no incident hangs on is kept at once, what is news with its incident."""
    events = list(events)
    known = sightings.sightings(connection, {(event.source, event.fingerprint) for event, _ in events})
    before: dict[tuple[str, str], Mapping[datetime, Alert]] = {}
    changed: dict[tuple[str, str], dict[datetime, Alert]] = {}
    for event, said_at in events:
        key: tuple[str, str] = (event.source, event.fingerprint)
        starts_at = event.starts_at
        if key not in changed:
            before[key], changed[key] = dict(known[key]), {}
        its = known[key]
        alert = fold(_not_ahead(event, said_at), said_at, its.get(starts_at))
        # looked at again and again: the catalogue may know its service by now
        if alert.cause is None and (cause := correlate.cause_of(alert, catalogue)):
            alert = msgspec.structs.replace(alert, cause=cause)
        its[starts_at] = changed[key][starts_at] = alert
    news = _News([], {})
    others: list[tuple[Alert | None, Alert]] = []
    for key, its in changed.items():
        if len(its) == 1 and not before[key]:  # heard of for the first time, as are most in a storm
            (alert,) = its.values()
            if alert.cause:
                news.alerts.append(alert)
                news.stored[correlate.order_of(alert)] = None
            else:
                others.append((None, alert))
            continue
        then, now = _told(before[key]), _told(known[key])
        for starts_at, alert in known[key].items():
            is_homeless = alert.incident_id is None and starts_at in its
            if is_news := bool(alert.cause and (is_homeless or then.get(starts_at) != now[starts_at])):
                news.alerts.append(alert)
            stored = before[key].get(starts_at)
            if starts_at in its and is_news:
                news.stored[correlate.order_of(alert)] = stored
            elif starts_at in its:
                others.append((stored, alert))
    sightings.keep(connection, others)
    return news


def _not_ahead(event: AlertEvent, said_at: datetime) -> AlertEvent:
    """An end that lies far ahead is no end by any clock: it was over when it was said."""
    if event.ends_at is None or event.ends_at <= said_at + FURTHEST_AHEAD:
        return event
    return msgspec.structs.replace(event, ends_at=max(said_at, event.starts_at))


def _told(by_start: Mapping[datetime, Alert]) -> dict[datetime, tuple[object, ...]]:
    """What incidents hang on, of each sighting of an alert: where nothing of it changed there is nothing to do."""
    its = by_start.values()
    return {each.starts_at: (each.inhibited_by, each.cause, ended_at(each, its)) for each in its}


Homes = list[tuple[Incident, bool]]
"""The incident of each failure, and whether it is a new one parted from another."""
Alike = Mapping[Key, Sequence[Alert]]
"""The news that go where another one goes, by its key."""


class _Books:
    """The incidents that news may concern, told apart anew and entered."""

    def __init__(self, connection: Connection, catalogue: Catalogue, hold: timedelta, now: datetime) -> None:
        self._connection, self._catalogue, self._hold, self._now = connection, catalogue, hold, now
        self._longest_hold = max([hold, *(timedelta(seconds=s.hold_seconds) for s in catalogue.services if s.hold_seconds)])
        self._known: dict[str, Incident] = {}
        self._told_of: set[str] = set()
        self._looked_up: set[str] = set()
        self._words: dict[str, Stated] = {}
        self._reopened: set[str] = set()

    def enter(self, new: _News) -> None:
        if not new.alerts:
            return
        parents, touched, homes, alike = self._told_apart(new)
        taken = {home.id for home, _ in homes}
        kept: list[tuple[Alert | None, Alert]] = []
        saved: list[Incident] = []
        for its, (incident, _) in zip(touched, homes, strict=True):
            units = correlate.units_of((stretch.alert for stretch in its), parents)
            saved.append(self._brought_up_to(incident, its, units, taken))
            kept += _kept(_all_of(its, alike), incident.id, new.stored)
        left = self._left(touched, [incident for incident, _ in homes])
        closed = [self._closed(part, whole) for part, whole, _ in left if part.id in self._told_of]
        store.save(self._connection, *saved, *closed)
        sightings.keep(self._connection, kept)
        store.forget(self._connection, (part.id for part, _, _ in left if part.id not in self._told_of))
        self._write_down(touched, homes, [each for each in left if each[0].id in self._told_of])

    def _told_apart(self, new: _News, *, whole: bool = False) -> tuple[correlate.Parents, list[list[Stretch]], Homes, Alike]:
        """The failures that the news are about, as far as anything hangs on their alerts, with the incident of each; and the news
        that are left out as others stand for them.
        """
        news = new.alerts
        since = min(_since(alert, new.stored.get(correlate.order_of(alert))) for alert in news) - self._longest_hold
        causes = self._causes(news, since)
        if new.are_known and causes is not None:
            # they may go with others that they had nothing to do with while they lasted; of all causes that would be too many
            since = min(alert.starts_at for alert in news) - self._longest_hold
        # where alerts hold for different times, or have more in common than their cause, each may decide
        whole = whole or causes is None or self._catalogue.has_own_holds
        alerts, of_large, alike = concerned.find(self._connection, news, since, causes, whole=whole)
        parents = parents_of(self._connection, self._catalogue, alerts)
        self._look_up({alert.incident_id for alert in alerts if alert.incident_id})
        dismissed = {id_ for id_, incident in self._known.items() if incident.dismissed}
        all_ = correlate.stretches(alerts, self._catalogue, self._hold, self._words)
        failures = correlate.failures(all_, parents, dismissed)
        touched = _touched(failures, {correlate.order_of(alert) for alert in news})
        homes = self._homes(touched)
        # which alerts went into a part is written down, of each
        if (of_large and self._hangs_on_all(of_large, touched, homes)) or (alike and any(is_parted for _, is_parted in homes)):
            return self._told_apart(new, whole=True)
        return parents, touched, homes, alike

    def _hangs_on_all(self, of_large: AbstractSet[str], failures: Sequence[list[Stretch]], homes: Homes) -> bool:
        """Whether alerts of these incidents change their incident, or a person stated when one of them was over."""
        if any(self._word(id_).restored_at or self._word(id_).is_going_on for id_ in of_large):
            return True
        return any(
            each.alert.incident_id in of_large and each.alert.incident_id != home.id
            for its, (home, _) in zip(failures, homes, strict=True)
            for each in its
        )

    def _causes(self, news: Sequence[Alert], since: datetime) -> set[str] | None:
        """The causes that news may concern; None: any, as alerts share labels, or one follows from another."""
        is_inhibited = any(alert.inhibited_by for alert in news) or store.any_inhibited(self._connection, since)
        if self._catalogue.equipment.cause_labels or is_inhibited:
            return None
        return related_causes(self._connection, self._catalogue, news)

    def _homes(self, failures: Sequence[list[Stretch]]) -> Homes:
        """The incident of each failure, and whether it is a new one parted from another.

        Of several that it was in the one that was opened first stays. One that nobody was told of gives way to a new one, whose id
        follows from the first alert.
        """
        self._look_up({correlate.id_of(its[0].alert) for its in failures})
        told = self._told_of
        pins = [next((each.alert.incident_id for each in its if each.alert.pinned), None) for its in failures]
        homes: Homes = []
        # what a person put alerts into is theirs
        taken = {pin for pin in pins if pin}
        for its, pin in zip(failures, pins, strict=True):
            former = {each.alert.incident_id for each in its if each.alert.incident_id}
            possible = [self._known[id_] for id_ in former - taken if id_ in told and not self._known[id_].dismissed]
            home = self._known[pin] if pin else min(possible, key=_seniority, default=None)
            incident = _revived(home) if home and home.joined_to else home or self._opened(its[0].alert, taken)
            taken.add(incident.id)
            homes.append((incident, home is None and not told.isdisjoint(former)))
        return homes

    def _opened(self, first: Alert, taken: Collection[str]) -> Incident:
        id_ = correlate.id_of(first)
        while True:
            self._look_up({id_})
            there = self._known.get(id_)
            if id_ not in taken and (there is None or there.joined_to):
                return correlate.opened_by(first, id_, self._now) if there is None else _revived(there)
            if id_ not in taken and there and not there.dismissed and id_ not in self._told_of:
                return there
            id_ = correlate.id_of(first, after=id_)

    def _look_up(self, ids: AbstractSet[str]) -> None:
        """Incidents by these ids, all at once: in a storm there are thousands."""
        if new := ids - self._looked_up:
            self._looked_up |= new
            self._known |= store.named(self._connection, new)
            self._words |= {id_: stated(said) for id_, said in acts.of_incidents(self._connection, new).items()}
            self._told_of |= store.told(self._connection, new)

    def _brought_up_to(
        self, incident: Incident, its: Sequence[Stretch], units: tuple[str, ...], taken: Collection[str]
    ) -> Incident:
        """The incident with what its alerts tell of its start, its equipment and whether it is over. The clock does the rest."""
        if incident.dismissed:
            return incident
        first = its[0].start
        parts = [self._known[id_] for each in its if (id_ := each.alert.incident_id) and id_ not in taken]
        earliest = min([incident, *parts], key=attrgetter("failure_started_at"))
        ends = [each.end for each in its]
        over = None if None in ends else max(end for end in ends if end)
        changed = msgspec.structs.replace(
            incident,
            units=units,
            equipment=units[0] if units else None,
            failure_started_at=earliest.failure_started_at,
            start_basis=earliest.start_basis,
            good_at=earliest.good_at,
        )
        if first < earliest.failure_started_at:
            changed = msgspec.structs.replace(changed, failure_started_at=first, start_basis="starts_at", start_settled=False)
        elif earliest.start_basis != "equipment_series":
            changed = msgspec.structs.replace(changed, start_settled=False)  # one more alert may know an earlier start
        if incident.state in ("restored", "closed"):
            changed = msgspec.structs.replace(changed, to_assess=True)
            if over is None or incident.restored_at is None or over > incident.restored_at:
                changed = msgspec.structs.replace(changed, state="open", restored_at=None, closed_at=None)
                self._reopened.add(incident.id)
        return changed

    def _left(self, failures: Sequence[list[Stretch]], homes: Sequence[Incident]) -> list[tuple[Incident, Incident, Stretch]]:
        """The incidents that turned out to be part of another one, with that one and what belongs to both."""
        taken = {incident.id for incident in homes}
        left: dict[str, tuple[Incident, Incident, Stretch]] = {}
        for its, home in zip(failures, homes, strict=True):
            for each in its:
                if (id_ := each.alert.incident_id) and id_ not in taken:
                    left.setdefault(id_, (self._known[id_], home, each))
        return list(left.values())

    def _closed(self, part: Incident, whole: Incident) -> Incident:
        """The part of another; whoever was told of it is told this, too."""
        return msgspec.structs.replace(part, state="closed", joined_to=whole.id, closed_at=self._now, to_assess=True)

    def _write_down(
        self,
        failures: Sequence[list[Stretch]],
        homes: Homes,
        joined: Sequence[tuple[Incident, Incident, Stretch]],
    ) -> None:
        """What was joined and parted, in the history of both; and what persons stated, as it holds for what they became."""
        parts = {part.id for part, _, _ in joined}
        for part, whole, stretch in joined:
            why = f"by later evidence one failure: {stretch.alert.name} of {clock_time(stretch.start)} belongs to both"
            deeds = handed_on.after_merge((whole, self._word(whole.id)), (part, self._word(part.id)))
            deeds += handed_on.facts_of_a_part(self._word(whole.id), self._word(part.id))
            self._add(part.id, why, Merged(part.id, whole.id))
            self._add(whole.id, why, Merged(part.id, whole.id), *deeds)
        its_failure = {incident.id: its for its, (incident, _) in zip(failures, homes, strict=True)}
        for its, (incident, is_parted) in zip(failures, homes, strict=True):
            if is_parted:
                whole_id = next(id_ for each in its if (id_ := each.alert.incident_id) in self._told_of and id_)
                why = f"by later evidence it was over before {clock_time(its[0].start)}, when another failure began"
                deed = Split(incident.id, whole_id, tuple((each.alert.source, each.alert.fingerprint) for each in its))
                stays = its_failure.get(whole_id, its)
                halves = _half(its, has_first=False), _half(stays, has_first=True)
                of_part, of_whole = handed_on.after_split(self._word(whole_id), *halves)
                self._add(whole_id, why, deed, *of_whole)
                self._add(incident.id, why, deed, *of_part)
            elif self._word(incident.id).is_closed and incident.id in self._reopened:
                self._add(incident.id, "by later evidence it went on for longer", Reopened())
            stated_start = self._word(incident.id).started_at
            came = [each.start for each in its if each.alert.incident_id not in {incident.id, *parts}]
            if stated_start and came and min(came) < stated_start:
                self._add(incident.id, "by later evidence it began earlier", Withdrawn(("started_at",)))

    def _word(self, id_: str) -> Stated:
        return self._words.get(id_, _NOTHING)

    def _add(self, id_: str, why: str, *deeds: Deed) -> None:
        for deed in deeds:
            acts.add(self._connection, id_, self._now, RECEIVER, why, deed)


_NOTHING = Stated()


def _all_of(its: Iterable[Stretch], alike: Alike) -> Iterator[Alert]:
    for stretch in its:
        yield stretch.alert
        yield from alike.get(stretch.order, ())


def _kept(its: Iterable[Alert], id_: str, stored: Mapping[Key, Alert | None]) -> Iterator[tuple[Alert | None, Alert]]:
    """Those of the alerts of this incident that are not yet in the store as they are, with what the store has of them."""
    for alert in its:
        before = stored.get(correlate.order_of(alert), alert)
        now = alert if alert.incident_id == id_ else msgspec.structs.replace(alert, incident_id=id_)
        if now is not before:
            yield before, now


def _touched(failures: Sequence[list[Stretch]], news: AbstractSet[correlate.Key]) -> list[list[Stretch]]:
    """The failures that the news are about, and all others that had a part in an incident with one of them."""
    touched = [any(each.order in news for each in its) for its in failures]
    former: set[str | None] = set()
    while (
        new := {e.alert.incident_id for its, is_so in zip(failures, touched, strict=True) if is_so for e in its} - former - {None}
    ):
        former |= new
        touched = [
            is_so or any(each.alert.incident_id in former for each in its) for its, is_so in zip(failures, touched, strict=True)
        ]
    return [its for its, is_so in zip(failures, touched, strict=True) if is_so]


def _seniority(incident: Incident) -> tuple[datetime, datetime, str]:
    return incident.opened_at, incident.failure_started_at, incident.id


def _half(its: Sequence[Stretch], *, has_first: bool) -> handed_on.Half:
    ends = [each.end for each in its]
    return handed_on.Half(its[0].start, None if None in ends else max(end for end in ends if end), has_first)


def _since(alert: Alert, stored: Alert | None) -> datetime:
    """From when on news of this alert may matter to others: of one that is over and belongs to an incident, from its end on, be it
    the one that the store has.
    """
    if not alert.ends_at or not alert.incident_id:
        return alert.starts_at
    return min(alert.ends_at, stored.ends_at) if stored and stored.ends_at else alert.ends_at


def _revived(incident: Incident) -> Incident:
    return msgspec.structs.replace(incident, state="open", joined_to=None, restored_at=None, closed_at=None)
