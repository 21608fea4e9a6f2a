"""What is owed after an accident or near-miss: what, by when, in which form, to whom, and whether law, guideline or practice asks.

The law names no number for the first notice (速やかに); a time for it is the operator's own target. All days are those of
Asia/Tokyo. Nothing here says that a duty exists: it follows from verdicts that "may apply", and a person decides.
"""

from datetime import date, datetime, time, timedelta
from functools import cache

import msgspec

from receiver.law.provisions import JST, Basis, Flag, Provision, Text, cite, in_japan
from receiver.law.provisions.deadlines import DutyId, Rule, Rules, shipped
from receiver.law.questions import ask
from receiver.law.verdict import Verdict
from receiver.law.wording import clock_time, length


class QuietWindow(msgspec.Struct, frozen=True):
    """Late night and early morning in Asia/Tokyo, without updates: from `begins` to just before `ends`, maybe over midnight."""

    begins: time
    ends: time

    def __post_init__(self) -> None:
        if self.begins == self.ends:
            raise ValueError(f"the quiet window begins and ends at {self.begins}: leave it out, or give two times")
        if self.begins.tzinfo or self.ends.tzinfo:
            raise ValueError("the quiet window is in Asia/Tokyo: give its times without a zone")

    def end_after(self, moment: datetime) -> datetime:
        """The moment itself, or the end of the window when it lies inside."""
        local = moment.astimezone(JST)
        clock, over_midnight = local.time(), self.begins > self.ends
        inside = clock >= self.begins or clock < self.ends if over_midnight else self.begins <= clock < self.ends
        if not inside:
            return local
        day = local.date() + timedelta(days=1 if over_midnight and clock >= self.begins else 0)
        return datetime.combine(day, self.ends, JST)


class Settings(msgspec.Struct, frozen=True):
    """What the operator says about itself.

    `first_notice_target` is its own target for 速やかに. `designated_institution`: it is a 指定公共機関. `closed_days` are days
    on which the ministry is closed, besides Saturdays, Sundays and 12-29 to 01-03; they only raise a flag.
    """

    first_notice_target: timedelta | None = None
    designated_institution: bool = False
    quiet: QuietWindow | None = None
    closed_days: frozenset[date] = frozenset()


class Matter(msgspec.Struct, frozen=True):
    """What happened, as far as duties hang on it; all times aware.

    `verdicts` are those that stand (of the incident and of its services), `possible` those that cannot be ruled out, as the
    `at_most` of an indeterminate one; `indeterminate` among `verdicts` stands for every verdict on a service. `known_at`: when the
    carrier knew of the matter to be reported. `impact_started_at`: users first felt it; else the occurrence is taken.
    `upstream_major`: served wholesale, and the cause is a major accident of the provider (None: not known).
    """

    occurred_at: datetime
    verdicts: frozenset[Verdict]
    possible: frozenset[Verdict] = frozenset()
    known_at: datetime | None = None
    impact_started_at: datetime | None = None
    upstream_major: bool | None = False
    last_notice_at: datetime | None = None
    restored: bool = False


class Duty(msgspec.Struct, frozen=True):
    """One thing owed. At most one of `due_on` (to the end of that day) and `due_at` is given, both in Asia/Tokyo; `why` says how it
    comes about, or why there is none. `basis` is that of the duty; where only the time is the operator's own, a flag says so.
    """

    id: DutyId
    what: Text
    due_on: date | None
    due_at: datetime | None
    why: Text
    form: str | None
    to_whom: Text
    basis: Basis
    citation: Provision
    flags: tuple[Flag, ...]

    @property
    def due(self) -> date | datetime | None:
        return self.due_at or self.due_on


def duties(matter: Matter, settings: Settings | None = None, rules: Rules | None = None) -> tuple[Duty, ...]:
    """All that is owed, soonest first; what has no number is owed at once and comes before the rest.

    Raises ValueError for times without zone or before the occurrence, NoProvision for a near-miss known before there was one.
    """
    settings, rules = settings or Settings(), rules or shipped()
    matter = _checked(matter)
    owed: list[Duty] = []
    if _stands(matter, Verdict.MAJOR) is not False:
        owed += _of_major(matter, settings, rules)
    # what already is a major accident is no near-miss (第58条の2)
    if _stands(matter, Verdict.NEAR_MISS) is not False and Verdict.MAJOR not in matter.verdicts:
        owed += _of_near_miss(matter, settings, rules)
    if _stands(matter, Verdict.PERIODIC) is not False:
        owed.append(_periodic(matter, settings, rules))
    if any(_stands(matter, verdict) is not False for verdict in (Verdict.MAJOR, Verdict.PERIODIC)):
        owed += _public(matter, settings, rules)
    return tuple(sorted(owed, key=_urgency))


@cache
def reports(verdict: Verdict, day: date) -> tuple[str, ...]:
    """The reports that are owed after an accident of that day with this verdict, by name."""
    if verdict == Verdict.MAJOR:
        return ("first_notice", "detailed_report")
    if verdict == Verdict.NEAR_MISS:
        return ("near_miss_first_notice", "near_miss_report")
    if verdict == Verdict.PERIODIC:
        once_a_year = len(shipped().on("periodic_report", day).period_end_months) == 1
        return ("annual_report" if once_a_year else "quarterly_report",)
    return ()


def thirty_days(moment: datetime, days: int = 30) -> date:
    """The last of so many days from the moment's day in Asia/Tokyo, which itself is not counted.

    Raises ValueError for a time without zone.
    """
    return in_japan(moment, "moment").date() + timedelta(days=days)


def after_period(day: date, period_end_months: tuple[int, ...], months: int) -> date:
    """The last day of the month so many months after the end of the period that holds `day`: 2023-12-31 → 2024-02-29."""
    waits = min((end - day.month) % 12 for end in period_end_months)
    first_of_next = day.year * 12 + day.month + waits + months
    return date(first_of_next // 12, first_of_next % 12 + 1, 1) - timedelta(days=1)


def next_update(last: datetime, every: timedelta, quiet: QuietWindow | None) -> datetime:
    """When the next update is due after the last notice; one that would fall into the quiet window waits for its end."""
    due = in_japan(last, "last") + every
    return quiet.end_after(due) if quiet else due


def _stands(matter: Matter, verdict: Verdict) -> bool | None:
    """Whether the verdict stands; None when it cannot be ruled out."""
    if verdict in matter.verdicts:
        return True
    of_a_service = verdict in (Verdict.MAJOR, Verdict.PERIODIC)
    open_ = verdict in matter.possible or (of_a_service and Verdict.INDETERMINATE in matter.verdicts | matter.possible)
    return None if open_ else False


def _checked(matter: Matter) -> Matter:
    """The matter with its times in Asia/Tokyo."""
    occurred_at = in_japan(matter.occurred_at, "occurred_at")
    changes: dict[str, datetime] = {"occurred_at": occurred_at}
    for name in ("known_at", "impact_started_at", "last_notice_at"):
        moment: datetime | None = getattr(matter, name)
        if moment is None:
            continue
        changes[name] = in_japan(moment, name)
        if changes[name] < occurred_at:
            raise ValueError(f"{name} {changes[name]} is before occurred_at {occurred_at}")
    return msgspec.structs.replace(matter, **changes)


def _urgency(duty: Duty) -> tuple[datetime, str]:
    if duty.due_at:
        return duty.due_at, duty.id
    if duty.due_on:
        return datetime.combine(duty.due_on, time.max, JST), duty.id
    return datetime.min.replace(tzinfo=JST), duty.id


def _of_major(matter: Matter, settings: Settings, rules: Rules) -> list[Duty]:
    day = matter.occurred_at.date()
    flags = _open(matter, Verdict.MAJOR)
    report, short = rules.on("detailed_report", day), rules.find("wholesale_report", day)
    if short and matter.upstream_major:
        report = short
        flags_of_report = (*flags, _SHORT_FORM_MAY)
    elif short and matter.upstream_major is None:
        flags_of_report = (*flags, _SHORT_FORM_UNKNOWN)
    else:
        flags_of_report = flags
    return [
        _first_notice(rules.on("first_notice", day), matter, settings, flags),
        _in_days(report, matter.occurred_at, _OCCURRED, settings, rules, flags_of_report),
    ]


def _of_near_miss(matter: Matter, settings: Settings, rules: Rules) -> list[Duty]:
    known_at = matter.known_at or matter.occurred_at
    day = known_at.date()
    flags = _open(matter, Verdict.NEAR_MISS)
    if _stands(matter, Verdict.MAJOR) is None:
        flags += (_NOT_IF_MAJOR,)
    if matter.known_at is None:
        flags += (_KNOWN_DAY_MISSING,)
    return [
        _first_notice(rules.on("near_miss_first_notice", day), matter, settings, flags),
        _in_days(rules.on("near_miss_report", day), known_at, _KNOWN, settings, rules, flags),
    ]


def _first_notice(rule: Rule, matter: Matter, settings: Settings, flags: tuple[Flag, ...]) -> Duty:
    target, since = settings.first_notice_target, matter.known_at or matter.occurred_at
    if target is None:
        why = Text(
            "速やかに。法令に時間の定めはなく、自社の目標も設定されていない",
            "promptly: the law names no number, and no target is set",
        )
        return _duty(rule, why, since.date(), (*flags, ask("promptly")))
    start, spell = clock_time(since), length(target)
    why = Text(
        f"速やかに。法令に時間の定めはない。自社の目標: {start}から{spell.ja}以内",
        f"promptly: the law names no number. The operator's own target: within {spell.en} of {start}",
    )
    return _duty(rule, why, since.date(), (*flags, _OWN_TARGET), due_at=since + target)


def _in_days(rule: Rule, since: datetime, from_: Text, settings: Settings, rules: Rules, flags: tuple[Flag, ...]) -> Duty:
    days = rule.days or 0
    due, counted, practice = thirty_days(since, days), rules.first_day.text, cite(rules.first_day.provision)
    why = Text(
        f"{from_.ja}（{since.date()}）から{days}日。{counted.ja}（{practice.ja}）",
        f"{days} days from the day {from_.en} ({since.date()}); {counted.en} ({practice.en})",
    )
    return _duty(rule, why, since.date(), (*flags, *_closed(due, settings)), due_on=due)


def _periodic(matter: Matter, settings: Settings, rules: Rules) -> Duty:
    day = matter.occurred_at.date()
    rule = rules.on("periodic_report", day)
    months = rule.months or 0
    period_end, due = after_period(day, rule.period_end_months, 0), after_period(day, rule.period_end_months, months)
    why = Text(
        f"発生日（{day}）を含む期間の末日（{period_end}）から{months}か月以内",
        f"within {months} months after {period_end}, the end of the period that holds the day of occurrence ({day})",
    )
    flags = _open(matter, Verdict.PERIODIC)
    if _stands(matter, Verdict.MAJOR) is not False:
        flags += (_MAJOR_EXCLUDED,)
    return _duty(rule, why, day, (*flags, _MINOR_NOT_READ, *_closed(due, settings)), due_on=due)


def _public(matter: Matter, settings: Settings, rules: Rules) -> list[Duty]:
    """The first notice to the public, and while it lasts the next update."""
    since = matter.impact_started_at or matter.occurred_at
    day = since.date()
    first = rules.find("public_notice_designated" if settings.designated_institution else "public_notice", day)
    update = rules.find("public_update", day)
    if first is None or update is None:
        return []
    flags = (_GUIDELINE_NOT_READ,)
    due = since + timedelta(minutes=first.minutes) if first.minutes is not None else None
    why = Text("可能な限り速やかに。時間の定めは確認できていない", "as early as possible: no number was found")
    if due:
        begun = clock_time(since)
        why = Text(f"{begun}から原則{first.minutes}分以内", f"in principle within {first.minutes} minutes of {begun}")
    # the first notice is done once there was one
    owed = [] if matter.last_notice_at else [_duty(first, why, day, flags, due_at=due)]
    if not matter.restored:
        last = Text("前回の周知", "the last notice") if matter.last_notice_at else Text("初報の期限", "when the first is due")
        owed.append(_update(update, matter.last_notice_at or due, last, day, settings.quiet, flags))
    return owed


def _update(rule: Rule, last: datetime | None, called: Text, day: date, quiet: QuietWindow | None, flags: tuple[Flag, ...]) -> Duty:
    minutes = rule.minutes or 0
    if last is None:
        why = Text("初報の時刻が記録されていない", "the time of the first notice is not recorded")
        return _duty(rule, why, day, flags)
    due, begun = next_update(last, timedelta(minutes=minutes), quiet), clock_time(last)
    why = Text(f"{called.ja}（{begun}）から{minutes}分", f"{minutes} minutes after {called.en} ({begun})")
    if due != last + timedelta(minutes=minutes):
        why = Text(f"{why.ja}、深夜・早朝の時間帯の終わりまで延期", f"{why.en}, put off to the end of the quiet window")
    return _duty(rule, why, day, flags if quiet else (*flags, _NO_QUIET_WINDOW), due_at=due)


def _duty(
    rule: Rule,
    why: Text,
    day: date,
    flags: tuple[Flag, ...],
    *,
    due_on: date | None = None,
    due_at: datetime | None = None,
) -> Duty:
    citation = rule.provision.as_of(day)
    return Duty(rule.id, rule.what, due_on, due_at, why, rule.form, rule.to, citation.basis, citation, flags)


def _open(matter: Matter, verdict: Verdict) -> tuple[Flag, ...]:
    return () if _stands(matter, verdict) else (_VERDICT_OPEN,)


def _closed(due: date, settings: Settings) -> tuple[Flag, ...]:
    new_year = (due.month, due.day) in {(12, 29), (12, 30), (12, 31), (1, 1), (1, 2), (1, 3)}
    return (_CLOSED_DAY,) if due.weekday() >= 5 or new_year or due in settings.closed_days else ()


_OCCURRED = Text("発生した日", "it occurred")
_KNOWN = Text("知った日", "it was known")

_VERDICT_OPEN = Flag(
    "verdict_open",
    Text("該当するか未確定。該当する場合の義務", "owed only if the verdict, still open, turns out so: a person decides"),
)
_NOT_IF_MAJOR = Flag("not_if_major", Text("重大な事故に該当すればおそれ事態ではない", "no near-miss if it is a major accident"))
_MAJOR_EXCLUDED = Flag(
    "major_excluded",
    Text(
        "重大な事故は定期報告から除かれる。別の役務の影響が同じ事故かは要判断",
        "major accidents are left out of this report; whether another service's outage is the same one: a person decides",
    ),
)
_MINOR_NOT_READ = Flag(
    "minor_not_read",
    Text(
        "軽微な事故・簡易様式の告示は未確認（要確認）", "the notices on minor accidents and the simplified form were not read: ask"
    ),
)
_SHORT_FORM_MAY = Flag(
    "short_form_may",
    Text("簡易な様式は「用いることができる」。様式第50の3でもよい", "the short form may be used; 様式第50の3 will do, too"),
)
_SHORT_FORM_UNKNOWN = Flag(
    "short_form_unknown",
    Text(
        "卸元の重大な事故に起因する場合は様式第50の3の2を用いることができる（要確認）",
        "様式第50の3の2 may be used if it stems from a major accident of the wholesale provider: to be checked",
    ),
)
_KNOWN_DAY_MISSING = Flag(
    "known_day_missing",
    Text(
        "知った日が未入力のため発生日から計算（最も早い期限）",
        "the day it was known is missing: counted from the occurrence, the earliest",
    ),
)
_OWN_TARGET = Flag("own_target", Text("期限は自社の目標であり法令ではない", "the time is the operator's own target, not the law's"))
_GUIDELINE_NOT_READ = Flag(
    "guideline_not_read",
    Text(
        "ガイドライン本文は未確認（報道による）。対象となる障害の範囲も要確認",
        "the guideline's text was not read (press reports); which failures it covers: to be checked",
    ),
)
_NO_QUIET_WINDOW = Flag(
    "no_quiet_window",
    Text("深夜・早朝の時間帯が未設定（除外せずに計算）", "no quiet window is set: late night and early morning are not left out"),
)
_CLOSED_DAY = Flag(
    "closed_day",
    Text(
        "期限が閉庁日に当たる。翌開庁日への延長は確認できていないため見込まない",
        "due on a day when the ministry is closed; that it moves to the next open day is not verified and not relied on",
    ),
)
