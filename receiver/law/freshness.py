"""Which rules are past the day by which a person must look whether the law has changed: an amendment may be missing."""

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Protocol

import msgspec

from receiver.law import causes, near_miss, questions
from receiver.law.provisions import JST, deadlines, guideline_rules, in_japan
from receiver.law.rulebook import Rulebook


class _Dated(Protocol):
    @property
    def check_by(self) -> date | None: ...


class Check(msgspec.Struct, frozen=True):
    """One set of rules, to be checked again by the end of the day `check_by` in Asia/Tokyo.

    `rules` is the name of the file without its ending, or the id of a rulebook; `last_checked` is when that one of its values was
    checked that has waited longest.
    """

    rules: str
    check_by: date
    last_checked: date

    @property
    def ends_at(self) -> datetime:
        """The last second of the day `check_by`."""
        return datetime.combine(self.check_by, time(23, 59, 59), JST)


def checks(rulebooks: tuple[Rulebook, ...], now: datetime) -> tuple[Check, ...]:
    """What must be checked again: all rules but the rulebooks that cover no day from that of `now` on, or name no `check_by`.

    Raises ValueError when `now` has no time zone.
    """
    today = in_japan(now, "now").date()
    dated: list[tuple[str, _Dated]] = [
        ("near-miss", near_miss.shipped()),
        ("deadlines", deadlines.shipped()),
        ("guideline", guideline_rules()),
        ("causes", causes.shipped()),
        ("questions", questions.shipped()),
    ]
    dated += [(b.id, b) for b in rulebooks if b.status == "in_force" and (b.valid_to is None or today <= b.valid_to)]
    return tuple(Check(name, rules.check_by, min(_checked_on(rules))) for name, rules in dated if rules.check_by)


def overdue(rulebooks: tuple[Rulebook, ...], now: datetime) -> tuple[Check, ...]:
    """Those of the `checks` whose day has passed. Raises ValueError when `now` has no time zone."""
    today = in_japan(now, "now").date()
    return tuple(check for check in checks(rulebooks, now) if check.check_by < today)


def _checked_on(value: object) -> Iterator[date]:
    """Every `last_checked` in the rules."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            inner = getattr(value, name)
            if name == "last_checked":
                yield inner
            else:
                yield from _checked_on(inner)
    elif isinstance(value, tuple | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _checked_on(inner)
