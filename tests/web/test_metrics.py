"""/metrics has every series that the rules and the dashboard ask the receiver for, with the labels they name."""

import json
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, select

from receiver import worker
from receiver.law.verdict import Verdict
from receiver.model import Delivery, Remembered
from receiver.observation.prometheus import Prometheus, QueryFailed
from receiver.settings import PrometheusSettings
from receiver.storage import deliveries, heartbeat, notifications
from receiver.storage.tables import assessments, incidents
from tests.apps import BEARER, App, incident
from tests.samples import ASSESSED_AT, RESTORED_AT, STARTED_AT, assessment

pytestmark = pytest.mark.usefixtures("each_store")

ROOT = Path(__file__).parents[2]
ADDED_BY_PROMETHEUS = {"job", "instance"}


def strings(document: Any, key: str) -> Iterator[str]:
    """Every text under `key`, however deep."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == key and isinstance(value, str):
                yield value
            yield from strings(value, key)
    elif isinstance(document, list):
        for value in document:
            yield from strings(value, key)


DOCUMENTS = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "rules").glob("*.rules.yml"))]
DOCUMENTS.append(json.loads((ROOT / "grafana-dashboards" / "art58.json").read_text()))
QUERIES = sorted({query for document in DOCUMENTS for query in strings(document, "expr") if "art58_" in query})


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def families(app: App) -> dict[str, Metric]:
    """What a scrape finds; every family stands there once."""
    response = app.client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=")
    found = list(text_string_to_metric_families(response.get_data(as_text=True)))
    assert len(found) == len({family.name for family in found})
    return {family.name: family for family in found}


def samples(app: App, name: str) -> dict[tuple[str, ...], float]:
    """The values of one series by the values of its labels, these in the order of their names."""
    every = (sample for family in families(app).values() for sample in family.samples if sample.name == name)
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in every}


def fill(app: App) -> None:
    """An open, a recovering and a closed incident, one delivery in every state, queries that failed."""
    app.keep(incident(), assessment())
    app.keep(
        incident(id="inc-2", cause="c2", state="recovering", restored_at=RESTORED_AT),
        assessment(incident_id="inc-2", verdict=Verdict.NONE, affected_users=None, major_since=None, major_expected_at=None),
    )
    app.keep(incident(id="inc-3", cause="c3", state="closed"), assessment(incident_id="inc-3"))
    with app.database.write() as connection:
        for target in ("owed", "claimed", "sent", "dead"):
            row = Delivery("inc-1", target, "ticket", 1, 0, "owed", 0, ASSESSED_AT)
            deliveries.want(connection, row)
        for target in ("claimed", "sent", "dead"):
            assert deliveries.claim(connection, target, "h", ASSESSED_AT)
        row = Delivery("inc-1", "sent", "ticket", 1, 0, "owed", 0, ASSESSED_AT)
        deliveries.record_sent(connection, row, "h", 1, Remembered(), ASSESSED_AT)
        row = Delivery("inc-1", "dead", "ticket", 1, 0, "owed", 0, ASSESSED_AT)
        deliveries.record_failed(connection, row, "h", "no", "dead", ASSESSED_AT)
        heartbeat.beat(connection, "tick", ASSESSED_AT)
    with app.database.inbox.write() as connection:
        notifications.add(connection, "alertmanager", ASSESSED_AT, b"{}")
        notifications.refuse(connection, "alertmanager", ASSESSED_AT, b"{}", "wrong")
    assert app.client.post("/webhook/alertmanager", data=b"{}", headers=BEARER).status_code == 400
    worker.TICK_SECONDS.observe(0.1)


def test_the_rules_and_the_dashboard_ask_the_receiver_something() -> None:
    assert len(QUERIES) >= 15


@pytest.mark.parametrize("query", QUERIES)
def test_every_name_and_label_a_query_asks_for_is_there(app: App, query: str) -> None:
    fill(app)
    found: dict[str, list[dict[str, str]]] = {}
    for family in families(app).values():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    names = set(re.findall(r"\bart58_\w+", query))
    assert names <= set(found)
    for name, matchers in re.findall(r"(\bart58_\w+)\{([^}]*)\}", query):
        for label, sign, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
            values = {labels[label] for labels in found[name]}
            asked = set(value.split("|")) if "~" in sign else {value}
            assert asked <= values
    known = {label for name in names for labels in found[name] for label in labels} | ADDED_BY_PROMETHEUS
    for labels in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", query):
        assert set(re.findall(r"\w+", labels)) <= known


def test_the_impacts_of_living_incidents_are_told_with_figures_a_clock_can_be_set_by(app: App) -> None:
    fill(app)
    both = {("inc-1", "voice"), ("inc-2", "voice")}
    started, limit = STARTED_AT.timestamp(), (STARTED_AT + timedelta(hours=1)).timestamp()
    assert samples(app, "art58_impact_affected_users") == {("inc-1", "true", "direct", "voice"): 42_000}
    assert samples(app, "art58_impact_users_threshold") == dict.fromkeys(both, 30_000)
    assert samples(app, "art58_impact_failure_started_timestamp_seconds") == dict.fromkeys(both, started)
    assert samples(app, "art58_impact_major_timestamp_seconds") == {("inc-1", "voice"): limit}
    assert samples(app, "art58_impact_verdict") == {("inc-1", "voice", "major"): 1, ("inc-2", "voice", "none"): 1}


def test_an_expected_threshold_is_told_before_it_is_reached(app: App) -> None:
    expected = ASSESSED_AT + timedelta(minutes=5)
    app.keep(incident(), assessment(major_since=None, major_expected_at=expected))
    assert samples(app, "art58_impact_major_timestamp_seconds") == {("inc-1", "voice"): expected.timestamp()}


def test_only_the_newest_assessment_of_a_service_is_told(app: App) -> None:
    app.keep(
        incident(), assessment(number=1), assessment(number=2, verdict=Verdict.PERIODIC, affected_users=31_000, measured=False)
    )
    assert samples(app, "art58_impact_verdict") == {("inc-1", "voice", "periodic"): 1}
    assert samples(app, "art58_impact_affected_users") == {("inc-1", "false", "direct", "voice"): 31_000}


def test_the_store_is_told_as_it_is_now(app: App) -> None:
    assert samples(app, "art58_incidents") == {("open",): 0, ("recovering",): 0, ("closed",): 0}
    assert samples(app, "art58_tick_last_timestamp_seconds") == {}
    fill(app)
    assert samples(app, "art58_incidents") == {("open",): 1, ("recovering",): 1, ("closed",): 1}
    assert samples(app, "art58_deliveries") == {(state, state): 1 for state in ("owed", "claimed", "sent", "dead")}
    assert samples(app, "art58_notifications_waiting") == {(): 1}
    assert samples(app, "art58_tick_last_timestamp_seconds") == {(): ASSESSED_AT.timestamp()}


def test_label_values_from_outside_cannot_break_the_text(app: App) -> None:
    hostile = 'a"b\\c\nd{e="f"} 1'
    app.keep(incident(id=hostile), assessment(incident_id=hostile, service=hostile))
    assert samples(app, "art58_impact_verdict") == {(hostile, hostile, "major"): 1}


def test_queries_that_failed_are_counted(app: App) -> None:
    def counted() -> dict[tuple[str, ...], float]:
        return samples(app, "art58_queries_total")

    before = counted()
    prometheus = Prometheus(PrometheusSettings(url="http://127.0.0.1:9", timeout_seconds=1))
    with pytest.raises(QueryFailed):
        prometheus.instant("up")
    prometheus.close()
    # "ok" is there before the first: an increase needs something to increase from
    assert counted() == {("ok",): before["ok",], ("failed",): before["failed",] + 1}


@pytest.mark.parametrize("each_store", ["sqlite"], indirect=True)
def test_what_several_processes_counted_is_told_as_one(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    counting = """if True:
        from receiver.intake import NOTIFICATIONS
        from receiver.observation.prometheus import QUERIES
        from receiver.worker import TICK_SECONDS
        NOTIFICATIONS.labels("grafana", "stored").inc(2)
        TICK_SECONDS.observe(0.3)
    """
    running = [subprocess.Popen([sys.executable, "-c", counting], cwd=ROOT) for _ in range(2)]
    assert [process.wait(20) for process in running] == [0, 0]

    fill(app)
    assert samples(app, "art58_notifications_total") == {("stored", "grafana"): 4}
    assert samples(app, "art58_tick_seconds_count") == {(): 2}
    assert samples(app, "art58_queries_total") == {("ok",): 0, ("failed",): 0}
    assert samples(app, "art58_incidents") == {("open",): 1, ("recovering",): 1, ("closed",): 1}


def test_ten_thousand_living_incidents_are_told_in_little_more_memory_than_their_text(app: App) -> None:
    app.keep(incident(), assessment())
    with app.database.write() as connection:
        for table, key in ((incidents, "id"), (assessments, "incident_id")):
            row = connection.execute(select(table)).one()._asdict()
            more = [row | {key: f"inc-{n}"} | ({"cause": f"c{n}"} if key == "id" else {}) for n in range(2, 10_001)]
            connection.execute(insert(table), more)
    tracemalloc.start()
    try:
        text = app.client.get("/metrics").get_data()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert text.count(b"\nart58_impact_verdict{") == 10_000
    assert most < 5 * len(text)


def test_a_store_that_cannot_be_read_gives_no_half_figures(app: App) -> None:
    app.lose_store()
    assert app.client.get("/metrics").status_code == 503
