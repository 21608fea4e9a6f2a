"""Which earlier days an accident is comparable with, and which days are worked. Pure; every day is one of Asia/Tokyo.

The traffic difference compares with a day of similar conditions, and no text known to us says which days those are: the kinds below
are our reading, and `Comparable.in_words` shows it beside a figure that rests on it.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from typing import Literal

import msgspec

from receiver.law.conference import BusinessHours
from receiver.law.provisions import Text, in_japan
from receiver.settings import BusinessHourSettings
from receiver.settings import Calendar as Calendar  # who compares takes it from here

Kind = Literal["workday", "saturday", "day_off", "bridge", "year_end", "obon"]

_SATURDAY, _SUNDAY = 5, 6
_DAY = timedelta(days=1)
_WEEKDAYS = (
    Text("月曜日", "Monday"),
    Text("火曜日", "Tuesday"),
    Text("水曜日", "Wednesday"),
    Text("木曜日", "Thursday"),
    Text("金曜日", "Friday"),
    Text("土曜日", "Saturday"),
    Text("日曜日", "Sunday"),
)
_KINDS: dict[Kind, Text] = {
    "workday": Text("・平日", ", a working day"),
    "saturday": Text("", ""),
    "day_off": Text("・休日", ", a day off"),
    "bridge": Text("・休日に挟まれた平日", ", a working day between days off"),
    "year_end": Text("・年末年始", ", New Year's holidays"),
    "obon": Text("・お盆", ", Obon"),
}
_ACCIDENT = Text("事故のあった日", "a day with an accident")
_SKIPPED = Text("設定で除外された日", "left out by the settings")


class Comparable(msgspec.Struct, frozen=True):
    """The days that `day` may be compared with, newest first, and those of the same kind that were left out, with the reason."""

    day: date
    kind: Kind
    days: tuple[date, ...]
    left_out: tuple[tuple[date, Text], ...]

    @property
    def in_words(self) -> Text:
        weekday, kind = _WEEKDAYS[self.day.weekday()], _KINDS[self.kind]
        days = ", ".join(map(str, self.days))
        ja = f"{self.day}（{weekday.ja}{kind.ja}）と同種の日: {days or 'なし'}"
        en = f"Days comparable with {self.day} ({weekday.en}{kind.en}): {days or 'none'}"
        if self.left_out:
            ja += "。除いた日: " + ", ".join(f"{day}（{why.ja}）" for day, why in self.left_out)
            en += ". Left out: " + ", ".join(f"{day} ({why.en})" for day, why in self.left_out)
        return Text(ja, en)


def comparable(day: date, calendar: Calendar, accidents: AbstractSet[date] = frozenset()) -> Comparable:
    """The comparable days within the `calendar.weeks` before `day`, without `accidents` and `calendar.skip`.

    A working day is compared with working days of the same weekday, a Saturday with Saturdays, a Sunday with Sundays. A public
    holiday is compared with Sundays and public holidays: of the same weekday and kind there is hardly one within the reach, and
    people are off on both. New Year's holidays, Obon and bridge days are compared with their like only: mostly too few. Whether
    there are enough (`calendar.at_least`) is seen where their data are.
    """
    kind, alike = _alike(day, calendar)
    days = tuple(one for one in alike if one not in accidents and one not in calendar.skip)
    left_out = tuple((one, _ACCIDENT if one in accidents else _SKIPPED) for one in alike if one not in days)
    return Comparable(day, kind, days, left_out)


# thousands of equipments share one accident's day, and nothing below depends on the equipment
@lru_cache(maxsize=1024)
def _alike(day: date, calendar: Calendar) -> tuple[Kind, tuple[date, ...]]:
    kind = kind_of(day, calendar)
    one_weekday = kind == "workday" or (kind == "day_off" and day.weekday() == _SUNDAY)
    earlier = map(date.fromordinal, range(day.toordinal() - 1, max(day.toordinal() - calendar.weeks * 7, 1) - 1, -1))
    near = (one for one in earlier if not one_weekday or one.weekday() == day.weekday())
    return kind, tuple(one for one in near if kind_of(one, calendar) == kind)


def kind_of(day: date, calendar: Calendar) -> Kind:
    """What kind of day it is. New Year's holidays and Obon come first, then public holidays, also those on a Saturday.

    A bridge day is a single working day between two days that are off: a weekend, a public holiday, New Year's holidays or Obon.
    """
    kind = _kind_alone(day, calendar)
    if kind != "workday" or not calendar.bridges:
        return kind
    around = (_kind_alone(day - _DAY, calendar), _kind_alone(day + _DAY, calendar))
    return kind if "workday" in around else "bridge"


def _kind_alone(day: date, calendar: Calendar) -> Kind:
    if _within(day, calendar.year_end):
        return "year_end"
    if _within(day, calendar.obon):
        return "obon"
    if day.weekday() == _SUNDAY or day in _public_holidays(day.year):
        return "day_off"
    return "saturday" if day.weekday() == _SATURDAY else "workday"


def _within(day: date, span: tuple[str, str]) -> bool:
    first, last = span
    month_day = f"{day.month:02}-{day.day:02}"
    # one whose first day is later in the year than its last goes over New Year
    return first <= month_day <= last if first <= last else month_day >= first or month_day <= last


def business_hours_of(settings: BusinessHourSettings, started_at: datetime, ended_at: datetime) -> BusinessHours:
    """The hours that are worked, as the law's room takes them, for an outage between these two moments.

    Raises ValueError for a time without a zone.
    """
    first, last = in_japan(started_at, "started_at").year, in_japan(ended_at, "ended_at").year
    return settings.of_the_law(public_holidays(range(first, last + 1)) if settings.holidays_off else frozenset())


def public_holidays(years: Iterable[int]) -> frozenset[date]:
    """Japan's public holidays (国民の祝日, 振替休日, 国民の休日) of these years; none before 1949 and after 2099.

    Equinoxes of years not yet published in the gazette are those that astronomers expect.
    """
    return frozenset[date]().union(*map(_public_holidays, years))


@cache
def _public_holidays(year: int) -> frozenset[date]:
    import holidays  # only here, as it takes long: most processes never ask

    return frozenset(holidays.country_holidays("JP", years=year))
