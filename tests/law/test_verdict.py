"""Judging an outage: published cases, what must hold for any outage, and the clock time at which one becomes major."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.forecast import major_at
from receiver.law.rulebook import Condition, Kind, Rulebook, ServiceFacts, rulebook_on, shipped
from receiver.law.verdict import Circumstances, Judgement, Verdict, gravest, judge

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data" / "classify-vectors.json").read_text("utf-8"))
BOOKS = {book.id: book for book in shipped()}


GRAVITY = [Verdict.NONE, Verdict.PERIODIC, Verdict.NEAR_MISS, Verdict.MAJOR]
STARTED_AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)

facts_of_any_service = st.builds(
    ServiceFacts,
    kind=st.sampled_from(get_args(Kind)),
    emergency_calls=st.none() | st.booleans(),
    charged=st.none() | st.booleans(),
    monthly_users_previous_fy=st.none() | st.integers(0, 30_000_000),
)
rulebooks = st.sampled_from(shipped())
# near the thresholds half of the time, where mistakes live
seconds = st.sampled_from([3600, 7200, 14400, 43200, 86400]).flatmap(lambda s: st.integers(s - 2, s + 2)) | st.integers(0, 200_000)
durations = st.builds(lambda s, micro: timedelta(seconds=s, microseconds=micro), seconds, st.sampled_from([0, 1, 999_999]))
users = st.sampled_from([30_000, 100_000, 1_000_000]).flatmap(lambda n: st.integers(n - 2, n + 2)) | st.integers(0, 3_000_000)
at_most = st.none() | users


def _gravity(verdict: Verdict) -> int:
    return GRAVITY.index(verdict)


def _judge(
    least: int, most: int | None, *, minutes: float, kind: Kind = "internet_access", rulebook: str = "JP-TBA58-2026"
) -> Judgement:
    return judge(ServiceFacts(kind, emergency_calls=True), BOOKS[rulebook], timedelta(minutes=minutes), least, most)


def test_all_78_cases_are_there() -> None:
    assert len(VECTORS) == 78


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_a_published_case_gets_the_expected_verdict(vector: dict[str, Any]) -> None:
    rulebook = rulebook_on(datetime.fromisoformat(vector["occurred_at"]), shipped())
    known = vector["users"]
    judgement = judge(
        ServiceFacts(**vector["service"]),
        rulebook,
        timedelta(seconds=vector["duration_s"]),
        0 if known is None else known,
        known,
        Circumstances(
            vector["cause"],
            vector["effect"],
            vector["facility"],
            vector["all_traffic_down"],
            add_on_function=vector["add_on_function"],
        ),
    )
    found = {
        "verdict": judgement.verdict,
        "rulebook": judgement.rulebook,
        "row": judgement.row,
        "at_least": judgement.at_least,
        "at_most": judgement.at_most,
    }
    assert found == vector["expected"]


@given(facts_of_any_service, rulebooks, durations, durations, users, users)
def test_more_users_or_more_time_never_lowers_a_verdict(
    facts: ServiceFacts, rulebook: Rulebook, duration: timedelta, more: timedelta, number: int, more_users: int
) -> None:
    before = judge(facts, rulebook, duration, number, number)
    after = judge(facts, rulebook, duration + more, number + more_users, number + more_users)
    assert _gravity(before.verdict) <= _gravity(after.verdict)


@given(facts_of_any_service, rulebooks, durations, users, at_most)
def test_a_verdict_lies_between_what_it_is_at_least_and_at_most(
    facts: ServiceFacts, rulebook: Rulebook, duration: timedelta, least: int, most: int | None
) -> None:
    most = None if most is None else least + most
    judgement = judge(facts, rulebook, duration, least, most)
    low, high = _gravity(judgement.at_least), _gravity(judgement.at_most)
    if judgement.verdict == Verdict.INDETERMINATE:
        assert low < high
    else:
        assert low == _gravity(judgement.verdict) == high


@given(facts_of_any_service, rulebooks, durations, users, users, at_most)
def test_a_bound_holds_every_verdict_within_it(
    facts: ServiceFacts, rulebook: Rulebook, duration: timedelta, least: int, truth: int, slack: int | None
) -> None:
    truth += least
    exact = judge(facts, rulebook, duration, truth, truth)
    bounded = judge(facts, rulebook, duration, least, None if slack is None else truth + slack)
    assert _gravity(bounded.at_least) <= _gravity(exact.verdict) <= _gravity(bounded.at_most)


@given(
    facts_of_any_service,
    st.datetimes(datetime(2019, 4, 2), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis wants naive limits)
    | st.integers(-3, 3).map(lambda s: datetime(2026, 3, 31, 15, 0, tzinfo=UTC) + timedelta(seconds=s)),
    st.integers(-12 * 60, 14 * 60),
    durations,
    users,
)
def test_a_verdict_does_not_depend_on_the_notation_of_the_time(
    facts: ServiceFacts, occurred_at: datetime, offset: int, duration: timedelta, number: int
) -> None:
    elsewhere = occurred_at.astimezone(timezone(timedelta(minutes=offset)))
    here, there = (rulebook_on(moment, shipped()) for moment in (occurred_at, elsewhere))
    assert judge(facts, here, duration, number, number) == judge(facts, there, duration, number, number)


@given(facts_of_any_service, rulebooks, durations, users)
def test_margins_say_whether_the_deciding_condition_is_fulfilled(
    facts: ServiceFacts, rulebook: Rulebook, duration: timedelta, number: int
) -> None:
    judgement = judge(facts, rulebook, duration, number, number)
    assert judgement.condition in rulebook.row_of(facts).conditions
    assert judgement.margin_users == number - judgement.condition.users
    assert judgement.margin_seconds <= (duration - judgement.condition.duration).total_seconds() < judgement.margin_seconds + 1
    fulfilled = judgement.margin_seconds >= 0 and judgement.margin_users >= 0
    assert fulfilled == (judgement.verdict == Verdict.MAJOR)


def test_with_enough_users_the_nearest_condition_is_the_one_that_needs_the_least_time() -> None:
    assert _judge(150_000, 150_000, minutes=30).condition == Condition(3600, 100_000)
    assert _judge(100_000, 100_000, minutes=30).condition == Condition(3600, 100_000)


def test_with_too_few_users_for_the_quick_condition_the_slow_one_is_nearest() -> None:
    assert _judge(99_999, 99_999, minutes=119).condition == Condition(7200, 30_000)


def test_with_too_few_users_for_any_condition_the_one_that_needs_the_fewest_is_nearest() -> None:
    judgement = _judge(29_999, 29_999, minutes=180)
    assert judgement.condition == Condition(7200, 30_000)
    assert (judgement.margin_seconds, judgement.margin_users) == (3600, -1)


def test_part_of_a_second_is_still_lacking() -> None:
    judgement = _judge(30_000, 30_000, minutes=60 - 0.1 / 60, kind="voice")
    assert judgement.verdict == Verdict.PERIODIC
    assert judgement.margin_seconds == -1


def test_users_who_cannot_be_counted_leave_open_what_only_they_decide() -> None:
    judgement = _judge(0, None, minutes=60)
    assert (judgement.verdict, judgement.at_least, judgement.at_most) == (Verdict.INDETERMINATE, Verdict.NONE, Verdict.MAJOR)


def test_users_who_cannot_be_counted_do_not_matter_where_the_bound_settles_it() -> None:
    assert _judge(0, 29_999, minutes=60).verdict == Verdict.NONE
    assert _judge(30_000, None, minutes=60, kind="voice").verdict == Verdict.MAJOR


@given(facts_of_any_service, rulebooks, at_most, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_an_outage_is_major_exactly_from_the_forecast_instant_on(
    facts: ServiceFacts, rulebook: Rulebook, number: int | None, later: timedelta
) -> None:
    def is_major(moment: datetime) -> bool:
        return judge(facts, rulebook, moment - STARTED_AT, 0, number).at_most == Verdict.MAJOR

    instant = major_at(rulebook.row_of(facts), STARTED_AT, number)
    if instant is None:
        assert not is_major(STARTED_AT + later)
    else:
        assert is_major(instant)
        assert is_major(instant + later)
        assert not is_major(instant - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("number", "minutes"), [(29_999, None), (30_000, 120), (99_999, 120), (100_000, 60), (5_000_000, 60), (None, 60)]
)
def test_the_more_users_the_sooner_mobile_data_becomes_major(number: int | None, minutes: int | None) -> None:
    row = BOOKS["JP-TBA58-2026"].row_of(ServiceFacts("internet_access"))
    expected = None if minutes is None else STARTED_AT + timedelta(minutes=minutes)
    assert major_at(row, STARTED_AT, number) == expected


class Bounds(NamedTuple):
    """What is certain of an impact, and what is conceivable."""

    at_least: Verdict
    at_most: Verdict


NONE, PERIODIC = Bounds(Verdict.NONE, Verdict.NONE), Bounds(Verdict.PERIODIC, Verdict.PERIODIC)
NEAR_MISS, MAJOR = Bounds(Verdict.NEAR_MISS, Verdict.NEAR_MISS), Bounds(Verdict.MAJOR, Verdict.MAJOR)
OPEN = Bounds(Verdict.NONE, Verdict.MAJOR)
PERHAPS_LISTED = Bounds(Verdict.NONE, Verdict.PERIODIC)


@pytest.mark.parametrize(
    ("impacts", "expected"),
    [
        ([], (Verdict.NONE, Verdict.NONE, Verdict.NONE)),
        ([NONE, PERIODIC, NONE], (Verdict.PERIODIC, Verdict.PERIODIC, Verdict.PERIODIC)),
        ([NEAR_MISS, PERIODIC], (Verdict.NEAR_MISS, Verdict.NEAR_MISS, Verdict.NEAR_MISS)),
        ([OPEN, NEAR_MISS], (Verdict.INDETERMINATE, Verdict.NEAR_MISS, Verdict.MAJOR)),
        ([NONE, OPEN], (Verdict.INDETERMINATE, Verdict.NONE, Verdict.MAJOR)),
        ([OPEN, MAJOR, NONE], (Verdict.MAJOR, Verdict.MAJOR, Verdict.MAJOR)),
        # what is open there is certain here
        ([PERHAPS_LISTED, PERIODIC], (Verdict.PERIODIC, Verdict.PERIODIC, Verdict.PERIODIC)),
    ],
)
def test_the_gravest_impact_speaks_for_the_incident(impacts: list[Bounds], expected: tuple[Verdict, ...]) -> None:
    assert gravest(impacts) == expected


known = st.sampled_from([NONE, PERIODIC, NEAR_MISS, MAJOR, OPEN, PERHAPS_LISTED])


@given(st.lists(known, min_size=1), st.randoms())
def test_the_order_of_the_impacts_does_not_matter(impacts: list[Bounds], random: Random) -> None:
    shuffled = random.sample(impacts, len(impacts))
    assert gravest(impacts) == gravest(shuffled)


@given(st.lists(known, min_size=1), known)
def test_one_more_impact_never_lowers_the_verdict_on_the_incident(impacts: list[Bounds], more: Bounds) -> None:
    gravity = [Verdict.NONE, Verdict.PERIODIC, Verdict.NEAR_MISS, Verdict.MAJOR]
    before, after = gravest(impacts), gravest([*impacts, more])
    assert gravity.index(before.at_least) <= gravity.index(after.at_least)
    assert gravity.index(before.at_most) <= gravity.index(after.at_most)


def test_a_number_that_grows_with_the_accident_goes_on_as_it_did_so_far() -> None:
    """100,000 users without a service are 50,000 user-hours after half an hour: an hour's worth of 100,000 after the hour."""
    row = rulebook_on(STARTED_AT, shipped()).row_of(ServiceFacts("internet_access", charged=True))
    half = STARTED_AT + timedelta(minutes=30)
    assert major_at(row, STARTED_AT, 50_000) == STARTED_AT + timedelta(hours=2)
    assert major_at(row, STARTED_AT, 50_000, half) == STARTED_AT + timedelta(hours=1)
    # 15,000 in half an hour are 30,000 in one: the time of the row comes later; 5,000 are so many in three
    assert major_at(row, STARTED_AT, 15_000, half) == STARTED_AT + timedelta(hours=2)
    assert major_at(row, STARTED_AT, 5_000, half) == STARTED_AT + timedelta(hours=3)
    assert major_at(row, STARTED_AT, 0, half) is None
    # nothing counted yet, or no upper bound: as it stands
    assert major_at(row, STARTED_AT, 50_000, STARTED_AT) == STARTED_AT + timedelta(hours=2)
    assert major_at(row, STARTED_AT, None, half) == STARTED_AT + timedelta(hours=1)
