"""The rules as shipped: promtool accepts them, their own unit tests pass, and no alert comes without its texts, its
severity and its runbook."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.catalogue.inputs import EQUIPMENT_UP, QUALITY, SERIES, UNABLE, UNDER_EQUIPMENT
from receiver.catalogue.topology import OVERLAP, PARENT, SAVED
from tests.programs import PEERS

ROOT = Path(__file__).resolve().parents[2]
PROMTOOL = PEERS / "promtool"
RULE_FILES = sorted((ROOT / "rules").glob("*.rules.yml"))
NETWORK_FILES = sorted((ROOT / "rules" / "networks").glob("*.rules.yml"))
TEST_FILES = sorted((ROOT / "rules" / "tests").glob("*.test.yml"))
NORMALISED_SERIES = {EQUIPMENT_UP, UNDER_EQUIPMENT, UNABLE}
EVERY_SERIES = {*SERIES.values(), *QUALITY.values(), PARENT, SAVED, OVERLAP}
OF_EVERY_SERVICE = {EQUIPMENT_UP, PARENT, OVERLAP}
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")

Rule = dict[str, Any]


def rules_of(path: Path) -> list[Rule]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


RULES = [rule for path in RULE_FILES for rule in rules_of(path)]
ALERTS = [rule for rule in RULES if "alert" in rule]
every_file = pytest.mark.parametrize("path", [*RULE_FILES, *NETWORK_FILES], ids=lambda path: path.name)
every_network = pytest.mark.parametrize("path", NETWORK_FILES, ids=lambda path: path.name)
every_alert = pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])


def promtool(*arguments: str | Path) -> None:
    if not PROMTOOL.exists():
        pytest.fail("promtool is missing: `make .peers/ready` fetches it into .peers/bin")
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def unit_test_files(path: Path) -> list[Path]:
    """One of its own name, and where a test needs another evaluation interval, one whose name says why, say NAME-week.test.yml."""
    folder, name = ROOT / "rules" / "tests" / path.relative_to(ROOT / "rules").parent, path.name.removesuffix(".rules.yml")
    return [folder / f"{name}.test.yml", *sorted(folder.glob(f"{name}-*.test.yml"))]


def unit_tests_of(alert: str) -> list[dict[str, Any]]:
    tests = [test for path in TEST_FILES for test in yaml.safe_load(path.read_text())["tests"]]
    return [case for test in tests for case in test.get("alert_rule_test", []) if case["alertname"] == alert]


@every_file
def test_promtool_accepts_the_rules(path: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", path)


@every_file
def test_the_unit_tests_of_the_rules_pass(path: Path) -> None:
    promtool("test", "rules", *unit_test_files(path))


def test_exactly_the_normalised_series_are_recorded() -> None:
    assert {rule["record"] for rule in RULES if "record" in rule} == NORMALISED_SERIES


@every_network
def test_the_rules_of_a_network_record_normalised_series_and_their_unit_tests_look_at_each(path: Path) -> None:
    recorded = {rule["record"] for rule in rules_of(path)}
    assert {EQUIPMENT_UP, UNDER_EQUIPMENT} <= recorded <= EVERY_SERIES
    tests = [test for file in unit_test_files(path) for test in yaml.safe_load(file.read_text())["tests"]]
    looked_at = " ".join(case["expr"] for test in tests for case in test["promql_expr_test"])
    assert [series for series in recorded if series not in looked_at] == []


@every_network
def test_users_of_a_network_say_which_service_and_in_which_unit(path: Path) -> None:
    for rule in rules_of(path):
        if rule["record"] not in OF_EVERY_SERVICE:
            assert rule["labels"]["service"]
        if rule["record"] in (UNABLE, UNDER_EQUIPMENT):
            assert "unit" in rule["labels"] or "by (equipment, unit)" in rule["expr"]


@pytest.mark.parametrize("path", sorted((ROOT / "rules" / "tests").rglob("*.yml")), ids=lambda path: path.name)
def test_no_unit_tests_are_left_out(path: Path) -> None:
    assert path in [file for rules in (*RULE_FILES, *NETWORK_FILES) for file in unit_test_files(rules)]


@every_network
def test_the_page_of_network_rules_names_the_file(path: Path) -> None:
    assert f"(../../rules/networks/{path.name})" in (ROOT / "docs" / "how-to" / "rules-for-networks.md").read_text()


@every_file
def test_the_global_evaluation_interval_rules(path: Path) -> None:
    assert all("interval" not in group for group in yaml.safe_load(path.read_text())["groups"])


@every_alert
def test_an_alert_speaks_english_and_japanese(alert: Rule) -> None:
    texts = alert["annotations"]
    for name in ("summary", "description"):
        assert texts[name]
        assert not JAPANESE.search(texts[name])
        assert JAPANESE.search(texts[f"{name}_ja"])


@every_alert
def test_an_alert_has_a_severity(alert: Rule) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}


@every_alert
def test_an_alert_has_a_runbook_in_both_languages(alert: Rule) -> None:
    runbook_url = alert["annotations"]["runbook_url"]
    assert runbook_url.startswith("docs/runbooks/")
    runbook = (ROOT / runbook_url).read_text()
    assert runbook.startswith(f"# {alert['alert']}\n")
    assert "\n## 日本語\n" in runbook


@every_alert
def test_an_alert_is_seen_firing_and_not_firing_by_its_unit_tests(alert: Rule) -> None:
    assert {bool(case["exp_alerts"]) for case in unit_tests_of(alert["alert"])} == {True, False}
