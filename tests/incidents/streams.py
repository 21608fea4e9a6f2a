"""A small network, what truly failed in it, all that Alertmanager may make of that, and the incidents that must come of it.

`Outage` is the truth. `told` says it as Alertmanager does: in pairs and trios with starts of their own, repeated, late, regrouped,
with labels and annotations that change, cut by max_alerts. `expected` works out the incidents from the truth alone, by the rules
and by brute force: nothing of the product is asked. `House` is a worker over a real store, without HTTP.

What every stream ends with: the last word on each alert, which Alertmanager itself sends again and again. It must come last, for
what is said to fire more than a minute (incidents.fold.LATE) after its end, and not to be over since, does fire: of a notification
that was under way for long nobody can tell. Before that last word anything may come in any order, and any number of times.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from hypothesis import strategies as st
from sqlalchemy import event

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import UserInputs
from receiver.catalogue.topology import Declared, DeclaredUnit
from receiver.delivery.plan import Route
from receiver.incidents.derive import derive_waiting
from receiver.law.rulebook import shipped
from receiver.model import Alert, Assessment, Conclusion, Delivery, Incident, Learnt
from receiver.observation.prometheus import NotOffered, Prometheus, QueryFailed, Sample, Series
from receiver.settings import AuthenticationSettings, PrometheusSettings, Settings
from receiver.storage import deliveries, notifications
from receiver.storage import incidents as store
from receiver.storage.database import Database
from receiver.worker import Worker
from tests.apps import SetClock
from tests.fakes.memory import MemoryTarget
from tests.stores import put_store

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HOLD = timedelta(minutes=30)
LEAD = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)
EXAMPLES = int(os.environ.get("ART58_EXAMPLES", "1"))
"""So many times the examples of an ordinary run: `ART58_EXAMPLES=50 .venv/bin/python -m pytest tests/incidents` digs deeper."""

PARENTS = {"core-1": None, "edge-1a": "core-1", "cell-1a": "edge-1a", "edge-1b": "core-1", "core-2": None, "edge-2": "core-2"}
PLACES = (*PARENTS, None)
"""Two trees, and a service of which no equipment is named."""
MAJOR_AFTER = {"voice": timedelta(hours=1), "data": timedelta(hours=2)}
"""With 30,000 users or more and fewer than 100,000; rows 1 and 6 of the table from 2026-04-01."""
USERS = 30_000
"""Under each equipment, and in all of a service of which none is named; no three that are not one above another have 100,000."""

_COUNTED = UserInputs(emergency_calls_affected=0)
CATALOGUE = Catalogue(
    (
        Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',), users=_COUNTED, users_total=USERS),
        Service(name="data", kind="internet_access", match=('service="data"',), users=_COUNTED, users_total=USERS),
    ),
    Declared(
        units=tuple(DeclaredUnit(name=name, parent=parent) for name, parent in PARENTS.items()),
        cause_labels=("power_feed",),
    ),
)


class Outage(NamedTuple):
    """One alert's stretch of truth: where, which service, minutes after T0. `end` is None: it fires on."""

    place: str | None
    service: str
    start: float
    end: float | None
    feed: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        named = {"equipment": self.place, "power_feed": self.feed}
        return {"alertname": "Art58EquipmentDown", "service": self.service} | {k: v for k, v in named.items() if v}


class Hit(NamedTuple):
    """What became of one service. `end`: when it recovered; how long it `lasted` is final then."""

    service: str
    end: datetime | None
    lasted: timedelta | None
    verdict: str
    users: int | None


class Found(NamedTuple):
    """An incident as people see it; `state` as in the model."""

    outages: frozenset[int]
    units: frozenset[str]
    start: datetime
    end: datetime | None
    state: str
    hits: frozenset[Hit]


# the truth and what must come of it


def moment(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def is_above(upper: str | None, lower: str | None) -> bool:
    above = PARENTS.get(lower or "")
    while above is not None:
        if above == upper:
            return True
        above = PARENTS.get(above)
    return False


def is_same_failure(one: Outage, other: Outage) -> bool:
    """By the rules: one cause, or causes that are related, and no more than the hold between them."""
    by_place = one.place == other.place and (one.place is not None or one.service == other.service)
    related = by_place or is_above(one.place, other.place) or is_above(other.place, one.place)
    if not related and (one.feed is None or one.feed != other.feed):
        return False
    first, second = sorted((one, other), key=lambda outage: outage.start)
    return first.end is None or timedelta(minutes=second.start - first.end) <= HOLD


def failures(truth: Sequence[Outage], same: Callable[[Outage, Outage], bool] = is_same_failure) -> list[set[int]]:
    """Everything with everything that it is the same failure with, until nothing more comes together."""
    groups = [{number} for number in range(len(truth))]
    together = True
    while together:
        together = False
        for one, other in itertools.combinations(groups, 2):
            if any(same(truth[a], truth[b]) for a in one for b in other):
                one |= other
                groups.remove(other)
                together = True
                break
    return groups


def last_end(its: Iterable[Outage]) -> datetime | None:
    ends = [outage.end for outage in its]
    return None if None in ends else moment(max(end for end in ends if end is not None))


def expected(truth: Sequence[Outage], now: datetime) -> set[Found]:
    """The incidents at `now`, all of the truth being past and known."""
    found = set()
    for numbers in failures(truth):
        its = [truth[number] for number in numbers]
        start, end = moment(min(outage.start for outage in its)), last_end(its)
        by_service = {service: [o for o in its if o.service == service] for service in {o.service for o in its}}
        hits = [_hit(service, start, its_own, now) for service, its_own in by_service.items()]
        if end is None:
            state = "open"
        elif now < end + HOLD:
            state = "recovering"
        else:
            # what may be major waits for a person
            state = "restored" if any(hit.lasted and hit.lasted >= MAJOR_AFTER[hit.service] for hit in hits) else "closed"
        found.add(Found(frozenset(numbers), topmost(its), start, end, state, frozenset(hits)))
    return found


def topmost(its: Iterable[Outage]) -> frozenset[str]:
    """The equipment that failed, without what is below other equipment that failed."""
    places = {outage.place for outage in its if outage.place}
    return frozenset(place for place in places if not any(is_above(other, place) for other in places))


def _hit(service: str, start: datetime, its: list[Outage], now: datetime) -> Hit:
    end = last_end(its)
    units, lasted = topmost(its), None if end is None else end - start
    # how many of a service are hit whose equipment is not named is not known: all users, or nobody
    verdict = "indeterminate"
    if units:
        # so many users are in the periodic report however short it was
        verdict = "major" if (end or now) - start >= MAJOR_AFTER[service] else "periodic"
    return Hit(service, end, lasted, verdict, USERS * max(len(units), 1))


# what Alertmanager says of it


class Said(NamedTuple):
    """One alert in a body, as Alertmanager writes it, and since when (minutes after T0) it could be written."""

    at: float
    alert: dict[str, Any]


class Body(NamedTuple):
    """One notification; `at`: when it was sent."""

    at: float
    body: bytes
    learnt: Learnt = "webhook"

    def __repr__(self) -> str:
        alerts = ", ".join(
            f"{alert['status']} {' '.join(v for k, v in alert['labels'].items() if k != 'alertname')} {alert['startsAt'][11:19]}"
            + (f"-{alert['endsAt'][11:19]}" if alert["status"] == "resolved" else "")
            for alert in json.loads(self.body)["alerts"]
        )
        return f"<{self.at:g}: {alerts}>"


class Stream(NamedTuple):
    """`before` may come in any order and any number of times; `last` comes after that, in any order too."""

    truth: tuple[Outage, ...]
    before: tuple[Body, ...]
    last: tuple[Body, ...]


def say(outage: Outage, at: float, *, start: float, end: float | None = None, annotation: str = "", **labels: str) -> Said:
    """`start` and `end` as this Alertmanager has them; firing unless `end` is given."""
    every = outage.labels | labels
    alert = {
        "status": "firing" if end is None else "resolved",
        "labels": every,
        "annotations": {"summary": annotation},
        "startsAt": moment(start).isoformat(),
        # while it fires Alertmanager writes Go's "no time" here
        "endsAt": "0001-01-01T00:00:00Z" if end is None else moment(end).isoformat(),
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": hashlib.sha256(json.dumps(every, sort_keys=True).encode()).hexdigest()[:16],
    }
    return Said(at, alert)


def body(
    said: Sequence[Said], at: float, *, status: str = "firing", group: str = "{}", cut: int = 0, learnt: Learnt = "webhook"
) -> Body:
    document = {
        "version": "4",
        "groupKey": group,
        "truncatedAlerts": cut,
        "status": status,
        "receiver": "art58",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": [one.alert for one in said],
    }
    return Body(at, json.dumps(document).encode(), learnt)


@st.composite
def truths(draw: st.DrawFn, most: int = 6) -> tuple[Outage, ...]:
    """Up to `most` outages at a few places; those that would be one stretch of one alert do not overlap."""
    places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True))
    truth: list[Outage] = []
    before = 0.0
    for _ in range(draw(st.integers(1, most))):
        # at any time; or so long after the one before: shortly before the hold, at it, shortly after it
        gap = draw(st.sampled_from((None, HOLD - 5 * MINUTE, HOLD, HOLD + 5 * MINUTE)))
        start = draw(st.integers(0, 30)) * 5.0 if gap is None else before + gap / MINUTE
        lasts = draw(st.integers(1, 18) | st.none())
        new = Outage(
            draw(st.sampled_from(places)),
            draw(st.sampled_from(("voice", "data"))),
            start,
            None if lasts is None else start + lasts * 5,
            draw(st.sampled_from((None, None, None, "feed-1", "feed-2"))),
        )
        if not any(new.labels == old.labels and _touch(new, old) for old in truth):
            truth.append(new)
            before = new.start if new.end is None else new.end
    return tuple(truth)


def _touch(one: Outage, other: Outage) -> bool:
    first, second = sorted((one, other), key=lambda outage: outage.start)
    return first.end is None or second.start < first.end + 5


def told(draw: st.DrawFn, outage: Outage) -> tuple[list[Said], list[Said]]:
    """What is said of one outage, and the last word on it."""
    if outage.end is not None and draw(st.integers(0, 3)) == 0:
        # a label that says nothing of the failure changes meanwhile: to Alertmanager the one alert ends, and another begins
        middle = (outage.start + outage.end) / 2
        first, last_of_first = _told(draw, outage, outage.start, middle)
        second, last_of_second = _told(draw, outage, middle, outage.end, instance="10.0.0.1:9100")
        return first + second, last_of_first + last_of_second
    return _told(draw, outage, outage.start, outage.end)


def _told(draw: st.DrawFn, outage: Outage, start: float, end: float | None, **labels: str) -> tuple[list[Said], list[Said]]:
    until = start + 60 if end is None else end
    fraction = st.integers(1, 7).map(lambda n: start + (until - start) * n / 8)
    before = [say(outage, start, start=start, **labels)]
    if end is not None:
        before.append(say(outage, end, start=start, end=end, **labels))
    for _ in range(draw(st.integers(0, 2))):  # repeated, with figures that change
        at, annotation = draw(fraction), draw(st.sampled_from(("", "users: 40000")))
        before.append(say(outage, at, start=start, annotation=annotation, **labels))
    # others of a pair, or of three, that are parted from the first have a start of their own
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        twins = draw(fraction)
        before.append(say(outage, twins, start=twins, **labels))
        if end is not None and draw(st.booleans()):
            before.append(say(outage, end, start=twins, end=draw(st.sampled_from((end, (twins + end) / 2))), **labels))
    last = [say(outage, until, start=start, end=end, **labels)]
    if draw(st.integers(0, 3)) == 0:
        # one of two Prometheis does not see it any more, the other does: over is what both call over
        early = draw(fraction)
        before.append(say(outage, early, start=start, end=early, **labels))
        last += [] if end is None else [say(outage, until, start=start, end=early, **labels)]
    return before, last


def grouped(draw: st.DrawFn, said: Sequence[Said]) -> list[Body]:
    """In bodies of some alerts each; what one left out by max_alerts comes in another, or is found."""
    bodies, rest = [], list(draw(st.permutations(said)))
    while rest:
        size = draw(st.integers(1, 4))
        its, rest = rest[:size], rest[size:]
        bodies.append(
            body(
                its,
                max(one.at for one in its),
                # of a group in which one fires and one is over it says nothing of either
                status=draw(st.sampled_from(("firing", "resolved"))),
                # a reload changes it
                group=draw(st.sampled_from(("{}", '{}/{alertname="Art58EquipmentDown"}:{equipment="core-1"}'))),
                cut=len(rest) % 3,
                learnt=draw(st.sampled_from(("webhook", "webhook", "webhook", "alertmanager_api", "rule_series"))),
            )
        )
    return bodies


@st.composite
def streams(draw: st.DrawFn, most: int = 6) -> Stream:
    truth = draw(truths(most))
    every = [told(draw, outage) for outage in truth]
    before = grouped(draw, [said for its, _ in every for said in its])
    last = grouped(draw, [said for _, its in every for said in its])
    return Stream(truth, tuple(before), tuple(last))


# the receiver


class Network(Prometheus):
    """Knows how many users each equipment has, and nothing else; while `down` it answers nothing."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__(PrometheusSettings(url="http://127.0.0.1:9"))
        self.down = False
        self._clock = clock

    def instant(self, query: str) -> list[Sample]:
        self._answer()
        if "art58:users_under_equipment" not in query:
            return []
        return [
            Sample(
                {"__name__": "art58:users_under_equipment", "service": service, "equipment": name},
                self._clock().timestamp(),
                float(USERS),
            )
            for service in MAJOR_AFTER
            for name in PARENTS
        ]

    def raw(self, query: str, at: datetime) -> list[Series]:
        return self._answer()

    def over(self, query: str, since: datetime, until: datetime, step: timedelta) -> list[Series]:
        return self._answer()

    def document(self, path: str) -> msgspec.Raw:
        raise NotOffered(f"no {path} here")

    def _answer(self) -> list[Any]:
        if self.down:
            raise QueryFailed("Prometheus cannot be reached (for the test)")
        return []


class House:
    """A store, the worker over it, a desk for tickets and a wall for annotations; `clock` says the time."""

    def __init__(self, folder: Path, catalogue: Catalogue = CATALOGUE, **changes: Any) -> None:
        usual = {
            "authentication": AuthenticationSettings(),
            "hold_seconds": HOLD.total_seconds(),
            "candidate_lead_seconds": LEAD.total_seconds(),
        }
        prometheus = PrometheusSettings(url="http://127.0.0.1:9")
        self.settings = Settings(data_dir=str(folder), prometheus=prometheus, **usual | changes)
        folder.mkdir(exist_ok=True)
        put_store(folder / "art58.db")
        self.catalogue, self.clock = catalogue, SetClock(T0)
        self.prometheus = Network(self.clock)
        self.desk, self.wall = MemoryTarget("desk"), MemoryTarget("wall")
        self.database = Database.of(self.settings)
        # nobody pulls the plug here: what is not synced is faster
        event.listen(self.database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        self.worker = self.another_worker()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.prometheus.close()
        self.database.close()

    def another_worker(self, clock: Callable[[], datetime] | None = None) -> Worker:
        targets = [(Route("desk", "ticket"), self.desk), (Route("wall", "annotation"), self.wall)]
        return Worker(self.settings, self.catalogue, self.database, self.prometheus, shipped(), targets, clock or self.clock)

    def restart(self) -> None:
        """What the process knew is gone; what it stored is there."""
        self.database.close()
        self.worker = self.another_worker()

    def take_in(self, one: Body) -> None:
        with self.database.inbox.write() as connection:
            notifications.add(connection, "alertmanager", self.clock(), one.body, learnt=one.learnt)

    def tick(self) -> None:
        """Derive what waits, and assess whether it is time or not."""
        self.worker.step()
        self.worker.assess(self.clock())

    def look(self) -> None:
        """Derive what waits, and assess of what something is due, then of what something is news or due: nothing else."""
        while derive_waiting(self.database, self.catalogue, HOLD, self.clock()):
            self.worker.assess(self.clock(), "due")
        self.worker.assess(self.clock(), "news or due")

    def settle(self) -> None:
        """Until a further tick has nothing to say."""
        self.tick()
        for _ in range(5):
            before = self.count_assessments()
            self.worker.assess(self.clock())
            if self.count_assessments() == before:
                return
        raise AssertionError("five ticks at one instant, and still something is new at each")

    def count_assessments(self) -> int:
        return sum(len(numbers) for numbers in self.numbers().values())

    def numbers(self) -> dict[str, list[int]]:
        """The numbers of the assessments of each incident, as they were appended; they themselves are long."""
        found: dict[str, list[int]] = {}
        with self.database.read() as connection:
            for id_, number in connection.exec_driver_sql("SELECT incident_id, number FROM assessments ORDER BY rowid"):
                found.setdefault(id_, []).append(number)
        return found

    def incidents(self) -> list[Incident]:
        with self.database.read() as connection:
            return store.listed(connection, ("open", "recovering", "restored", "closed"), 1000)

    def standing(self) -> list[Incident]:
        """Those that are not part of another."""
        return [incident for incident in self.incidents() if incident.joined_to is None]

    def alerts(self) -> dict[str, list[Alert]]:
        with self.database.read() as connection:
            return store.alerts_of(connection, [incident.id for incident in self.incidents()])

    def latest(self) -> dict[str, list[Conclusion]]:
        with self.database.read() as connection:
            return store.latest_conclusions(connection, [incident.id for incident in self.incidents()])

    def history(self, incident_id: str) -> list[Assessment]:
        with self.database.read() as connection:
            return store.history(connection, incident_id)

    def owed(self) -> list[Delivery]:
        with self.database.read() as connection:
            return deliveries.of_incidents(connection, [incident.id for incident in self.incidents()])


def found(house: House, truth: Sequence[Outage]) -> set[Found]:
    """The incidents that stand, as people see them."""
    alerts, latest = house.alerts(), house.latest()
    every = set()
    for incident in house.standing():
        numbers = {number for alert in alerts[incident.id] for number in _outages_of(alert, truth)}
        hits = frozenset(
            Hit(a.service, a.restored_at, a.duration if a.restored_at else None, str(a.verdict), a.affected_users)
            for a in latest[incident.id]
            if not a.withdrawn
        )
        every.add(
            Found(
                frozenset(numbers),
                frozenset(incident.units),
                incident.failure_started_at,
                incident.restored_at,
                incident.state,
                hits,
            )
        )
    return every


def regardless_of_users(incidents: set[Found]) -> set[Found]:
    """The largest number that was ever counted stands, though it was that of more equipment than it turned out to be."""
    return {one._replace(hits=frozenset(hit._replace(users=None) for hit in one.hits)) for one in incidents}


def _outages_of(alert: Alert, truth: Sequence[Outage]) -> list[int]:
    """The outage that this sighting is of."""
    labels = {name: value for name, value in alert.labels.items() if name != "instance"}
    return [
        number
        for number, outage in enumerate(truth)
        if outage.labels == labels
        and moment(outage.start) <= alert.starts_at
        and (outage.end is None or alert.starts_at <= moment(outage.end))
    ]
