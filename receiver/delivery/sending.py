"""What makes a ticket of one target, and when it is told: now, later, or never. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from receiver.law.deadlines import QuietWindow
from receiver.law.near_miss import NearMiss
from receiver.law.verdict import Verdict
from receiver.model import Assessment

Turn = Literal["now", "later", "never"]


class Send(msgspec.Struct, frozen=True):
    """`lead`: how long before the forecast time a candidate is told at the earliest (None: as soon as it is one). `indeterminate`:
    also candidates whose verdict cannot be told. In the `quiet` hours only what is major or a candidate is told at once.
    """

    verdicts: frozenset[Verdict] = frozenset({Verdict.MAJOR})
    candidates: bool = True
    lead: timedelta | None = None
    indeterminate: bool = True
    quiet: QuietWindow | None = None

    def turn(self, hit: Sequence[Assessment], near: NearMiss | None, now: datetime, *, exists: bool) -> Turn:
        """Of an incident by the latest assessments of what it hit. A ticket that `exists` follows whatever becomes of it.

        "later" is to be asked again: the forecast time is too far ahead, or these are quiet hours.
        """
        candidates = [self._candidate(a, now) for a in hit]
        is_due = bool(hit) and (
            any(a.verdict in self.verdicts for a in hit) or "now" in candidates or bool(near and near.at_least in self.verdicts)
        )
        if not is_due and not exists:
            return "later" if "later" in candidates else "never"
        urgent = "now" in candidates or any(a.verdict == Verdict.MAJOR for a in hit)
        if self.quiet and not urgent and self.quiet.end_after(now) > now:
            return "later"
        return "now"

    def _candidate(self, assessment: Assessment, now: datetime) -> Turn:
        if not assessment.candidate or not self.candidates:
            return "never"
        if assessment.verdict == Verdict.INDETERMINATE and not self.indeterminate:
            return "never"
        if self.lead is None or assessment.at_most == Verdict.MAJOR or _can_be_read_otherwise(assessment):
            return "now"
        forecast = (assessment.major_expected_at, assessment.major_on_trend_at)
        soonest = min((moment for moment in forecast if moment), default=None)
        return "later" if soonest and soonest - now > self.lead else "now"


def _can_be_read_otherwise(assessment: Assessment) -> bool:
    """By another reading of how users are counted it may be major already: it waits for no forecast time."""
    known = assessment.affected.count
    return known is not None and any(other.users > known.users for other in known.other_readings)
