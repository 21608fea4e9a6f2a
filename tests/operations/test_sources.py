"""Where a backtest takes the past from: the rules' own series, a file, the store of a receiver."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.catalogue import Catalogue, Service
from receiver.observation import past
from receiver.observation.past import PastPrometheus
from receiver.operations import sources
from receiver.operations.sources import Unreadable
from receiver.settings import PrometheusSettings
from receiver.storage import notifications
from receiver.storage.database import Database
from tests import backfilled

SINCE = datetime(2026, 11, 1, 0, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=10)
CATALOGUE = Catalogue((Service(name="data", kind="internet_access", match=('service="data"',)),))
# by equipment: when it fires (hours), evaluated once a minute
FIRED = {
    "early-1": [(-5.0, 1.0)],
    "gone-1": [(-9.0, -8.0)],
    "short-1": [(30.0, 30.2)],
    "once-1": [(40.0, 40.0)],
    "unseen-1": [(50.0, 50.2), (60.0, 60.5)],  # Prometheus stood still in between: no end was marked
    "long-1": [(150.0, 190.0)],  # over the edge of what is read at once
    "still-1": [(239.0, 300.0)],
}


def at(hours: float) -> datetime:
    return SINCE + timedelta(hours=hours)


def series() -> str:
    lines = []
    for equipment, spans in FIRED.items():
        labels = f'alertname="Down",alertstate="firing",equipment="{equipment}",service="data"'
        for begins, ends in spans:
            moments = (at(begins).timestamp() + 60 * minute for minute in range(round((ends - begins) * 60) + 1))
            lines += [f"ALERTS{{{labels}}} 1 {moment:.3f}" for moment in moments]
    other = 'ALERTS{alertname="Down",alertstate="firing",equipment="x",service="other"} 1'
    lines += [f"{other} {at(3).timestamp():.3f}", f"{other.replace('firing', 'pending')} {at(3).timestamp():.3f}"]
    return "\n".join([*sorted(lines, key=lambda line: line.split("}")[0]), "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PastPrometheus]:
    with backfilled.server(tmp_path_factory.mktemp("alerts"), series(), "--storage.tsdb.retention.time=100y") as url:
        client = PastPrometheus(PrometheusSettings(url=url), timedelta(seconds=15))
        client.present = UNTIL
        yield client
        client.close()


def test_the_rules_own_series_tell_when_each_alert_fired_and_was_over(prometheus: PastPrometheus) -> None:
    found = [(dict(one.labels)["equipment"], one.first, one.ended_at) for one in past.fired(prometheus, CATALOGUE, SINCE, UNTIL)]
    minute = timedelta(minutes=1)
    assert found == [
        ("early-1", at(-5), at(1) + minute),
        ("short-1", at(30), at(30.2) + minute),
        ("once-1", at(40), at(40) + minute),
        ("unseen-1", at(50), at(60.5) + minute),
        ("long-1", at(150), at(190) + minute),
        ("still-1", at(239), None),
    ]


def test_they_become_what_alertmanager_would_have_sent_at_once(prometheus: PastPrometheus) -> None:
    told = sources.of_rules(prometheus, CATALOGUE, SINCE, UNTIL)
    said = [
        (one.received_at, alert["labels"]["equipment"], alert["status"]) for one in told for alert in json.loads(one.body)["alerts"]
    ]
    # what fired before is told at the beginning
    assert said[:3] == [
        (SINCE, "early-1", "firing"),
        (at(1) + timedelta(minutes=1), "early-1", "resolved"),
        (at(30), "short-1", "firing"),
    ]
    assert len(said) == 11
    assert {one.learnt for one in told} == {"rule_series"}


def test_the_fingerprint_is_that_of_alertmanager() -> None:
    recorded = Path(__file__).parents[1] / "data" / "alertmanager" / "alertmanager-0.28.1"
    for alert in json.loads((recorded / "10-hundred-alerts.json").read_text())["alerts"]:
        assert past.fingerprint(alert["labels"].items()) == alert["fingerprint"]


BODY: dict[str, Any] = {
    "version": "4",
    "alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "startsAt": "2026-11-01T00:00:00Z"}],
}


def line(**changes: Any) -> str:
    return json.dumps({"received_at": "2026-11-01T09:00:00+09:00", "source": "alertmanager", "body": BODY} | changes)


def test_a_file_of_notifications_is_read_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    file = tmp_path / "told.jsonl"
    file.write_text("\n".join([line(received_at="2026-11-02T00:00:00Z"), "", line(body=json.dumps(BODY))]))
    found = sources.of_file(file)
    assert [one.received_at for one in found] == [SINCE, SINCE + timedelta(days=1)]
    assert [json.loads(one.body) for one in found] == [BODY, BODY]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{", "file: the JSON ends too early. Write one whole JSON object on each line"),
        (line(received_at="2026-11-01T09:00:00"), "received_at: is a time without a zone. Write when it came, with a zone: 2026-"),
        (line(received_at="today"), "received_at: is no time. Write when it came, with a zone: 2026-"),
        (line(source="pager"), "source: cannot be 'pager'. Write alertmanager or grafana"),
        (line(source="person"), "source: acts of persons are not replayed. Write alertmanager or grafana"),
        (line(body={"version": "4"}), "body.alerts: no webhook body of alertmanager: required key is missing"),
        (line(body="{"), "body: no webhook body of alertmanager: the JSON ends too early. Write what the webhook sent"),
        (line(**{"more\x1b[31m": 1}), "more?[31m: unknown key `more?[31m`. Known keys are received_at, source, body"),
        ('{"source": "grafana"}', "received_at: required key is missing"),
        (line(body="\ud800"), "file: the JSON ends too early"),
        ("\x00" * 10, "file: it is no JSON"),
        ("[" * 100_000, "file: "),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(tmp_path: Path, wrong: str, said: str) -> None:
    file = tmp_path / "told.jsonl"
    file.write_text(f"{line()}\n{wrong}\n")
    with pytest.raises(Unreadable) as refused:
        sources.of_file(file)
    assert str(refused.value).startswith(f"{file}:2: {said}")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "told.jsonl").write_text("\n")
    with pytest.raises(Unreadable, match="no notification"):
        sources.of_file(tmp_path / "told.jsonl")


def test_what_a_receiver_took_in_is_replayed_without_what_it_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/art58.db")
    database.migrate()
    with database.inbox.write() as connection:
        for day in (3, 1, 2, 4):
            notifications.add(connection, "alertmanager", SINCE + timedelta(days=day), f"body {day}".encode())
        notifications.refuse(connection, "alertmanager", SINCE + timedelta(days=2), b"wrong", "it is wrong")
    between = sources.of_database(database, SINCE + timedelta(days=1), SINCE + timedelta(days=3))
    assert [one.body for one in between] == [b"body 1", b"body 2", b"body 3"]
    assert len(sources.of_database(database, None, None)) == 4
    database.close()
