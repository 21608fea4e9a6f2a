"""The arithmetic of a verdict, step by step: it says what was compared with what, and never anything but what the verdict says."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.explanation import Explanation, explain
from receiver.law.provisions import Text
from receiver.law.rulebook import Rulebook, ServiceFacts
from receiver.law.verdict import Circumstances, Judgement, Population, Verdict, judge, judge_populations
from receiver.law.wording import VERDICTS
from tests.explained import (
    ACCESS,
    BOOKS,
    EMERGENCY,
    STARTED_AT,
    TODAY,
    any_book,
    any_circumstances,
    any_facts,
    near_a_threshold,
    of_case,
    spells,
)

DRAFT = BOOKS["JP-TBA58-DRAFT-2023-04"]


def test_one_second_or_one_user_short_is_not_fulfilled() -> None:
    second = of_case(60 - 1 / 60, 30_000, EMERGENCY)
    user = of_case(60, 29_999, EMERGENCY)
    assert second.steps[0].en.endswith("0 h 00 min 01 s short, just enough users: not fulfilled")
    assert user.steps[0].en.endswith("just long enough, 1 users short: not fulfilled")
    assert second.would_change[0].ja.endswith("まで: あと0時間00分01秒続く")
    assert user.would_change[0].en.endswith(": 1 users more")


def test_clause_2_is_told_with_its_own_citation() -> None:
    explanation = of_case(120, 0, circumstances=Circumstances(facility="submarine_cable", all_traffic_down=True))
    assert explanation.steps[0].en == (
        "Clause (ii), all communications impossible for at least 2 h 00 min 00 s, whatever the number of users: "
        "just long enough: fulfilled"
    )
    assert [rule.article.en for rule in explanation.citations] == [
        "Ordinance Art. 58(2)(i), table, row 6",
        "Ordinance Art. 58(2)(ii)",
    ]


def test_clause_2_is_told_before_it_is_fulfilled() -> None:
    waiting = Circumstances(facility="satellite", all_traffic_down=True, installed_by_the_carrier=True)
    explanation = of_case(120 - 1 / 60, 0, circumstances=waiting)
    assert explanation.steps[0].en.endswith("whatever the number of users: 0 h 00 min 01 s short: not fulfilled")
    assert explanation.would_change[0] == Text("第2号まで: あと0時間00分01秒続く", "To clause (ii): 0 h 00 min 01 s more")
    assert "Ordinance Art. 58(2)(ii)" in [rule.article.en for rule in explanation.citations]


@pytest.mark.parametrize(
    ("circumstances", "ja", "en"),
    [
        (
            {"all_traffic_down": False},
            "全ての通信の不能ではない→満たさない",
            "not all communications are impossible: not fulfilled",
        ),
        ({"installed_by_the_carrier": False}, "自ら設置した設備ではない→満たさない", "not installed by the carrier: not fulfilled"),
        ({}, "時間は0時間10分00秒超過→満たす", "0 h 10 min 00 s over: fulfilled"),
    ],
)
def test_clause_2_is_told_with_what_it_asks_and_why_it_is_fulfilled_or_not(
    circumstances: dict[str, bool], ja: str, en: str
) -> None:
    stated = {"all_traffic_down": True, "installed_by_the_carrier": True} | circumstances
    asked = "Clause (ii), all communications impossible for at least 2 h 00 min 00 s, whatever the number of users"
    assert of_case(130, 0, circumstances=Circumstances(facility="satellite", **stated)).steps[0] == Text(
        f"第2号（全ての通信が2時間00分00秒以上不能、利用者数によらない）: {ja}", f"{asked}: {en}"
    )


@pytest.mark.parametrize(
    ("minutes", "least", "most", "told"),
    [
        (120, 0, 0, "fulfilled"),
        (10, 30_000, 30_000, "fulfilled"),
        (120 - 1 / 60, 29_999, 29_999, "not fulfilled"),
        (10, 0, 29_999, "not fulfilled"),
        (10, 0, 30_000, "may be fulfilled"),
        (10, 0, None, "may be fulfilled"),
    ],
)
def test_for_the_periodic_report_time_or_users_are_enough(minutes: float, least: int, most: int | None, told: str) -> None:
    judged = judge(ACCESS, TODAY, timedelta(minutes=minutes), least, most)
    last = explain(judged, ACCESS, TODAY, STARTED_AT).steps[-1]
    assert last.en == f"Periodic report: at least 2 h 00 min 00 s or at least 30,000 users: {told}"


def under_the_draft(stopped: tuple[int, float], degraded: tuple[int, float]) -> tuple[Text, ...]:
    """The arithmetic for so many users of each kind for so many minutes."""
    first, second = (Population(users, users, timedelta(minutes=minutes)) for users, minutes in (stopped, degraded))
    judged = judge_populations(ACCESS, DRAFT, max(first.duration, second.duration), first, second)
    return explain(judged, ACCESS, DRAFT, STARTED_AT).steps


@pytest.mark.parametrize(
    ("stopped", "degraded", "told"),
    [
        ((29_000, 300), (40_000, 110), "0 h 10 min 00 s short, 10,000 users over: not fulfilled"),
        ((40_000, 110), (29_000, 300), "0 h 10 min 00 s short, 10,000 users over: not fulfilled"),
        ((0, 20), (1, 10), "1 h 50 min 00 s short, 29,999 users short: not fulfilled"),
        ((0, 20), (0, 10), "1 h 40 min 00 s short, 30,000 users short: not fulfilled"),
        # more users, but not long enough: it is the other kind that reaches the condition
        ((90_000, 30), (30_000, 120), "just long enough, just enough users: fulfilled"),
    ],
)
def test_under_the_draft_a_condition_is_compared_with_the_kind_that_comes_nearest(
    stopped: tuple[int, float], degraded: tuple[int, float], told: str
) -> None:
    condition = "Condition (at least 2 h 00 min 00 s and at least 30,000 users)"
    assert under_the_draft(stopped, degraded)[1].en == f"{condition}: {told}"


@pytest.mark.parametrize(("degraded", "ja", "en"), [(0, "0人", "0 users"), (7, "7人", "7 users")])
def test_under_the_draft_it_is_told_that_the_two_kinds_do_not_add_up(degraded: int, ja: str, en: str) -> None:
    assert under_the_draft((0, 20), (degraded, 20))[0] == Text(
        f"停止と品質の低下を別々に表と比べる（利用者の多い方は{ja}）",
        f"Stop and degradation are compared with the table each by itself (the larger: {en})",
    )


def test_where_only_stops_count_and_nobody_has_counted_any_number_is_conceivable() -> None:
    steps = of_case(180, None, circumstances=Circumstances(effect="both"), book=BOOKS["JP-TBA58-2004"]).steps
    assert steps[0] == Text(
        "品質の低下は対象外。表と比べるのは停止の利用者のみ（0人以上、上限不明）",
        "Degradation does not count: users with a stop are compared with the table (at least 0 users, no known upper limit)",
    )


def test_under_the_draft_the_larger_kind_is_compared() -> None:
    both = of_case(130, 59_999, circumstances=Circumstances(effect="both"), book=DRAFT)
    assert both.steps[0].en.endswith("each by itself (the larger: from 30,000 to 59,999 users)")
    assert both.headline == VERDICTS[Verdict.MAJOR]


def outcomes(explanation: Explanation, begins: tuple[str, ...]) -> set[str]:
    """What the steps that begin so say of the conditions they compare."""
    return {step.en.rpartition(": ")[2] for step in explanation.steps if step.en.startswith(begins)}


def assert_steps_agree(judged: Judgement, explanation: Explanation) -> None:
    table, listed = outcomes(explanation, ("Condition", "Clause")), outcomes(explanation, ("Periodic",))
    assert ("fulfilled" in table) == (judged.at_least == Verdict.MAJOR)
    assert ("may be fulfilled" in table) >= (judged.at_most == Verdict.MAJOR != judged.at_least)
    if judged.at_most != Verdict.MAJOR:
        assert "may be fulfilled" not in table
    if judged.at_least == Verdict.PERIODIC:
        assert listed == {"fulfilled"}
    if judged.at_most == Verdict.NONE:
        assert listed <= {"not fulfilled"}


more = st.none() | near_a_threshold


@given(any_facts, any_book, spells, near_a_threshold, more, any_circumstances)
def test_the_arithmetic_shown_is_that_of_the_verdict(
    facts: ServiceFacts, book: Rulebook, duration: timedelta, least: int, slack: int | None, circumstances: Circumstances
) -> None:
    judged = judge(facts, book, duration, least, None if slack is None else least + slack, circumstances)
    assert_steps_agree(judged, explain(judged, facts, book, STARTED_AT))


@given(any_facts, any_book, spells, spells, near_a_threshold, more, near_a_threshold, more, any_circumstances)
def test_the_arithmetic_shown_for_both_kinds_of_users_is_that_of_the_verdict(
    facts: ServiceFacts,
    book: Rulebook,
    of_stop: timedelta,
    of_degradation: timedelta,
    stopped: int,
    more_stopped: int | None,
    degraded: int,
    more_degraded: int | None,
    circumstances: Circumstances,
) -> None:
    first = Population(stopped, None if more_stopped is None else stopped + more_stopped, of_stop)
    second = Population(degraded, None if more_degraded is None else degraded + more_degraded, of_degradation)
    judged = judge_populations(facts, book, max(of_stop, of_degradation), first, second, None, circumstances)
    assert_steps_agree(judged, explain(judged, facts, book, STARTED_AT))
