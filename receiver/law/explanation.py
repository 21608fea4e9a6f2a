"""Why a verdict is what it is: row, numbers, arithmetic, what is uncertain, what would change it, citations, in one structure that
renders to Japanese and to English. It never states a legal conclusion.
"""

from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache

import msgspec

from receiver.law import arithmetic, doubts
from receiver.law.causes import CauseRule
from receiver.law.counting import GROWING, Affected, Count, CountedBy
from receiver.law.estimate import Estimate, Method, Reading
from receiver.law.impairment import Impairment
from receiver.law.provisions import JST, Flag, Provision, Text, cite, guideline
from receiver.law.questions import ask
from receiver.law.rulebook import Row, Rulebook, ServiceFacts
from receiver.law.verdict import Judgement, Verdict, conceivable, judge, other_verdicts
from receiver.law.wording import (
    CAUSES,
    EFFECTS,
    KINDS,
    METHODS,
    STATES,
    VERDICTS,
    clock_time,
    length,
    problem,
    users,
    users_between,
)

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
    Text("人の申告", "Stated by persons"),
)


class Explanation(msgspec.Struct, frozen=True):
    """`headline` is the verdict, `row` which row of which table takes the service, and by which facts. `numbers` are what was
    counted and measured with where it is from, `steps` the arithmetic, `uncertain` what a person should look at, `would_change`
    what would make the verdict another, `citations` the rules it rests on, with how well each is known for the day of occurrence;
    `stated` is what persons said of it.
    """

    headline: Text
    row: Text
    numbers: tuple[Text, ...]
    steps: tuple[Text, ...]
    uncertain: tuple[Flag, ...]
    would_change: tuple[Text, ...]
    citations: tuple[Provision, ...]
    stated: tuple[Text, ...] = ()

    @property
    def sections(self) -> tuple[tuple[Text, tuple[Text, ...]], ...]:
        """Heading and lines of each part that has any, in the order in which they are told."""
        uncertain = tuple([flag.text for flag in self.uncertain])
        basis = tuple([_cited(rule) for rule in self.citations])
        parts = (self.row,), self.numbers, self.steps, uncertain, self.would_change, basis, self.stated
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
        steps=(*steps, *arithmetic.steps(judged, row, rulebook)),
        uncertain=tuple(doubts.flags(judged, facts, rulebook, started_at, day)),
        would_change=(*would_change, *doubts.changes(judged, facts, rulebook)),
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
    quality: Iterable[Text] = (),
    seen: Impairment | None = None,
    unsettled: Iterable[Flag] = (),
    cause: CauseRule | None = None,
    plan_ends_at: datetime | None = None,
    stated: Iterable[Text] = (),
    outlook: Text | None = None,
) -> Explanation:
    """Explain the verdict on an outage that is watched: its users with their query and time, its clock, and what comes next.

    `quality` is what was told of a stop or degradation, `seen` what the service suffers now; `unsettled` is what the caller knows.
    `cause` is the one that was named, `plan_ends_at` when the planned work has to be over, `stated` all that persons said.
    `outlook` is what is foretold on the trend of its users.
    """
    spell, since = length(judged.duration), clock_time(started_at)
    count = affected.count
    steps = [_step(count.formula)] if count and count.formula else []
    steps.append(Text(f"{since}の故障から{spell.ja}", f"{spell.en} since the failure at {since}"))
    if major_since:
        when = clock_time(major_since)
        steps.append(Text(f"基準に達した時刻は{when}", f"The threshold was reached at {when}"))
    next_ = [_expected(major_expected_at, started_at + judged.duration, affected)] if major_expected_at and not major_since else []
    if outlook:
        next_ = [_step(outlook)]  # if users stay as well as if they grow
    emergency = facts.kind == "voice" and facts.emergency_calls is not False
    unmeasured: Method = "emergency_all_under_equipment" if emergency else "all_under_equipment"
    rule = _rule_of(count.method if count else unmeasured, facts)
    if plan_ends_at:
        next_.append(_after_the_plan(plan_ends_at))
    explanation = explain(
        judged,
        facts,
        rulebook,
        started_at,
        numbers=[*_numbers(affected), *quality],
        steps=[*steps, *([_judged_as(cause)] if cause else [])],
        would_change=[*next_, *(_by_other_readings(count.users, count.other_readings, judged, facts, rulebook) if count else ())],
        citations=[
            *_counting_rules(rule, count),
            guideline("start_and_end"),
            *(seen.citations if seen else ()),
            *([cause.provision.as_of(started_at.astimezone(JST).date())] if cause else ()),
        ],
    )
    unsure = (*explanation.uncertain, *(seen.flags if seen else ()), *unsettled)
    if cause and cause.a_person_decides:
        unsure = (*unsure, Flag("cause_undecided", _NO_TEXT_ON_CAUSE))
    if count and not count.unit:
        unsure = (*unsure, ask("users_unit"))
    cited, said = tuple(dict.fromkeys(explanation.citations)), tuple(stated)
    if unsure == explanation.uncertain and len(cited) == len(explanation.citations) and not said:
        return explanation
    return msgspec.structs.replace(explanation, uncertain=unsure, citations=cited, stated=said)


_NO_TEXT_ON_CAUSE = Text(
    "この原因をどの区分とするかを定めた条文等は確認できていない（要判断）",
    "No text that was read says on which side this cause stands: a person decides",
)


def _judged_as(cause: CauseRule) -> Text:
    """What is judged for the cause that was named, and what stands about it."""
    judged, says = CAUSES[cause.cause], cause.provision.says or Text("-", "-")
    return Text(
        f"原因「{cause.text.ja}」は「{judged.ja}」として判定: {says.ja}",
        f"Cause ({cause.text.en}) judged as: {judged.en}; {says.en}",
    )


def _after_the_plan(ends_at: datetime) -> Text:
    """No text says from when an overrun counts: all of it is judged, the stricter way."""
    when = clock_time(ends_at)
    return Text(
        f"計画の終了時刻{when}を過ぎて続けば、計画の超過とし、発生時から全体を故障として判定する",
        f"If it goes on beyond the end of the plan at {when}, all of it is judged as a failure from its start: an overrun",
    )


def suffered(seen: Impairment) -> Text:
    state = STATES[seen.effect]
    return Text(f"品質: {state.ja}（{seen.why.ja}）", f"Quality: {state.en} ({seen.why.en})")


def _numbers(affected: Affected) -> list[Text]:
    """The number, what it rests on, and why no finer method gave it."""
    count = affected.count
    if affected.stated:
        number = users(affected.stated.users)
        before = _numbers(msgspec.structs.replace(affected, stated=None)) if affected.kept else []
        return [
            Text(f"影響利用者数は{number.ja}（人の申告による）", f"Affected: {number.en} (stated by a person)"),
            *(Text(f"計測値（判定に用いない）: {line.ja}", f"As measured, not judged: {line.en}") for line in before),
        ]
    if count is None:
        return [_counted(affected)]
    finer = [Text(f"優先される方法を用いない理由: {why.ja}", f"A finer method not used: {why.en}") for why in count.passed_over]
    return [_counted(affected), *count.evidence, *finer]


def _step(formula: Text) -> Text:
    return Text(formula.ja.removesuffix("。"), formula.en.removesuffix("."))


def _counting_rules(rule: str | None, count: Count | None) -> list[Provision]:
    if rule is None:
        return []
    by_days = count is not None and count.method == "traffic_difference"
    return [guideline(rule), *([guideline("comparable_days")] if by_days else [])]


def _rule_of(method: CountedBy, facts: ServiceFacts) -> str | None:
    """The rule that counts users of this service: voice has others than data. None for a person's own count."""
    if method == "stated":
        return None
    return "really_hit" if facts.kind == "voice" and method in ("direct", "all_under_equipment") else RULE_OF[method]


def explain_estimate(
    estimate: Estimate, judged: Judgement, facts: ServiceFacts, rulebook: Rulebook, started_at: datetime
) -> Explanation:
    """Explain the verdict on a number of users that a method of the law estimated, with the other readings of that method."""

    method = METHODS[estimate.method]
    return explain(
        judged,
        facts,
        rulebook,
        started_at,
        numbers=[Text(f"影響利用者数の算定: {method.ja}", f"users counted by: {method.en}")],
        steps=[_step(estimate.formula)],
        would_change=_by_other_readings(estimate.users, estimate.other_readings, judged, facts, rulebook),
        citations=[estimate.citation],
    )


def _by_other_readings(
    counted: int, readings: Iterable[Reading], judged: Judgement, facts: ServiceFacts, rulebook: Rulebook
) -> list[Text]:
    """The other readings of the counting rule under which the verdict would be another."""

    def verdict(number: int) -> Verdict:
        return judge(facts, rulebook, judged.duration, number, number, judged.circumstances).verdict

    changes = []
    for other in other_verdicts(counted, readings, verdict):
        number, reading, headline = users(other.reading.users), other.reading.reading, VERDICTS[other.verdict]
        changes.append(
            Text(
                f"別の読み方（{reading.ja}）では{number.ja}: {headline.ja}",
                f"by another reading ({reading.en}) {number.en}: {headline.en}",
            )
        )
    return changes


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
    how_many = users_between(judged.users_at_least, judged.users_at_most)
    return [
        Text(f"{cause.ja}、{effect.ja}", f"{cause.en}, {effect.en}"),
        Text(f"継続時間{spell.ja}、影響利用者数{how_many.ja}", f"{spell.en}, {how_many.en}"),
    ]


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
    grows = affected.count is not None and affected.count.method in GROWING
    if affected.problem is None and not grows:
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
        number, method = users_between(count.users, count.most), METHODS[count.method]
        unit = Text(f"、単位: {count.unit}", f", unit: {count.unit}") if count.unit else Text("", "")
        figure = Text(
            f"影響利用者数は{number.ja}（{method.ja}、{clock_time(count.at)}の計測{unit.ja}、クエリ: {count.query}）",
            f"Affected: {number.en} ({method.en}, measured at {clock_time(count.at)}{unit.en}, query: {count.query})",
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
