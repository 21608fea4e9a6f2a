"""How many users were hit while nobody asked: the questions of `users`, asked again at moments that are past.

The value of a query over a range at one of its steps is what an instant query gave at that moment. Asked are thousands at once, and
of what is answered the moments are picked at which the most, or the fewest, were told.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import NEEDS, REFINED_BY, SERIES
from receiver.law.counting import GROWING
from receiver.observation import users
from receiver.observation.prometheus import Prometheus, QueryFailed, Sample, Series, narrowed
from receiver.observation.users import UsersObserved, asked_of

STEPS = (
    (timedelta(minutes=15), timedelta(seconds=15)),
    (timedelta(hours=2), timedelta(minutes=1)),
    (timedelta(days=30), timedelta(minutes=5)),
)
"""So far back, how far the moments are apart. Prometheus shows a sample for five minutes: with more some would not be seen."""

MOST_TOGETHER = 50_000
"""Moments times equipment in one query. There are up to nine series of each, and 22 bytes of the answer for each value."""

MOST_QUERIES = 2
"""At one tick, if the first of the batches needs no more; what is left is asked at the next."""

LEFT_FOR_LATER = "so much of the past is to be asked for at once that this is asked at a later tick"

_OF_ALL = 200
"""As so much equipment counts a service of which every series is asked for."""
_AT_ANY_TIME = ("under_equipment", "saved")
"""What is known of equipment whether it works or not."""


class Wanted(NamedTuple):
    """A time in which nobody asked for the users of a service under this equipment (None: not named).

    `told_now`: the questions that are answered now, and so should have been answered then.
    """

    service: str
    units: tuple[str | None, ...]
    since: datetime
    until: datetime
    told_now: frozenset[str]


class Past(msgspec.Struct, frozen=True):
    """What was told between: at the moments that matter, oldest first. `unseen`: the longest time in which it was not told whole.

    `problem`: why it could not be asked. `is_down`: whether the equipment is known to be down now.
    """

    since: datetime
    until: datetime
    unseen: timedelta
    moments: tuple[tuple[datetime, UsersObserved], ...] = ()
    problem: str | None = None
    is_down: bool = False


def told_now(service: Service, observed: UsersObserved, units: Iterable[str | None]) -> frozenset[str]:
    """The questions about users at this moment that are answered by a measurement."""
    its = tuple(units)
    methods = (method for method in service.methods if method not in GROWING)
    asked = {need for method in methods for need in (*NEEDS[method], *REFINED_BY.get(method, ()))} - set(_AT_ANY_TIME)
    return frozenset(question for question in asked if (reading := observed.reading(question, *its)) and reading.at)


def look_back(prometheus: Prometheus, catalogue: Catalogue, wanted: Iterable[Wanted], now: datetime) -> dict[Wanted, Past]:
    """What was told in each of these times. Never raises: a failure is an answer."""
    every = list(wanted)
    found = {one: _nothing(one) for one in every if not one.told_now}
    queries = 0
    for step, batch in _batches((one for one in every if one.told_now), now):
        if queries >= MOST_QUERIES:
            found |= {one: _nothing(one, LEFT_FOR_LATER) for one in batch}
            continue
        answered = _Answered(prometheus, catalogue, step, batch)
        queries += answered.queries
        found |= {one: answered.past(one) for one in batch}
    return found


def _nothing(one: Wanted, problem: str | None = None) -> Past:
    return Past(one.since, one.until, one.until - one.since, problem=problem)


def _batches(wanted: Iterable[Wanted], now: datetime) -> Iterator[tuple[timedelta, list[Wanted]]]:
    """Those that reach about as far back together. What has just failed comes first: it is still to be told of."""
    batch: list[Wanted] = []
    size, apart = 0, STEPS[0][1]
    for one in sorted(wanted, key=lambda one: one.since, reverse=True):
        step = next((step for back, step in STEPS if now - one.since <= back), STEPS[-1][1])
        steps = min(now - one.since, STEPS[-1][0]) // step + 1
        more = sum(_OF_ALL if unit is None else 1 for unit in one.units)
        if batch and (step != apart or (size + more) * steps > MOST_TOGETHER):
            yield apart, batch
            batch, size = [], 0
        batch.append(one)
        size, apart = size + more, step
    if batch:
        yield apart, batch


Values = dict[float, float]


class _Told(NamedTuple):
    """One series: its labels, and its values by moment (Unix seconds)."""

    labels: dict[str, str]
    values: Values


class _Answered:
    """What was answered to the questions of one batch, by equipment. It takes the place of Prometheus for `users.observe`."""

    def __init__(self, prometheus: Prometheus, catalogue: Catalogue, step: timedelta, batch: Sequence[Wanted]) -> None:
        self.queries = 0
        self._prometheus, self._catalogue, self._step = prometheus, catalogue, step
        self._until = max(one.until for one in batch)
        self._since = max(min(one.since for one in batch), self._until - STEPS[-1][0])
        self._hit: dict[str, set[str | None]] = defaultdict(set)
        for one in batch:
            self._hit[one.service].update(one.units)
        self._labels = {name: catalogue.by_name[name].equipment_label for name in self._hit}
        # of one's own PromQL by the expression, of all others by the name of the series
        self._series: dict[str, dict[str, dict[str, list[_Told]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        self._problems: dict[str, str] = {}
        self._own = {
            given: catalogue.by_name[name]
            for name in self._hit
            for question in asked_of(catalogue.by_name[name])
            if isinstance(given := getattr(catalogue.by_name[name].users, question), str)
        }
        users.observe(self, catalogue, self._hit)

    def instant(self, query: str) -> list[Sample]:
        """Ask it of the whole range, and keep what was answered."""
        self.queries += 1
        own = self._own.get(query)
        try:
            found = self._prometheus.over(self._only_those_hit(query, own), self._since, self._until, self._step)
        except QueryFailed as error:
            names = [query] if own else [name for name in SERIES.values() if name in query]
            self._problems |= dict.fromkeys(names, str(error))
            return []
        for series in found:
            self._keep(query if own else series.labels.get("__name__", ""), series)
        return []

    def _only_those_hit(self, query: str, own: Service | None) -> str:
        """One's own PromQL tells of all equipment there is: over a range that would be much."""
        if own is None:
            return query
        units = {unit for name, units in self._hit.items() for unit in units if query in own_of(self._catalogue.by_name[name])}
        return query if None in units else narrowed(query, own.equipment_label, {"", *(unit for unit in units if unit is not None)})

    def _keep(self, name: str, series: Series) -> None:
        labels = {key: value for key, value in series.labels.items() if key != "art58_asked"}
        told = _Told(labels, dict(series.points))
        for label in set(self._labels.values()):
            self._series[name][label][labels.get(label, "")].append(told)

    def past(self, one: Wanted) -> Past:
        """What was told of this one."""
        service = self._catalogue.by_name[one.service]
        names = {question: _name_of(service, question) for question in asked_of(service)}
        needed = {names[question] for question in one.told_now}
        if problem := next((self._problems[name] for name in sorted(needed) if name in self._problems), None):
            return _nothing(one, problem)
        told = {name: self._of(service, name, one) for name in names.values()}
        totals = {name: _total(its, one) for name, its in told.items()}
        answered = set[float].intersection(*(set(totals[name]) for name in needed)) if needed else set()
        picked = {at for total in totals.values() for at in _extremes({at: total[at] for at in total.keys() & answered})}
        # as soon as a series broke off, say with the equipment, the next method would have counted
        picked |= set(sorted(totals[names["under_equipment"]].keys() - answered)[:1]) if "under_equipment" in names else set()
        moments = tuple((datetime.fromtimestamp(at, UTC), self._at(at, service, told, one)) for at in sorted(picked))
        return Past(one.since, one.until, self._unseen(one, answered), moments)

    def _of(self, service: Service, name: str, one: Wanted) -> list[_Told]:
        by_equipment = self._series[name][service.equipment_label]
        its = by_equipment.values() if None in one.units else [by_equipment[unit or ""] for unit in {*one.units, ""}]
        found = (told for several in its for told in several)
        return [told for told in found if name in self._own or told.labels.get("service", one.service) == one.service]

    def _unseen(self, one: Wanted, answered: set[float]) -> timedelta:
        """The longest time between two moments at which it was told, beyond what is always between them."""
        edges = [one.since.timestamp(), *sorted(answered), one.until.timestamp()]
        longest = timedelta(seconds=max(later - earlier for earlier, later in pairwise(edges)))
        return max(longest - self._step, timedelta())

    def _at(self, at: float, service: Service, told: Mapping[str, list[_Told]], one: Wanted) -> UsersObserved:
        samples = {
            name: [Sample(each.labels, at, each.values[at]) for each in its if at in each.values] for name, its in told.items()
        }
        return users.observe(_Then(samples), self._catalogue, {service.name: set(one.units)})[service.name]


class _Then:
    """Answers as Prometheus would have at a moment."""

    def __init__(self, samples: Mapping[str, list[Sample]]) -> None:
        self._samples = samples

    def instant(self, query: str) -> list[Sample]:
        if query in self._samples:
            return self._samples[query]
        return [sample for its in self._samples.values() for sample in its]


def _name_of(service: Service, question: str) -> str:
    given = getattr(service.users, question)
    return given if isinstance(given, str) else SERIES[question]


def own_of(service: Service) -> set[str]:
    """The expressions of one's own that tell of a service."""
    return {given for question in asked_of(service) if isinstance(given := getattr(service.users, question), str)}


def _total(told: Iterable[_Told], one: Wanted) -> Values:
    """What several series make together, roughly: it only tells which moments are looked at."""
    begins, ends = one.since.timestamp(), one.until.timestamp()
    found: dict[float, float] = defaultdict(float)
    for each in told:
        for at, value in each.values.items():
            if begins <= at <= ends:
                found[at] += value
    return found


def _extremes(total: Values) -> set[float]:
    """When it was most and when least, the earliest of equals."""
    return {max(total, key=lambda at: (total[at], -at)), min(total, key=lambda at: (total[at], at))} if total else set()
