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
from receiver.law.explanation import RULE_OF, Explanation, explain, explain_estimate, explain_outage
from receiver.law.forecast import major_at
from receiver.law.methods import Traffic, emergency_voice, traffic_difference
from receiver.law.provisions import Text
from receiver.law.rulebook import Kind, Rulebook, ServiceFacts, rulebook_on, shipped
from receiver.law.verdict import Cause, Circumstances, Effect, Judgement, Population, Verdict, judge, judge_populations
from receiver.law.wording import METHODS, VERDICTS, clock_time, length, users
from tests.conclusions import assert_no_conclusion

BOOKS = {book.id: book for book in shipped()}
TODAY = BOOKS["JP-TBA58-2026"]
STARTED_AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
QUERY = 'sum(art58:users_unable{service="voice"})'
EMERGENCY, ACCESS = ServiceFacts("voice", emergency_calls=True), ServiceFacts("internet_access", charged=True)


def measured(number: int, method: Method = "direct", *, minute: float = 60) -> Count:
    return Count(number, method, QUERY, STARTED_AT + timedelta(minutes=minute), "line")


def watched(facts: ServiceFacts, minutes: float, affected: Affected, book: Rulebook = TODAY) -> tuple[Judgement, Explanation]:
    """The verdict and its explanation as they come out when nothing changed since the start."""
    judgement = judge(facts, book, timedelta(minutes=minutes), affected.at_least, affected.at_most)
    instant = major_at(book.row_of(facts), STARTED_AT, affected.at_most)
    is_major = judgement.verdict == Verdict.MAJOR
    since, expected = (instant, None) if is_major else (None, instant)
    return judgement, explain_outage(judgement, facts, book, affected, STARTED_AT, since, expected)


def of_case(
    minutes: float,
    users: int | None,
    facts: ServiceFacts = ACCESS,
    circumstances: Circumstances = Circumstances(),  # noqa: B008 - frozen
    started_at: datetime = STARTED_AT,
    book: Rulebook = TODAY,
) -> Explanation:
    judged = judge(facts, book, timedelta(minutes=minutes), users or 0, users, circumstances)
    return explain(judged, facts, book, started_at)


def codes(explanation: Explanation) -> list[str]:
    return [flag.code for flag in explanation.uncertain]


def test_a_major_outage_in_words() -> None:
    text = watched(EMERGENCY, 65.1, Affected((measured(42_123, "emergency_all_under_equipment"),)))[1].text
    assert text.ja == (
        "重大な事故に該当する可能性（要判断）。"
        "区分: JP-TBA58-2026の表の1の項「緊急通報を取り扱う音声伝送役務」"
        "（種別: 音声伝送、緊急通報の取扱い: あり、料金: 不明、前年度の月平均利用者数: 不明）。"
        "数値: 影響利用者数は42,123人（故障した設備の配下の全利用者（緊急通報）、2026-11-21 13:00:00 JSTの計測、"
        'クエリ: sum(art58:users_unable{service="voice"})）。'
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
        'query: sum(art58:users_unable{service="voice"})). '
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
    explanation = watched(ACCESS, 70, Affected((measured(31_234, "all_under_equipment"),)))[1]
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
    explanation = watched(ACCESS, 130, Affected(bound=99_999, problem="the query timed out"))[1]
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
    text = watched(ACCESS, 20, Affected((measured(31_234),), bound=1_234_567, problem="the query timed out"))[1].text
    assert "影響利用者数は31,234人" in text.ja
    assert "現在は計測できない（the query timed out）ため、最大で1,234,567人" in text.ja
    assert "Affected: 31,234 users" in text.en
    assert "It cannot be measured now (the query timed out), so at most: 1,234,567 users" in text.en
    assert "may be reached as early as 2026-11-21 13:00:00 JST" in text.en


def test_a_missing_upper_bound_is_said() -> None:
    text = watched(ACCESS, 20, Affected(problem="the query timed out"))[1].text
    assert "0人以上、上限不明" in text.ja
    assert "at least 0 users, no known upper limit" in text.en


def test_a_threshold_just_reached_is_not_said_to_be_lacking() -> None:
    text = watched(EMERGENCY, 60, Affected((measured(30_000),)))[1].text
    assert "時間はちょうど、利用者数はちょうど→満たす" in text.ja
    assert "just long enough, just enough users: fulfilled" in text.en


def test_one_second_or_one_user_short_is_not_fulfilled() -> None:
    second = of_case(60 - 1 / 60, 30_000, EMERGENCY)
    user = of_case(60, 29_999, EMERGENCY)
    assert second.steps[0].en.endswith("0 h 00 min 01 s short, just enough users: not fulfilled")
    assert user.steps[0].en.endswith("just long enough, 1 users short: not fulfilled")
    assert second.would_change[0].ja.endswith("まで: あと0時間00分01秒続く")
    assert user.would_change[0].en.endswith(": 1 users more")


def test_the_row_is_not_called_a_paragraph_of_the_article() -> None:
    # 第58条第1項 is about leaked information; a row of the table is 一の項
    assert "第1項" not in of_case(65, 42_000, EMERGENCY).text.ja


@pytest.mark.parametrize(
    ("given_", "code", "otherwise"),
    [
        (
            {"facts": ServiceFacts("email", charged=False), "minutes": 300, "users": 150_000},
            "row_uncertain",
            "if row 5 takes it: may belong",
        ),
        ({"circumstances": Circumstances(cause="unknown")}, "cause_unknown", "if it proves to be no failure: below the reporting"),
        (
            {"circumstances": Circumstances(add_on_function=True)},
            "add_on_function",
            "if it is no add-on function: may apply as a major",
        ),
        (
            {"circumstances": Circumstances(facility="satellite", all_traffic_down=True), "users": 5},
            "installer_unknown",
            "if the carrier did not install the facility: may belong",
        ),
    ],
)
def test_what_is_not_certain_is_flagged_with_the_verdict_that_it_may_turn_into(
    given_: dict[str, object], code: str, otherwise: str
) -> None:
    explanation = of_case(**{"minutes": 130, "users": 150_000} | given_)  # type: ignore[arg-type]
    assert code in codes(explanation)
    assert any(text.en.startswith(otherwise) for text in explanation.would_change), explanation.would_change
    assert code not in codes(of_case(130, 150_000))


def test_an_answer_that_would_change_nothing_is_not_told() -> None:
    unknown = of_case(10, 5, circumstances=Circumstances(cause="unknown"))
    assert not any("no failure" in text.en for text in unknown.would_change)


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        ({"started_at": datetime(2026, 3, 31, 14, 0, tzinfo=UTC), "book": BOOKS["JP-TBA58-2019"]}, "ask_transition"),
        ({"users": None}, "ask_hard_to_count"),
        ({"facts": ServiceFacts("internet_access", charged=False)}, "ask_free_internet_access"),
        ({"circumstances": Circumstances(add_on_function=True)}, "ask_add_on_functions"),
        ({"users": 5}, "ask_minor_accidents"),
    ],
)
def test_what_no_source_answers_is_asked_and_never_guessed(given_: dict[str, object], code: str) -> None:
    explanation = of_case(**{"minutes": 130, "users": 150_000} | given_)  # type: ignore[arg-type]
    (flag,) = [flag for flag in explanation.uncertain if flag.code == code]
    assert flag.text.ja.startswith("要確認: ")
    assert flag.text.en.startswith("Ask: ")
    assert code not in codes(of_case(130, 150_000))


def test_an_accident_that_ends_before_midnight_of_the_amendment_spans_nothing() -> None:
    eve = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
    book = rulebook_on(eve, shipped())
    last = of_case(180 - 1 / 60, 5, started_at=eve, book=book)
    over = of_case(180, 5, started_at=eve, book=book)
    assert ("spans_amendment" in codes(last), "spans_amendment" in codes(over)) == (False, True)
    assert "spans_amendment" not in codes(of_case(180, 5, started_at=datetime(2026, 3, 31, 15, 0, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("year", "assumed"), [(2005, True), (2010, True), (2016, True), (2020, True), (2024, False), (2026, False)]
)
def test_days_that_are_only_assumed_are_said_to_be(year: int, assumed: bool) -> None:
    moment = datetime(year, 6, 1, tzinfo=UTC)
    explanation = of_case(10, 5, started_at=moment, book=rulebook_on(moment, shipped()))
    assert ("days_assumed" in codes(explanation)) is assumed


def test_a_table_known_from_a_later_text_is_cited_as_assumed_for_earlier_days() -> None:
    book = BOOKS["JP-TBA58-2019"]
    early, late = (of_case(10, 5, started_at=datetime(year, 6, 1, tzinfo=UTC), book=book).citations[0] for year in (2020, 2024))
    assert (early.evidence, late.evidence) == ("assumed", "read")


def test_the_draft_is_named_wherever_it_judges() -> None:
    explanation = of_case(130, 150_000, book=BOOKS["JP-TBA58-DRAFT-2023-04"])
    assert "draft" in codes(explanation)
    assert explanation.citations[0].basis == "proposal"
    assert "never in force" in explanation.text.en
    assert "論点整理" in explanation.text.ja


@pytest.mark.parametrize(
    ("circumstances", "told"),
    [
        (Circumstances(cause="no_failure"), "no failure: not compared with the thresholds"),
        (Circumstances(add_on_function=True), "an add-on function alone: not compared with the table or the list"),
        (
            Circumstances(cause="non_telecom_equipment_failure"),
            "no failure of telecommunications equipment: not compared with the table",
        ),
    ],
)
def test_what_is_not_compared_says_why(circumstances: Circumstances, told: str) -> None:
    explanation = of_case(130, 150_000, circumstances=circumstances)
    assert explanation.steps[0].en == told
    assert not any("Condition" in step.en for step in explanation.steps)
    assert not any("nearest" in text.en for text in explanation.would_change)


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


def test_degraded_users_that_do_not_count_lack_the_stop_itself() -> None:
    book = BOOKS["JP-TBA58-2004"]
    explanation = of_case(180, 150_000, circumstances=Circumstances(effect="degradation"), book=book)
    assert explanation.would_change[0].en.endswith("that it was a stop (this table leaves degradation out)")


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
any_facts = st.builds(
    ServiceFacts,
    kind=st.sampled_from(get_args(Kind)),
    emergency_calls=st.none() | st.booleans(),
    charged=st.none() | st.booleans(),
    monthly_users_previous_fy=st.none() | st.integers(0, 30_000_000),
)
any_circumstances = st.builds(
    Circumstances,
    cause=st.sampled_from(get_args(Cause)),
    effect=st.sampled_from(get_args(Effect)),
    facility=st.none() | st.just("satellite"),
    all_traffic_down=st.booleans(),
    installed_by_the_carrier=st.none() | st.booleans(),
    add_on_function=st.booleans(),
)
lengths = st.integers(0, 3000) | st.floats(0, 3000)


@given(any_facts, lengths, affected_users, st.sampled_from(shipped()))
def test_no_explanation_of_an_outage_states_a_legal_conclusion(
    facts: ServiceFacts, minutes: float, affected: Affected, book: Rulebook
) -> None:
    assert_no_conclusion(watched(facts, minutes, affected, book)[1].text)


@given(any_facts, lengths, st.none() | st.integers(0, 30_000_000), any_circumstances, st.sampled_from(shipped()))
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


@given(any_facts, lengths, counts, st.none() | st.just("timed out"))
def test_every_explanation_gives_the_number_unrounded_with_its_query_and_time(
    facts: ServiceFacts, minutes: float, count: Count, problem: str | None
) -> None:
    text, method = watched(facts, minutes, Affected((count,), problem=problem))[1].text, METHODS[count.method]
    assert f"影響利用者数は{count.users:,}人（{method.ja}、{clock_time(count.at)}の計測、クエリ: {QUERY}）" in text.ja
    assert f"Affected: {count.users:,} users ({method.en}, measured at {clock_time(count.at)}, query: {QUERY})" in text.en


@given(any_facts, lengths, st.none() | st.integers(0, 30_000_000), any_circumstances)
def test_the_sections_say_in_both_languages_what_the_paragraph_says(
    facts: ServiceFacts, minutes: float, number: int | None, circumstances: Circumstances
) -> None:
    explanation = of_case(minutes, number, facts, circumstances)
    text = explanation.text
    for heading, lines in explanation.sections:
        assert heading.ja in text.ja
        assert all(line.ja in text.ja and line.en in text.en for line in lines)
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation


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


near = st.sampled_from([0, 14_999, 15_000, 29_999, 30_000, 59_999, 60_000, 99_999, 100_000, 1_000_000])
spells = st.sampled_from([0, 3599, 3600, 7199, 7200, 14_400, 43_200, 86_400]).map(lambda seconds: timedelta(seconds=seconds))
more = st.none() | near


@given(any_facts, st.sampled_from(shipped()), spells, near, more, any_circumstances)
def test_the_arithmetic_shown_is_that_of_the_verdict(
    facts: ServiceFacts, book: Rulebook, duration: timedelta, least: int, slack: int | None, circumstances: Circumstances
) -> None:
    judged = judge(facts, book, duration, least, None if slack is None else least + slack, circumstances)
    assert_steps_agree(judged, explain(judged, facts, book, STARTED_AT))


@given(any_facts, st.sampled_from(shipped()), spells, spells, near, more, near, more, any_circumstances)
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


@given(any_facts, st.sampled_from(shipped()), spells, near, any_circumstances)
def test_what_is_told_to_be_lacking_is_enough(
    facts: ServiceFacts, book: Rulebook, duration: timedelta, number: int, circumstances: Circumstances
) -> None:
    judged = judge(facts, book, duration, number, number, circumstances)
    told = [text.en for text in explain(judged, facts, book, STARTED_AT).would_change]
    if any(text.startswith("To clause (ii)") for text in told):
        later = max(duration, book.clause_2.duration if book.clause_2 else duration)
        assert judge(facts, book, later, number, number, circumstances).verdict == Verdict.MAJOR
    elif any(text.startswith("To the nearest") and "leaves degradation out" not in text for text in told) and number:
        hits = judged.hits_at_least or judged.hits_at_most
        share = 2 if hits[0].users != number else 1
        later = max(duration, judged.condition.duration)
        enough = max(number, share * judged.condition.users)
        assert judge(facts, book, later, enough, enough, circumstances).at_most == Verdict.MAJOR
    elif judged.verdict != Verdict.MAJOR:
        assert circumstances.cause in ("no_failure", "non_telecom_equipment_failure") or circumstances.add_on_function or told


def test_clause_2_is_told_before_it_is_fulfilled() -> None:
    waiting = Circumstances(facility="satellite", all_traffic_down=True, installed_by_the_carrier=True)
    explanation = of_case(120 - 1 / 60, 0, circumstances=waiting)
    assert explanation.steps[0].en.endswith("whatever the number of users: 0 h 00 min 01 s short: not fulfilled")
    assert explanation.would_change[0] == Text("第2号まで: あと0時間00分01秒続く", "To clause (ii): 0 h 00 min 01 s more")
    assert "Ordinance Art. 58(2)(ii)" in [rule.article.en for rule in explanation.citations]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"all_traffic_down": False}, "not all communications are impossible"),
        ({"all_traffic_down": True, "installed_by_the_carrier": False}, "not installed by the carrier"),
    ],
)
def test_why_clause_2_is_not_fulfilled_is_told(changes: dict[str, bool], why: str) -> None:
    explanation = of_case(130, 0, circumstances=Circumstances(facility="satellite", **changes))
    assert explanation.steps[0].en.endswith(f"{why}: not fulfilled")


def test_users_who_need_only_be_confirmed_are_not_said_to_be_lacking() -> None:
    told = of_case(130, None).would_change[0]
    assert told.en.endswith(": at least 30,000 users confirmed")
    assert told.ja.endswith("利用者数が30,000人以上と確認される")


@pytest.mark.parametrize("cause", ["non_telecom_equipment_failure", "no_failure"])
def test_a_cause_that_spares_the_table_says_what_it_is_spared(cause: Cause) -> None:
    explanation = of_case(130, 150_000, circumstances=Circumstances(cause=cause))
    assert "cause_stated" in codes(explanation)
    (told,) = [text.en for text in explanation.would_change if "failure of telecommunications equipment" in text.en]
    assert told.endswith("may apply as a major accident (重大な事故): a person decides")


def test_a_table_of_other_days_is_said_to_be_one() -> None:
    assert "not_in_force" in codes(of_case(10, 5, book=BOOKS["JP-TBA58-2019"]))
    assert "not_in_force" not in codes(of_case(10, 5))
    assert "not_in_force" not in codes(of_case(10, 5, book=BOOKS["JP-TBA58-DRAFT-2023-04"]))


def test_what_is_known_from_a_later_text_only_is_cited_as_assumed_for_earlier_days() -> None:
    book, cable = BOOKS["JP-TBA58-2019"], Circumstances(facility="submarine_cable")
    for year, evidence in ((2020, ["assumed"] * 3), (2024, ["read", "read", "assumed"]), (2025, ["read"] * 3)):
        explanation = of_case(130, 5, circumstances=cable, started_at=datetime(year, 6, 1, tzinfo=UTC), book=book)
        assert [rule.evidence for rule in explanation.citations] == evidence


def test_an_unstated_effect_is_flagged_only_where_it_matters() -> None:
    unstated = Circumstances(effect="unknown")
    assert "effect_unknown" not in codes(of_case(130, 150_000, circumstances=unstated))
    old = of_case(130, 150_000, circumstances=unstated, book=BOOKS["JP-TBA58-2004"])
    assert "effect_unknown" in codes(old)
    assert old.headline == VERDICTS[Verdict.INDETERMINATE]
    assert old.steps[0].en.endswith("users with a stop are compared with the table (from 0 to 150,000 users)")


def test_under_the_draft_the_larger_kind_is_compared() -> None:
    both = of_case(130, 59_999, circumstances=Circumstances(effect="both"), book=BOOKS["JP-TBA58-DRAFT-2023-04"])
    assert both.steps[0].en.endswith("the larger of the two is compared with the table (from 30,000 to 59,999 users)")
    assert both.headline == VERDICTS[Verdict.MAJOR]


@pytest.mark.parametrize(
    ("facts", "method", "cited"),
    [
        (EMERGENCY, "direct", "proposed revision, point (4)(i)"),
        (EMERGENCY, "all_under_equipment", "proposed revision, point (4)(i)"),
        (ServiceFacts("voice", emergency_calls=None), "all_under_equipment", "proposed revision, point (4)(i)"),
        (ServiceFacts("voice", emergency_calls=False), "all_under_equipment", "guideline (5)(i)"),
        (ACCESS, "all_under_equipment", "proposed revision, point (1)(iii)"),
        (ACCESS, "call_shortfall", "KDDI"),
    ],
)
def test_users_of_voice_are_counted_by_rules_of_their_own(facts: ServiceFacts, method: Method, cited: str) -> None:
    explanation = watched(facts, 10, Affected((measured(5, method),)))[1]
    counted, duration = explanation.citations[-2:]
    assert cited in counted.article.en
    assert "start and end of the duration" in duration.article.en
    assert ("emergency_voice_method" in codes(explanation)) == (facts is EMERGENCY and method == "direct")


def test_a_number_without_a_unit_asks_what_a_user_is() -> None:
    bare = msgspec.structs.replace(measured(5), unit="")
    assert "ask_users_unit" in codes(watched(ACCESS, 10, Affected((bare,)))[1])
    assert "ask_users_unit" not in codes(watched(ACCESS, 10, Affected((measured(5),)))[1])
