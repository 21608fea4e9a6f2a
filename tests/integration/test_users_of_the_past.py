"""With a real Prometheus: an outage that was over before anybody asked how many users it hit, while its alert still fires."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.catalogue import Catalogue, Service
from receiver.storage import notifications
from tests import backfilled
from tests.receiver import Receiver

pytestmark = pytest.mark.live_prometheus

RELAY = Service(name="relay", kind="voice", emergency_calls=False, match=('service="relay"',))


def history(now: datetime, *, hit: bool, away: bool) -> str:
    """Each minute of two hours: down for 67 minutes, up for the last three. `away`: of that time nothing was kept."""
    found: dict[str, list[str]] = {}
    for minute in range(-120, 5):
        down = -70 <= minute < -3
        if down and away:
            continue
        at = int((now + timedelta(minutes=minute)).timestamp())
        its = {
            'art58:users_unable{service="relay",equipment="core-1"}': 150_000 * (down and hit),
            'art58:users_under_equipment{service="relay",equipment="core-1"}': 200_000,
            'art58:equipment_up{equipment="core-1"}': int(not (down and hit)),
        }
        for series, value in its.items():
            found.setdefault(series.partition("{")[0], []).append(f"{series} {value} {at}")
    return "\n".join([*(line for name, its in found.items() for line in (f"# TYPE {name} gauge", *its)), "# EOF", ""])


def first_seen(folder: Path, **of: Any) -> dict[str, Any]:
    now = datetime.fromtimestamp(int(time.time()), UTC)
    with backfilled.server(folder, history(now, **of)) as url, Receiver(folder, url, catalogue=Catalogue((RELAY,))) as receiver:
        labels = {"alertname": "Down", "service": "relay", "equipment": "core-1"}
        one = {
            "status": "firing",
            "labels": labels,
            "annotations": {},
            "startsAt": now - timedelta(minutes=69),
            "fingerprint": "f1",
        }
        with receiver.database.inbox.write() as connection:
            body = msgspec.json.encode({"version": "4", "status": "firing", "alerts": [one]})
            notifications.add(connection, "alertmanager", now, body)
        receiver.worker.step()
        (incident,) = receiver.incidents()
        (impact,) = incident["impacts"]
        return {"state": incident["state"], **impact}


@pytest.mark.parametrize(
    ("hit", "away", "told"),
    [
        (True, False, ("major", 150_000, True)),
        (True, True, ("indeterminate", 200_000, False)),
        (False, False, ("none", 0, True)),
    ],
    ids=["receiver away", "Prometheus away", "wrong alert"],
)
def test_the_users_of_the_failure_count_and_not_those_of_now(
    tmp_path: Path, hit: bool, away: bool, told: tuple[str, int, bool]
) -> None:
    impact = first_seen(tmp_path, hit=hit, away=away)
    assert impact["state"] == "open"
    assert (impact["verdict"], impact["affected_users"], impact["measured"]) == told
