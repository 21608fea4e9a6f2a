"""The life of an incident: open while an alert fires, recovering while a recovery has yet to hold, restored, at last closed."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from receiver.law.verdict import Bounded, Verdict, gravest
from receiver.model import Incident


def follow(incident: Incident, restored_at: datetime | None, held_at: datetime | None, now: datetime) -> Incident:
    """The incident at `now`. `restored_at` is None while it lasts; the recovery is final from `held_at` on.

    What fires again before that is the same failure, and the gap counts.
    """
    if restored_at is None or held_at is None:
        return msgspec.structs.replace(incident, state="open", restored_at=None, closed_at=None)
    if now < held_at:
        return msgspec.structs.replace(incident, state="recovering", restored_at=restored_at, closed_at=None)
    return msgspec.structs.replace(incident, state="restored", restored_at=restored_at)


def awaits_a_person(judged: Iterable[Bounded]) -> bool:
    """Whether a person has to decide or report something before it can be closed."""
    return gravest(judged).at_most in (Verdict.MAJOR, Verdict.NEAR_MISS)
