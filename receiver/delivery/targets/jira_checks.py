"""What Jira is asked to see whether issues can be made and closed there.

By developer.atlassian.com, read in 2026-11: for the Cloud rest/v3 (mypermissions, which wants `permissions` named;
issue/createmeta/{project}/issuetypes and, below it, {id}; project/{key}/statuses), for Data Center the same paths of rest/api/2,
where the first two exist from 8.4 and are all there is from 9.0 (JRASERVER-74965). A right that hangs on the issue (the reporter
may edit) is told for the project as if it were there. Which transitions there are is told of an issue only: whether
`close_transition` and `reopen_transition` exist, and what their screens ask for, is not asked. Not tried on a real Jira.
"""

from collections.abc import Iterator

import msgspec

from receiver.delivery.targets import Check, checking
from receiver.delivery.targets.checking import FIELDS, KINDS, RIGHTS, STATUSES, Reader, asked
from receiver.law.provisions import Text
from receiver.settings.tickets import JiraCloudTicket, JiraTicket

_MOST_PAGES = 20
_RIGHTS = ("BROWSE_PROJECTS", "CREATE_ISSUES", "EDIT_ISSUES", "ADD_COMMENTS")
_GIVEN = ("project", "issuetype", "summary", "description", "labels", "reporter")
"""What Jira never lacks of ours: the reporter is, unless another is named, who makes the issue."""

_REQUIRED = Text("必須項目がすべて設定されている", "all required fields are given")
_CLOSING = Text("完了を表す状態がある", "there is a status that closes")


class _Right(msgspec.Struct, frozen=True):
    have: bool = msgspec.field(name="havePermission", default=False)


class _Rights(msgspec.Struct, frozen=True):
    permissions: dict[str, _Right]


class _Named(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""
    field_id: str = msgspec.field(name="fieldId", default="")
    key: str = ""
    required: bool = False
    has_default: bool = msgspec.field(name="hasDefaultValue", default=False)


class _Page(msgspec.Struct, frozen=True):
    """`values` in Data Center; in the Cloud `issueTypes` and `fields`."""

    values: list[_Named] = []
    issue_types: list[_Named] = msgspec.field(name="issueTypes", default=[])
    fields: list[_Named] = []

    @property
    def all(self) -> list[_Named]:
        return self.values or self.issue_types or self.fields


class _Category(msgspec.Struct, frozen=True):
    key: str = ""


class _Status(msgspec.Struct, frozen=True):
    name: str = ""
    category: _Category = msgspec.field(name="statusCategory", default=_Category())


class _OfKind(msgspec.Struct, frozen=True):
    name: str = ""
    statuses: list[_Status] = []


def checks(ticket: JiraTicket, reader: Reader) -> Iterator[Check]:
    base = "/rest/api/3" if isinstance(ticket, JiraCloudTicket) else "/rest/api/2"
    wanted = [*_RIGHTS, *(["TRANSITION_ISSUES"] if ticket.close_when_over else [])]
    check, rights = asked(
        RIGHTS, lambda: reader.get(f"{base}/mypermissions", _Rights, projectKey=ticket.project, permissions=",".join(wanted))
    )
    yield checking.rights(one for one in wanted if not rights.permissions.get(one, _Right()).have) if rights else check
    meta = f"{base}/issue/createmeta/{ticket.project}/issuetypes"
    check, kinds = asked(KINDS, lambda: _pages(reader, meta))
    known = {one.name: one.id for one in kinds or []}
    yield checking.configured(KINDS, [ticket.issue_type], known, "issue_type") if kinds is not None else check
    if ticket.issue_type in known:
        yield from _fields(ticket, reader, f"{meta}/{known[ticket.issue_type]}")
        if ticket.initial_status or ticket.close_when_over:
            yield from _statuses(ticket, reader, f"{base}/project/{ticket.project}/statuses")


def _fields(ticket: JiraTicket, reader: Reader, path: str) -> Iterator[Check]:
    check, fields = asked(FIELDS, lambda: _pages(reader, path))
    if fields is None:
        yield check
        return
    there = {name for one in fields for name in (one.field_id, one.key)}
    needed = ["summary", "description", "labels", *ticket.fields]
    yield checking.configured(FIELDS, needed, there, "fields (the screen for creating)")
    given = {*_GIVEN, *ticket.fields}
    missing = [one for one in fields if one.required and not one.has_default and not given & {one.field_id, one.key}]
    names = ", ".join(f"{one.name} ({one.field_id or one.key})" for one in missing)
    wrong = Text(f"指定がありません: {names}", f"not given: {names}")
    yield Check(_REQUIRED, wrong, Text("設定 fields で与えてください", "Give them in fields")) if missing else Check(_REQUIRED)


def _statuses(ticket: JiraTicket, reader: Reader, path: str) -> Iterator[Check]:
    check, found = asked(STATUSES, lambda: reader.get(path, list[_OfKind]))
    if found is None:
        yield check
        return
    there = {one.name: one.category.key for each in found if each.name == ticket.issue_type for one in each.statuses}
    if ticket.initial_status:
        yield checking.configured(STATUSES, [ticket.initial_status], there, "initial_status")
    if ticket.close_when_over:
        yield _closing(ticket, [name for name, category in there.items() if category == "done"])


def _closing(ticket: JiraTicket, done: list[str]) -> Check:
    if not done:
        wrong = Text("ワークフローにありません", "the workflow has none whose category is Done")
        return Check(
            _CLOSING, wrong, Text("ワークフローに追加してください", "Add one to the workflow, or leave close_when_over out")
        )
    if len(done) > 1 and not ticket.close_transition:
        names = ", ".join(done)
        several = Text(f"複数あります: {names}", f"there are several: {names}")
        cure = Text("設定 close_transition で遷移を指定してください", "Name the transition that closes as close_transition")
        return Check(_CLOSING, several, cure, is_warning=True)
    return Check(_CLOSING)


def _pages(reader: Reader, path: str) -> list[_Named]:
    """A site may give less at once than is asked for: the end is where nothing new comes."""
    found: dict[str, _Named] = {}
    for _ in range(_MOST_PAGES):
        page = reader.get(path, _Page, startAt=str(len(found)), maxResults="100").all
        new = {one.id or one.field_id or one.key: one for one in page}
        if new.keys() <= found.keys():
            break
        found |= new
    return list(found.values())
