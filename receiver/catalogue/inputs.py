"""What users are counted from, and what tells a stop from a degradation: each a normalised series, PromQL or a number."""

from typing import Annotated

import msgspec
from msgspec import Meta

from receiver.law.estimate import Method
from receiver.law.impairment import Worse

Figure = Annotated[float, Meta(ge=0)]
Promql = Annotated[str, Meta(min_length=1)]
Input = Promql | Figure
"""PromQL whose result carries the equipment label, or one number that holds for every equipment."""


def _is(what: str) -> Meta:
    return Meta(description=what)


class UserInputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the users of a service are counted from. Left out: the normalised series (rules/) of SERIES, picked by their labels."""

    unable: Annotated[Input | None, _is("users who tried and could not use it")] = None
    under_equipment: Annotated[
        Input | None, _is("all users under an equipment; of a web conference the accounts entitled to host, or licences")
    ] = None
    saved: Annotated[Input | None, _is("those of them who did not suffer thanks to redundancy or another route")] = None
    stopped: Annotated[Input | None, _is("users for whom it stopped, where they are counted apart from the degraded")] = None
    degraded: Annotated[Input | None, _is("users for whom its quality was lowered, counted apart from the stopped")] = None
    equipment_up: Annotated[Promql | None, _is("1 while the equipment works, 0 when failed")] = None
    traffic: Annotated[Promql | None, _is("bytes (not bits) per hour through an equipment")] = None
    bytes_per_user_hour: Annotated[Input | None, _is("what one user moves in an hour, if known; else it is derived")] = None
    call_loss_ratio: Annotated[Input | None, _is("share of calls lost, 0 to 1 (voice)")] = None
    emergency_calls_affected: Annotated[
        Input | None, _is("0: certainly no emergency call was affected (voice with emergency calls)")
    ] = None
    calls_usual: Annotated[Input | None, _is("calls of a comparable time, as long as that of `calls` (voice)")] = None
    calls: Annotated[Input | None, _is("calls that were made, say in the last hour (voice)")] = None
    calls_per_person: Annotated[Input | None, _is("calls that one user makes in that length of time (voice)")] = None
    registrations_usual: Annotated[Input | None, _is("registered users of a comparable time (voice)")] = None
    registrations: Annotated[Input | None, _is("registered users now (voice)")] = None
    monthly_hosts: Annotated[Input | None, _is("users who hosted a meeting in the month, under an equipment (web conference)")] = (
        None
    )
    meetings_per_host_month: Annotated[Input | None, _is("meetings that such a user hosts in a month (web conference)")] = None
    meeting_hours: Annotated[Input | None, _is("mean length of a meeting, in hours (web conference)")] = None
    business_days_month: Annotated[Input | None, _is("business days in a month (web conference)")] = None
    business_hours_day: Annotated[Input | None, _is("business hours in a day (web conference)")] = None


class QualityInputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What tells a stop from a degradation. Left out: the normalised series of QUALITY, where there are any."""

    connects: Annotated[Input | None, _is("0 where no link or session with the users can be established, else 1")] = None
    measured: Annotated[Promql | None, _is("the measured quality, say the throughput of a user in Mbit/s")] = None
    sla: Annotated[Input | None, _is("what the contract owes, in the same unit (guaranteed services)")] = None
    worse: Annotated[Worse, _is("which values of `measured` are the worse ones")] = "lower"
    unit: Annotated[str, _is("unit of `measured` and `sla`, for people")] = ""
    silent_or_one_way: Annotated[Input | None, _is("1 where calls are silent or one-way (voice)")] = None
    talking_impossible: Annotated[Input | None, _is("1 where noise or drops prevent talking (voice)")] = None
    all_traffic_down: Annotated[
        Input | None, _is("1 where all communications through the facility are impossible (satellite, submarine cable)")
    ] = None


QUALITY = {
    "connects": "art58:connects",
    "measured": "art58:quality",
    "sla": "art58:sla",
    "silent_or_one_way": "art58:silent_or_one_way",
    "talking_impossible": "art58:talking_impossible",
    "all_traffic_down": "art58:all_traffic_down",
}
"""The normalised series of each quality input."""

SERIES = (
    {name: f"art58:{name}" for name in UserInputs.__struct_fields__}
    | {name: f"art58:users_{name}" for name in ("unable", "under_equipment", "saved", "stopped", "degraded")}
    | {"traffic": "art58:traffic_bytes_per_hour"}
)
"""The normalised series of each input."""
NEEDS: dict[Method, tuple[str, ...]] = {
    "direct": ("unable",),
    "traffic_difference": ("traffic",),
    "call_shortfall": ("calls_usual", "calls", "calls_per_person"),
    "missing_registrations": ("registrations_usual", "registrations"),
    "conference_probability": (
        "monthly_hosts",
        "meetings_per_host_month",
        "meeting_hours",
        "business_days_month",
        "business_hours_day",
    ),
    "host_entitled_accounts": ("under_equipment",),
    "emergency_call_loss": ("under_equipment", "equipment_up", "call_loss_ratio"),
    "emergency_all_under_equipment": ("under_equipment",),
    "all_under_equipment": ("under_equipment",),
}
"""The inputs without which a method cannot count."""

REFINED_BY: dict[Method, tuple[str, ...]] = {
    "direct": ("stopped", "degraded"),
    "traffic_difference": ("bytes_per_user_hour", "under_equipment"),
    "emergency_call_loss": ("emergency_calls_affected",),
    "all_under_equipment": ("saved",),
}
"""The inputs that a method takes into account where they are there."""

UNABLE, UNDER_EQUIPMENT, EQUIPMENT_UP = SERIES["unable"], SERIES["under_equipment"], SERIES["equipment_up"]
