"""Why a verdict is what it is: everything a person needs to check it, in Japanese and English, and never a legal conclusion."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.conference import Meetings, probability
from receiver.law.counting import Affected, Count
from receiver.law.estimate import Estimate, Method
from receiver.law.explanation import RULE_OF, Explanation, explain_estimate
from receiver.law.methods import Traffic, emergency_voice, traffic_difference
from receiver.law.provisions import Text
from receiver.law.rulebook import Rulebook, ServiceFacts
from receiver.law.verdict import Circumstances, Verdict, judge
from receiver.law.wording import METHODS, VERDICTS, clock_time, length, users
from tests.conclusions import assert_no_conclusion
from tests.explained import (
    ACCESS,
    BOOKS,
    EMERGENCY,
    QUERY,
    STARTED_AT,
    TODAY,
    any_book,
    any_circumstances,
    any_facts,
    any_minutes,
    codes,
    measured,
    of_case,
    watched,
)


def test_a_major_outage_in_words() -> None:
    text = watched(EMERGENCY, 65.1, Affected((measured(42_123, "emergency_all_under_equipment"),))).text
    assert text.ja == (
        "重大な事故に該当する可能性（要判断）。"
        "区分: JP-TBA58-2026の表の1の項「緊急通報を取り扱う音声伝送役務」"
        "（種別: 音声伝送、緊急通報の取扱い: あり、料金: 不明、前年度の月平均利用者数: 不明）。"
        "数値: 影響利用者数は42,123人（故障した設備の配下の全利用者（緊急通報）、2026-11-21 13:00:00 JSTの計測、"
        '単位: line、クエリ: sum(art58:users_unable{service="voice"})）。'
        "電気通信設備の故障、役務の停止。継続時間1時間05分06秒、影響利用者数42,123人。"
        "計算: 2026-11-21 12:00:00 JSTの故障から1時間05分06秒。"
        "基準に達した時刻は2026-11-21 13:00:00 JST。"
        "条件（1時間00分00秒以上かつ30,000人以上）: 時間は0時間05分06秒超過、利用者数は12,123人超過→満たす。"
        "根拠: 電気通信事業法施行規則 第58条第2項第1号の表の1の項（法令、条文を確認）。"
        "電気通信事故等に係る電気通信事業法関係法令の適用に関するガイドラインの見直し案 論点(4)①"
        "（ガイドライン、論点整理(案)（2023年4月5日）による。最終版は未確認）: "
        "完全な故障は設備配下の全利用者数、一定程度使用できる場合は呼損率を乗じ、算出できなければ全利用者数（案。確定した文言は未確認）。"
        "論点整理(案) 論点(2)① 事故の継続時間の起点と終点"
        "（ガイドライン、論点整理(案)（2023年4月5日）による。最終版は未確認）: "
        "設備の故障から、事業者の対処により求めに応じて提供が可能になるまで（端末の再起動等が必要な場合も含む）（案）。"
    )
    assert text.en == (
        "may apply as a major accident (重大な事故): a person decides. "
        "Row: JP-TBA58-2026, row 1: voice service that handles emergency calls "
        "(kind: voice, emergency calls: yes, charged: unknown, monthly users of the previous fiscal year: unknown). "
        "Numbers: Affected: 42,123 users "
        "(all users under the failed equipment (emergency calls), measured at 2026-11-21 13:00:00 JST, "
        'unit: line, query: sum(art58:users_unable{service="voice"})). '
        "failure of telecommunications equipment, stop. 1 h 05 min 06 s, 42,123 users. "
        "Arithmetic: 1 h 05 min 06 s since the failure at 2026-11-21 12:00:00 JST. "
        "The threshold was reached at 2026-11-21 13:00:00 JST. "
        "Condition (at least 1 h 00 min 00 s and at least 30,000 users): 0 h 05 min 06 s over, 12,123 users over: fulfilled. "
        "Basis: Ordinance Art. 58(2)(i), table, row 1 (law, text read). "
        "Accident guideline, proposed revision, point (4)(i) (guideline, known from the draft of 2023-04-05 only): "
        "complete failure: all users under it; partly usable: × call-loss rate, all if unknown (draft, final text not seen). "
        "draft, point (2)(i): start and end of the duration (guideline, known from the draft of 2023-04-05 only): "
        "from the failure of the equipment until the operator's action makes the service available on request, "
        "even where users need to reboot (draft)."
    )


def test_an_outage_for_the_periodic_report_says_what_is_lacking_and_when_it_may_come() -> None:
    explanation = watched(ACCESS, 70, Affected((measured(31_234, "all_under_equipment"),)))
    assert explanation.headline == VERDICTS[Verdict.PERIODIC]
    assert [text.en for text in explanation.steps] == [
        "1 h 10 min 00 s since the failure at 2026-11-21 12:00:00 JST",
        "Condition (at least 2 h 00 min 00 s and at least 30,000 users): 0 h 50 min 00 s short, 1,234 users over: not fulfilled",
        "Condition (at least 1 h 00 min 00 s and at least 100,000 users): 0 h 10 min 00 s over, 68,766 users short: not fulfilled",
        "Periodic report: at least 2 h 00 min 00 s or at least 30,000 users: fulfilled",
    ]
    assert [text.en for text in explanation.would_change] == [
        "If nothing changes, the threshold of a major accident is reached at 2026-11-21 14:00:00 JST",
        "To the nearest condition (at least 2 h 00 min 00 s and at least 30,000 users): 0 h 50 min 00 s more",
    ]
    assert [rule.article.en for rule in explanation.citations][:2] == [
        "Ordinance Art. 58(2)(i), table, row 6",
        "Reporting Rules Art. 7-3",
    ]
    assert codes(explanation) == ["ask_minor_accidents"]


def test_an_unmeasured_outage_says_both_ends_and_what_may_be_fulfilled() -> None:
    explanation = watched(ACCESS, 130, Affected(bound=99_999, problem="the query timed out"))
    assert explanation.headline == VERDICTS[Verdict.INDETERMINATE]
    assert explanation.numbers[0].en.startswith("Affected users are unmeasured (the query timed out). Upper bound, all users under")
    assert explanation.numbers[0].en.endswith(": 99,999 users")
    assert explanation.numbers[2] == Text(
        "継続時間2時間10分00秒、影響利用者数0人以上99,999人以下", "2 h 10 min 00 s, from 0 to 99,999 users"
    )
    fulfilled = [step.en.rpartition(": ")[2] for step in explanation.steps[1:]]
    assert fulfilled == ["may be fulfilled", "not fulfilled", "fulfilled"]
    assert [step.ja.rpartition("→")[2] for step in explanation.steps[1:]] == ["満たす可能性がある", "満たさない", "満たす"]
    told = " ".join(text.en for text in explanation.would_change)
    assert "may have been reached as early as 2026-11-21 14:00:00 JST" in told
    assert (
        "At least: may belong in the periodic report (定期報告): a person decides; at most: may apply as a major accident" in told
    )
    assert codes(explanation) == ["users_unknown", "ask_hard_to_count", "ask_minor_accidents"]


def test_a_figure_that_can_no_longer_be_measured_is_said_with_its_upper_bound() -> None:
    text = watched(ACCESS, 20, Affected((measured(31_234),), bound=1_234_567, problem="the query timed out")).text
    assert "影響利用者数は31,234人" in text.ja
    assert "現在は計測できない（the query timed out）ため、最大で1,234,567人" in text.ja
    assert "Affected: 31,234 users" in text.en
    assert "It cannot be measured now (the query timed out), so at most: 1,234,567 users" in text.en
    assert "may be reached as early as 2026-11-21 13:00:00 JST" in text.en


def test_a_missing_upper_bound_is_said() -> None:
    text = watched(ACCESS, 20, Affected(problem="the query timed out")).text
    assert "0人以上、上限不明" in text.ja
    assert "at least 0 users, no known upper limit" in text.en


def test_the_row_is_not_called_a_paragraph_of_the_article() -> None:
    # 第58条第1項 is about leaked information; a row of the table is 一の項
    assert "第1項" not in of_case(65, 42_000, EMERGENCY).text.ja


def test_a_table_known_from_a_later_text_is_cited_as_assumed_for_earlier_days() -> None:
    book = BOOKS["JP-TBA58-2019"]
    early, late = (of_case(10, 5, started_at=datetime(year, 6, 1, tzinfo=UTC), book=book).citations[0] for year in (2020, 2024))
    assert (early.evidence, late.evidence) == ("assumed", "read")


BYTES = Traffic((900, 1000, 1100), (450, 400, 880), bytes_per_user_hour=0.02)


@pytest.mark.parametrize(
    ("estimate", "facts", "told"),
    [
        (traffic_difference(BYTES), ACCESS, "without times the duration"),
        (emergency_voice(50_000, False, 0.5), EMERGENCY, "not times the call-loss rate"),
    ],
)
def test_another_reading_is_told_where_it_would_change_the_verdict(estimate: Estimate, facts: ServiceFacts, told: str) -> None:
    judged = judge(facts, TODAY, timedelta(hours=3), estimate.users, estimate.users)
    explanation = explain_estimate(estimate, judged, facts, TODAY, STARTED_AT)
    changes = [text for text in explanation.would_change if text.en.startswith("by another reading")]
    assert any(told in text.en for text in changes), (explanation.would_change, estimate.other_readings)
    assert estimate.citation in explanation.citations
    assert any(f"{estimate.users:,}" in step.en for step in explanation.steps)
    assert "draft" in explanation.text.en


def test_another_reading_that_changes_nothing_is_not_told() -> None:
    estimate = probability(Meetings(5_000_000, 20, 0.75, 20, 8), 2, 5)
    facts = ServiceFacts("voice", emergency_calls=False)
    judged = judge(facts, TODAY, timedelta(hours=5), estimate.users, estimate.users)
    assert estimate.other_readings
    told = explain_estimate(estimate, judged, facts, TODAY, STARTED_AT).would_change
    assert not any("another reading" in text.en for text in told)


def test_every_method_names_the_rule_that_it_follows() -> None:
    assert set(RULE_OF) == set(get_args(Method))


counts = st.builds(measured, st.integers(0, 30_000_000), st.sampled_from(get_args(Method)), minute=st.integers(0, 10_000))


affected_users = st.builds(
    Affected, st.lists(counts, max_size=1).map(tuple), st.none() | st.integers(0, 30_000_000), st.none() | st.just("timed out")
)


@given(any_facts, any_minutes, affected_users, any_book)
def test_no_explanation_of_an_outage_states_a_legal_conclusion(
    facts: ServiceFacts, minutes: float, affected: Affected, book: Rulebook
) -> None:
    assert_no_conclusion(watched(facts, minutes, affected, book).text)


@given(any_facts, any_minutes, st.none() | st.integers(0, 30_000_000), any_circumstances, any_book)
def test_every_explanation_gives_row_every_condition_and_citation_and_no_conclusion(
    facts: ServiceFacts, minutes: float, number: int | None, circumstances: Circumstances, book: Rulebook
) -> None:
    explanation = of_case(minutes, number, facts, circumstances, book=book)
    text, row = explanation.text, book.row_of(facts)
    assert_no_conclusion(text)
    assert text.ja.startswith(explanation.headline.ja)
    assert f"{book.id}の表の{row.row}の項「{row.title.ja}」" in text.ja
    assert f"{book.id}, row {row.row}: {row.title.en}" in text.en
    assert explanation.citations[0].article.ja == book.article.ja + (f"の表の{row.row}の項" if len(book.rows) > 1 else "")
    if circumstances.cause in ("telecom_equipment_failure", "unknown") and not circumstances.add_on_function:
        for condition in row.conditions:
            asked, wanted = length(condition.duration), users(condition.users)
            assert f"条件（{asked.ja}以上かつ{wanted.ja}以上）" in text.ja
            assert f"Condition (at least {asked.en} and at least {wanted.en})" in text.en


@given(any_facts, any_minutes, counts, st.none() | st.just("timed out"))
def test_every_explanation_gives_the_number_unrounded_with_its_query_and_time(
    facts: ServiceFacts, minutes: float, count: Count, problem: str | None
) -> None:
    text, method = watched(facts, minutes, Affected((count,), problem=problem)).text, METHODS[count.method]
    at = clock_time(count.at)
    assert f"影響利用者数は{count.users:,}人（{method.ja}、{at}の計測、単位: line、クエリ: {QUERY}）" in text.ja
    assert f"Affected: {count.users:,} users ({method.en}, measured at {at}, unit: line, query: {QUERY})" in text.en


@given(any_facts, any_minutes, st.none() | st.integers(0, 30_000_000), any_circumstances)
def test_the_sections_say_in_both_languages_what_the_paragraph_says(
    facts: ServiceFacts, minutes: float, number: int | None, circumstances: Circumstances
) -> None:
    explanation = of_case(minutes, number, facts, circumstances)
    text = explanation.text
    for heading, lines in explanation.sections:
        assert heading.ja in text.ja
        assert all(line.ja in text.ja and line.en in text.en for line in lines)
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation


def test_what_is_known_from_a_later_text_only_is_cited_as_assumed_for_earlier_days() -> None:
    book, cable = BOOKS["JP-TBA58-2019"], Circumstances(facility="submarine_cable")
    for year, evidence in ((2020, ["assumed"] * 3), (2024, ["read", "read", "assumed"]), (2025, ["read"] * 3)):
        explanation = of_case(130, 5, circumstances=cable, started_at=datetime(year, 6, 1, tzinfo=UTC), book=book)
        assert [rule.evidence for rule in explanation.citations] == evidence


@pytest.mark.parametrize(
    ("facts", "method", "cited"),
    [
        (EMERGENCY, "emergency_call_loss", "proposed revision, point (4)(i)"),
        (EMERGENCY, "direct", "guideline (5)(i)"),
        (ServiceFacts("voice", emergency_calls=False), "all_under_equipment", "guideline (5)(i)"),
        (ACCESS, "all_under_equipment", "proposed revision, point (1)(iii)"),
        (ACCESS, "call_shortfall", "KDDI"),
    ],
)
def test_users_of_voice_are_counted_by_rules_of_their_own(facts: ServiceFacts, method: Method, cited: str) -> None:
    explanation = watched(facts, 10, Affected((measured(5, method),)))
    counted, duration = explanation.citations[-2:]
    assert cited in counted.article.en
    assert "start and end of the duration" in duration.article.en


def test_a_number_without_a_unit_asks_what_a_user_is() -> None:
    bare = msgspec.structs.replace(measured(5), unit="")
    assert "ask_users_unit" in codes(watched(ACCESS, 10, Affected((bare,))))
    assert "ask_users_unit" not in codes(watched(ACCESS, 10, Affected((measured(5),))))


def test_an_estimated_number_shows_its_arithmetic() -> None:
    estimated = msgspec.structs.replace(
        measured(35_000, "emergency_call_loss"), formula=emergency_voice(50_000, False, 0.7).formula
    )
    steps = watched(EMERGENCY, 10, Affected((estimated,))).steps
    assert steps[0].en.endswith("50,000 × 0.7 = 35,000; 35,000 affected users")
    assert steps[1].en == "0 h 10 min 00 s since the failure at 2026-11-21 12:00:00 JST"


def test_unmeasured_voice_names_the_rule_that_would_count_it() -> None:
    for facts, cited in ((EMERGENCY, "point (4)(i)"), (ServiceFacts("voice", emergency_calls=False), "guideline (5)(i)")):
        assert cited in watched(facts, 10, Affected(problem="timed out")).citations[-2].article.en


def test_every_finer_method_that_was_not_used_is_told_with_the_reason() -> None:
    count = msgspec.structs.replace(measured(5), passed_over=(Text("甲", "first"), Text("乙", "second")))
    assert watched(ACCESS, 10, Affected((count,))).numbers[1:3] == (
        Text("優先される方法を用いない理由: 甲", "A finer method not used: first"),
        Text("優先される方法を用いない理由: 乙", "A finer method not used: second"),
    )


def test_the_arithmetic_of_an_estimate_is_told_without_its_last_full_stop() -> None:
    count = msgspec.structs.replace(measured(5), formula=Text("一。二。", "one; two."))
    assert watched(ACCESS, 10, Affected((count,))).steps[0] == Text("一。二", "one; two")
