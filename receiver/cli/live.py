"""`art58 check --live`: every query of the catalogue asked now, and by which method the users of each service would be counted."""

from datetime import datetime
from typing import Any

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.incidents.count import Way, count, ways
from receiver.law.counting import Affected
from receiver.law.wording import METHODS
from receiver.model import Incident
from receiver.observation.prometheus import Prometheus, QueryFailed
from receiver.observation.users import Answer, UsersObserved, asked_of, observe, series_of


class Asked(msgspec.Struct, frozen=True):
    """One query: how many equipments it knows, how old its oldest sample is (0 for what is calculated), or why it gave nothing."""

    question: str
    query: str
    equipments: int
    age_seconds: int | None
    problem: str | None


class Checked(msgspec.Struct, frozen=True):
    """One service: the method that would count the users of its largest equipment now; `missing` is what finer ones still need."""

    service: str
    equipment: str | None
    method: str | None
    users: int | None
    unit: str
    problem: str | None
    asked: tuple[Asked, ...]
    missing: dict[str, tuple[str, ...]]

    @property
    def good(self) -> bool:
        """Whether every query was answered and some method gives a number."""
        return self.method is not None and not any(asked.problem for asked in self.asked)


def check(prometheus: Prometheus, catalogue: Catalogue, now: datetime) -> list[Checked]:
    """Ask for every service of the catalogue. Never raises: a failure is an answer."""
    prometheus.begin()
    observed = observe(prometheus, catalogue, {service.name: {None} for service in catalogue.services})
    queries = {
        answer.query
        for service in catalogue.services
        for question in asked_of(service)
        if (answer := observed[service.name].to(question))
    }
    ages = {query: _age(prometheus, query) for query in sorted(queries)}
    return [_checked(service, observed[service.name], ages, now) for service in catalogue.services]


def list_methods() -> list[dict[str, Any]]:
    """Every method that can count live: what it is called, what it needs, for which services."""
    kinds = {
        "voice with emergency calls": Service(name="v", kind="voice", emergency_calls=True, match=()),
        "other voice": Service(name="o", kind="voice", emergency_calls=False, match=()),
        "every other service": Service(name="e", kind="other", match=()),
    }
    found: dict[str, dict[str, Any]] = {}
    for kind, service in kinds.items():
        for way in ways(service):
            entry = {"method": way.method, "what": METHODS[way.method], "needs": [series_of(need) for need in way.needs], "for": []}
            found.setdefault(way.method, entry)["for"].append(kind)
    return list(found.values())


def in_words(checked: Checked) -> str:
    """A few lines for people."""
    lines = [f"{checked.service}: {_outcome(checked)}"]
    for asked in checked.asked:
        age = "" if asked.age_seconds is None else f", {asked.age_seconds} s old"
        lines.append(f"  {asked.question}: {asked.problem or f'{asked.equipments} equipment(s){age}'} [{asked.query}]")
    lines += [f"  for {method}: {', '.join(needs)} would be needed" for method, needs in checked.missing.items()]
    return "\n".join(lines)


def _outcome(checked: Checked) -> str:
    if checked.method is None:
        return f"users cannot be measured now: {checked.problem}"
    return f"{checked.users:,} {checked.unit or 'users'} under or at {checked.equipment or 'the service'} by {checked.method}"


def _checked(service: Service, observed: UsersObserved, ages: dict[str, int | None], now: datetime) -> Checked:
    equipment = _largest(observed)
    affected = count(_failure_of(equipment, now), service, observed, Affected(), recovered=False)
    number = affected.count
    return Checked(
        service=service.name,
        equipment=equipment,
        method=number.method if number else None,
        users=number.users if number else None,
        unit=number.unit if number else "",
        problem=affected.problem,
        asked=tuple(_asked(question, observed.to(question), ages) for question in asked_of(service)),
        missing=_missing(ways(service), observed, equipment, number.method if number else None),
    )


def _failure_of(equipment: str | None, now: datetime) -> Incident:
    return Incident("check", "check", equipment, "open", now, now, "starts_at")


def _largest(observed: UsersObserved) -> str | None:
    """The equipment with the most users under it, or at it: the one that would hurt most."""
    for answer in (observed.under_equipment, observed.unable):
        if answer.by_equipment:
            return max(answer.by_equipment, key=lambda name: answer.by_equipment[name].value) or None
    return None


def _asked(question: str, answer: Answer | None, ages: dict[str, int | None]) -> Asked:
    if answer is None:
        return Asked(question, "", 0, None, None)
    known = len(answer.by_equipment)
    return Asked(question, answer.query, known, ages[answer.query] if known else None, answer.problem)


def _age(prometheus: Prometheus, query: str) -> int | None:
    """Seconds since the oldest sample behind a query: the answer itself has the time of the question. None: cannot be told."""
    try:
        samples = prometheus.instant(f"max(time() - timestamp({query}))")
    except QueryFailed:
        return None
    return max((int(sample.value) for sample in samples), default=None)


def _missing(
    its: tuple[Way, ...], observed: UsersObserved, equipment: str | None, method: str | None
) -> dict[str, tuple[str, ...]]:
    """What the methods before the one that runs need and do not have."""
    missing: dict[str, tuple[str, ...]] = {}
    for way in its:
        if way.method == method:
            break
        needs = [need for need in way.needs if not ((answer := observed.to(need)) and answer.reading(equipment))]
        if needs:
            missing[way.method] = tuple(series_of(need) for need in needs)
    return missing
