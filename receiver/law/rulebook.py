"""The legal parameters by the day on which an accident occurred, read from dated and cited YAML, and the row of a service."""

from datetime import date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from receiver.law import lined_yaml

JST = timezone(timedelta(hours=9), "JST")
"""Asia/Tokyo; it has had no daylight saving time since 1951, so the law needs no time zone database."""

Kind = Literal["voice", "cellular_lpwa", "unlicensed_lpwa", "email", "messaging", "internet_related", "internet_access", "other"]


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same statement in Japanese and in English."""

    ja: str
    en: str


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`duration_seconds` AND `users`, both inclusive (以上)."""

    duration_seconds: int
    users: int

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.duration_seconds)


class ServiceFacts(msgspec.Struct, frozen=True):
    """What decides the row of a service. `None` is a fact that nobody has stated."""

    kind: Kind
    emergency_calls: bool | None = None
    charged: bool | None = None
    monthly_users_previous_fy: int | None = None


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the table: whom it takes, and its alternative conditions. No `kinds` means every service."""

    row: int
    title: Text
    conditions: tuple[Condition, ...]
    kinds: tuple[Kind, ...] = ()
    emergency_calls: bool | None = None
    charged: bool | None = None
    monthly_users_previous_fy_at_least: int | None = None

    def takes(self, facts: ServiceFacts) -> bool | None:
        """Whether this row is for a service with these facts; None when that hangs on a fact that nobody has stated."""
        if self.kinds and facts.kind not in self.kinds:
            return False
        answers: list[bool | None] = []
        if self.emergency_calls is not None:
            answers.append(None if facts.emergency_calls is None else facts.emergency_calls is self.emergency_calls)
        if self.charged is not None:
            answers.append(None if facts.charged is None else facts.charged is self.charged)
        least, users = self.monthly_users_previous_fy_at_least, facts.monthly_users_previous_fy
        if least is not None:
            answers.append(None if users is None else users >= least)
        if False in answers:
            return False
        return None if None in answers else True

    def is_as_strict_as(self, other: "Row") -> bool:
        """Whether whatever reaches a condition of the other row reaches one of this row, too."""
        return all(
            any(mine.duration_seconds <= theirs.duration_seconds and mine.users <= theirs.users for mine in self.conditions)
            for theirs in other.conditions
        )


class Periodic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the periodic report asks for: so many users OR so long (報告規則 第7条の3)."""

    article: str
    source: str
    evidence: Literal["read", "secondary", "assumed"]
    duration_seconds: int
    users: int

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.duration_seconds)


class Rulebook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table in force for accidents that occurred from `valid_from` to `valid_to`, both days included (Asia/Tokyo)."""

    id: str
    title: Text
    valid_from: date
    valid_to: date | None
    article: str
    source: str
    evidence: Literal["read", "secondary", "assumed"]
    last_checked: date
    rows: tuple[Row, ...]
    periodic: Periodic

    def row_of(self, facts: ServiceFacts) -> Row:
        """The first row from the top that takes the service; the last row takes every service.

        Of the rows that may be the first, because a fact is not stated, the strictest.
        """
        conceivable: list[Row] = []
        for row in self.rows:
            takes = row.takes(facts)
            if takes is not False:
                conceivable.append(row)
            if takes:
                break
        return max(conceivable, key=lambda row: sum(map(row.is_as_strict_as, conceivable)))


class NoRulebook(LookupError):
    """No rulebook covers the day of the accident."""


@cache
def shipped() -> tuple[Rulebook, ...]:
    """The rulebooks that come with the receiver, oldest first."""
    files = sorted((Path(__file__).parent / "rulebooks").glob("*.yaml"))
    books = (lined_yaml.convert(lined_yaml.read(file), Rulebook) for file in files)
    return tuple(sorted(books, key=lambda book: book.valid_from))


def rulebook_on(occurred_at: datetime, rulebooks: tuple[Rulebook, ...]) -> Rulebook:
    """The rulebook of the day of occurrence in Asia/Tokyo.

    Raises NoRulebook when none of them covers that day.
    """
    day = occurred_at.astimezone(JST).date()
    for book in rulebooks:
        if book.valid_from <= day and (book.valid_to is None or day <= book.valid_to):
            return book
    raise NoRulebook(f"no rulebook covers {day}: the oldest begins on {min(b.valid_from for b in rulebooks)}")
