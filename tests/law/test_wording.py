"""What is said of a verdict: everything a person needs to check it, in Japanese and English, and never a legal conclusion."""

import re
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.counting import Affected, Count
from receiver.law.estimate import Method
from receiver.law.forecast import major_at
from receiver.law.provisions import Text
from receiver.law.rulebook import Kind, Rulebook, ServiceFacts, shipped
from receiver.law.verdict import Judgement, Verdict, judge
from receiver.law.wording import METHODS, VERDICTS, clock_time, explain, length, users

BOOKS = {book.id: book for book in shipped()}
STARTED_AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
QUERY = 'sum(art58:users_unable{service="voice"})'

CONCLUSIONS = {
    "ja": [
        r"該当する(?!可能性)",
        r"該当(?!する)",
        r"重大な事故(である|です|だ)",
        r"報告(義務|が必要|しなければ|を要)",
        r"違反",
    ],
    "en": [
        r"\bis a major accident",
        r"\bapplies\b",
        r"\bmust\b",
        r"\bshall\b",
        r"\bhas to\b",
        r"\bviolat",
        r"(?<!may )\bapply\b",
        r"reportable",
    ],
}


def measured(number: int, method: Method = "direct", *, minute: float = 60) -> Count:
    return Count(number, method, QUERY, STARTED_AT + timedelta(minutes=minute), "line")


def said(
    facts: ServiceFacts, minutes: float, affected: Affected, rulebook: Rulebook = BOOKS["JP-TBA58-2026"]
) -> tuple[Judgement, Text]:
    """The verdict and its reason as they come out when nothing changed since the start."""
    judgement = judge(facts, rulebook, timedelta(minutes=minutes), affected.at_least, affected.at_most)
    instant = major_at(rulebook.row_of(facts), STARTED_AT, affected.at_most)
    is_major = judgement.verdict == Verdict.MAJOR
    since, expected = (instant, None) if is_major else (None, instant)
    return judgement, explain(judgement, rulebook, affected, STARTED_AT, since, expected)


def test_a_major_outage_in_words() -> None:
    _, reason = said(ServiceFacts("voice", emergency_calls=True), 65.1, Affected((measured(42_123),)))
    assert reason.ja == (
        "重大な事故に該当する可能性（要判断）。"
        "表の1の項「緊急通報を取り扱う音声伝送役務」の基準は1時間00分00秒以上かつ30,000人以上。"
        "2026-11-21 12:00:00 JSTの故障から1時間05分06秒。"
        "影響利用者数は42,123人（利用できなかった利用者の実数、2026-11-21 13:00:00 JSTの計測、"
        'クエリ: sum(art58:users_unable{service="voice"})）。'
        "最も近い条件（1時間00分00秒以上かつ30,000人以上）に対し、時間は0時間05分06秒超過、利用者数は12,123人超過。"
        "基準に達した時刻は2026-11-21 13:00:00 JST。"
        "根拠: 電気通信事業法施行規則 第58条第2項第1号（JP-TBA58-2026）。"
    )
    assert reason.en == (
        "may apply as a major accident (重大な事故): a person decides. "
        "Row 1 (voice service that handles emergency calls) asks for at least 1 h 00 min 00 s and at least 30,000 users. "
        "1 h 05 min 06 s since the failure at 2026-11-21 12:00:00 JST. "
        "Affected: 42,123 users (users who tried and could not use it, measured at 2026-11-21 13:00:00 JST, "
        'query: sum(art58:users_unable{service="voice"})). '
        "Against the nearest condition (at least 1 h 00 min 00 s and at least 30,000 users): "
        "0 h 05 min 06 s over in time, 12,123 users over. "
        "The threshold was reached at 2026-11-21 13:00:00 JST. "
        "Basis: 電気通信事業法施行規則 第58条第2項第1号 (JP-TBA58-2026)."
    )


def test_an_outage_for_the_periodic_report_in_words() -> None:
    _, reason = said(ServiceFacts("internet_access"), 70, Affected((measured(31_234, "all_under_equipment"),)))
    assert reason.ja == (
        "定期報告の対象に該当する可能性（要判断）。"
        "表の6の項「インターネット接続サービス（アクセス回線を含む）」の基準は"
        "2時間00分00秒以上かつ30,000人以上、または1時間00分00秒以上かつ100,000人以上。"
        "2026-11-21 12:00:00 JSTの故障から1時間10分00秒。"
        "影響利用者数は31,234人（故障した設備の配下の全利用者、2026-11-21 13:00:00 JSTの計測、"
        'クエリ: sum(art58:users_unable{service="voice"})）。'
        "最も近い条件（2時間00分00秒以上かつ30,000人以上）に対し、時間はあと0時間50分00秒、利用者数は1,234人超過。"
        "電気通信事業報告規則 第7条の3の基準は30,000人以上、または2時間00分00秒以上。"
        "変化がなければ2026-11-21 14:00:00 JSTに重大な事故の基準に達する。"
        "根拠: 電気通信事業法施行規則 第58条第2項第1号（JP-TBA58-2026）。"
    )
    assert reason.en == (
        "may belong in the periodic report (定期報告): a person decides. "
        "Row 6 (internet access (access lines included)) asks for "
        "at least 2 h 00 min 00 s and at least 30,000 users, or at least 1 h 00 min 00 s and at least 100,000 users. "
        "1 h 10 min 00 s since the failure at 2026-11-21 12:00:00 JST. "
        "Affected: 31,234 users (all users under the failed equipment, measured at 2026-11-21 13:00:00 JST, "
        'query: sum(art58:users_unable{service="voice"})). '
        "Against the nearest condition (at least 2 h 00 min 00 s and at least 30,000 users): "
        "0 h 50 min 00 s short in time, 1,234 users over. "
        "電気通信事業報告規則 第7条の3 asks for at least 30,000 users, or at least 2 h 00 min 00 s. "
        "If nothing changes, the threshold of a major accident is reached at 2026-11-21 14:00:00 JST. "
        "Basis: 電気通信事業法施行規則 第58条第2項第1号 (JP-TBA58-2026)."
    )


def test_an_unmeasured_outage_in_words() -> None:
    _, reason = said(ServiceFacts("internet_access"), 20, Affected(bound=1_234_567, problem="the query timed out"))
    assert reason.ja == (
        "判定できない（要判断）。"
        "表の6の項「インターネット接続サービス（アクセス回線を含む）」の基準は"
        "2時間00分00秒以上かつ30,000人以上、または1時間00分00秒以上かつ100,000人以上。"
        "2026-11-21 12:00:00 JSTの故障から0時間20分00秒。"
        "影響利用者数は未計測（the query timed out）。故障した設備の配下または役務の全利用者を上限とする: 1,234,567人。"
        "最も近い条件（2時間00分00秒以上かつ30,000人以上）に対し、時間はあと1時間40分00秒、利用者数はあと30,000人。"
        "少なくとも「現時点で報告の基準に達していない（要確認）」、最大で「定期報告の対象に該当する可能性（要判断）」。"
        "変化がなければ、早ければ2026-11-21 13:00:00 JSTに重大な事故の基準に達する可能性がある。"
        "根拠: 電気通信事業法施行規則 第58条第2項第1号（JP-TBA58-2026）。"
    )
    assert reason.en == (
        "cannot be told yet: a person decides. "
        "Row 6 (internet access (access lines included)) asks for "
        "at least 2 h 00 min 00 s and at least 30,000 users, or at least 1 h 00 min 00 s and at least 100,000 users. "
        "0 h 20 min 00 s since the failure at 2026-11-21 12:00:00 JST. "
        "Affected users are unmeasured (the query timed out). "
        "Upper bound, all users under the equipment or of the service: 1,234,567 users. "
        "Against the nearest condition (at least 2 h 00 min 00 s and at least 30,000 users): "
        "1 h 40 min 00 s short in time, 30,000 users short. "
        "At least: below the reporting thresholds so far: a person confirms; "
        "at most: may belong in the periodic report (定期報告): a person decides. "
        "If nothing changes, the threshold of a major accident may be reached as early as 2026-11-21 13:00:00 JST. "
        "Basis: 電気通信事業法施行規則 第58条第2項第1号 (JP-TBA58-2026)."
    )


def test_an_outage_below_every_threshold_in_words() -> None:
    _, reason = said(ServiceFacts("internet_access"), 20, Affected((measured(12),)))
    assert reason.ja == (
        "現時点で報告の基準に達していない（要確認）。"
        "表の6の項「インターネット接続サービス（アクセス回線を含む）」の基準は"
        "2時間00分00秒以上かつ30,000人以上、または1時間00分00秒以上かつ100,000人以上。"
        "2026-11-21 12:00:00 JSTの故障から0時間20分00秒。"
        "影響利用者数は12人（利用できなかった利用者の実数、2026-11-21 13:00:00 JSTの計測、"
        'クエリ: sum(art58:users_unable{service="voice"})）。'
        "最も近い条件（2時間00分00秒以上かつ30,000人以上）に対し、時間はあと1時間40分00秒、利用者数はあと29,988人。"
        "根拠: 電気通信事業法施行規則 第58条第2項第1号（JP-TBA58-2026）。"
    )
    assert reason.en == (
        "below the reporting thresholds so far: a person confirms. "
        "Row 6 (internet access (access lines included)) asks for "
        "at least 2 h 00 min 00 s and at least 30,000 users, or at least 1 h 00 min 00 s and at least 100,000 users. "
        "0 h 20 min 00 s since the failure at 2026-11-21 12:00:00 JST. "
        "Affected: 12 users (users who tried and could not use it, measured at 2026-11-21 13:00:00 JST, "
        'query: sum(art58:users_unable{service="voice"})). '
        "Against the nearest condition (at least 2 h 00 min 00 s and at least 30,000 users): "
        "1 h 40 min 00 s short in time, 29,988 users short. "
        "Basis: 電気通信事業法施行規則 第58条第2項第1号 (JP-TBA58-2026)."
    )


def test_a_figure_that_can_no_longer_be_measured_is_said_with_its_upper_bound() -> None:
    affected = Affected((measured(31_234),), bound=1_234_567, problem="the query timed out")
    _, reason = said(ServiceFacts("internet_access"), 20, affected)
    assert "影響利用者数は31,234人" in reason.ja
    assert "現在は計測できない（the query timed out）ため、最大で1,234,567人" in reason.ja
    assert "Affected: 31,234 users" in reason.en
    assert "It cannot be measured now (the query timed out), so at most: 1,234,567 users" in reason.en


def test_a_threshold_that_may_have_passed_unmeasured_is_not_foretold_but_said_to_be_possible() -> None:
    _, reason = said(ServiceFacts("internet_access"), 70, Affected(bound=1_234_567, problem="the query timed out"))
    assert "早ければ2026-11-21 13:00:00 JSTに重大な事故の基準に達していた可能性がある" in reason.ja
    assert "The threshold of a major accident may have been reached as early as 2026-11-21 13:00:00 JST" in reason.en


def test_a_threshold_just_reached_is_not_said_to_be_lacking() -> None:
    _, reason = said(ServiceFacts("voice", emergency_calls=True), 60, Affected((measured(30_000),)))
    assert "時間は0時間00分00秒超過、利用者数は0人超過" in reason.ja
    assert "0 h 00 min 00 s over in time, 0 users over" in reason.en


def test_a_missing_upper_bound_is_said() -> None:
    _, reason = said(ServiceFacts("internet_access"), 20, Affected(problem="the query timed out"))
    assert "上限不明" in reason.ja
    assert "no known upper limit" in reason.en


def test_the_row_is_not_called_a_paragraph_of_the_article() -> None:
    # 第58条第1項 is about leaked information; a row of the table is 一の項
    _, reason = said(ServiceFacts("voice", emergency_calls=True), 65, Affected((measured(42_000),)))
    assert "第1項" not in reason.ja


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_leaves_the_decision_to_a_person(verdict: Verdict) -> None:
    assert re.search("（要(判断|確認)）$", VERDICTS[verdict].ja)
    assert re.search(": a person (decides|confirms)$", VERDICTS[verdict].en)
    _assert_no_conclusion(VERDICTS[verdict])


def test_every_method_has_words() -> None:
    assert set(METHODS) == set(get_args(Method))


counts = st.builds(
    measured,
    st.integers(0, 30_000_000),
    st.sampled_from(get_args(Method)),
    minute=st.integers(0, 10_000),
)
affected_users = st.builds(
    Affected, st.lists(counts, max_size=1).map(tuple), st.none() | st.integers(0, 30_000_000), st.none() | st.just("timed out")
)
facts_of_any_service = st.builds(
    ServiceFacts,
    kind=st.sampled_from(get_args(Kind)),
    emergency_calls=st.booleans(),
    charged=st.booleans(),
    monthly_users_previous_fy=st.integers(0, 30_000_000),
)
minutes = st.integers(0, 3000) | st.floats(0, 3000)


@given(facts_of_any_service, minutes, affected_users, st.sampled_from(shipped()))
def test_no_reason_states_a_legal_conclusion(facts: ServiceFacts, minutes: float, affected: Affected, rulebook: Rulebook) -> None:
    _, reason = said(facts, minutes, affected, rulebook)
    _assert_no_conclusion(reason)


@given(facts_of_any_service, minutes, affected_users, st.sampled_from(shipped()))
def test_every_reason_gives_row_condition_margin_and_citation(
    facts: ServiceFacts, minutes: float, affected: Affected, rulebook: Rulebook
) -> None:
    judgement, reason = said(facts, minutes, affected, rulebook)
    row = rulebook.row_of(facts)
    asked, lacking = length(judgement.condition.duration), users(abs(judgement.margin_users))
    assert reason.ja.startswith(VERDICTS[judgement.verdict].ja)
    assert reason.en.startswith(VERDICTS[judgement.verdict].en)
    assert f"表の{row.row}の項「{row.title.ja}」" in reason.ja
    assert f"Row {row.row} ({row.title.en})" in reason.en
    assert f"最も近い条件（{asked.ja}以上かつ{judgement.condition.users:,}人以上）" in reason.ja
    assert f"nearest condition (at least {asked.en} and at least {judgement.condition.users:,} users)" in reason.en
    over = judgement.margin_users >= 0
    assert (f"利用者数は{lacking.ja}超過" if over else f"利用者数はあと{lacking.ja}") in reason.ja
    assert (f"{lacking.en} over" if over else f"{lacking.en} short") in reason.en
    assert f"{rulebook.article}（{rulebook.id}）" in reason.ja
    assert f"{rulebook.article} ({rulebook.id})" in reason.en


@given(facts_of_any_service, minutes, counts, st.none() | st.just("timed out"))
def test_every_reason_gives_the_number_unrounded_with_its_query_and_time(
    facts: ServiceFacts, minutes: float, count: Count, problem: str | None
) -> None:
    _, reason = said(facts, minutes, Affected((count,), problem=problem))
    assert (
        f"影響利用者数は{count.users:,}人（{METHODS[count.method].ja}、{clock_time(count.at)}の計測、クエリ: {QUERY}）" in reason.ja
    )
    assert (
        f"Affected: {count.users:,} users ({METHODS[count.method].en}, measured at {clock_time(count.at)}, query: {QUERY})"
        in reason.en
    )


@pytest.mark.parametrize(
    ("number", "ja", "en"),
    [(0, "0人", "0 users"), (999, "999人", "999 users"), (30_913_456, "30,913,456人", "30,913,456 users")],
)
def test_users_are_written_to_the_last_one(number: int, ja: str, en: str) -> None:
    assert users(number) == Text(ja, en)


@pytest.mark.parametrize(
    ("duration", "ja", "en"),
    [
        (timedelta(0), "0時間00分00秒", "0 h 00 min 00 s"),
        (timedelta(seconds=3599, microseconds=999_999), "0時間59分59秒", "0 h 59 min 59 s"),
        (timedelta(hours=61, minutes=25), "61時間25分00秒", "61 h 25 min 00 s"),
    ],
)
def test_a_length_of_time_is_never_rounded_up(duration: timedelta, ja: str, en: str) -> None:
    assert length(duration) == Text(ja, en)


def test_clock_times_are_those_of_japan() -> None:
    assert clock_time(datetime(2026, 3, 31, 15, 0, 5, tzinfo=UTC)) == "2026-04-01 00:00:05 JST"


def _assert_no_conclusion(text: Text) -> None:
    for language, patterns in CONCLUSIONS.items():
        for pattern in patterns:
            found = re.search(pattern, getattr(text, language))
            assert not found, f"{found[0]!r} in {getattr(text, language)!r}"
