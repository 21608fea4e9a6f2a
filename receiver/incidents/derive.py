"""Stored bodies -> alerts -> incidents, idempotently and in one transaction: a kill at any line loses and doubles nothing.

Whatever is news, the failures it may concern are told apart anew from all that is known of their alerts: late evidence may join two
incidents, part one, or open again what was over.
"""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from operator import attrgetter

import msgspec

from receiver import payloads
from receiver.catalogue import Catalogue
from receiver.incidents import correlate, handed_on
from receiver.incidents.correlate import Stretch
from receiver.incidents.fold import ended_at, fold
from receiver.incidents.topology import parents_of, related_causes
from receiver.law.wording import clock_time
from receiver.model import RECEIVER, Alert, AlertEvent, Deed, Incident, Merged, Reopened, Split, Withdrawn
from receiver.stated import Stated, stated
from receiver.storage import acts, notifications
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database

FURTHEST_AHEAD = timedelta(days=1)
"""By so much the clock of a sender may be ahead of ours."""
BATCH = 20
"""Bodies per transaction: with a hundred alerts in each, nothing can be taken in for a tenth of a second."""


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
            decoded = payloads.decode(body.source, body.body)
        except payloads.Unacceptable as error:
            refused[body.id] = str(error)  # taken in by an older version that was less strict
        else:
            events += ((msgspec.structs.replace(event, learnt=body.learnt), body.received_at) for event in decoded)
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
    _Books(connection, catalogue, hold, now).enter([alert for alerts in its.values() for alert in alerts if alert.cause])


def _fold_in(connection: Connection, events: Iterable[tuple[AlertEvent, datetime]], catalogue: Catalogue) -> list[Alert]:
    """Keep what the events say of their alerts; those sightings that are new, or whose time or cause is another now."""
    events = list(events)
    known = store.sightings(connection, ((event.source, event.fingerprint) for event, _ in events))
    before = {key: dict(its) for key, its in known.items()}
    changed: dict[tuple[str, str, datetime], Alert] = {}
    for event, said_at in events:
        its = known.setdefault((event.source, event.fingerprint), {})
        alert = fold(_not_ahead(event, said_at), said_at, its.get(event.starts_at))
        # looked at again and again: the catalogue may know its service by now
        alert = msgspec.structs.replace(alert, cause=alert.cause or correlate.cause_of(alert, catalogue))
        its[event.starts_at] = changed[event.source, event.fingerprint, event.starts_at] = alert
    store.save_alerts(connection, changed.values())
    news: list[Alert] = []
    for key in dict.fromkeys(key[:2] for key in changed):
        then, now = _told(before.get(key, {})), _told(known[key])
        for starts_at, alert in known[key].items():
            is_homeless = alert.incident_id is None and (*key, starts_at) in changed
            if alert.cause and (is_homeless or then.get(starts_at) != now[starts_at]):
                news.append(alert)
    return news


def _not_ahead(event: AlertEvent, said_at: datetime) -> AlertEvent:
    """An end that lies far ahead is no end by any clock: it was over when it was said."""
    if event.ends_at is None or event.ends_at <= said_at + FURTHEST_AHEAD:
        return event
    return msgspec.structs.replace(event, ends_at=max(said_at, event.starts_at))


def _told(sightings: dict[datetime, Alert]) -> dict[datetime, tuple[object, ...]]:
    """What incidents hang on, of each sighting of an alert: where nothing of it changed there is nothing to do."""
    its = sightings.values()
    return {each.starts_at: (each.inhibited_by, each.cause, ended_at(each, its)) for each in its}


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

    def enter(self, news: Sequence[Alert]) -> None:
        if not news:
            return
        alerts = self._all_concerned(news)
        parents = parents_of(self._connection, self._catalogue, alerts)
        self._look_up({alert.incident_id for alert in alerts if alert.incident_id})
        dismissed = {id_ for id_, incident in self._known.items() if incident.dismissed}
        all_ = correlate.stretches(alerts, self._catalogue, self._hold, self._words)
        failures = correlate.failures(all_, parents, dismissed)
        touched = _touched(failures, {correlate.order_of(alert) for alert in news})
        homes = self._homes(touched)
        moved: list[Alert] = []
        saved: list[Incident] = []
        for its, (incident, _) in zip(touched, homes, strict=True):
            units = correlate.units_of((stretch.alert for stretch in its), parents)
            saved.append(self._brought_up_to(incident, its, units, {home.id for home, _ in homes}))
            moved += (msgspec.structs.replace(s.alert, incident_id=incident.id) for s in its if s.alert.incident_id != incident.id)
        left = self._left(touched, [incident for incident, _ in homes])
        closed = [self._closed(part, whole) for part, whole, _ in left if part.id in self._told_of]
        store.save(self._connection, *saved, *closed)
        store.save_alerts(self._connection, moved)
        store.forget(self._connection, (part.id for part, _, _ in left if part.id not in self._told_of))
        self._write_down(touched, homes, [each for each in left if each[0].id in self._told_of])

    def _all_concerned(self, news: Sequence[Alert]) -> list[Alert]:
        """The alerts near the news in time, and all of the incidents these belong to."""
        since = min(_since(alert) for alert in news) - self._longest_hold
        near = store.about_services(self._connection, since, self._causes(news, since))
        found = {correlate.order_of(alert): alert for alert in (*near, *news)}
        asked: set[str] = set()
        while ids := {alert.incident_id for alert in found.values() if alert.incident_id} - asked:
            asked |= ids
            for its in store.alerts_of(self._connection, ids).values():
                found |= {correlate.order_of(alert): alert for alert in its}
        return list(found.values())

    def _causes(self, news: Sequence[Alert], since: datetime) -> set[str] | None:
        """The causes that news may concern; None: any, as alerts share labels, or one follows from another."""
        if self._catalogue.equipment.cause_labels or store.any_inhibited(self._connection, since):
            return None
        return related_causes(self._connection, self._catalogue, news)

    def _homes(self, failures: Sequence[list[Stretch]]) -> list[tuple[Incident, bool]]:
        """The incident of each failure, and whether it is a new one parted from another.

        Of several that it was in the one that was opened first stays. One that nobody was told of gives way to a new one, whose id
        follows from the first alert.
        """
        self._look_up({correlate.id_of(its[0].alert) for its in failures})
        told = self._told_of
        pins = [next((each.alert.incident_id for each in its if each.alert.pinned), None) for its in failures]
        homes: list[tuple[Incident, bool]] = []
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
        homes: Sequence[tuple[Incident, bool]],
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


def _since(alert: Alert) -> datetime:
    """From when on news of this alert may matter to others: of one that is over and belongs to an incident, from its end on."""
    return alert.ends_at if alert.ends_at and alert.incident_id else alert.starts_at


def _revived(incident: Incident) -> Incident:
    return msgspec.structs.replace(incident, state="open", joined_to=None, restored_at=None, closed_at=None)
