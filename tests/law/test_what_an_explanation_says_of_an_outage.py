"""What a person reads of an outage that is watched: a number or a cause that a person stated, the end of a plan, an outlook, to the
letter in both languages.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest

from receiver.law.causes import CauseRule, Kind, cause
from receiver.law.counting import Affected, Count
from receiver.law.explanation import Explanation, explain_outage
from receiver.law.impairment import Impairment
from receiver.law.provisions import Flag, Text, guideline
from receiver.law.rulebook import Rulebook
from receiver.law.verdict import Cause, Circumstances, judge
from tests.explained import ACCESS, BOOKS, STARTED_AT, TODAY, codes, measured

MEASURED = Affected((measured(31_000),))
BY_A_PERSON = Count(40_000, "stated", "", STARTED_AT)
FOUR_HOURS_LATER = STARTED_AT + timedelta(hours=4)


def outage(
    affected: Affected = MEASURED,
    rule: CauseRule | None = None,
    *,
    started_at: datetime = STARTED_AT,
    expected_at: datetime | None = None,
    book: Rulebook = TODAY,
    **said: Any,
) -> Explanation:
    """Of internet access, for half an hour; `rule` is of the cause that was named, `said` what else `explain_outage` takes."""
    circumstances = Circumstances(cause=rule.cause) if rule else Circumstances()
    judged = judge(ACCESS, book, timedelta(minutes=30), affected.at_least, affected.at_most, circumstances)
    return explain_outage(judged, ACCESS, book, affected, started_at, None, expected_at, cause=rule, **said)


# --- a number that a person stated ---

NUMBER = Text("影響利用者数は40,000人（人の申告による）", "Affected: 40,000 users (stated by a person)")
COUNTED = Text(
    "計測値（判定に用いない）: 影響利用者数は31,000人（利用できなかった利用者の実数、2026-11-21 13:00:00 JSTの計測、単位: line、"
    'クエリ: sum(art58:users_unable{service="voice"})）',
    "As measured, not judged: Affected: 31,000 users (users who tried and could not use it, measured at 2026-11-21 13:00:00 JST, "
    'unit: line, query: sum(art58:users_unable{service="voice"}))',
)
FINER = Text(
    "計測値（判定に用いない）: 優先される方法を用いない理由: 系列がない",
    "As measured, not judged: A finer method not used: no series",
)
GONE = Text(
    f"{COUNTED.ja}。現在は計測できない（timed out）ため、最大で50,000人",
    f"{COUNTED.en}. It cannot be measured now (timed out), so at most: 50,000 users",
)
COARSE = msgspec.structs.replace(measured(31_000), passed_over=(Text("系列がない", "no series"),))
NUMBERS: dict[str, tuple[Affected, list[Text]]] = {
    "never measured": (Affected(bound=50_000, problem="timed out", stated=BY_A_PERSON), [NUMBER]),
    "measured": (Affected((COARSE,), stated=BY_A_PERSON), [NUMBER, COUNTED, FINER]),
    "no longer measured": (Affected((measured(31_000),), 50_000, "timed out", stated=BY_A_PERSON), [NUMBER, GONE]),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_that_a_person_stated_is_told_as_such_and_before_what_was_measured(case: str) -> None:
    affected, lines = NUMBERS[case]
    judged = Text("継続時間0時間30分00秒、影響利用者数40,000人", "0 h 30 min 00 s, 40,000 users")
    besides = Text("電気通信設備の故障、役務の停止", "failure of telecommunications equipment, stop")
    assert list(outage(affected).numbers) == [*lines, besides, judged]


def test_a_persons_own_count_rests_on_no_rule_of_counting() -> None:
    counted, by_a_person = outage().citations, outage(Affected(MEASURED.kept, stated=BY_A_PERSON)).citations
    assert [rule for rule in counted if rule not in by_a_person] == [guideline("best_effort")]
    assert [rule for rule in by_a_person if rule not in counted] == []


# --- a cause that was named ---

SILENT = msgspec.structs.replace(cause("hardware"), provision=msgspec.structs.replace(cause("hardware").provision, says=None))
CAUSES: list[tuple[CauseRule, Text]] = [
    (
        cause("hardware"),
        Text(
            "原因「設備のハードウェア故障」は「電気通信設備の故障」として判定: "
            "狭義の設備のハードウェア故障は故障（既存のガイドラインの補足として引用）",
            "Cause (hardware failure of the equipment) judged as: failure of telecommunications equipment; "
            "hardware failure in the narrow sense is a failure (quoted there from the guideline of the time)",
        ),
    ),
    (
        cause("ordering_system"),
        Text(
            "原因「申込受付等の業務システムの故障」は「電気通信設備以外の設備の故障」として判定: "
            "電気通信設備以外の設備の故障は定期報告の区分で、契約を締結しようとする者も利用者に含む",
            "Cause (failure of an ordering or similar business system) judged as: failure of other equipment; failures of other "
            "equipment are a class of the periodic report; its users include people trying to conclude a contract",
        ),
    ),
    (
        cause("planned_work_within_plan"),
        Text(
            "原因「計画どおりの工事」は「故障ではない」として判定: "
            "第58条の2は計画されたものを除くが第58条第2項に定めはない。計画どおりの停止は故障ではないとみなす（解釈）",
            "Cause (planned work within its plan) judged as: no failure; Art. 58-2 excludes what was planned, Art. 58(2) says "
            "nothing; a stop as planned is taken as no failure (our reading)",
        ),
    ),
    (
        cause("upstream_restriction"),
        Text(
            "原因「卸元・接続先による通信の制限」は「原因不明（故障として判定）」として判定: "
            "上流の事業者による通信の制限は条文・案のいずれにもない。故障として判定し、人が判断する",
            "Cause (restriction of traffic by the upstream carrier) judged as: cause unknown, judged as a failure; neither "
            "ordinance nor draft names restrictions by the upstream carrier; judged as a failure until a person decides",
        ),
    ),
    (
        SILENT,
        Text(
            "原因「設備のハードウェア故障」は「電気通信設備の故障」として判定: -",
            "Cause (hardware failure of the equipment) judged as: failure of telecommunications equipment; -",
        ),
    ),
]


@pytest.mark.parametrize(("rule", "line"), CAUSES)
def test_a_cause_that_was_named_is_told_with_what_is_judged_for_it_and_what_stands_about_it(rule: CauseRule, line: Text) -> None:
    since = Text("2026-11-21 12:00:00 JSTの故障から0時間30分00秒", "0 h 30 min 00 s since the failure at 2026-11-21 12:00:00 JST")
    named, unnamed = outage(rule=rule), outage()
    assert named.steps[:2] == (since, line)
    assert line not in unnamed.steps
    assert rule.provision in named.citations


def test_each_way_to_judge_a_cause_is_among_those_that_are_told() -> None:
    assert {rule.cause for rule, _ in CAUSES} == set(get_args(Cause))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_cause_that_no_text_names_is_left_to_a_person_and_no_other(kind: Kind) -> None:
    undecided = Flag(
        "cause_undecided",
        Text(
            "この原因をどの区分とするかを定めた条文等は確認できていない（要判断）",
            "No text that was read says on which side this cause stands: a person decides",
        ),
    )
    explanation, rule = outage(rule=cause(kind)), cause(kind)
    assert [flag for flag in explanation.uncertain if flag == undecided] == [undecided] * rule.a_person_decides
    assert ("cause_undecided" in codes(explanation)) == rule.a_person_decides


@pytest.mark.parametrize(
    ("started_at", "evidence"),
    [(datetime(2023, 12, 6, 14, 59, 59, tzinfo=UTC), "assumed"), (datetime(2023, 12, 6, 15, tzinfo=UTC), "read")],
)
def test_what_stands_about_a_cause_is_known_as_well_as_for_the_day_of_occurrence_in_japan(
    started_at: datetime, evidence: str
) -> None:
    rule = cause("other_carrier_equipment")
    explanation = outage(rule=rule, started_at=started_at, book=BOOKS["JP-TBA58-2019"])
    assert explanation.citations[-1] == msgspec.structs.replace(rule.provision, evidence=evidence)


# --- what comes next ---

EXPECTED = Text(
    "変化がなければ2026-11-21 14:00:00 JSTに重大な事故の基準に達する",
    "If nothing changes, the threshold of a major accident is reached at 2026-11-21 14:00:00 JST",
)
OUTLOOK = Text("増え続ければ13時。なお24時間。", "if they grow, at 13:00. 24 h more.")
ON_THE_TREND = Text("増え続ければ13時。なお24時間", "if they grow, at 13:00. 24 h more")
OVERRUN = Text(
    "計画の終了時刻2026-11-21 16:00:00 JSTを過ぎて続けば、計画の超過とし、発生時から全体を故障として判定する",
    "If it goes on beyond the end of the plan at 2026-11-21 16:00:00 JST, all of it is judged as a failure from its start: "
    "an overrun",
)


@pytest.mark.parametrize(
    ("outlook", "plan_ends_at", "lines"),
    [
        (None, None, [EXPECTED]),
        (None, FOUR_HOURS_LATER, [EXPECTED, OVERRUN]),
        (OUTLOOK, None, [ON_THE_TREND]),
        (OUTLOOK, FOUR_HOURS_LATER, [ON_THE_TREND, OVERRUN]),
    ],
)
def test_what_comes_next_is_told_first_on_the_trend_if_there_is_one_and_with_the_end_of_the_plan(
    outlook: Text | None, plan_ends_at: datetime | None, lines: list[Text]
) -> None:
    expected_at = STARTED_AT + timedelta(hours=2)
    told = outage(expected_at=expected_at, outlook=outlook, plan_ends_at=plan_ends_at).would_change
    assert list(told[: len(lines)]) == lines
    assert told[len(lines)].en.startswith("To the nearest condition")


def test_planned_work_says_what_it_becomes_when_the_plan_is_over() -> None:
    assert outage(rule=cause("planned_work_within_plan"), plan_ends_at=FOUR_HOURS_LATER).would_change[0] == OVERRUN


# --- what persons said, and the basis ---

SAID = (Text("利用者数: 甲による（電話で確認）", "users: by A (asked by phone)"), Text("原因: 乙による", "cause: by B"))


def test_what_persons_said_is_told_last_and_changes_nothing_else() -> None:
    explanation, without = outage(stated=SAID), outage()
    assert explanation.text.ja == f"{without.text.ja}人の申告: 利用者数: 甲による（電話で確認）。原因: 乙による。"
    assert explanation.text.en == f"{without.text.en} Stated by persons: users: by A (asked by phone). cause: by B."
    assert msgspec.structs.replace(explanation, stated=()) == without


@pytest.mark.parametrize("stated", [(), SAID])
def test_a_rule_on_which_several_parts_rest_is_cited_once(stated: tuple[Text, ...]) -> None:
    slow = Impairment("degradation", Text("遅い", "slow"), (guideline("best_effort"), guideline("degradation_best_effort")))
    assert list(outage(seen=slow, stated=stated).citations) == [*outage().citations, guideline("degradation_best_effort")]
