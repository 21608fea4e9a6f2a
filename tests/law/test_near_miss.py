"""The checklist of 施行規則 第58条の2: which answers make a near-miss under the text of the day, and what must still be asked.

The expected outcome is written here a second time, over plain booleans, from the text of regulation rather than from the data.
"""

import itertools
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law import lined_yaml
from receiver.law.near_miss import Answers, Checklist, Fact, NearMiss, assess, faults, shipped
from receiver.law.provisions import JST, NoProvision

OLD = datetime(2026, 3, 31, 12, tzinfo=JST)
NEW = datetime(2026, 4, 1, 12, tzinfo=JST)
FACTS: tuple[Fact, ...] = Answers.__struct_fields__  # type: ignore[assignment]
NOTHING: dict[str, bool | None] = dict.fromkeys(FACTS, False)
EQUIPMENT: dict[str, bool | None] = {
    "serves_30000_users": True,
    "two_prefectures": True,
    "beyond_terminal_side": True,
    "key_function": True,
}
CASES_OF_ONE_FACT = {
    1: "could_not_stop",
    3: "fell_over",
    4: "burned",
    5: "wrong_terminal_connected",
    6: "capacity_exceeded",
    7: "wrong_rollout",
}


def answers(**given: bool | None) -> Answers:
    """All answered with no, unless said otherwise."""
    return Answers(**(NOTHING | given))


def class_1(**given: bool | None) -> Answers:
    """Equipment that fulfils イ to ニ; all else answered with no, unless said otherwise."""
    return Answers(**(NOTHING | EQUIPMENT | given))


def labels(found: NearMiss) -> list[str]:
    return [decider.label for decider in found.decided_by]


def asked(found: NearMiss) -> set[str]:
    return {question.fact for question in found.open_questions}


def test_t28_a_standby_that_did_not_take_over_though_noticed_at_once_is_a_near_miss_only_from_april_2026_on() -> None:
    t28 = class_1(standby_not_switched=True, failure_not_noticed=False)
    assert assess(t28, OLD).outcome == "does_not_apply"
    found = assess(t28, NEW)
    assert (found.outcome, found.near_miss_class, found.case) == ("applies", 1, 2)


def test_until_march_2026_the_standby_case_needs_that_the_failure_was_not_noticed() -> None:
    found = assess(class_1(standby_not_switched=True, failure_not_noticed=True), OLD)
    assert (found.outcome, found.case) == ("applies", 2)
    assert asked(assess(class_1(standby_not_switched=True, failure_not_noticed=None), OLD)) == {"failure_not_noticed"}


def test_t29_a_bad_rollout_whose_rollback_failed_is_a_near_miss_only_from_april_2026_on() -> None:
    t29 = class_1(wrong_rollout=True)
    assert assess(t29, OLD).outcome == "does_not_apply"
    found = assess(t29, NEW)
    assert (found.outcome, found.near_miss_class, found.case) == ("applies", 1, 7)


@pytest.mark.parametrize(("case", "fact"), CASES_OF_ONE_FACT.items())
@pytest.mark.parametrize("day", [OLD, NEW], ids=["old", "new"])
def test_every_case_is_enough_from_its_day_on(case: int, fact: str, day: datetime) -> None:
    found = assess(class_1(**{fact: True}), day)
    in_force = day == NEW or case <= 5
    assert (found.outcome, found.case) == (("applies", case) if in_force else ("does_not_apply", None))


@pytest.mark.parametrize("fact", EQUIPMENT)
def test_every_item_about_the_equipment_must_hold(fact: str) -> None:
    found = assess(class_1(burned=True, **{fact: False}), NEW)
    assert found.outcome == "does_not_apply"
    assert not any(decider.holds for decider in found.decided_by)
    letter = "イロハニ"[list(EQUIPMENT).index(fact)]
    assert labels(found) == [f"1号{letter}", "2号（対象設備）", "2号（重大な支障・損傷）"]


def test_without_any_case_there_is_no_near_miss_and_every_case_is_named() -> None:
    second = ["2号（対象設備）", "2号（重大な支障・損傷）"]
    assert labels(assess(class_1(), NEW)) == [*second, *(f"1号ホ({n})" for n in range(1, 8))]
    assert labels(assess(class_1(), OLD)) == [*second, *(f"1号ホ({n})" for n in range(1, 6))]
    assert [decider.holds for decider in assess(class_1(), NEW).decided_by] == [False] * 9


@pytest.mark.parametrize("exclusion", ["planned", "within_design", "natural_disaster"])
def test_every_exclusion_takes_a_case_away(exclusion: str) -> None:
    found = assess(class_1(burned=True, **{exclusion: True}), NEW)
    assert found.outcome == "does_not_apply"
    assert [label for label in labels(found) if "ヘ" in label and "ホ" not in label] == [
        {"planned": "1号ヘ（計画）", "within_design": "1号ヘ（設計仕様の範囲内）", "natural_disaster": "1号ヘ（自然災害）"}[
            exclusion
        ]
    ]
    assert not any("ホ" in label for label in labels(found))
    assert [decider.holds for decider in found.decided_by] == [False, False, True]


def test_equipment_that_fell_over_in_a_natural_disaster_is_a_near_miss_all_the_same() -> None:
    assert assess(class_1(fell_over=True, natural_disaster=True), NEW).case == 3
    assert assess(class_1(fell_over=True, natural_disaster=True, burned=True), NEW).case == 3
    assert assess(class_1(fell_over=True, planned=True), NEW).outcome == "does_not_apply"


def test_a_seriously_damaged_submarine_cable_is_class_2_whatever_the_rest() -> None:
    found = assess(answers(class_2_facility=True, class_2_impaired=True, natural_disaster=True), NEW)
    assert (found.outcome, found.near_miss_class, found.case) == ("applies", 2, None)
    assert labels(found) == ["2号（対象設備）", "2号（重大な支障・損傷）"]
    assert all(decider.holds for decider in found.decided_by)


def test_class_2_needs_both_the_facility_and_the_damage() -> None:
    assert assess(answers(class_2_facility=True), NEW).outcome == "does_not_apply"
    assert assess(answers(class_2_impaired=True), NEW).outcome == "does_not_apply"


def test_what_already_is_a_major_accident_is_no_near_miss() -> None:
    found = assess(class_1(burned=True, already_major=True), NEW)
    assert (found.outcome, labels(found)) == ("does_not_apply", ["柱書"])
    assert found.decided_by[0].holds


def test_whether_it_already_is_a_major_accident_may_be_the_only_question_left() -> None:
    found = assess(class_1(burned=True, already_major=None, fell_over=None, class_2_facility=None, class_2_impaired=True), NEW)
    assert (found.outcome, asked(found)) == ("cannot_be_told", {"already_major"})


def test_where_class_2_is_fulfilled_class_1_is_not_asked() -> None:
    assert asked(assess(Answers(class_2_facility=True, class_2_impaired=True), NEW)) == {"already_major"}


@pytest.mark.parametrize(
    ("part", "fact"),
    [("class_1", "key_function"), ("exclusions", "natural_disaster"), ("class_2", "class_2_impaired")],
)
def test_a_point_that_ended_before_the_day_is_not_asked(part: str, fact: str) -> None:
    book = shipped()
    ended = [
        msgspec.structs.replace(item, provision=msgspec.structs.replace(item.provision, valid_to=OLD.date()))
        if item.fact == fact
        else item
        for item in getattr(book, part)
    ]
    book = msgspec.structs.replace(book, **{part: tuple(ended)})
    assert fact in asked(assess(Answers(), OLD, book))
    assert fact not in asked(assess(Answers(), NEW, book))


def test_with_nothing_answered_everything_in_force_is_asked() -> None:
    assert asked(assess(Answers(), NEW)) == set(FACTS) - {"failure_not_noticed"}
    assert asked(assess(Answers(), OLD)) == set(FACTS) - {"capacity_exceeded", "wrong_rollout"}
    assert assess(Answers(), NEW).decided_by == ()


def test_a_class_that_fails_anyhow_asks_nothing_more() -> None:
    found = assess(Answers(two_prefectures=False, class_2_facility=True), NEW)
    assert asked(found) == {"already_major", "class_2_impaired"}


def test_what_decided_a_near_miss_is_cited_from_the_text_of_the_day() -> None:
    found = assess(class_1(standby_not_switched=True), NEW)
    assert labels(found) == [
        "1号イ",
        "1号ロ",
        "1号ハ",
        "1号ニ",
        "1号ホ(2)",
        "1号ヘ（計画）",
        "1号ヘ（設計仕様の範囲内）",
        "1号ヘ（自然災害）",
    ]
    assert [decider.holds for decider in found.decided_by] == [True] * 5 + [False] * 3
    assert found.checked_on == date(2026, 4, 1)
    assert found.decided_by[4].provision.source.endswith("20260401_508M60000008021")
    assert {decider.provision.evidence for decider in found.decided_by} == {"read"}


def test_before_the_first_text_that_was_read_the_evidence_is_only_assumed() -> None:
    found = assess(class_1(burned=True), datetime(2023, 12, 6, 23, 59, tzinfo=JST))
    assert {decider.provision.evidence for decider in found.decided_by} == {"assumed"}
    assert "未確認の仮定" in found.explanation.ja
    assert "read" in {d.provision.evidence for d in assess(class_1(burned=True), datetime(2023, 12, 7, tzinfo=JST)).decided_by}


def test_before_the_article_existed_nothing_is_judged() -> None:
    assert assess(answers(), datetime(2023, 6, 16, tzinfo=JST)).outcome == "does_not_apply"
    with pytest.raises(NoProvision, match="2023-06-15"):
        assess(answers(), datetime(2023, 6, 15, tzinfo=JST))


def test_the_day_is_that_of_japan() -> None:
    assert assess(class_1(wrong_rollout=True), datetime(2026, 3, 31, 15, 0, tzinfo=UTC)).outcome == "applies"
    assert assess(class_1(wrong_rollout=True), datetime(2026, 3, 31, 14, 59, tzinfo=UTC)).outcome == "does_not_apply"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="occurred_at has no time zone"):
        assess(answers(), datetime(2026, 4, 1))  # noqa: DTZ001


def test_no_outcome_says_that_the_law_applies() -> None:
    found = assess(class_1(wrong_rollout=True), NEW)
    assert found.headline.ja == "重大な事故が生ずるおそれのある事態に該当する可能性（要判断）"
    assert found.headline.en == "may apply as a near-miss (おそれ事態): a person decides"
    assert "要確認" in assess(answers(), NEW).headline.ja
    assert "a person confirms" in assess(answers(), NEW).headline.en
    assert "a person decides" in assess(Answers(), NEW).headline.en
    assert "要判断" in assess(Answers(), NEW).headline.ja


def test_the_explanation_names_what_decided_or_what_to_answer() -> None:
    decided = assess(class_1(wrong_rollout=True), NEW).explanation
    assert "決め手: 1号イ=はい、" in decided.ja
    assert "1号ホ(7)=はい" in decided.ja
    assert "1号ヘ（計画）=いいえ" in decided.ja
    assert "2026-04-01の規定による。根拠: 電気通信事業法施行規則 第58条の2（法令、条文を確認）。" in decided.ja
    assert "Decided by: Ordinance Art. 58-2 (1) イ = yes" in decided.en
    assert "未回答" not in decided.ja
    undecided = assess(class_1(wrong_rollout=True, planned=None), NEW).explanation
    assert "未回答: あらかじめ計画されたものか。" in undecided.ja
    assert "Still to be answered: Was it planned in advance? By the text of 2026-04-01. Basis: " in undecided.en


def test_the_whole_explanation_in_both_languages() -> None:
    decided = assess(class_1(two_prefectures=False, key_function=False, burned=True), NEW).explanation
    assert decided.ja == (
        "回答の限りではおそれ事態の要件を満たさない（要確認）。"
        "決め手: 1号ロ=いいえ、1号ニ=いいえ、2号（対象設備）=いいえ、2号（重大な支障・損傷）=いいえ。"
        "2026-04-01の規定による。根拠: 電気通信事業法施行規則 第58条の2（法令、条文を確認）。"
    )
    assert decided.en == (
        "by these answers not a near-miss (おそれ事態): a person confirms. Decided by: Ordinance Art. 58-2 (1) ロ = no, "
        "Ordinance Art. 58-2 (1) ニ = no, Ordinance Art. 58-2 (2) = no, Ordinance Art. 58-2 (2) = no. "
        "By the text of 2026-04-01. Basis: Ordinance Art. 58-2 (law, text read)."
    )
    undecided = assess(class_1(burned=True, planned=None, within_design=None), NEW).explanation
    questions = {question.fact: question.text for question in shipped().questions}
    assert undecided.ja == (
        "おそれ事態に該当するか判定できない（要判断）。"
        f"未回答: {questions['planned'].ja}／{questions['within_design'].ja}。"
        "2026-04-01の規定による。根拠: 電気通信事業法施行規則 第58条の2（法令、条文を確認）。"
    )
    assert undecided.en == (
        "whether it is a near-miss (おそれ事態) cannot be told yet: a person decides. "
        f"Still to be answered: {questions['planned'].en} / {questions['within_design'].en} "
        "By the text of 2026-04-01. Basis: Ordinance Art. 58-2 (law, text read)."
    )


def _expected(a: dict[str, bool], new: bool) -> bool:
    """The article over complete answers."""
    excluded = a["planned"] or a["within_design"]
    standby = a["standby_not_switched"] and (new or a["failure_not_noticed"])
    others = a["could_not_stop"] or standby or a["burned"] or a["wrong_terminal_connected"]
    if new:
        others = others or a["capacity_exceeded"] or a["wrong_rollout"]
    case = (others and not a["natural_disaster"]) or a["fell_over"]
    first = all(a[fact] for fact in EQUIPMENT) and case and not excluded
    second = a["class_2_facility"] and a["class_2_impaired"]
    return (first or second) and not a["already_major"]


full = st.fixed_dictionaries({fact: st.booleans() for fact in FACTS})
likely = st.fixed_dictionaries(
    {fact: st.sampled_from([True, True, True, False] if fact in EQUIPMENT else [False, False, False, True]) for fact in FACTS}
)
partly = st.fixed_dictionaries({fact: st.none() | st.booleans() for fact in FACTS})
days = st.sampled_from([OLD, NEW])


@given(full | likely, days)
def test_complete_answers_are_always_decided_as_the_article_says(complete: dict[str, bool], day: datetime) -> None:
    outcome = assess(Answers(**complete), day).outcome
    assert outcome == ("applies" if _expected(complete, day == NEW) else "does_not_apply")


@given(partly, full | likely, days)
def test_an_answer_given_later_never_turns_a_decision_over(
    some: dict[str, bool | None], rest: dict[str, bool], day: datetime
) -> None:
    decided = assess(Answers(**some), day).outcome
    later = assess(Answers(**{fact: rest[fact] if some[fact] is None else some[fact] for fact in FACTS}), day).outcome
    assert decided in ("cannot_be_told", later)


@given(partly, st.sets(st.sampled_from(FACTS), min_size=1), full | likely, days)
def test_only_the_questions_that_are_open_matter(
    some: dict[str, bool | None], known: set[Fact], values: dict[str, bool], day: datetime
) -> None:
    some = {fact: values[fact] if fact in known else answer for fact, answer in some.items()}
    found = assess(Answers(**some), day)
    assert (found.outcome == "cannot_be_told") == bool(found.open_questions)
    unasked = {fact: values[fact] for fact in FACTS if some[fact] is None and fact not in asked(found)}
    assert assess(Answers(**(some | unasked)), day).outcome == found.outcome
    assert asked(assess(Answers(**(some | unasked)), day)) == asked(found)


def _hangs_on(some: dict[str, bool | None], new: bool) -> set[str]:
    """The unanswered facts of which the outcome depends under some way to answer the others: all ways are tried."""
    unknown = [fact for fact in FACTS if some[fact] is None]
    outcomes = {
        combination: _expected({**some, **dict(zip(unknown, combination, strict=True))}, new)  # type: ignore[dict-item]
        for combination in itertools.product([False, True], repeat=len(unknown))
    }
    return {
        fact
        for combination, outcome in outcomes.items()
        for place, fact in enumerate(unknown)
        if outcome != outcomes[(*combination[:place], not combination[place], *combination[place + 1 :])]
    }


@given(partly, full | likely, st.integers(0, 1), days)
def test_exactly_those_questions_are_open_on_which_the_outcome_hangs(
    some: dict[str, bool | None], values: dict[str, bool], half: int, day: datetime
) -> None:
    some = {fact: values[fact] if number % 2 == half else answer for number, (fact, answer) in enumerate(some.items())}
    assert asked(assess(Answers(**some), day)) == _hangs_on(some, day == NEW)


def test_so_it_is_for_every_way_to_answer_about_cases_and_exclusions() -> None:
    facts = ("could_not_stop", "burned", "fell_over", "planned", "natural_disaster", "already_major")
    for given_answers in itertools.product([False, True, None], repeat=len(facts)):
        some = NOTHING | EQUIPMENT | dict(zip(facts, given_answers, strict=True))
        assert asked(assess(Answers(**some), NEW)) == _hangs_on(some, new=True)


def test_every_value_is_cited_down_to_the_item_and_was_checked() -> None:
    book = shipped()
    for value in (*book.class_1, *book.cases, *book.exclusions, *book.class_2, book.not_when_major):
        assert value.provision.article.ja.startswith("電気通信事業法施行規則 第58条の2")
        assert value.provision.source.startswith("https://laws.e-gov.go.jp/law/360M50001000025/")
        assert (value.provision.basis, value.provision.evidence) == ("law", "read")
        assert value.provision.last_checked >= date(2026, 11, 21)


@pytest.mark.parametrize(("day", "numbers"), [(OLD, [1, 2, 3, 4, 5]), (NEW, [1, 2, 3, 4, 5, 6, 7])])
def test_each_case_stands_once_on_each_day(day: datetime, numbers: list[int]) -> None:
    assert [case.number for case in shipped().on(day.date()).cases] == numbers


def test_a_checklist_with_two_versions_of_a_case_or_without_a_question_is_refused() -> None:
    book = msgspec.json.decode(msgspec.json.encode(shipped()))
    book["cases"][1]["provision"]["valid_to"] = "2026-04-01"
    del book["questions"][-1]
    document = lined_yaml.Document("bad.yaml", book, {("cases", 2): 160, ("questions",): 7})
    with pytest.raises(lined_yaml.FaultyFile) as refused:
        lined_yaml.convert(document, Checklist, faults)
    assert [(fault.line, fault.wrong, fault.cure) for fault in refused.value.faults] == [
        (7, "no question for class_2_impaired", "Add one"),
        (160, "case 2 is given twice for one day", "Close the older one with valid_to"),
    ]


def test_an_answer_to_a_question_that_is_not_asked_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"burnt": True}, Answers)
