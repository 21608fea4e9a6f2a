"""The legal parameters by the day on which an accident occurred, read from dated and cited YAML, and the row of a service."""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from receiver.law import lined_yaml
from receiver.law.provisions import JST, Basis, Evidence, Provision, Text

Kind = Literal["voice", "cellular_lpwa", "unlicensed_lpwa", "email", "messaging", "internet_related", "internet_access", "other"]


@lru_cache(1024)
def _seconds(number: int) -> timedelta:
    return timedelta(seconds=number)


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """`duration_seconds` AND `users`, both inclusive (以上)."""

    duration_seconds: int
    users: int

    @property
    def duration(self) -> timedelta:
        return _seconds(self.duration_seconds)


class ServiceFacts(msgspec.Struct, frozen=True, cache_hash=True):
    """What decides the row of a service. `None` is a fact that nobody has stated."""

    kind: Kind
    emergency_calls: bool | None = None
    charged: bool | None = None
    monthly_users_previous_fy: Annotated[int, Meta(ge=0)] | None = None


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
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


class Periodic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """What the periodic report asks for: so many users OR so long (報告規則 第7条の3)."""

    article: Text
    source: str
    evidence: Evidence
    last_checked: date
    duration_seconds: int
    users: int
    read_from: date | None = None

    @property
    def duration(self) -> timedelta:
        return _seconds(self.duration_seconds)


class Clause2(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """第58条第2項第2号: all communications through a satellite, submarine cable or comparable facility that the carrier installed
    are impossible for so long, whatever the number of users.
    """

    article: Text
    source: str
    evidence: Evidence
    last_checked: date
    duration_seconds: int
    read_from: date | None = None

    @property
    def duration(self) -> timedelta:
        return _seconds(self.duration_seconds)


class Rulebook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """The table in force for accidents that occurred from `valid_from` to `valid_to`, both days included (Asia/Tokyo).

    `evidence` is how well the table is known, `valid_days` how well these days are (from `certain_from` on they are certain).
    Under a `stop_only` table degraded quality does not count; under one that judges them `apart` a stop and a degradation never add
    up. A draft is used only if asked for by name. `check_by` is the day by which somebody must look whether the law has changed;
    None where it is no longer in force.
    """

    id: str
    title: Text
    valid_from: date | None
    valid_to: date | None
    valid_days: Evidence
    article: Text
    source: str
    evidence: Evidence
    last_checked: date
    rows: tuple[Row, ...]
    clause_2: Clause2 | None
    periodic: Periodic
    check_by: date | None = None
    status: Literal["in_force", "draft_not_enacted"] = "in_force"
    stop_only: bool = False
    apart: bool = False
    certain_from: date | None = None

    def covers(self, day: date) -> bool:
        """Whether it is for accidents of that day. A draft is for none."""
        begun = self.valid_from is None or self.valid_from <= day
        return self.status == "in_force" and begun and (self.valid_to is None or day <= self.valid_to)

    def row_of(self, facts: ServiceFacts) -> Row:
        """The first row from the top that takes the service; the last row takes every service.

        Of the rows that may be the first, because a fact is not stated, the strictest.
        """
        conceivable = self.conceivable_rows(facts)
        if len(conceivable) == 1:
            return conceivable[0]
        return max(conceivable, key=lambda row: sum(map(row.is_as_strict_as, conceivable)))

    def is_row_uncertain(self, facts: ServiceFacts) -> bool:
        """Whether the row hangs on a fact that nobody has stated."""
        return len(self.conceivable_rows(facts)) > 1

    def citation(self, row: Row) -> Provision:
        """Where a row of this table stands."""
        article = self.article
        if len(self.rows) > 1:
            article = Text(f"{article.ja}の表の{row.row}の項", f"{article.en}, table, row {row.row}")
        return self._provision(article, self, self.valid_from, self.valid_to, self.certain_from)

    def citation_of(self, rule: Periodic | Clause2) -> Provision:
        """Where its periodic report or its clause 2 stands."""
        return self._provision(rule.article, rule, None, None, rule.read_from)

    def conceivable_rows(self, facts: ServiceFacts) -> tuple[Row, ...]:
        """The rows that may be the first to take the service, from the top: several, where a fact is not stated."""
        return _conceivable_rows(self, facts)

    def _provision(self, article: Text, rule: "Rulebook | Periodic | Clause2", *days: date | None) -> Provision:
        basis: Basis = "law" if self.status == "in_force" or rule is not self else "proposal"
        return Provision(article, rule.source, rule.evidence, basis, rule.last_checked, None, *days)


class _Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of a book that has the rows of another one."""

    id: str
    title: Text
    status: Literal["draft_not_enacted"]
    based_on: str
    article: Text
    source: str
    evidence: Evidence
    last_checked: date
    apart: bool = False


@lru_cache(4096)
def _conceivable_rows(book: Rulebook, facts: ServiceFacts) -> tuple[Row, ...]:
    conceivable: list[Row] = []
    for row in book.rows:
        takes = row.takes(facts)
        if takes is not False:
            conceivable.append(row)
        if takes:
            break
    return tuple(conceivable)


_LARGEST = 10**10
_ANYTHING = ServiceFacts("other")
"""A service of which nothing is known: only a row without any demand takes it."""


class NoRulebook(LookupError):
    """No rulebook covers the day of the accident, or none has the name."""


@cache
def shipped() -> tuple[Rulebook, ...]:
    """The rulebooks that come with the receiver, oldest first, drafts last."""
    return load(sorted((Path(__file__).parent / "rulebooks").glob("*.yaml")))


def load(files: Iterable[Path], before: tuple[Rulebook, ...] = ()) -> tuple[Rulebook, ...]:
    """The rulebooks of these files with those of `before`; one of the same id takes the place of the earlier one.

    So operators add or overrule a rulebook from a file of their own; an open-ended one of `before` ends on the eve of a new one.
    Raises lined_yaml.FaultyFile, also where two books in force cover the same day.
    """
    books = {book.id: book for book in before}
    earlier = set(books)
    documents = [lined_yaml.read(file) for file in files]
    own = [d for d in documents if not (isinstance(d.values, dict) and "based_on" in d.values)]
    mine: set[str] = set()
    for document in own:
        book = lined_yaml.convert(document, Rulebook, check=_complaints)
        _refuse_taken(document, book, books.get(book.id), mine)
        books[book.id] = book
    for document in documents:
        if document not in own:
            draft = lined_yaml.convert(document, _Draft)
            resolved = _resolved(draft, books, document)
            _refuse_taken(document, resolved, books.get(draft.id), mine)
            books[draft.id] = resolved
    for id_ in earlier:
        books[id_] = _ended(books[id_], books.values())
    ordered = tuple(sorted(books.values(), key=lambda book: (book.status != "in_force", book.valid_from or date.min)))
    for document in own:
        _refuse_overlap(document, ordered)
    _refuse_gaps(own, ordered, any(book.status == "in_force" and not book.valid_to for book in before))
    return ordered


def rulebook_on(occurred_at: datetime, rulebooks: tuple[Rulebook, ...]) -> Rulebook:
    """The rulebook of the day of occurrence in Asia/Tokyo.

    Raises NoRulebook when none of them covers that day.
    """
    day = occurred_at.astimezone(JST).date()
    for book in rulebooks:
        if book.covers(day):
            return book
    raise NoRulebook(f"no rulebook covers {day}")


def rulebook_named(id_: str, rulebooks: tuple[Rulebook, ...]) -> Rulebook:
    """The rulebook of this name, drafts included. Raises NoRulebook."""
    for book in rulebooks:
        if book.id == id_:
            return book
    raise NoRulebook(f"there is no rulebook {id_!r}: known are {', '.join(book.id for book in rulebooks)}")


def _ended(book: Rulebook, books: Iterable[Rulebook]) -> Rulebook:
    """An open-ended book of `before` ends on the eve of the next one: a new table needs no copy of the old one."""
    if book.valid_to is not None or book.status != "in_force":
        return book
    later = [
        b.valid_from for b in books if b.status == "in_force" and b.valid_from and b.valid_from > (book.valid_from or date.min)
    ]
    return msgspec.structs.replace(book, valid_to=min(later) - timedelta(days=1)) if later else book


def _refuse_taken(document: lined_yaml.Document, book: Rulebook, known: Rulebook | None, mine: set[str]) -> None:
    if book.id in mine:
        wrong = "two of the files have this id"
    elif known and known.status == "in_force" and book.status != "in_force":
        wrong = "a draft cannot take the place of a rulebook in force"
    else:
        mine.add(book.id)
        return
    raise lined_yaml.FaultyFile([document.fault(("id",), wrong, "Choose another id")])


def _resolved(draft: _Draft, books: dict[str, Rulebook], document: lined_yaml.Document) -> Rulebook:
    base = books.get(draft.based_on)
    if base is None:
        cure = f"Name one of {', '.join(books)}"
        raise lined_yaml.FaultyFile([document.fault(("based_on",), f"there is no rulebook {draft.based_on!r}", cure)])
    fields = {name: getattr(draft, name) for name in draft.__struct_fields__ if name != "based_on"}
    return msgspec.structs.replace(base, **fields, valid_from=None, valid_to=None, valid_days=draft.evidence)


def _complaints(book: Rulebook) -> list[tuple[lined_yaml.Path_, str, str]]:
    """What types alone cannot say about a rulebook."""
    found: list[tuple[lined_yaml.Path_, str, str]] = []
    if book.valid_from and book.valid_to and book.valid_to < book.valid_from:
        found.append((("valid_to",), "is before valid_from", "Correct one of the two days"))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", book.id):
        found.append((("id",), "is no plain name", "Use up to 63 letters, digits, '.', '_' and '-'"))
    limits: list[tuple[lined_yaml.Path_, int]] = [
        (("periodic",), book.periodic.duration_seconds),
        (("periodic",), book.periodic.users),
    ]
    limits += [(("clause_2",), book.clause_2.duration_seconds)] if book.clause_2 else []
    for number, row in enumerate(book.rows):
        at: lined_yaml.Path_ = ("rows", number)
        if row.row != number + 1:
            found.append(((*at, "row"), f"is {row.row}, but this is row {number + 1}", "Number the rows from 1, from the top"))
        if not row.conditions:
            found.append(((*at, "conditions"), "no condition", "Give at least one duration and number of users"))
        for place, condition in enumerate(row.conditions):
            here = (*at, "conditions", place)
            limits += [(here, condition.duration_seconds), (here, condition.users)]
    for where, limit in limits:
        if limit <= 0:
            found.append((where, "a threshold of zero or less, which everything reaches", "Give seconds and users above zero"))
        elif limit > _LARGEST:
            found.append((where, f"a threshold of {limit}, which nothing reaches", f"Give no more than {_LARGEST}"))
    last = book.rows[-1] if book.rows else None
    if last is None or last.takes(_ANYTHING) is not True:
        found.append((("rows",), "the last row does not take every service", "Add a last row without kinds and other demands"))
    return found


def _refuse_gaps(documents: list[lined_yaml.Document], books: tuple[Rulebook, ...], open_ended: bool) -> None:
    """A day that no book covers would leave its accidents without a verdict."""
    in_force = [book for book in books if book.status == "in_force"]
    for earlier, later in pairwise(in_force):
        eve = (later.valid_from or date.min) - timedelta(days=1)
        if earlier.valid_to and earlier.valid_to < eve:
            _refuse_gap(documents, f"leaves the days from {earlier.valid_to + timedelta(days=1)} to {eve} without a rulebook")
    if open_ended and in_force[-1].valid_to:
        _refuse_gap(documents, f"leaves the days after {in_force[-1].valid_to} without a rulebook")


def _refuse_gap(documents: list[lined_yaml.Document], wrong: str) -> None:
    cure = "Let one rulebook end on the eve of the next, and the last one not at all"
    raise lined_yaml.FaultyFile([document.fault(("valid_from",), wrong, cure) for document in documents])


def _refuse_overlap(document: lined_yaml.Document, books: tuple[Rulebook, ...]) -> None:
    mine = next(book for book in books if book.id == document.values["id"])
    for other in books:
        if other.id == mine.id or "draft_not_enacted" in (mine.status, other.status):
            continue
        starts_late = max(mine.valid_from or date.min, other.valid_from or date.min)
        ends_early = min(mine.valid_to or date.max, other.valid_to or date.max)
        if starts_late <= ends_early:
            wrong = f"covers days of {other.id}, too ({starts_late} and on)"
            raise lined_yaml.FaultyFile(
                [document.fault(("valid_from",), wrong, f"End one before the other begins, or name it {other.id}")]
            )
