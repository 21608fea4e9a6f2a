"""`art58 check --live`: every query of the catalogue asked now, and by which method the users of each service would be counted."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import NEEDS
from receiver.incidents.ask import Impact, Observer
from receiver.incidents.assess import impaired
from receiver.incidents.count import Told, count
from receiver.law.counting import Affected, Count
from receiver.law.explanation import suffered
from receiver.law.fallback import METHODS_OF, Family
from receiver.law.provisions import Text
from receiver.law.wording import METHODS
from receiver.model import Incident
from receiver.observation.comparable_days import business_hours_of
from receiver.observation.prometheus import Prometheus, QueryFailed
from receiver.observation.users import Answer, UsersObserved, asked_of, observe, series_of
from receiver.settings import Settings

AN_HOUR = timedelta(hours=1)
"""What counts over time is counted for an outage of the last hour."""


class Asked(msgspec.Struct, frozen=True):
    """One query: how many equipments it knows, how old its oldest sample is (0 for what is calculated), or why it gave nothing."""

    question: str
    query: str
    equipments: int
    age_seconds: int | None
    problem: str | None


class Checked(msgspec.Struct, frozen=True):
    """One service: the method that would count the users of its largest equipment now; `missing` is what finer ones still need,
    `quality` what its quality says of a stop or a degradation.
    """

    service: str
    equipment: str | None
    method: str | None
    users: int | None
    unit: str
    problem: str | None
    quality: Text | None
    asked: tuple[Asked, ...]
    missing: dict[str, tuple[str, ...]]

    @property
    def good(self) -> bool:
        """Whether every query was answered and some method gives a number."""
        return self.method is not None and not any(asked.problem for asked in self.asked)


def check(prometheus: Prometheus, catalogue: Catalogue, settings: Settings, now: datetime) -> list[Checked]:
    """Ask for every service of the catalogue. Never raises: a failure is an answer."""
    prometheus.begin()
    whole = observe(prometheus, catalogue, {service.name: {None} for service in catalogue.services})
    impacts = [
        Impact(_failure(service, whole[service.name], catalogue, now), service, None, Affected()) for service in catalogue.services
    ]
    told = Observer(prometheus, catalogue, settings.comparable_days.calendar).ask(impacts, dict, now)
    queries = {answer.query for observed in whole.values() for answer in observed.answers.values() if _is_asked(answer)}
    ages = {query: _age(prometheus, query) for query in sorted(queries)}
    hours = business_hours_of(settings.business_hours, now - AN_HOUR, now)
    return [
        _checked(
            impact,
            whole[impact.service.name],
            told[impact.key],
            count(impact.incident, impact.service, told[impact.key], Affected(), now, open_hours=hours),
            ages,
        )
        for impact in impacts
    ]


_FAMILIES: dict[Family, str] = {
    "best_effort": "data, LPWA devices, mail and messaging accounts, every other service",
    "other_voice": "voice without emergency calls",
    "emergency_voice": "voice with emergency calls",
    "web_conference": "one function of a web conference",
}


def list_methods() -> list[dict[str, Any]]:
    """Every method that can count live: what it is called, what it needs, for which services."""
    services: dict[str, list[str]] = defaultdict(list)
    for family, methods in METHODS_OF.items():
        for method in methods:
            services[method].append(_FAMILIES[family])
    return [
        {"method": method, "what": METHODS[method], "needs": [series_of(need) for need in needs], "for": services[method]}
        for method, needs in NEEDS.items()
    ]


def in_words(checked: Checked) -> str:
    """A few lines for people."""
    lines = [f"{checked.service}: {_outcome(checked)}"]
    for asked in checked.asked:
        age = "" if asked.age_seconds is None else f", {asked.age_seconds} s old"
        lines.append(f"  {asked.question}: {asked.problem or f'{asked.equipments} equipment(s){age}'} [{asked.query}]")
    lines += [f"  {checked.quality.en}"] if checked.quality else []
    lines += [f"  for {method}: {', '.join(needs)} would be needed" for method, needs in checked.missing.items()]
    return "\n".join(lines)


def _outcome(checked: Checked) -> str:
    if checked.method is None:
        return f"users cannot be measured now: {checked.problem}"
    return f"{checked.users:,} {checked.unit or 'users'} under or at {checked.equipment or 'the service'} by {checked.method}"


def _checked(impact: Impact, whole: UsersObserved, told: Told, affected: Affected, ages: dict[str, int | None]) -> Checked:
    service, equipment, number = impact.service, impact.incident.equipment, affected.count
    return Checked(
        service=service.name,
        equipment=equipment,
        method=number.method if number else None,
        users=number.users if number else None,
        unit=number.unit if number else "",
        problem=affected.problem,
        quality=_quality(told),
        asked=(*(_asked(question, whole.to(question), ages) for question in asked_of(service)), *_asked_over_time(service, told)),
        missing=_missing(service, told, equipment, number),
    )


def _failure(service: Service, whole: UsersObserved, catalogue: Catalogue, now: datetime) -> Incident:
    """As if the equipment with the most users under it, or at it, had failed an hour ago."""
    largest = _largest(service, whole, catalogue)
    return Incident(f"check-{service.name}", "check", largest, "open", now, now - AN_HOUR, "starts_at")


def _largest(service: Service, whole: UsersObserved, catalogue: Catalogue) -> str | None:
    """The equipment with the most users under it, or at it; any, where a number holds for whichever failed."""
    for question in ("under_equipment", "unable"):
        answer = whole.to(question)
        if answer and answer.by_equipment:
            return max(answer.by_equipment, key=lambda name: answer.by_equipment[name].value)
        if answer and answer.everywhere:
            return "any equipment"
    tops = [unit.name for unit in catalogue.equipment.units if unit.parent is None]
    return tops[0] if tops else None


def _asked_over_time(service: Service, told: Told) -> Iterator[Asked]:
    """What is not one number of now: traffic and its comparable days, quality, the equipment below."""
    if told.traffic:
        own, known = service.users.traffic, int(bool(told.traffic.hours))
        yield Asked("traffic", own or told.traffic.query, known, None, told.traffic.problem)
    if told.quality and told.quality.problem:
        yield Asked("quality", "", 0, None, told.quality.problem)
    if told.below:
        yield Asked("equipment below", told.below.query, told.below.units, None, told.below.problem)


def _quality(told: Told) -> Text | None:
    seen = impaired(told)
    if seen is None and told.quality and told.quality.problem:
        return Text(told.quality.problem, told.quality.problem)
    return suffered(seen) if seen else None


def _is_asked(answer: Answer) -> bool:
    """Whether Prometheus was asked: a number of the catalogue has no age."""
    return answer.together is None or answer.together.at is not None


def _asked(question: str, answer: Answer | None, ages: dict[str, int | None]) -> Asked:
    if answer is None:
        return Asked(question, "", 0, None, None)
    known = len(answer.by_equipment)
    return Asked(question, answer.query, known, ages.get(answer.query) if known else None, answer.problem)


def _age(prometheus: Prometheus, query: str) -> int | None:
    """Seconds since the oldest sample behind a query: the answer itself has the time of the question. None: cannot be told."""
    try:
        samples = prometheus.instant(f"max(time() - timestamp({query}))")
    except QueryFailed:
        return None
    return max((int(sample.value) for sample in samples), default=None)


def _missing(service: Service, told: Told, equipment: str | None, number: Count | None) -> dict[str, tuple[str, ...]]:
    """What the methods before the one that runs need and do not have."""
    missing: dict[str, tuple[str, ...]] = {}
    for method in service.methods:
        if number and method == number.method:
            break
        needs = [series_of(need) for need in NEEDS[method] if need != "traffic" and not told.observed.reading(need, equipment)]
        if method == "traffic_difference" and told.traffic and told.traffic.why_not:
            needs = [f"traffic ({told.traffic.why_not.en})"]
        if needs:
            missing[method] = tuple(needs)
    return missing
