"""When which verdict will be reached, if users stay and on the present trend: an outage becomes major by lasting and by spreading.

What is foretold is what `judge` says at that instant and not a microsecond before. An expectation, never a conclusion.
"""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from receiver.law import wording
from receiver.law.provisions import JST, Provision, Text, cite, in_japan
from receiver.law.rulebook import Condition, Row, Rulebook, ServiceFacts
from receiver.law.verdict import Circumstances, Judgement, Verdict, judge
from receiver.law.wording import clock_time, length

TREND = Provision(
    article=Text("本ソフトウェアの推計方法（法令に定めはない）", "this software's own method (no law prescribes one)"),
    source="P. K. Sen, Journal of the American Statistical Association 63 (1968), 1379-1389; H. B. Mann, Econometrica 13 (1945), "
    "245-259",
    evidence="assumed",
    basis="practice",
    last_checked=date(2026, 11, 21),
    says=Text(
        "新しい半分の計測値の組ごとの傾きの中央値。全体の順位検定（Mann 1945）で増加が明らかな場合に限る。"
        "幅は全体と新しい半分の傾きの四分位数の間（信頼区間ではない）",
        "the median of the slopes between all pairs of the newer half of the samples, where a rank test over all (Mann 1945) "
        "leaves no doubt that they rise; the band is between the quartiles of both, no confidence interval",
    ),
)

NEWEST = 60
"""A trend looks at no more samples than these: 1,770 slopes."""
_SCALE = 96
"""Bits: slopes so scaled and rounded down keep their order exactly, as long as samples lie within nine years."""
_BY_CHANCE = Fraction(233, 100)
"""Standard deviations that a normal distribution exceeds, upwards, once in a hundred times."""

_HOUR = timedelta(hours=1) // timedelta.resolution
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=JST)


class Trend(msgspec.Struct, frozen=True):
    """How fast the number of affected users grows (negative: falls), with a band around it; exact figures in users per hour."""

    users_per_hour: int | Fraction
    low: int | Fraction
    high: int | Fraction

    def __post_init__(self) -> None:
        if not self.low <= self.users_per_hour <= self.high:
            raise ValueError(f"{self.users_per_hour} users per hour lies outside its band, {self.low} to {self.high}")


class Reached(msgspec.Struct, frozen=True):
    """When a verdict at least as grave as this one is reached; None is never, all times in Asia/Tokyo.

    `if_users_stay` and `on_trend` start from the users known at least; `latest` grows from them at the lower edge of the trend's
    band, `earliest` from the users there may be at most, at its upper edge. A time that is past is the earliest that the duration
    allows: since when there were so many users is not asked.

    `condition` is the one that is fulfilled first on the trend, else the one that needs the fewest more users; a zero in it asks
    for nothing (the periodic report, clause 2). Where a stop and a degradation are judged apart, in shares not known, it asks for
    so many users that one of them has enough. `users_lacking` and `time_lacking` are what that condition still needs.
    """

    verdict: Verdict
    condition: Condition
    users_lacking: int
    time_lacking: timedelta
    if_users_stay: datetime | None
    on_trend: datetime | None
    earliest: datetime | None
    latest: datetime | None


class Forecast(msgspec.Struct, frozen=True):
    """What is to come for one impact; a verdict that these circumstances rule out is None.

    Where `major` comes no later than `periodic`, the periodic report is no event of its own. `users_per_hour` is the trend rounded
    down for people, None when none was used: without a trend users stay.
    """

    as_of: datetime
    ongoing: bool
    users_per_hour: int | None
    major: Reached | None
    periodic: Reached | None


_Judged = tuple[Condition, Judgement]


class _Path(msgspec.Struct, frozen=True):
    """A course that the number of users may take. The figure judged is the largest so far, so it never falls."""

    started_at: datetime
    now: datetime
    users: int | None
    users_per_hour: int | Fraction = 0
    all_users: int | None = None
    ended_at: datetime | None = None

    def first(self, conditions: Sequence[Condition]) -> datetime | None:
        """The first instant at which one of the conditions is fulfilled."""
        return min((at for condition in conditions if (at := self.fulfils(condition))), default=None)

    def fulfils(self, condition: Condition) -> datetime | None:
        try:
            lasted, enough = self.started_at + condition.duration, self._are(condition.users)
        except OverflowError:  # after the year 9999
            return None
        if enough is None:
            return None
        at = max(lasted, enough)
        return None if self.ended_at and at > self.ended_at else at

    def lacks(self, condition: Condition) -> tuple[int, timedelta]:
        """The users and the time that are not there yet."""
        lasted = (self.ended_at or self.now) - self.started_at
        users = 0 if self.users is None else max(condition.users - self.users, 0)
        return users, max(condition.duration - lasted, timedelta())

    def _are(self, number: int) -> datetime | None:
        """When there are so many users, to the first microsecond at which the last of them is whole."""
        if self.users is None or self.users >= number:
            return self.started_at
        if self.users_per_hour <= 0 or (self.all_users is not None and number > self.all_users):
            return None
        return self.now + math.ceil(Fraction((number - self.users) * _HOUR) / self.users_per_hour) * timedelta.resolution


class _Courses(NamedTuple):
    """The path behind each instant of `Reached`."""

    if_users_stay: _Path
    on_trend: _Path
    earliest: _Path
    latest: _Path


def major_at(row: Row, started_at: datetime, users: int | None, grown_until: datetime | None = None) -> datetime | None:
    """The first instant at which an outage with this many users has lasted long enough, or None when it never will.

    `users` None stands for any number, however large. Of a method whose number grows with the accident `grown_until` is the time up
    to which it has counted: it is taken to go on as it did so far.
    """
    if users is None or grown_until is None or grown_until <= started_at:
        return _Path(started_at, started_at, users).first(row.conditions)
    users_per_hour = Fraction(users * _HOUR, (grown_until - started_at) // timedelta.resolution)
    return _Path(started_at, grown_until, users, users_per_hour).first(row.conditions)


def trend(samples: Sequence[tuple[datetime, int]]) -> Trend | None:
    """The trend of the newest measured numbers of users (Theil-Sen: robust against single wild samples), see TREND.

    Of samples of one instant the largest counts; None with fewer than three instants. Where users fell and rise again below their
    maximum, the forecast from that maximum is early, not late. Raises ValueError for a time without zone.
    """
    newest = _newest(samples)
    return None if len(newest) < 3 else _slope(newest)


def growth(samples: Sequence[tuple[datetime, int]]) -> Trend | None:
    """The trend of users who rise beyond doubt, see TREND; None where they stay, fall, wobble, or jumped once.

    The slope is that of the newer half: growth that slows down is seen soon, and a jump is past after half the time. The band also
    holds the quartiles of all samples, for growth is seldom a straight line. At least five instants; raises as `trend`.
    """
    newest = _newest(samples)
    if not _rise([users for _, users in newest]):
        return None
    whole, half = _slope(newest), _slope(newest[-(len(newest) // 2 + 1) :])
    if half.users_per_hour <= 0:
        return None
    return Trend(half.users_per_hour, min(whole.low, half.low), max(whole.high, half.high))


def _newest(samples: Sequence[tuple[datetime, int]]) -> list[tuple[int, int]]:
    """The newest instants (microseconds since 1970), each with its largest number of users, oldest first."""
    by_time: dict[int, int] = {}
    for at, users in samples:
        moment = (in_japan(at, "a sample") - _EPOCH) // timedelta.resolution
        by_time[moment] = max(users, by_time.get(moment, users))
    return sorted(by_time.items())[-NEWEST:]


def _rise(users: Sequence[int]) -> bool:
    """Mann's test: the rising pairs outnumber the falling ones, by half of all pairs and by more than chance does once in a hundred
    times. Half of all, as one jump among level samples makes that many at most, or hardly more. Fewer than five never do.
    """
    count = len(users)
    twice_all = count * (count - 1)
    excess = sum((later > earlier) - (later < earlier) for earlier, later in combinations(users, 2))
    # without a trend the excess has a variance of n (n - 1) (2 n + 5) / 18
    return 4 * excess >= twice_all and 18 * excess**2 > _BY_CHANCE**2 * twice_all * (2 * count + 5)


def _slope(newest: Sequence[tuple[int, int]]) -> Trend:
    """The median of the slopes between all pairs, and their quartiles; of two instants at least."""
    slopes = sorted(
        ((later - earlier << _SCALE) // (end - start), later - earlier, end - start)
        for (start, earlier), (end, later) in combinations(newest, 2)
    )
    quarter = (len(slopes) - 1) // 4
    low, high, *middle = (
        Fraction(slopes[place][1] * _HOUR, slopes[place][2])
        for place in (quarter, -1 - quarter, (len(slopes) - 1) // 2, len(slopes) // 2)
    )
    return Trend(Fraction(sum(middle), 2), low, high)


def forecast(
    facts: ServiceFacts,
    rulebook: Rulebook,
    started_at: datetime,
    now: datetime,
    users_at_least: int,
    users_at_most: int | None,
    circumstances: Circumstances = Circumstances(),  # noqa: B008 - frozen
    *,
    trend: Trend | None = None,
    all_users: int | None = None,
    ended_at: datetime | None = None,
) -> Forecast:
    """When an accident that is judged by these facts reaches which verdict.

    `users_at_most` None is no upper bound. Growth ends at `all_users` (all under the equipment; None: unknown). Of a service that
    recovered at `ended_at` nothing grows any more, neither time nor users. A present or an end before the start counts as the
    start: clocks differ. Raises ValueError for a time without zone.
    """
    started = in_japan(started_at, "started_at")
    present = max(in_japan(now, "now"), started)
    ended = None if ended_at is None else max(in_japan(ended_at, "ended_at"), started)
    used = trend or Trend(0, 0, 0)
    staying = _Path(started, present, users_at_least, 0, all_users, ended)
    courses = _Courses(
        if_users_stay=staying,
        on_trend=replace(staying, users_per_hour=used.users_per_hour),
        earliest=replace(staying, users_per_hour=used.high, users=users_at_most),
        latest=replace(staying, users_per_hour=used.low),
    )
    judged = _thresholds(facts, rulebook, circumstances)
    return Forecast(
        as_of=present,
        ongoing=ended is None,
        users_per_hour=math.floor(trend.users_per_hour) if trend and not ended else None,
        major=_reached(courses, judged, Verdict.MAJOR),
        periodic=_reached(courses, judged, Verdict.PERIODIC, Verdict.MAJOR),
    )


def in_words(forecast: Forecast) -> Text:
    """The forecast for people; the periodic report is left out where a major accident comes no later."""
    major, periodic = forecast.major, forecast.periodic
    overtaken = major and periodic and _times(major) == _times(periodic)
    parts = [_entry(each, forecast) for each in (major, None if overtaken else periodic) if each]
    if not parts:
        parts.append(Text("この事情では報告の基準に達しない見込み", "In these circumstances no reporting threshold is in sight"))
    elif forecast.users_per_hour is not None:
        basis = cite(TREND)
        parts.append(Text(f"傾向の根拠: {basis.ja}", f"Basis of the trend: {basis.en}"))
    parts.append(Text("見込みであり、要判断", "These are expectations: a person decides"))
    return Text("。".join(p.ja for p in parts) + "。", ". ".join(p.en for p in parts) + ".")


@lru_cache(1024)
def _thresholds(facts: ServiceFacts, rulebook: Rulebook, circumstances: Circumstances) -> tuple[_Judged, ...]:
    """Every time and number of users at which a verdict may change, with what `judge` says of an accident that just reaches it.

    The same of all accidents of a service in the same circumstances.
    """
    conditions, periodic = rulebook.row_of(facts).conditions, rulebook.periodic
    points = [
        Condition(periodic.duration_seconds, 0),
        Condition(0, periodic.users),
        *conditions,
        *([Condition(rulebook.clause_2.duration_seconds, 0)] if rulebook.clause_2 else []),
        # a stop and a degradation judged apart: the larger of the two is known to have half of all, rounded up
        *(Condition(c.duration_seconds, 2 * c.users - 1) for c in conditions),
    ]
    return tuple((point, judge(facts, rulebook, point.duration, point.users, point.users, circumstances)) for point in points)


def _reached(courses: _Courses, judged: tuple[_Judged, ...], verdict: Verdict, *graver: Verdict) -> Reached | None:
    conceivable = [condition for condition, found in judged if found.at_most in (verdict, *graver)]
    if not conceivable:
        return None
    certain = [condition for condition, found in judged if found.at_least in (verdict, *graver)]
    path = courses.on_trend
    nearest = min(certain or conceivable, key=lambda condition: (path.fulfils(condition) or _NEVER, *path.lacks(condition)))
    return Reached(
        verdict,
        nearest,
        *path.lacks(nearest),
        if_users_stay=courses.if_users_stay.first(certain),
        on_trend=path.first(certain),
        earliest=courses.earliest.first(conceivable),
        latest=courses.latest.first(certain),
    )


def _times(reached: Reached) -> tuple[datetime | None, ...]:
    return reached.if_users_stay, reached.on_trend, reached.earliest, reached.latest


def _entry(reached: Reached, forecast: Forecast) -> Text:
    name = _NAMES[reached.verdict]
    if reached.if_users_stay and reached.earliest and reached.if_users_stay <= forecast.as_of:
        since = clock_time(reached.earliest)
        return Text(
            f"{name.ja}には、早ければ{since}から達している可能性がある",
            f"{name.en} may have been reached, as early as {since}",
        )
    outlook = _outlook(reached, forecast) if forecast.ongoing else _past(reached)
    lacking = _still_lacking(reached)
    return Text(f"{name.ja}には、{outlook.ja}。{lacking.ja}", f"{name.en}: {outlook.en}. {lacking.en}")


def _past(reached: Reached) -> Text:
    none = Text("役務が復旧したため、今後達しない見込み", "as the service recovered, not expected to be reached any more")
    if reached.earliest is None:
        return none
    early = clock_time(reached.earliest)
    return Text(
        f"{none.ja}（既に達していた可能性はあり、早ければ{early}）",
        f"{none.en} (but it may have been before, as early as {early})",
    )


def _outlook(reached: Reached, forecast: Forecast) -> Text:
    stay, grow, band = _expectation(reached.if_users_stay), _expectation(reached.on_trend), _band(reached)
    outlook = Text(f"利用者数が変わらなければ{stay.ja}", f"if the number of users stays, {stay.en}")
    if forecast.users_per_hour is not None:
        if reached.on_trend == reached.if_users_stay:
            grow = Text("同じ", "the same")
        per_hour = f"{forecast.users_per_hour:+,}"
        outlook = Text(
            f"{outlook.ja}。現在の傾向（毎時{per_hour}人）では{grow.ja}",
            f"{outlook.en}; on the present trend ({per_hour} users per hour), {grow.en}",
        )
    return Text(f"{outlook.ja}{band.ja}", f"{outlook.en}{band.en}")


def _expectation(at: datetime | None) -> Text:
    if at is None:
        return Text("達しない見込み", "not expected to be reached")
    when = clock_time(at)
    return Text(f"{when}に達する可能性がある", f"it may be reached at {when}")


def _band(reached: Reached) -> Text:
    if reached.earliest is None or reached.earliest == reached.latest:
        return Text("", "")
    early = clock_time(reached.earliest)
    if reached.latest is None:
        return Text(f"（早ければ{early}、遅ければ達しない）", f" (as early as {early}, or never)")
    late = clock_time(reached.latest)
    return Text(f"（早ければ{early}、遅ければ{late}）", f" (as early as {early}, as late as {late})")


def _still_lacking(reached: Reached) -> Text:
    # part of a second still lacks a second
    asked, time = _asked(reached.condition), length(-(-reached.time_lacking // _SECOND) * _SECOND)
    more = wording.users(reached.users_lacking)
    return Text(
        f"最も近い条件（{asked.ja}）まで、時間はあと{time.ja}、利用者数はあと{more.ja}",
        f"The nearest condition ({asked.en}) still needs {time.en} and {more.en}",
    )


def _asked(condition: Condition) -> Text:
    if condition.duration and condition.users:
        return wording.condition(condition)
    alone = wording.users(condition.users) if condition.users else length(condition.duration)
    return Text(f"{alone.ja}以上", f"at least {alone.en}")


_NAMES = {
    Verdict.MAJOR: Text("重大な事故の基準", "The threshold of a major accident"),
    Verdict.PERIODIC: Text("定期報告の基準", "The threshold of the periodic report"),
}
