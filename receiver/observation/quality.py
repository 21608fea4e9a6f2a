"""What tells a stop from a degradation, and both from normal: whether users can connect, their calls, measured quality, facilities.

One query a tick for all normalised series, one for each PromQL of one's own; what is past is asked for every five minutes. What
nobody told is not known, what could not be asked is a problem, and neither is ever normal.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import QUALITY, SERIES
from receiver.law.estimate import NotComputable, exact, shown
from receiver.law.impairment import Band, ObservedData, ObservedGuaranteed, ObservedVoice, Worse, normal_band
from receiver.law.provisions import JST, Text
from receiver.observation.comparable_days import Calendar
from receiver.observation.history import Histories, History, Wanted
from receiver.observation.history_queries import Source, Together
from receiver.observation.prometheus import Prometheus, QueryFailed, Sample, quoted
from receiver.observation.sla import Attained, Attainments, Owed
from receiver.observation.slots import SLOT, floor
from receiver.observation.users import UsersObserved, ask, selector, shown_labels

Key = tuple[str, str | None]
"""A service and its equipment that failed; None: the service as a whole."""

AccidentDays = Callable[[], Mapping[str | None, AbstractSet[date]]]
"""The days of other accidents by equipment, looked up only if something is compared."""

_CALL_LOSS = "call_loss_ratio"
_QUALITY = {**QUALITY, _CALL_LOSS: SERIES[_CALL_LOSS]}
_YES_OR_NO = ("connects", "silent_or_one_way", "talking_impossible", "all_traffic_down")


class Quality(msgspec.Struct, frozen=True, gc=False):
    """What was observed of a service at one equipment. `problem`: a query failed, or gave what cannot be; the rest still holds.

    `all_traffic_down` is None where nobody told it, or no such facility carries the service. `evidence`: the queries with their
    numbers, which times were compared, for how long an SLA was missed.
    """

    observed: ObservedData | ObservedVoice | ObservedGuaranteed
    all_traffic_down: bool | None = None
    evidence: tuple[Text, ...] = ()
    problem: str | None = None


class _Told(NamedTuple):
    """What one question about a service was answered, by equipment, or why nothing. `own`: PromQL or number of the catalogue."""

    called: str
    own: str | None = None
    by_equipment: Mapping[str, list[Sample]] = {}
    problem: str | None = None

    def of(self, equipment: str | None) -> list[Sample]:
        """Those of one equipment, else those that name none; all of them for the service as a whole. As users.Answer does."""
        if equipment is None:
            return [sample for several in self.by_equipment.values() for sample in several]
        return self.by_equipment.get(equipment) or self.by_equipment.get("", [])


class _Figure(msgspec.Struct, frozen=True, gc=False):
    """The worst value of so many series; None where nobody told one."""

    value: float | None = None
    series: int = 0
    own: str | None = None
    problem: str | None = None

    @property
    def is_so(self) -> bool | None:
        return None if self.value is None else self.value == 1


_UNKNOWN = _Figure()


class _Case(msgspec.Struct, frozen=True, gc=False):
    """One service at one equipment: since when it failed, and the figures by question, without those that nobody told."""

    service: Service
    equipment: str | None
    since: datetime
    told: dict[str, _Figure]

    @property
    def key(self) -> Key:
        return self.service.name, self.equipment

    def figure(self, question: str) -> _Figure:
        return self.told.get(question, _UNKNOWN)

    @property
    def is_guaranteed(self) -> bool:
        """Also where it is not known what is owed, though something is."""
        return self.service.kind != "voice" and ("sla" in self.told or self.service.quality.sla is not None)

    @property
    def source(self) -> Source:
        """Of what is measured, the worst of the series of each equipment."""
        own, worst = self.service.quality.measured, _worst("measured", self.service.quality.worse)
        return Source(own or _QUALITY["measured"], self.service.equipment_label, own is not None, worst)


class _Beside(NamedTuple):
    """The average of the last whole slot with the band of the same one on comparable days, or neither; or why not asked."""

    average: float | None = None
    band: Band | None = None
    evidence: tuple[Text, ...] = ()
    problem: str | None = None


class Qualities:
    """Asks one Prometheus, and keeps what is past until the next five minutes are whole. Not for several threads at once."""

    def __init__(self, prometheus: Prometheus, histories: Histories, calendar: Calendar) -> None:
        self._prometheus = prometheus
        self._histories = histories
        self._calendar = calendar
        self._attainments = Attainments(prometheus)
        self._last: datetime | None = None
        self._beside: dict[Key, tuple[History, _Beside]] = {}

    def observe(
        self,
        catalogue: Catalogue,
        hit: Mapping[str, AbstractSet[str | None]],
        since: Mapping[Key, datetime],
        now: datetime,
        *,
        counted: Mapping[str, UsersObserved] | None = None,
        accidents: AccidentDays = dict,
        emergency_calls_affected: Mapping[Key, bool | None] | None = None,
    ) -> dict[Key, Quality]:
        """Ask for the services in `hit` (name -> equipment that failed; None: not named). Never raises: a failure is an answer.

        `since`: when each of them failed. `counted`: what their users were counted from at this tick; a call loss in it is not
        asked for again. With the days of `accidents` nothing is compared.
        """
        services, affected = [catalogue.by_name[name] for name in hit], emergency_calls_affected or {}
        told = _ask(self._prometheus, services, hit, counted or {})
        found: dict[Key, Quality] = {}
        cases: list[_Case] = []
        for service in services:
            keys, answers = [(service.name, unit) for unit in hit[service.name]], told[service.name]
            if answers:
                cases += [_Case(service, unit, since[name, unit], _figures(answers, service, unit)) for name, unit in keys]
            else:
                # thousands of equipments that nobody measures cost nothing
                alike = {said: _quality(_Case(service, None, now, {}), None, None, said) for said in (None, False, True)}
                found |= {key: alike[affected.get(key)] for key in keys}
        compared = self._compare(cases, accidents, now)
        attained = self._attain(cases, now)
        for case in cases:
            found[case.key] = _quality(case, compared.get(case.key), attained.get(case.key), affected.get(case.key))
        return found

    def _compare(self, cases: list[_Case], accidents: AccidentDays, now: datetime) -> dict[Key, _Beside]:
        """The last whole slot of what is best effort beside the same one of comparable days."""
        if (last := floor(now, SLOT)) != self._last:
            self._last, self._beside = last, {}
        together: dict[Source, dict[Wanted, _Case]] = defaultdict(dict)
        for case in cases:
            # a slot that began before the failure tells of the time before it
            if case.figure("measured").series and not case.is_guaranteed and case.since <= last - SLOT:
                together[case.source][Wanted(*case.key, last - SLOT, last)] = case
        days = accidents() if together else {}
        found: dict[Key, _Beside] = {}
        for source, asked in together.items():
            histories = self._histories.compare(
                source.series, asked, self._calendar, days, source.label, now, own=source.own, together=source.together
            )
            for wanted, case in asked.items():
                history, kept = histories[wanted], self._beside.get(case.key)
                # the same history until the next slot is whole: with thousands of equipments the arithmetic takes a second
                if kept is None or kept[0] is not history:
                    kept = self._beside[case.key] = history, _compared(history, case.service, last)
                found[case.key] = kept[1]
        return found

    def _attain(self, cases: list[_Case], now: datetime) -> dict[Key, Attained]:
        """For how long each SLA was missed."""
        owed = {
            case.key: Owed(case.source, *case.key, case.since, sla, case.service.quality.worse)
            for case in cases
            if (sla := case.figure("sla").value) is not None
        }
        attained = self._attainments.ask(owed.values(), now)
        return {key: attained[one] for key, one in owed.items() if one in attained}


# --- what is asked of now -------------------------------------------------------------------------------------------------------


def _asked_of(service: Service) -> tuple[str, ...]:
    by_kind = (
        ("silent_or_one_way", "talking_impossible", _CALL_LOSS) if service.kind == "voice" else ("connects", "measured", "sla")
    )
    return (*by_kind, "all_traffic_down") if service.facility else by_kind


def _ask(
    prometheus: Prometheus,
    services: list[Service],
    hit: Mapping[str, AbstractSet[str | None]],
    counted: Mapping[str, UsersObserved],
) -> dict[str, dict[str, _Told]]:
    """The answers by service and question; no word of questions that nobody answered, that thousands of equipments cost little."""
    found: dict[tuple[str, str], _Told] = {}
    shared: dict[str, list[tuple[Service, str]]] = defaultdict(list)
    own: dict[str, list[tuple[Service, str]]] = defaultdict(list)
    for service in services:
        for question in _asked_of(service):
            given = getattr(service.users if question == _CALL_LOSS else service.quality, question)
            if question == _CALL_LOSS and service.name in counted and counted[service.name].to(question):
                found[service.name, question] = _told_before(service, counted[service.name], given)
            elif given is None:
                shared[service.equipment_label].append((service, question))
            elif isinstance(given, str):
                own[given].append((service, question))
            else:
                called = _called(service, question)
                found[service.name, question] = _Told(called, called, {"": [Sample({}, 0, float(given))]})
    for label, asked in sorted(shared.items()):
        found |= _ask_shared(prometheus, label, asked, hit)
    for query, asked in sorted(own.items()):
        result = ask(prometheus, query)
        samples, problem = ([], str(result)) if isinstance(result, QueryFailed) else (result, None)
        for service, question in asked:
            by_equipment = _by(service.equipment_label, samples)
            found[service.name, question] = _Told(_called(service, question), query, by_equipment, problem)
    return {
        service.name: {
            question: told
            for question in _asked_of(service)
            if (told := found[service.name, question]).by_equipment or told.problem
        }
        for service in services
    }


def _ask_shared(
    prometheus: Prometheus, label: str, asked: list[tuple[Service, str]], hit: Mapping[str, AbstractSet[str | None]]
) -> dict[tuple[str, str], _Told]:
    names, services = {_QUALITY[question] for _, question in asked}, {service.name for service, _ in asked}
    result = ask(prometheus, selector(names, label, services, hit))
    if isinstance(result, QueryFailed):
        return {(service.name, question): _Told(_QUALITY[question], problem=str(result)) for service, question in asked}
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in result:
        samples[sample.labels.get("service", ""), sample.labels.get("__name__", "")].append(sample)
    return {
        (service.name, question): _Told(_QUALITY[question], None, _by(label, samples[service.name, _QUALITY[question]]))
        for service, question in asked
    }


def _by(label: str, samples: list[Sample]) -> dict[str, list[Sample]]:
    by_equipment: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_equipment[sample.labels.get(label, "")].append(sample)
    return dict(by_equipment)


def _told_before(service: Service, counted: UsersObserved, given: str | float | None) -> _Told:
    """The call loss that users were counted from."""
    answer = counted.answers[_CALL_LOSS]
    samples = {unit: [Sample({service.equipment_label: unit}, 0, reading.value)] for unit, reading in answer.by_equipment.items()}
    if given is None:
        return _Told(_QUALITY[_CALL_LOSS], None, samples, answer.problem)
    return _Told(_called(service, _CALL_LOSS), answer.query, samples, answer.problem)


def _called(service: Service, question: str) -> str:
    return f"{question} of {service.name} in the catalogue"


# --- the figures ----------------------------------------------------------------------------------------------------------------


def _figures(told: Mapping[str, _Told], service: Service, equipment: str | None) -> dict[str, _Figure]:
    figures = ((question, _figure(question, its, service, equipment)) for question, its in told.items())
    return {question: figure for question, figure in figures if figure}


def _figure(question: str, told: _Told, service: Service, equipment: str | None) -> _Figure | None:
    """The worst of the values: what is so at one place of an equipment is so."""
    if told.problem:
        return _Figure(problem=told.problem)
    samples = told.of(equipment)
    for sample in samples:
        if needed := _wrong(question, sample.value):
            of = shown_labels(sample.labels)
            return _Figure(problem=f"{told.called} is {sample.value:g}{f' for {of}' if of else ''}: needed is {needed}")
    if not samples:
        return None
    worst = min if _worst(question, service.quality.worse) == "min" else max
    return _Figure(worst([sample.value for sample in samples]), len(samples), told.own)


def _wrong(question: str, value: float) -> str | None:
    """What is needed instead of this value."""
    if question in _YES_OR_NO:
        return None if value in (0, 1) else "0 or 1"
    if question == _CALL_LOSS:
        return None if 0 <= value <= 1 else "a share from 0 to 1"
    return None if 0 <= value < math.inf else "a number that is 0 or more"


def _worst(question: str, worse: Worse) -> Together:
    """Of what is owed, the worst is the strictest."""
    if question in ("measured", "sla"):
        return "min" if (question == "measured") == (worse == "lower") else "max"
    return "min" if question == "connects" else "max"


def _said(question: str, figure: _Figure, service: Service, equipment: str | None) -> Text:
    """The query that gives just this figure, and the figure."""
    query = figure.own
    if query is None:
        of = "" if equipment is None else f",{service.equipment_label}={quoted(equipment)}"
        query = f"{_QUALITY[question]}{{service={quoted(service.name)}{of}}}"
    number = _number(figure.value or 0.0, service.quality.unit if question in ("measured", "sla") else "")
    if figure.series == 1:
        return Text(f"{query} = {number}", f"{query} = {number}")
    many = figure.series
    return Text(f"{query} = {number}（{many}系列のうち最も悪い値）", f"{query} = {number} (the worst of {many} series)")


@lru_cache(maxsize=1024)
def _number(value: float, unit: str) -> str:
    return f"{shown(exact('value', value))} {unit}".rstrip()


# --- what it comes to -----------------------------------------------------------------------------------------------------------


def _quality(case: _Case, beside: _Beside | None, attained: Attained | None, emergency_calls_affected: bool | None) -> Quality:
    quality, measured = case.service.quality, case.figure("measured").value
    problems = [figure.problem for figure in case.told.values()]
    observed: ObservedData | ObservedVoice | ObservedGuaranteed
    more: tuple[Text, ...] = ()
    if case.service.kind == "voice":
        observed = ObservedVoice(
            case.figure("silent_or_one_way").is_so,
            case.figure(_CALL_LOSS).value,
            case.figure("talking_impossible").is_so,
            case.service.emergency_calls,
            emergency_calls_affected,
        )
    elif case.is_guaranteed:
        connects, sla = case.figure("connects").is_so, case.figure("sla").value
        observed = ObservedGuaranteed(connects, measured, sla, quality.worse, quality.unit)
        more = (attained.in_words,) if attained else ()
    else:
        observed = ObservedData(case.figure("connects").is_so, measured)
        if beside is None:
            more = (_NO_SLOT,) if measured is not None else ()
        else:
            more, problems = beside.evidence, [*problems, beside.problem]
            if beside.band:
                observed = ObservedData(observed.connects, beside.average, beside.band)
    # where there is a band, the average stands for what is measured at the moment
    without = "measured" if beside and beside.band else None
    figures = ((question, figure) for question, figure in case.told.items() if figure.value is not None and question != without)
    evidence = [_said(question, figure, case.service, case.equipment) for question, figure in figures]
    return Quality(
        observed,
        case.figure("all_traffic_down").is_so,
        (*evidence, *more),
        "; ".join(dict.fromkeys(problem for problem in problems if problem)) or None,
    )


def _compared(history: History, service: Service, last: datetime) -> _Beside:
    evidence = tuple(text for text in (history.evidence, history.why_not) if text)
    if history.problem or not history.hours:
        return _Beside(evidence=() if history.problem else evidence, problem=history.problem)
    (slot,), unit = history.hours, service.quality.unit
    begins = slot.starts_at.astimezone(JST)
    number, clock = _number(slot.actual, unit), f"{begins:%H:%M}"
    span = f"{begins.date()} {clock}–{last.astimezone(JST):%H:%M} JST"
    evidence = (Text(f"{history.query}: {span}の平均 {number}", f"{history.query}: average of {span} {number}"), *evidence)
    usual = [(f"{day} {clock}", value) for day, value in sorted(slot.usual.items())]
    try:
        band = normal_band(usual, worse=service.quality.worse, unit=unit)
    except NotComputable as error:
        return _Beside(evidence=(*evidence, error.why))
    return _Beside(slot.actual, band, evidence)


_NO_SLOT = Text("故障以降、完結した5分間がまだない", "no whole five minutes since the failure yet")
