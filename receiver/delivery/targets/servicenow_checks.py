"""What ServiceNow is asked to see whether tickets can be made there.

By servicenow.com/docs (Table API) and its support articles KB2971488 and KB3047115, read in 2026-11: access rules take out rows and
columns after a query without a word. Whether the user may *write* the table or a column cannot be asked by the Table API without
being an administrator, nor whether a transform map is there: neither is asked. Not confirmed is whether a column that may not be
read is left out of a row or empty: an empty one counts as there. Choices (sys_choice) can mostly be read by administrators only:
then that is said. Not tried on a real ServiceNow.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from receiver.delivery.targets import Check, checking
from receiver.delivery.targets.checking import FIELDS, STATUSES, Reader, asked
from receiver.law.provisions import Text
from receiver.settings.tickets import ServiceNowTicket

_OURS = ("short_description", "description", "state", "correlation_id", "correlation_display", "assigned_to")
_READ = Text(
    "設定した項目を読める（書き込む権限は確認できません）", "the configured fields can be read (the right to write cannot be asked)"
)


class _Rows(msgspec.Struct, frozen=True):
    result: list[dict[str, Any]]


def checks(ticket: ServiceNowTicket, reader: Reader) -> Iterator[Check]:
    yield _fields(ticket, reader)
    states = [ticket.new_state, *([ticket.closed_state, ticket.reopened_state] if ticket.close_when_over else [])]
    yield _choices(ticket, reader, "state", states, "new_state, closed_state, reopened_state")
    if ticket.close_when_over and ticket.close_code:
        yield _choices(ticket, reader, "close_code", [ticket.close_code], "close_code")


def _fields(ticket: ServiceNowTicket, reader: Reader) -> Check:
    """A column that is not there is left out of a row without a word; so there must be a row."""
    needed = [*_OURS, *ticket.fields]
    ask = {"sysparm_limit": "1", "sysparm_fields": ",".join(["sys_id", *needed])}
    check, found = asked(_READ, lambda: reader.get(f"/api/now/table/{ticket.table}", _Rows, **ask).result)
    if found:
        return checking.configured(_READ, needed, found[0], "fields (or the right to read them)")
    if found is None:
        return check
    wrong = Text("見えるチケットがないため確認できません", "cannot be told: the user sees no ticket in the table")
    cure = Text("一件でもチケットがある状態で、もう一度実行してください", "Ask again once there is a ticket that the user may see")
    return Check(FIELDS, wrong, cure, is_warning=True)


def _choices(ticket: ServiceNowTicket, reader: Reader, element: str, wanted: list[str], setting: str) -> Check:
    """A table's own choices stand in for those of `task`, from which it comes."""
    query = f"nameIN{ticket.table},task^element={element}^inactive=false"
    ask = {"sysparm_query": query, "sysparm_fields": "name,value", "sysparm_limit": "200"}
    check, found = asked(STATUSES, lambda: reader.get("/api/now/table/sys_choice", _Rows, **ask).result)
    if found is None:
        return checking.warned(check)
    if not found:
        wrong = Text(f"{element} の選択肢を読めないため確認できません", f"cannot be told: the user sees no choices of {element}")
        cure = Text("訓練（drill）で確かめてください", "See by a drill: art58 drill")
        return Check(STATUSES, wrong, cure, is_warning=True)
    own = [row for row in found if row.get("name") == ticket.table] or found
    return checking.configured(STATUSES, dict.fromkeys(wanted), {str(row.get("value")) for row in own}, setting)
