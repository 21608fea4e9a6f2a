"""The demonstration's history and simulator: one network, whether loaded as history or scraped, failing at an exact time."""

import itertools
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.demo import history
from examples.demo.network import SERVICES, THOUSANDS, Network, Sample
from examples.demo.outcome import expected_verdicts, missing
from examples.demo.simulator import TARGET_LABELS, Simulator
from examples.demo.stack import RULES, receiver_config
from examples.demo.watch import Look, read_tickets
from examples.peers import fetch
from tests.programs import PEERS

NODE = "core-east-1"
NOW = 1_790_000_000
FAILURE = NOW - 3555
BULK_END = NOW - history.FINE_SECONDS
PROMETHEUS_STALENESS_SECONDS = 300


@pytest.fixture
def network() -> Network:
    return Network()


def users(network: Network) -> dict[str, int]:
    return {service.name: network.affected_users(service, network.nodes[NODE]) for service in SERVICES}


def test_the_node_works_until_one_second_before_the_failure_and_is_down_from_it() -> None:
    moments = history.fine_moments(BULK_END, NOW, NODE, FAILURE)
    assert max(at for at, failed in moments if not failed) == FAILURE - 1
    assert min(at for at, failed in moments if failed) == FAILURE
    assert {failed for at, failed in moments if at >= FAILURE} == {frozenset({NODE})}


def test_the_history_spans_eight_days_up_to_now_without_a_gap_that_prometheus_would_call_stale() -> None:
    moments = history.bulk_moments(BULK_END) + history.fine_moments(BULK_END, NOW, NODE, FAILURE)
    times = [at for at, _ in moments]
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(steps) > 0
    assert max(steps) < PROMETHEUS_STALENESS_SECONDS
    assert times[-1] - times[0] >= 8 * 24 * 3600
    assert NOW - times[-1] < history.FINE_STEP_SECONDS


def test_the_failed_core_node_hits_the_users_that_the_story_needs(network: Network) -> None:
    hit = users(network)
    assert hit["voice"] > 2_000_000
    assert hit["data"] > 100_000
    assert hit["lpwa"] == pytest.approx(12_000, rel=0.01)
    assert hit["webmail"] == pytest.approx(45_000, rel=0.01)
    assert expected_verdicts(network, NODE) == {
        "voice": "major",
        "data": "major",
        "lpwa": "none",
        "webmail": "periodic",
    }


def test_a_small_scale_leaves_nothing_major() -> None:
    tiny = Network(0.0001)
    assert users(tiny) == {"voice": 268, "data": 41, "lpwa": 1, "webmail": 5}
    assert set(expected_verdicts(tiny, NODE).values()) == {"none"}


def test_core_nodes_and_access_nodes_each_serve_the_whole_country(network: Network) -> None:
    everybody = sum(THOUSANDS.values())
    assert len(THOUSANDS) == 47
    for is_core in (True, False):
        assert sum(node.thousands for node in network.nodes.values() if node.is_core is is_core) == everybody


def test_promtool_loads_the_history_and_finds_the_failure_at_its_time(network: Network, tmp_path: Path) -> None:
    moments = [moment for moment in history.fine_moments(BULK_END, NOW, NODE, FAILURE) if abs(moment[0] - FAILURE) < 16]
    loaded = history.load(network, moments, PEERS / "promtool", tmp_path / "data")
    (tmp_path / "data" / "wal").mkdir()  # promtool dumps no folder without one
    dump = subprocess.run(
        [str(PEERS / "promtool"), "tsdb", "dump", str(tmp_path / "data")], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(dump) == loaded
    up = [line.rsplit("}", 1)[1].split() for line in dump if "art58:equipment_up" in line and f'"{NODE}"' in line]
    assert up == [
        ["1", f"{FAILURE - 15}000"],
        ["1", f"{FAILURE - 1}000"],
        ["0", f"{FAILURE}000"],
        ["0", f"{FAILURE + 15}000"],
    ]


def test_the_recorded_history_is_what_the_rules_record_from_the_raw_metrics(network: Network, tmp_path: Path) -> None:
    """So that loaded and live series are one, with the same labels and values."""
    failed = frozenset({NODE})
    recorded = list(network.recorded(failed))
    case = {
        "interval": "1s",
        "input_series": [
            {"series": selector(sample._replace(labels=sample.labels | TARGET_LABELS)), "values": str(sample.value)}
            for sample in network.raw(failed)
        ],
        "promql_expr_test": [
            {
                "expr": metric,
                "eval_time": "0s",
                "exp_samples": [
                    {"labels": selector(sample), "value": sample.value} for sample in recorded if sample.metric == metric
                ],
            }
            for metric in dict.fromkeys(sample.metric for sample in recorded)
        ],
    }
    file = tmp_path / "case.json"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": RULES, "evaluation_interval": "1s", "tests": [case]}))
    run = subprocess.run([str(PEERS / "promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def selector(sample: Sample) -> str:
    return f"{sample.metric}{{{','.join(f'{name}={json.dumps(value)}' for name, value in sample.labels.items())}}}"


def test_the_simulator_shows_a_node_failed_until_it_is_repaired(network: Network) -> None:
    def up() -> bool:
        text = fetch(f"http://{simulator.address}/metrics").decode()
        return f'network_node_up{{node="{NODE}",prefecture="saitama",region="kanto"}} 1' in text

    with Simulator(network) as simulator:
        assert up()
        simulator.fail(NODE)
        assert not up()
        simulator.repair(NODE)
        assert up()


def test_only_the_failed_node_shows_failing_users(network: Network) -> None:
    failing = [
        sample for sample in network.raw(frozenset({NODE})) if sample.metric == "network_service_failed_users" and sample.value
    ]
    assert {(sample.labels["node"], sample.labels["service"]) for sample in failing} == {
        (NODE, "data"),
        (NODE, "webmail"),
    }


def test_the_catalogue_counts_the_users_of_the_whole_operator(network: Network) -> None:
    catalogue = receiver_config(network, 9158, "http://127.0.0.1:9090", "http://127.0.0.1:9093", "http://127.0.0.1:3000")[
        "services"
    ]
    assert isinstance(catalogue, list)
    assert {service["name"]: service["users_total"] > users(network)[service["name"]] for service in catalogue} == {
        service.name: True for service in SERVICES
    }


def test_a_ticket_is_read_by_the_state_and_title_of_its_front_matter(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text('---\nstate: open\ntitle: "障害: 音声 / Outage: voice"\n---\nstate: resolved\n')
    (tmp_path / ".a.tmp").write_text("---\n")
    assert [(t.state, t.title) for t in read_tickets(tmp_path)] == [("open", "障害: 音声 / Outage: voice")]


def test_a_story_in_which_nothing_came_is_not_whole(network: Network) -> None:
    faults = missing(network, NODE, datetime.fromtimestamp(NOW, UTC), Look())
    assert faults == [
        "expected one incident, found 0",
        *[f"{service.name}: the receiver shows no impact" for service in SERVICES],
        "no ticket was written",
        "no annotation was written",
    ]
