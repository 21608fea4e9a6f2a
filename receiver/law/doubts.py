"""What is uncertain about a verdict, and what would make it another: more time or users, or the answer to what is not known."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import product

import msgspec

from receiver.law.provisions import JST, Flag, Text
from receiver.law.questions import ask
from receiver.law.rulebook import Rulebook, ServiceFacts
from receiver.law.verdict import Judgement, Verdict, conceivable, judge_again, may_fall_under_clause_2, reaches
from receiver.law.wording import VERDICTS, condition, length, users

AMENDED_ON = date(2026, 4, 1)
"""令和8年総務省令第21号 came into force, with no rule for accidents that lasted over that night."""


_FLAGS = {
    "row_uncertain": Text(
        "区分を決める事実が示されていないため、より厳しい区分によった",
        "A fact that decides the row is not stated: the stricter row was taken",
    ),
    "cause_unknown": Text("原因が不明のため故障として判定した", "The cause is unknown: it was judged as a failure"),
    "installer_unknown": Text(
        "設備の設置者が不明のため自ら設置したものとした", "Who installed the facility is unknown: taken as the carrier"
    ),
    "cause_stated": Text("原因の区分は人の申告による（要判断）", "The class of the cause is a person's word: a person decides"),
    "effect_unknown": Text("停止か品質の低下かが示されていない", "Whether it was a stop or a degradation is not stated"),
    "spans_amendment": Text(
        "この表の最終日をまたぐ。発生した日の規定によったが、経過措置は確認できていない",
        "It lasted beyond the last day of this table: judged by the day of occurrence, no transitional rule is known",
    ),
    "not_in_force": Text(
        "発生した日に施行されていた表ではない（名前で指定された）",
        "This table was not in force on the day of occurrence: it was asked for by name",
    ),
    "draft": Text("施行されていない案による", "By a draft that was never in force"),
    "days_assumed": Text("この表が適用される期間は未確認の仮定による", "The days of this table are assumed, not verified"),
    "add_on_function": Text("付加的な機能であるとの申告による（要判断）", "By a person's word that this is an add-on function"),
    "users_unknown": Text(
        "影響利用者数が確定しないため、考えられる最少と最多の両方で判定した",
        "The users are not known exactly: it was judged by the fewest and by the most conceivable",
    ),
}


def flags(judged: Judgement, facts: ServiceFacts, book: Rulebook, started_at: datetime, day: date) -> Iterator[Flag]:
    """What a person should look at, from what is uncertain here to what no source answers."""
    stated, is_draft = judged.circumstances, book.status != "in_force"
    unsure = {
        "row_uncertain": judged.row_uncertain,
        "cause_unknown": stated.cause == "unknown",
        "cause_stated": stated.cause in ("no_failure", "non_telecom_equipment_failure"),
        "effect_unknown": stated.effect == "unknown" and (book.stop_only or book.apart),
        "installer_unknown": may_fall_under_clause_2(stated) and stated.installed_by_the_carrier is None,
        "spans_amendment": bool(book.valid_to and day <= book.valid_to < (started_at + judged.duration).astimezone(JST).date()),
        "draft": is_draft,
        "not_in_force": not is_draft and not book.covers(day),
        "days_assumed": not is_draft and book.valid_days == "assumed" and not (book.certain_from and book.certain_from <= day),
        "add_on_function": stated.add_on_function,
        "users_unknown": judged.users_at_least != judged.users_at_most,
    }
    for code, holds in unsure.items():
        if holds:
            yield Flag(code, _FLAGS[code])
    if unsure["spans_amendment"] and book.valid_to == AMENDED_ON - timedelta(days=1):
        yield ask("transition")
    if unsure["users_unknown"]:
        yield ask("hard_to_count")
    if stated.add_on_function:
        yield ask("add_on_functions")
    if facts.kind == "internet_access" and facts.charged is not True:
        yield ask("free_internet_access")
    if Verdict.PERIODIC in conceivable(judged.at_least, judged.at_most):
        yield ask("minor_accidents")


def changes(judged: Judgement, facts: ServiceFacts, rulebook: Rulebook) -> Iterator[Text]:
    """What would make the verdict another: more time or users, or the answer to what is not known."""
    stated = judged.circumstances
    if judged.at_least != Verdict.MAJOR and stated.cause in ("telecom_equipment_failure", "unknown"):
        if rulebook.clause_2 and may_fall_under_clause_2(stated):
            more = length(rulebook.clause_2.duration - stated.down_for(judged.duration))
            yield Text(f"第2号まで: あと{more.ja}続く", f"To clause (ii): {more.en} more")
        if not stated.add_on_function:
            yield _nearest(judged)
    if judged.verdict == Verdict.INDETERMINATE:
        low, high = VERDICTS[judged.at_least], VERDICTS[judged.at_most]
        yield Text(f"少なくとも「{low.ja}」、最大で「{high.ja}」", f"At least: {low.en}; at most: {high.en}")
    for said, other in _otherwise(judged, facts, rulebook):
        if (other.at_least, other.at_most) != (judged.at_least, judged.at_most):
            headline = VERDICTS[other.verdict]
            yield Text(f"{said.ja}: {headline.ja}", f"{said.en}: {headline.en}")


def _nearest(judged: Judgement) -> Text:
    asked = condition(judged.condition)
    lacking = []
    if judged.margin_seconds < 0:
        spell = length(timedelta(seconds=-judged.margin_seconds))
        lacking.append(Text(f"あと{spell.ja}続く", f"{spell.en} more"))
    if judged.margin_users < 0:
        number = users(judged.condition.users)
        if any(reaches(hit.users, judged.condition.users) for hit in judged.hits_at_most):
            lacking.append(Text(f"利用者数が{number.ja}以上と確認される", f"at least {number.en} confirmed"))
        elif judged.hits_at_most:
            more = users(-judged.margin_users)
            lacking.append(Text(f"あと{more.ja}増える", f"{more.en} more"))
        else:
            lacking = [
                Text("停止に当たる（この表では品質の低下は対象外）", "that it was a stop (this table leaves degradation out)")
            ]
    ja, en = "、かつ".join(each.ja for each in lacking), " and ".join(each.en for each in lacking)
    return Text(f"最も近い条件（{asked.ja}）まで: {ja}", f"To the nearest condition ({asked.en}): {en}")


def _otherwise(judged: Judgement, facts: ServiceFacts, rulebook: Rulebook) -> Iterator[tuple[Text, Judgement]]:
    """What is not certain, answered the other way, and the judgement then."""

    def under(facts: ServiceFacts = facts, **answers: object) -> Judgement:
        return judge_again(judged, facts, rulebook, msgspec.structs.replace(stated, **answers))

    stated = judged.circumstances
    if judged.row_uncertain:
        for number, each in _other_rows(facts, rulebook, judged.row):
            yield Text(f"{number}の項に当たれば", f"if row {number} takes it"), under(each)
    if stated.cause == "unknown":
        yield Text("故障でないと判明すれば", "if it proves to be no failure"), under(cause="no_failure")
    elif stated.cause != "telecom_equipment_failure":
        telecom = under(cause="telecom_equipment_failure")
        yield Text("電気通信設備の故障と判明すれば", "if it proves to be a failure of telecommunications equipment"), telecom
    if judged.by_clause_2 and stated.installed_by_the_carrier is None:
        yield (
            Text("自ら設置した設備でなければ", "if the carrier did not install the facility"),
            under(installed_by_the_carrier=False),
        )
    if stated.add_on_function:
        yield Text("付加的な機能でなければ", "if it is no add-on function"), under(add_on_function=False)


@lru_cache(4096)
def _other_rows(facts: ServiceFacts, rulebook: Rulebook, row: int) -> tuple[tuple[int, ServiceFacts], ...]:
    """The other rows that may take the service, each with facts by which it does: every answer to those that nobody has stated."""
    limits = [row.monthly_users_previous_fy_at_least for row in rulebook.rows if row.monthly_users_previous_fy_at_least]
    answers = product(
        (True, False) if facts.emergency_calls is None else (facts.emergency_calls,),
        (True, False) if facts.charged is None else (facts.charged,),
        (0, *limits) if facts.monthly_users_previous_fy is None else (facts.monthly_users_previous_fy,),
    )
    by_row = {rulebook.row_of(stated).row: stated for stated in (ServiceFacts(facts.kind, *answer) for answer in answers)}
    return tuple(sorted((number, stated) for number, stated in by_row.items() if number != row))
