"""One accident as a line of facts in, the verdict with its reasons out: pure, and by no configuration.

It never answers near_miss: that is a fact of an incident that a person states, not of a service's outage.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from typing import Annotated

import msgspec
from msgspec import Meta

from receiver.law.provisions import JST, Text
from receiver.law.rulebook import Condition, Row, Rulebook, ServiceFacts, rulebook_named, rulebook_on
from receiver.law.verdict import CLAUSE_2_ARTICLE, Cause, Circumstances, Effect, Facility, Judgement, Verdict, judge
from receiver.law.wording import VERDICTS, length, users

ANNUAL_SINCE = date(2025, 4, 1)
"""電気通信事業報告規則 第7条の3: accidents from this day on are listed once a year, earlier ones once a quarter."""

AMENDED_ON = date(2026, 4, 1)
"""令和8年総務省令第21号 came into force, with no rule for accidents that lasted over that night."""

CAUSES: dict[Cause, Text] = {
    "telecom_equipment_failure": Text("電気通信設備の故障", "failure of telecommunications equipment"),
    "non_telecom_equipment_failure": Text("電気通信設備以外の設備の故障", "failure of other equipment"),
    "no_failure": Text("故障ではない", "no failure"),
    "unknown": Text("原因不明（故障として判定）", "cause unknown, judged as a failure"),
}
EFFECTS: dict[Effect, Text] = {
    "stop": Text("役務の停止", "stop"),
    "degradation": Text("品質の低下", "degradation"),
    "both": Text("役務の停止及び品質の低下", "stop and degradation"),
}


class Case(msgspec.Struct, frozen=True):
    """What is known of an accident. `users` null: not known. `rulebook` asks for one by name instead of by the day."""

    occurred_at: Annotated[datetime, Meta(tz=True)]
    service: ServiceFacts
    duration_s: Annotated[int, Meta(ge=0, le=10**10)]
    users: Annotated[int, Meta(ge=0)] | None
    id: str | int | None = None
    cause: Cause = "telecom_equipment_failure"
    effect: Effect = "stop"
    facility: Facility | None = None
    all_traffic_down: bool = False
    installed_by_the_carrier: bool | None = None
    add_on_function: bool = False
    rulebook: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """The verdict on a case. `reports` are owed under what is certain, `reports_possible` besides under what is conceivable."""

    id: str | int | None
    verdict: Verdict
    at_least: Verdict
    at_most: Verdict
    rulebook: str
    row: int
    row_uncertain: bool
    condition: Condition
    margin_seconds: int
    margin_users: int
    reports: tuple[str, ...]
    reports_possible: tuple[str, ...]
    flags: tuple[str, ...]
    explanation: Text


def classify(case: Case, rulebooks: tuple[Rulebook, ...]) -> Answer:
    """Judge one case. Raises rulebook.NoRulebook when none covers its day or has the name asked for."""
    book = rulebook_named(case.rulebook, rulebooks) if case.rulebook else rulebook_on(case.occurred_at, rulebooks)
    circumstances = Circumstances(
        case.cause, case.effect, case.facility, case.all_traffic_down, case.installed_by_the_carrier, case.add_on_function
    )
    duration = timedelta(seconds=case.duration_s)
    judged = judge(case.service, book, duration, case.users or 0, case.users, circumstances)
    day = case.occurred_at.astimezone(JST).date()
    certain = reports(judged.at_least, day)
    flags = tuple(_flags(case, judged, book, day))
    return Answer(
        id=case.id,
        verdict=judged.verdict,
        at_least=judged.at_least,
        at_most=judged.at_most,
        rulebook=judged.rulebook,
        row=judged.row,
        row_uncertain=judged.row_uncertain,
        condition=judged.condition,
        margin_seconds=judged.margin_seconds,
        margin_users=judged.margin_users,
        reports=certain,
        reports_possible=tuple(report for report in reports(judged.at_most, day) if report not in certain),
        flags=flags,
        explanation=_explain(case, judged, book, flags),
    )


def reports(verdict: Verdict, day: date) -> tuple[str, ...]:
    """What is owed after an accident of that day with this verdict, by the ids of law.deadlines."""
    if verdict == Verdict.MAJOR:
        return ("first_notice", "detailed_report")
    if verdict == Verdict.PERIODIC:
        return ("annual_report",) if day >= ANNUAL_SINCE else ("quarterly_report",)
    return ()


_FLAGS = {
    "row_uncertain": Text(
        "区分を決める事実が示されていないため、より厳しい区分によった",
        "a fact that decides the row is not stated: the stricter row was taken",
    ),
    "cause_unknown": Text("原因が不明のため故障として判定した", "the cause is unknown: it was judged as a failure"),
    "installer_unknown": Text(
        "設備の設置者が不明のため自ら設置したものとした", "who installed the facility is unknown: taken as the carrier"
    ),
    "spans_amendment": Text(
        "2026年4月1日の改正をまたぐ。発生した日の規定によったが、経過措置は定められていない",
        "it lasted over the amendment of 2026-04-01: judged by the day of occurrence, there is no transitional rule",
    ),
    "draft": Text("施行されていない案による", "by a draft that was never in force"),
    "days_assumed": Text("この表が適用される期間は未確認の仮定による", "the days of this table are assumed, not verified"),
    "add_on_function": Text("付加的な機能であるとの申告による（要判断）", "by a person's word that this is an add-on function"),
}


def _flags(case: Case, judged: Judgement, book: Rulebook, day: date) -> Iterator[str]:
    if judged.row_uncertain:
        yield "row_uncertain"
    if case.cause == "unknown":
        yield "cause_unknown"
    if judged.by_clause_2 and case.installed_by_the_carrier is None:
        yield "installer_unknown"
    ends = (case.occurred_at + timedelta(seconds=case.duration_s)).astimezone(JST).date()
    if day < AMENDED_ON <= ends:
        yield "spans_amendment"
    if book.status != "in_force":
        yield "draft"
    elif book.valid_days == "assumed" and not (book.certain_from and book.certain_from <= day):
        yield "days_assumed"
    if case.add_on_function:
        yield "add_on_function"


def _explain(case: Case, judged: Judgement, book: Rulebook, flags: tuple[str, ...]) -> Text:
    """Verdict, row and conditions, what there is, what is lacking, flags, citation."""
    row = _row_in_words(book.rows[judged.row - 1])
    spell = length(judged.duration)
    number = Text("不明", "users unknown") if case.users is None else users(case.users)
    verdict, cause, effect = VERDICTS[judged.verdict], CAUSES[case.cause], EFFECTS[case.effect]
    ja = f"{verdict.ja}。{row.ja}。{cause.ja}、{effect.ja}、継続時間{spell.ja}、影響利用者数{number.ja}"
    en = f"{verdict.en}. {row.en}. {cause.en}, {effect.en}, {spell.en}, {number.en}"
    if judged.by_clause_2:
        ja += f"。{CLAUSE_2_ARTICLE}: 全ての通信が2時間以上不能（利用者数によらない）"
        en += f". {CLAUSE_2_ARTICLE}: all communications impossible for at least 2 h, whatever the number of users"
    elif case.users is not None:
        margin = _margin_in_words(judged)
        ja, en = f"{ja}。{margin.ja}", f"{en}. {margin.en}"
    if judged.verdict == Verdict.INDETERMINATE:
        low, high = VERDICTS[judged.at_least], VERDICTS[judged.at_most]
        ja += f"。少なくとも「{low.ja}」、最大で「{high.ja}」"
        en += f". At least: {low.en}; at most: {high.en}"
    for flag in flags:
        ja, en = f"{ja}。{_FLAGS[flag].ja}", f"{en}. {_FLAGS[flag].en}"
    article = book.periodic.article if judged.verdict == Verdict.PERIODIC else book.article
    return Text(f"{ja}。根拠: {article}（{book.id}）。", f"{en}. Basis: {article} ({book.id}).")


def _margin_in_words(judged: Judgement) -> Text:
    spell, number = length(timedelta(seconds=abs(judged.margin_seconds))), users(abs(judged.margin_users))
    over_ja = "超過" if judged.margin_seconds >= 0 else "不足"
    more_ja = "超過" if judged.margin_users >= 0 else "不足"
    over, more = "over" if judged.margin_seconds >= 0 else "short", "over" if judged.margin_users >= 0 else "short"
    return Text(
        f"最も近い条件に対し時間は{spell.ja}{over_ja}、利用者数は{number.ja}{more_ja}",
        f"Against the nearest condition {spell.en} {over} in time, {number.en} {more}",
    )


@cache
def _row_in_words(row: Row) -> Text:
    conditions = [(length(c.duration), users(c.users)) for c in row.conditions]
    return Text(
        f"表の{row.row}の項「{row.title.ja}」の基準は{'、または'.join(f'{d.ja}以上かつ{u.ja}以上' for d, u in conditions)}",
        f"Row {row.row} ({row.title.en}) asks for {', or '.join(f'at least {d.en} and at least {u.en}' for d, u in conditions)}",
    )
