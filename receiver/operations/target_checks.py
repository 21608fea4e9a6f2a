"""What each ticket system is asked to see whether tickets can be made there: rights, fields, statuses. Only ever GET, but for
Jira's search.

A question that only administrators may ask, or that needs a ticket, is not asked: what it is about may still be wrong. Paths and
answers by the published references, read in 2026-11: docs.github.com/en/rest (repos, issues/assignees, issues/milestones),
docs.gitlab.com/api (projects, personal_access_tokens, members, milestones), developer.atlassian.com/cloud/jira/platform/rest/v3 and
its v2 for Data Center (mypermissions, issue/createmeta/{project}/issuetypes, project/{key}/statuses),
redmine.org/projects/redmine/wiki (Rest_Projects, Rest_IssueStatuses), developer.nulab.com/docs/backlog (project, issue types,
statuses, custom fields, own user), and ServiceNow's Table API.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from receiver.delivery.targets import Check, Missing, Refused, Target, checking
from receiver.delivery.targets.checking import asked
from receiver.delivery.targets.http import Api
from receiver.law.provisions import Text
from receiver.settings.tickets import (
    BacklogTicket,
    FollowedTicket,
    GitHubTicket,
    GitLabTicket,
    JiraCloudTicket,
    JiraServerTicket,
    JiraTicket,
    PagerDutyTicket,
    RedmineTicket,
    ServiceNowTicket,
    Ticket,
)

T = TypeVar("T")

UNKNOWN_KEY = "art58-doctor"
"""No incident has this id: it is looked for, and not found."""

_EXPIRES_SOON_DAYS = 14
_MOST_PAGES = 20
_SEARCH = Text("チケットの検索（アドレスと認証を含む）", "tickets can be sought (address and secret included)")
_PROJECT = Text("プロジェクトとその状態", "the project is there and in use")
_RIGHTS = Text("チケットを作成・更新する権限", "the right to make and change tickets")
_FIELDS = Text("設定した項目が存在する", "the configured fields are there")
_STATUSES = Text("設定した状態が存在する", "the configured statuses are there")
_TOKEN = Text("トークンの権限範囲と期限", "scopes and expiry of the token")
_PEOPLE = Text("設定した担当者が存在する", "the configured assignees are there")
_MILESTONE = Text("設定したマイルストーンが存在する", "the configured milestone is there")
_KINDS = Text("設定した種別が存在する", "the configured kind of ticket is there")


class Reader:
    """Asks with the target's own secret, and can do nothing else. `today` is the day of asking."""

    def __init__(self, target: Target, today: date) -> None:
        self.today = today
        self._api: Api = target._api  # type: ignore[attr-defined]  # the same secret in the same form, in one place

    def get(self, path: str, type_: type[T], **params: str) -> T:
        return self._api.call("GET", path, type_, params=params)


def checks(ticket: Ticket, target: Target, today: date) -> Iterator[Check]:
    """What can be asked of this kind of system. Never raises: a failure is an answer."""
    if isinstance(ticket, PagerDutyTicket):
        yield from _pagerduty(ticket, target)
        return
    if not isinstance(ticket, FollowedTicket):
        return
    check, found = asked(_SEARCH, lambda: target.find(UNKNOWN_KEY))
    if found:
        wrong = Text(
            f"存在しない番号で{len(found)}件見つかります", f"{len(found)} ticket(s) are found by an id that none has: {found[0]}"
        )
        check = Check(_SEARCH, wrong, Text("検索に使う項目の設定を確認してください", "Check the field by which tickets are found"))
    yield check
    if check.fault is None:
        yield from _OF[type(ticket)](ticket, Reader(target, today))


class _GitHubRepository(msgspec.Struct, frozen=True):
    archived: bool = False
    has_issues: bool = True
    permissions: dict[str, bool] | None = None


def _github(ticket: GitHubTicket, reader: Reader) -> Iterator[Check]:
    path = f"/repos/{ticket.repository}"
    check, found = asked(_PROJECT, lambda: reader.get(path, _GitHubRepository))
    yield _in_use(check, found is not None and found.archived, found is not None and not found.has_issues)
    if found is None:
        return
    # not said to every kind of token
    may = found.permissions is None or any(found.permissions.get(right) for right in ("triage", "push", "maintain", "admin"))
    yield _right(may, "Write (or Triage)")
    for login in _texts(ticket.fields.get("assignees")):
        yield _there(_PEOPLE, login, partial(reader.get, f"{path}/assignees/{quote(login, safe='')}", msgspec.Raw))
    if (milestone := ticket.fields.get("milestone")) is not None and not _is_template(milestone):
        yield _there(_MILESTONE, str(milestone), partial(reader.get, f"{path}/milestones/{milestone}", msgspec.Raw))


class _Level(msgspec.Struct, frozen=True):
    access_level: int = 0


class _Levels(msgspec.Struct, frozen=True):
    project_access: _Level | None = None
    group_access: _Level | None = None


class _GitLabProject(msgspec.Struct, frozen=True):
    archived: bool = False
    issues_enabled: bool = True
    permissions: _Levels | None = None


class _GitLabToken(msgspec.Struct, frozen=True):
    scopes: list[str] = []
    expires_at: date | None = None


def _gitlab(ticket: GitLabTicket, reader: Reader) -> Iterator[Check]:
    path = f"/api/v4/projects/{quote(ticket.project, safe='')}"
    check, found = asked(_PROJECT, lambda: reader.get(path, _GitLabProject))
    yield _in_use(check, found is not None and found.archived, found is not None and not found.issues_enabled)
    if found is None:
        return
    if found.permissions:
        levels = (found.permissions.project_access, found.permissions.group_access)
        yield _right(max((one.access_level for one in levels if one), default=0) >= 15, "Planner / Reporter")
    check, token = asked(_TOKEN, lambda: reader.get("/api/v4/personal_access_tokens/self", _GitLabToken))
    yield _token(check, token, reader.today)
    for user in _numbers(ticket.fields.get("assignee_ids")):
        yield _there(_PEOPLE, str(user), partial(reader.get, f"{path}/members/all/{user}", msgspec.Raw))
    if isinstance(milestone := ticket.fields.get("milestone_id"), int):
        yield _there(_MILESTONE, str(milestone), partial(reader.get, f"{path}/milestones/{milestone}", msgspec.Raw))


def _token(check: Check, token: _GitLabToken | None, today: date) -> Check:
    if token is None:
        return msgspec.structs.replace(check, is_warning=True)
    if "api" not in token.scopes:
        said = ", ".join(token.scopes) or "none"
        return Check(_TOKEN, Text(f"権限範囲に api がありません（{said}）", f"its scopes lack api ({said})"), _NEW_TOKEN)
    days = (token.expires_at - today).days if token.expires_at else None
    if days is not None and days < _EXPIRES_SOON_DAYS:
        fault = Text(f"{token.expires_at}に失効します", f"it expires on {token.expires_at}")
        return Check(_TOKEN, fault, _NEW_TOKEN, is_warning=days >= 0)
    return check


_NEW_TOKEN = Text(
    "scope api の新しいトークンを発行し、秘密情報のファイルを置き換えてください",
    "Make a new token with scope api, and put it in the secret's place",
)


class _Right(msgspec.Struct, frozen=True):
    have: bool = msgspec.field(name="havePermission", default=False)


class _Rights(msgspec.Struct, frozen=True):
    permissions: dict[str, _Right]


class _JiraNamed(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""
    field_id: str = msgspec.field(name="fieldId", default="")
    key: str = ""


class _JiraPage(msgspec.Struct, frozen=True):
    """`values` in Data Center; in the Cloud `issueTypes` and `fields`."""

    values: list[_JiraNamed] = []
    issue_types: list[_JiraNamed] = msgspec.field(name="issueTypes", default=[])
    fields: list[_JiraNamed] = []

    @property
    def all(self) -> list[_JiraNamed]:
        return self.values or self.issue_types or self.fields


class _JiraStatus(msgspec.Struct, frozen=True):
    name: str = ""


class _JiraStatuses(msgspec.Struct, frozen=True):
    name: str = ""
    statuses: list[_JiraStatus] = []


_JIRA_RIGHTS = ("BROWSE_PROJECTS", "CREATE_ISSUES", "EDIT_ISSUES", "ADD_COMMENTS")


def _jira(ticket: JiraTicket, reader: Reader) -> Iterator[Check]:
    base = "/rest/api/3" if isinstance(ticket, JiraCloudTicket) else "/rest/api/2"
    wanted = [*_JIRA_RIGHTS, *(["TRANSITION_ISSUES"] if ticket.close_when_over else [])]
    check, rights = asked(
        _RIGHTS,
        lambda: reader.get(f"{base}/mypermissions", _Rights, projectKey=ticket.project, permissions=",".join(wanted)),
    )
    lacking = [name for name in wanted if rights and not rights.permissions.get(name, _Right()).have]
    yield _right(not lacking, ", ".join(lacking)) if rights else check
    meta = f"{base}/issue/createmeta/{ticket.project}/issuetypes"
    check, kinds = asked(_KINDS, lambda: _jira_pages(reader, meta))
    known = {one.name: one.id for one in kinds or []}
    yield _lacking(_KINDS, [ticket.issue_type], known, "issue_type") if kinds is not None else check
    if ticket.issue_type in known:
        check, fields = asked(_FIELDS, lambda: _jira_pages(reader, f"{meta}/{known[ticket.issue_type]}"))
        there = {name for one in fields or [] for name in (one.field_id, one.key)}
        needed = ["summary", "description", "labels", *ticket.fields]
        yield _lacking(_FIELDS, needed, there, "fields (the screen for creating)") if fields is not None else check
    if ticket.initial_status:
        check, found = asked(_STATUSES, lambda: reader.get(f"{base}/project/{ticket.project}/statuses", list[_JiraStatuses]))
        of_kind = {one.name for each in found or [] if each.name == ticket.issue_type for one in each.statuses}
        yield _lacking(_STATUSES, [ticket.initial_status], of_kind, "initial_status") if found is not None else check


def _jira_pages(reader: Reader, path: str) -> list[_JiraNamed]:
    """A site may give less at once than is asked for: the end is where nothing new comes."""
    found: dict[str, _JiraNamed] = {}
    for _ in range(_MOST_PAGES):
        page = reader.get(path, _JiraPage, startAt=str(len(found)), maxResults="100").all
        new = {one.id or one.field_id or one.key: one for one in page}
        if new.keys() <= found.keys():
            break
        found |= new
    return list(found.values())


class _Numbered(msgspec.Struct, frozen=True):
    id: int
    name: str = ""
    is_closed: bool = False


class _RedmineProject(msgspec.Struct, frozen=True):
    status: int = 1
    trackers: list[_Numbered] = []
    issue_custom_fields: list[_Numbered] | None = None
    enabled_modules: list[_Numbered] | None = None


class _RedmineOne(msgspec.Struct, frozen=True):
    project: _RedmineProject


class _RedmineStatuses(msgspec.Struct, frozen=True):
    issue_statuses: list[_Numbered]


def _redmine(ticket: RedmineTicket, reader: Reader) -> Iterator[Check]:
    include = "trackers,issue_custom_fields,enabled_modules"
    check, one = asked(_PROJECT, lambda: reader.get(f"/projects/{ticket.project}.json", _RedmineOne, include=include).project)
    modules = one.enabled_modules if one else None
    no_issues = modules is not None and "issue_tracking" not in {module.name for module in modules}
    yield _in_use(check, one is not None and one.status != 1, no_issues)
    if one is None:
        return
    if ticket.tracker_id is not None:
        yield _lacking(_KINDS, [ticket.tracker_id], {tracker.id for tracker in one.trackers}, "tracker_id")
    if one.issue_custom_fields is not None:
        wanted = [f"cf_{ticket.key_field}", *(name for name in ticket.fields if name.startswith("cf_"))]
        yield _lacking(_FIELDS, wanted, {f"cf_{field.id}" for field in one.issue_custom_fields}, "key_field, fields")
    check, answer = asked(_STATUSES, lambda: reader.get("/issue_statuses.json", _RedmineStatuses))
    if answer is None:
        yield check
        return
    closed = {status.id: status.is_closed for status in answer.issue_statuses}
    yield _lacking(_STATUSES, [ticket.open_status_id, ticket.closed_status_id], closed, "open_status_id, closed_status_id")
    if closed.get(ticket.open_status_id) is True or closed.get(ticket.closed_status_id) is False:
        wrong = Text(
            "開始と完了の状態が逆か、完了を表していません", "open_status_id is a closed status, or closed_status_id an open one"
        )
        yield Check(_STATUSES, wrong, Text("状態の番号を入れ替えるか、直してください", "Correct the two numbers"))


class _BacklogUser(msgspec.Struct, frozen=True):
    role: int = msgspec.field(name="roleType", default=2)


class _BacklogProject(msgspec.Struct, frozen=True):
    archived: bool = False
    formatting: str = msgspec.field(name="textFormattingRule", default="")


_BACKLOG_VIEWERS = (4, 6)


def _backlog(ticket: BacklogTicket, reader: Reader) -> Iterator[Check]:
    path = f"/api/v2/projects/{ticket.project_id}"
    check, project = asked(_PROJECT, lambda: reader.get(path, _BacklogProject))
    yield _in_use(check, project is not None and project.archived, False)
    if project is None:
        return
    check, user = asked(_RIGHTS, lambda: reader.get("/api/v2/users/myself", _BacklogUser))
    yield _right(user.role not in _BACKLOG_VIEWERS, "Normal user (一般ユーザー)") if user else check
    if project.formatting and project.formatting != ticket.formatting:
        wrong = Text(f"プロジェクトの書式は {project.formatting} です", f"the project's text formatting is {project.formatting}")
        yield Check(_FIELDS, wrong, Text("formatting を合わせてください", "Set formatting to the same"), is_warning=True)
    listed: list[tuple[Text, str, list[int | None], str]] = [
        (_KINDS, f"{path}/issueTypes", [ticket.issue_type_id], "issue_type_id"),
        (_STATUSES, f"{path}/statuses", [ticket.new_status_id, ticket.closed_status_id], "new_status_id, closed_status_id"),
        (_FIELDS, "/api/v2/priorities", [ticket.priority_id], "priority_id"),
        (_FIELDS, "/api/v2/resolutions", [ticket.resolution_id], "resolution_id"),
        (_FIELDS, f"{path}/customFields", _backlog_fields(ticket), "key_field, fields"),
    ]
    for what, where, ids, setting in listed:
        wanted = [id_ for id_ in ids if id_ is not None]
        if wanted:
            check, found = asked(what, partial(reader.get, where, list[_Numbered]))
            yield _lacking(what, wanted, {one.id for one in found}, setting) if found is not None else check


def _backlog_fields(ticket: BacklogTicket) -> list[int | None]:
    mapped = [name.removeprefix("customField_") for name in ticket.fields if name.startswith("customField_")]
    return [ticket.key_field, *(int(number) for number in mapped if number.isdigit())]


class _Rows(msgspec.Struct, frozen=True):
    result: list[dict[str, Any]]


def _servicenow(ticket: ServiceNowTicket, reader: Reader) -> Iterator[Check]:
    """A column that is not there, or that the user may not read, is left out of a row without a word; so there must be a row."""
    needed = ["short_description", "description", "state", "correlation_id", "correlation_display", "assigned_to", *ticket.fields]
    table = f"/api/now/table/{ticket.table}"
    check, found = asked(
        _FIELDS, lambda: reader.get(table, _Rows, sysparm_limit="1", sysparm_fields=",".join(["sys_id", *needed])).result
    )
    if found:
        yield _lacking(_FIELDS, needed, found[0], "fields (or the right to read them)")
    elif found is not None:
        wrong = Text("表が空のため確認できません", "cannot be told: the user sees no ticket in the table")
        cure = Text(
            "一件でもチケットがある状態で、もう一度実行してください", "Ask again once there is a ticket that the user may see"
        )
        yield Check(_FIELDS, wrong, cure, is_warning=True)
    else:
        yield check
    for what, element, value in (("state", "state", ticket.closed_state), ("close_code", "close_code", ticket.close_code)):
        if ticket.close_when_over and value:
            yield _choice(reader, ticket.table, what, element, value)


def _choice(reader: Reader, table: str, what: str, element: str, value: str) -> Check:
    """Choices are `task`'s own for what every task has. Not every user may read them: then nothing is said."""
    query = f"nameIN{table},task^element={element}^inactive=false"
    ask = {"sysparm_query": query, "sysparm_fields": "value", "sysparm_limit": "200"}
    check, found = asked(_STATUSES, lambda: reader.get("/api/now/table/sys_choice", _Rows, **ask).result)
    if found is None or not found:
        return msgspec.structs.replace(check, is_warning=True)
    return _lacking(_STATUSES, [value], {str(row.get("value")) for row in found}, what)


def _pagerduty(ticket: PagerDutyTicket, target: Target) -> Iterator[Check]:
    """The Events API can be asked nothing: whether the key is one of theirs shows only when an event is sent."""
    yield checking.reachable(ticket.url, 10)
    key = ticket.routing_key.read().reveal()
    if len(key) != 32:
        what = Text("連携キー（routing_key）の形", "form of the routing key")
        wrong = Text(f"{len(key)}文字です（32文字のはず）", f"it has {len(key)} characters, not 32")
        yield Check(
            what, wrong, Text("Integration Key を確認してください", "Check the integration key of the service"), is_warning=True
        )


_OF: dict[type[Any], Callable[[Any, Reader], Iterable[Check]]] = {
    GitHubTicket: _github,
    GitLabTicket: _gitlab,
    JiraCloudTicket: _jira,
    JiraServerTicket: _jira,
    RedmineTicket: _redmine,
    BacklogTicket: _backlog,
    ServiceNowTicket: _servicenow,
}


def _in_use(check: Check, is_archived: bool, has_no_issues: bool) -> Check:
    if is_archived:
        wrong = Text("アーカイブ済み（または終了）です", "it is archived or closed")
        return Check(
            _PROJECT, wrong, Text("別のプロジェクトを設定するか、元に戻してください", "Open it again, or name another one")
        )
    if has_no_issues:
        wrong = Text("課題（issue）の機能が無効です", "issues are switched off there")
        return Check(_PROJECT, wrong, Text("プロジェクトの設定で有効にしてください", "Switch them on in its settings"))
    return check


def _right(may: bool, needed: str) -> Check:
    if may:
        return Check(_RIGHTS)
    return Check(
        _RIGHTS, Text(f"不足: {needed}", f"lacking: {needed}"), Text("利用者に権限を与えてください", "Give the user this right")
    )


def _lacking(what: Text, wanted: Iterable[Any], there: Iterable[Any] | Mapping[Any, Any], setting: str) -> Check:
    known = set(there)
    lacking = ", ".join(str(one) for one in wanted if one not in known)
    if not lacking:
        return Check(what)
    cure = Text(f"設定 {setting} か、相手側の設定を直してください", f"Correct {setting} in the configuration, or add it there")
    return Check(what, Text(f"ありません: {lacking}", f"not there: {lacking}"), cure)


def _there(what: Text, name: str, ask: Callable[[], Any]) -> Check:
    """One of which the other side says 404 if it is not there."""

    def told() -> Any:
        try:
            return ask()
        except Missing:
            raise Refused(f"there is no {name}") from None

    check, _ = asked(what, told)
    return check


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and not _is_template(one)]


def _numbers(value: Any) -> list[int]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int)]


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and "{" in value
