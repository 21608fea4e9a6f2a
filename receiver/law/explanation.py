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
from receiver.law.verdict import Circumstances, Judgement, Verdict, judge, other_verdicts
from receiver.law.wording import CAUSES, EFFECTS, KINDS, METHODS, VERDICTS, clock_time, condition, length, users

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

HEADINGS = {
    "row": Text("区分", "Row"),
    "numbers": Text("数値", "Numbers"),
    "steps": Text("計算", "Arithmetic"),
    "uncertain": Text("不確かな点", "Uncertain"),
    "would_change": Text("判定が変わる場合", "What would change it"),
    "citations": Text("根拠", "Basis"),
}


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
        parts = {
            "row": (self.row,),
            "numbers": self.numbers,
            "steps": self.steps,
            "uncertain": tuple(flag.text for flag in self.uncertain),
            "would_change": self.would_change,
            "citations": tuple(map(_cited, self.citations)),
        }
        return tuple((HEADINGS[name], lines) for name, lines in parts.items() if lines)

    @property
    def text(self) -> Text:
        """All of it as one paragraph."""
        ja, en = [f"{self.headline.ja}。"], [f"{self.headline.en}."]
        for heading, lines in self.sections:
            ja.append(f"{heading.ja}: {'。'.join([line.ja for line in lines])}。")
            en.append(f"{heading.en}: {'. '.join([line.en for line in lines])}.")
        return Text("".join(ja), " ".join(en))


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
    counted = affected.count
    return explain(
        judged,
        facts,
        rulebook,
        started_at,
        numbers=[_counted(affected)],
        steps=steps,
        would_change=next_,
        citations=[guideline(RULE_OF[counted.method])] if counted else [],
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
    emergency, charged, kind = _yes_no(facts.emergency_calls), _yes_no(facts.charged), KINDS[facts.kind]
    last_year = Text("不明", "unknown")
    if facts.monthly_users_previous_fy is not None:
        last_year = users(facts.monthly_users_previous_fy)
    return Text(
        f"{rulebook.id}の表の{row.row}の項「{row.title.ja}」（種別: {kind.ja}、緊急通報: {emergency.ja}、有料: {charged.ja}、"
        f"前年度の月平均利用者数: {last_year.ja}）",
        f"{rulebook.id}, row {row.row}: {row.title.en} (kind: {kind.en}, emergency calls: {emergency.en}, charged: {charged.en}, "
        f"monthly users of the previous fiscal year: {last_year.en})",
    )


def _yes_no(fact: bool | None) -> Text:
    if fact is None:
        return Text("不明", "unknown")
    return Text("はい", "yes") if fact else Text("いいえ", "no")


def _given(judged: Judgement) -> list[Text]:
    cause, effect, spell = CAUSES[judged.circumstances.cause], EFFECTS[judged.circumstances.effect], length(judged.duration)
    number = _range(judged)
    return [
        Text(f"{cause.ja}、{effect.ja}", f"{cause.en}, {effect.en}"),
        Text(f"継続時間{spell.ja}、影響利用者数{number.ja}", f"{spell.en}, {number.en}"),
    ]


def _range(judged: Judgement) -> Text:
    """The number of users, or from how many to how many."""
    least, most = judged.users_at_least, judged.users_at_most
    if least == most:
        return users(least)
    if most is None:
        return Text(f"{least:,}人以上、上限不明", f"at least {least:,} users, no known upper limit")
    return Text(f"{least:,}人以上{most:,}人以下", f"from {least:,} to {most:,} users")


def _steps(judged: Judgement, row: Row, rulebook: Rulebook) -> Iterator[Text]:
    """Each condition that was tried, what there is against it, and whether it is fulfilled."""
    facts = judged.circumstances
    if facts.add_on_function or facts.cause == "no_failure":
        why = Text("付加的な機能のみ", "an add-on function alone") if facts.add_on_function else CAUSES["no_failure"]
        yield Text(f"{why.ja}のため基準と比べない", f"{why.en}: not compared with the thresholds")
        return
    if facts.cause == "non_telecom_equipment_failure":
        yield Text(
            "電気通信設備の故障でないため表と比べない", "no failure of telecommunications equipment: not compared with the table"
        )
    else:
        for each in row.conditions:
            yield _compared(condition(each), each, judged)
        if judged.by_clause_2 and rulebook.clause_2:
            spell = length(rulebook.clause_2.duration)
            yield Text(
                f"第2号: 全ての通信が{spell.ja}以上不能（利用者数によらない）→満たす",
                f"Clause (ii): all communications impossible for at least {spell.en}, whatever the number of users: fulfilled",
            )
    if judged.at_least != Verdict.MAJOR:
        periodic = rulebook.periodic
        yield _periodic_step(periodic, _either(judged, periodic.duration, periodic.users))


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
    lacking = each.duration - judged.duration
    spell = length(abs(lacking))
    time = (
        Text(f"時間は{spell.ja}超過", f"{spell.en} over")
        if lacking <= timedelta()
        else Text(f"時間はあと{spell.ja}", f"{spell.en} short")
    )
    short = each.users - judged.users_at_least
    number = users(abs(short))
    people = (
        Text(f"利用者数は{number.ja}超過", f"{number.en} over")
        if short <= 0
        else Text(f"利用者数はあと{number.ja}", f"{number.en} short")
    )
    enough = short <= 0 or (None if _may_reach(judged, each.users) else False)
    fulfilled = _TRUTH[enough if lacking <= timedelta() else False]
    return Text(
        f"条件（{asked.ja}）: {time.ja}、{people.ja}→{fulfilled.ja}",
        f"Condition ({asked.en}): {time.en}, {people.en}: {fulfilled.en}",
    )


def _may_reach(judged: Judgement, threshold: int) -> bool:
    return judged.users_at_most is None or judged.users_at_most >= threshold


def _either(judged: Judgement, duration: timedelta, threshold: int) -> bool | None:
    if judged.duration >= duration or judged.users_at_least >= threshold:
        return True
    return None if _may_reach(judged, threshold) else False


_FLAGS = {
    "row_uncertain": Text(
        "区分を決める事実が示されていないため、より厳しい区分によった",
        "A fact that decides the row is not stated: the stricter row was taken",
    ),
    "cause_unknown": Text("原因が不明のため故障として判定した", "The cause is unknown: it was judged as a failure"),
    "installer_unknown": Text(
        "設備の設置者が不明のため自ら設置したものとした", "Who installed the facility is unknown: taken as the carrier"
    ),
    "spans_amendment": Text(
        "2026年4月1日の改正をまたぐ。発生した日の規定によったが、経過措置は定められていない",
        "It lasted over the amendment of 2026-04-01: judged by the day of occurrence, there is no transitional rule",
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
    stated = judged.circumstances
    unsure = {
        "row_uncertain": judged.row_uncertain,
        "cause_unknown": stated.cause == "unknown",
        "installer_unknown": judged.by_clause_2 and stated.installed_by_the_carrier is None,
        "spans_amendment": day < AMENDED_ON <= (started_at + judged.duration).astimezone(JST).date(),
        "draft": book.status != "in_force",
        "days_assumed": book.status == "in_force"
        and book.valid_days == "assumed"
        and not (book.certain_from and book.certain_from <= day),
        "add_on_function": stated.add_on_function,
        "users_unknown": judged.users_at_least != judged.users_at_most,
    }
    for code, holds in unsure.items():
        if holds:
            yield Flag(code, _FLAGS[code])
    if unsure["spans_amendment"]:
        yield ask("transition")
    if unsure["users_unknown"]:
        yield ask("hard_to_count")
    if stated.add_on_function:
        yield ask("add_on_functions")
    if facts.kind == "internet_access" and facts.charged is False:
        yield ask("free_internet_access")
    if Verdict.PERIODIC in (judged.at_least, judged.at_most):
        yield ask("minor_accidents")


def _changes(judged: Judgement, facts: ServiceFacts, rulebook: Rulebook) -> Iterator[Text]:
    """What would make the verdict another: more time or users, or the answer to what is not known."""
    stated = judged.circumstances
    counts = not stated.add_on_function and stated.cause in ("telecom_equipment_failure", "unknown")
    if counts and judged.at_least != Verdict.MAJOR:
        yield _nearest(judged)
    if judged.verdict == Verdict.INDETERMINATE:
        low, high = VERDICTS[judged.at_least], VERDICTS[judged.at_most]
        yield Text(f"少なくとも「{low.ja}」、最大で「{high.ja}」", f"At least: {low.en}; at most: {high.en}")
    for said, other in _otherwise(judged, facts, rulebook):
        if other != judged.verdict:
            headline = VERDICTS[other]
            yield Text(f"{said.ja}: {headline.ja}", f"{said.en}: {headline.en}")


def _nearest(judged: Judgement) -> Text:
    asked = condition(judged.condition)
    lacking = []
    if judged.margin_seconds < 0:
        spell = length(timedelta(seconds=-judged.margin_seconds))
        lacking.append(Text(f"あと{spell.ja}続く", f"{spell.en} more"))
    if judged.margin_users < 0:
        number = users(-judged.margin_users)
        lacking.append(Text(f"あと{number.ja}増える", f"{number.en} more"))
    ja, en = "、かつ".join(each.ja for each in lacking), " and ".join(each.en for each in lacking)
    return Text(
        f"最も近い条件（{asked.ja}）まで: {ja or '対象となる停止であること'}",
        f"To the nearest condition ({asked.en}): {en or 'that it is a stop which counts'}",
    )


def _otherwise(judged: Judgement, facts: ServiceFacts, rulebook: Rulebook) -> Iterator[tuple[Text, Verdict]]:
    """What is not certain, answered the other way, and the verdict then."""

    def under(facts: ServiceFacts, circumstances: Circumstances) -> Judgement:
        return judge(facts, rulebook, judged.duration, judged.users_at_least, judged.users_at_most, circumstances)

    stated = judged.circumstances
    if judged.row_uncertain:
        others = {
            other.row: other for other in (under(each, stated) for each in _stated(facts, rulebook)) if other.row != judged.row
        }
        for number, other in sorted(others.items()):
            yield Text(f"{number}の項に当たれば", f"if row {number} takes it"), other.verdict
    if stated.cause == "unknown":
        no_failure = under(facts, msgspec.structs.replace(stated, cause="no_failure"))
        yield Text("故障でないと判明すれば", "if it proves to be no failure"), no_failure.verdict
    if judged.by_clause_2 and stated.installed_by_the_carrier is None:
        foreign = under(facts, msgspec.structs.replace(stated, installed_by_the_carrier=False))
        yield Text("自ら設置した設備でなければ", "if the carrier did not install the facility"), foreign.verdict
    if stated.add_on_function:
        core = under(facts, msgspec.structs.replace(stated, add_on_function=False))
        yield Text("付加的な機能でなければ", "if it is no add-on function"), core.verdict


def _stated(facts: ServiceFacts, rulebook: Rulebook) -> Iterator[ServiceFacts]:
    """The facts with every answer to those that nobody has stated."""
    limits = [row.monthly_users_previous_fy_at_least for row in rulebook.rows if row.monthly_users_previous_fy_at_least]
    for emergency, charged, last_year in product(
        (True, False) if facts.emergency_calls is None else (facts.emergency_calls,),
        (True, False) if facts.charged is None else (facts.charged,),
        (0, *limits) if facts.monthly_users_previous_fy is None else (facts.monthly_users_previous_fy,),
    ):
        yield ServiceFacts(facts.kind, emergency, charged, last_year)


def _rules(judged: Judgement, row: int, book: Rulebook, day: date) -> tuple[Provision, ...]:
    by_periodic = Verdict.PERIODIC in (judged.at_least, judged.at_most)
    return _provisions(book, row, day, judged.by_clause_2, by_periodic)


@lru_cache(4096)
def _provisions(book: Rulebook, row: int, day: date, by_clause_2: bool, by_periodic: bool) -> tuple[Provision, ...]:
    rules = [book.citation(book.rows[row - 1]).as_of(day)]
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
        return Text(
            f"{figure.ja}。現在は計測できない（{affected.problem}）ため、最大で{most.ja}",
            f"{figure.en}. It cannot be measured now ({affected.problem}), so at most: {most.en}",
        )
    most, why = users(affected.bound), affected.problem or "-"
    return Text(
        f"影響利用者数は未計測（{why}）。故障した設備の配下または役務の全利用者を上限とする: {most.ja}",
        f"Affected users are unmeasured ({why}). Upper bound, all users under the equipment or of the service: {most.en}",
    )
