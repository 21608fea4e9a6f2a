"""The operator's own description of its services: the facts that decide their rows, how alerts name them, how users are counted."""

from typing import Annotated

import msgspec
from msgspec import Meta

from receiver.catalogue.inputs import QualityInputs, UserInputs
from receiver.catalogue.matchers import BadMatcher, Matcher, parse
from receiver.catalogue.topology import Declared
from receiver.law.conference import Function, function_facts
from receiver.law.counting import EMERGENCY
from receiver.law.estimate import Method
from receiver.law.fallback import METHODS_OF, Family
from receiver.law.provisions import Text
from receiver.law.rulebook import Kind, ServiceFacts
from receiver.law.verdict import Facility

Number = Annotated[int, Meta(ge=0)]


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One telecommunications service."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="short name; the value of the label `service`")]
    title: Annotated[Text | None, Meta(description="what people call it, in Japanese and English")] = None
    kind: Annotated[Kind, Meta(description="what it is in the law's eyes")]
    emergency_calls: Annotated[bool | None, Meta(description="handles 110, 118, 119 (needed for voice)")] = None
    charged: Annotated[
        bool | None,
        Meta(description="users pay for the telecom service (needed for email, messaging, internet_related)"),
    ] = None
    monthly_users_previous_fy: Annotated[
        Number | None,
        Meta(description="average monthly users in the previous fiscal year (needed for free email, messaging)"),
    ] = None
    match: Annotated[tuple[str, ...], Meta(min_length=1, description="Alertmanager matchers; an alert must fit them all")]
    equipment_label: Annotated[
        str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", description="label of alerts and series that names what failed")
    ] = "equipment"
    hold_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=86400 * 7)] | None,
        Meta(description="how long a recovery of this service must hold; default: the setting of that name"),
    ] = None
    users_total: Annotated[Number | None, Meta(description="all users of the service: the bound when nothing can be asked")] = None
    web_conference: Annotated[Function | None, Meta(description="the function of a web conference that this service is")] = None
    count_by: Annotated[
        Method | None, Meta(description="the first method to try of those that count such a service; default: the first by law")
    ] = None
    facility: Annotated[
        Facility | None, Meta(description="the facility that carries it, if it is of the kind that clause (ii) is about")
    ] = None
    installed_by_the_carrier: Annotated[bool | None, Meta(description="whether you installed that facility yourself")] = None
    quality: Annotated[QualityInputs, Meta(description="own PromQL, or a number, of what tells a stop from a degradation")] = (
        QualityInputs()
    )
    users: Annotated[UserInputs, Meta(description="own PromQL, or a number, in place of a normalised series")] = UserInputs()

    @property
    def facts(self) -> ServiceFacts:
        return ServiceFacts(self.kind, self.emergency_calls, self.charged, self.monthly_users_previous_fy)

    @property
    def family(self) -> Family:
        """Which methods count its users."""
        if self.web_conference:
            return "web_conference"
        if self.kind != "voice":
            return "best_effort"
        return "other_voice" if self.emergency_calls is False else "emergency_voice"

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods that count its users, the first by law first; without those before `count_by`.

        What the law has for emergency calls stands before all others whatever is chosen.
        """
        every = METHODS_OF[self.family]
        if self.count_by is None:
            return every
        special = tuple(method for method in every if method in EMERGENCY)
        ordinary = every[len(special) :]
        return special + (ordinary[ordinary.index(self.count_by) :] if self.count_by in ordinary else ordinary)

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        return tuple(map(parse, self.match))

    @property
    def called(self) -> Text:
        return self.title or Text(self.name, self.name)


_MOST_REMEMBERED = 10_000
"""Kinds of alerts of which is remembered which services they are about: thousands differ in nothing that a matcher asks."""
_LONGEST_REMEMBERED = 200
"""Characters of a label: whoever sends long ones would fill the memory for good."""


class Catalogue:
    """The services, ready to be asked which of them an alert is about, and the equipment of a small network."""

    def __init__(self, services: tuple[Service, ...], equipment: Declared = Declared()) -> None:  # noqa: B008 - frozen
        self.services = services
        self.equipment = equipment
        self.by_name = {service.name: service for service in services}
        self.has_own_holds = any(service.hold_seconds is not None for service in services)
        self.parents = {unit.name: unit.parent for unit in equipment.units if unit.parent is not None}
        self.children: dict[str, set[str]] = {}
        for child, parent in self.parents.items():
            self.children.setdefault(parent, set()).add(child)
        self._matchers = [(service, service.matchers) for service in services]
        self.matched = frozenset(matcher.name for _, matchers in self._matchers for matcher in matchers)
        self._services_of: dict[tuple[str | None, ...], tuple[Service, ...]] = {}

    def services_of(self, labels: dict[str, str]) -> list[Service]:
        """The services an alert with these labels is about, in the order of the catalogue. It hangs on those `matched` alone."""
        asked = tuple(map(labels.get, self.matched))
        found = self._services_of.get(asked)
        if found is None:
            found = tuple(service for service, matchers in self._matchers if all(m.fits(labels) for m in matchers))
            if len(self._services_of) >= _MOST_REMEMBERED:
                self._services_of.clear()
            if all(value is None or len(value) <= _LONGEST_REMEMBERED for value in asked):
                self._services_of[asked] = found
        return list(found)


Complaint = tuple[tuple[str | int, ...], str, str]


def complaints(services: tuple[Service, ...]) -> list[Complaint]:
    """What types alone cannot say about the catalogue: facts that decide a row must be stated, matchers must parse."""
    found: list[Complaint] = []
    if not services:
        found.append((("services",), "no service is described", "Describe at least one: name, kind, its facts, match"))
    names: set[str] = set()
    for number, service in enumerate(services):
        at: tuple[str | int, ...] = ("services", number)
        if service.name in names:
            found.append(((*at, "name"), f"{service.name!r} is given twice", "Give every service a name of its own"))
        names.add(service.name)
        found += [((*at, key), "this fact decides the row and is missing", cure) for key, cure in _missing_facts(service)]
        found += [((*at, *key.split(".")), what, cure) for key, what, cure in _contradictions(service)]
        for place, matcher in enumerate(service.match):
            try:
                parse(matcher)
            except BadMatcher as error:
                found.append(((*at, "match", place), str(error), """Write it like 'service="voice"' or 'job=~"ran-.*"'"""))
    return found


def _missing_facts(service: Service) -> list[tuple[str, str]]:
    if service.kind == "voice" and service.emergency_calls is None:
        return [("emergency_calls", "Say true or false: does it handle 110, 118, 119?")]
    if service.kind not in ("email", "messaging", "internet_related"):
        return []
    if service.charged is None:
        return [("charged", "Say true or false: do users pay for the telecom service?")]
    if not service.charged and service.kind != "internet_related" and service.monthly_users_previous_fy is None:
        return [("monthly_users_previous_fy", "Give the average monthly users of the previous fiscal year")]
    return []


def _contradictions(service: Service) -> list[tuple[str, str, str]]:
    found = []
    if service.web_conference:
        needed, _ = function_facts(service.web_conference, service.charged, service.monthly_users_previous_fy)
        is_voice = needed.kind == "voice"
        if service.kind != needed.kind or (is_voice and service.emergency_calls is not False):
            emergency = ", emergency_calls: false" if is_voice else ""
            what = f"this function of a web conference is judged as {needed.kind}{emergency}"
            found.append(("kind", what, f"Write kind: {needed.kind}{emergency}"))
    if service.installed_by_the_carrier is not None and service.facility is None:
        found.append(("facility", "installed_by_the_carrier speaks of a facility, and none is named", "Name it, or leave both out"))
    found += [
        (f"quality.{name}", f"{given:g} is neither 0 nor 1", "Write 0, 1 or PromQL that gives one of them")
        for name in ("connects", "silent_or_one_way", "talking_impossible", "all_traffic_down")
        if isinstance(given := getattr(service.quality, name), float | int) and given not in (0, 1)
    ]
    if isinstance(lost := service.users.call_loss_ratio, float | int) and lost > 1:
        found.append(("users.call_loss_ratio", f"{lost:g} is more than 1", "Write a share (0.7), not a percentage (70)"))
    for name in ("bytes_per_user_hour", "calls_per_person", "business_days_month", "business_hours_day"):
        if getattr(service.users, name) == 0:
            found.append((f"users.{name}", "0: something is divided by it", "Write a number above zero, or leave it out"))
    if isinstance(hours := service.users.business_hours_day, float | int) and hours > 24:
        found.append(("users.business_hours_day", f"{hours:g} hours are more than a day has", "Write 24 or less"))
    if service.count_by and service.count_by not in METHODS_OF[service.family]:
        cure = f"Write one of {', '.join(METHODS_OF[service.family])}"
        found.append(("count_by", f"{service.count_by} does not count such a service", cure))
    return found
