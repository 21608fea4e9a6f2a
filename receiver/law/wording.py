"""Verdicts in words, Japanese and English. Nothing here states a legal conclusion: what may apply is said, a person decides."""

from datetime import datetime, timedelta

from receiver.law.counting import Affected
from receiver.law.estimate import Method
from receiver.law.provisions import JST, Text
from receiver.law.rulebook import Condition, Rulebook
from receiver.law.verdict import Judgement, Verdict

VERDICTS: dict[Verdict, Text] = {
    Verdict.MAJOR: Text("重大な事故に該当する可能性（要判断）", "may apply as a major accident (重大な事故): a person decides"),
    Verdict.NEAR_MISS: Text(
        "重大な事故が生ずるおそれのある事態に該当する可能性（要判断）",
        "may apply as a near-miss (おそれ事態): a person decides",
    ),
    Verdict.PERIODIC: Text(
        "定期報告の対象に該当する可能性（要判断）", "may belong in the periodic report (定期報告): a person decides"
    ),
    Verdict.NONE: Text("現時点で報告の基準に達していない（要確認）", "below the reporting thresholds so far: a person confirms"),
    Verdict.INDETERMINATE: Text("判定できない（要判断）", "cannot be told yet: a person decides"),
}

METHODS: dict[Method, Text] = {
    "direct": Text("利用できなかった利用者の実数", "users who tried and could not use it"),
    "traffic_difference": Text("トラフィックの差からの推計", "estimated from the missing traffic"),
    "conference_probability": Text("会議の開催確率からの推計", "estimated from the chance of hosting a meeting"),
    "call_shortfall": Text("通話の不足からの推計", "estimated from the missing calls"),
    "missing_registrations": Text("登録者数の不足", "missing registrations"),
    "emergency_call_loss": Text("配下の全利用者×呼損率（緊急通報）", "all users under it × call-loss rate (emergency calls)"),
    "host_entitled_accounts": Text("主催権限のあるアカウント数", "accounts entitled to host"),
    "all_under_equipment": Text("故障した設備の配下の全利用者", "all users under the failed equipment"),
    "emergency_all_under_equipment": Text(
        "故障した設備の配下の全利用者（緊急通報）", "all users under the failed equipment (emergency calls)"
    ),
}


def users(number: int | None) -> Text:
    """`123456` as 123,456人 and 123,456 users; None as an open upper end. Never rounded."""
    if number is None:
        return Text("上限不明", "no known upper limit")
    return Text(f"{number:,}人", f"{number:,} users")


def length(duration: timedelta) -> Text:
    """A length of time in hours, minutes and seconds; parts of a second are cut off, as they never help to reach a limit."""
    seconds = int(duration // timedelta(seconds=1))
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    return Text(f"{hours}時間{minutes:02}分{seconds:02}秒", f"{hours} h {minutes:02} min {seconds:02} s")


def clock_time(moment: datetime) -> str:
    """A moment as it stands in a report: 2026-11-21 18:00:05 JST."""
    return moment.astimezone(JST).strftime("%Y-%m-%d %H:%M:%S JST")


def explain(
    judgement: Judgement,
    rulebook: Rulebook,
    affected: Affected,
    started_at: datetime,
    major_since: datetime | None,
    major_expected_at: datetime | None,
) -> Text:
    """Why the verdict is what it is: row, condition, margin, numbers with their query and time, what comes next, citation."""
    row = next(row for row in rulebook.rows if row.row == judgement.row)
    alternatives = [_condition(c) for c in row.conditions]
    parts = [
        VERDICTS[judgement.verdict],
        Text(
            f"表の{row.row}の項「{row.title.ja}」の基準は{'、または'.join(a.ja for a in alternatives)}",
            f"Row {row.row} ({row.title.en}) asks for {', or '.join(a.en for a in alternatives)}",
        ),
        _so_far(judgement, started_at),
        _counted(affected),
        _margin(judgement),
    ]
    if judgement.verdict == Verdict.INDETERMINATE:
        low, high = VERDICTS[judgement.at_least], VERDICTS[judgement.at_most]
        parts.append(Text(f"少なくとも「{low.ja}」、最大で「{high.ja}」", f"At least: {low.en}; at most: {high.en}"))
    if judgement.verdict == Verdict.PERIODIC:
        periodic, spell = users(rulebook.periodic.users), length(rulebook.periodic.duration)
        parts.append(
            Text(
                f"{rulebook.periodic.article}の基準は{periodic.ja}以上、または{spell.ja}以上",
                f"{rulebook.periodic.article} asks for at least {periodic.en}, or at least {spell.en}",
            )
        )
    if major_since:
        parts.append(
            Text(
                f"基準に達した時刻は{clock_time(major_since)}",
                f"The threshold was reached at {clock_time(major_since)}",
            )
        )
    elif major_expected_at:
        parts.append(_expected(major_expected_at, started_at + judgement.duration, affected))
    parts.append(Text(f"根拠: {rulebook.article}（{rulebook.id}）", f"Basis: {rulebook.article} ({rulebook.id})"))
    return Text("。".join(p.ja for p in parts) + "。", ". ".join(p.en for p in parts) + ".")


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


def _condition(condition: Condition) -> Text:
    spell, number = length(condition.duration), users(condition.users)
    return Text(f"{spell.ja}以上かつ{number.ja}以上", f"at least {spell.en} and at least {number.en}")


def _so_far(judgement: Judgement, started_at: datetime) -> Text:
    spell, since = length(judgement.duration), clock_time(started_at)
    return Text(f"{since}の故障から{spell.ja}", f"{spell.en} since the failure at {since}")


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


def _margin(judgement: Judgement) -> Text:
    condition = _condition(judgement.condition)
    over = length(timedelta(seconds=abs(judgement.margin_seconds)))
    number = users(abs(judgement.margin_users))
    time = (
        Text(f"時間は{over.ja}超過", f"{over.en} over")
        if judgement.margin_seconds >= 0
        else Text(f"時間はあと{over.ja}", f"{over.en} short")
    )
    people = (
        Text(f"利用者数は{number.ja}超過", f"{number.en} over")
        if judgement.margin_users >= 0
        else Text(f"利用者数はあと{number.ja}", f"{number.en} short")
    )
    return Text(
        f"最も近い条件（{condition.ja}）に対し、{time.ja}、{people.ja}",
        f"Against the nearest condition ({condition.en}): {time.en} in time, {people.en}",
    )
