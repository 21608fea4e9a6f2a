"""What Redmine is asked to see whether issues can be made there.

By redmine.org/projects/redmine/wiki (Rest_Projects, Rest_IssueStatuses, Rest_Users, Rest_Roles) and the source of 5.0.4, and tried
there: every user may ask for the own memberships and for what a role permits. Only administrators may ask for the workflow of a
role, the trackers that it may use, and what a custom field is like: of those a ticket shows what is wrong. Redmine itself notes
of whoever asks when that was, and which project was looked at last.
"""

from collections.abc import Iterator

import msgspec

from receiver.delivery.targets import Check, checking
from receiver.delivery.targets.checking import FIELDS, KINDS, PROJECT, RIGHTS, STATUSES, Reader, asked
from receiver.law.provisions import Text
from receiver.settings.tickets import RedmineTicket

_ACTIVE = 1
_ROLES = Text("役割の権限（ワークフローは確認できません）", "what the user's roles permit (their workflow cannot be asked)")


class _Numbered(msgspec.Struct, frozen=True):
    id: int
    name: str = ""
    is_closed: bool = False


class _Project(msgspec.Struct, frozen=True):
    id: int
    status: int = _ACTIVE
    trackers: list[_Numbered] = []
    issue_custom_fields: list[_Numbered] = []
    enabled_modules: list[_Numbered] | None = None


class _One(msgspec.Struct, frozen=True):
    project: _Project


class _Issue(msgspec.Struct, frozen=True):
    custom_fields: list[_Numbered] = []


class _Issues(msgspec.Struct, frozen=True):
    issues: list[_Issue]


class _Statuses(msgspec.Struct, frozen=True):
    issue_statuses: list[_Numbered]


class _Membership(msgspec.Struct, frozen=True):
    project: _Numbered
    roles: list[_Numbered] = []


class _User(msgspec.Struct, frozen=True):
    admin: bool = False
    memberships: list[_Membership] = []


class _Me(msgspec.Struct, frozen=True):
    user: _User


class _Role(msgspec.Struct, frozen=True):
    permissions: list[str] = []


class _OneRole(msgspec.Struct, frozen=True):
    role: _Role


def checks(ticket: RedmineTicket, reader: Reader) -> Iterator[Check]:
    include = "trackers,issue_custom_fields,enabled_modules"
    check, one = asked(PROJECT, lambda: reader.get(f"/projects/{ticket.project}.json", _One, include=include).project)
    if one is None:
        yield check
        return
    no_issues = one.enabled_modules is not None and "issue_tracking" not in {module.name for module in one.enabled_modules}
    yield checking.in_use(check, is_archived=one.status != _ACTIVE, has_no_issues=no_issues)
    yield _rights(ticket, reader, one.id)
    wanted = [] if ticket.tracker_id is None else [ticket.tracker_id]
    check = checking.configured(KINDS, wanted, {tracker.id for tracker in one.trackers}, "tracker_id")
    yield check
    if check.fault is None:
        yield _fields(ticket, reader, one)
    check, answer = asked(STATUSES, lambda: reader.get("/issue_statuses.json", _Statuses))
    yield _statuses(ticket, {status.id: status.is_closed for status in answer.issue_statuses}) if answer else check


def _fields(ticket: RedmineTicket, reader: Reader, project: _Project) -> Check:
    """A project names only fields that are its own, not those for all projects: an issue of the same tracker has both."""
    wanted = [f"cf_{ticket.key_field}", *(name for name in ticket.fields if name.startswith("cf_"))]
    tracker = ticket.tracker_id or next((one.id for one in project.trackers), 0)
    ask = {"project_id": ticket.project, "tracker_id": str(tracker), "status_id": "*", "limit": "1"}
    check, found = asked(FIELDS, lambda: reader.get("/issues.json", _Issues, **ask).issues)
    if found is None:
        return check
    known = {f"cf_{field.id}" for field in (*project.issue_custom_fields, *(field for one in found for field in one.custom_fields))}
    check = checking.configured(FIELDS, wanted, known, "key_field, fields (and the field's trackers and projects)")
    if check.fault is None or found:
        return check
    unseen = Text(
        "チケットがないため、全プロジェクト向けの項目は確認できません",
        "cannot be told of fields for all projects: there is no issue",
    )
    cure = Text("一件でもチケットがある状態で、もう一度実行してください", "Ask again once there is an issue of this tracker")
    return Check(FIELDS, unseen, cure, is_warning=True)


def _rights(ticket: RedmineTicket, reader: Reader, project: int) -> Check:
    check, me = asked(RIGHTS, lambda: reader.get("/users/current.json", _Me, include="memberships").user)
    if me is None:
        return check
    if me.admin:
        return Check(_ROLES)
    roles = {role.id for one in me.memberships if one.project.id == project for role in one.roles}
    if not roles:
        no_member = Text("利用者はプロジェクトのメンバーではありません", "the user is no member of the project")
        return Check(RIGHTS, no_member, Text("メンバーにしてください", "Make the user a member of it"), is_warning=True)
    check, found = asked(
        _ROLES, lambda: {name for id_ in sorted(roles) for name in reader.get(f"/roles/{id_}.json", _OneRole).role.permissions}
    )
    return checking.rights(_lacking(ticket, found), _ROLES) if found is not None else check


def _lacking(ticket: RedmineTicket, may: set[str]) -> list[str]:
    """Of several names any one will do: what we made is our own. Redmine leaves out without a word what is not permitted."""
    needed = [("view_issues",), ("add_issues",), ("edit_issues", "edit_own_issues"), ("add_issue_notes",)]
    if "is_private" in ticket.fields:
        needed.append(("set_issues_private", "set_own_issues_private"))
    if "parent_issue_id" in ticket.fields:
        needed.append(("manage_subtasks",))
    return [names[0] for names in needed if not may.intersection(names)]


def _statuses(ticket: RedmineTicket, closed: dict[int, bool]) -> Check:
    if closed.get(ticket.open_status_id) is True or closed.get(ticket.closed_status_id) is False:
        wrong = Text(
            "開始と完了の状態が逆か、完了を表していません", "open_status_id is a closed status, or closed_status_id an open one"
        )
        return Check(STATUSES, wrong, Text("状態の番号を入れ替えるか、直してください", "Correct the two numbers"))
    wanted = [ticket.open_status_id, ticket.closed_status_id]
    return checking.configured(STATUSES, wanted, closed, "open_status_id, closed_status_id")
