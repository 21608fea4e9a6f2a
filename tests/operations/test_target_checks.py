"""Each ticket system is asked whether tickets can be made there, before the first one must be; nothing is written to it."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from receiver.delivery.targets import Check
from receiver.operations import doctor
from receiver.settings.tickets import (
    BacklogTicket,
    GitHubTicket,
    GitLabTicket,
    JiraCloudTicket,
    JiraServerTicket,
    PagerDutyTicket,
    RedmineTicket,
    ServiceNowTicket,
    Ticket,
)
from receiver.settings.types import SecretRef
from tests.fakes.github import FakeGitHub
from tests.fakes.pages import FakePages

SECRET = "not-for-anyones-eyes-0123456789a"
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
IN_A_YEAR = f"{datetime.now(UTC) + timedelta(days=365):%Y-%m-%d}"
IN_A_WEEK = f"{datetime.now(UTC) + timedelta(days=7):%Y-%m-%d}"
YESTERDAY = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}"

SEARCHES = ("/rest/api/2/search", "/rest/api/3/search/jql")
_RIGHTS = ("BROWSE_PROJECTS", "CREATE_ISSUES", "EDIT_ISSUES", "ADD_COMMENTS", "TRANSITION_ISSUES")
_JIRA_FIELDS = [
    {"fieldId": name, "key": name, "name": name, "required": name in ("summary", "reporter"), "hasDefaultValue": False}
    for name in ("summary", "description", "labels", "reporter", "customfield_10050")
]
_IN_PROGRESS = {"name": "In Progress", "statusCategory": {"key": "indeterminate"}}
_SITE = {"fieldId": "customfield_10051", "key": "customfield_10051", "name": "Site", "required": True, "hasDefaultValue": False}
_DONE, _CANCELLED = ({"name": name, "statusCategory": {"key": "done"}} for name in ("Done", "Cancelled"))


_SEVERAL = [{"name": "Task", "statuses": [_IN_PROGRESS, _DONE, _CANCELLED]}]


def _milestones(query: Any) -> list[dict[str, int]]:
    """Milestone 3 is a group's, on the second page."""
    inherited = [*({"id": number} for number in range(100, 150)), {"id": 3}] if query.get("include_ancestors") == "true" else []
    start = (int(query["page"]) - 1) * int(query["per_page"])
    return inherited[start : start + int(query["per_page"])]


def _member(project: int, *roles: int) -> dict[str, Any]:
    return {"user": {"memberships": [{"project": {"id": project}, "roles": [{"id": role} for role in roles]}]}}


def _issues(issues: list[dict[str, Any]]) -> dict[str, Any]:
    return {"issues": [{"status": {"id": 1}} | one for one in issues], "total_count": len(issues)}


def _choices(table: str, *values: str) -> dict[str, Any]:
    return {"result": [{"name": table, "value": value} for value in values]}


class System(NamedTuple):
    """A kind of ticket system with all as it should be."""

    settings: type[Any]
    given: dict[str, Any]
    headers: dict[str, str]
    answers: dict[str, Any]


def _jira(base: str, found: dict[str, Any], kinds: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    return {
        **dict.fromkeys(SEARCHES, found),
        f"{base}/mypermissions": {"permissions": {name: {"havePermission": True} for name in _RIGHTS}},
        f"{base}/issue/createmeta/OPS/issuetypes": kinds,
        f"{base}/issue/createmeta/OPS/issuetypes/7": fields,
        f"{base}/project/OPS/statuses": [
            {"name": "Task", "statuses": [_IN_PROGRESS, _DONE]},
            {"name": "Bug", "statuses": [_CANCELLED]},
        ],
    }


_KINDS = [{"id": "7", "name": "Task"}]
_JIRA = {"project": "OPS", "close_when_over": True, "fields": {"customfield_10050": "x"}, "initial_status": "In Progress"}

_REDMINE_FIELDS = [{"id": 9, "name": "key"}, {"id": 10, "name": "x"}]
"""The first is for all projects, the other the project's own."""

_ROW = dict.fromkeys(
    ("short_description", "description", "state", "correlation_id", "correlation_display", "assigned_to", "urgency"), ""
)

SYSTEMS = {
    "github": System(
        GitHubTicket,
        {"repository": "o/r", "token": ..., "fields": {"assignees": ["yamada"], "milestone": 3}},
        {"Authorization": f"Bearer {SECRET}"},
        {
            "/repos/o/r": {"archived": False, "has_issues": True, "permissions": {"push": True, "triage": True}},
            "/repos/o/r/issues": [],
            "/repos/o/r/assignees/yamada": {},
            "/repos/o/r/milestones/3": {"number": 3},
        },
    ),
    "gitlab": System(
        GitLabTicket,
        {"project": "network/incidents", "token": ..., "fields": {"assignee_ids": [8], "milestone_id": 3}},
        {"PRIVATE-TOKEN": SECRET},
        {
            "/api/v4/projects/network/incidents": {
                "archived": False,
                "issues_enabled": True,
                "permissions": {"project_access": {"access_level": 20}, "group_access": None},
            },
            "/api/v4/projects/network/incidents/issues": [],
            "/api/v4/projects/network/incidents/members/all/8": {"id": 8},
            "/api/v4/projects/network/incidents/milestones": _milestones,
            "/api/v4/personal_access_tokens/self": {"scopes": ["api"], "expires_at": IN_A_YEAR},
        },
    ),
    "jira_cloud": System(
        JiraCloudTicket,
        _JIRA | {"email": "art58@carrier.example", "api_token": ...},
        {"Authorization": "Basic " + base64.b64encode(f"art58@carrier.example:{SECRET}".encode()).decode()},
        _jira("/rest/api/3", {"issues": []}, {"issueTypes": _KINDS}, {"fields": _JIRA_FIELDS}),
    ),
    "jira_server": System(
        JiraServerTicket,
        _JIRA | {"token": ...},
        {"Authorization": f"Bearer {SECRET}"},
        _jira("/rest/api/2", {"issues": [], "total": 0}, {"values": _KINDS}, {"values": _JIRA_FIELDS}),
    ),
    "redmine": System(
        RedmineTicket,
        {"project": "noc", "key_field": 9, "tracker_id": 2, "api_key": ..., "fields": {"cf_10": "x"}},
        {"X-Redmine-API-Key": SECRET},
        {
            "/projects/noc/issues.json": lambda _: _issues([]),
            "/issues.json": lambda _: _issues([{"id": 1, "custom_fields": _REDMINE_FIELDS}]),
            "/projects/noc.json": {
                "project": {
                    "id": 4,
                    "status": 1,
                    "trackers": [{"id": 2, "name": "Incident"}],
                    "issue_custom_fields": _REDMINE_FIELDS[1:],
                    "enabled_modules": [{"id": 1, "name": "issue_tracking"}],
                }
            },
            "/issue_statuses.json": {"issue_statuses": [{"id": 1, "is_closed": False}, {"id": 5, "is_closed": True}]},
            "/users/current.json": _member(4, 3, 6),
            "/roles/3.json": {"role": {"permissions": ["view_issues", "add_issues", "add_issue_notes"]}},
            "/roles/6.json": {"role": {"permissions": ["view_issues", "edit_own_issues"]}},
        },
    ),
    "backlog": System(
        BacklogTicket,
        {"project_id": 1, "issue_type_id": 2, "key_field": 7, "resolution_id": 0, "api_key": ...},
        {"Backlog-API-Key": SECRET},
        {
            "/api/v2/issues": [],
            "/api/v2/projects/1": {"archived": False, "textFormattingRule": "markdown"},
            "/api/v2/projects/1/issueTypes": [{"id": 2, "name": "障害"}],
            "/api/v2/projects/1/statuses": [{"id": 1, "name": "未対応"}, {"id": 4, "name": "完了"}],
            "/api/v2/projects/1/customFields": [{"id": 7, "name": "key", "typeId": 1, "applicableIssueTypes": [2]}],
            "/api/v2/users/myself": {"id": 1, "roleType": 2},
            "/api/v2/priorities": [{"id": 2, "name": "高"}],
            "/api/v2/resolutions": [{"id": 0, "name": "対応済み"}],
        },
    ),
    "servicenow": System(
        ServiceNowTicket,
        {"token": ..., "close_when_over": True, "fields": {"urgency": "1"}},
        {"Authorization": f"Bearer {SECRET}"},
        {
            "/api/now/table/incident": lambda query: {"result": [] if "sysparm_query" in query else [_ROW]},
            "/api/now/table/sys_choice": _choices("incident", "1", "6", "Solution provided"),
        },
    ),
}


@contextmanager
def checked(kind: str, answers: dict[str, Any] | None = None, **changes: Any) -> Iterator[tuple[list[Check], FakePages]]:
    """What comes of it where some answers or settings differ."""
    system = SYSTEMS[kind]
    with FakePages(system.headers, system.answers | (answers or {}), SEARCHES) as pages:
        ticket = ticket_of(kind, pages.url, **changes)
        yield checks(ticket), pages


def checks(ticket: Ticket) -> list[Check]:
    return list(doctor.of_ticket(ticket, lambda: NOW))


def ticket_of(kind: str, url: str, **changes: Any) -> Ticket:
    system = SYSTEMS[kind]
    given = {"name": "desk", "url": url, "per_minute": 100_000} | system.given | changes
    secret = SecretRef(env="ART58_TEST_SECRET")
    return system.settings(**{name: secret if value is ... else value for name, value in given.items()})  # type: ignore[no-any-return]


def faults(found: list[Check], *, warnings: bool = True) -> str:
    return "; ".join(check.fault.en for check in found if check.fault and (warnings or not check.is_warning))


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART58_TEST_SECRET", SECRET)


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_system_with_all_as_it_should_be_has_no_fault_and_is_only_asked(kind: str) -> None:
    with checked(kind) as (found, pages):
        assert faults(found) == ""
        assert len(found) > 1
        assert pages.written == []


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_wrong_secret_is_the_one_fault_and_is_not_shown(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART58_TEST_SECRET", "a-wrong-secret-0123456789abcdefg")
    with checked(kind) as (found, _):
        (only,) = found
        assert only.fault
        assert only.cure
        assert "a-wrong-secret" not in str(found)
        assert only.fault.ja.startswith("401")


@pytest.mark.parametrize("kind", SYSTEMS)
def test_an_address_that_nobody_listens_on_is_one_fault_that_says_so(kind: str) -> None:
    ticket = ticket_of(kind, "http://127.0.0.1:9")

    (only,) = checks(ticket)

    assert only.fault
    assert "127.0.0.1:9" in only.fault.en
    assert only.fault.ja.startswith("応答がありません")


@pytest.mark.parametrize(
    ("kind", "answers", "changes", "said"),
    [
        ("github", {"/repos/o/r": {"archived": True}}, {}, "archived"),
        ("github", {"/repos/o/r": {"has_issues": False}}, {}, "switched off"),
        ("github", {"/repos/o/r": {"permissions": {"pull": True, "push": False}}}, {}, "lacking: Write"),
        ("github", {"/repos/o/r/assignees/yamada": 404}, {}, "there is no yamada"),
        ("github", {"/repos/o/r/milestones/3": 404}, {}, "there is no 3"),
        ("gitlab", {"/api/v4/personal_access_tokens/self": {"scopes": ["read_api"]}}, {}, "lack api (read_api)"),
        ("gitlab", {"/api/v4/personal_access_tokens/self": {"scopes": ["api"], "expires_at": YESTERDAY}}, {}, "expires on"),
        (
            "gitlab",
            {"/api/v4/projects/network/incidents": {"permissions": {"project_access": {"access_level": 10}}}},
            {},
            "lacking: Planner",
        ),
        ("gitlab", {}, {"fields": {"milestone_id": 4}}, "not there: 4"),
        ("gitlab", {"/api/v4/projects/network/incidents": {"issues_access_level": "disabled"}}, {}, "switched off"),
        ("jira_cloud", {"/rest/api/3/mypermissions": {"permissions": {}}}, {}, "lacking: BROWSE_PROJECTS, CREATE_ISSUES"),
        ("jira_cloud", {}, {"issue_type": "Störung"}, "not there: Störung"),
        ("jira_server", {}, {"fields": {"customfield_1": "x"}}, "not there: customfield_1"),
        ("jira_server", {"/rest/api/2/issue/createmeta/OPS/issuetypes/7": {"values": _JIRA_FIELDS[:2]}}, {}, "not there: labels"),
        (
            "jira_cloud",
            {"/rest/api/3/issue/createmeta/OPS/issuetypes/7": {"fields": [*_JIRA_FIELDS, _SITE]}},
            {},
            "not given: Site (customfield_10051)",
        ),
        (
            "jira_cloud",
            {"/rest/api/3/project/OPS/statuses": [{"name": "Task", "statuses": [_IN_PROGRESS]}]},
            {},
            "none whose category is Done",
        ),
        ("jira_server", {}, {"initial_status": "Triage"}, "not there: Triage"),
        ("redmine", {}, {"key_field": 11}, "not there: cf_11"),
        ("redmine", {}, {"tracker_id": 3}, "not there: 3"),
        ("redmine", {}, {"open_status_id": 5}, "is a closed status"),
        ("redmine", {}, {"closed_status_id": 6}, "not there: 6"),
        ("redmine", {"/projects/noc.json": 403}, {}, "answered 403"),
        ("redmine", {"/users/current.json": _member(4, 3)}, {}, "lacking: edit_issues"),
        # a Redmine that is open to everyone answers a wrong key as it does anybody, but for this
        ("redmine", {"/users/current.json": 401}, {}, "answered 401"),
        ("redmine", {}, {"fields": {"is_private": True}}, "lacking: set_issues_private"),
        ("backlog", {}, {"issue_type_id": 3}, "not there: 3"),
        ("backlog", {}, {"closed_status_id": 5}, "not there: 5"),
        ("backlog", {"/api/v2/users/myself": {"roleType": 3}}, {}, "lacking: Normal user"),
        ("backlog", {"/api/v2/projects/1/customFields": [{"id": 7, "typeId": 1, "applicableIssueTypes": [3]}]}, {}, "not there: 7"),
        ("backlog", {"/api/v2/projects/1/customFields": [{"id": 7, "typeId": 6}]}, {}, "is not of type text"),
        ("backlog", {}, {"fields": {"customField_8": "x"}}, "not there: 8"),
        ("servicenow", {}, {"fields": {"u_verdict": "x"}}, "not there: u_verdict"),
        (
            "servicenow",
            {"/api/now/table/sys_choice": _choices("incident", "1", "6", "Duplicate")},
            {},
            "not there: Solution provided",
        ),
    ],
)
def test_what_is_configured_and_not_there_is_named(kind: str, answers: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    with checked(kind, answers, **changes) as (found, _):
        assert said in faults(found, warnings=False)
        assert all(check.cure for check in found if check.fault)


def test_a_token_that_expires_soon_is_a_warning() -> None:
    with checked("gitlab", {"/api/v4/personal_access_tokens/self": {"scopes": ["api"], "expires_at": IN_A_WEEK}}) as (found, _):
        (warning,) = (check for check in found if check.fault)
        assert warning.is_warning


@pytest.mark.parametrize(
    ("kind", "answers", "changes", "said"),
    [
        ("gitlab", {"/api/v4/projects/network/incidents": {"permissions": None}}, {}, "lacking: Planner"),
        ("gitlab", {"/api/v4/projects/network/incidents/members/all/8": 404}, {}, "there is no 8"),
        ("jira_server", {"/rest/api/2/project/OPS/statuses": _SEVERAL}, {}, "several: Done, Cancelled"),
        ("redmine", {"/users/current.json": _member(5, 3)}, {}, "no member"),
        ("redmine", {"/issues.json": _issues([])}, {}, "there is no issue"),
        ("servicenow", {"/api/now/table/sys_choice": {"result": []}}, {"close_when_over": False}, "sees no choices of state"),
        ("servicenow", {"/api/now/table/sys_choice": 403}, {"close_when_over": False}, "answered 403"),
    ],
)
def test_what_may_be_right_all_the_same_is_a_warning(
    kind: str, answers: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    with checked(kind, answers, **changes) as (found, _):
        (warning,) = (check for check in found if check.fault)
        assert warning.fault
        assert said in warning.fault.en
        assert warning.cure
        assert warning.is_warning


@pytest.mark.parametrize(
    ("kind", "answers", "changes"),
    [
        (
            "gitlab",
            {
                "/api/v4/projects/network/incidents": {"permissions": {"project_access": None, "group_access": None}},
                "/api/v4/user": {"id": 12},
                "/api/v4/projects/network/incidents/members/all/12": {"id": 12, "access_level": 20},
            },
            {},
        ),
        ("jira_server", {"/rest/api/2/project/OPS/statuses": _SEVERAL}, {"close_transition": "Done"}),
        ("redmine", {"/users/current.json": {"user": {"admin": True, "memberships": []}}}, {}),
    ],
    ids=["a role by an invited group", "a transition that is named", "an administrator"],
)
def test_what_looks_wrong_and_is_right_is_no_fault(kind: str, answers: dict[str, Any], changes: dict[str, Any]) -> None:
    with checked(kind, answers, **changes) as (found, _):
        assert faults(found) == ""


def test_choices_of_the_table_itself_stand_in_for_those_of_every_task() -> None:
    of_both = {"result": [*_choices("task", "1", "3", "6")["result"], *_choices("incident", "1", "2")["result"]]}
    with checked("servicenow", {"/api/now/table/sys_choice": of_both}) as (found, _):
        assert "not there: 6" in faults(found)


def test_a_text_formatting_other_than_the_projects_is_a_warning() -> None:
    with checked("backlog", formatting="backlog") as (found, _):
        (warning,) = (check for check in found if check.fault)
        assert warning.is_warning


def test_an_empty_table_is_a_warning_as_nothing_can_be_told_of_its_columns() -> None:
    with checked("servicenow", {"/api/now/table/incident": {"result": []}}) as (found, _):
        (warning,) = (check for check in found if check.fault)
        assert warning.is_warning


def test_a_search_that_finds_what_cannot_be_there_is_a_fault() -> None:
    """A filter by a field that is no filter lists everything."""
    issue = {"id": 1, "status": {"id": 1}, "custom_fields": [{"id": 9, "value": "inc-1"}]}
    with checked("redmine", {"/projects/noc/issues.json": {"issues": [issue], "total_count": 1}}) as (found, _):
        assert "Used as a filter" in faults(found)


def test_the_stand_in_for_github_itself_has_no_fault_and_holds_nothing_afterwards() -> None:
    with FakeGitHub(SECRET, "o/r") as github:
        ticket = ticket_of("github", github.url, fields={})

        assert faults(checks(ticket)) == ""
        assert github.made() == 0


def test_of_pagerduty_only_the_address_and_the_form_of_the_key_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakePages({}, {}) as pages:
        ticket = PagerDutyTicket(name="pager", url=pages.url, routing_key=SecretRef(env="ART58_TEST_SECRET"))
        assert faults(checks(ticket)) == ""

        monkeypatch.setenv("ART58_TEST_SECRET", "short")
        assert "5 characters" in faults(checks(ticket))
        assert pages.asked == []
