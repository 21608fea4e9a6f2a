"""Stretches of time: slots that end on the clock, over which series are averaged, and the hours of an accident."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from receiver.law.provisions import JST

SLOT = timedelta(minutes=5)
"""The shortest stretch whose average is asked for."""
COARSER = ((timedelta(hours=24), SLOT), (timedelta(days=3), timedelta(minutes=15)))
"""Slots of accidents up to so long."""
COARSEST = timedelta(hours=1)
LONGEST = timedelta(days=31)

_HOUR = timedelta(hours=1)


class Span(NamedTuple):
    """A stretch of time; slots and hours are such."""

    begins: datetime
    ends: datetime


def floor(moment: datetime, step: timedelta) -> datetime:
    # Japan is a whole number of hours from UTC: a slot never lies on two of its days
    return moment - (moment - datetime(2000, 1, 1, tzinfo=JST)) % step


def slot_and_end(since: datetime, until: datetime, now: datetime) -> tuple[timedelta, datetime]:
    """The length of an accident's slots, and until when whole slots of it are past."""
    lasted = min(until, now) - since
    slot = next((slot for most, slot in COARSER if lasted <= most), COARSEST)
    return slot, min(until, floor(now, slot))


def slots(since: datetime, until: datetime, slot: timedelta) -> Iterator[Span]:
    """The slots that the time between touches."""
    begins = floor(since, slot)
    while begins < until:
        yield Span(begins, begins + slot)
        begins += slot


def hours(since: datetime, until: datetime) -> Iterator[Span]:
    """The hours counted from `since`, cut at midnight in Japan (each of its days has comparable days of its own) and at `until`."""
    begins, hour_ends = since, since + _HOUR
    while begins < until:
        midnight = datetime.combine(date_of(begins) + timedelta(days=1), datetime.min.time(), JST)
        ends = min(hour_ends, midnight, until)
        yield Span(begins, ends)
        if ends == hour_ends:
            hour_ends += _HOUR
        begins = ends


def date_of(moment: datetime) -> date:
    return moment.astimezone(JST).date()


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(JST):%Y-%m-%d %H:%M} JST"
