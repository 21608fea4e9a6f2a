"""The operator's own description of its services: the facts that decide their rows, how alerts name them, how users are counted."""

from typing import Annotated

import msgspec
from msgspec import Meta

from receiver.catalogue.matchers import BadMatcher, Matcher, parse
from receiver.law.provisions import Text
from receiver.law.rulebook import Kind, ServiceFacts

UNABLE = "art58:users_unable"
UNDER_EQUIPMENT = "art58:users_under_equipment"
EQUIPMENT_UP = "art58:equipment_up"
CALL_LOSS_RATIO = "art58:call_loss_ratio"
EMERGENCY_CALLS_AFFECTED = "art58:emergency_calls_affected"
CALLS_USUAL = "art58:calls_usual"
CALLS = "art58:calls"
CALLS_PER_PERSON = "art58:calls_per_person"
REGISTRATIONS_USUAL = "art58:registrations_usual"
REGISTRATIONS = "art58:registrations"

Number = Annotated[int, Meta(ge=0)]
Expression = Annotated[str, Meta(min_length=1, description="PromQL whose result carries the equipment label")]


class UserQueries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the users of a service are counted. Left out: the normalised series (rules/), picked by their labels."""

    unable: Annotated[Expression | None, Meta(description=f"users who tried and could not use it; default {UNABLE}")] = None
    under_equipment: Annotated[Expression | None, Meta(description=f"all users under an equipment; default {UNDER_EQUIPMENT}")] = (
        None
    )
    equipment_up: Annotated[Expression | None, Meta(description=f"1 while it works, 0 when failed; default {EQUIPMENT_UP}")] = None
    call_loss_ratio: Annotated[
        Expression | None, Meta(description=f"share of calls lost, 0 to 1 (emergency voice); default {CALL_LOSS_RATIO}")
    ] = None
    emergency_calls_affected: Annotated[
        Expression | None,
        Meta(description=f"0: certainly no emergency call was affected (emergency voice); default {EMERGENCY_CALLS_AFFECTED}"),
    ] = None
    calls_usual: Annotated[
        Expression | None,
        Meta(description=f"calls of a comparable time, as long as `calls` (other voice); default {CALLS_USUAL}"),
    ] = None
    calls: Annotated[Expression | None, Meta(description=f"calls that were made, say in the last hour; default {CALLS}")] = None
    calls_per_person: Annotated[
        Expression | None, Meta(description=f"calls that one user makes in that length of time; default {CALLS_PER_PERSON}")
    ] = None
    registrations_usual: Annotated[
        Expression | None, Meta(description=f"registered users of a comparable time (other voice); default {REGISTRATIONS_USUAL}")
    ] = None
    registrations: Annotated[Expression | None, Meta(description=f"registered users now; default {REGISTRATIONS}")] = None


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
    users_total: Annotated[Number | None, Meta(description="all users of the service: the bound when nothing can be asked")] = None
    users: Annotated[UserQueries, Meta(description="own PromQL in place of the normalised series")] = UserQueries()

    @property
    def facts(self) -> ServiceFacts:
        return ServiceFacts(self.kind, self.emergency_calls, self.charged, self.monthly_users_previous_fy)

    @property
    def is_emergency_voice(self) -> bool:
        """Whether its users are counted by the method of its own that emergency calls have."""
        return self.kind == "voice" and self.emergency_calls is not False

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        return tuple(map(parse, self.match))

    @property
    def called(self) -> Text:
        return self.title or Text(self.name, self.name)


class Catalogue:
    """The services, ready to be asked which of them an alert is about."""

    def __init__(self, services: tuple[Service, ...]) -> None:
        self.services = services
        self.by_name = {service.name: service for service in services}
        self._matchers = [(service, service.matchers) for service in services]

    def services_of(self, labels: dict[str, str]) -> list[Service]:
        """The services an alert with these labels is about, in the order of the catalogue."""
        return [service for service, matchers in self._matchers if all(m.fits(labels) for m in matchers)]


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
