"""Affected users of a web conference, per function; only business hours count."""

from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from math import floor

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law import fallback
from receiver.law.conference import (
    BusinessHours,
    Meetings,
    business_hours,
    function_facts,
    host_entitled_accounts,
    probability,
)
from receiver.law.estimate import Estimate, Number, WrongFigure
from receiver.law.provisions import JST, Text


def others(estimate: Estimate) -> list[int]:
    return [other.users for other in estimate.other_readings]


@pytest.mark.parametrize(
    ("case", "meetings", "hours", "judged", "nearest", "begins"),
    [
        ("WC-1", Meetings(1_000_000, 20, 0.75, 20, 8), 1, 93_750, 93_750, "93750"),
        ("WC-2", Meetings(1_000_000, 20, 0.75, 20, 8), 2, 178_710, 178_711, "178710.9375"),
        ("WC-3", Meetings(1_000_000, 20, 0.75, 20, 8), 3, 255_706, 255_707, "255706.787109375"),
        ("WC-4", Meetings(500_000, 10, 1, 20, 8), 2, 60_546, 60_547, "60546.875"),
        ("WC-5", Meetings(200_000, 10, 1, 20, 8), 1.5, 18_453, 18_454, "18453.9056465"),
    ],
)
def test_web_conference(case: str, meetings: Meetings, hours: Number, judged: int, nearest: int, begins: str) -> None:
    estimate = probability(meetings, hours)
    assert (estimate.users, estimate.nearest) == (judged, nearest), case
    assert estimate.raw.startswith(begins)


def test_wc_2_shows_the_chance_and_what_was_cut_off() -> None:
    words = probability(Meetings(1_000_000, 20, 0.75, 20, 8), 2).formula.en
    assert "P = (20 × 0.75) ÷ (20 × 8) = 0.09375" in words
    assert "1,000,000 × (1 - (1 - 0.09375)^2) = 178,710.9375" in words
    assert "178,710 affected users" in words


def test_what_is_whole_stays_whole() -> None:
    third = Meetings(9, 1, 1, 3, 1)
    assert probability(third, 2).raw == "5"
    assert probability(Meetings(1_000, 3, 1, 4, 1), 0.5).raw == "500"


def test_what_lies_behind_the_twelfth_decimal_is_cut_and_never_rounded() -> None:
    assert probability(Meetings(1, 1, 1, 4, 1), Fraction(1, 2)).raw == "0.133974596215"  # 1 - √(3/4) = 0.13397459621556…


def test_the_chance_is_at_most_one() -> None:
    estimate = probability(Meetings(1_000, 100, 10, 20, 8), 0.01)
    assert estimate.users == 1_000
    assert "確率 P = (100 × 10) ÷ (20 × 8) = 1 (max. 1)。月間" in estimate.formula.ja
    assert "(max. 1)" not in probability(Meetings(1_000, 20, 8, 20, 8), 0.01).formula.ja


def test_an_outage_outside_business_hours_hits_nobody_but_the_whole_outage_is_the_other_reading() -> None:
    estimate = probability(Meetings(1_000_000, 20, 0.75, 20, 8), 0, 8)
    assert (estimate.users, others(estimate)) == (0, [probability(Meetings(1_000_000, 20, 0.75, 20, 8), 8).users])


def test_business_hours_longer_than_the_outage_are_refused() -> None:
    with pytest.raises(WrongFigure):
        probability(Meetings(1, 1, 1, 1, 1), 2, 1)


def test_nobody_meets_nobody_is_hit() -> None:
    assert probability(Meetings(1_000, 0, 1, 20, 8), 5).users == 0


@given(
    st.integers(0, 10**8),
    st.fractions(0, 40, max_denominator=20),
    st.fractions(0, 72, max_denominator=60),
    st.fractions(0, 72, max_denominator=60),
)
def test_more_time_never_hits_fewer_and_never_more_than_all_hosts(
    hosts: int, each: Fraction, some: Fraction, more: Fraction
) -> None:
    meetings = Meetings(hosts, each, 1, 20, 8)
    shorter, longer = probability(meetings, some), probability(meetings, some + more)
    assert 0 <= shorter.exact <= longer.exact <= hosts


@given(st.integers(0, 10**20), st.integers(0, 160), st.integers(0, 12))
def test_whole_hours_equal_exact_arithmetic(hosts: int, each: int, hours: int) -> None:
    idle = 1 - Fraction(each, 160)
    assert probability(Meetings(hosts, each, 1, 20, 8), hours).users == floor(hosts * (1 - idle**hours))


def test_a_conference_function_falls_back_in_order() -> None:
    meetings = Meetings(1_000_000, 20, 0.75, 20, 8)
    known = fallback.ConferenceFunction(4, meetings, 2, 3, 70)
    first = fallback.conference_function(known)
    assert first.estimate is not None
    assert (first.estimate.method, first.estimate.users, first.passed_over) == ("direct", 4, ())
    known = msgspec.structs.replace(known, failed_users=None)
    assert fallback.conference_function(known).estimate == probability(meetings, 2, 3)
    for unknown in ({"meetings": None}, {"outage_business_hours": None}):
        choice = fallback.conference_function(msgspec.structs.replace(known, **unknown))
        assert choice.estimate == host_entitled_accounts(70)
        assert [passed.method for passed in choice.passed_over] == ["direct", "conference_probability"]
    assert fallback.conference_function(fallback.ConferenceFunction()).estimate is None


def test_audio_and_video_are_voice_even_when_free_and_video_alone_is_flagged() -> None:
    for charged in (True, False, None):
        facts, flag = function_facts("audio_video", charged)
        assert (facts.kind, facts.emergency_calls, facts.charged, flag) == ("voice", False, charged, None)
        facts, flag = function_facts("video_only", charged)
        assert (facts.kind, facts.emergency_calls, facts.charged) == ("voice", False, charged)
        assert flag == Text(
            "映像のみの障害を音声伝送役務として扱うかは明らかでない（要判断）",
            "whether a failure of video alone is one of a voice service is not settled: a person decides",
        )


@pytest.mark.parametrize(("charged", "kind"), [(False, "messaging"), (None, "messaging"), (True, "other")])
def test_chat_is_messaging_when_free_and_another_service_when_paid(charged: bool | None, kind: str) -> None:
    facts, flag = function_facts("chat", charged, 12_000_000)
    assert (facts.kind, facts.charged, facts.monthly_users_previous_fy, flag) == (kind, charged, 12_000_000, None)


OFFICE = BusinessHours(((time(9), time(12)), (time(13), time(18))), holidays=frozenset({date(2026, 11, 23)}))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=JST)


@pytest.mark.parametrize(
    ("case", "start", "end", "hours"),
    [
        ("within", at(24, 9), at(24, 10, 30), Fraction(3, 2)),
        ("over lunch", at(24, 11), at(24, 14), 2),
        ("at night", at(24, 18), at(25, 9), 0),
        ("Friday afternoon to Tuesday morning over a weekend and a holiday", at(20, 17), at(24, 10), 2),
        ("Saturday", at(21, 9), at(21, 18), 0),
        ("a whole week with a holiday", at(22, 0), at(29, 0), 32),
        ("told in UTC", at(24, 9).astimezone(UTC), at(24, 10).astimezone(UTC), 1),
        ("no time at all", at(24, 9), at(24, 9), 0),
        ("a third of an hour", at(24, 17, 40), at(24, 23), Fraction(1, 3)),
    ],
)
def test_only_business_hours_count(case: str, start: datetime, end: datetime, hours: Fraction) -> None:
    assert business_hours(start, end, OFFICE) == hours, case


def test_the_days_of_an_outage_are_those_of_japan_however_its_times_were_noted() -> None:
    night_shift = BusinessHours(((time(0), time(6)),))
    start, end = at(24, 23), at(25, 5)
    assert business_hours(start, end, night_shift) == 5
    assert business_hours(start.astimezone(UTC), end.astimezone(UTC), night_shift) == 5


def test_a_day_of_the_office_has_eight_hours() -> None:
    assert OFFICE.hours_per_day == 8
    assert BusinessHours(((time(22), time(0)),)).hours_per_day == 2


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_business_hours_add_up_over_a_cut(first: int, second: int) -> None:
    start = at(1, 0)
    cut, end = start + timedelta(minutes=first), start + timedelta(minutes=first + second)
    assert business_hours(start, cut, OFFICE) + business_hours(cut, end, OFFICE) == business_hours(start, end, OFFICE)


NO_SPAN = "^spans: give at least one, each opening before it closes$"
OVERLAP = "^spans: they overlap$"


@pytest.mark.parametrize(
    ("spans", "wrong"),
    [
        ((), NO_SPAN),
        (((time(9), time(9)),), NO_SPAN),
        (((time(10), time(9)),), NO_SPAN),
        (((time(9), time(12)), (time(11), time(18))), OVERLAP),
        (((time(7), time(8)), (time(9), time(12)), (time(11), time(18))), OVERLAP),
    ],
)
def test_business_hours_that_cannot_be_are_refused(spans: tuple[tuple[time, time], ...], wrong: str) -> None:
    with pytest.raises(WrongFigure, match=wrong):
        BusinessHours(spans)


def test_an_outage_without_zones_or_backwards_is_refused() -> None:
    with pytest.raises(WrongFigure, match=r"^started_at, ended_at: give times with their zone$"):
        business_hours(datetime(2026, 11, 24, 9), at(24, 10), OFFICE)  # noqa: DTZ001
    with pytest.raises(WrongFigure, match="zone"):
        business_hours(at(24, 9), datetime(2026, 11, 24, 10), OFFICE)  # noqa: DTZ001
    with pytest.raises(WrongFigure, match=r"^ended_at: is before started_at$"):
        business_hours(at(24, 10), at(24, 9), OFFICE)


def test_a_function_always_in_use_and_no_time_at_all_hit_nobody() -> None:
    assert probability(Meetings(1_000, 160, 1, 20, 8), 0, 0).users == 0


def test_an_outage_all_in_business_hours_has_no_other_reading() -> None:
    assert probability(Meetings(1_000_000, 20, 0.75, 20, 8), 2, 2).other_readings == ()


def test_spans_may_touch() -> None:
    assert BusinessHours(((time(9), time(12)), (time(12), time(18)))).hours_per_day == 9
