"""An issue of Backlog as its API gives it, and the form in which it is written: the two have other names for the same things."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

_DATE_FIELD = 4  # fieldTypeId


class _Numbered(msgspec.Struct, frozen=True):
    id: int


class _CustomField(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    field_type_id: int = 0
    value: Any = None


class Issue(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    issue_key: str
    status: _Numbered
    summary: str = ""
    description: str | None = None
    priority: _Numbered | None = None
    issue_type: _Numbered | None = None
    assignee: _Numbered | None = None
    category: list[_Numbered] = []
    versions: list[_Numbered] = []
    milestone: list[_Numbered] = []
    start_date: str | None = None
    due_date: str | None = None
    estimated_hours: float | None = None
    actual_hours: float | None = None
    parent_issue_id: int | None = None
    custom_fields: list[_CustomField] = []


class Comment(msgspec.Struct, frozen=True):
    id: int
    content: str | None = None


READ: dict[str, Callable[[Issue], Any]] = {
    "priorityId": lambda issue: issue.priority and issue.priority.id,
    "issueTypeId": lambda issue: issue.issue_type and issue.issue_type.id,
    "assigneeId": lambda issue: issue.assignee and issue.assignee.id,
    "categoryId": lambda issue: [one.id for one in issue.category],
    "versionId": lambda issue: [one.id for one in issue.versions],
    "milestoneId": lambda issue: [one.id for one in issue.milestone],
    "startDate": lambda issue: issue.start_date and issue.start_date[:10],
    "dueDate": lambda issue: issue.due_date and issue.due_date[:10],
    "estimatedHours": lambda issue: issue.estimated_hours,
    "actualHours": lambda issue: issue.actual_hours,
    "parentIssueId": lambda issue: issue.parent_issue_id,
}
"""The mapped fields by the names under which they are written, read from where they stand in an issue."""


def read_fields(issue: Issue, names: Iterable[str]) -> dict[str, Any]:
    """The title and these fields, by the names under which they are written."""
    custom = {f"customField_{one.id}": _custom_value(one) for one in issue.custom_fields}
    return {"title": issue.summary} | {name: READ[name](issue) if name in READ else custom.get(name) for name in names}


def _custom_value(field: _CustomField) -> Any:
    """Of lists the numbers of what is chosen, of dates the day."""
    value = field.value
    if isinstance(value, list):
        return [one.get("id") for one in value if isinstance(one, dict)]
    if isinstance(value, dict):
        return value.get("id")
    return value[:10] if field.field_type_id == _DATE_FIELD and isinstance(value, str) else value


def to_form(fields: Mapping[str, Any]) -> dict[str, str | list[str]]:
    form: dict[str, str | list[str]] = {}
    for name, value in fields.items():
        if not isinstance(value, list):
            form["summary" if name == "title" else name] = _text(value)
        elif not name.startswith("customField_"):
            form[f"{name}[]"] = [_text(one) for one in value] or [""]
        elif value:
            form |= {f"{name}[{number}]": _text(one) for number, one in enumerate(value)}
        else:
            form[name] = ""
    return form


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)
