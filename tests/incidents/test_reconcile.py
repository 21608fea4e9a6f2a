"""What was never sent is found: at Alertmanager's API and in the history of a real Prometheus, once, and nothing is concluded from
silence. Real Alertmanagers and live rules: tests/integration/test_cluster.py.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask, Response, jsonify
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from examples import peers
from receiver.incidents import reconcile
from receiver.incidents.reconcile import SILENT_TIMES
from receiver.model import Alert, Incident
from receiver.observation import rule_series
from receiver.observation.past import fingerprint
from receiver.settings import AlertmanagerSettings
from receiver.storage import heartbeat, notifications
from receiver.storage import incidents as store
from receiver.storage.notifications import table as bodies
from tests import backfilled
from tests.fakes.faults import FakeServer
from tests.fakes.prometheus import FakePrometheus
from tests.programs import PEERS
from tests.receiver import Receiver

pytestmark = pytest.mark.usefixtures("each_store")

# the rules are evaluated live: their last evaluation lies after all samples
NOW = int(time.time()) // 15 * 15 - 15
T = datetime.fromtimestamp(NOW, UTC)
DEAD = "http://127.0.0.1:9"
EAST = {"cluster": "east"}
WEST = {"cluster": "west"}


def moment(before: float) -> datetime:
    return T - timedelta(seconds=before)


STRETCHES = {  # of equipment, seconds before NOW
    "came-and-went": (2400, 1800),
    "long-ago": (19990, 19000),
    "fires": (300, 0),
    "fires-for-long": (30000, 0),
    "ended": (3600, 600),
    "gone-rule": (3600, 600),
}


def history() -> str:
    lines = ["# TYPE ALERTS gauge"]
    for equipment, (begin, end) in STRETCHES.items():
        name = "Deleted" if equipment == "gone-rule" else "Down"
        for service in ("voice", "television"):
            series = f'ALERTS{{alertname="{name}",alertstate="firing",service="{service}",equipment="{equipment}"}}'
            lines += [f"{series} 1 {NOW - begin + 15 * n}" for n in range((begin - end) // 15 + 1)]
    lines += ["# TYPE ALERTS_FOR_STATE gauge"]
    series = 'ALERTS_FOR_STATE{alertname="Down",service="voice",equipment="fires-for-long"}'
    lines += [f"{series} {NOW - 30060} {NOW - 30000 + 15 * n}" for n in range(30000 // 15 + 1)]
    return "\n".join([*lines, "# EOF\n"])


def server(folder: Path, *flags: str) -> peers.Prometheus:
    """Remembers the history; has the rule Down, which does not fire any more, and lacks the rule Deleted."""
    with backfilled.prometheus(folder, history()):
        pass
    rule = {"alert": "Down", "expr": "vector(1) > 2"}
    (folder / "rules.json").write_text(json.dumps({"groups": [{"name": "g", "interval": "250ms", "rules": [rule]}]}))
    config = {"global": {"external_labels": EAST}, "rule_files": [str(folder / "rules.json")]}
    return peers.Prometheus(PEERS, folder, config, folder / "data", flags=flags)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Prometheus]:
    # what is backfilled has no marks of its end: shown for so short it looks marked
    with server(tmp_path_factory.mktemp("prometheus"), "--query.lookback-delta=10s") as running:
        yield running


class Peer(FakeServer):
    """An Alertmanager that says what the test says."""

    def __init__(self, *alerts: dict[str, Any]) -> None:
        self.alerts = list(alerts)
        app = Flask(__name__)
        app.add_url_rule("/api/v2/alerts", view_func=self._tell)
        super().__init__(app)

    def _tell(self) -> Response:
        return jsonify(self.alerts)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


class House(Receiver):
    """A receiver whose clock stands still just after NOW."""

    def __init__(self, folder: Path, prometheus_url: str, *peers: str, **changes: Any) -> None:
        alertmanagers = tuple(AlertmanagerSettings(url=url, timeout_seconds=1) for url in peers)
        super().__init__(folder, prometheus_url, alertmanagers=alertmanagers, **changes)
        self.clock.fixed = T + timedelta(seconds=1)

    def look(self, times: int = 1) -> None:
        """Reconcile and derive; a minute later each time."""
        for _ in range(times):
            self.worker.reconcile(self.clock())
            self.derive()

    def derive(self) -> None:
        while self.received():
            self.worker._derive()

    def hears(self, *alerts: dict[str, Any], said_at: datetime | None = None, **more: Any) -> None:
        """A webhook."""
        body = msgspec.json.encode({"version": "4", "alerts": alerts, **more})
        with self.database.inbox.write() as connection:
            notifications.add(connection, "alertmanager", said_at or self.clock(), body)

    def alerts(self, equipment: str) -> list[Alert]:
        with self.database.read() as connection:
            found = store.about_services(connection, T - timedelta(days=30))
        return sorted((a for a in found if a.labels.get("equipment") == equipment), key=lambda a: a.starts_at)

    def alert(self, equipment: str) -> Alert:
        (one,) = self.alerts(equipment)
        return one

    def incident(self, equipment: str) -> Incident:
        with self.database.read() as connection:
            found = store.get(connection, self.alert(equipment).incident_id or "")
        assert found
        return found

    def found(self) -> int:
        """Bodies that were not sent to us."""
        with self.database.inbox.read() as connection:
            return len(connection.execute(bodies.select().where(bodies.c.learnt != "webhook")).all())

    def up_to(self) -> datetime | None:
        with self.database.read() as connection:
            return heartbeat.last(connection, reconcile.NAME)


@pytest.fixture
def house(tmp_path: Path, prometheus: peers.Prometheus, peer: Peer) -> Iterator[House]:
    with House(tmp_path, prometheus.url, peer.url) as house:
        yield house


def labels_of(equipment: str, service: str = "voice", name: str = "Down", external: dict[str, str] = EAST) -> dict[str, str]:
    return {"alertname": name, "service": service, "equipment": equipment} | external


def sent(
    equipment: str, before: float, end: float | None = None, name: str = "Down", external: dict[str, str] = EAST
) -> dict[str, Any]:
    """An alert as Alertmanager writes it in a webhook."""
    labels = labels_of(equipment, name=name, external=external)
    return {
        "status": "firing" if end is None else "resolved",
        "labels": labels,
        "annotations": {"summary": "sent"},
        "startsAt": moment(before).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z" if end is None else moment(end).isoformat(),
        "fingerprint": fingerprint(labels.items()),
    }


def active(equipment: str, before: float, updated: float = 0, service: str = "voice", **more: Any) -> dict[str, Any]:
    """An alert as Alertmanager's API tells it."""
    labels = labels_of(equipment, service)
    return {
        "fingerprint": fingerprint(labels.items()),
        "labels": labels,
        "annotations": {"summary": "told"},
        "startsAt": moment(before).isoformat(),
        "updatedAt": moment(updated).isoformat(),
        "endsAt": moment(-240).isoformat(),
        "generatorURL": "http://prometheus.example",
        "receivers": [{"name": "other"}],
        "status": {"state": "active", "inhibitedBy": [], "silencedBy": []},
        **more,
    }


# --- the rules' series ----------------------------------------------------------------------------------------------------------


def test_what_fired_and_was_over_before_anybody_heard_is_found_to_the_second(house: House) -> None:
    house.look()
    one = house.alert("came-and-went")
    assert (one.starts_at, one.ends_at, one.learnt) == (moment(2400), moment(1785), "rule_series")
    assert one.labels == labels_of("came-and-went")
    assert one.fingerprint == fingerprint(labels_of("came-and-went").items())
    assert house.alert("long-ago").ends_at == moment(18985)  # within six hours
    assert house.alerts("television") == []


def test_run_again_it_finds_nothing(house: House) -> None:
    house.look()
    before = house.found()
    assert before > 0
    house.look(3)
    assert house.found() == before


def test_what_fires_and_was_never_sent_is_found_firing_since_its_condition_held(house: House) -> None:
    house.look()
    assert (house.alert("fires").starts_at, house.alert("fires").ends_at) == (moment(300), None)
    assert house.alert("fires-for-long").starts_at == moment(30060)  # six hours back it fired already


def test_what_was_sent_is_no_news(house: House) -> None:
    house.hears(sent("came-and-went", 2400, 1785), sent("fires", 300))
    house.derive()
    house.look()
    for equipment in ("came-and-went", "fires"):
        assert (house.alert(equipment).learnt, house.alert(equipment).annotations) == ("webhook", {"summary": "sent"})


def test_two_starts_of_one_stretch_are_known_by_either(house: House) -> None:
    """The partner of our Prometheus was a little later."""
    house.hears(sent("came-and-went", 2390, 1780))
    house.derive()
    house.look()
    assert [alert.starts_at for alert in house.alerts("came-and-went")] == [moment(2390)]


def test_an_end_that_nobody_told_of_is_found(house: House) -> None:
    house.hears(sent("ended", 3600))
    house.derive()
    assert house.alert("ended").ends_at is None
    house.look()
    assert (house.alert("ended").starts_at, house.alert("ended").ends_at) == (moment(3600), moment(585))


def test_an_end_before_the_time_that_is_read_is_looked_up(house: House) -> None:
    with house.database.write() as connection:
        heartbeat.beat(connection, reconcile.NAME, T)
    house.hears(sent("ended", 3600), sent("long-ago", 19990), sent("unknown", 20000))
    house.derive()
    house.look()
    assert house.alert("ended").ends_at == moment(585)
    assert house.alert("long-ago").ends_at == moment(18985)
    assert house.alert("unknown").ends_at is None


def test_an_earlier_end_does_not_end_what_fires_anew(house: House) -> None:
    house.hears(sent("ended", 10))
    house.derive()
    with capture_logs() as logs:
        house.look()
    assert house.alerts("ended")[-1].ends_at is None
    assert "cannot be kept" not in str(logs)


def test_what_is_about_no_service_is_not_kept(tmp_path: Path) -> None:
    with FakePrometheus() as fake, House(tmp_path, fake.url) as house:
        fake.remembers("ALERTS", *((NOW - 15 * n, 1) for n in range(6)), alertname="Down", alertstate="firing", equipment="x")
        with house.database.write() as connection:
            heartbeat.beat(connection, reconcile.NAME, T)
        house.look()
        assert house.found() == 0


def test_what_an_alertmanager_still_has_is_not_over(house: House, peer: Peer) -> None:
    house.hears(sent("ended", 3600))
    house.derive()
    peer.alerts = [active("ended", 3600)]
    house.look()
    assert house.alert("ended").ends_at is None


@pytest.mark.parametrize("fault", ["html_500", "not_json", "timeout_after_work", "endless"])
def test_while_an_alertmanager_does_not_answer_nothing_is_over(house: House, peer: Peer, fault: Any) -> None:
    house.hears(sent("ended", 3600))
    house.derive()
    peer.fail(fault, times=1)
    with capture_logs() as logs:
        house.look()
    assert house.alert("ended").ends_at is None
    assert [log["where"] for log in logs if log["log_level"] == "warning" and "error" in log] == [peer.url]
    assert house.alert("came-and-went").ends_at  # all else is found
    house.look()
    assert house.alert("ended").ends_at == moment(585)


def test_one_dead_peer_keeps_nothing_from_being_found_at_the_others(
    tmp_path: Path, peer: Peer, prometheus: peers.Prometheus
) -> None:
    peer.alerts = [active("silent", 100)]
    with House(tmp_path, prometheus.url, DEAD, peer.url) as house:
        house.look()
        assert house.alert("silent").learnt == "alertmanager_api"


def test_an_end_is_not_believed_of_a_rule_that_is_gone(house: House) -> None:
    house.hears(sent("gone-rule", 3600, name="Deleted"))
    house.derive()
    house.look()
    assert house.alert("gone-rule").ends_at is None


def test_samples_that_just_stop_are_an_end_only_when_the_rule_was_evaluated_again(tmp_path: Path, peer: Peer) -> None:
    """Nobody knows when it was over: at the latest when its rule was next seen to be evaluated."""
    (tmp_path / "prometheus").mkdir()
    with server(tmp_path / "prometheus") as running, House(tmp_path, running.url, peer.url) as house:
        peers.wait_until("the rule to be evaluated", lambda: b'"health":"ok"' in peers.fetch(f"{running.url}/api/v1/rules"), 10)
        house.hears(sent("ended", 3600), sent("gone-rule", 3600, name="Deleted"))
        house.derive()
        house.look()
        ended = house.alert("ended").ends_at
        assert ended
        assert ended > T
        assert house.alert("gone-rule").ends_at is None


def test_a_gap_longer_than_the_first_look_back_is_read_whole(house: House) -> None:
    with house.database.write() as connection:
        heartbeat.beat(connection, reconcile.NAME, T - timedelta(hours=10))
    house.look()
    assert house.alert("fires-for-long").starts_at == moment(30000)


def test_without_a_mark_the_last_tick_tells_since_when_the_receiver_was_away(house: House) -> None:
    with house.database.write() as connection:
        heartbeat.beat(connection, "tick", T - timedelta(hours=10))
    house.look()
    assert house.alert("fires-for-long").starts_at == moment(30000)


def test_only_what_was_read_is_marked_as_read(house: House, prometheus: peers.Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_series, "MOST_SAMPLES", 200)
    monkeypatch.setattr(rule_series, "MOST_TOGETHER", 400)
    house.look()
    up_to = house.up_to()
    assert up_to
    assert up_to < T
    while (house.up_to() or T) < T:
        house.look()
    for equipment, end in (("came-and-went", 1785), ("long-ago", 18985), ("ended", 585)):
        assert [a.ends_at for a in house.alerts(equipment)] == [moment(end)]


def test_while_prometheus_does_not_answer_nothing_is_marked_as_read_and_later_all_is_found(
    tmp_path: Path, peer: Peer, prometheus: peers.Prometheus
) -> None:
    peer.alerts = [active("silent", 100)]
    with House(tmp_path, DEAD, peer.url) as house:
        house.look()
        assert house.alert("silent").learnt == "alertmanager_api"
        assert house.up_to() is None
        house.worker.assess(house.clock())
    with House(tmp_path, prometheus.url, peer.url) as house:
        house.look()
        assert house.alert("came-and-went").ends_at == moment(1785)


def test_the_worker_looks_before_its_first_tick_so_that_what_is_over_is_not_judged_as_if_it_lasted(house: House) -> None:
    house.hears(sent("ended", 3600), said_at=moment(3590))
    house.worker.step()
    (of_it,) = [one for one in house.incidents() if one["equipment"] == "ended"]
    assert {impact["duration_seconds"] for impact in of_it["impacts"]} == {3015}


# --- of several Prometheis -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our Prometheus does not show its configuration."""
    monkeypatch.setattr(rule_series, "external", lambda _: None)


def ends(house: House, equipment: str) -> dict[str | None, datetime | None]:
    """By cluster."""
    return {one.labels.get("cluster"): one.ends_at for one in house.alerts(equipment)}


@pytest.mark.parametrize("are_known", [False, True], ids=["unheard", "heard"])
@pytest.mark.parametrize("is_asked", [False, True], ids=["no Alertmanager", "Alertmanager"])
def test_our_series_ends_no_alert_of_another_prometheus(
    tmp_path: Path, prometheus: peers.Prometheus, peer: Peer, is_asked: bool, are_known: bool
) -> None:
    with House(tmp_path, prometheus.url, *[peer.url] * is_asked) as house:
        if are_known:
            house.hears(sent("fires", 300), sent("came-and-went", 2400, 1785))
        house.hears(sent("ended", 1800, external=WEST))
        house.derive()
        house.look(2)
        assert ends(house, "ended") == {"west": None, "east": moment(585)}  # ours was missed, and is none of theirs
        before = house.found()
        house.look(2)
        assert house.found() == before


def test_nor_does_one_that_is_looked_up(house: House) -> None:
    with house.database.write() as connection:
        heartbeat.beat(connection, reconcile.NAME, T)
    house.hears(sent("ended", 3600, external=WEST), sent("long-ago", 19990, external=WEST), sent("long-ago", 19990))
    house.derive()
    house.look()
    assert ends(house, "ended") == {"west": None}
    assert ends(house, "long-ago") == {"west": None, "east": moment(18985)}


def test_nor_does_our_series_let_an_alert_of_another_fire_on(house: House) -> None:
    house.hears(sent("fires-for-long", 30000, 600, external=WEST))
    house.derive()
    house.look()
    assert ends(house, "fires-for-long") == {"west": moment(600), "east": None}


def test_an_alert_that_lacks_an_external_label_is_ours_if_all_lack_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the members of a pair have to."""
    monkeypatch.setattr(rule_series, "external", lambda _: rule_series.External(EAST | {"replica": "a"}))
    house.hears(sent("ended", 3600), sent("long-ago", 19990, external=WEST))
    house.derive()
    house.look()
    assert ends(house, "ended") == {"east": moment(585)}
    assert ends(house, "long-ago") == {"west": None, "east": moment(18985)}
    assert house.alert("came-and-went").labels == labels_of("came-and-went")


@pytest.mark.usefixtures("hidden")
def test_of_a_hidden_prometheus_the_only_alert_with_the_labels_of_a_series_is_ended(house: House) -> None:
    house.hears(sent("ended", 3600))
    house.derive()
    house.look()
    assert ends(house, "ended") == {"east": moment(585)}


@pytest.mark.usefixtures("hidden")
def test_of_a_hidden_prometheus_nothing_is_ended_where_two_alerts_differ_by_external_labels_alone(house: House) -> None:
    house.hears(sent("ended", 3600), sent("ended", 3600, external=WEST))
    house.derive()
    house.look(2)
    assert ends(house, "ended") == {"east": None, "west": None}


@pytest.mark.usefixtures("hidden")
def test_nor_where_one_of_them_is_the_likelier_one(house: House) -> None:
    with house.database.write() as connection:
        heartbeat.beat(connection, reconcile.NAME, T)
    house.hears(sent("fires", 300, external=WEST))
    house.derive()
    house.look()
    with house.database.write() as connection:
        heartbeat.beat(connection, reconcile.NAME, moment(1000))
    house.hears(sent("fires", 300), sent("ended", 3600), sent("ended", 3600, external=WEST))
    house.derive()
    house.look()
    assert ends(house, "ended") == {"east": None, "west": None}


@pytest.mark.usefixtures("hidden")
def test_also_where_the_other_one_was_over_long_ago(house: House) -> None:
    with house.database.write() as connection:
        heartbeat.beat(connection, reconcile.NAME, T)
    house.hears(sent("long-ago", 19990, 18985), sent("long-ago", 19990, external=WEST))
    house.derive()
    house.look()
    assert ends(house, "long-ago") == {"east": moment(18985), "west": None}


@pytest.mark.usefixtures("hidden")
def test_of_a_hidden_prometheus_a_series_that_may_be_of_two_alerts_that_are_over_is_no_third_one(house: House) -> None:
    house.hears(sent("ended", 3600, 585), sent("ended", 3600, 585, external=WEST))
    house.derive()
    house.look()
    assert ends(house, "ended") == {"east": moment(585), "west": moment(585)}
    assert len(house.alerts("ended")) == 2


@pytest.mark.usefixtures("hidden")
def test_what_a_hidden_prometheus_adds_is_learnt_from_what_it_sent(house: House) -> None:
    house.hears(sent("fires", 300), sent("came-and-went", 2400, 1785), sent("ended", 1800, external=WEST))
    house.derive()
    house.look(2)
    assert ends(house, "ended") == {"west": None, "east": moment(585)}


# --- Alertmanager's API ---------------------------------------------------------------------------------------------------------


def test_what_is_active_and_was_never_sent_is_found_whoever_it_is_routed_to(house: House, peer: Peer) -> None:
    peer.alerts = [active("silent", 100), active("x", 100, service="television")]
    house.look()
    one = house.alert("silent")
    assert (one.starts_at, one.ends_at, one.learnt) == (moment(100), None, "alertmanager_api")
    assert (one.annotations, one.generator_url) == ({"summary": "told"}, "http://prometheus.example")
    assert house.incident("silent").state == "open"
    before = house.found()
    house.look(2)
    assert house.found() == before


def test_what_inhibits_an_alert_is_handed_on_once_also_when_the_alert_was_sent(house: House, peer: Peer) -> None:
    house.hears(sent("below", 100))
    house.derive()
    above = active("above", 100)
    inhibited = {"state": "suppressed", "inhibitedBy": [above["fingerprint"]], "silencedBy": []}
    peer.alerts = [above, active("below", 99, status=inhibited)]
    house.look()
    assert house.alert("below").inhibited_by == (above["fingerprint"],)  # still one sighting
    assert house.alert("below").incident_id == house.alert("above").incident_id
    before = house.found()
    house.look(2)
    assert house.found() == before


def test_one_that_was_cut_off_from_prometheus_does_not_open_again_what_the_others_know_to_be_over(house: House, peer: Peer) -> None:
    house.hears(sent("parted", 1000, 500))
    house.derive()
    peer.alerts = [active("parted", 1000, updated=520)]
    house.look()
    assert house.alert("parted").ends_at == moment(500)
    assert house.alert("parted").fired_at is None


@pytest.mark.parametrize(("starts", "updated"), [(1000, 100), (400, 400)], ids=["still sent by one Prometheus", "fires again"])
def test_what_is_active_after_its_end_fires(house: House, peer: Peer, starts: float, updated: float) -> None:
    house.hears(sent("again", 1000, 500), said_at=moment(490))
    house.derive()
    peer.alerts = [active("again", starts, updated)]
    house.look()
    last = house.alerts("again")[-1]
    assert (last.starts_at, last.fired_at) == (moment(starts), house.clock())
    before = house.found()
    house.look()
    assert house.found() == before


def test_an_alert_that_no_store_can_keep_takes_none_with_it(house: House, peer: Peer) -> None:
    wrong = active("nul", 100)
    wrong["annotations"] = {"summary": "a\0b"}
    year_one = active("old", 100) | {"startsAt": "0001-01-01T00:00:00Z"}
    peer.alerts = [active("good", 100), wrong, year_one]
    house.look()
    assert house.alert("good")
    assert house.alerts("nul") == house.alerts("old") == []


@pytest.mark.parametrize("each_store", ["sqlite"], indirect=True)
def test_ten_thousand_active_alerts_take_a_few_seconds_and_bodies_stay_small(tmp_path: Path) -> None:
    alerts = [active(f"ran-{number}", 100) for number in range(10_000)]
    with FakePrometheus() as fake, Peer(*alerts) as peer, House(tmp_path, fake.url, peer.url) as house:
        for one in alerts:
            labels = {name: value for name, value in one["labels"].items() if name not in EAST}
            fake.remembers("ALERTS", *((NOW - 15 * n, 1) for n in range(6)), **labels, alertstate="firing")
        with house.database.write() as connection:
            heartbeat.beat(connection, reconcile.NAME, T)
        begun = time.monotonic()
        house.worker.reconcile(house.clock())
        first = time.monotonic() - begun
        assert house.received() == 20
        with house.database.inbox.write() as connection:  # as derived
            notifications.mark_derived(connection, [body.id for body in notifications.waiting(connection, 100)], house.clock())
        with house.database.write() as connection:
            store.save_alerts(
                connection,
                (Alert("alertmanager", a["fingerprint"], moment(100), None, a["labels"], {}, "", cause="c") for a in alerts),
            )
        begun = time.monotonic()
        house.worker.reconcile(house.clock())
        assert house.received() == 0
        assert max(first, time.monotonic() - begun) < 8, "on four busy cores it takes 2 s"


# --- who tells ------------------------------------------------------------------------------------------------------------------


def test_of_a_rule_that_is_gone_nobody_tells_until_somebody_does(house: House, peer: Peer) -> None:
    house.hears(sent("gone-rule", 3600, name="Deleted"))
    house.derive()
    house.look(SILENT_TIMES - 1)
    assert house.incident("gone-rule").unwatched_since is None  # a restart is no news
    house.look()
    assert house.incident("gone-rule").unwatched_since == house.clock()
    told = sent("gone-rule", 3600, name="Deleted")
    peer.alerts = [active("gone-rule", 3600) | {"labels": told["labels"], "fingerprint": told["fingerprint"]}]
    house.look()
    assert house.incident("gone-rule").unwatched_since is None


def test_of_what_a_rule_watches_somebody_tells(house: House) -> None:
    house.hears(sent("fires", 300), sent("unknown-to-the-series", 300))
    house.derive()
    house.look(SILENT_TIMES + 1)
    assert house.incident("fires").unwatched_since is None
    assert house.incident("unknown-to-the-series").unwatched_since is None  # its rule is there and is evaluated


def test_of_a_rule_nobody_knows_nobody_tells(house: House) -> None:
    house.hears(sent("elsewhere", 300, name="OfAnotherPrometheus"))
    house.derive()
    house.look(SILENT_TIMES)
    assert house.incident("elsewhere").unwatched_since


def test_when_prometheus_is_gone_and_alertmanager_gave_up_nobody_tells(tmp_path: Path, peer: Peer) -> None:
    with House(tmp_path, DEAD, peer.url) as house:
        house.hears(sent("fires", 300))
        house.derive()
        peer.alerts = [active("fires", 300)]
        house.look(SILENT_TIMES)
        assert house.incident("fires").unwatched_since is None
        peer.alerts = []
        house.look(SILENT_TIMES)
        assert house.incident("fires").unwatched_since
        assert house.alert("fires").ends_at is None


def test_without_alertmanagers_to_ask_what_fires_elsewhere_is_not_said_to_be_unwatched(
    tmp_path: Path, prometheus: peers.Prometheus
) -> None:
    with House(tmp_path, prometheus.url) as house:
        house.hears(
            sent("elsewhere", 300, name="OfAnotherPrometheus"), sent("gone-rule", 3600, name="Deleted"), sent("ended", 3600)
        )
        house.derive()
        house.look(SILENT_TIMES)
        assert house.incident("elsewhere").unwatched_since is None
        assert house.incident("gone-rule").unwatched_since
        assert house.alert("ended").ends_at == moment(585)


# --- when and how ---------------------------------------------------------------------------------------------------------------


def test_it_looks_on_a_timer_and_at_once_after_a_body_that_was_cut_short(house: House, peer: Peer) -> None:
    def step_at(seconds: float) -> bool:
        """Whether it was looked for what is active, and it was derived."""
        house.clock.fixed = T + timedelta(seconds=seconds)
        peer.alerts = [active(f"at-{seconds}", 100)]
        house.worker.step()
        return bool(house.alerts(f"at-{seconds}"))

    assert step_at(1)
    assert not step_at(30)
    assert step_at(61)
    house.hears(sent("first-of-many", 50), truncatedAlerts=0)
    assert not step_at(70)
    house.hears(sent("second-of-many", 50), truncatedAlerts=7)
    assert step_at(71)
    house.hears(sent("third-of-many", 50), truncatedAlerts=7)
    assert not step_at(72)  # in a storm every body is cut short
    assert step_at(76)
    assert step_at(-3600)  # nor does a clock that is put back stop it


def test_a_fault_of_its_own_stops_no_tick(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a fault nobody foresaw")

    monkeypatch.setattr(rule_series, "read", fail)
    house.hears(sent("fires", 300))
    house.worker.step()
    assert [one["equipment"] for one in house.incidents()] == ["fires"]


def test_what_was_found_is_counted_by_where(house: House, peer: Peer) -> None:
    def counted() -> dict[str, float]:
        names = ("alertmanager_api", "rule_series")
        return {n: REGISTRY.get_sample_value("art58_reconciled_alerts_total", {"learnt": n}) or 0 for n in names}

    before = counted()
    peer.alerts = [active("silent", 100), active("fires", 300)]
    house.look()
    found = {name: number - before[name] for name, number in counted().items()}
    assert found == {"alertmanager_api": 2, "rule_series": len(STRETCHES) - 1}
