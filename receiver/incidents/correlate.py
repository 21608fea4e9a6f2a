"""Which alerts are one failure: a pure function of what is known of them, so that no order of arrival matters.

Alerts of one cause, or of related causes, no more than the hold apart are one failure. Related are equipment and what is above it,
alerts that share the value of a cause label, and an alert with the one that inhibits it. `groupKey` is no identity: it changes on a
reload and is not unique. The id of an incident is ours.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.incidents.fold import ended_at
from receiver.law.provisions import JST
from receiver.model import Alert, Incident
from receiver.stated import Stated

Key = tuple[datetime, str, str]
"""startsAt, source, fingerprint: the stretches of all alerts in one order."""
Parents = Mapping[str, str | None]
"""Of a cause, the cause that its equipment's parent would be; what nobody has told of is left out."""


def order_of(alert: Alert) -> Key:
    return alert.starts_at, alert.source, alert.fingerprint


def services_of(alert: Alert, catalogue: Catalogue) -> list[Service]:
    """The services an alert is about, in the order of the catalogue. A person names them."""
    if alert.source == "person":
        named = alert.labels.get("service", "").split(",")
        return [service for service in catalogue.services if service.name in named]
    return catalogue.services_of(alert.labels)


_EQUIPMENT = "equipment:"


def cause_of(alert: Alert, catalogue: Catalogue) -> str | None:
    """The cause an alert points to; None if it is about no service of the catalogue.

    Alerts on the same equipment have the same cause, whichever services they tell of.
    """
    services = services_of(alert, catalogue)
    if not services or alert.is_ignorance:
        return None
    for service in services:
        label = service.equipment_label
        if equipment := alert.labels.get("equipment" if alert.source == "person" else label):
            return of_equipment(label, equipment)
    return f"services:{'+'.join(service.name for service in services)}"


def equipment_of(alert: Alert) -> tuple[str, str] | None:
    """Label and name of the equipment that an alert points to; None if it names none."""
    return None if alert.cause is None else equipment_named_by(alert.cause)


def equipments_of(alerts: Iterable[Alert]) -> set[tuple[str, str]]:
    """Label and name of all equipment that these alerts point to."""
    causes = {alert.cause for alert in alerts if alert.cause}
    return {equipment for cause in causes if (equipment := equipment_named_by(cause))}


def equipment_named_by(cause: str) -> tuple[str, str] | None:
    if not cause.startswith(_EQUIPMENT):
        return None
    label, _, name = cause.removeprefix(_EQUIPMENT).partition("=")
    return label, name


def of_equipment(label: str, name: str) -> str:
    return f"{_EQUIPMENT}{label}={name}"


def hold_of(alert: Alert, catalogue: Catalogue, default: timedelta) -> timedelta:
    """How long a recovery from this alert must hold: the longest of its services."""
    if not catalogue.has_own_holds:
        return default
    holds = [
        default if service.hold_seconds is None else timedelta(seconds=service.hold_seconds)
        for service in services_of(alert, catalogue)
    ]
    return max(holds, default=default)


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """One sighting of an alert as an interval. `reach`: until when what follows belongs to the same failure; None while it fires.

    `shared` is what it has in common with alerts of other causes.
    """

    alert: Alert
    order: Key
    end: datetime | None
    reach: datetime | None
    shared: tuple[str, ...] = ()

    @property
    def start(self) -> datetime:
        return self.alert.starts_at


def ends_of(alerts: Iterable[Alert]) -> list[tuple[Alert, datetime | None]]:
    """Each of these with its end as all sightings of the same alert among them tell; None while it fires."""
    by_alert: dict[tuple[str, str], list[Alert]] = defaultdict(list)
    for alert in alerts:
        by_alert[alert.source, alert.fingerprint].append(alert)
    return [(alert, ended_at(alert, its)) for its in by_alert.values() for alert in its]


def by_word(alert: Alert, end: datetime | None, word: Stated | None) -> datetime | None:
    """The end of an alert by what a person stated of its incident. A stated end holds for what began before it, and for no more."""
    if word is None:
        return end
    if word.is_going_on:
        return None
    if word.restored_at and alert.starts_at <= word.restored_at:
        return word.restored_at if end is None else min(end, word.restored_at)
    return end


def stretches(
    alerts: Iterable[Alert], catalogue: Catalogue, hold: timedelta, words: Mapping[str, Stated] = MappingProxyType({})
) -> list[Stretch]:
    """The alerts that are about a service, each with its end, earliest first. `words`: what persons stated, by incident."""
    alerts = list(alerts)
    inhibitors = {inhibitor for alert in alerts for inhibitor in alert.inhibited_by}
    found = []
    for alert, told in ends_of(alerts):
        if alert.cause is not None:
            word = words.get(alert.incident_id or "")
            end = by_word(alert, told, word)
            reach = None
            if end is not None:
                stated_end = word.restored_at if word else None
                last = max(end, stated_end) if stated_end and alert.starts_at <= stated_end else end
                reach = last + hold_of(alert, catalogue, hold)
            found.append(Stretch(alert, order_of(alert), end, reach, _shared(alert, catalogue, inhibitors)))
    return sorted(found, key=attrgetter("order"))


_INHIBITION = "inhibition by "


def _shared(alert: Alert, catalogue: Catalogue, inhibitors: AbstractSet[str]) -> tuple[str, ...]:
    """An alert that is inhibited shares this with the one that inhibits it: the operator says that it follows from that one."""
    shared = [f"{name}={value}" for name in catalogue.equipment.cause_labels if (value := alert.labels.get(name))]
    shared += [_INHIBITION + inhibitor for inhibitor in alert.inhibited_by]
    if alert.fingerprint in inhibitors:
        shared.append(_INHIBITION + alert.fingerprint)
    return tuple(shared)


def failures(all_: Sequence[Stretch], parents: Parents, alone: AbstractSet[str] = frozenset()) -> list[list[Stretch]]:
    """The stretches of each failure, earliest first. `alone`: incidents that take in nothing more, as a person dismissed them.

    What a person put into one incident stays there, and what was put into two is never joined: what is related to both belongs to
    the one that has its own alert, else its own equipment, else to the nearest.
    """
    groups = _Groups(all_, alone)
    for earlier, later in _same_alert(all_):
        groups.join_twins(earlier, later)
    links = _related(all_, parents)
    # which of two takes it is a question only where a person parted or dismissed something
    for link in sorted(links, key=_nearness) if any(stretch.alert.pinned for stretch in all_) else links:
        groups.join(link.earlier, link.later)
    return groups.found()


def _same_alert(all_: Iterable[Stretch]) -> Iterator[tuple[Stretch, Stretch]]:
    """Sightings of one alert that overlap: a pair of Alertmanagers, or a restart of Prometheus, gives it another startsAt."""
    furthest: dict[tuple[str, str], Stretch] = {}
    for stretch in all_:
        key = stretch.alert.source, stretch.alert.fingerprint
        earlier = furthest.get(key)
        if earlier is not None and (earlier.end is None or stretch.start <= earlier.end):
            yield earlier, stretch
        if earlier is None or (earlier.end is not None and (stretch.end is None or stretch.end > earlier.end)):
            furthest[key] = stretch


def near(earlier: Stretch, later: Stretch) -> bool:
    """Whether `later`, which begins no sooner, begins before the recovery from `earlier` has held."""
    return earlier.reach is None or later.start <= earlier.reach


_BY_PERSON, _ONE_ALERT, _ONE_CAUSE, _RELATED = range(4)


class _Link(NamedTuple):
    """Two stretches that are one failure, and by what. `steps`: so far the equipment of one lies above that of the other."""

    by: int
    earlier: Stretch
    later: Stretch
    steps: int = 0


def _nearness(link: _Link) -> tuple[int, timedelta, int, Key, Key]:
    """What fires again continues its own incident, though another that it is related to may be nearer in time."""
    earlier, later = link.earlier, link.later
    gap = max(later.start - earlier.end, timedelta()) if earlier.end else timedelta()
    return link.by, gap, link.steps, earlier.order, later.order


def _related(all_: Sequence[Stretch], parents: Parents) -> Iterator[_Link]:
    """Links enough to find each failure whole, not all that there are."""
    by_alert: dict[tuple[str, ...], list[Stretch]] = defaultdict(list)
    by_cause: dict[str, list[Stretch]] = defaultdict(list)
    by_share: dict[str, list[Stretch]] = defaultdict(list)
    pinned: dict[str | None, list[Stretch]] = defaultdict(list)
    for stretch in all_:
        cause = stretch.alert.cause or ""
        by_alert[stretch.alert.source, stretch.alert.fingerprint, cause].append(stretch)
        by_cause[cause].append(stretch)
        for share in stretch.shared:
            by_share[share].append(stretch)
        if stretch.alert.pinned:
            pinned[stretch.alert.incident_id].append(stretch)
    for its in pinned.values():
        yield from (_Link(_BY_PERSON, *pair) for pair in pairwise(its))
    for its in by_alert.values():
        if len(its) > 1:
            yield from _chained(its, _ONE_ALERT)
    for its in by_cause.values():
        yield from _chained(its, _ONE_CAUSE)
    for share, its in by_share.items():
        inhibitor = share.removeprefix(_INHIBITION)
        if inhibitor != share and not any(inhibitor in stretch.alert.inhibited_by for stretch in its):
            continue  # inhibits nothing
        yield from _chained(its, _RELATED)
    for cause, its in by_cause.items():
        for steps, above in enumerate(_above(cause, parents), start=1):
            if above in by_cause:
                yield from _chained(sorted([*its, *by_cause[above]], key=attrgetter("order")), _RELATED, steps)


def _above(cause: str, parents: Parents) -> Iterator[str]:
    passed = {cause}
    above = parents.get(cause)
    while above is not None and above not in passed:
        yield above
        passed.add(above)
        above = parents.get(above)


def _chained(its: Sequence[Stretch], by: int, steps: int = 0) -> Iterator[_Link]:
    """Each stretch with the one before it that reaches furthest: of those that nobody put anywhere, and of each incident into which
    a person put some.
    """
    furthest: dict[str | None, Stretch] = {}
    for stretch in its:
        for earlier in furthest.values():
            if near(earlier, stretch):
                yield _Link(by, earlier, stretch, steps)
        pin = stretch.alert.incident_id if stretch.alert.pinned else None
        earlier_one = furthest.get(pin)
        if earlier_one is None or (earlier_one.reach is not None and (stretch.reach is None or stretch.reach > earlier_one.reach)):
            furthest[pin] = stretch


class _Groups:
    """Union-find over stretches, by their places in the order of all; the first leads its group. A group into which a person put
    something is that person's incident.
    """

    def __init__(self, all_: Sequence[Stretch], alone: AbstractSet[str]) -> None:
        self._all, self._alone = all_, alone
        self._place = {id(stretch): place for place, stretch in enumerate(all_)}
        self._leader = list(range(len(all_)))
        self._pin = {place: stretch.alert.incident_id for place, stretch in enumerate(all_) if stretch.alert.pinned}

    def join(self, one: Stretch, other: Stretch) -> None:
        first, second = self._of(one), self._of(other)
        if first == second:
            return
        if first > second:
            first, second = second, first
        pins = self._pin.get(first), self._pin.get(second)
        if pins[0] != pins[1] and (None not in pins or not self._alone.isdisjoint(filter(None, pins))):
            return
        self._leader[second] = first
        if pin := pins[0] or pins[1]:
            self._pin[first] = pin

    def join_twins(self, one: Stretch, other: Stretch) -> None:
        """As `join`; but what a person dismissed takes in the other sightings of its own alert."""
        pins = {self._pin.get(self._of(one)), self._pin.get(self._of(other))}
        if len(pins) == 2 and None in pins and not self._alone.isdisjoint(filter(None, pins)):
            first, second = sorted((self._of(one), self._of(other)))
            self._leader[second] = first
            self._pin[first] = next(pin for pin in pins if pin)
        else:
            self.join(one, other)

    def _of(self, stretch: Stretch) -> int:
        leader, place = self._leader, self._place[id(stretch)]
        while (above := leader[place]) != place:
            leader[place] = place = leader[above]
        return place

    def found(self) -> list[list[Stretch]]:
        groups: dict[int, list[Stretch]] = defaultdict(list)
        for stretch in self._all:
            groups[self._of(stretch)].append(stretch)
        return list(groups.values())


def units_of(its: Iterable[Alert], parents: Parents) -> tuple[str, ...]:
    """The equipment that failed, the first to fail first; without what lies under other equipment that failed."""
    causes = dict.fromkeys(alert.cause for alert in its if alert.cause)
    by_cause = {cause: equipment[1] for cause in causes if (equipment := equipment_named_by(cause))}
    topmost = tuple(dict.fromkeys(name for cause, name in by_cause.items() if by_cause.keys().isdisjoint(_above(cause, parents))))
    # where what is written down contradicts what was learnt, each may seem to lie under another
    return topmost or tuple(by_cause.values())[:1]


def id_of(first: Alert, after: str = "") -> str:
    """The id of the incident that begins with this alert: it follows from cause and time, so it is the same whoever derives it.

    `after` is the id of another incident that began with the same alert, if there is one.
    """
    digest = hashlib.sha256(f"{first.cause}\n{first.starts_at.isoformat()}\n{after}".encode()).digest()
    return f"{first.starts_at.astimezone(JST):%Y%m%d}-{base64.b32encode(digest)[:10].decode().lower()}"


def opened_by(first: Alert, id_: str, now: datetime) -> Incident:
    """The incident that begins with this alert."""
    return Incident(
        id=id_,
        cause=first.cause or "",
        equipment=None,
        state="open",
        opened_at=now,
        # a start that lies ahead (a wrong clock, an alert made by hand) is no start: it is there now
        failure_started_at=min(first.starts_at, now),
        start_basis="starts_at",
    )
