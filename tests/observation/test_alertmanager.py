"""What is active at real Alertmanagers, and what becomes of the question where one of them misbehaves."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from prometheus_client import REGISTRY

from examples import peers
from receiver.observation.alertmanager import Active, ask
from receiver.settings import AlertmanagerSettings, BasicUser, SecretRef
from tests.fakes.faults import FakeServer
from tests.programs import PEERS

DEAD = "http://127.0.0.1:9"
CONFIG = {
    "route": {"receiver": "nobody"},
    "receivers": [{"name": "nobody"}],
    "inhibit_rules": [{"source_matchers": ['node="above"'], "target_matchers": ['node="below"']}],
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[peers.Alertmanager, peers.Alertmanager]]:
    """Two that know nothing of one another."""
    folder = tmp_path_factory.mktemp("pair")
    with peers.Alertmanager(PEERS, folder / "a", CONFIG) as one, peers.Alertmanager(PEERS, folder / "b", CONFIG) as other:
        yield one, other


def post(server: peers.Server, path: str, document: Any) -> None:
    peers.fetch(f"{server.url}/api/v2/{path}", {"Content-Type": "application/json"}, json.dumps(document).encode())


def fire(server: peers.Server, started: datetime, ended: datetime | None = None, **labels: str) -> None:
    alert = {"labels": {"alertname": "Down", **labels}, "annotations": {"summary": "<b>"}, "startsAt": started.isoformat()}
    post(server, "alerts", [alert | ({"endsAt": ended.isoformat()} if ended else {})])


def settings(*urls: str, **more: Any) -> tuple[AlertmanagerSettings, ...]:
    # on a busy machine an answer takes its time
    return tuple(AlertmanagerSettings(url=url, **({"timeout_seconds": 10} | more)) for url in urls)


def of(found: dict[str, Active], node: str) -> Active | None:
    return next((alert for alert in found.values() if alert.labels.get("node") == node), None)


def saying(document: Any) -> Flask:
    """An Alertmanager that tells this."""
    app = Flask(__name__)
    app.add_url_rule("/api/v2/alerts", view_func=lambda: jsonify(document))
    return app


NOW = datetime.now(UTC).replace(microsecond=0)


def test_all_have_together_what_one_has_and_the_earlier_start_counts(pair: tuple[peers.Alertmanager, peers.Alertmanager]) -> None:
    one, other = pair
    fire(one, NOW - timedelta(minutes=5), node="one")
    fire(other, NOW - timedelta(minutes=4), node="other")
    fire(one, NOW - timedelta(minutes=2), node="both")
    fire(other, NOW - timedelta(minutes=3), node="both")
    fire(other, NOW - timedelta(minutes=3), NOW - timedelta(minutes=1), node="over")
    heard = ask(settings(one.url, other.url + "/"))
    assert heard.problems == {}
    nodes = {alert.labels["node"]: alert.starts_at for alert in heard.active.values()}
    assert nodes["one"] == NOW - timedelta(minutes=5)
    assert nodes["both"] == NOW - timedelta(minutes=3)
    assert "other" in nodes
    assert "over" not in nodes
    assert all(fingerprint == alert.fingerprint for fingerprint, alert in heard.active.items())


def test_the_later_news_of_an_alert_count_and_what_inhibits_it_at_either() -> None:
    def told(updated: str, *inhibited_by: str) -> Flask:
        alert = {"fingerprint": "a", "labels": {"node": "x"}, "startsAt": "2026-11-21T03:00:00Z", "updatedAt": updated}
        return saying([alert | {"status": {"inhibitedBy": inhibited_by}}])

    with (
        FakeServer(told("2026-11-21T03:01:00Z", "b")) as one,
        FakeServer(told("2026-11-21T03:09:00Z", "c")) as two,
        FakeServer(told("2026-11-21T03:05:00Z")) as three,
    ):
        (alert,) = ask(settings(one.url, two.url, three.url)).active.values()
    assert alert.updated_at == datetime(2026, 11, 21, 3, 9, tzinfo=UTC)
    assert alert.inhibited_by == ("b", "c")


def test_silenced_and_inhibited_ones_are_active_and_it_is_known_what_inhibits(
    pair: tuple[peers.Alertmanager, peers.Alertmanager],
) -> None:
    one, _ = pair
    matcher = {"name": "node", "value": "silent", "isRegex": False, "isEqual": True}
    silence = {"startsAt": NOW.isoformat(), "endsAt": (NOW + timedelta(hours=1)).isoformat(), "createdBy": "t", "comment": "t"}
    post(one, "silences", silence | {"matchers": [matcher]})
    for node in ("silent", "above", "below"):
        fire(one, NOW - timedelta(minutes=1), node=node)

    def below() -> Active | None:
        alert = of(ask(settings(one.url)).active, "below")
        return alert if alert and alert.inhibited_by else None

    found = peers.wait_until("the inhibition", below, 10)
    heard = ask(settings(one.url)).active
    above = of(heard, "above")
    assert above
    assert found.inhibited_by == (above.fingerprint,)
    assert of(heard, "silent")


FAULTS = {
    "html_500": "answered 500",
    "status": "answered 500",
    "429": "answered 429",
    "redirect": "answered 302",
    "not_json": "something else than its alerts",
    "empty_json": "something else than its alerts",
    "endless": "did not answer within 0.5 s",
    "timeout_after_work": "did not answer within 0.5 s",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_that_misbehaves_is_told_and_takes_nothing_from_the_others(
    pair: tuple[peers.Alertmanager, peers.Alertmanager], fault: Any
) -> None:
    one, _ = pair
    fire(one, NOW, node="well")
    with FakeServer(saying([])) as bad:
        bad.fail(fault, status=429 if fault == "429" else 500)
        heard = ask((*settings(bad.url, timeout_seconds=0.5), *settings(one.url, DEAD)))
        assert FAULTS[fault] in heard.problems[bad.url]
        assert "cannot be reached" in heard.problems[DEAD]
        assert of(heard.active, "well")
        up = {url: REGISTRY.get_sample_value("art58_alertmanager_up", {"endpoint": url}) for url in (bad.url, one.url, DEAD)}
        assert up == {bad.url: 0, one.url: 1, DEAD: 0}
        assert ask(settings(bad.url)).problems == {}


BAD = {
    "no fingerprint": {"fingerprint": ""},
    "labels that are no texts": {"labels": {"a": 1}},
    "no time": {"startsAt": "yesterday"},
    "time without a zone": {"startsAt": "2026-11-21T03:00:00"},
}


@pytest.mark.parametrize("wrong", BAD)
def test_an_answer_that_is_wrong_in_part_is_none(wrong: str) -> None:
    good = {"fingerprint": "a", "labels": {}, "startsAt": "2026-11-21T03:00:00Z", "updatedAt": "2026-11-21T03:00:00Z"}
    with FakeServer(saying([good, good | BAD[wrong]])) as server:
        heard = ask(settings(server.url))
    assert (heard.active, len(heard.problems)) == ({}, 1)


def test_more_than_64_mib_are_refused() -> None:
    app = Flask(__name__)
    app.add_url_rule("/api/v2/alerts", view_func=lambda: Response(b" " * 1024 * 1024 for _ in range(70)))
    with FakeServer(app) as server:
        heard = ask(tuple(AlertmanagerSettings(url=server.url, timeout_seconds=20) for _ in "1"))
    assert "more than 64 MiB" in heard.problems[server.url]


def test_all_are_asked_at_once_so_that_slow_ones_together_take_as_long_as_one() -> None:
    with FakeServer(saying([])) as one, FakeServer(saying([])) as two, FakeServer(saying([])) as three:
        for server in (one, two, three):
            server.fail("timeout_after_work")
        begun = time.monotonic()
        heard = ask(settings(one.url, two.url, three.url, timeout_seconds=0.5))
        assert len(heard.problems) == 3
        assert time.monotonic() - begun < 1.4


def test_it_is_asked_with_what_the_settings_say(tmp_path: Path) -> None:
    seen: list[Any] = []

    def alerts() -> Response:
        seen.append((dict(request.headers), request.args.to_dict()))
        return jsonify([])

    app = Flask(__name__)
    app.add_url_rule("/mimir/api/v2/alerts", view_func=alerts)
    (tmp_path / "secret").write_text("s3cret")
    ref = SecretRef(file=str(tmp_path / "secret"))
    with FakeServer(app) as server:
        ask(settings(server.url + "/mimir", bearer_token=ref, headers={"X-Scope-OrgID": "tenant-1"}))
        ask(settings(server.url + "/mimir", basic=BasicUser("noc", ref)))
    (first, asked), (second, _) = seen
    assert (first["Authorization"], first["X-Scope-Orgid"]) == ("Bearer s3cret", "tenant-1")
    assert second["Authorization"] == "Basic bm9jOnMzY3JldA=="
    assert asked == dict.fromkeys(("active", "silenced", "inhibited", "unprocessed"), "true")


def test_nobody_to_ask_is_no_problem() -> None:
    assert ask(()).problems == {}
