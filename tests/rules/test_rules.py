"""The rules as shipped: promtool accepts them, their own unit tests pass, and no alert comes without its texts, its
severity and its runbook."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.catalogue import CALL_LOSS_RATIO, EMERGENCY_CALLS_AFFECTED, EQUIPMENT_UP, UNABLE, UNDER_EQUIPMENT

ROOT = Path(__file__).resolve().parents[2]
PROMTOOL = ROOT / ".peers" / "bin" / "promtool"
RULE_FILES = sorted((ROOT / "rules").glob("*.rules.yml"))
NETWORK_FILES = sorted((ROOT / "rules" / "networks").glob("*.rules.yml"))
TEST_FILES = sorted((ROOT / "rules" / "tests").glob("*.test.yml"))
NORMALISED_SERIES = {EQUIPMENT_UP, UNDER_EQUIPMENT, UNABLE}
OF_EMERGENCY_VOICE = {CALL_LOSS_RATIO, EMERGENCY_CALLS_AFFECTED}
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


def unit_tests_file(path: Path) -> Path:
    within = path.relative_to(ROOT / "rules")
    return ROOT / "rules" / "tests" / within.with_name(path.name.replace(".rules.yml", ".test.yml"))


def unit_tests_of(alert: str) -> list[dict[str, Any]]:
    tests = [test for path in TEST_FILES for test in yaml.safe_load(path.read_text())["tests"]]
    return [case for test in tests for case in test.get("alert_rule_test", []) if case["alertname"] == alert]


@every_file
def test_promtool_accepts_the_rules(path: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", path)


@every_file
def test_the_unit_tests_of_the_rules_pass(path: Path) -> None:
    promtool("test", "rules", unit_tests_file(path))


def test_exactly_the_normalised_series_are_recorded() -> None:
    assert {rule["record"] for rule in RULES if "record" in rule} == NORMALISED_SERIES


@every_network
def test_the_rules_of_a_network_record_normalised_series_and_their_unit_tests_look_at_each(path: Path) -> None:
    recorded = {rule["record"] for rule in rules_of(path)}
    assert {EQUIPMENT_UP, UNDER_EQUIPMENT} <= recorded <= NORMALISED_SERIES | OF_EMERGENCY_VOICE
    tests = yaml.safe_load(unit_tests_file(path).read_text())["tests"]
    looked_at = " ".join(case["expr"] for test in tests for case in test["promql_expr_test"])
    assert [series for series in recorded if series not in looked_at] == []


@every_network
def test_users_of_a_network_say_which_service_and_in_which_unit(path: Path) -> None:
    for rule in rules_of(path):
        if rule["record"] != EQUIPMENT_UP:
            assert rule["labels"]["service"]
        if rule["record"] == UNDER_EQUIPMENT:
            assert "unit" in rule["labels"] or "by (equipment, unit)" in rule["expr"]


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
