"""What Backlog is asked to see whether issues can be made there.

By developer.nulab.com/docs/backlog (project, own user, issue types, statuses, custom fields, priorities, resolutions), read in
2026-11: issues are changed by administrators and normal users only. The numbers of the roles are published for adding a user, which
spaces of a new plan do not have: what `roleType` is there was not confirmed. Not tried on a real Backlog.
"""

from collections.abc import Iterator
from functools import partial

import msgspec

from receiver.delivery.targets import Check, checking
from receiver.delivery.targets.checking import FIELDS, KINDS, PROJECT, RIGHTS, STATUSES, Reader, asked
from receiver.law.provisions import Text
from receiver.settings.tickets import BacklogTicket

_ADMINISTRATOR, _NORMAL_USER = 1, 2
_TEXT, _LONG_TEXT = 1, 2  # types of custom fields


class _User(msgspec.Struct, frozen=True):
    role: int = msgspec.field(name="roleType", default=_NORMAL_USER)


class _Project(msgspec.Struct, frozen=True):
    archived: bool = False
    formatting: str = msgspec.field(name="textFormattingRule", default="")


class _Numbered(msgspec.Struct, frozen=True):
    id: int


class _Field(msgspec.Struct, frozen=True):
    """`kinds`: the issue types that have it; none named: all."""

    id: int
    type: int = msgspec.field(name="typeId", default=_TEXT)
    kinds: list[int] | None = msgspec.field(name="applicableIssueTypes", default=None)


def checks(ticket: BacklogTicket, reader: Reader) -> Iterator[Check]:
    path = f"/api/v2/projects/{ticket.project_id}"
    check, project = asked(PROJECT, lambda: reader.get(path, _Project))
    if project is None:
        yield check
        return
    yield checking.in_use(check, is_archived=project.archived)
    check, user = asked(RIGHTS, lambda: reader.get("/api/v2/users/myself", _User))
    may = user is not None and user.role in (_ADMINISTRATOR, _NORMAL_USER)
    yield checking.rights([] if may else ["Normal user (一般ユーザー)"]) if user else check
    if project.formatting and project.formatting != ticket.formatting:
        wrong = Text(f"プロジェクトの書式は {project.formatting} です", f"the project's text formatting is {project.formatting}")
        yield Check(FIELDS, wrong, Text("formatting を合わせてください", "Set formatting to the same"), is_warning=True)
    listed: list[tuple[Text, str, list[int | None], str]] = [
        (KINDS, f"{path}/issueTypes", [ticket.issue_type_id], "issue_type_id"),
        (STATUSES, f"{path}/statuses", [ticket.new_status_id, ticket.closed_status_id], "new_status_id, closed_status_id"),
        (FIELDS, "/api/v2/priorities", [ticket.priority_id], "priority_id"),
        (FIELDS, "/api/v2/resolutions", [ticket.resolution_id], "resolution_id"),
    ]
    for what, where, ids, setting in listed:
        if wanted := [id_ for id_ in ids if id_ is not None]:
            check, found = asked(what, partial(reader.get, where, list[_Numbered]))
            yield checking.configured(what, wanted, {one.id for one in found}, setting) if found is not None else check
    yield from _custom_fields(ticket, reader, f"{path}/customFields")


def _custom_fields(ticket: BacklogTicket, reader: Reader, path: str) -> Iterator[Check]:
    """Asked only where some are configured: not every plan has them."""
    mapped = [name.removeprefix("customField_") for name in ticket.fields if name.startswith("customField_")]
    wanted = [*([ticket.key_field] if ticket.key_field else []), *(int(number) for number in mapped if number.isdigit())]
    if not wanted:
        return
    check, found = asked(FIELDS, lambda: reader.get(path, list[_Field]))
    if found is None:
        yield check
        return
    of_kind = {one.id: one.type for one in found if not one.kinds or ticket.issue_type_id in one.kinds}
    yield checking.configured(FIELDS, wanted, of_kind, "key_field, fields (for this issue type)")
    if ticket.key_field in of_kind and of_kind[ticket.key_field] not in (_TEXT, _LONG_TEXT):
        wrong = Text(
            f"カスタム属性 {ticket.key_field} は文字列ではありません", f"custom field {ticket.key_field} is not of type text"
        )
        yield Check(FIELDS, wrong, Text("key_field に文字列の属性を指定してください", "Name one of type text as key_field"))
