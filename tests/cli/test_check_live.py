"""`art58 check --live` and `--list-methods`: what would count the users now, for people and for machines."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.law.fallback import METHODS_OF
from tests.fakes.prometheus import FakePrometheus

CONFIG = """\
prometheus: {url: URL}
authentication: {bearer_tokens: [{env: ART58_TOKEN}]}
services:
  - {name: voice, kind: voice, emergency_calls: true, match: ['service="voice"']}
  - {name: data, kind: internet_access, match: ['service="data"']}
"""


@pytest.fixture
def prometheus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePrometheus]:
    monkeypatch.setenv("ART58_TOKEN", "a-token-of-the-tests")
    monkeypatch.chdir(tmp_path)
    with FakePrometheus() as prometheus:
        Path("config.yaml").write_text(CONFIG.replace("URL", prometheus.url))
        for service in ("voice", "data"):
            prometheus.holds("art58:users_under_equipment", 50_000, service=service, equipment="core-1", unit="line")
        yield prometheus


def test_each_service_gets_its_method_number_and_what_is_missing(prometheus: FakePrometheus) -> None:
    result = CliRunner().invoke(main, ["check", "--live"])
    assert result.exit_code == 0, result.output
    assert "voice: 50,000 line under or at core-1 by emergency_all_under_equipment" in result.output
    assert "data: 50,000 line under or at core-1 by all_under_equipment" in result.output
    assert "for direct: art58:users_unable would be needed" in result.output
    assert "a-token-of-the-tests" not in result.output


def test_machines_get_the_same_as_json(prometheus: FakePrometheus) -> None:
    result = CliRunner().invoke(main, ["check", "--live", "--json"])
    answer = json.loads(result.stdout)
    assert answer["ok"] is True
    voice, data = answer["services"]
    assert (voice["method"], voice["users"], data["method"]) == ("emergency_all_under_equipment", 50_000, "all_under_equipment")
    assert list(data["missing"]) == ["direct", "traffic_difference"]
    assert data["missing"]["direct"] == ["art58:users_unable"]
    assert [asked["question"] for asked in data["asked"]][:3] == ["unable", "stopped", "degraded"]


def test_a_prometheus_that_does_not_answer_is_a_fault(prometheus: FakePrometheus) -> None:
    prometheus.down = True
    result = CliRunner().invoke(main, ["check", "--live"])
    assert result.exit_code == 1
    assert "users cannot be measured now: Prometheus answered 503" in result.output
    assert json.loads(CliRunner().invoke(main, ["check", "--live", "--json"]).stdout)["ok"] is False


def test_a_service_without_any_series_is_a_fault(prometheus: FakePrometheus) -> None:
    prometheus.holds("art58:users_under_equipment", None, service="data", equipment="core-1", unit="line")
    result = CliRunner().invoke(main, ["check", "--live"])
    assert result.exit_code == 1
    assert "data: users cannot be measured now: no series gives the users of this equipment" in result.output


def test_every_method_is_listed_with_what_it_needs() -> None:
    listed = json.loads(CliRunner().invoke(main, ["check", "--list-methods", "--json"]).stdout)
    assert {entry["method"] for entry in listed} == {method for methods in METHODS_OF.values() for method in methods}
    assert all(need.startswith("art58:") for entry in listed for need in entry["needs"])
    words = CliRunner().invoke(main, ["check", "--list-methods"]).output
    assert all(f"{entry['method']}: {entry['what']['en']}" in words for entry in listed)


def test_a_faulty_configuration_is_refused_before_anything_is_asked(prometheus: FakePrometheus) -> None:
    Path("config.yaml").write_text("services: []\n")
    result = CliRunner().invoke(main, ["check", "--live"])
    assert result.exit_code == 1
    assert "the file is refused" in result.output
    assert prometheus.asked == []


def test_a_number_of_the_catalogue_and_equipment_written_down_are_checked_too(prometheus: FakePrometheus) -> None:
    prometheus.holds("art58:users_under_equipment", None, service="data", equipment="core-1", unit="line")
    prometheus.holds("art58:users_under_equipment", None, service="voice", equipment="core-1", unit="line")
    config = (
        Path("config.yaml")
        .read_text()
        .replace("emergency_calls: true, match", "emergency_calls: true, users: {under_equipment: 70000}, match")
    )
    Path("config.yaml").write_text(config + "equipment: {units: [{name: olt-1, users: {data: 120}}]}\n")
    result = CliRunner().invoke(main, ["check", "--live"])
    assert result.exit_code == 0, result.output
    assert "voice: 70,000 users under or at any equipment by emergency_all_under_equipment" in result.output
    assert "data: 120 users under or at olt-1 by all_under_equipment" in result.output
    assert json.loads(CliRunner().invoke(main, ["check", "--live", "--json"]).stdout)["ok"] is True
