"""What persons state: the latest word on each fact stands, none is erased, and the judgement follows it with who, when and why."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec

from receiver.incidents.assess import assess, end_without_service
from receiver.incidents.count import Told
from receiver.law.causes import cause
from receiver.law.forecast import Trend
from receiver.law.near_miss import Answers
from receiver.law.provisions import Text
from receiver.law.rulebook import shipped
from receiver.law.verdict import Verdict
from receiver.model import (
    RECEIVER,
    Act,
    Assessment,
    Caused,
    Closed,
    Conclusion,
    Counted,
    Deed,
    Dismissed,
    Drilled,
    EmergencyCalls,
    Incident,
    Merged,
    NearMissAnswered,
    Planned,
    Reopened,
    Timed,
    Withdrawn,
)
from receiver.observation.users import Answer, Reading, UsersObserved
from receiver.stated import Stated, in_words, near_miss_of, stated
from tests.conclusions import assert_no_conclusion
from tests.incidents.test_assess import HOUR, INCIDENT, T0, UNAFFECTED, VOICE, answer, failed

MINUTE = timedelta(minutes=1)
PLAN = Planned(T0 - 10 * MINUTE, T0 + 2 * HOUR)


def said(*deeds: Deed) -> list[Act]:
    return [
        Act(number, "inc-1", T0 + number * MINUTE, f"person-{number}", f"reason-{number}", deed)
        for number, deed in enumerate(deeds, start=1)
    ]


def standing(*deeds: Deed) -> Stated:
    return stated(said(*deeds))


def judged(
    *deeds: Deed,
    after: timedelta = HOUR,
    users: int | None = 40_000,
    previous: Conclusion | None = None,
    restored_at: datetime | None = None,
    incident: Incident = INCIDENT,
    known: Stated | None = None,
    trend: Trend | None = None,
    **others: Answer,
) -> Assessment | None:
    answers = {"unable": answer(users), "under_equipment": answer(90_000), "emergency_calls_affected": UNAFFECTED} | others
    told, lead = Told(UsersObserved(answers), trend=trend), timedelta(minutes=30)
    return assess(incident, VOICE, restored_at, told, previous, shipped(), lead, T0 + after, stated=known or standing(*deeds))


def odds(*deeds: Deed, good_at: datetime | None) -> list[Text]:
    incident = msgspec.structs.replace(INCIDENT, good_at=good_at)
    flags = one(*deeds, incident=incident).explanation.uncertain
    return [flag.text for flag in flags if flag.code == "good_after_stated_start"]


def test_a_stated_start_before_which_it_was_not_but_after_which_it_was_seen_working_is_flagged() -> None:
    began = Timed(started_at=T0 - 10 * MINUTE)
    (told,) = odds(began, good_at=T0 - MINUTE)
    assert told.ja == (
        "申告された発生（2026-11-21 11:50:00 JST）の後に正常の計測がある（2026-11-21 11:59:00 JST）。どちらが正しいか要確認"
    )
    assert told.en.startswith("It was seen working at 2026-11-21 11:59:00 JST, after the stated start")
    assert odds(began, good_at=T0 - 10 * MINUTE) == []
    assert odds(began, good_at=None) == []
    assert odds(good_at=T0 + MINUTE) == [], "what nobody stated contradicts nobody"


def one(*deeds: Deed, **more: Any) -> Assessment:
    found = judged(*deeds, **more)
    assert found
    return found


def codes(assessment: Assessment) -> set[str]:
    return {flag.code for flag in assessment.explanation.uncertain}


# the fold


def test_nobody_having_said_anything_nothing_stands() -> None:
    assert standing() == Stated()
    assert near_miss_of(standing(), T0) is None


def test_the_latest_word_on_each_fact_stands_and_each_remembers_who_said_it() -> None:
    known = standing(
        Caused("software"),
        Timed(started_at=T0 - HOUR),
        Counted("voice", 10),
        Counted("data", 20),
        Caused("hardware"),
        Timed(restored_at=T0 + HOUR),
        Counted("voice", 30, stopped=10, degraded=20),
        EmergencyCalls("voice", affected=True),
        EmergencyCalls("voice", affected=False),
    )
    assert (known.cause, known.started_at, known.restored_at) == ("hardware", T0 - HOUR, T0 + HOUR)
    assert {service: counted.users for service, counted in known.users.items()} == {"voice": 30, "data": 20}
    assert known.emergency_calls == {"voice": False}
    assert {fact: act.who for fact, act in known.by.items()} == {
        ("cause", ""): "person-5",
        ("started_at", ""): "person-2",
        ("restored_at", ""): "person-6",
        ("users", "voice"): "person-7",
        ("users", "data"): "person-4",
        ("emergency_calls", "voice"): "person-9",
    }
    assert known.last == 9


def test_the_order_in_which_acts_are_read_does_not_matter() -> None:
    acts = said(Timed(restored_at=T0), Reopened(), Timed(started_at=T0 - HOUR), Caused("software"))
    assert len({msgspec.json.encode(stated(each).started_at) for each in permutations(acts)}) == 1
    assert all(stated(each) == stated(acts) for each in permutations(acts))


def test_a_reopening_takes_the_end_back_until_a_new_end_is_stated_and_a_drill_stays_one() -> None:
    known = standing(Timed(T0, T0 + HOUR), Drilled(), Reopened())
    assert (known.started_at, known.restored_at, known.drill, known.is_going_on) == (T0, None, True, True)
    ended = standing(Timed(T0, T0 + HOUR), Reopened(), Timed(restored_at=T0 + 2 * HOUR))
    assert (ended.restored_at, ended.is_going_on) == (T0 + 2 * HOUR, False)


def test_a_reopening_after_a_dismissal_or_a_close_takes_back_just_that() -> None:
    for before in (Dismissed(), Closed()):
        known = standing(Timed(restored_at=T0 + HOUR), Drilled(), before, Reopened())
        assert (known.restored_at, known.drill, known.is_closed, known.is_going_on) == (T0 + HOUR, True, False, False)
    assert standing(Closed()).is_closed
    assert standing(Dismissed(), Reopened(), Reopened()).is_going_on


def test_what_is_withdrawn_does_not_stand_until_it_is_stated_again() -> None:
    known = standing(Timed(T0, T0 + HOUR), Drilled(), Withdrawn(("started_at", "drill")))
    assert (known.started_at, known.restored_at, known.drill, known.is_going_on) == (None, T0 + HOUR, False, False)
    assert known.by.keys() == {("restored_at", "")}
    assert standing(Drilled(), Withdrawn(("drill",)), Drilled()).drill


def test_answers_on_near_misses_stay_unless_they_are_answered_anew() -> None:
    known = standing(
        NearMissAnswered(Answers(burned=True, planned=False)),
        NearMissAnswered(Answers(burned=False)),
        NearMissAnswered(Answers(two_prefectures=True)),
    )
    assert known.near_miss == Answers(burned=False, planned=False, two_prefectures=True)
    assert known.by["near_miss", "burned"].who == "person-2"
    assert known.by["near_miss", "planned"].who == "person-1"


def test_another_plan_stands_in_the_place_of_the_first() -> None:
    longer = Planned(PLAN.since, PLAN.until + HOUR)
    assert standing(PLAN).plan_ends_at == PLAN.until
    assert standing(PLAN, longer).plan_ends_at == longer.until


def test_every_deed_is_told_in_both_languages_with_who_when_and_why() -> None:
    deeds: list[Deed] = [
        Caused("power"),
        Timed(T0, T0 + HOUR),
        Counted("voice", 32_000, stopped=2_000, degraded=30_000),
        PLAN,
        Drilled(),
        EmergencyCalls("voice", affected=True),
        NearMissAnswered(Answers(burned=True)),
        Merged("inc-2", "inc-1"),
        Withdrawn(("started_at", "restored_at", "drill")),
        Dismissed(),
        Reopened(),
        Closed(),
    ]
    for act in said(*deeds):
        text = in_words(act)
        for told in (text.ja, text.en):
            assert act.who in told
            assert act.why in told
            assert "2026-11-21 12:" in told
        assert_no_conclusion(text)
    by_itself = in_words(Act(1, "inc-1", T0, RECEIVER, "the same cause", Merged("inc-2", "inc-1")))
    assert "申告" not in by_itself.ja
    assert "stated" not in by_itself.en


# the judgement


def test_without_acts_the_judgement_is_what_it_was() -> None:
    plain = one()
    assert (plain.verdict, plain.acts_up_to, plain.explanation.stated) == ("major", None, ())
    assert "cause_unknown" in codes(plain)


def test_a_stated_cause_takes_the_place_of_not_knowing_and_is_told_with_who_and_why_and_its_source() -> None:
    told = one(Caused("software"))
    assert told.verdict == "major"
    assert not codes(told) & {"cause_unknown", "cause_undecided"}
    assert any("person-1" in line.en and "reason-1" in line.en for line in told.explanation.stated)
    assert cause("software").provision in told.explanation.citations
    assert "person-1" in told.reason.ja


def test_a_cause_of_which_no_text_says_on_which_side_it_stands_is_left_to_a_person() -> None:
    told = one(Caused("power"))
    assert (told.verdict, told.candidate, told.major_expected_at) == ("periodic", False, None)
    assert {"cause_undecided", "cause_stated"} <= codes(told)


def test_what_is_no_failure_by_a_persons_word_calls_nobody_and_foretells_nothing() -> None:
    told = one(Caused("traffic_growth"), after=45 * MINUTE)
    assert (told.verdict, told.candidate, told.major_expected_at) == ("none", False, None)
    assert one(after=45 * MINUTE).candidate


def test_the_stated_number_is_the_one_that_is_judged_and_the_measured_one_stays_to_be_seen() -> None:
    told = one(Counted("voice", 29_999), Counted("data", 50_000))
    assert (told.verdict, told.affected_users, told.method, told.measured) == ("none", 29_999, "stated", True)
    assert told.affected.count
    assert (told.affected.at_least, told.affected.at_most) == (29_999, 29_999)
    assert [known.users for known in told.affected.kept] == [40_000]
    numbers = "\n".join(line.en for line in told.explanation.numbers)
    assert "29,999 users (stated by a person)" in numbers
    assert "As measured, not judged: Affected: 40,000 users" in numbers
    assert "data" not in "\n".join(line.en for line in told.explanation.stated)


def test_a_stated_number_stands_though_nothing_can_be_measured() -> None:
    told = one(Counted("voice", 32_000), users=None, unable=failed(), under_equipment=failed())
    assert (told.verdict, told.at_least, told.at_most, told.affected.at_most) == ("major", "major", "major", 32_000)


def test_a_smaller_number_stated_later_is_no_largest_count() -> None:
    first = one(Counted("voice", 50_000))
    later = one(Counted("voice", 50_000), Counted("voice", 10_000), previous=first)
    assert (first.verdict, later.verdict, later.affected_users) == ("major", "none", 10_000)
    assert [known.users for known in later.affected.kept] == [40_000]


def test_learnt_from_a_person_it_was_major_from_the_moment_the_law_names() -> None:
    first = one(users=10_000, after=2 * HOUR)
    late = stated([Act(1, "inc-1", T0 + 4 * HOUR, "person-1", "reason-1", Counted("voice", 32_000))])
    later = one(users=10_000, after=5 * HOUR, previous=first, known=late)
    assert (first.verdict, later.major_since) == ("periodic", T0 + HOUR)


def test_a_stated_number_takes_the_place_of_no_measurement() -> None:
    first = one(Counted("voice", 32_000), users=None, unable=failed(), under_equipment=failed())
    over = one(Counted("voice", 32_000), users=None, previous=first, restored_at=T0 + HOUR, after=2 * HOUR)
    assert (over.affected_users, [known.users for known in over.affected.kept]) == (32_000, [90_000])


def test_a_stated_number_does_not_grow_with_what_is_measured() -> None:
    growing = Trend(6_000, 6_000, 6_000)
    assert one(users=20_000, after=30 * MINUTE, trend=growing).major_on_trend_at
    assert one(Counted("voice", 20_000), users=20_000, after=30 * MINUTE, trend=growing).major_on_trend_at is None
    assert one(Caused("traffic_growth"), users=20_000, after=30 * MINUTE, trend=growing).major_on_trend_at is None


def test_every_act_is_told_even_if_it_changes_no_number() -> None:
    first = one(Counted("voice", 40_000))
    assert judged(Counted("voice", 40_000), previous=first) is None
    again = one(Counted("voice", 40_000), Counted("voice", 40_000), previous=first)
    assert again.acts_up_to == 2


def test_planned_work_within_its_plan_is_no_failure_and_says_when_the_plan_is_over() -> None:
    told = one(PLAN, after=PLAN.until - T0 - timedelta(seconds=1))
    assert (told.verdict, told.candidate, told.major_expected_at) == ("none", False, None)
    assert any("2026-11-21 14:00:00 JST" in line.ja and "計画の超過" in line.ja for line in told.explanation.would_change)
    assert any("Art. 58(2) says nothing" in line.en for line in told.explanation.steps)
    assert cause("planned_work_within_plan").provision in told.explanation.citations


def test_planned_work_that_overruns_is_judged_as_a_whole_and_rises_when_the_plan_is_over() -> None:
    within = one(PLAN, after=HOUR)
    over = one(PLAN, after=2 * HOUR, previous=within)
    assert (within.verdict, over.verdict, over.duration, over.major_since) == ("none", "major", 2 * HOUR, PLAN.until)
    later = judged(PLAN, after=3 * HOUR, previous=over)
    assert later is None or later.major_since == PLAN.until


def test_planned_work_done_in_time_stays_within_its_plan() -> None:
    end = T0 + 2 * HOUR
    told = one(PLAN, after=9 * HOUR, restored_at=end)
    assert (told.verdict, told.candidate) == ("none", False)
    assert not any("2026-11-21 14:00:00 JST" in line.ja for line in told.explanation.would_change)


def test_a_drill_is_computed_to_the_end_but_calls_nobody() -> None:
    for after, verdict in ((45 * MINUTE, "periodic"), (HOUR, "major")):
        told = one(Drilled(), after=after)
        assert (told.verdict, told.candidate) == (verdict, False)


def test_what_was_dismissed_or_joined_calls_nobody() -> None:
    for changes in ({"dismissed": True}, {"joined_to": "inc-2"}):
        assert not one(incident=msgspec.structs.replace(INCIDENT, **changes), after=45 * MINUTE).candidate


AFFECTED = Answer("q", {"core-1": Reading(1, T0, "q", "")})


def test_a_persons_word_on_emergency_calls_goes_before_what_was_observed() -> None:
    assert one().method == "direct"
    told = one(EmergencyCalls("voice", affected=True))
    assert (told.method, told.affected_users) == ("emergency_all_under_equipment", 90_000)
    assert one(emergency_calls_affected=AFFECTED).method == "emergency_all_under_equipment"
    spared = one(EmergencyCalls("voice", affected=False), emergency_calls_affected=AFFECTED)
    assert (spared.method, spared.affected_users) == ("direct", 40_000)
    assert one(EmergencyCalls("data", affected=True)).method == "direct"


def test_that_no_emergency_call_was_affected_takes_back_what_was_counted_so() -> None:
    first = one(emergency_calls_affected=AFFECTED)
    later = one(EmergencyCalls("voice", affected=False), emergency_calls_affected=AFFECTED, previous=first)
    assert (later.method, later.affected_users) == ("direct", 40_000)
    over = one(EmergencyCalls("voice", affected=False), previous=first, restored_at=T0 + HOUR, after=2 * HOUR)
    assert over.method == "all_under_equipment"


def test_emergency_calls_may_be_stated_after_the_recovery() -> None:
    first = one()
    over = one(previous=first, restored_at=T0 + HOUR, after=2 * HOUR)
    told = one(EmergencyCalls("voice", affected=True), previous=over, restored_at=T0 + HOUR, after=3 * HOUR)
    assert (over.affected_users, told.method, told.affected_users) == (40_000, "emergency_all_under_equipment", 90_000)
    unknown = one(
        EmergencyCalls("voice", affected=True), previous=over, restored_at=T0 + HOUR, after=3 * HOUR, under_equipment=failed()
    )
    assert (unknown.affected.at_least, unknown.measured) == (40_000, True)


def test_a_failed_question_on_emergency_calls_is_no_gap_where_a_person_said_that_there_were_none() -> None:
    told = one(EmergencyCalls("voice", affected=False), emergency_calls_affected=failed())
    assert (told.method, told.affected.problem) == ("direct", None)
    assert one(emergency_calls_affected=failed()).affected.problem


def test_what_left_the_catalogue_follows_acts_too() -> None:
    last = one(after=45 * MINUTE)
    ended = end_without_service(last, INCIDENT, T0 + HOUR, standing(Drilled()))
    assert ended
    assert (ended.candidate, ended.acts_up_to) == (False, 1)


# near-misses

BEFORE_THE_FACTS = dict.fromkeys(("already_major", "planned", "within_design", "natural_disaster"), False)
OF_CLASS_1 = dict.fromkeys(
    ("serves_30000_users", "two_prefectures", "beyond_terminal_side", "key_function", "could_not_stop"), True
)


def test_answers_are_judged_by_the_text_of_the_day_of_occurrence() -> None:
    found = near_miss_of(standing(NearMissAnswered(Answers(**BEFORE_THE_FACTS, **OF_CLASS_1, burned=True))), T0)
    assert found
    assert (found.outcome, found.at_least) == ("applies", Verdict.NEAR_MISS)
    some = near_miss_of(standing(NearMissAnswered(Answers(burned=True))), T0)
    assert some
    assert some.outcome == "cannot_be_told"
    assert some.open_questions


def test_before_the_article_existed_there_is_no_near_miss() -> None:
    assert near_miss_of(standing(NearMissAnswered(Answers(burned=True))), datetime(2010, 1, 1, tzinfo=UTC)) is None
