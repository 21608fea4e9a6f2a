"""How many users are hit: one query per distinct expression and tick for all incidents together, joined in memory."""

import math
import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from receiver.catalogue import (
    CALL_LOSS_RATIO,
    CALLS,
    CALLS_PER_PERSON,
    CALLS_USUAL,
    EMERGENCY_CALLS_AFFECTED,
    EQUIPMENT_UP,
    REGISTRATIONS,
    REGISTRATIONS_USUAL,
    UNABLE,
    UNDER_EQUIPMENT,
    Catalogue,
    Service,
)
from receiver.observation.prometheus import Prometheus, QueryFailed, Sample, any_of, quoted


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One number out of one query: when sampled, and in which unit users are counted."""

    value: float
    at: datetime
    query: str
    unit: str

    @property
    def users(self) -> int:
        return round(self.value)


class Answer(msgspec.Struct, frozen=True):
    """What one expression said: readings by equipment and all of them together, or why it could not be asked."""

    query: str
    by_equipment: dict[str, Reading] = {}
    problem: str | None = None
    together: Reading | None = None

    def reading(self, equipment: str | None) -> Reading | None:
        """The figure for one equipment; of the whole service where the alert, or the expression, names no equipment."""
        if equipment is None:
            return self.together
        return self.by_equipment.get(equipment) or self.by_equipment.get("")


class UsersObserved(msgspec.Struct, frozen=True):
    """The answers for one service at one tick; None: not asked of a service of this kind."""

    unable: Answer
    under_equipment: Answer
    equipment_up: Answer | None = None
    call_loss_ratio: Answer | None = None
    emergency_calls_affected: Answer | None = None
    calls_usual: Answer | None = None
    calls: Answer | None = None
    calls_per_person: Answer | None = None
    registrations_usual: Answer | None = None
    registrations: Answer | None = None

    def to(self, question: str) -> Answer | None:
        answer: Answer | None = getattr(self, question)
        return answer


class _Input(msgspec.Struct, frozen=True):
    """A question: its normalised series, whether that has the label `service`, and what several series of one equipment make."""

    series: str
    of_service: bool
    together: Callable[[list[float]], float]


_INPUTS = {
    # say by prefecture: parts of the same number
    "unable": _Input(UNABLE, True, sum),
    "under_equipment": _Input(UNDER_EQUIPMENT, True, sum),
    # it works where all of them say so, and is hit where one of them says so
    "equipment_up": _Input(EQUIPMENT_UP, False, min),
    "call_loss_ratio": _Input(CALL_LOSS_RATIO, True, max),
    "emergency_calls_affected": _Input(EMERGENCY_CALLS_AFFECTED, True, max),
    "calls_usual": _Input(CALLS_USUAL, True, sum),
    "calls": _Input(CALLS, True, sum),
    "calls_per_person": _Input(CALLS_PER_PERSON, True, max),
    "registrations_usual": _Input(REGISTRATIONS_USUAL, True, sum),
    "registrations": _Input(REGISTRATIONS, True, sum),
}
_EVERY = ("unable", "under_equipment")
_EMERGENCY_VOICE = (*_EVERY, "equipment_up", "call_loss_ratio", "emergency_calls_affected")
_OTHER_VOICE = (*_EVERY, "calls_usual", "calls", "calls_per_person", "registrations_usual", "registrations")


def observe(prometheus: Prometheus, catalogue: Catalogue, hit: dict[str, set[str | None]]) -> dict[str, UsersObserved]:
    """Ask for the services in `hit` (name -> equipment that failed; None: not named). Never raises: a failure is an answer."""
    queries: dict[tuple[str, str], str] = {}
    for name in hit:
        for kind in asked_of(catalogue.by_name[name]):
            own = getattr(catalogue.by_name[name].users, kind)
            queries[name, kind] = own or _selector(kind, catalogue.by_name[name], hit, catalogue)
    results = {query: _ask(prometheus, query) for query in sorted(set(queries.values()))}
    answers: dict[str, dict[str, Answer]] = {name: {} for name in hit}
    for (name, kind), query in queries.items():
        answers[name][kind] = _answer(kind, catalogue.by_name[name], query, results[query])
    return {name: UsersObserved(**its) for name, its in answers.items()}


def series_of(question: str) -> str:
    """The normalised series that answers a question, where the catalogue has no PromQL of its own."""
    return _INPUTS[question].series


def asked_of(service: Service) -> tuple[str, ...]:
    if service.kind != "voice":
        return _EVERY
    return _EMERGENCY_VOICE if service.is_emergency_voice else _OTHER_VOICE


def _selector(kind: str, service: Service, hit: dict[str, set[str | None]], catalogue: Catalogue) -> str:
    """One selector for every service that uses the normalised series and the same equipment label: one query for all of them."""
    sharing = {
        name
        for name in hit
        if catalogue.by_name[name].equipment_label == service.equipment_label
        and kind in asked_of(catalogue.by_name[name])
        and getattr(catalogue.by_name[name].users, kind) is None
    }
    matchers = [f"service=~{any_of(sharing)}"] if _INPUTS[kind].of_service else []
    equipment = {unit for name in sharing for unit in hit[name]}
    named = {unit for unit in equipment if unit is not None}
    if named == equipment:
        matchers.append(f"{service.equipment_label}=~{any_of(named)}")
    return f"{_INPUTS[kind].series}{{{','.join(matchers)}}}"


def _ask(prometheus: Prometheus, query: str) -> list[Sample] | QueryFailed:
    try:
        return prometheus.instant(query)
    except QueryFailed as error:
        return error


def _answer(kind: str, service: Service, query: str, result: list[Sample] | QueryFailed) -> Answer:
    if isinstance(result, QueryFailed):
        return Answer(query, problem=str(result))
    its, is_own = _INPUTS[kind], getattr(service.users, kind) is not None
    by_equipment: dict[str, list[Sample]] = {}
    for sample in result:
        if not is_own and its.of_service and sample.labels.get("service") != service.name:
            continue
        if not math.isfinite(sample.value) or sample.value < 0:
            return Answer(query, problem=f"the query gave {sample.value:g} {_COUNTED.get(kind, kind)} for {_shown(sample.labels)}")
        by_equipment.setdefault(sample.labels.get(service.equipment_label, ""), []).append(sample)
    readings = {}
    for equipment, samples in by_equipment.items():
        matchers = [f"service={quoted(service.name)}"] if its.of_service else []
        # the question that gives just this number: what was asked was asked for many at once
        just_this = f"{its.series}{{{','.join([*matchers, f'{service.equipment_label}={quoted(equipment)}'])}}}"
        together = its.together([sample.value for sample in samples])
        first = samples[0]
        readings[equipment] = Reading(together, first.moment, query if is_own else just_this, first.labels.get("unit", ""))
    return Answer(query, readings, together=_together(its, query, list(readings.values())))


def _together(its: _Input, query: str, readings: list[Reading]) -> Reading | None:
    if not readings:
        return None
    return Reading(its.together([r.value for r in readings]), max(r.at for r in readings), query, readings[0].unit)


_COUNTED = {"unable": "users", "under_equipment": "users"}


def _shown(labels: dict[str, str]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)[:120]
