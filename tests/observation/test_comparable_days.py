"""An accident is compared with days of similar conditions. The calendar's facts are written out by hand: the rules of the public
holidays (国民の祝日に関する法律) applied to the weekdays of these years.
"""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.conference import business_hours
from receiver.law.provisions import JST
from receiver.observation.comparable_days import Calendar, Kind, business_hours_of, comparable, kind_of, public_holidays
from receiver.settings import BusinessHourSettings, BusinessSpan

USUAL = Calendar()


def days(*written: str) -> tuple[date, ...]:
    return tuple(map(date.fromisoformat, written))


HOLIDAYS = days(
    # 2025: 02-24, 05-06 and 11-24 stand for holidays on Sundays; Constitution Day is on a Saturday and has no substitute
    *("2025-01-01", "2025-01-13", "2025-02-11", "2025-02-23", "2025-02-24", "2025-03-20", "2025-04-29", "2025-05-03", "2025-05-04"),
    *("2025-05-05", "2025-05-06", "2025-07-21", "2025-08-11", "2025-09-15", "2025-09-23", "2025-10-13", "2025-11-03", "2025-11-23"),
    "2025-11-24",
    # 2026: 05-06 stands for Constitution Day on a Sunday; 09-22 lies between two public holidays
    *("2026-01-01", "2026-01-12", "2026-02-11", "2026-02-23", "2026-03-20", "2026-04-29", "2026-05-03", "2026-05-04", "2026-05-05"),
    *("2026-05-06", "2026-07-20", "2026-08-11", "2026-09-21", "2026-09-22", "2026-09-23", "2026-10-12", "2026-11-03", "2026-11-23"),
    # 2027: 03-22 stands for the equinox on a Sunday
    *("2027-01-01", "2027-01-11", "2027-02-11", "2027-02-23", "2027-03-21", "2027-03-22", "2027-04-29", "2027-05-03", "2027-05-04"),
    *("2027-05-05", "2027-07-19", "2027-08-11", "2027-09-20", "2027-09-23", "2027-10-11", "2027-11-03", "2027-11-23"),
)


def test_the_public_holidays_of_three_years_are_those_of_the_law() -> None:
    assert sorted(public_holidays([2025, 2026, 2027])) == list(HOLIDAYS)


@pytest.mark.parametrize(
    ("day", "kind", "why"),
    [
        ("2026-11-18", "workday", "a Wednesday"),
        ("2026-11-21", "saturday", "a Saturday"),
        ("2026-11-22", "day_off", "a Sunday"),
        ("2026-11-03", "day_off", "Culture Day, a Tuesday"),
        ("2025-05-03", "day_off", "Constitution Day on a Saturday"),
        ("2025-05-06", "day_off", "the substitute of a holiday on Sunday, two days later"),
        ("2026-05-06", "day_off", "the substitute of a holiday on Sunday, three days later"),
        ("2027-03-22", "day_off", "the substitute of an equinox on a Sunday"),
        ("2026-09-22", "day_off", "a citizens' holiday between two others: Silver Week"),
        ("2026-09-24", "workday", "after Silver Week"),
        ("2027-09-21", "workday", "no Silver Week: two days lie between the holidays"),
        ("2027-09-22", "workday", "no Silver Week: two days lie between the holidays"),
        ("2026-04-30", "workday", "in Golden Week, followed by another working day"),
        ("2026-05-01", "workday", "in Golden Week, after another working day"),
        ("2026-05-07", "workday", "after Golden Week"),
        ("2027-04-30", "bridge", "a Friday after Showa Day"),
        ("2027-02-12", "bridge", "a Friday after Foundation Day, before a Saturday"),
        ("2026-11-02", "bridge", "a Monday before Culture Day"),
        ("2027-02-22", "bridge", "a Monday before the Emperor's Birthday"),
        ("2025-04-28", "bridge", "a Monday before Showa Day"),
        ("2026-08-10", "bridge", "a Monday before Mountain Day"),
        ("2026-08-12", "bridge", "between Mountain Day and Obon"),
        ("2026-12-28", "bridge", "a Monday before New Year's holidays"),
        ("2025-12-26", "workday", "a Friday before a weekend"),
        ("2025-12-28", "day_off", "a Sunday"),
        ("2025-12-29", "year_end", "the first of New Year's holidays"),
        ("2026-01-01", "year_end", "a public holiday in them"),
        ("2026-01-03", "year_end", "the last of them, a Saturday"),
        ("2026-01-04", "day_off", "a Sunday after them"),
        ("2026-01-05", "workday", "the first working day"),
        ("2027-01-04", "workday", "the first working day, a Monday"),
        ("2026-08-13", "obon", "the first day of Obon"),
        ("2026-08-15", "obon", "a Saturday of Obon"),
        ("2026-08-16", "obon", "the last day of Obon, a Sunday"),
        ("2026-08-17", "workday", "after Obon"),
    ],
)
def test_every_day_is_of_one_kind(day: str, kind: Kind, why: str) -> None:
    assert kind_of(date.fromisoformat(day), USUAL) == kind, why


def test_a_bridge_day_is_a_working_day_where_the_operator_says_so() -> None:
    assert kind_of(date(2026, 11, 2), Calendar(bridges=False)) == "workday"
    assert date(2026, 11, 2) in comparable(date(2026, 11, 16), Calendar(bridges=False)).days
    assert date(2026, 11, 2) not in comparable(date(2026, 11, 16), USUAL).days


@pytest.mark.parametrize(
    ("span", "within", "without"),
    [
        (("12-31", "01-05"), days("2026-12-31", "2027-01-05"), days("2026-12-30", "2027-01-06")),
        (("12-28", "12-31"), days("2026-12-28", "2026-12-31"), days("2026-12-27", "2027-01-01")),
        (("01-01", "01-04"), days("2027-01-01", "2027-01-04"), days("2026-12-31", "2027-01-05")),
        (("02-27", "02-29"), days("2027-02-28", "2028-02-29"), days("2027-03-01", "2028-03-01")),
    ],
    ids=["over New Year", "before it", "after it", "to the leap day"],
)
def test_the_operator_says_when_new_years_holidays_are(
    span: tuple[str, str], within: tuple[date, ...], without: tuple[date, ...]
) -> None:
    calendar = Calendar(year_end=span)
    assert {kind_of(day, calendar) for day in within} == {"year_end"}
    assert "year_end" not in {kind_of(day, calendar) for day in without}


@pytest.mark.parametrize(
    ("day", "kind", "expected"),
    [
        # the Tuesday 11-03 is Culture Day
        ("2026-11-17", "workday", days("2026-11-10", "2026-10-27", "2026-10-20", "2026-10-13", "2026-10-06")),
        ("2026-11-21", "saturday", days("2026-11-14", "2026-11-07", "2026-10-31", "2026-10-24", "2026-10-17", "2026-10-10")),
        # Sundays and no public holiday: 11-03 is left aside
        ("2026-11-15", "day_off", days("2026-11-08", "2026-11-01", "2026-10-25", "2026-10-18", "2026-10-11", "2026-10-04")),
        # a public holiday with Sundays and public holidays: 11-03 and 10-12 are Tuesday and Monday
        (
            "2026-11-23",
            "day_off",
            days("2026-11-22", "2026-11-15", "2026-11-08", "2026-11-03", "2026-11-01", "2026-10-25", "2026-10-18", "2026-10-12"),
        ),
        # a public holiday on a Saturday with these, too, and with no Saturday
        (
            "2025-05-03",
            "day_off",
            days("2025-04-29", "2025-04-27", "2025-04-20", "2025-04-13", "2025-04-06", "2025-03-30", "2025-03-23"),
        ),
        # Silver Week: its last day has its first two; Sundays of Obon are no Sundays
        (
            "2026-09-23",
            "day_off",
            days("2026-09-22", "2026-09-21", "2026-09-20", "2026-09-13", "2026-09-06", "2026-08-30", "2026-08-23"),
        ),
        # after Golden Week: 05-06 was the substitute, 04-29 Showa Day
        ("2026-05-13", "workday", days("2026-04-22", "2026-04-15", "2026-04-08", "2026-04-01")),
        # after New Year: Thursdays 12-31 and 01-01 are none
        ("2026-01-08", "workday", days("2025-12-25", "2025-12-18", "2025-12-11", "2025-12-04", "2025-11-27")),
        ("2026-01-02", "year_end", days("2026-01-01", "2025-12-31", "2025-12-30", "2025-12-29")),
        ("2025-12-29", "year_end", ()),
        ("2026-08-14", "obon", days("2026-08-13")),
        # no Monday and no working day: there is a single bridge day before it
        ("2026-08-12", "bridge", days("2026-08-10")),
        ("2026-11-02", "bridge", ()),
    ],
)
def test_like_is_compared_with_like(day: str, kind: Kind, expected: tuple[date, ...]) -> None:
    found = comparable(date.fromisoformat(day), USUAL)
    assert (found.kind, found.days, found.left_out) == (kind, expected, ())


def test_the_reach_ends_with_the_same_weekday_of_its_last_week() -> None:
    assert comparable(date(2026, 6, 24), Calendar(weeks=1)).days == days("2026-06-17")
    assert comparable(date(2026, 6, 24), Calendar(weeks=2)).days == days("2026-06-17", "2026-06-10")


def test_the_new_year_before_is_found_a_year_back() -> None:
    found = comparable(date(2026, 12, 29), Calendar(weeks=53)).days
    assert found == days("2026-01-03", "2026-01-02", "2026-01-01", "2025-12-31", "2025-12-30", "2025-12-29")


def test_what_is_left_out_is_named_with_its_reason_in_both_languages() -> None:
    accidents = {date(2026, 11, 7), date(2026, 11, 21), date(2026, 11, 11), date(2026, 8, 1)}
    found = comparable(date(2026, 11, 21), Calendar(skip=frozenset(days("2026-10-24", "2026-11-07", "2026-11-12"))), accidents)
    assert found.days == days("2026-11-14", "2026-10-31", "2026-10-17", "2026-10-10")
    assert [day for day, _ in found.left_out] == list(days("2026-11-07", "2026-10-24"))
    assert found.in_words.ja == (
        "2026-11-21（土曜日）と同種の日: 2026-11-14, 2026-10-31, 2026-10-17, 2026-10-10"
        "。除いた日: 2026-11-07（事故のあった日）, 2026-10-24（設定で除外された日）"
    )
    assert found.in_words.en == (
        "Days comparable with 2026-11-21 (Saturday): 2026-11-14, 2026-10-31, 2026-10-17, 2026-10-10"
        ". Left out: 2026-11-07 (a day with an accident), 2026-10-24 (left out by the settings)"
    )


@pytest.mark.parametrize(
    ("day", "ja", "en"),
    [
        ("2026-11-18", "2026-11-18（水曜日・平日）", "2026-11-18 (Wednesday, a working day)"),
        ("2026-11-22", "2026-11-22（日曜日・休日）", "2026-11-22 (Sunday, a day off)"),
        ("2026-11-03", "2026-11-03（火曜日・休日）", "2026-11-03 (Tuesday, a day off)"),
        ("2026-11-02", "2026-11-02（月曜日・休日に挟まれた平日）", "2026-11-02 (Monday, a working day between days off)"),
        ("2026-12-31", "2026-12-31（木曜日・年末年始）", "2026-12-31 (Thursday, New Year's holidays)"),
        ("2026-08-14", "2026-08-14（金曜日・お盆）", "2026-08-14 (Friday, Obon)"),
    ],
)
def test_words_say_which_kind_of_day_it_is(day: str, ja: str, en: str) -> None:
    said = comparable(date.fromisoformat(day), USUAL).in_words
    assert said.ja.startswith(f"{ja}と同種の日: ")
    assert said.en.startswith(f"Days comparable with {en}: ")


def test_words_say_that_there_is_none() -> None:
    said = comparable(date(2025, 12, 29), USUAL).in_words
    assert said.ja == "2025-12-29（月曜日・年末年始）と同種の日: なし"
    assert said.en == "Days comparable with 2025-12-29 (Monday, New Year's holidays): none"


some_days = st.dates(date(2019, 1, 1), date(2032, 12, 31))
month_days = st.dates(date(2024, 1, 1), date(2024, 12, 31)).map("{:%m-%d}".format)
spans = st.tuples(month_days, month_days)


@st.composite
def questions(draw: st.DrawFn) -> tuple[date, Calendar, frozenset[date]]:
    """A day, a calendar, and accidents that are often comparable days."""
    day = draw(some_days)
    near = st.integers(-400, 30).map(lambda distance: day + timedelta(days=distance))
    calendar = Calendar(
        weeks=draw(st.integers(1, 53)),
        year_end=draw(st.just(USUAL.year_end) | spans),
        obon=draw(st.just(USUAL.obon) | spans),
        bridges=draw(st.booleans()),
        skip=draw(st.frozensets(near)),
    )
    accidents = draw(st.frozensets(near | st.integers(0, 53).map(lambda weeks: day - timedelta(weeks=weeks))))
    return day, calendar, accidents


@given(questions())
def test_every_comparable_day_is_earlier_within_reach_of_the_same_kind_and_without_accident(
    question: tuple[date, Calendar, frozenset[date]],
) -> None:
    day, calendar, accidents = question
    found = comparable(day, calendar, accidents)
    left_out = [one for one, _ in found.left_out]
    assert (found.day, found.kind) == (day, kind_of(day, calendar))
    for listed in (list(found.days), left_out):
        assert listed == sorted(set(listed), reverse=True)
        assert all(timedelta(days=1) <= day - one <= timedelta(weeks=calendar.weeks) for one in listed)
        assert {kind_of(one, calendar) for one in listed} <= {found.kind}
    assert not set(found.days) & (accidents | calendar.skip)
    assert set(left_out) <= accidents | calendar.skip
    if found.kind in ("workday", "saturday"):
        assert {one.weekday() for one in found.days} <= {day.weekday()}


@given(questions())
def test_nothing_that_is_alike_is_forgotten(question: tuple[date, Calendar, frozenset[date]]) -> None:
    day, calendar, accidents = question
    found = comparable(day, calendar, accidents)
    named = {*found.days, *(one for one, _ in found.left_out)}
    for back in range(7, calendar.weeks * 7 + 1, 7):
        one = day - timedelta(days=back)
        assert (one in named) == (kind_of(one, calendar) == found.kind)


@given(some_days)
def test_what_is_off_and_what_is_worked_are_told_apart(day: date) -> None:
    off = day.weekday() == 6 or day in public_holidays([day.year])
    kind = kind_of(day, USUAL)
    assert (kind == "day_off") == (off and kind not in ("year_end", "obon"))
    assert (kind == "saturday") <= (day.weekday() == 5)


def test_a_day_at_the_end_of_all_calendars_is_no_crash() -> None:
    assert comparable(date(1, 1, 2), USUAL).days == (date.min,)
    assert comparable(date(9999, 12, 30), USUAL).days == (date(9999, 12, 29),)


OFFICE = BusinessHourSettings()


def in_japan(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=JST)


@pytest.mark.parametrize(
    ("started_at", "ended_at", "hours"),
    [
        ("2026-11-18 11:00", "2026-11-18 14:30", Fraction(5, 2)),
        # Saturday, Sunday, Labour Thanksgiving Day
        ("2026-11-21 09:00", "2026-11-24 10:00", Fraction(1)),
        # over New Year: the year that ends and the year that begins
        ("2026-12-31 17:00", "2027-01-04 10:00", Fraction(2)),
        # a holiday of the year between the two
        ("2025-12-31 00:00", "2027-01-01 00:00", Fraction((262 - 17) * 8)),
    ],
)
def test_business_hours_of_an_outage_leave_public_holidays_out(started_at: str, ended_at: str, hours: Fraction) -> None:
    start, end = in_japan(started_at), in_japan(ended_at)
    assert business_hours(start, end, business_hours_of(OFFICE, start, end)) == hours
    assert business_hours(start, end, business_hours_of(OFFICE, start.astimezone(UTC), end.astimezone(UTC))) == hours


def test_the_year_of_an_outage_is_that_of_japan() -> None:
    start, end = datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert date(2027, 1, 1) in business_hours_of(OFFICE, start, end).holidays
    # written down east of Japan, it began in the year after
    start, end = datetime.fromisoformat("2027-01-01T01:00+14:00"), datetime.fromisoformat("2027-01-01T04:00+14:00")
    assert business_hours_of(OFFICE, start, end).holidays == public_holidays([2026])


def test_public_holidays_are_worked_where_the_operator_says_so() -> None:
    start, end = in_japan("2026-11-23 08:00"), in_japan("2026-11-23 23:59")
    open_always = BusinessHourSettings(spans=(BusinessSpan("00:00", "00:00"),), holidays_off=False)
    assert business_hours_of(open_always, start, end).holidays == frozenset()
    assert business_hours(start, end, business_hours_of(open_always, start, end)) == Fraction(959, 60)


def test_a_moment_without_a_zone_has_no_business_hours() -> None:
    naive = datetime(2026, 11, 18, 11)  # noqa: DTZ001
    with pytest.raises(ValueError, match="ended_at has no time zone"):
        business_hours_of(OFFICE, in_japan("2026-11-18 10:00"), naive)
