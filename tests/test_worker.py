"""The worker says in its log which rules are past their check date: when it starts, and once a day."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes.prometheus import FakePrometheus
from tests.receiver import Receiver

LAST_MINUTE = datetime(2027, 3, 1, 14, 59, tzinfo=UTC)  # 23:59 in Japan


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url) as receiver:
        yield receiver


def warnings(receiver: Receiver, now: datetime) -> list[Any]:
    receiver.clock.fixed = now
    with capture_logs() as logs:
        receiver.worker.step()
    return [log for log in logs if "check date" in log["event"]]


def test_it_warns_at_the_start_of_all_rules_that_are_overdue(receiver: Receiver) -> None:
    found = warnings(receiver, LAST_MINUTE + timedelta(days=30))
    assert {log["rules"] for log in found} >= {"near-miss", "deadlines", "guideline", "JP-TBA58-2026"}
    assert all((log["log_level"], log["check_by"]) == ("warning", "2027-03-01") for log in found)


def test_it_warns_once_on_each_day_in_japan_and_not_before_the_day_is_over(receiver: Receiver) -> None:
    after = [timedelta(0), timedelta(minutes=1), timedelta(hours=12), timedelta(hours=24), timedelta(hours=24, minutes=1)]
    assert [bool(warnings(receiver, LAST_MINUTE + passed)) for passed in after] == [False, True, False, False, True]
