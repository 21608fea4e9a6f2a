"""The verdict on one service's outage at one instant: which row, which condition, how far from it.

With users not known exactly, it is judged with the fewest and with the most conceivable: where both agree that is the verdict,
else it is `indeterminate`. Every verdict says "may apply: a person decides", never that the law applies.
"""

import enum
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache
from typing import Literal, NamedTuple, Protocol

import msgspec

from receiver.law.estimate import Reading
from receiver.law.rulebook import Condition, Row, Rulebook, ServiceFacts

Cause = Literal["telecom_equipment_failure", "non_telecom_equipment_failure", "no_failure", "unknown"]
"""Failures of telecommunications equipment of other carriers and third parties (cloud) in use count as one's own. Other equipment
is power, building, ordering systems. What falls under which: `causes`."""

Effect = Literal["stop", "degradation", "both", "unknown"]
"""`both`: some users had a stop and others a degradation, in numbers not known apart; `unknown`: nobody has said which it was."""
Facility = Literal["satellite", "submarine_cable", "comparable"]


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
    installer counts as the carrier. `all_traffic_down_for`: how long all of it was; None: as long as the accident.
    `add_on_function` (付加的な機能) is only ever a person's word.
    """

    cause: Cause = "telecom_equipment_failure"
    effect: Effect = "stop"
    facility: Facility | None = None
    all_traffic_down: bool = False
    installed_by_the_carrier: bool | None = None
    add_on_function: bool = False
    all_traffic_down_for: timedelta | None = None

    def down_for(self, accident: timedelta) -> timedelta:
        """How long all traffic was down in an accident of this length."""
        return accident if self.all_traffic_down_for is None else self.all_traffic_down_for


class Population(msgspec.Struct, frozen=True):
    """The users whom a stop, or a degradation, hit, and how long it lasted. `users_at_most` None: no upper bound."""

    users_at_least: int
    users_at_most: int | None
    duration: timedelta


class Hit(NamedTuple):
    """Users that count before the table for one effect: how long, and how many (None: any number)."""

    duration: timedelta
    users: int | None


class Judgement(msgspec.Struct, frozen=True):
    """A verdict with what it rests on.

    `users_at_most` is None when there is no upper bound. `condition` is the one that decided: the one fulfilled, else the one that
    needs the least more time for these users, else the one that needs the fewest more users. Margins are what is there minus what
    that condition asks (negative: still lacking). `row_uncertain`: the row hangs on a fact that nobody has stated, and the stricter
    one was taken. `by_clause_2`: major by 第2号, whatever the table says. `hits_at_least` and `hits_at_most` are what stood before
    the table, each by itself: other numbers than all users where the rulebook counts a stop alone, or the two effects apart.
    `populations` are those that were judged, and how many they are together at most.
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
    hits_at_least: tuple[Hit, ...]
    hits_at_most: tuple[Hit, ...]
    populations: tuple[Population, Population, int | None] | None = None


class Bounded(Protocol):
    """Whatever has a lightest and a gravest conceivable verdict."""

    @property
    def at_least(self) -> Verdict: ...

    @property
    def at_most(self) -> Verdict: ...


class Overall(NamedTuple):
    """The verdict on a whole incident, with the lightest and the gravest conceivable."""

    verdict: Verdict
    at_least: Verdict
    at_most: Verdict


class OtherVerdict(msgspec.Struct, frozen=True):
    """Another reading of a counting rule, under which the verdict would be another."""

    reading: Reading
    verdict: Verdict


def judge(
    facts: ServiceFacts,
    rulebook: Rulebook,
    duration: timedelta,
    users_at_least: int,
    users_at_most: int | None,
    circumstances: Circumstances = Circumstances(),  # noqa: B008 - frozen
) -> Judgement:
    """Judge what an accident of this `duration` did to a service.

    `users_at_least` and `users_at_most` are the same number when the users were measured. The caller chooses the rulebook by the
    day of occurrence.
    """
    fewest, most = Hit(duration, users_at_least), Hit(duration, users_at_most)
    low: tuple[Hit, ...] = (fewest,)
    high: tuple[Hit, ...] = (most,)
    if _counts_stops_alone(rulebook, circumstances):
        low = low if circumstances.effect == "stop" else ()
        high = () if circumstances.effect == "degradation" else high
    elif rulebook.apart and circumstances.effect in ("both", "unknown"):
        # the larger of the two groups has at least half of all
        low = (Hit(duration, -(-users_at_least // 2)),)
    return _judged(facts, rulebook, fewest, most, low, high, circumstances)


def judge_populations(
    facts: ServiceFacts,
    rulebook: Rulebook,
    duration: timedelta,
    stopped: Population,
    degraded: Population,
    together_at_most: int | None = None,
    circumstances: Circumstances = Circumstances(),  # noqa: B008 - frozen
) -> Judgement:
    """Judge an accident with users of both kinds: their union counts, or each kind apart under a rulebook that says so.

    `duration` is that of the accident. The union has at least the users of the larger kind and at most those of both, or
    `together_at_most` where that is known (all users under the equipment).
    """
    circumstances = msgspec.structs.replace(circumstances, effect="both")
    sums = [users for users in (stopped.users_at_most, degraded.users_at_most) if users is not None]
    bounds = [sum(sums)] if len(sums) == 2 else []
    bounds += [] if together_at_most is None else [together_at_most]
    at_least = max(stopped.users_at_least, degraded.users_at_least)
    fewest, most = Hit(duration, at_least), Hit(duration, max(min(bounds), at_least) if bounds else None)
    apart = [stopped] if _counts_stops_alone(rulebook, circumstances) else [stopped, degraded] if rulebook.apart else []
    low = tuple(Hit(kind.duration, kind.users_at_least) for kind in apart) or (fewest,)
    high = tuple(Hit(kind.duration, kind.users_at_most) for kind in apart) or (most,)
    judged = _judged(facts, rulebook, fewest, most, low, high, circumstances)
    return msgspec.structs.replace(judged, populations=(stopped, degraded, together_at_most))


def judge_again(judged: Judgement, facts: ServiceFacts, rulebook: Rulebook, circumstances: Circumstances) -> Judgement:
    """The same accident under other facts or circumstances."""
    if judged.populations:
        return judge_populations(facts, rulebook, judged.duration, *judged.populations, circumstances)
    return judge(facts, rulebook, judged.duration, judged.users_at_least, judged.users_at_most, circumstances)


@cache
def conceivable(at_least: Verdict, at_most: Verdict) -> tuple[Verdict, ...]:
    """The verdicts on an impact from one bound to the other, the lightest first."""
    of_an_impact = (Verdict.NONE, Verdict.PERIODIC, Verdict.MAJOR)
    return tuple(verdict for verdict in of_an_impact if _GRAVITY[at_least] <= _GRAVITY[verdict] <= _GRAVITY[at_most])


def gravest(judged: Iterable[Bounded]) -> Overall:
    """The verdict on an incident with these verdicts on its services, and on itself (`near_miss.NearMiss`).

    A major impact makes the incident major whatever else is unknown; otherwise what cannot be told, and matters, leaves it open.
    """
    bounds = [(each.at_least, each.at_most) for each in judged]
    low = max((least for least, _ in bounds), key=_GRAVITY.__getitem__, default=Verdict.NONE)
    high = max((most for _, most in bounds), key=_GRAVITY.__getitem__, default=Verdict.NONE)
    return Overall(low if low == high else Verdict.INDETERMINATE, low, high)


def other_verdicts(counted: int, readings: Iterable[Reading], judge_users: Callable[[int], Verdict]) -> tuple[OtherVerdict, ...]:
    """The other readings of a count under which the verdict would differ; `judge_users` gives the verdict on a number of users."""
    standing = judge_users(counted)
    others = ((reading, judge_users(reading.users)) for reading in readings)
    return tuple(OtherVerdict(reading, verdict) for reading, verdict in others if verdict != standing)


def _deciding_condition(row: Row, users: int) -> Condition:
    """The fulfilled condition of the row, else the nearest one: in time if the users suffice for one, else in users."""
    within_reach = [c for c in row.conditions if users >= c.users]
    if within_reach:
        return min(within_reach, key=lambda c: c.duration_seconds)
    return min(row.conditions, key=lambda c: c.users)


def _counts_stops_alone(rulebook: Rulebook, circumstances: Circumstances) -> bool:
    """Whether degraded users are left out. All traffic down means a stop, whatever else is said."""
    return rulebook.stop_only and not circumstances.all_traffic_down


def _judged(
    facts: ServiceFacts,
    rulebook: Rulebook,
    fewest: Hit,
    most: Hit,
    low_hits: tuple[Hit, ...],
    high_hits: tuple[Hit, ...],
    circumstances: Circumstances,
) -> Judgement:
    row = rulebook.row_of(facts)
    by_clause_2 = _fulfils_clause_2(rulebook, fewest.duration, circumstances)
    low = _settled(row, rulebook, fewest, low_hits, by_clause_2, circumstances)
    high = low if fewest == most and low_hits == high_hits else _settled(row, rulebook, most, high_hits, by_clause_2, circumstances)
    decider = max(low_hits, key=lambda hit: _nearness(hit, row)) if low_hits else Hit(fewest.duration, 0)
    users = decider.users or 0
    condition = _deciding_condition(row, users)
    return Judgement(
        verdict=low if low == high else Verdict.INDETERMINATE,
        at_least=low,
        at_most=high,
        rulebook=rulebook.id,
        row=row.row,
        row_uncertain=rulebook.is_row_uncertain(facts),
        by_clause_2=by_clause_2,
        condition=condition,
        duration=fewest.duration,
        users_at_least=fewest.users or 0,
        users_at_most=most.users,
        margin_seconds=int((decider.duration - condition.duration) // timedelta(seconds=1)),
        margin_users=users - condition.users,
        circumstances=circumstances,
        hits_at_least=low_hits,
        hits_at_most=high_hits,
    )


def _nearness(hit: Hit, row: Row) -> tuple[bool, int]:
    return any(fulfils_any((hit,), condition) for condition in row.conditions), hit.users or 0


def _settled(
    row: Row, rulebook: Rulebook, all_: Hit, table: tuple[Hit, ...], by_clause_2: bool, circumstances: Circumstances
) -> Verdict:
    """The verdict on `all_` users, of whom those in `table` count before the table, each hit by itself."""
    if circumstances.cause == "no_failure":
        return Verdict.NONE
    if by_clause_2:
        return Verdict.MAJOR
    of_telecom_equipment = circumstances.cause != "non_telecom_equipment_failure"
    # the first item of the table's article and of the list leave add-on functions out; clause 2 and other equipment do not
    if of_telecom_equipment and circumstances.add_on_function:
        return Verdict.NONE
    if of_telecom_equipment and any(fulfils_any(table, condition) for condition in row.conditions):
        return Verdict.MAJOR
    if all_.duration >= rulebook.periodic.duration or reaches(all_.users, rulebook.periodic.users):
        return Verdict.PERIODIC
    return Verdict.NONE


def fulfils_any(hits: tuple[Hit, ...], condition: Condition) -> bool:
    """Whether any of them lasted long enough with enough users: both comparisons are inclusive (以上)."""
    for duration, users in hits:  # noqa: SIM110 - a hundred thousand lines a few seconds: a generator takes as long again
        if duration >= condition.duration and (users is None or users >= condition.users):
            return True
    return False


def reaches(users: int | None, threshold: int) -> bool:
    """Whether so many users (None: any number, however large) are at least the threshold."""
    return users is None or users >= threshold


def _fulfils_clause_2(rulebook: Rulebook, duration: timedelta, circumstances: Circumstances) -> bool:
    if rulebook.clause_2 is None or not may_fall_under_clause_2(circumstances):
        return False
    return circumstances.down_for(duration) >= rulebook.clause_2.duration


def may_fall_under_clause_2(circumstances: Circumstances) -> bool:
    """Whether only time is lacking for clause 2, if anything."""
    return (
        circumstances.facility is not None
        and circumstances.all_traffic_down
        and circumstances.installed_by_the_carrier is not False
        and circumstances.cause in ("telecom_equipment_failure", "unknown")
    )
