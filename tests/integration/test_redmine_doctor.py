"""What doctor says of a real Redmine: nothing where all is right, and each fault by its name; and it writes nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from receiver.operations import doctor
from tests.delivery.redmine import CLOSED, NEW, Redmine


@pytest.fixture(scope="module")
def redmine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redmine]:
    with Redmine(tmp_path_factory.mktemp("redmine")) as redmine:
        for tracker in (1, redmine.ids["tracker"]):
            issue = {"project_id": "noc", "subject": "x", "tracker_id": tracker}
            redmine.call("yamada", "POST", "/issues.json", {"issue": issue})
        yield redmine


def faults(redmine: Redmine, folder: Path, key: str | None = None, **changes: Any) -> list[str]:
    ticket = redmine.settings(folder, **changes)
    if key:
        (folder / "api_key").write_text(key)
    return [check.fault.en for check in doctor.of_ticket(ticket, lambda: datetime.now(UTC)) if check.fault]


def test_a_redmine_with_all_as_it_should_be_has_no_fault_and_is_left_as_it_was(redmine: Redmine, tmp_path: Path) -> None:
    fields = {f"cf_{redmine.ids['other_field']}": "関東", "is_private": True}
    before = _kept(redmine)
    assert faults(redmine, tmp_path, tracker_id=redmine.ids["tracker"], fields=fields) == []
    assert _kept(redmine) == before


def _kept(redmine: Redmine) -> set[str]:
    """All that is in its database, but for what it notes of each visitor: when, and which project was looked at."""
    notes = tuple(f'INSERT INTO "{table}"' for table in ("users", "tokens", "user_preferences"))
    with redmine.database() as database:
        return {line for line in database.iterdump() if not line.startswith(notes)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tracker_id": 99}, "not there: 99"),
        ({"fields": {"cf_99": "x"}}, "not there: cf_99"),
        ({"open_status_id": CLOSED}, "is a closed status"),
        ({"closed_status_id": NEW}, "an open one"),
        ({"closed_status_id": 99}, "not there: 99"),
    ],
)
def test_what_is_configured_and_not_there_is_named(redmine: Redmine, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    (only,) = faults(redmine, tmp_path, **changes)
    assert said in only


def test_a_key_field_that_is_no_filter_or_not_there_is_named(redmine: Redmine, tmp_path: Path) -> None:
    (only,) = faults(redmine, tmp_path, key_field=99)
    assert "not there: cf_99" in only
    theirs = {"project_id": "noc", "subject": "x", "custom_fields": [{"id": redmine.ids["no_filter"], "value": "inc-1"}]}
    redmine.call("receiver", "POST", "/issues.json", {"issue": theirs})
    (only,) = faults(redmine, tmp_path, key_field=redmine.ids["no_filter"])
    assert "Used as a filter" in only


def test_a_field_that_another_tracker_has_is_named(redmine: Redmine, tmp_path: Path) -> None:
    without = (redmine.ids["key_field"], redmine.ids["tracker"])
    with redmine.database() as database:
        database.execute("DELETE FROM custom_fields_trackers WHERE custom_field_id = ? AND tracker_id = ?", without)
    try:
        assert faults(redmine, tmp_path) == []
        (only,) = faults(redmine, tmp_path, tracker_id=redmine.ids["tracker"])
        assert f"not there: cf_{redmine.ids['key_field']}" in only
    finally:
        with redmine.database() as database:
            database.execute("INSERT INTO custom_fields_trackers VALUES (?, ?)", without)


def test_without_an_issue_the_fields_cannot_be_told(redmine: Redmine, tmp_path: Path) -> None:
    (only,) = faults(redmine, tmp_path, project="field-service")
    assert "there is no issue" in only


def test_a_project_that_is_not_there_is_named(redmine: Redmine, tmp_path: Path) -> None:
    (only,) = faults(redmine, tmp_path, project="nowhere")
    assert "answered 404" in only


def test_a_wrong_key_is_the_one_fault_and_is_not_shown(redmine: Redmine, tmp_path: Path) -> None:
    (only,) = faults(redmine, tmp_path, key="0123456789abcdef0123456789abcdef01234567")
    assert "answered 401" in only
    assert "0123456789" not in only


def test_who_may_not_see_issues_is_told_so(redmine: Redmine, tmp_path: Path) -> None:
    with redmine.without("view_issues"):
        assert "answered 403" in faults(redmine, tmp_path)[0]


@pytest.mark.parametrize("permission", ["add_issues", "edit_issues", "add_issue_notes"])
def test_a_role_that_lacks_a_permission_is_told_so(redmine: Redmine, tmp_path: Path, permission: str) -> None:
    with redmine.without(permission):
        assert f"lacking: {permission}" in faults(redmine, tmp_path)
