"""An impact with stopped and degraded users: their union counts, under the draft each kind apart, before fiscal 2008 only the stop;
and an outage split into functions is never judged more gravely than the whole.
"""

from datetime import datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.near_miss import Answers, assess
from receiver.law.provisions import JST
from receiver.law.rulebook import Kind, Rulebook, ServiceFacts, rulebook_named, shipped
from receiver.law.verdict import Circumstances, Population, Verdict, gravest, judge, judge_again, judge_populations

ACCESS = ServiceFacts("internet_access")
TODAY, DRAFT, OLD = (rulebook_named(id_, shipped()) for id_ in ("JP-TBA58-2026", "JP-TBA58-DRAFT-2023-04", "JP-TBA58-2004"))
GRAVITY = [Verdict.NONE, Verdict.PERIODIC, Verdict.NEAR_MISS, Verdict.MAJOR]
H2 = timedelta(hours=2)


def exactly(users: int, duration: timedelta = H2) -> Population:
    return Population(users, users, duration)


@pytest.mark.parametrize(
    ("book", "stopped", "degraded", "verdict"),
    [
        (TODAY, 30_000, 0, "major"),
        (TODAY, 0, 30_000, "major"),
        (DRAFT, 30_000, 29_999, "major"),
        (DRAFT, 29_999, 30_000, "major"),
        (DRAFT, 29_999, 29_999, "periodic"),
        (OLD, 30_000, 0, "major"),
        (OLD, 0, 30_000, "periodic"),
        (OLD, 29_999, 3_000_000, "periodic"),
    ],
)
def test_each_rulebook_counts_the_two_kinds_in_its_own_way(book: Rulebook, stopped: int, degraded: int, verdict: str) -> None:
    union = stopped + degraded
    judged = judge_populations(ACCESS, book, H2, exactly(stopped), exactly(degraded), union)
    assert judged.at_least == verdict
    if book is not TODAY:
        assert judged.verdict == verdict


def test_whether_the_two_kinds_overlap_is_not_known_unless_the_union_is() -> None:
    """15,000 and 15,000 are 30,000 if nobody had both."""
    open_ = judge_populations(ACCESS, TODAY, H2, exactly(15_000), exactly(15_000))
    assert (open_.verdict, open_.at_least, open_.at_most) == ("indeterminate", "periodic", "major")
    assert (open_.users_at_least, open_.users_at_most) == (15_000, 30_000)
    known = judge_populations(ACCESS, TODAY, H2, exactly(15_000), exactly(15_000), together_at_most=29_999)
    assert (known.verdict, known.users_at_most) == ("periodic", 29_999)


def test_a_kind_without_upper_bound_leaves_the_union_without_one() -> None:
    judged = judge_populations(ACCESS, TODAY, H2, exactly(10), Population(0, None, H2))
    assert (judged.users_at_most, judged.at_most) == (None, "major")
    bounded = judge_populations(ACCESS, TODAY, H2, exactly(10), Population(0, None, H2), together_at_most=20)
    assert (bounded.users_at_most, bounded.verdict) == (20, "periodic")


def test_a_union_said_to_be_smaller_than_one_of_its_kinds_is_as_large_as_that() -> None:
    judged = judge_populations(ACCESS, TODAY, H2, exactly(40_000), exactly(10), together_at_most=5)
    assert (judged.users_at_least, judged.users_at_most, judged.verdict) == (40_000, 40_000, "major")


def test_judged_apart_each_kind_has_its_own_time() -> None:
    short = timedelta(hours=2) - timedelta(microseconds=1)
    apart = judge_populations(ACCESS, DRAFT, timedelta(hours=5), exactly(30_000, short), exactly(29_999, timedelta(hours=5)))
    assert apart.verdict == "periodic"
    assert judge_populations(ACCESS, DRAFT, timedelta(hours=5), exactly(30_000, H2), exactly(29_999, H2)).verdict == "major"
    # in force is the time of the accident
    assert judge_populations(ACCESS, TODAY, timedelta(hours=5), exactly(30_000, short), exactly(0, short)).verdict == "major"


def test_judged_apart_the_margins_are_those_of_the_larger_kind() -> None:
    judged = judge_populations(ACCESS, DRAFT, timedelta(hours=5), exactly(29_000, H2), exactly(20_000, timedelta(hours=5)))
    assert (judged.margin_users, judged.margin_seconds) == (-1_000, 0)
    turned = judge_populations(ACCESS, DRAFT, timedelta(hours=5), exactly(20_000, timedelta(hours=5)), exactly(29_000, H2))
    assert (turned.margin_users, turned.margin_seconds) == (-1_000, 0)
    one = judge_populations(ACCESS, DRAFT, timedelta(hours=5), exactly(0, timedelta(hours=5)), exactly(1, H2))
    assert (one.margin_users, one.margin_seconds) == (-29_999, 0)


def test_all_traffic_down_makes_every_user_a_stopped_one() -> None:
    down = Circumstances(facility="satellite", all_traffic_down=True, installed_by_the_carrier=False)
    assert judge_populations(ACCESS, OLD, H2, exactly(0), exactly(30_000), 30_000, down).verdict == "major"
    assert judge(ACCESS, OLD, H2, 30_000, 30_000, Circumstances(effect="degradation", all_traffic_down=True)).verdict == "major"
    assert judge(ACCESS, OLD, H2, 30_000, 30_000, Circumstances(effect="both", all_traffic_down=True)).verdict == "major"


@pytest.mark.parametrize("book", [TODAY, DRAFT, OLD], ids=lambda book: book.id)
def test_judged_again_the_two_kinds_are_still_told_apart(book: Rulebook) -> None:
    kinds = exactly(29_999), exactly(30_000)
    first = judge_populations(ACCESS, book, H2, *kinds, 40_000)
    assert judge_again(first, ACCESS, book, first.circumstances) == first
    voice, power = ServiceFacts("voice", emergency_calls=True), Circumstances(cause="non_telecom_equipment_failure")
    assert judge_again(first, voice, book, power) == judge_populations(voice, book, H2, *kinds, 40_000, power)


def test_an_unknown_cause_or_none_counts_for_both_kinds() -> None:
    nothing = judge_populations(ACCESS, TODAY, H2, exactly(50_000), exactly(0), 50_000, Circumstances(cause="no_failure"))
    assert nothing.verdict == "none"
    assert nothing.circumstances.effect == "both"


any_facts = st.builds(
    ServiceFacts,
    kind=st.sampled_from(get_args(Kind)),
    emergency_calls=st.none() | st.booleans(),
    charged=st.none() | st.booleans(),
    monthly_users_previous_fy=st.none() | st.integers(0, 30_000_000),
)
books = st.sampled_from(shipped())
users = st.sampled_from([0, 15_000, 29_999, 30_000, 99_999, 100_000, 1_000_000]) | st.integers(0, 3_000_000)
lengths = st.sampled_from([3599, 3600, 7199, 7200, 43_200, 86_400]).map(lambda s: timedelta(seconds=s))


@given(any_facts, books, lengths, users, st.lists(st.tuples(st.fractions(0, 1), st.fractions(0, 1)), min_size=1, max_size=5))
def test_splitting_an_outage_into_functions_never_raises_the_verdict(
    facts: ServiceFacts, book: Rulebook, duration: timedelta, number: int, shares: list[tuple[float, float]]
) -> None:
    whole = judge(facts, book, duration, number, number)
    parts = []
    for of_users, of_time in shares:
        some, lasted = int(number * of_users), timedelta(microseconds=int(duration / timedelta(microseconds=1) * float(of_time)))
        parts.append(judge(facts, book, min(lasted, duration), some, some))
    assert GRAVITY.index(gravest(parts).verdict) <= GRAVITY.index(whole.verdict)


@given(any_facts, books, lengths, users, users)
def test_splitting_an_outage_into_stop_and_degradation_never_raises_the_verdict(
    facts: ServiceFacts, book: Rulebook, duration: timedelta, stopped: int, degraded: int
) -> None:
    union = stopped + degraded
    whole = judge(facts, book, duration, union, union)
    split = judge_populations(facts, book, duration, exactly(stopped, duration), exactly(degraded, duration), union)
    assert GRAVITY.index(split.at_most) <= GRAVITY.index(whole.verdict)


@given(any_facts, books, lengths, users, users, users)
def test_the_true_union_is_never_judged_outside_what_was_said_of_it(
    facts: ServiceFacts, book: Rulebook, duration: timedelta, stopped: int, degraded: int, both: int
) -> None:
    union = max(stopped, degraded, stopped + degraded - both)
    populations = exactly(stopped, duration), exactly(degraded, duration)
    said = judge_populations(facts, book, duration, *populations)
    if not book.apart and not book.stop_only:
        truth = GRAVITY.index(judge(facts, book, duration, union, union).verdict)
        assert GRAVITY.index(said.at_least) <= truth <= GRAVITY.index(said.at_most)


@given(any_facts, st.sampled_from([TODAY, DRAFT]), lengths, lengths, users, users)
def test_which_of_the_two_kinds_comes_first_does_not_matter_where_both_count(
    facts: ServiceFacts, book: Rulebook, of_stop: timedelta, of_degradation: timedelta, stopped: int, degraded: int
) -> None:
    longest, first, second = max(of_stop, of_degradation), exactly(stopped, of_stop), exactly(degraded, of_degradation)
    there, back = (judge_populations(facts, book, longest, *pair) for pair in ((first, second), (second, first)))
    assert (there.verdict, there.at_least, there.at_most) == (back.verdict, back.at_least, back.at_most)


OCCURRED = datetime(2026, 11, 21, 12, 0, tzinfo=JST)
CLASS_2 = {"already_major": False, "class_2_facility": True}


def test_a_near_miss_stands_between_a_major_accident_and_the_periodic_report() -> None:
    near_miss = assess(Answers(**CLASS_2, class_2_impaired=True), OCCURRED)
    assert near_miss.outcome == "applies"
    small, listed, major = (judge(ACCESS, TODAY, H2, number, number) for number in (0, 29_999, 30_000))
    assert gravest([small, near_miss]).verdict == "near_miss"
    assert gravest([listed, near_miss]).verdict == "near_miss"
    assert gravest([major, near_miss]).verdict == "major"


def test_an_open_checklist_leaves_open_what_it_could_turn_into() -> None:
    open_ = assess(Answers(**CLASS_2), OCCURRED)
    assert open_.outcome == "cannot_be_told"
    nothing = judge(ACCESS, TODAY, timedelta(minutes=1), 1, 1)
    assert gravest([nothing, open_]) == ("indeterminate", "none", "near_miss")
    assert gravest([judge(ACCESS, TODAY, H2, 30_000, 30_000), open_]).verdict == "major"
    ruled_out = assess(Answers(**CLASS_2, class_2_impaired=False, serves_30000_users=False), OCCURRED)
    assert gravest([nothing, ruled_out]).verdict == "none"


def test_judged_apart_the_kind_that_reaches_a_condition_decides_though_it_is_the_smaller() -> None:
    stopped, degraded = exactly(30_000, H2), exactly(90_000, timedelta(minutes=30))
    judged = judge_populations(ACCESS, DRAFT, H2, stopped, degraded)
    assert (judged.verdict, judged.margin_seconds, judged.margin_users) == ("major", 0, 0)
