"""On which days equipment was failing, in Japan: with them nothing is compared."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from receiver.law.provisions import JST
from receiver.model import Incident
from receiver.storage import incidents
from receiver.storage.database import Database
from tests import stores
from tests.apps import incident

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
SINCE = NOW - timedelta(days=10)
AN_HOUR = timedelta(hours=1)


@pytest.fixture
def database(tmp_path: Path, each_store: str) -> Iterator[Database]:
    database = stores.opened(tmp_path)
    yield database
    database.close()


def days_with(database: Database, known: list[Incident]) -> dict[str | None, set[date]]:
    with database.write() as connection:
        for one in known:
            incidents.save(connection, one)
    with database.read() as connection:
        return incidents.failing_days(connection, SINCE, NOW)


def test_a_failure_over_midnight_in_japan_is_of_both_days_and_one_that_goes_on_of_each_until_today(database: Database) -> None:
    midnight = datetime(2026, 11, 14, 15, 0, tzinfo=UTC)
    known = [
        incident(id="a", units=("mme-1", "mme-2"), failure_started_at=midnight - AN_HOUR, restored_at=midnight),
        incident(id="b", units=("mme-2",), failure_started_at=NOW - 30 * AN_HOUR),
        incident(id="c", units=(), equipment="hss-1", failure_started_at=midnight, restored_at=midnight + AN_HOUR),
        incident(id="d", units=(), equipment=None, failure_started_at=SINCE - 99 * AN_HOUR, restored_at=SINCE),
    ]
    assert days_with(database, known) == {
        "mme-1": {date(2026, 11, 14), date(2026, 11, 15)},
        "mme-2": {date(2026, 11, 14), date(2026, 11, 15), date(2026, 11, 20), date(2026, 11, 21)},
        "hss-1": {date(2026, 11, 15)},
        None: {date(2026, 11, 11)},
    }


def test_what_was_over_before_or_was_none_or_is_part_of_another_does_not_count(database: Database) -> None:
    known = [
        incident(id="a", failure_started_at=SINCE - AN_HOUR, restored_at=SINCE - timedelta(microseconds=1)),
        incident(id="b", failure_started_at=NOW, dismissed=True),
        incident(id="c", failure_started_at=NOW, joined_to="b"),
    ]
    assert days_with(database, known) == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.timedeltas(timedelta(days=3), timedelta(days=20)), st.timedeltas(timedelta(0), timedelta(days=3)))
def test_each_moment_is_of_the_day_that_a_calendar_in_japan_shows(
    database: Database, begins_before: timedelta, lasts: timedelta
) -> None:
    began = NOW - begins_before
    ended = began + lasts
    assume(ended >= SINCE)
    found = days_with(database, [incident(id="a", units=("mme-1",), failure_started_at=began, restored_at=ended)])
    first, last = (moment.astimezone(JST).date() for moment in (max(began, SINCE), ended))
    assert found == {"mme-1": {first + timedelta(days=ahead) for ahead in range((last - first).days + 1)}}
