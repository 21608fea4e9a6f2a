"""Affected users of a web conference service, one function at a time: audio and video, or chat. Functions are never added together.

Guests have no account, so the base is always who may *host*. Known from the draft alone (論点整理(案) R5.4.5, 論点(3)), which calls
the probability "an example, not the only method".
"""

from datetime import date, datetime, time, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from receiver.law.estimate import Estimate, Number, WrongFigure, estimate, exact, people, positive, quantity, shown
from receiver.law.provisions import JST, Text, guideline
from receiver.law.rulebook import ServiceFacts

CONFERENCE = guideline("conference")

Function = Literal["audio_video", "video_only", "chat"]


class Meetings(msgspec.Struct, frozen=True):
    """Statistics of a month. The hosts are those under the failed equipment; the others may be those of the whole service."""

    monthly_hosts_under_equipment: int
    """MAU: users who hosted at least one meeting in the month."""
    meetings_per_host_month: Number
    meeting_hours: Number
    business_days_month: Number
    business_hours_day: Number


class BusinessHours(msgspec.Struct, frozen=True):
    """When the users of the service work, in JST: `spans` of a working day, `weekdays` (Monday is 0), and days off besides.

    The draft says 5 days a week and 8 hours a day for corporate users, but not at which clock times; the law names no calendar of
    holidays here. A span that closes at 00:00 ends with the day. Raises WrongFigure for spans that are empty or overlap.
    """

    spans: tuple[tuple[time, time], ...]
    weekdays: frozenset[int] = frozenset(range(5))
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        moments = [moment for span in self.on(date(2026, 1, 1)) for moment in span]
        if not moments or any(earlier >= later for earlier, later in zip(moments[::2], moments[1::2], strict=True)):
            raise WrongFigure("spans: give at least one, each opening before it closes")
        if any(closes > opens for closes, opens in zip(moments[1::2], moments[2::2], strict=False)):
            raise WrongFigure("spans: they overlap")

    def on(self, day: date) -> list[tuple[datetime, datetime]]:
        """The spans as moments of `day`, whether it is worked or not, earliest first."""
        next_day = datetime.combine(day, time(), JST) + timedelta(days=1)
        return sorted(
            (datetime.combine(day, opens, JST), datetime.combine(day, closes, JST) if closes > time() else next_day)
            for opens, closes in self.spans
        )

    def worked(self, day: date) -> bool:
        return day.weekday() in self.weekdays and day not in self.holidays

    @property
    def hours_per_day(self) -> Fraction:
        return _hours(sum((closes - opens for opens, closes in self.on(date(2026, 1, 1))), timedelta()))


def business_hours(started_at: datetime, ended_at: datetime, open_hours: BusinessHours) -> Fraction:
    """n: how much of the outage fell into business hours, in hours, exact. Nights and holidays are outside.

    Raises WrongFigure for times without a zone or an end before the start.
    """
    if started_at.tzinfo is None or ended_at.tzinfo is None:
        raise WrongFigure("started_at, ended_at: give times with their zone")
    if ended_at < started_at:
        raise WrongFigure("ended_at: is before started_at")
    total, day = timedelta(), started_at.astimezone(JST).date()
    while day <= ended_at.astimezone(JST).date():
        if open_hours.worked(day):
            for opens, closes in open_hours.on(day):
                total += max(min(closes, ended_at) - max(opens, started_at), timedelta())
        day += timedelta(days=1)
    return _hours(total)


def _hours(length: timedelta) -> Fraction:
    return Fraction(length // timedelta(microseconds=1), 3_600_000_000)


def probability(meetings: Meetings, outage_business_hours: Number, outage_hours: Number | None = None) -> Estimate:
    """MAU × (1 - (1 - P)^n) with P = C × L ÷ (D × H), at most 1, and n = `outage_business_hours`, which may be fractional.

    The other reading takes all of the outage for n, nights and holidays too, if `outage_hours` is given.
    A power with a fractional exponent is irrational: it is calculated to 100 digits, rounded at the 30th decimal (so that what is
    whole stays whole) and cut after the 12th. 178,710.9375 is judged as 178,710 users; `Estimate.nearest` is 178,711.
    """
    hosts = people("monthly_hosts_under_equipment", meetings.monthly_hosts_under_equipment)
    each = exact("meetings_per_host_month", meetings.meetings_per_host_month)
    length = exact("meeting_hours", meetings.meeting_hours)
    days = positive("business_days_month", meetings.business_days_month)
    hours = positive("business_hours_day", meetings.business_hours_day)
    lasted = exact("outage_business_hours", outage_business_hours)
    in_use = min(each * length / (days * hours), Fraction(1))
    raw = _hosting(hosts, in_use, lasted)
    inputs = {
        "monthly_hosts_under_equipment": quantity(Fraction(hosts), "users"),
        "meetings_per_host_month": quantity(each, "meetings/(user*month)"),
        "meeting_hours": quantity(length, "hours"),
        "business_days_month": quantity(days, "days/month"),
        "business_hours_day": quantity(hours, "hours/day"),
        "outage_business_hours": quantity(lasted, "hours"),
    }
    others = []
    if outage_hours is not None:
        whole = exact("outage_hours", outage_hours)
        if whole < lasted:
            raise WrongFigure("outage_hours: less than outage_business_hours")
        inputs["outage_hours"] = quantity(whole, "hours")
        others = [
            (_hosting(hosts, in_use, whole), Text("夜間・休日を含む障害時間による読み方", "n with nights and holidays in it"))
        ]
    chance = f"P = ({shown(each)} × {shown(length)}) ÷ ({shown(days)} × {shown(hours)}) = {shown(in_use)}"
    if each * length > days * hours:
        chance += " (max. 1)"
    users = f"{hosts:,} × (1 - (1 - {shown(in_use)})^{shown(lasted)}) = {shown(raw)}"
    steps = (
        Text(f"1時間に会議を開催している確率 {chance}", f"chance of hosting in an hour: {chance}"),
        Text(f"月間アクティブユーザー数 × (1 - (1 - P)^n) {users}", f"monthly active hosts × (1 - (1 - P)^n): {users}"),
    )
    return estimate("conference_probability", raw, inputs, steps, CONFERENCE, other_readings=others)


_DIGITS = Context(prec=100)


def _hosting(hosts: int, in_use: Fraction, hours: Fraction) -> Fraction:
    if not hours or not in_use:
        return Fraction(0)
    idle = _decimal(1 - in_use)
    busy = _DIGITS.subtract(Decimal(1), _DIGITS.power(idle, _decimal(hours)))
    users = _DIGITS.multiply(busy, Decimal(hosts)).quantize(Decimal("1e-30"), ROUND_HALF_EVEN, _DIGITS)
    return Fraction(users.quantize(Decimal("1e-12"), ROUND_DOWN, _DIGITS))


def _decimal(figure: Fraction) -> Decimal:
    return _DIGITS.divide(Decimal(figure.numerator), Decimal(figure.denominator))


def host_entitled_accounts(accounts_under_equipment: int) -> Estimate:
    """Accounts entitled to host a meeting, or licences, under the failed equipment: the last resort."""
    number = Fraction(people("accounts_under_equipment", accounts_under_equipment))
    step = Text(f"主催権限のあるアカウント（ライセンス） {shown(number)}", f"accounts entitled to host (licences): {shown(number)}")
    inputs = {"accounts_under_equipment": quantity(number, "accounts")}
    return estimate("host_entitled_accounts", number, inputs, step, CONFERENCE, cap=accounts_under_equipment)


def function_facts(
    function: Function, charged: bool | None, monthly_users_previous_fy: int | None = None
) -> tuple[ServiceFacts, Text | None]:
    """The facts that find the row of one function, and what a person should confirm, if anything.

    Audio and video are voice without emergency calls (row 2) even when free; the draft says so of the two together and, for video
    alone, leaves it open. Chat is messaging when free, another service when paid.
    """
    if function == "chat":
        kind: Literal["other", "messaging"] = "other" if charged else "messaging"
        return ServiceFacts(kind, charged=charged, monthly_users_previous_fy=monthly_users_previous_fy), None
    unsure = Text(
        "映像のみの障害を音声伝送役務として扱うかは明らかでない（要判断）",
        "whether a failure of video alone is one of a voice service is not settled: a person decides",
    )
    return ServiceFacts("voice", emergency_calls=False, charged=charged), unsure if function == "video_only" else None
