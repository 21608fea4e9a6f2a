"""Why a verdict is what it is: row, numbers, arithmetic, what is uncertain, what would change it, citations, in one structure that
renders to Japanese and to English. It never states a legal conclusion.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import product

import msgspec

from receiver.law.counting import Affected
from receiver.law.estimate import Estimate, Method
from receiver.law.provisions import JST, Flag, Provision, Text, cite, guideline
from receiver.law.questions import ask
from receiver.law.rulebook import Condition, Periodic, Row, Rulebook, ServiceFacts
from receiver.law.verdict import (
    Hit,
    Judgement,
    Verdict,
    conceivable,
    fulfils_any,
    judge,
    judge_again,
    may_fall_under_clause_2,
    other_verdicts,
    reaches,
)
from receiver.law.wording import CAUSES, EFFECTS, KINDS, METHODS, VERDICTS, clock_time, condition, length, problem, users

AMENDED_ON = date(2026, 4, 1)
"""令和8年総務省令第21号 came into force, with no rule for accidents that lasted over that night."""

RULE_OF: dict[Method, str] = {
    "direct": "best_effort",
    "traffic_difference": "best_effort",
    "conference_probability": "conference",
    "call_shortfall": "operators_practice",
    "missing_registrations": "operators_practice",
    "emergency_call_loss": "emergency_voice",
    "host_entitled_accounts": "conference",
    "all_under_equipment": "best_effort",
    "emergency_all_under_equipment": "emergency_voice",
}
"""The rule of the guideline (or of practice) that a counting method follows."""

HEADINGS = (
    Text("区分", "Row"),
    Text("数値", "Numbers"),
    Text("計算", "Arithmetic"),
    Text("不確かな点", "Uncertain"),
    Text("判定が変わる場合", "What would change it"),
    Text("根拠", "Basis"),
)


class Explanation(msgspec.Struct, frozen=True):
    """`headline` is the verdict, `row` which row of which table takes the service, and by which facts. `numbers` are what was
    counted and measured with where it is from, `steps` the arithmetic, `uncertain` what a person should look at, `would_change`
    what would make the verdict another, `citations` the rules it rests on, with how well each is known for the day of occurrence.
    """

    headline: Text
    row: Text
    numbers: tuple[Text, ...]
    steps: tuple[Text, ...]
    uncertain: tuple[Flag, ...]
    would_change: tuple[Text, ...]
    citations: tuple[Provision, ...]

    @property
    def sections(self) -> tuple[tuple[Text, tuple[Text, ...]], ...]:
        """Heading and lines of each part that has any, in the order in which they are told."""
        uncertain = tuple([flag.text for flag in self.uncertain])
        basis = tuple([_cited(rule) for rule in self.citations])
        parts = (self.row,), self.numbers, self.steps, uncertain, self.would_change, basis
        return tuple([(heading, lines) for heading, lines in zip(HEADINGS, parts, strict=True) if lines])

    @property
    def text(self) -> Text:
        """All of it as one paragraph."""
        ja, en = f"{self.headline.ja}。", f"{self.headline.en}."
        for heading, lines in self.sections:
            ja += f"{heading.ja}: {'。'.join([line.ja for line in lines])}。"
            en += f" {heading.en}: {'. '.join([line.en for line in lines])}."
        return Text(ja, en)


def explain(
    judged: Judgement,
    facts: ServiceFacts,
    rulebook: Rulebook,
    started_at: datetime,
    *,
    numbers: Iterable[Text] = (),
    steps: Iterable[Text] = (),
    would_change: Iterable[Text] = (),
    citations: Iterable[Provision] = (),
) -> Explanation:
    """Explain a judgement by this rulebook. `numbers`, `steps` (how the numbers came about), `would_change` and `citations` are
    what the caller knows besides; they come before what follows from the judgement itself.
    """
    day = started_at.astimezone(JST).date()
    row = rulebook.rows[judged.row - 1]
    return Explanation(
        headline=VERDICTS[judged.verdict],
        row=_row(row, facts, rulebook),
        numbers=(*numbers, *_given(judged)),
        steps=(*steps, *_steps(judged, row, rulebook)),
        uncertain=tuple(_flags(judged, facts, rulebook, started_at, day)),
        would_change=(*would_change, *_changes(judged, facts, rulebook)),
        citations=(*_rules(judged, row.row, rulebook, day), *citations),
    )


def explain_outage(
    judged: Judgement,
    facts: ServiceFacts,
    rulebook: Rulebook,
    affected: Affected,
    started_at: datetime,
    major_since: datetime | None,
    major_expected_at: datetime | None,
) -> Explanation:
    """Explain the verdict on an outage that is watched: its users with their query and time, its clock, and what comes next."""
    spell, since = length(judged.duration), clock_time(started_at)
    steps = [Text(f"{since}の故障から{spell.ja}", f"{spell.en} since the failure at {since}")]
    if major_since:
        when = clock_time(major_since)
        steps.append(Text(f"基準に達した時刻は{when}", f"The threshold was reached at {when}"))
    next_ = [_expected(major_expected_at, started_at + judged.duration, affected)] if major_expected_at and not major_since else []
    count = affected.count
    rule = _rule_of(count.method if count else "all_under_equipment", facts)
    explanation = explain(
        judged,
        facts,
        rulebook,
        started_at,
        numbers=[_counted(affected)],
        steps=steps,
        would_change=next_,
        citations=[guideline(rule), guideline("start_and_end")],
    )
    flags = list(explanation.uncertain)
    if count and count.method == "direct" and rule == "emergency_voice":
        flags.append(_EMERGENCY_METHOD)
    if count and not count.unit:
        flags.append(ask("users_unit"))
    return msgspec.structs.replace(explanation, uncertain=tuple(flags))


def _rule_of(method: Method, facts: ServiceFacts) -> str:
    """The rule that counts users of this service: voice has others than data."""
    if facts.kind == "voice" and method in ("direct", "all_under_equipment"):
        return "really_hit" if facts.emergency_calls is False else "emergency_voice"
    return RULE_OF[method]


_EMERGENCY_METHOD = Flag(
    "emergency_voice_method",
    Text(
        "緊急通報に影響がなかったことが確実でなければ、発信しなかった者を含む設備配下の全利用者（一部使用できれば×呼損率）で数える（要判断）",
        "Unless certainly no emergency call was affected, all users under the equipment count, also those who did not call "
        "(× call-loss rate where it partly works): a person decides",
    ),
)


def explain_estimate(
    estimate: Estimate, judged: Judgement, facts: ServiceFacts, rulebook: Rulebook, started_at: datetime
) -> Explanation:
    """Explain the verdict on a number of users that a method of the law estimated, with the other readings of that method."""

    def verdict(number: int) -> Verdict:
        return judge(facts, rulebook, judged.duration, number, number, judged.circumstances).verdict

    changes = []
    for other in other_verdicts(estimate, verdict):
        number, reading, headline = users(other.reading.users), other.reading.reading, VERDICTS[other.verdict]
        changes.append(
            Text(
                f"別の読み方（{reading.ja}）では{number.ja}: {headline.ja}",
                f"by another reading ({reading.en}) {number.en}: {headline.en}",
            )
        )
    method = METHODS[estimate.method]
    return explain(
        judged,
        facts,
        rulebook,
        started_at,
        numbers=[Text(f"影響利用者数の算定: {method.ja}", f"users counted by: {method.en}")],
        steps=[Text(estimate.formula.ja.rstrip("。"), estimate.formula.en.rstrip("."))],
        would_change=changes,
        citations=[estimate.citation],
    )


@lru_cache(4096)
def _cited(provision: Provision) -> Text:
    cited = cite(provision)
    if provision.basis == "law" or not provision.says:
        return cited
    return Text(f"{cited.ja}: {provision.says.ja}", f"{cited.en}: {provision.says.en}")


@lru_cache(4096)
def _row(row: Row, facts: ServiceFacts, rulebook: Rulebook) -> Text:
    """Which row, and the facts of the service by which it is the first that fits."""
    emergency, charged, kind = _EMERGENCY[facts.emergency_calls], _CHARGED[facts.charged], KINDS[facts.kind]
    last_year = Text("不明", "unknown")
    if facts.monthly_users_previous_fy is not None:
        last_year = users(facts.monthly_users_previous_fy)
    return Text(
        f"{rulebook.id}の表の{row.row}の項「{row.title.ja}」"
        f"（種別: {kind.ja}、緊急通報の取扱い: {emergency.ja}、料金: {charged.ja}、前年度の月平均利用者数: {last_year.ja}）",
        f"{rulebook.id}, row {row.row}: {row.title.en} (kind: {kind.en}, emergency calls: {emergency.en}, charged: {charged.en}, "
        f"monthly users of the previous fiscal year: {last_year.en})",
    )


_EMERGENCY = {True: Text("あり", "yes"), False: Text("なし", "no"), None: Text("不明", "unknown")}
_CHARGED = {True: Text("有料", "yes"), False: Text("無料", "no"), None: Text("不明", "unknown")}


def _given(judged: Judgement) -> list[Text]:
    cause, effect, spell = CAUSES[judged.circumstances.cause], EFFECTS[judged.circumstances.effect], length(judged.duration)
    number = _range(judged)
    return [
        Text(f"{cause.ja}、{effect.ja}", f"{cause.en}, {effect.en}"),
        Text(f"継続時間{spell.ja}、影響利用者数{number.ja}", f"{spell.en}, {number.en}"),
    ]


def _range(judged: Judgement) -> Text:
    """The number of users, or from how many to how many."""
    return _number(judged.users_at_least, judged.users_at_most)


def _number(least: int, most: int | None) -> Text:
    if least == most:
        return users(least)
    if most is None:
        return Text(f"{least:,}人以上、上限不明", f"at least {least:,} users, no known upper limit")
    return Text(f"{least:,}人以上{most:,}人以下", f"from {least:,} to {most:,} users")


def _steps(judged: Judgement, row: Row, rulebook: Rulebook) -> Iterator[Text]:
    """Each condition that was tried, what there is against it, and whether it is fulfilled."""
    stated = judged.circumstances
    if stated.cause == "no_failure":
        yield Text("故障ではないため基準と比べない", "no failure: not compared with the thresholds")
        return
    of_telecom_equipment = stated.cause != "non_telecom_equipment_failure"
    if stated.facility and of_telecom_equipment and rulebook.clause_2:
        yield _clause_2_step(judged, rulebook.clause_2.duration)
    if stated.add_on_function and of_telecom_equipment:
        yield Text(
            "付加的な機能のみのため表・定期報告の基準と比べない",
            "an add-on function alone: not compared with the table or the list",
        )
        return
    if not of_telecom_equipment:
        yield Text(
            "電気通信設備の故障でないため表と比べない", "no failure of telecommunications equipment: not compared with the table"
        )
    else:
        everyone = Hit(judged.duration, judged.users_at_least), Hit(judged.duration, judged.users_at_most)
        if (*judged.hits_at_least, *judged.hits_at_most) != everyone:
            yield _who_counts(judged, rulebook)
        for each in row.conditions:
            yield _compared(condition(each), each, judged)
    if judged.at_least != Verdict.MAJOR:
        periodic = rulebook.periodic
        yield _periodic_step(periodic, _either(judged, periodic.duration, periodic.users))


def _clause_2_step(judged: Judgement, needed: timedelta) -> Text:
    """Clause 2 names no number of users: it takes all traffic of a facility of the carrier's own, for so long."""
    stated, spell = judged.circumstances, length(needed)
    asked = Text(
        f"第2号（全ての通信が{spell.ja}以上不能、利用者数によらない）",
        f"Clause (ii), all communications impossible for at least {spell.en}, whatever the number of users",
    )
    if not stated.all_traffic_down:
        why = Text("全ての通信の不能ではない→満たさない", "not all communications are impossible: not fulfilled")
    elif stated.installed_by_the_carrier is False:
        why = Text("自ら設置した設備ではない→満たさない", "not installed by the carrier: not fulfilled")
    else:
        time, fulfilled = _time(needed - judged.duration), _TRUTH[judged.by_clause_2]
        why = Text(f"{time.ja}→{fulfilled.ja}", f"{time.en}: {fulfilled.en}")
    return Text(f"{asked.ja}: {why.ja}", f"{asked.en}: {why.en}")


def _who_counts(judged: Judgement, rulebook: Rulebook) -> Text:
    """Where not all users count before the table: which of them do, by this rulebook."""
    least, most = [max((h.users or 0 for h in judged.hits_at_least), default=0)], judged.hits_at_most
    number = _number(least[0], None if any(h.users is None for h in most) else max((h.users or 0 for h in most), default=0))
    if rulebook.apart:
        return Text(
            f"停止と品質の低下を別に判定する。表と比べるのは利用者の多い方（{number.ja}）",
            f"Stop and degradation are judged apart: the larger of the two is compared with the table ({number.en})",
        )
    return Text(
        f"品質の低下は対象外。表と比べるのは停止の利用者のみ（{number.ja}）",
        f"Degradation does not count: users with a stop are compared with the table ({number.en})",
    )


@lru_cache(1024)
def _periodic_step(periodic: Periodic, fulfilled: bool | None) -> Text:
    spell, number, reached = length(periodic.duration), users(periodic.users), _TRUTH[fulfilled]
    return Text(
        f"定期報告: {spell.ja}以上または{number.ja}以上→{reached.ja}",
        f"Periodic report: at least {spell.en} or at least {number.en}: {reached.en}",
    )


_TRUTH = {
    True: Text("満たす", "fulfilled"),
    False: Text("満たさない", "not fulfilled"),
    None: Text("満たす可能性がある", "may be fulfilled"),
}


def _compared(asked: Text, each: Condition, judged: Judgement) -> Text:
    """A condition against what stood before the table: the users that come nearest to it."""
    hits = judged.hits_at_least or (Hit(judged.duration, 0),)
    nearest = hits[0] if len(hits) == 1 else max(hits, key=lambda hit: (fulfils_any((hit,), each), hit.users or 0))
    time, people = _time(each.duration - nearest.duration), _people(each.users - (nearest.users or 0))
    certain = fulfils_any(judged.hits_at_least, each)
    fulfilled = _TRUTH[True if certain else None if fulfils_any(judged.hits_at_most, each) else False]
    return Text(
        f"条件（{asked.ja}）: {time.ja}、{people.ja}→{fulfilled.ja}",
        f"Condition ({asked.en}): {time.en}, {people.en}: {fulfilled.en}",
    )


def _time(lacking: timedelta) -> Text:
    if not lacking:
        return Text("時間はちょうど", "just long enough")
    spell = length(abs(lacking))
    return (
        Text(f"時間はあと{spell.ja}", f"{spell.en} short")
        if lacking > timedelta()
        else Text(f"時間は{spell.ja}超過", f"{spell.en} over")
    )


def _people(lacking: int) -> Text:
    if not lacking:
        return Text("利用者数はちょうど", "just enough users")
    number = users(abs(lacking))
    return (
        Text(f"利用者数はあと{number.ja}", f"{number.en} short")
        if lacking > 0
        else Text(f"利用者数は{number.ja}超過", f"{number.en} over")
    )


def _either(judged: Judgement, duration: timedelta, threshold: int) -> bool | None:
    if judged.duration >= duration or judged.users_at_least >= threshold:
        return True
    return None if reaches(judged.users_at_most, threshold) else False


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


def _flags(judged: Judgement, facts: ServiceFacts, book: Rulebook, started_at: datetime, day: date) -> Iterator[Flag]:
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


def _changes(judged: Judgement, facts: ServiceFacts, rulebook: Rulebook) -> Iterator[Text]:
    """What would make the verdict another: more time or users, or the answer to what is not known."""
    stated = judged.circumstances
    if judged.at_least != Verdict.MAJOR and stated.cause in ("telecom_equipment_failure", "unknown"):
        if rulebook.clause_2 and may_fall_under_clause_2(stated):
            more = length(rulebook.clause_2.duration - judged.duration)
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

    def under(facts: ServiceFacts = facts, **changes: object) -> Judgement:
        return judge_again(judged, facts, rulebook, msgspec.structs.replace(stated, **changes) if changes else stated)

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


def _rules(judged: Judgement, row: int, book: Rulebook, day: date) -> list[Provision]:
    by_periodic = Verdict.PERIODIC in conceivable(judged.at_least, judged.at_most)
    rules = _provisions(book, row, judged.circumstances.facility is not None, by_periodic)
    return [rule.as_of(day) for rule in rules]


@lru_cache(1024)
def _provisions(book: Rulebook, row: int, by_clause_2: bool, by_periodic: bool) -> tuple[Provision, ...]:
    rules = [book.citation(book.rows[row - 1])]
    if by_clause_2 and book.clause_2:
        rules.append(book.citation_of(book.clause_2))
    if by_periodic:
        rules.append(book.citation_of(book.periodic))
    return tuple(rules)


def _expected(at: datetime, now: datetime, affected: Affected) -> Text:
    """When the threshold of a major accident comes, as a fact if the users are measured, else as the earliest possible."""
    when = clock_time(at)
    if at <= now:
        return Text(
            f"早ければ{when}に重大な事故の基準に達していた可能性がある",
            f"The threshold of a major accident may have been reached as early as {when}",
        )
    if affected.problem is None:
        return Text(
            f"変化がなければ{when}に重大な事故の基準に達する",
            f"If nothing changes, the threshold of a major accident is reached at {when}",
        )
    return Text(
        f"変化がなければ、早ければ{when}に重大な事故の基準に達する可能性がある",
        f"If nothing changes, the threshold of a major accident may be reached as early as {when}",
    )


def _counted(affected: Affected) -> Text:
    count = affected.count
    if count:
        number, method = users(count.users), METHODS[count.method]
        figure = Text(
            f"影響利用者数は{number.ja}（{method.ja}、{clock_time(count.at)}の計測、クエリ: {count.query}）",
            f"Affected: {number.en} ({method.en}, measured at {clock_time(count.at)}, query: {count.query})",
        )
        if affected.problem is None:
            return figure
        most = users(affected.at_most)
        why = problem(affected.problem)
        return Text(
            f"{figure.ja}。現在は計測できない（{why.ja}）ため、最大で{most.ja}",
            f"{figure.en}. It cannot be measured now ({why.en}), so at most: {most.en}",
        )
    most, why = users(affected.bound), problem(affected.problem or "-")
    return Text(
        f"影響利用者数は未計測（{why.ja}）。故障した設備の配下または役務の全利用者を上限とする: {most.ja}",
        f"Affected users are unmeasured ({why.en}). Upper bound, all users under the equipment or of the service: {most.en}",
    )
