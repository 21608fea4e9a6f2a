"""How many users are hit: one query a tick for all normalised series, one for each PromQL of one's own, joined in memory."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from operator import itemgetter
from typing import Protocol

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import NEEDS, REFINED_BY, SERIES
from receiver.observation.prometheus import QueryFailed, Sample, any_of, quoted


class Asked(Protocol):
    """What the questions are put to: Prometheus, or what it told at a moment that is past."""

    def instant(self, query: str) -> list[Sample]:
        """The value of every series of `query`. Raises QueryFailed."""
        ...


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One number out of one query: when sampled (None: the catalogue gives it), and in which unit users are counted."""

    value: float
    at: datetime | None
    query: str
    unit: str

    @property
    def users(self) -> int:
        return round(self.value)


class Answer(msgspec.Struct, frozen=True):
    """What one question was answered: readings by equipment and all of them together, or why it could not be asked.

    `everywhere` is a number that holds for whichever equipment failed: one of the catalogue, or of PromQL that names no equipment.
    """

    query: str
    by_equipment: dict[str, Reading] = {}
    problem: str | None = None
    together: Reading | None = None
    everywhere: Reading | None = None

    def reading(self, equipment: str | None) -> Reading | None:
        """The figure for one equipment; of the whole service where the alert, or the expression, names no equipment."""
        if equipment is None:
            return self.together
        return self.by_equipment.get(equipment) or self.everywhere


class UsersObserved(msgspec.Struct, frozen=True):
    """The answers for one service at one tick, by input of the catalogue; none to what is not asked of a service of its family."""

    answers: dict[str, Answer]

    @property
    def has_problem(self) -> bool:
        """Whether something could not be asked."""
        return any(answer.problem for answer in self.answers.values())

    def to(self, question: str) -> Answer | None:
        return self.answers.get(question)

    def reading(self, question: str, *units: str | None) -> Reading | None:
        """The figure for the equipment that failed; of several pieces together, if each has one."""
        answer = self.answers.get(question)
        if answer is None or len(units) == 1:
            return answer.reading(*units) if answer else None
        readings = [answer.reading(unit) for unit in dict.fromkeys(units)]
        if all(reading is answer.everywhere for reading in readings):
            return answer.everywhere
        if question in _SHARED:
            return None  # they may be under several of them: that is the topology's business
        # what holds everywhere is one number; others that look alike are not
        found = [reading for reading in {id(reading): reading for reading in readings}.values() if reading]
        if None in readings:
            return None
        value = TOGETHER.get(question, _parts)([reading.value for reading in found])
        at = min((reading.at for reading in found if reading.at), default=None)
        return Reading(value, at, "; ".join(dict.fromkeys(reading.query for reading in found)), found[0].unit)

    def readings(self, *units: str | None) -> list[Reading | None]:
        """The figures of all questions, in their order."""
        if len(units) == 1:  # of ten thousand incidents nearly all
            (unit,) = units
            return [answer.reading(unit) for answer in self.answers.values()]
        return [self.reading(question, *units) for question in self.answers]


def _parts(values: list[float]) -> float:
    return sum(values)


TOGETHER: dict[str, Callable[[list[float]], float]] = {
    # it works where all of its series say so, and is hit where one of them says so
    "equipment_up": min,
    **dict.fromkeys(("call_loss_ratio", "emergency_calls_affected", "calls_per_person", "bytes_per_user_hour"), max),
    **dict.fromkeys(("meetings_per_host_month", "meeting_hours", "business_days_month", "business_hours_day"), max),
}
"""What several series of one equipment make, say by prefecture; all others are parts of the same number."""

_SHARED = ("under_equipment", "saved")
"""Users who may be under several pieces of equipment at once."""

_OF_EVERY_SERVICE = ("equipment_up",)
"""Their series have no label `service`."""

Found = list[Sample] | QueryFailed


def observe(prometheus: Asked, catalogue: Catalogue, hit: dict[str, set[str | None]]) -> dict[str, UsersObserved]:
    """Ask for the services in `hit` (name -> equipment that failed; None: not named). Never raises: a failure is an answer."""
    services = [catalogue.by_name[name] for name in hit]
    shared = _ask_shared(prometheus, services, hit)
    own = {given for s in services for question in asked_of(s) if isinstance(given := getattr(s.users, question), str)}
    asked = {query: ask(prometheus, query) for query in sorted(own)}
    return {
        service.name: UsersObserved(
            {
                question: _answer(question, service, getattr(service.users, question), shared, asked)
                for question in asked_of(service)
            }
        )
        for service in services
    }


def asked_of(service: Service) -> tuple[str, ...]:
    """The inputs that the methods of a service need or take into account, without those of a range of time."""
    asked = (question for method in service.methods for question in (*NEEDS[method], *REFINED_BY.get(method, ())))
    return tuple(question for question in dict.fromkeys(asked) if question != "traffic")


def _ask_shared(prometheus: Asked, services: list[Service], hit: dict[str, set[str | None]]) -> dict[tuple[str, str, str], Found]:
    """The samples of the normalised series by (equipment label, series, service; "" where it has none): one query for all services
    of one equipment label, and one for the equipment's own state.
    """
    # those hit as a whole are asked for apart: of them every series is wanted
    groups: dict[tuple[str, bool, bool], list[Service]] = defaultdict(list)
    names: dict[tuple[str, bool, bool], set[str]] = defaultdict(set)
    for service in services:
        for question in asked_of(service):
            if getattr(service.users, question) is None:
                group = service.equipment_label, question not in _OF_EVERY_SERVICE, None in hit[service.name]
                names[group].add(SERIES[question])
                if service not in groups[group][-1:]:
                    groups[group].append(service)
    found: dict[tuple[str, str, str], Found] = {}
    for (label, of_service, whole), sharing in sorted(groups.items(), key=itemgetter(0)):
        series = names[label, of_service, whole]
        result = ask(prometheus, selector(series, label, [service.name for service in sharing], hit, of_service=of_service))
        of_whom = [service.name for service in sharing] if of_service else [""]
        if isinstance(result, QueryFailed):
            found |= dict.fromkeys(((label, name, service) for name in series for service in of_whom), result)
            continue
        by_series: dict[tuple[str, str], list[Sample]] = {(name, service): [] for name in series for service in of_whom}
        for sample in result:
            key = sample.labels.get("__name__", ""), sample.labels.get("service", "") if of_service else ""
            if key in by_series:  # what was not asked for is nobody's number
                by_series[key].append(sample)
        found |= {(label, *key): samples for key, samples in by_series.items()}
    return found


def selector(
    series: Collection[str],
    label: str,
    services: Collection[str],
    hit: Mapping[str, AbstractSet[str | None]],
    *,
    of_service: bool = True,
) -> str:
    """PromQL: these series of these services, of the equipment that is hit; of all of it where one is not named."""
    matchers = [f"__name__=~{any_of(series)}"]
    matchers += [f"service=~{any_of(services)}"] if of_service else []
    equipment = {unit for service in services for unit in hit[service]}
    named = {unit for unit in equipment if unit is not None}
    matchers += [f"{label}=~{any_of(named)}"] if named == equipment else []
    return f"{{{','.join(matchers)}}}"


def ask(prometheus: Asked, query: str) -> Found:
    try:
        return prometheus.instant(query)
    except QueryFailed as error:
        return error


def _answer(
    question: str,
    service: Service,
    given: str | float | None,
    shared: dict[tuple[str, str, str], Found],
    asked: dict[str, Found],
) -> Answer:
    if isinstance(given, float | int):
        constant = Reading(float(given), None, f"{_plain(given)} ({question} of {service.name} in the catalogue)", "")
        return Answer(constant.query, together=constant, everywhere=constant)
    label, of_service = service.equipment_label, question not in _OF_EVERY_SERVICE
    query = given or series_of(question, service.name)
    result = asked[given] if given else shared[label, SERIES[question], service.name if of_service else ""]
    if isinstance(result, QueryFailed):
        return Answer(query, problem=str(result))
    by_equipment: dict[str, list[Sample]] = {}
    for sample in result:
        if not math.isfinite(sample.value) or sample.value < 0:
            what = "users" if SERIES[question].startswith("art58:users_") else question
            return Answer(query, problem=f"the query gave {sample.value:g} {what} for {shown_labels(sample.labels)}")
        by_equipment.setdefault(sample.labels.get(label, ""), []).append(sample)
    if not by_equipment:
        return Answer(query)
    together = TOGETHER.get(question, _parts)
    # the question that gives just this number: what was asked was asked for many at once
    just_this = f"{query.removesuffix('}')}{',' if of_service else '{'}{label}="
    readings = {
        equipment: Reading(
            samples[0].value if len(samples) == 1 else together([sample.value for sample in samples]),
            samples[0].moment,
            given or f"{just_this}{quoted(equipment)}}}",
            samples[0].labels.get("unit", ""),
        )
        for equipment, samples in by_equipment.items()
    }
    if (whole := readings.pop("", None)) is not None:
        # of the whole service: the parts are in it. A series that should name its equipment tells nothing of one
        return Answer(query, readings, together=whole, everywhere=whole if given else None)
    first = next(iter(readings.values()))
    all_together = Reading(together([r.value for r in readings.values()]), first.at, query, first.unit)
    return Answer(query, readings, together=all_together)


def _plain(number: float) -> str:
    return f"{int(number)}" if float(number).is_integer() else repr(number)


def series_of(question: str, service: str | None = None) -> str:
    """The normalised series that answers a question, of one service if it is named and the series tells of services."""
    of_service = service is not None and question not in _OF_EVERY_SERVICE
    return SERIES[question] + (f"{{service={quoted(service or '')}}}" if of_service else "")


def shown_labels(labels: Mapping[str, str]) -> str:
    """Labels of others, fit for a person's eyes."""
    text = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)[:120]
