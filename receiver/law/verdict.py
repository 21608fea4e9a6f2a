"""The verdict on one service's outage at one instant: which row, which condition, how far from it.

With users not known exactly, it is judged with the fewest and with the most conceivable: where both agree that is the verdict,
else it is `indeterminate`. Every verdict says "may apply: a person decides", never that the law applies.
"""

import enum
from datetime import timedelta
from typing import Literal

import msgspec

from receiver.law.rulebook import Condition, Row, Rulebook, ServiceFacts

Cause = Literal["telecom_equipment_failure", "non_telecom_equipment_failure", "no_failure", "unknown"]
"""Failures of telecommunications equipment of other carriers and third parties (cloud) in use count as one's own. Other equipment
is power, building, ordering systems. Traffic growth alone, or planned work within its plan, is no failure."""

Effect = Literal["stop", "degradation", "both"]
Facility = Literal["satellite", "submarine_cable", "comparable"]

CLAUSE_2 = timedelta(hours=2)
"""第58条第2項第2号: all communications through the facility impossible for at least this long, whatever the number of users."""

CLAUSE_2_ARTICLE = "電気通信事業法施行規則 第58条第2項第2号"


class Verdict(enum.StrEnum):
    """From the lightest to the gravest; `indeterminate` stands beside them."""

    NONE = "none"
    PERIODIC = "periodic"
    NEAR_MISS = "near_miss"
    MAJOR = "major"
    INDETERMINATE = "indeterminate"


_GRAVITY = {Verdict.NONE: 0, Verdict.PERIODIC: 1, Verdict.NEAR_MISS: 2, Verdict.MAJOR: 3}


class Circumstances(msgspec.Struct, frozen=True):
    """What is known of an accident besides service, time and users.

    `all_traffic_down` and `installed_by_the_carrier` are about the `facility` (None: no such facility is concerned); an unknown
    installer counts as the carrier. `add_on_function` (付加的な機能) is only ever a person's word.
    """

    cause: Cause = "telecom_equipment_failure"
    effect: Effect = "stop"
    facility: Facility | None = None
    all_traffic_down: bool = False
    installed_by_the_carrier: bool | None = None
    add_on_function: bool = False


class Judgement(msgspec.Struct, frozen=True):
    """A verdict with what it rests on.

    `users_at_most` is None when there is no upper bound. `condition` is the one that decided: the one fulfilled, else the one that
    needs the least more time for these users, else the one that needs the fewest more users. Margins are what is there minus what
    that condition asks (negative: still lacking). `row_uncertain`: the row hangs on a fact that nobody has stated, and the stricter
    one was taken. `by_clause_2`: major by 第2号, whatever the table says.
    """

    verdict: Verdict
    at_least: Verdict
    at_most: Verdict
    rulebook: str
    row: int
    row_uncertain: bool
    by_clause_2: bool
    condition: Condition
    duration: timedelta
    users_at_least: int
    users_at_most: int | None
    margin_seconds: int
    margin_users: int
    circumstances: Circumstances


def judge(
    facts: ServiceFacts,
    rulebook: Rulebook,
    duration: timedelta,
    users_at_least: int,
    users_at_most: int | None,
    circumstances: Circumstances = Circumstances(),  # noqa: B008 - frozen
) -> Judgement:
    """Judge what an accident of this `duration` did to a service.

    `users_at_least` and `users_at_most` are the same number when the users were measured. The caller chooses the rulebook by
    the day of occurrence.
    """
    row = rulebook.row_of(facts)
    low = _settled(row, rulebook, duration, _fewest(rulebook, users_at_least, circumstances), users_at_least, circumstances)
    high = _settled(row, rulebook, duration, users_at_most, users_at_most, circumstances)
    condition = deciding_condition(row, duration, users_at_least)
    return Judgement(
        verdict=low if low == high else Verdict.INDETERMINATE,
        at_least=low,
        at_most=high,
        rulebook=rulebook.id,
        row=row.row,
        row_uncertain=rulebook.is_row_uncertain(facts),
        by_clause_2=_fulfils_clause_2(duration, circumstances),
        condition=condition,
        duration=duration,
        users_at_least=users_at_least,
        users_at_most=users_at_most,
        margin_seconds=int((duration - condition.duration) // timedelta(seconds=1)),
        margin_users=users_at_least - condition.users,
        circumstances=circumstances,
    )


def gravest(verdicts: list[Verdict]) -> Verdict:
    """The verdict on an incident with these verdicts on its services.

    A major impact makes the incident major whatever else is unknown; otherwise one that cannot be told leaves it open.
    """
    if Verdict.MAJOR in verdicts:
        return Verdict.MAJOR
    if Verdict.INDETERMINATE in verdicts:
        return Verdict.INDETERMINATE
    return max(verdicts, key=_GRAVITY.__getitem__, default=Verdict.NONE)


def deciding_condition(row: Row, duration: timedelta, users: int) -> Condition:
    """The fulfilled condition of the row, else the nearest one: in time if the users suffice for one, else in users."""
    within_reach = [c for c in row.conditions if users >= c.users]
    if within_reach:
        return min(within_reach, key=lambda c: c.duration_seconds)
    return min(row.conditions, key=lambda c: c.users)


def _settled(
    row: Row, rulebook: Rulebook, duration: timedelta, table_users: int | None, users: int | None, circumstances: Circumstances
) -> Verdict:
    """The verdict for a number of users (None: any number, however large); `table_users` of them count before the table."""
    if circumstances.add_on_function or circumstances.cause == "no_failure":
        return Verdict.NONE
    if circumstances.cause != "non_telecom_equipment_failure":
        if _fulfils_clause_2(duration, circumstances):
            return Verdict.MAJOR
        counts = not rulebook.stop_only or circumstances.effect != "degradation" or circumstances.all_traffic_down
        if counts and any(duration >= c.duration and _reaches(table_users, c.users) for c in row.conditions):
            return Verdict.MAJOR
    if duration >= rulebook.periodic.duration or _reaches(users, rulebook.periodic.users):
        return Verdict.PERIODIC
    return Verdict.NONE


def _fewest(rulebook: Rulebook, users: int, circumstances: Circumstances) -> int:
    """How many of the users count before the table at least, where some had a stop and others a degradation in unknown shares."""
    if circumstances.effect != "both":
        return users
    if rulebook.stop_only:
        return 0
    # judged apart, the larger of the two groups has at least half of all
    return -(-users // 2) if rulebook.apart else users


def _fulfils_clause_2(duration: timedelta, circumstances: Circumstances) -> bool:
    return (
        circumstances.facility is not None
        and circumstances.all_traffic_down
        and circumstances.installed_by_the_carrier is not False
        and not circumstances.add_on_function
        and circumstances.cause in ("telecom_equipment_failure", "unknown")
        and duration >= CLAUSE_2
    )


def _reaches(users: int | None, threshold: int) -> bool:
    return users is None or users >= threshold
