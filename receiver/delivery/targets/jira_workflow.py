"""The way through a workflow: which transition closes an issue or opens it again, and what its screen asks for."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from receiver.delivery.targets import Refused
from receiver.delivery.targets.jira_answers import Status
from receiver.delivery.targets.plain_text import one_line
from receiver.settings.tickets import JiraTicket


class ScreenField(msgspec.Struct, frozen=True):
    required: bool = False
    has_default: bool = msgspec.field(default=False, name="hasDefaultValue")


class Transition(msgspec.Struct, frozen=True):
    id: str
    name: str
    to: Status
    is_available: bool = msgspec.field(default=True, name="isAvailable")
    fields: dict[str, ScreenField] = {}


class Transitions(msgspec.Struct, frozen=True):
    transitions: list[Transition]


def chosen(listed: list[Transition], state: Literal["open", "closed"], settings: JiraTicket) -> Transition:
    """The one configured; else the only one that leads to a done status, or the first one back to a status to do. Names follow the
    language of the account, ids do not.
    """
    setting = "close_transition" if state == "closed" else "reopen_transition"
    wanted = settings.close_transition if state == "closed" else settings.reopen_transition
    fitting = _fitting([one for one in listed if one.is_available], state, wanted)
    if len(fitting) == 1:
        return fitting[0]
    names = one_line(", ".join(f"{one.name} ({one.id})" for one in fitting or listed), 200)
    found = f"{len(fitting)} transitions" if fitting else f"no transition {wanted!r}" if wanted else "no transition"
    cure = f"Name one as {setting}; there are: {names}" if names else "Check whether the account may move issues"
    raise Refused(f"{settings.name}: {found} to make it {state}. {cure}")


def _fitting(listed: list[Transition], state: Literal["open", "closed"], wanted: str) -> list[Transition]:
    if wanted:
        return [one for one in listed if wanted == one.id] or [one for one in listed if wanted == one.name]
    if state == "closed":
        return [one for one in listed if one.to.category.key == "done"]
    to_do = [one for one in listed if one.to.category.key == "new"]
    return (to_do or [one for one in listed if one.to.category.key != "done"])[:1]


def asked_for(one: Transition, state: Literal["open", "closed"], settings: JiraTicket) -> Mapping[str, Any]:
    """The configured fields that are on the transition's screen: any other would be refused."""
    fields = {name: value for name, value in settings.close_fields.items() if name in one.fields} if state == "closed" else {}
    needed = one.fields.get("resolution")
    if needed and needed.required and not needed.has_default and state == "closed" and "resolution" not in fields:
        raise Refused(f"{settings.name}: transition {one.name!r} asks for a resolution. Give it in close_fields")
    return fields
