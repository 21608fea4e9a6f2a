"""What persons stated of incidents, as it holds for what these become when they are merged or split. Pure.

The latest word stands over what alerts tell. A word on the end of one outage must not end, or hide, another that became part of it;
and what nobody stated is not stated here: it is derived anew.
"""

from datetime import datetime

import msgspec

from receiver.law.near_miss import Answers
from receiver.law.provisions import Text
from receiver.model import Caused, Deed, EmergencyCalls, Incident, NearMissAnswered, Reopened, Timed, Withdrawn
from receiver.stated import Stated


class Half(msgspec.Struct, frozen=True):
    """What the alerts of one half tell: its first start, its last end (None: it goes on), and whether its first alert was that of
    the whole.
    """

    started_at: datetime
    restored_at: datetime | None
    has_first: bool


def after_merge(whole: tuple[Incident, Stated], part: tuple[Incident, Stated]) -> list[Deed]:
    """What then holds of the whole: the first start, the last end. A stated end is taken back if the part goes on."""
    word, of_part = whole[1], part[1]
    found: list[Deed] = [Reopened()] if word.is_closed else []
    is_first = (of_part.started_at or part[0].failure_started_at) < (word.started_at or whole[0].failure_started_at)
    started_at = of_part.started_at if is_first else None
    if is_first and word.started_at and not started_at:
        found.append(Withdrawn(("started_at",)))
    ends = [stated.restored_at or incident.restored_at for incident, stated in (whole, part)]
    restored_at = None
    if None not in ends:
        last = max(end for end in ends if end)
        restored_at = last if (word.restored_at or of_part.restored_at) and last != word.restored_at else None
    elif of_part.is_going_on and not word.is_going_on:
        found.append(Reopened())
    elif word.restored_at:
        found.append(Withdrawn(("restored_at",)))
    return [*found, *_times(started_at, restored_at)]


def after_split(word: Stated, part: Half, whole: Half) -> tuple[list[Deed], list[Deed]]:
    """What then holds of the part, and of the whole: a stated start goes with the first alert, a stated end with what ended last.

    Of the half that ended sooner its own end holds. What began after the stated end was not meant by it, and has none.
    """
    if word.started_at and part.has_first:
        part = msgspec.structs.replace(part, started_at=word.started_at)
    elif word.started_at:
        whole = msgspec.structs.replace(whole, started_at=word.started_at)
    started_at = word.started_at if part.has_first else None
    of_whole: list[Deed] = [Withdrawn(("started_at",))] if started_at else []
    restored_at = _end_of(whole, part, word.restored_at)
    if word.restored_at and restored_at is None:
        of_whole.append(Withdrawn(("restored_at",)))
    elif restored_at != word.restored_at:
        of_whole += _times(None, restored_at)
    return _times(started_at, _end_of(part, whole, word.restored_at)), of_whole


def _end_of(half: Half, other: Half, said: datetime | None) -> datetime | None:
    """The stated end as it holds for this half, never before its start; None if none was stated of it."""
    if said is None or (other.started_at < half.started_at and said < half.started_at):
        return None
    if half.restored_at and said >= other.started_at and (other.restored_at is None or half.restored_at < other.restored_at):
        return max(half.restored_at, half.started_at)
    return max(said, half.started_at)


def _times(started_at: datetime | None, restored_at: datetime | None) -> list[Deed]:
    return [Timed(started_at, restored_at)] if started_at or restored_at else []


def facts_of_a_part(whole: Stated, part: Stated) -> list[Deed]:
    """What was stated of a part besides its times, if nothing graver was of the whole. A plan or a drill is its own.

    With a part that is real the whole is no drill any more.
    """
    found: list[Deed] = [Caused(part.cause)] if part.cause and whole.cause is None else []
    if whole.drill and not part.drill:
        found.append(Withdrawn(("drill",)))
    for service, counted in part.users.items():
        if service not in whole.users or whole.users[service].users < counted.users:
            found.append(counted)
    for service, affected in part.emergency_calls.items():
        if service not in whole.emergency_calls or affected > whole.emergency_calls[service]:
            found.append(EmergencyCalls(service, affected))
    if part.near_miss is not None:
        mine = msgspec.structs.asdict(whole.near_miss) if whole.near_miss else {}
        new = {fact: answer for fact, answer in msgspec.structs.asdict(part.near_miss).items() if mine.get(fact) is None}
        if any(answer is not None for answer in new.values()):
            found.append(NearMissAnswered(Answers(**new)))
    return found


def left_behind(whole: tuple[str, Stated], part: tuple[str, Stated]) -> list[Text]:
    """What was stated of one of two incidents, each by its id, and does not hold for what they become by a merge."""
    found = []
    if whole[1].drill != part[1].drill:
        drill, into = part[0] if part[1].drill else whole[0], whole[0]
        found.append(
            Text(
                f"訓練と申告されているのは{drill}だけなので、{into}は実際の障害として判定します。"
                f"全体が訓練であれば申告してください: art58 act drill {into}",
                f"only {drill} was stated to be a drill, so {into} is judged as real. "
                f"If all of it is a drill, state that: art58 act drill {into}",
            )
        )
    if part[1].planned and part[1].planned != whole[1].planned:
        found.append(
            Text(
                f"{part[0]}の工事計画は{whole[0]}に引き継がれません。同じ計画なら申告してください: art58 act planned {whole[0]}",
                f"the plan of {part[0]} does not hold for {whole[0]}. If it does, state it there: art58 act planned {whole[0]}",
            )
        )
    return found
