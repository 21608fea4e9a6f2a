"""What persons stated of incidents, as it holds for what these become when they are merged or split. Pure.

The latest word stands over what alerts tell. A word on the end of one outage must not end, or hide, another that became part of it.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from receiver.law.near_miss import Answers
from receiver.model import Caused, Deed, EmergencyCalls, Incident, NearMissAnswered, Reopened, Timed
from receiver.stated import Stated


class Half(msgspec.Struct, frozen=True):
    """What the alerts of one half tell: its first start, its last end (None: it goes on), and whether its first alert was that of
    the whole.
    """

    started_at: datetime
    restored_at: datetime | None
    has_first: bool


def after_merge(whole: tuple[Incident, Stated], part: tuple[Incident, Stated]) -> list[Deed]:
    """What is to be stated of the whole: the first start, the last end. A stated end is taken back if the part goes on."""
    both = whole, part
    starts = [word.started_at or incident.failure_started_at for incident, word in both]
    ends = [word.restored_at or incident.restored_at for incident, word in both]
    found: list[Deed] = [Reopened()] if whole[1].is_closed else []
    goes_on = None in ends
    if goes_on and not whole[1].is_going_on and (whole[1].restored_at or part[1].is_going_on):
        found.append(Reopened())
    started_at = min(starts) if any(word.started_at for _, word in both) else None
    restored_at = max(end for end in ends if end) if not goes_on and any(word.restored_at for _, word in both) else None
    if started_at or restored_at:
        found.append(Timed(started_at, restored_at))
    return found


def after_split(word: Stated, halves: Sequence[Half]) -> list[Timed | None]:
    """What is to be stated of each half: the start goes with the first alert, the end with what ended last; else its own times."""
    last = (
        None if any(half.restored_at is None for half in halves) else max(half.restored_at for half in halves if half.restored_at)
    )
    found: list[Timed | None] = []
    for half in halves:
        started_at = (word.started_at if half.has_first else half.started_at) if word.started_at else None
        ended_last = half.restored_at in (None, last)
        restored_at = (word.restored_at if ended_last else half.restored_at) if word.restored_at else None
        if restored_at:
            restored_at = max(restored_at, started_at or half.started_at)
        found.append(Timed(started_at, restored_at) if started_at or restored_at else None)
    return found


def facts_of_a_part(whole: Stated, part: Stated) -> list[Deed]:
    """What was stated of a part besides its times, if nothing graver was of the whole. A plan or a drill is its own."""
    found: list[Deed] = [Caused(part.cause)] if part.cause and whole.cause is None else []
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
