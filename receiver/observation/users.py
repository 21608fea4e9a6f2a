"""How many users are hit: one query per distinct expression and tick for all incidents together, joined in memory."""

import math
import re
from datetime import datetime

import msgspec

from receiver.catalogue import UNABLE, UNDER_EQUIPMENT, Catalogue, Service
from receiver.observation.prometheus import Prometheus, QueryFailed, Sample, any_of, quoted


class Reading(msgspec.Struct, frozen=True):
    """One number out of one query: users, when sampled, and in which unit they are counted."""

    users: int
    at: datetime
    query: str
    unit: str


class Answer(msgspec.Struct, frozen=True):
    """What one expression said: readings by equipment, or why it could not be asked."""

    query: str
    by_equipment: dict[str, Reading] = {}
    problem: str | None = None

    def reading(self, equipment: str | None) -> Reading | None:
        """The users of one equipment; of the whole service where the alert, or the expression, names no equipment."""
        if equipment is not None:
            return self.by_equipment.get(equipment) or self.by_equipment.get("")
        readings = list(self.by_equipment.values())
        if not readings:
            return None
        latest = max(r.at for r in readings)
        return Reading(sum(r.users for r in readings), latest, self.query, readings[0].unit)


class UsersObserved(msgspec.Struct, frozen=True):
    """The answers for one service at one tick."""

    unable: Answer
    under_equipment: Answer


def observe(prometheus: Prometheus, catalogue: Catalogue, hit: dict[str, set[str | None]]) -> dict[str, UsersObserved]:
    """Ask for the services in `hit` (name -> equipment that failed; None: not named). Never raises: a failure is an answer."""
    queries: dict[tuple[str, str], str] = {}
    for name in hit:
        service = catalogue.by_name[name]
        for kind, own, normalised in _expressions(service):
            queries[name, kind] = own or _selector(normalised, service, hit, catalogue, kind)
    results = {query: _ask(prometheus, query) for query in sorted(set(queries.values()))}
    observed = {}
    for name in hit:
        service = catalogue.by_name[name]
        answers = {
            kind: _answer(service, queries[name, kind], results[queries[name, kind]], normalised if own is None else None)
            for kind, own, normalised in _expressions(service)
        }
        observed[name] = UsersObserved(answers["unable"], answers["under_equipment"])
    return observed


def _expressions(service: Service) -> tuple[tuple[str, str | None, str], ...]:
    return (
        ("unable", service.users.unable, UNABLE),
        ("under_equipment", service.users.under_equipment, UNDER_EQUIPMENT),
    )


def _selector(normalised: str, service: Service, hit: dict[str, set[str | None]], catalogue: Catalogue, kind: str) -> str:
    """One selector for every service that uses the normalised series and the same equipment label: one query for all of them."""
    sharing = {
        name
        for name in hit
        if catalogue.by_name[name].equipment_label == service.equipment_label
        and next(own for k, own, _ in _expressions(catalogue.by_name[name]) if k == kind) is None
    }
    matchers = [f"service=~{any_of(sharing)}"]
    equipment = {unit for name in sharing for unit in hit[name]}
    named = {unit for unit in equipment if unit is not None}
    if named == equipment:
        matchers.append(f"{service.equipment_label}=~{any_of(named)}")
    return f"{normalised}{{{','.join(matchers)}}}"


def _ask(prometheus: Prometheus, query: str) -> list[Sample] | QueryFailed:
    try:
        return prometheus.instant(query)
    except QueryFailed as error:
        return error


def _answer(service: Service, query: str, result: list[Sample] | QueryFailed, normalised: str | None) -> Answer:
    def own_query(equipment: str) -> str:
        """The question that gives just this number: what was asked was asked for many at once."""
        if normalised is None:
            return query
        return f"{normalised}{{service={quoted(service.name)},{service.equipment_label}={quoted(equipment)}}}"

    if isinstance(result, QueryFailed):
        return Answer(query, problem=str(result))
    mine = [s for s in result if normalised is None or s.labels.get("service") == service.name]
    by_equipment: dict[str, Reading] = {}
    for sample in mine:
        if not math.isfinite(sample.value) or sample.value < 0:
            return Answer(query, problem=f"the query gave {sample.value:g} users for {_shown(sample.labels)}")
        equipment = sample.labels.get(service.equipment_label, "")
        reading = Reading(round(sample.value), sample.moment, own_query(equipment), sample.labels.get("unit", ""))
        known = by_equipment.get(equipment)
        # several series of one equipment (say by prefecture) are parts of the same number
        by_equipment[equipment] = msgspec.structs.replace(reading, users=reading.users + known.users) if known else reading
    return Answer(query, by_equipment)


def _shown(labels: dict[str, str]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)[:120]
