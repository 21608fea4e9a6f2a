"""How fast the users of a running accident grow: the series they are counted from, over the last half hour.

All that is wanted is asked once in five minutes, together: one query for the normalised series of a label, one for each PromQL of
one's own. What is not known is no trend, and a query that failed takes back none.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from receiver.catalogue import Service
from receiver.catalogue.inputs import SERIES
from receiver.law import methods
from receiver.law.counting import CountedBy
from receiver.law.estimate import NotComputable, WrongFigure
from receiver.law.forecast import Trend, growth
from receiver.observation.prometheus import Prometheus, QueryFailed, Series
from receiver.observation.slots import SLOT, floor
from receiver.observation.users import TOGETHER, selector

WINDOW = timedelta(minutes=30)
STEP = timedelta(minutes=1)

Values = Mapping[str, float]
Key = tuple[str, tuple[str | None, ...]]
"""The name of a service, and the equipment under which its users are hit."""
_Points = dict[float, float]
_Users = Callable[[Values], int]

_COUNTS: dict[CountedBy, tuple[tuple[tuple[str, ...], _Users], ...]] = {
    "direct": (
        (("unable",), lambda now: round(now["unable"])),
        (("stopped", "degraded"), lambda now: round(max(now["stopped"], now["degraded"]))),
    ),
    "call_shortfall": (
        (
            ("calls_usual", "calls", "calls_per_person"),
            lambda now: methods.call_shortfall(now["calls_usual"], now["calls"], now["calls_per_person"]).users,
        ),
    ),
    "missing_registrations": (
        (
            ("registrations_usual", "registrations"),
            lambda now: methods.missing_registrations((round(now["registrations_usual"]),), (round(now["registrations"]),)).users,
        ),
    ),
    "emergency_call_loss": (
        (
            ("under_equipment", "call_loss_ratio"),
            lambda now: methods.emergency_voice(round(now["under_equipment"]), False, now["call_loss_ratio"]).users,
        ),
    ),
}
"""The methods whose number is one of this moment, with what it is counted from; the first inputs that are there are taken."""


class Wanted(msgspec.Struct, frozen=True):
    """Of whom the trend is wanted: the users of a service, under the equipment that failed, since the failure."""

    service: Service
    units: tuple[str | None, ...]
    method: CountedBy
    since: datetime

    @property
    def key(self) -> "Key":
        return self.service.name, self.units


class _Source(NamedTuple):
    """One query: the normalised series of services with this label (`whole`: of all their equipment), or PromQL of one's own."""

    label: str
    whole: bool = False
    own: str = ""


class _Kept(NamedTuple):
    trend: Trend | None
    at: datetime


class Trends:
    """Asks one Prometheus, and keeps what it said until the next five minutes are whole. Not for several threads at once."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._slot: datetime | None = None
        self._kept: dict[Key, _Kept] = {}

    def observe(self, wanted: Iterable[Wanted], now: datetime, *, are_all: bool = True) -> dict[Key, Trend]:
        """The trends of those whose users grow. Never raises: a failure is no news, for half an hour.

        `are_all`: nothing is wanted beside these. Else nothing is asked, as all are asked together.
        """
        its = [one for one in wanted if can_be_told(one.method)]
        if are_all and its and (slot := floor(now, SLOT)) != self._slot:
            self._slot = slot
            known = {key: kept for key, kept in self._kept.items() if slot - kept.at < WINDOW}
            answers = _ask(self._prometheus, its, slot)
            self._kept = {}
            for one in its:
                told = _trend(one, answers)
                if kept := known.get(one.key) if isinstance(told, QueryFailed) else _Kept(told, slot):
                    self._kept[one.key] = kept
        return {one.key: kept.trend for one in its if (kept := self._kept.get(one.key)) and kept.trend}


def can_be_told(method: CountedBy) -> bool:
    """Whether users counted by this method are those of a moment, who may grow. Others grow by lasting, or do not."""
    return method in _COUNTS


def _ask(prometheus: Prometheus, wanted: Iterable[Wanted], until: datetime) -> dict[_Source, "_Found | QueryFailed"]:
    asked: dict[_Source, list[tuple[Wanted, str]]] = defaultdict(list)
    for one in wanted:
        for question in _inputs(one.method):
            if source := _source(one, question):
                asked[source].append((one, question))
    found: dict[_Source, _Found | QueryFailed] = {}
    for source, its in sorted(asked.items()):
        hit: dict[str, set[str | None]] = defaultdict(set)
        for one, _ in its:
            hit[one.service.name].update(one.units)
        query = source.own or selector({SERIES[question] for _, question in its}, source.label, list(hit), hit)
        try:
            found[source] = _Found(source, prometheus.over(query, until - WINDOW, until, STEP))
        except QueryFailed as error:
            found[source] = error
    return found


def _inputs(method: CountedBy) -> tuple[str, ...]:
    return tuple(question for questions, _ in _COUNTS[method] for question in questions)


def _source(wanted: Wanted, question: str) -> _Source | None:
    """Where an input is read; None where it is a number of the catalogue."""
    given = getattr(wanted.service.users, question)
    if given is None:
        return _Source(wanted.service.equipment_label, None in wanted.units)
    return _Source(wanted.service.equipment_label, own=given) if isinstance(given, str) else None


class _Found:
    """The series of one answer by their name, service and equipment; "" where a series has none, or PromQL of one's own gave it."""

    def __init__(self, source: _Source, series: Iterable[Series]) -> None:
        self._own = bool(source.own)
        self._units: dict[tuple[str, str], dict[str, list[_Points]]] = defaultdict(lambda: defaultdict(list))
        for each in series:
            name, service = ("", "") if self._own else (each.labels.get("__name__", ""), each.labels.get("service", ""))
            self._units[name, service][each.labels.get(source.label, "")].append(dict(each.points))

    def series(self, question: str, service: str, units: Collection[str | None]) -> list[_Points] | None:
        """All series that make the figure of this equipment together, as `users.Answer.reading` takes it; None: one has none."""
        its = self._units.get(("", "") if self._own else (SERIES[question], service), {})
        if None in units:
            return its.get("") or [each for parts in its.values() for each in parts] or None
        if self._own and not any(unit in its for unit in units):
            return its.get("")
        if any(unit not in its for unit in units) or (question == "under_equipment" and len(units) > 1):
            return None  # whoever is under several of them is the business of the topology
        return [each for unit in units if unit for each in its[unit]]


def _trend(wanted: Wanted, answers: Mapping[_Source, _Found | QueryFailed]) -> Trend | QueryFailed | None:
    for questions, users in _COUNTS[wanted.method]:
        figures = {question: _figure(wanted, question, answers) for question in questions}
        if failed := next((each for each in figures.values() if isinstance(each, QueryFailed)), None):
            return failed
        points = {question: each for question, each in figures.items() if each is not None and not isinstance(each, QueryFailed)}
        if len(points) == len(questions):
            return _growth(points, users, wanted.since)
    return None


def _figure(wanted: Wanted, question: str, answers: Mapping[_Source, _Found | QueryFailed]) -> _Points | float | QueryFailed | None:
    source = _source(wanted, question)
    if source is None:
        return float(getattr(wanted.service.users, question))
    answer = answers[source]
    if isinstance(answer, QueryFailed):
        return answer
    series = answer.series(question, wanted.service.name, wanted.units)
    return _together(question, series) if series else None


def _together(question: str, series: Sequence[_Points]) -> _Points:
    """At the times at which each of them has a value: what is absent is not zero."""
    if len(series) == 1:
        return series[0]
    add = TOGETHER.get(question, math.fsum)
    times = set[float].intersection(*(set(points) for points in series))
    return {at: add([points[at] for points in series]) for at in times}


def _growth(figures: Mapping[str, _Points | float], users: _Users, since: datetime) -> Trend | None:
    constants = {question: figure for question, figure in figures.items() if isinstance(figure, float)}
    series = {question: figure for question, figure in figures.items() if not isinstance(figure, float)}
    times = set[float].intersection(*(set(points) for points in series.values())) if series else set[float]()
    if not all(0 <= points[at] < math.inf for points in series.values() for at in times):
        return None
    begin = since.timestamp()
    try:
        counted = [
            (at, users(constants | {question: points[at] for question, points in series.items()})) for at in times if at >= begin
        ]
    except (WrongFigure, NotComputable):
        return None
    if len({number for _, number in counted}) < 2:
        return None  # as of most, in a storm
    return growth([(datetime.fromtimestamp(at, UTC), number) for at, number in counted])
