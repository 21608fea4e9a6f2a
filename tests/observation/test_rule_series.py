"""What fired when, by the rules' own series of a real Prometheus: over history loaded to the millisecond, and live."""

import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from examples import peers
from receiver.catalogue import Catalogue, Service
from receiver.model import Alert
from receiver.observation import rule_series
from receiver.observation.past import fingerprint
from receiver.observation.prometheus import Prometheus, QueryFailed
from receiver.observation.rule_series import (
    External,
    Stretch,
    deleted_rules,
    external,
    external_labels,
    held_since,
    matchers_of,
    read,
)
from receiver.settings import PrometheusSettings
from tests import backfilled
from tests.fakes.faults import FakeServer
from tests.fakes.prometheus import FakePrometheus
from tests.programs import PEERS

NOW = int(time.time()) // 15 * 15 - 0.651
UNTIL = datetime.fromtimestamp(NOW + 1, UTC)
HOUR = timedelta(hours=1)
FIRED = 'ALERTS{alertname="Down",alertstate="firing",service="voice",equipment="'
# what is backfilled has no marks of its end: shown for so short they look marked, shown for the usual five minutes they do not
SHOWN_BRIEFLY = "--query.lookback-delta=10s"


def moment(before: float) -> datetime:
    return datetime.fromtimestamp(NOW - before, UTC)


def history() -> str:
    """OpenMetrics: when the alerts of each equipment were evaluated as firing, in seconds before NOW."""

    def every(step: float, begin: float, end: float) -> list[float]:
        return [begin - number * step for number in range(math.floor((begin - end) / step) + 1)]

    series = {
        FIRED + 'fires"': every(15, 600, 0),
        FIRED + 'over"': every(15, 3600, 3000),
        FIRED + 'flapping"': [*every(15, 5000, 4700), *every(15, 4505, 4400)],
        FIRED + 'missed"': [*every(15, 2000, 1700), *every(15, 1670, 1550)],
        FIRED + 'once"': [7000],
        FIRED + 'before"': every(15, 30000, 14000),
        'ALERTS{alertname="Down",alertstate="firing",equipment="no-service"': every(15, 700, 650),
        'ALERTS{alertname="Down",alertstate="firing",service="television",equipment="x"': every(15, 700, 650),
        'ALERTS{alertname="Down",alertstate="pending",service="voice",equipment="pending"': every(15, 600, 0),
        'ALERTS{alertname="Slow",alertstate="firing",service="data",equipment="slow"': every(60, 1200, 600),
    }
    lines = ["# TYPE ALERTS gauge"]
    lines += [f"{name}}} 1 {NOW - before:.3f}" for name, its in series.items() for before in its]
    lines += ["# TYPE ALERTS_FOR_STATE gauge"]
    name = 'ALERTS_FOR_STATE{alertname="Down",service="voice",equipment="before"}'
    lines += [f"{name} {NOW - 30060:.0f} {NOW - before:.3f}" for before in every(15, 30000, 14000)]
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with backfilled.prometheus(tmp_path_factory.mktemp("brief"), history(), SHOWN_BRIEFLY) as client:
        yield client


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with backfilled.prometheus(tmp_path_factory.mktemp("usual"), history()) as client:
        yield client


def of(prometheus: Prometheus, equipment: str, since: timedelta = 3 * HOUR, until: datetime = UNTIL) -> list[Stretch]:
    found = read(prometheus, 'service=~"voice|data"', until - since, until).stretches
    return next((its for labels, its in found.items() if ("equipment", equipment) in labels), [])


# --- stretches ------------------------------------------------------------------------------------------------------------------


def test_a_stretch_goes_from_its_first_sample_to_the_evaluation_after_its_last(brief: Prometheus) -> None:
    (one,) = of(brief, "over")
    assert (one.first, one.last, one.ended_at) == (moment(3600), moment(3000), moment(2985))
    assert (one.proven, one.cut) == (True, False)
    (slow,) = of(brief, "slow")
    assert slow.ended_at == moment(540)  # its rule is evaluated once a minute


def test_what_fires_has_no_end(brief: Prometheus) -> None:
    (one,) = of(brief, "fires")
    assert (one.first, one.last, one.ended_at) == (moment(600), moment(0), None)


def test_one_sample_is_a_stretch_and_others_of_its_rule_tell_how_long_an_evaluation_is(brief: Prometheus) -> None:
    (one,) = of(brief, "once")
    assert (one.first, one.last, one.ended_at) == (moment(7000), moment(7000), moment(6985))


def test_what_ended_and_fired_again_is_two_stretches(brief: Prometheus) -> None:
    first, second = of(brief, "flapping")
    assert (first.first, first.ended_at) == (moment(5000), moment(4685))
    assert (second.first, second.ended_at) == (moment(4505), moment(4385))


def test_a_gap_that_prometheus_did_not_mark_is_no_end(usual: Prometheus) -> None:
    (one,) = of(usual, "flapping")
    assert (one.first, one.ended_at, one.proven) == (moment(5000), moment(4385), False)


def test_samples_that_stop_unmarked_prove_nothing(usual: Prometheus) -> None:
    (one,) = of(usual, "over")
    assert (one.ended_at, one.proven) == (moment(2985), False)


def test_an_evaluation_that_was_missed_is_no_end(usual: Prometheus) -> None:
    (one,) = of(usual, "missed")
    assert (one.first, one.last) == (moment(2000), moment(1550))


def test_what_fired_already_where_the_reading_began_is_cut_and_its_condition_tells_since_when(brief: Prometheus) -> None:
    (one,) = of(brief, "before", since=timedelta(seconds=20001))
    assert one.cut
    assert moment(20301) <= one.first <= moment(19980)  # from a whole slot on
    ((labels, since),) = held_since(brief, ["Down"], one.first).items()
    assert (labels, since) == (one.labels, datetime.fromtimestamp(round(NOW - 30060), UTC))


def test_only_what_fires_and_fits_is_read(brief: Prometheus) -> None:
    found = {dict(labels)["equipment"] for labels in read(brief, 'service=~"voice"', UNTIL - 3 * HOUR, UNTIL).stretches}
    assert found == {"fires", "over", "flapping", "missed", "once"}
    everything = read(brief, "", UNTIL - 3 * HOUR, UNTIL).stretches
    assert {"x", "no-service", "slow"} <= {dict(labels)["equipment"] for labels in everything}


@pytest.mark.parametrize("most", [30, 100])
def test_in_many_small_questions_it_reads_the_same(brief: Prometheus, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    whole = read(brief, "", UNTIL - 12 * HOUR, UNTIL)
    monkeypatch.setattr(rule_series, "MOST_SAMPLES", most)
    parts = read(brief, "", UNTIL - 12 * HOUR, UNTIL)
    assert parts == whole
    assert parts.up_to == UNTIL


def test_of_too_much_it_reads_the_earlier_part_and_says_how_far_it_came(brief: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_series, "MOST_SAMPLES", 50)
    monkeypatch.setattr(rule_series, "MOST_TOGETHER", 100)
    begins, seen, asked = UNTIL - 2 * HOUR, set(), 0
    while begins < UNTIL:
        reading = read(brief, "", begins, UNTIL)
        assert reading.up_to > begins
        seen |= {dict(labels)["equipment"] for labels in reading.stretches}
        begins, asked = reading.up_to, asked + 1
    assert asked > 1
    assert seen == {"fires", "over", "flapping", "missed", "once", "x", "no-service", "slow"}


def test_a_prometheus_that_does_not_answer_is_a_failure() -> None:
    with FakePrometheus() as fake:
        fake.down = True
        client = Prometheus(PrometheusSettings(url=fake.url))
        with pytest.raises(QueryFailed):
            read(client, "", UNTIL - HOUR, UNTIL)
        client.close()


def test_the_end_of_alerts_is_looked_for_further_and_further_back(brief: Prometheus) -> None:
    alerts = {
        name: {"alertname": "Down", "service": "voice", "equipment": name, "cluster": "east"}
        for name in ("fires", "once", "before", "never")
    }
    found = rule_series.last_stretches(brief, alerts, "equipment", UNTIL, lambda labels: [dict(labels)["equipment"]])
    assert {name: one.last for name, one in found.items()} == {"fires": moment(0), "once": moment(7000), "before": moment(14010)}


# --- labels ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.25.0", "0.28.1", "0.33.1"])
def test_fingerprints_are_alertmanagers_own(version: str) -> None:
    bodies = Path(__file__).parents[1].joinpath("data", "alertmanager", f"alertmanager-{version}").glob("[01]*.json")
    alerts = [alert for body in bodies for alert in json.loads(body.read_text())["alerts"]]
    # that label was made unrecognisable when these were recorded
    whole = [alert for alert in alerts if "instance" not in alert["labels"]]
    assert len(whole) > 100
    assert all(fingerprint(alert["labels"].items()) == alert["fingerprint"] for alert in whole)


def service(*match: str) -> Service:
    return Service(name="-".join(str(ord(c) % 10) for c in match[0])[:60], kind="internet_access", match=match)


NARROWED: dict[str, tuple[list[tuple[str, ...]], dict[str, str] | None, set[str]]] = {
    "by a value of each": ([('service="voice"',), ('service="data"',)], {}, {"fires", "slow"}),
    "by a pattern": ([('service=~"vo.*"',)], {}, {"fires"}),
    "by the label all ask for": ([('service="voice"', 'equipment="fires"'), ('service="data"',)], {}, {"fires", "slow"}),
    "not where they ask for different ones": ([('service="voice"',), ('equipment="x"',)], {}, {"fires", "slow", "x", "no-service"}),
    "not by what is refused": ([('service!="voice"',)], {}, {"fires", "slow", "x", "no-service"}),
    "an external label is not on the series": ([('service="voice"',)], {"service": "voice"}, {"fires", "no-service"}),
    "nor may it be when none are known": ([('service="voice"',)], None, {"fires", "no-service"}),
    "letters that mean something in patterns": ([('service="voice|data"',)], {}, set()),
    "quotes": ([(r'service="vo\"ice"',), (r'service="vo\\ice"',)], {}, set()),
}


@pytest.mark.parametrize("case", NARROWED)
def test_series_are_narrowed_to_those_of_the_services(brief: Prometheus, case: str) -> None:
    matches, external, expected = NARROWED[case]
    catalogue = Catalogue(tuple(service(*match) for match in matches))
    found = read(brief, matchers_of(catalogue, external), UNTIL - 0.4 * HOUR, UNTIL).stretches
    assert {dict(labels)["equipment"] for labels in found} & {"fires", "slow", "x", "no-service"} == expected


# --- live -----------------------------------------------------------------------------------------------------------------------


def rules_file(folder: Path, *names: str, expr: str = "vector(1)") -> Path:
    rules = [{"alert": name, "expr": expr, "labels": {"service": "voice"}} for name in names]
    path = folder / "live.rules.json"
    path.write_text(json.dumps({"groups": [{"name": "live", "interval": "250ms", "rules": rules}]}))
    return path


def alert(name: str) -> Alert:
    return Alert("alertmanager", name, UNTIL, None, {"alertname": name}, {}, "")


def test_what_relabelling_sets_is_told_apart_from_what_it_drops(tmp_path: Path) -> None:
    config: dict[str, Any] = {"global": {"external_labels": {"cluster": "east", "dc": "eu1", "replica": "a"}}}
    drop = {"action": "labeldrop", "regex": "replica"}
    cut = {"source_labels": ["dc"], "regex": r"(.+)\d+", "target_label": "dc"}
    upper = {"action": "uppercase", "source_labels": ["severity"], "target_label": "SEVERITY"}
    config["alerting"] = {"alert_relabel_configs": [drop, cut, upper]}
    with peers.Prometheus(PEERS, tmp_path, config) as server:
        client = Prometheus(PrometheusSettings(url=server.url))
        assert external(client) == External({"cluster": "east", "dc": "eu1"}, frozenset({"dc", "SEVERITY"}))
        client.close()


def test_relabelling_for_one_alertmanager_counts_too() -> None:
    """Since Prometheus 2.51."""
    shown = """\
global:
  external_labels:
    cluster: east
alerting:
  alertmanagers:
  - alert_relabel_configs:
    - regex: (.*)
      target_label: team
      replacement: core
      action: replace
    - regex: replica
      action: labeldrop
"""
    app = Flask(__name__)
    app.add_url_rule("/api/v1/status/config", view_func=lambda: {"status": "success", "data": {"yaml": shown}})
    with FakeServer(app) as server:
        client = Prometheus(PrometheusSettings(url=server.url))
        assert external(client) == External({"cluster": "east"}, frozenset({"team"}))
        client.close()


def test_a_real_prometheus_marks_ends_and_only_ends(tmp_path: Path) -> None:
    """Killed and started again it leaves a gap that is none; an alert that ends, or whose rule is deleted, is marked."""
    rules = rules_file(tmp_path, "Stays", "Ends")
    config = {"global": {"external_labels": {"cluster": "east", "replica": "a"}}, "rule_files": [str(rules)]}
    config["alerting"] = {"alert_relabel_configs": [{"action": "labeldrop", "regex": "repl.*"}]}
    server = peers.Prometheus(PEERS, tmp_path, config, flags=["--web.enable-lifecycle"])
    client = Prometheus(PrometheusSettings(url=server.url))

    def stretches(name: str) -> list[Stretch]:
        until = datetime.now(UTC)
        return next(iter(read(client, f'alertname="{name}"', until - timedelta(minutes=5), until).stretches.values()), [])

    with server:
        peers.wait_until("both to fire", lambda: stretches("Stays") and stretches("Ends"), 20)
        assert external_labels(client) == {"cluster": "east"}
        began = stretches("Stays")[0].first
        server.kill()
        killed = time.monotonic()
        client.begin()
        with pytest.raises(QueryFailed):
            rule_series.rules(client)
        peers.wait_until("a gap longer than an evaluation", lambda: time.monotonic() - killed > 3, 10)
        server.start()
        client.begin()

        def fires_again() -> bool:
            (one,) = stretches("Stays")
            return one.ended_at is None and one.last - one.first > timedelta(seconds=3)

        peers.wait_until("it to fire again", fires_again, 20)
        (one,) = stretches("Stays")
        assert one.first == began

        rules_file(tmp_path, "Stays", "Ends", expr="vector(1) > 2")
        peers.fetch(server.url + "/-/reload", body=b"")
        peers.wait_until("their end", lambda: stretches("Ends")[-1].ended_at, 20)
        (ended,) = stretches("Ends")
        assert ended.proven
        assert deleted_rules(client, [alert("Ends"), alert("Stays")]) == set()
        known = rule_series.rules(client)
        assert known
        assert known["Ends"].is_well
        assert known["Ends"].evaluated_at

        rules_file(tmp_path, "Stays")
        peers.fetch(server.url + "/-/reload", body=b"")
        assert deleted_rules(client, [alert("Ends"), alert("Stays"), alert("Elsewhere")]) == {"Ends"}
        rules.write_text('{"groups": []}')
        peers.fetch(server.url + "/-/reload", body=b"")
        assert deleted_rules(client, [alert("Ends"), alert("Stays")]) == {"Ends", "Stays"}
        assert deleted_rules(client, []) == set()
    client.close()


def test_where_no_rules_are_told_none_is_deleted() -> None:
    with FakePrometheus() as fake:
        client = Prometheus(PrometheusSettings(url=fake.url))
        assert rule_series.rules(client) is None
        assert external_labels(client) is None
        assert deleted_rules(client, [alert("Down")]) == set()
        client.close()


def test_a_store_that_says_it_has_no_rules_at_all_and_shows_no_configuration_is_not_believed() -> None:
    with FakePrometheus() as fake:
        answer: Any = {"status": "success", "data": {"groups": []}}
        fake._app.add_url_rule("/api/v1/rules", view_func=lambda: answer)
        client = Prometheus(PrometheusSettings(url=fake.url))
        assert rule_series.rules(client) is None
        client.close()
