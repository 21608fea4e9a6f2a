"""`art58 classify`: every line of facts gets a line with the verdict and its reasons, or the error and the line's number."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from receiver.cli import main
from tests import own_rulebooks

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data" / "classify-vectors.json").read_text("utf-8"))
CASE: dict[str, Any] = {
    "id": "one",
    "cause": "telecom_equipment_failure",
    "effect": "stop",
    "occurred_at": "2026-05-01T10:00:00+09:00",
    "service": {"kind": "internet_access", "charged": True},
    "duration_s": 5400,
    "users": 150_000,
}


def classify(*cases: dict[str, Any] | str, options: tuple[str, ...] = ()) -> tuple[int, list[Any]]:
    text = "\n".join(case if isinstance(case, str) else json.dumps(case) for case in cases)
    result = CliRunner().invoke(main, ["classify", *options], input=text)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_every_published_case_gets_its_verdict() -> None:
    code, answers = classify(*VECTORS)
    assert code == 0
    for vector, answer in zip(VECTORS, answers, strict=True):
        assert answer["id"] == vector["id"]
        assert {name: answer[name] for name in vector["expected"]} == vector["expected"], vector["id"]


def test_an_answer_says_row_condition_margins_reports_and_why() -> None:
    (answer,) = classify(CASE)[1]
    assert (answer["verdict"], answer["row"], answer["row_uncertain"]) == ("major", 6, False)
    assert answer["condition"] == {"duration_seconds": 3600, "users": 100_000}
    assert (answer["margin_seconds"], answer["margin_users"]) == (1800, 50_000)
    assert (answer["reports"], answer["reports_possible"], answer["flags"]) == (["first_notice", "detailed_report"], [], [])
    for text in answer["explanation"].values():
        assert "150,000" in text
        assert "JP-TBA58-2026" in text
    assert "可能性（要判断）" in answer["explanation"]["ja"]
    assert "a person decides" in answer["explanation"]["en"]


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"service": {"kind": "email", "charged": False}}, "row_uncertain"),
        ({"cause": "unknown"}, "cause_unknown"),
        ({"occurred_at": "2026-03-31T23:00:00+09:00"}, "spans_amendment"),
        ({"rulebook": "JP-TBA58-DRAFT-2023-04"}, "draft"),
        ({"occurred_at": "2014-01-01T00:00:00+09:00"}, "days_assumed"),
        ({"add_on_function": True}, "add_on_function"),
        ({"facility": "satellite", "all_traffic_down": True, "duration_s": 7200}, "installer_unknown"),
    ],
)
def test_what_is_uncertain_is_flagged_and_told(changes: dict[str, Any], flag: str) -> None:
    (plain,), (flagged,) = classify(CASE)[1], classify(CASE | changes)[1]
    assert flag in flagged["flags"]
    assert flag not in plain["flags"]
    assert len(flagged["explanation"]["en"]) > 0


def test_the_list_is_quarterly_until_fiscal_2024_and_annual_since() -> None:
    small = CASE | {"users": 30_000, "duration_s": 60}
    last_second, first_second = ({"occurred_at": moment} for moment in ("2025-03-31T23:59:59+09:00", "2025-03-31T15:00:00+00:00"))
    _, answers = classify(small, small | last_second, small | first_second)
    assert [answer["reports"] for answer in answers] == [["annual_report"], ["quarterly_report"], ["annual_report"]]


def test_unknown_users_leave_what_is_certain_and_what_is_possible() -> None:
    (answer,) = classify(CASE | {"users": None, "duration_s": 7200})[1]
    assert (answer["verdict"], answer["reports"]) == ("indeterminate", ["annual_report"])
    assert answer["reports_possible"] == ["first_notice", "detailed_report"]
    assert answer["margin_users"] == -answer["condition"]["users"]


@pytest.mark.parametrize(
    ("rulebook", "flag"), [("JP-TBA58-DRAFT-2023-04", "draft"), ("JP-TBA58-2019", "not_in_force"), ("JP-TBA58-2026", None)]
)
def test_by_a_table_that_was_not_in_force_that_day_nothing_is_owed_for_certain(rulebook: str, flag: str | None) -> None:
    (answer,) = classify(CASE | {"rulebook": rulebook, "duration_s": 7200})[1]
    owed = ["first_notice", "detailed_report"]
    assert answer["verdict"] == "major"
    assert (answer["reports"], answer["reports_possible"]) == (([], owed) if flag else (owed, []))
    assert answer["flags"] == ([flag] if flag else [])


@pytest.mark.parametrize(("installed", "expected"), [(True, "major"), (None, "major"), (False, "periodic")])
def test_a_facility_that_another_carrier_installed_is_not_judged_by_clause_2(installed: bool | None, expected: str) -> None:
    facility = {"facility": "satellite", "all_traffic_down": True, "installed_by_the_carrier": installed}
    (answer,) = classify(CASE | facility | {"duration_s": 7200, "users": 1})[1]
    assert answer["verdict"] == expected


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "[]",
        "{}",
        json.dumps(CASE | {"users": -1}),
        json.dumps(CASE | {"users": 1.5}),
        json.dumps(CASE | {"occurred_at": "2026-05-01T10:00:00"}),
        json.dumps(CASE | {"cause": "gremlins"}),
        json.dumps(CASE | {"duration_s": 10**30}),
        json.dumps(CASE | {"rulebook": "JP-X"}),
        json.dumps(CASE | {"occurred_at": "9999-12-31T23:59:59-12:00"}),
    ],
)
def test_a_bad_line_gives_its_number_and_the_good_ones_are_still_answered(bad: str) -> None:
    code, answers = classify(CASE, bad, CASE)
    assert code == 1
    assert [answer.get("verdict") for answer in answers] == ["major", None, "major"]
    assert answers[1]["line"] == 2
    assert answers[1]["error"]


def test_blank_lines_are_nothing_and_people_get_words() -> None:
    assert classify("", CASE, "  ")[0] == 0
    result = CliRunner().invoke(main, ["classify", "--explain"], input=json.dumps(CASE))
    assert result.stdout.startswith("one: major\n  重大な事故に該当する可能性（要判断）\n  may apply")
    for heading in ("区分 / Row", "計算 / Arithmetic", "根拠 / Basis"):
        assert heading in result.stdout


def test_rulebooks_of_ones_own_judge_the_accidents_of_their_days(tmp_path: Path) -> None:
    options = [word for name in own_rulebooks.write(tmp_path) for word in ("--rulebooks", str(tmp_path / name))]
    small = CASE | {"duration_s": 60, "users": 10}
    _, answers = classify(small, small | {"occurred_at": "2027-04-01T00:00:00+09:00"}, options=tuple(options))
    assert [(answer["rulebook"], answer["verdict"]) for answer in answers] == [("JP-TBA58-2026", "none"), ("OWN", "major")]


def test_with_a_faulty_rulebook_nothing_is_judged(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("id: OWN\nid: OWN\n")
    for name, said in (("own.yaml", "own.yaml:2: id: key given twice"), ("none.yaml", "none.yaml:1: file: cannot be read")):
        result = CliRunner().invoke(main, ["classify", "--rulebooks", str(tmp_path / name)], input=json.dumps(CASE))
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{tmp_path}/{said}" in result.stderr
