"""A person's word on the times of an outage, when that is merged with another or split: it neither ends nor hides the other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from receiver.incidents.handed_on import Half, after_merge, after_split, facts_of_a_part, left_behind
from receiver.model import Deed, Incident, Planned, Reopened, Timed, Withdrawn
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
    "the last end": (outage(93, 195, restored_at=after(190)), outage(0, 65), []),
    "the start of the earlier": (outage(0, None, started_at=after(-5)), outage(93, None), []),
    "the start of the part, the earlier": (outage(93, None), outage(0, None, started_at=after(-5)), [Timed(after(-5), None)]),
    "the start of the later": (outage(0, None), outage(93, None, started_at=after(90)), []),
    "the start of the whole, the later": (
        outage(93, None, started_at=after(90)),
        outage(0, None),
        [Withdrawn(("started_at",))],
    ),
    "an end before one that goes on": (outage(0, 65, restored_at=after(65)), outage(93, None), [Withdrawn(("restored_at",))]),
    "an end of the part before the whole goes on": (outage(0, None), outage(93, 95, restored_at=after(95)), []),
    "closed": (outage(0, 65, is_closed=True), outage(93, 195), [Reopened()]),
    "closed before one that goes on": (
        outage(0, 65, is_closed=True, restored_at=after(65)),
        outage(93, None),
        [Reopened(), Withdrawn(("restored_at",))],
    ),
    "said to go on": (outage(0, 65), outage(93, None, is_going_on=True), [Reopened()]),
    "both said to go on": (outage(0, None, is_going_on=True), outage(93, None, is_going_on=True), []),
}


@pytest.mark.parametrize(("whole", "part", "words"), MERGES.values(), ids=MERGES)
def test_what_is_stated_of_a_whole(whole: tuple[Incident, Stated], part: tuple[Incident, Stated], words: list[Deed]) -> None:
    assert after_merge(whole, part) == words


FIRST, LATER = Half(after(0), after(65), has_first=True), Half(after(93), after(195), has_first=False)
GOES_ON = Half(after(93), None, has_first=False)
SPLITS: dict[str, tuple[Stated, tuple[Half, Half], tuple[list[Deed], list[Deed]]]] = {
    "nobody said anything": (Stated(), (FIRST, LATER), ([], [])),
    "an end, of the whole": (Stated(restored_at=after(200)), (FIRST, LATER), ([Timed(None, after(65))], [])),
    "an end, of the part": (
        Stated(restored_at=after(200)),
        (LATER, FIRST),
        ([Timed(None, after(200))], [Timed(None, after(65))]),
    ),
    "an end though one goes on": (Stated(restored_at=after(200)), (FIRST, GOES_ON), ([Timed(None, after(65))], [])),
    "an end though both go on": (
        Stated(restored_at=after(200)),
        (GOES_ON, Half(after(0), None, has_first=True)),
        ([Timed(None, after(200))], []),
    ),
    "a start that stays": (Stated(started_at=after(-5)), (LATER, FIRST), ([], [])),
    "a start that leaves": (
        Stated(started_at=after(-5)),
        (FIRST, LATER),
        ([Timed(after(-5), None)], [Withdrawn(("started_at",))]),
    ),
    "an end before the later began": (
        Stated(restored_at=after(70)),
        (FIRST, LATER),
        ([Timed(None, after(70))], [Withdrawn(("restored_at",))]),
    ),
    "an end before the part began, which goes on": (
        Stated(restored_at=after(70)),
        (GOES_ON, Half(after(0), None, has_first=True)),
        ([], []),
    ),
    "an end before either began": (
        Stated(restored_at=after(-1)),
        (LATER, FIRST),
        ([], [Timed(None, after(0))]),
    ),
    "an end before the later began, and a start": (
        Stated(started_at=after(-5), restored_at=after(-2)),
        (FIRST, LATER),
        ([Timed(after(-5), after(-2))], [Withdrawn(("started_at",)), Withdrawn(("restored_at",))]),
    ),
    "the same, where it is the later that leaves": (Stated(started_at=after(-5), restored_at=after(-2)), (LATER, FIRST), ([], [])),
    "both": (
        Stated(started_at=after(-5), restored_at=after(200)),
        (FIRST, LATER),
        ([Timed(after(-5), after(65))], [Withdrawn(("started_at",))]),
    ),
}


@pytest.mark.parametrize(("word", "halves", "words"), SPLITS.values(), ids=SPLITS)
def test_what_is_stated_of_each_half(word: Stated, halves: tuple[Half, Half], words: tuple[list[Deed], list[Deed]]) -> None:
    """The part, then the whole, whose history has the word already."""
    assert after_split(word, *halves) == words


def test_with_a_part_that_is_real_the_whole_is_no_drill() -> None:
    drill, real = Stated(drill=True), Stated()
    assert facts_of_a_part(drill, real) == [Withdrawn(("drill",))]
    assert facts_of_a_part(real, drill) == facts_of_a_part(drill, drill) == []


def test_whoever_merges_is_told_which_drill_or_plan_does_not_hold_for_the_whole() -> None:
    drill, real = Stated(drill=True), Stated()
    for whole, part, named in ((real, drill, "part-1"), (drill, real, "whole-1")):
        (text,) = left_behind(("whole-1", whole), ("part-1", part))
        assert text.en.startswith(f"only {named} was stated to be a drill, so whole-1 is judged as real")
        assert named in text.ja
        assert "実際の障害" in text.ja
    plan = Stated(planned=Planned(after(0), after(60)))
    (text,) = left_behind(("whole-1", real), ("part-1", plan))
    assert "the plan of part-1 does not hold for whole-1" in text.en
    for same in (real, drill, plan):
        assert left_behind(("whole-1", same), ("part-1", same)) == []
