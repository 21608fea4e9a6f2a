"""The dashboard as shipped: it is what the generator writes, and each of its queries finds data in a real Prometheus.

Prometheus holds one sample series for each series the product promises, so a metric or a label that is misspelt in the
dashboard finds nothing.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs import PEERS

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "grafana-dashboards" / "generate.py"
DASHBOARD_FILE = ROOT / "grafana-dashboards" / "art58.json"
DASHBOARD = json.loads(DASHBOARD_FILE.read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
VARIABLE = {"type": "prometheus", "uid": "${datasource}"}

STARTED, STEP, SAMPLES = 1774969200, 15, 41  # ten minutes from midnight in Tokyo, 1 April 2026
ENDED = STARTED + STEP * (SAMPLES - 1)

# Every series of the receiver and the normalised ones with all their labels: name, labels, first value, growth per step.
IMPACT = 'incident="a58-1",service="voice"'
SERIES = [
    ("art58:equipment_up", 'equipment="mme-1",prefecture="大阪府",region="近畿"', 0, 0),
    ("art58:equipment_up", 'equipment="mme-2",prefecture="東京都",region="関東"', 1, 0),
    ("art58:users_under_equipment", 'service="voice",equipment="mme-1",unit="contract"', 40000, 0),
    ("art58:users_under_equipment", 'service="voice",equipment="mme-2",unit="contract"', 90000, 0),
    ("art58:users_unable", 'service="voice",equipment="mme-1",unit="contract"', 31000, 0),
    ("art58_notifications_total", 'source="alertmanager",outcome="stored"', 0, 3),
    ("art58_notifications_waiting", "", 2, 0),
    ("art58_incidents", 'state="open"', 1, 0),
    ("art58_incidents", 'state="recovering"', 0, 0),
    ("art58_incidents", 'state="closed"', 7, 0),
    ("art58_impact_affected_users", f'{IMPACT},method="direct",measured="true"', 31000, 0),
    ("art58_impact_users_threshold", IMPACT, 30000, 0),
    ("art58_impact_failure_started_timestamp_seconds", IMPACT, STARTED, 0),
    ("art58_impact_major_timestamp_seconds", IMPACT, STARTED + 3600, 0),
    ("art58_impact_verdict", f'{IMPACT},verdict="near_miss"', 1, 0),
    ("art58_deliveries", 'target="grafana",state="owed"', 1, 0),
    ("art58_deliveries", 'target="grafana",state="dead"', 1, 0),
    ("art58_queries_total", 'outcome="ok"', 0, 5),
    ("art58_tick_seconds_bucket", 'le="0.5"', 0, 1),
    ("art58_tick_seconds_bucket", 'le="+Inf"', 0, 1),
    ("art58_tick_last_timestamp_seconds", "", STARTED, STEP),
    ("art58_leader", "", 1, 0),
]
LABELS: dict[str, set[str]] = {}
for name, labels, _, _ in SERIES:
    LABELS.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))

Panel = dict[str, Any]
every_query = pytest.mark.parametrize(
    ("panel", "target"), TARGETS, ids=[f"panel-{panel['id']}-{target['refId']}" for panel, target in TARGETS]
)


def binary(name: str) -> Path:
    path = PEERS / name
    if not path.exists():
        pytest.fail(f"{PEERS / name} is missing: `make .peers/ready` or `make .peers-newer/ready` fetches it")
    return path


def openmetrics() -> str:
    lines = [
        f"{name}{{{labels}}} {first + growth * i} {STARTED + STEP * i}\n"
        for name, labels, first, growth in sorted(SERIES)
        for i in range(SAMPLES)
    ]
    return "".join(lines) + "# EOF\n"


def ask(url: str, **parameters: str | float) -> dict[str, Any]:
    body = urllib.parse.urlencode(parameters).encode()
    with urllib.request.urlopen(url, data=body, timeout=10) as answer:
        answered: dict[str, Any] = json.load(answer)
    return answered


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()
        except (urllib.error.URLError, OSError):
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        else:
            return
    pytest.fail(f"Prometheus did not become ready:\n{log.read_text()}")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that holds SERIES and scrapes nothing."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "samples").write_text(openmetrics(), encoding="utf-8")
    (folder / "prometheus.yml").write_text("{}\n")
    blocks = [binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"]
    made = subprocess.run(blocks, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stdout + made.stderr

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    command = [
        binary("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until_ready(f"http://{address}", process, folder / "log")
            yield f"http://{address}"
        finally:
            process.terminate()


def answer_of(prometheus: str, target: dict[str, Any]) -> list[dict[str, Any]]:
    """What Grafana would get for a query of the dashboard, at the end of the samples or over all of them."""
    expr = target["expr"].replace("$__rate_interval", "1m")
    assert "$" not in expr, f"a variable this test does not know: {expr}"
    if target["instant"]:
        answer = ask(f"{prometheus}/api/v1/query", query=expr, time=ENDED)
    else:
        answer = ask(f"{prometheus}/api/v1/query_range", query=expr, start=STARTED + 60, end=ENDED, step=STEP)
    assert answer["status"] == "success"
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def generate(generator: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, generator, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_the_dashboard_is_what_the_generator_writes() -> None:
    checked = generate(GENERATOR, "--check")
    assert checked.returncode == 0, checked.stderr


def test_check_tells_a_drifted_dashboard_and_leaves_it_alone(tmp_path: Path) -> None:
    generator = Path(shutil.copy(GENERATOR, tmp_path))
    drifted = tmp_path / DASHBOARD_FILE.name
    drifted.write_text(DASHBOARD_FILE.read_text(encoding="utf-8").replace("art58_incidents", "art58_accidents"))
    before = drifted.read_text()
    checked = generate(generator, "--check")
    assert checked.returncode == 1
    assert "art58.json has drifted" in checked.stderr
    assert drifted.read_text() == before


def test_the_generator_writes_the_same_file_again(tmp_path: Path) -> None:
    generator = Path(shutil.copy(GENERATOR, tmp_path))
    assert generate(generator).returncode == 0
    assert (tmp_path / DASHBOARD_FILE.name).read_bytes() == DASHBOARD_FILE.read_bytes()


@every_query
def test_a_query_finds_data(prometheus: str, panel: Panel, target: dict[str, Any]) -> None:
    answer = answer_of(prometheus, target)
    assert answer, f"no data for panel {panel['id']}: {target['expr']}"
    values = [value for series in answer for _, value in series.get("values", [series.get("value")])]
    assert "NaN" not in values


@every_query
def test_a_query_names_only_labels_that_its_series_have(panel: Panel, target: dict[str, Any]) -> None:
    expr = target["expr"]
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expr)
    named = {label for labels in grouped for label in re.findall(r"\w+", labels)}
    named |= set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expr))
    series = re.findall(r"\bart58[_:]\w+", expr)
    assert series
    assert named <= set().union(*(LABELS[name] for name in series)), f"panel {panel['id']}"


@every_query
def test_a_legend_or_a_column_shows_what_the_query_answers(prometheus: str, panel: Panel, target: dict[str, Any]) -> None:
    shown = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
    for transformation in panel.get("transformations", []):
        columns = set(transformation["options"].get("renameByName", {}))
        shown |= {column for column in columns if not column.startswith("Value #")}
    for series in answer_of(prometheus, target):
        assert shown <= set(series["metric"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"panel-{panel['id']}")
def test_a_panel_asks_the_data_source_the_reader_chose(panel: Panel) -> None:
    assert panel["datasource"] == VARIABLE
    assert all(target["datasource"] == VARIABLE for target in panel["targets"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"panel-{panel['id']}")
def test_an_override_by_name_or_query_meets_a_field_of_its_panel(panel: Panel) -> None:
    headings = {
        heading
        for transformation in panel.get("transformations", [])
        for heading in transformation["options"].get("renameByName", {}).values()
    }
    fields = {"byName": headings, "byFrameRefID": {target["refId"] for target in panel["targets"]}}
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        assert matcher["id"] == "byRegexp" or matcher["options"] in fields[matcher["id"]]


def test_the_reader_chooses_a_prometheus() -> None:
    assert [(v["name"], v["type"], v["query"]) for v in DASHBOARD["templating"]["list"]] == [
        ("datasource", "datasource", "prometheus")
    ]


def test_uids_and_panel_ids_are_unique() -> None:
    dashboards = [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARD_FILE.parent.glob("*.json")]
    uids = [dashboard["uid"] for dashboard in dashboards]
    assert "art58" in uids
    assert len(uids) == len(set(uids))
    for dashboard in dashboards:
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))


def test_panels_do_not_overlap() -> None:
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_annotations_land_on_the_panel_of_users_against_the_threshold() -> None:
    (panel,) = [panel for panel in PANELS if panel["id"] == 3]
    asked = " ".join(target["expr"] for target in panel["targets"])
    assert panel["type"] == "timeseries"
    assert "art58_impact_affected_users" in asked
    assert "art58_impact_users_threshold" in asked


def test_the_annotations_of_the_receiver_are_shown() -> None:
    (shown,) = DASHBOARD["annotations"]["list"]
    assert shown["datasource"] == {"type": "grafana", "uid": "-- Grafana --"}
    assert shown["enable"]
    assert shown["target"]["type"] == "tags"
    assert shown["target"]["tags"] == ["art58"]
