"""A person's word on the times of an outage, when that is merged with another or split: it neither ends nor hides the other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from receiver.incidents.handed_on import Half, after_merge, after_split
from receiver.model import Deed, Incident, Reopened, Timed
from receiver.stated import Stated
from tests.apps import incident

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def outage(starts: float, ends: float | None, **word: Any) -> tuple[Incident, Stated]:
    times = {"failure_started_at": after(starts), "restored_at": None if ends is None else after(ends)}
    return msgspec.structs.replace(incident(), **times), Stated(**word)


MERGES: dict[str, tuple[tuple[Incident, Stated], tuple[Incident, Stated], list[Deed]]] = {
    "nobody said anything": (outage(0, 65), outage(93, 195), []),
    "one goes on and nobody said anything": (outage(0, 65), outage(93, None), []),
    "the end of the whole": (outage(0, 65, restored_at=after(60)), outage(93, 195), [Timed(None, after(195))]),
    "the end of the part": (outage(93, 195), outage(0, None, restored_at=after(60)), [Timed(None, after(195))]),
    "the end of the later": (outage(0, 65), outage(93, None, restored_at=after(150)), [Timed(None, after(150))]),
    "the start of the earlier": (outage(0, None, started_at=after(-5)), outage(93, None), [Timed(after(-5), None)]),
    "the start of the later": (outage(0, None), outage(93, None, started_at=after(90)), [Timed(after(0), None)]),
    "an end before one that goes on": (outage(0, 65, restored_at=after(65)), outage(93, None), [Reopened()]),
    "an end of the part before the whole goes on": (outage(0, None), outage(93, 95, restored_at=after(95)), []),
    "closed": (outage(0, 65, is_closed=True), outage(93, 195), [Reopened()]),
    "closed before one that goes on": (
        outage(0, 65, is_closed=True, restored_at=after(65)),
        outage(93, None),
        [Reopened(), Reopened()],
    ),
    "said to go on": (outage(0, 65), outage(93, None, is_going_on=True), [Reopened()]),
    "both said to go on": (outage(0, None, is_going_on=True), outage(93, None, is_going_on=True), []),
}


@pytest.mark.parametrize(("whole", "part", "words"), MERGES.values(), ids=MERGES)
def test_what_is_stated_of_a_whole(whole: tuple[Incident, Stated], part: tuple[Incident, Stated], words: list[Deed]) -> None:
    assert after_merge(whole, part) == words


FIRST, LATER = Half(after(0), after(65), has_first=True), Half(after(93), after(195), has_first=False)
GOES_ON = Half(after(93), None, has_first=False)
SPLITS: dict[str, tuple[Stated, list[Half], list[Timed | None]]] = {
    "nobody said anything": (Stated(), [FIRST, LATER], [None, None]),
    "an end": (Stated(restored_at=after(200)), [FIRST, LATER], [Timed(None, after(65)), Timed(None, after(200))]),
    "an end though one goes on": (
        Stated(restored_at=after(200)),
        [FIRST, GOES_ON],
        [Timed(None, after(65)), Timed(None, after(200))],
    ),
    "a start": (Stated(started_at=after(-5)), [LATER, FIRST], [Timed(after(93), None), Timed(after(-5), None)]),
    "an end before the later began": (
        Stated(restored_at=after(70)),
        [FIRST, LATER],
        [Timed(None, after(65)), Timed(None, after(93))],
    ),
}


@pytest.mark.parametrize(("word", "halves", "words"), SPLITS.values(), ids=SPLITS)
def test_what_is_stated_of_each_half(word: Stated, halves: list[Half], words: list[Timed | None]) -> None:
    assert after_split(word, halves) == words
