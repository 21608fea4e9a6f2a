"""All that is asked of Prometheus for the impacts of one tick together: the number of queries does not grow with theirs."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import chain
from typing import TypeVar

import msgspec
import structlog
from prometheus_client import Counter

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import SERIES
from receiver.incidents.count import SHORT_GAP, Told, leaves_out_equipment
from receiver.law.counting import GROWING, Affected
from receiver.law.estimate import WrongFigure
from receiver.law.forecast import Trend
from receiver.law.impairment import State, impairment
from receiver.law.wording import OWN_FAULT
from receiver.model import Incident
from receiver.observation import equipment as equipment_now
from receiver.observation import history, topology, trend, users, users_past
from receiver.observation.comparable_days import Calendar
from receiver.observation.history import SLOT, Histories, History
from receiver.observation.prometheus import Prometheus
from receiver.observation.quality import AccidentDays, Qualities, Quality
from receiver.observation.slots import floor
from receiver.observation.topology import Found
from receiver.observation.trend import Trends
from receiver.observation.users import UsersObserved
from receiver.observation.users_past import LEFT_FOR_LATER, Past, Wanted

FAULTS = Counter("art58_incident_faults_total", "Incidents and questions left out of a tick by a fault of the receiver")

_T = TypeVar("_T")
_ASKED_AGAIN = timedelta(minutes=5)
"""What was not told of the past may be told so much later: a store behind Prometheus is filled again after a break."""

_GRAVITY: tuple[State, ...] = ("stop", "degradation", "unknown", "normal")

log = structlog.get_logger()


class Impact(msgspec.Struct, frozen=True):
    """What an incident does to a service, as far as it was known before. `units`: the equipment that failed, if not the
    incident's.
    """

    incident: Incident
    service: Service
    restored_at: datetime | None
    before: Affected
    units: tuple[str | None, ...] = ()
    is_major: bool = False

    @property
    def hit(self) -> tuple[str | None, ...]:
        return self.units or (self.incident.equipment,)

    @property
    def key(self) -> tuple[str, str]:
        return self.incident.id, self.service.name


class Observer:
    """Asks one Prometheus about the services of one catalogue. It keeps what is past: not for several threads at once."""

    def __init__(self, prometheus: Prometheus, catalogue: Catalogue, calendar: Calendar) -> None:
        self.prometheus = prometheus
        self.catalogue = catalogue
        self._calendar = calendar
        self._histories = Histories(prometheus)
        self._qualities = Qualities(prometheus, self._histories, calendar)
        self._trends = Trends(prometheus)
        self._untold: dict[tuple[str, tuple[str | None, ...], datetime], Past] = {}
        self.left_for_later: dict[tuple[str, str], datetime] = {}

    def ask(
        self,
        impacts: list[Impact],
        accidents: AccidentDays,
        now: datetime,
        *,
        are_all: bool = True,
        away_since: datetime | None = None,
    ) -> dict[tuple[str, str], Told]:
        """What was observed of each impact, by incident and service. Never raises: a failure is an answer.

        `are_all`: of all living incidents. What is asked once in five minutes for all together is not asked for some of them.
        `away_since`: when it was last asked of any, if that is long ago.
        """
        hit: dict[str, set[str | None]] = defaultdict(set)
        since: dict[tuple[str, str | None], datetime] = {}
        for impact in impacts:
            for equipment in impact.hit:
                unit = impact.service.name, equipment
                hit[impact.service.name].add(equipment)
                since[unit] = min(impact.incident.failure_started_at, since.get(unit, now))
        observed = users.observe(self.prometheus, self.catalogue, hit)
        days = cache(accidents)
        traffic = self._traffic(impacts, observed, days, now)
        # what is not known is never normal
        nothing: dict[tuple[str, str | None], Quality] = {}
        quality = _or_else(nothing, partial(self._quality, hit, since, observed, days, now))
        unchanged: dict[trend.Key, Trend] = {}
        growing = _or_else(unchanged, partial(self._trends.observe, _whose_users_may_grow(impacts), now, are_all=are_all))
        # last: after a time-out nothing more is asked of an address in this tick, and this may be the heaviest question
        below, uncounted = self._below(impacts, observed)
        if are_all:
            self.left_for_later = {impact.key: left for impact in impacts if (left := self.left_for_later.get(impact.key))}
        nowhere: dict[tuple[str, str], Past] = {}
        past = _or_else(nowhere, partial(self._past, impacts, observed, below, away_since, now))
        return {
            impact.key: Told(
                observed[impact.service.name],
                traffic.get(impact.key),
                below.get(impact.key),
                _worst([found for unit in impact.hit if (found := quality.get((impact.service.name, unit)))]),
                impact.hit,
                growing.get((impact.service.name, impact.hit)),
                uncounted.get(impact.key, ()),
                past.get(impact.key),
            )
            for impact in impacts
        }

    def _quality(
        self,
        hit: dict[str, set[str | None]],
        since: dict[tuple[str, str | None], datetime],
        observed: dict[str, UsersObserved],
        accidents: AccidentDays,
        now: datetime,
    ) -> dict[tuple[str, str | None], Quality]:
        affected: dict[tuple[str, str | None], bool | None] = {}
        for name, units in hit.items():
            if self.catalogue.by_name[name].family == "emergency_voice":
                for unit in units:
                    reading = observed[name].reading("emergency_calls_affected", unit)
                    affected[name, unit] = None if reading is None else reading.value != 0
        return self._qualities.observe(
            self.catalogue, hit, since, now, counted=observed, accidents=accidents, emergency_calls_affected=affected
        )

    def _traffic(
        self,
        impacts: Iterable[Impact],
        observed: dict[str, UsersObserved],
        accidents: AccidentDays,
        now: datetime,
    ) -> dict[tuple[str, str], History]:
        """The traffic of those whose failed users nobody counted, beside that of comparable days: one call for each series."""
        wanted: dict[tuple[str | None, str], dict[tuple[str, str], list[history.Wanted]]] = defaultdict(dict)
        for impact in impacts:
            service, incident = impact.service, impact.incident
            if "traffic_difference" not in service.methods or _is_settled(impact):
                continue
            if not impact.restored_at and _are_counted(observed[service.name], *impact.hit):
                continue
            # the same question until the next slot is whole: the answer is kept so long
            until = impact.restored_at or floor(now, SLOT)
            since = min(incident.failure_started_at, until)
            each = [history.Wanted(service.name, unit, since, until) for unit in impact.hit]
            wanted[service.users.traffic, service.equipment_label][impact.key] = each
        found: dict[tuple[str, str], History] = {}
        for (own, label), its in wanted.items():
            series = own or SERIES["traffic"]
            every = list(dict.fromkeys(one for several in its.values() for one in several))
            compared = _or_else(
                dict.fromkeys(every, History(problem=OWN_FAULT)),
                partial(self._histories.compare, series, every, self._calendar, accidents(), label, now, own=own is not None),
            )
            found |= {key: history.added([compared[one] for one in several]) for key, several in its.items()}
        return found

    def _past(
        self,
        impacts: Iterable[Impact],
        observed: dict[str, UsersObserved],
        below: dict[tuple[str, str], Found],
        away_since: datetime | None,
        now: datetime,
    ) -> dict[tuple[str, str], Past]:
        """What was told in the time in which nobody measured the users, of those of whom that was long."""
        wanted: dict[tuple[str, str], Wanted] = {}
        for impact in impacts:
            # what was left at the tick before may have been measured there for the first time
            since = min(
                filter(None, (_unmeasured_since(impact, away_since), self.left_for_later.pop(impact.key, None))), default=None
            )
            until = impact.restored_at or now
            if since is None or until - since <= SHORT_GAP:
                continue
            told = users_past.told_now(impact.service, observed[impact.service.name], impact.hit)
            if told or impact.key in below:
                wanted[impact.key] = Wanted(impact.service.name, impact.hit, since, until, told)
        self._untold = {each: past for each, past in self._untold.items() if timedelta() <= now - past.until < _ASKED_AGAIN}
        every = {one: past for one in wanted.values() if (past := self._untold.get((one.service, one.units, one.since)))}
        looked = users_past.look_back(self.prometheus, self.catalogue, (one for one in wanted.values() if one not in every), now)
        self._untold |= {(one.service, one.units, one.since): past for one, past in looked.items() if _is_untold(past)}
        every |= looked
        found = {key: every[one] for key, one in wanted.items()}
        self.left_for_later |= {key: one.since for key, one in wanted.items() if found[key].problem == LEFT_FOR_LATER}
        unsure = {key for key, past in found.items() if past.until == now and (past.problem or past.unseen > SHORT_GAP)}
        return found | self._down(wanted, unsure, found)

    def _down(
        self, wanted: Mapping[tuple[str, str], Wanted], untold: AbstractSet[tuple[str, str]], past: Mapping[tuple[str, str], Past]
    ) -> dict[tuple[str, str], Past]:
        """Those of whom it was not told, with whether their equipment is down now: then what is measured now is of the failure."""
        hit: dict[str, set[str | None]] = defaultdict(set)
        for key in untold:
            hit[wanted[key].service].update(wanted[key].units)
        seen = equipment_now.observe(self.prometheus, self.catalogue, hit) if hit else {}
        found = {}
        for key in untold:
            up, units = seen[wanted[key].service].up, wanted[key].units
            found[key] = msgspec.structs.replace(past[key], is_down=any(up.get(unit or "") is False for unit in units))
        return found

    def _below(
        self, impacts: Iterable[Impact], observed: dict[str, UsersObserved]
    ) -> tuple[dict[tuple[str, str], Found], dict[tuple[str, str], tuple[str, ...]]]:
        """The users under equipment that has no count of its own, from what is below it; and, where several pieces failed, those
        of which alone nothing would be known: they give nothing to what is known of all together.
        """
        wanted: dict[str, dict[tuple[str, str], topology.Wanted]] = defaultdict(dict)
        for impact in impacts:
            service, named = impact.service, frozenset(unit for unit in impact.hit if unit is not None)
            told = observed[service.name]
            answer = told.to("under_equipment")
            if not named or answer is None or answer.problem or told.reading("under_equipment", *impact.hit):
                continue
            wanted[service.equipment_label][impact.key] = topology.Wanted(service.name, named)
        emergency = {impact.service.name for impact in impacts if impact.service.family == "emergency_voice"}
        found: dict[tuple[str, str], Found] = {}
        uncounted: dict[tuple[str, str], tuple[str, ...]] = {}
        for label, its in wanted.items():
            alone = {key: _each_alone(one) for key, one in its.items() if len(one.roots) > 1}
            every = list(dict.fromkeys([*its.values(), *chain.from_iterable(alone.values())]))
            answers = _or_else(
                dict.fromkeys(every, Found(None, 0, 0, 0, "", "", problem=OWN_FAULT)),
                partial(
                    topology.observe,
                    self.prometheus,
                    every,
                    equipment_label=label,
                    emergency_voice=emergency,
                    declared=self.catalogue.equipment,
                ),
            )
            found |= {key: answers[one] for key, one in its.items()}
            for key, ones in alone.items():
                uncounted[key] = tuple(min(one.roots) for one in ones if answers[one].total is None)
        return found, uncounted


def _unmeasured_since(impact: Impact, away_since: datetime | None) -> datetime | None:
    """Since when its users were not measured by what was known before; None: they were."""
    kept, problem = impact.before.kept, impact.before.problem
    if kept and (problem is None or leaves_out_equipment(problem)):
        return away_since
    return (kept and impact.before.unmeasured_since) or impact.incident.failure_started_at


def _is_untold(past: Past) -> bool:
    """Whether that may be told later only."""
    return past.problem is None and past.unseen > SHORT_GAP


def _each_alone(several: topology.Wanted) -> list[topology.Wanted]:
    return [topology.Wanted(several.service, frozenset([root])) for root in sorted(several.roots)]


def _or_else(otherwise: _T, ask: Callable[[], _T]) -> _T:
    try:
        return ask()
    except Exception:  # whatever it is: a fault in one question must not stop the clock of all incidents
        FAULTS.inc()
        log.exception("a question could not be asked by a fault of the receiver")
        return otherwise


def _is_settled(impact: Impact) -> bool:
    """Whether it is over and its users were counted while it lasted."""
    known = impact.before.count
    return impact.restored_at is not None and known is not None and known.method not in GROWING


def _worst(of_units: list[Quality]) -> Quality | None:
    """What is told of the service where it is worst, if several pieces of equipment failed."""
    if len(of_units) < 2:
        return of_units[0] if of_units else None
    worst = min(of_units, key=lambda quality: _GRAVITY.index(_effect(quality)))
    return msgspec.structs.replace(worst, problem=next((each.problem for each in of_units if each.problem), None))


def _effect(quality: Quality) -> State:
    try:
        return impairment(quality.observed, all_traffic_down=bool(quality.all_traffic_down)).effect
    except WrongFigure:
        return "unknown"


def _whose_users_may_grow(impacts: Iterable[Impact]) -> list[trend.Wanted]:
    """Those that are measured, go on, and are not major yet: to the others more users change nothing that is foretold."""
    return [
        trend.Wanted(impact.service, impact.hit, known.method, impact.incident.failure_started_at)
        for impact in impacts
        if not (impact.restored_at or impact.is_major) and (known := impact.before.count)
    ]


def _are_counted(told: UsersObserved, *units: str | None) -> bool:
    """Whether somebody counts the users who could not use it, in one number or in two."""
    kinds = (told.reading(question, *units) for question in ("stopped", "degraded"))
    return told.reading("unable", *units) is not None or all(kinds)
