"""Rules are to be compared with the law again by a day in Japan; once it has passed they are overdue, whatever they say."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from receiver import law
from receiver.law.freshness import Check, checks, overdue
from receiver.law.provisions import JST
from receiver.law.rulebook import Rulebook, rulebook_named, shipped

PROVISIONS = Path(law.__file__).parent / "provisions"
NOW = datetime(2026, 11, 21, 12, tzinfo=JST)
BOOK = rulebook_named("JP-TBA58-2026", shipped())


def own(**changes: object) -> Rulebook:
    return msgspec.structs.replace(BOOK, **({"id": "OWN", "check_by": date(2026, 12, 1)} | changes))


def names(*rulebooks: Rulebook) -> set[str]:
    return {check.rules for check in checks(rulebooks, NOW)}


def test_every_file_of_rules_and_the_rulebook_in_force_must_be_checked_again() -> None:
    assert names(*shipped()) == {file.stem for file in PROVISIONS.glob("*.yaml")} | {"JP-TBA58-2026"}


def test_what_is_shipped_was_checked_before_it_must_be_checked_again() -> None:
    assert all(check.last_checked < check.check_by for check in checks(shipped(), NOW))


@pytest.mark.parametrize(
    ("now", "late"),
    [
        (datetime(2026, 12, 1, 14, 59, 59, tzinfo=UTC), False),  # the last second of the day in Japan
        (datetime(2026, 12, 1, 15, 0, 0, tzinfo=UTC), True),
        (datetime(2026, 12, 1, 23, 59, 59, tzinfo=JST), False),
        (datetime(2026, 12, 2, 0, 0, 0, tzinfo=JST), True),
    ],
)
def test_the_day_is_over_when_it_is_over_in_japan(now: datetime, late: bool) -> None:
    (check,) = [check for check in checks((own(),), now) if check.rules == "OWN"]
    assert check.ends_at == datetime(2026, 12, 1, 23, 59, 59, tzinfo=JST)
    assert [each.rules for each in overdue((own(),), now)] == (["OWN"] if late else [])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, True),
        ({"check_by": None}, False),
        ({"valid_to": date(2026, 11, 20)}, False),
        ({"valid_to": date(2026, 11, 21)}, True),
        ({"valid_from": date(2027, 4, 1)}, True),  # it will decide
        ({"status": "draft_not_enacted"}, False),
        ({"check_by": date.max}, True),
        ({"check_by": date.min}, True),
    ],
)
def test_a_rulebook_that_decides_no_accident_from_today_on_needs_no_check(changes: dict[str, object], named: bool) -> None:
    assert ("OWN" in names(own(**changes))) is named


def test_rules_were_last_checked_when_the_oldest_of_their_values_was() -> None:
    long_ago = date(2025, 1, 1)
    periodic = msgspec.structs.replace(BOOK.periodic, last_checked=long_ago)
    (check,) = [check for check in checks((own(periodic=periodic),), NOW) if check.rules == "OWN"]
    assert check.last_checked == long_ago < BOOK.last_checked


def test_a_rulebook_that_has_the_name_of_a_file_hides_nothing() -> None:
    assert [check.rules for check in checks((own(id="deadlines"),), NOW)].count("deadlines") == 2


@pytest.mark.parametrize("asked", [checks, overdue])
def test_a_time_without_a_zone_is_refused(asked: Callable[[tuple[Rulebook, ...], datetime], tuple[Check, ...]]) -> None:
    with pytest.raises(ValueError, match=r"^now has no time zone: 2026-11-21T00:00:00$"):
        asked((), datetime(2026, 11, 21))  # noqa: DTZ001 - that is the point
