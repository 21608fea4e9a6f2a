"""What one tick leaves to the next: what was read of each incident, what was judged, and when that will be another judgement.

An outage of which every figure stays the same is not judged at each tick: its users are counted, and nothing new is to be said.
"""

import zlib
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from receiver.catalogue import Catalogue
from receiver.incidents.cases import Case, Cases, Version
from receiver.incidents.count import LATE, Told
from receiver.law.counting import GROWING
from receiver.law.rulebook import Rulebook
from receiver.model import Incident
from receiver.settings import Settings

JUDGED_ANEW = timedelta(minutes=10)
"""An outage of which everything that is measured stays the same is judged again after so long."""

Figures = tuple[object, ...]


class Calm(NamedTuple):
    """By these figures there was nothing new to say of an outage that goes on, and so it stays for a time, if they do."""

    figures: Figures
    since: datetime
    until: datetime


class Known:
    """What one tick leaves to the next: what was read, what was judged, and when that will be another judgement by itself.

    It may be thrown away at any time: without it everything is read and judged anew. Not for several threads.
    """

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self.cases = Cases(catalogue, timedelta(seconds=settings.hold_seconds))
        self._judged: dict[str, Version] = {}
        self._dates: dict[str, list[datetime]] = {}
        self._calm: dict[str, Calm] = {}

    def is_due(self, case: Case, now: datetime) -> bool:
        """Whether something of it is news, or a moment has come on which something hangs."""
        id_ = case.incident.id
        return self._judged.get(id_) != case.version or any(date <= now for date in self._dates.get(id_, ()))

    def keep_living(self, cases: list[Case]) -> None:
        living = {case.incident.id for case in cases}
        self._judged = {id_: version for id_, version in self._judged.items() if id_ in living}
        self._dates = {id_: dates for id_, dates in self._dates.items() if id_ in living}
        self._calm = {id_: calm for id_, calm in self._calm.items() if id_ in living}

    def is_calm(self, case: Case, figures: Figures | None, now: datetime) -> bool:
        """Whether the same would be said of it as was: nothing of it is news, and it goes on by the same figures."""
        calm = self._calm.get(case.incident.id)
        if calm is None or figures is None or calm.figures != figures or not calm.since <= now < calm.until:
            return False
        return not self.is_due(case, now)

    def keep(self, id_: str, judged: Version | None, dates: list[datetime], calm: Calm | None = None) -> None:
        """Judged when it was so (None: it has to be looked at again), and it will be another one on these dates.

        `calm`: there was nothing new to say of it.
        """
        self._calm.pop(id_, None)
        if calm:
            self._calm[id_] = calm
        if judged:
            self._judged[id_] = judged
        else:
            self._judged.pop(id_, None)
        self._dates[id_] = dates

    def living(self) -> int:
        return len(self._dates)

    def at_its_time(self, now: datetime) -> list[str]:
        """The ids of those on whose time something hangs that has come."""
        return [id_ for id_, dates in self._dates.items() if any(date <= now for date in dates)]

    def next_at(self, now: datetime) -> datetime | None:
        return min((date for dates in self._dates.values() for date in dates if date > now), default=None)


def figures_of(case: Case, told: dict[tuple[str, str], Told]) -> Figures | None:
    """Those of an outage that goes on; None where more is looked at: a recovery, what it hits no more, what grows by lasting."""
    is_another = case.incident != case.version.incident or case.incident.state != "open" or case.is_over
    if is_another or case.ended or case.gone or any(hit.restored for hit in case.hits):
        return None
    if any(known.method in GROWING for last in case.previous.values() for known in last.affected.kept):
        return None
    its = [told[case.incident.id, hit.service.name].figures for hit in case.hits]
    return None if None in its else tuple(its)


def calm_until(incident: Incident, rulebooks: tuple[Rulebook, ...], now: datetime) -> datetime:
    """Until when the same figures make the same judgement: the next duration of which the rules speak, or JUDGED_ANEW.

    For some it is half of that: not all are to be judged at the same tick.
    """
    moments = (incident.failure_started_at + duration for duration in _durations(rulebooks))
    anew = JUDGED_ANEW * (1 + zlib.crc32(incident.id.encode()) % 100 / 100) / 2
    return min([now + anew, *(moment for moment in moments if moment > now)])


@cache
def _durations(rulebooks: tuple[Rulebook, ...]) -> frozenset[timedelta]:
    """All on which a verdict hangs, or which method counts."""
    of_rows = {condition.duration for book in rulebooks for row in book.rows for condition in row.conditions}
    of_clause_2 = {book.clause_2.duration for book in rulebooks if book.clause_2}
    return frozenset({*of_rows, *of_clause_2, *(book.periodic.duration for book in rulebooks), LATE})
