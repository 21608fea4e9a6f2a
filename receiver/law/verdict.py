"""The verdict on one service's outage at one instant: which row, which condition, how far from it.

With users not known exactly, it is judged with the fewest and with the most conceivable: where both agree that is the verdict,
else it is `indeterminate`. Every verdict says "may apply: a person decides", never that the law applies.
"""

import enum
from datetime import timedelta

import msgspec

from receiver.law.rulebook import Condition, Row, Rulebook, ServiceFacts


class Verdict(enum.StrEnum):
    """From the lightest to the gravest; `indeterminate` stands beside them."""

    NONE = "none"
    PERIODIC = "periodic"
    NEAR_MISS = "near_miss"
    MAJOR = "major"
    INDETERMINATE = "indeterminate"


_GRAVITY = {Verdict.NONE: 0, Verdict.PERIODIC: 1, Verdict.NEAR_MISS: 2, Verdict.MAJOR: 3}


class Judgement(msgspec.Struct, frozen=True):
    """A verdict with what it rests on.

    `users_at_most` is None when there is no upper bound. `condition` is the one that decided: the one fulfilled, else the one
    that needs the least more time for these users, else the one that needs the fewest more users. Margins are what is there
    minus what that condition asks (negative: still lacking).
    """

    verdict: Verdict
    at_least: Verdict
    at_most: Verdict
    rulebook: str
    row: int
    condition: Condition
    duration: timedelta
    users_at_least: int
    users_at_most: int | None
    margin_seconds: int
    margin_users: int


def judge(
    facts: ServiceFacts, rulebook: Rulebook, duration: timedelta, users_at_least: int, users_at_most: int | None
) -> Judgement:
    """Judge an equipment failure that stopped or degraded a service for `duration`.

    `users_at_least` and `users_at_most` are the same number when the users were measured. The caller chooses the rulebook by
    the day of occurrence.
    """
    row = rulebook.row_of(facts)
    low = _settled(row, rulebook, duration, users_at_least)
    high = _settled(row, rulebook, duration, users_at_most)
    condition = deciding_condition(row, duration, users_at_least)
    return Judgement(
        verdict=low if low == high else Verdict.INDETERMINATE,
        at_least=low,
        at_most=high,
        rulebook=rulebook.id,
        row=row.row,
        condition=condition,
        duration=duration,
        users_at_least=users_at_least,
        users_at_most=users_at_most,
        margin_seconds=int((duration - condition.duration) // timedelta(seconds=1)),
        margin_users=users_at_least - condition.users,
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


def _settled(row: Row, rulebook: Rulebook, duration: timedelta, users: int | None) -> Verdict:
    """The verdict for a number of users; None stands for any number, however large."""
    if any(duration >= c.duration and _reaches(users, c.users) for c in row.conditions):
        return Verdict.MAJOR
    if duration >= rulebook.periodic.duration or _reaches(users, rulebook.periodic.users):
        return Verdict.PERIODIC
    return Verdict.NONE


def _reaches(users: int | None, threshold: int) -> bool:
    return users is None or users >= threshold
