"""Issues in Backlog (Nulab), by its API version 2. An issue is found again by a custom field that holds the incident's key, or,
where the plan has no custom fields, by the key in the upper mark of our part of its description.

Backlog takes forms, not JSON, and refuses a change that changes nothing. The API key goes in a header: in the address it would be
in the logs of everyone on the way.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from receiver.delivery.targets import Change, Check, Draft, Missing, Refused, Seen, backlog_checks
from receiver.delivery.targets.backlog_issue import READ, Comment, Issue, read_fields, to_form
from receiver.delivery.targets.backlog_notation import notation
from receiver.delivery.targets.block import block, mark_line, place_in
from receiver.delivery.targets.checking import Reader
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.plain_text import lines, one_line
from receiver.settings.tickets import BacklogTicket

_MOST_TITLE = 255
_MOST_TEXT = 20_000
_MOST_DESCRIPTION = 99_000  # of 100,000
_MOST_COMMENT = 10_000  # of 50,000: escaped it may be four times as long
_PAGE = 100
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MARK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#-]{0,199}")
_ISSUE_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,49}-[1-9][0-9]{0,11}")
_CUSTOM_FIELD = re.compile(r"customField_([1-9][0-9]{0,11})")


class Backlog:
    """One project of one space. An issue's id is its key (OPS-12), which is what persons call it."""

    reads, comments = True, True
    settles = timedelta(seconds=30)  # for the index behind `keyword`; nothing is published on how far it lags

    def __init__(self, settings: BacklogTicket, timeout_seconds: float) -> None:
        for name in settings.fields:
            if name not in READ and (not _CUSTOM_FIELD.fullmatch(name) or name == f"customField_{settings.key_field}"):
                raise ValueError(
                    f"{settings.name}: fields cannot have {name!r}. They can have {', '.join(READ)} and customField_NUMBER"
                )
        self.name = settings.name
        self._settings = settings
        key = settings.api_key.read().reveal()
        headers = {"Backlog-API-Key": key}
        self._api = Api(self.name, settings.url, key, timeout_seconds, headers, per_minute=settings.per_minute)

    def __repr__(self) -> str:
        return f"Backlog({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, Any]:
        return {"title": one_line(draft.title, _MOST_TITLE)} | {name: self._wanted(name, one) for name, one in draft.fields.items()}

    def find(self, key: str) -> list[str]:
        """Both searches find what merely contains the key, so each issue is looked at."""
        by = f"customField_{self._settings.key_field}" if self._settings.key_field else "keyword"
        params = {"projectId[]": str(self._settings.project_id), by: self._key(key), "sort": "created", "order": "asc"}
        issues: dict[int, Issue] = {}
        offset = 0
        while True:
            page = self._api.call(
                "GET", "/api/v2/issues", list[Issue], params={**params, "count": str(_PAGE), "offset": str(offset)}
            )
            issues |= {one.id: one for one in page}
            offset += _PAGE
            if len(page) < _PAGE:
                return [one.issue_key for _, one in sorted(issues.items()) if self._key_of(one) == key]

    def create(self, draft: Draft) -> str:
        form: dict[str, str | list[str]] = {
            "projectId": str(self._settings.project_id),
            "issueTypeId": str(self._settings.issue_type_id),
            "priorityId": str(self._settings.priority_id),
            "description": self._description(draft, ""),
        }
        if self._settings.key_field:
            form[f"customField_{self._settings.key_field}"] = draft.key
        return self._api.call("POST", "/api/v2/issues", Issue, form=form | to_form(self.fields(draft))).issue_key

    def read(self, remote_id: str) -> Seen | None:
        try:
            issue = self._api.call("GET", self._one(remote_id), Issue)
        except Missing:
            return None
        settings = self._settings
        assignees = (None, self._wanted("assigneeId", settings.fields.get("assigneeId")))
        is_ours = issue.status.id in (settings.new_status_id, settings.closed_status_id) and READ["assigneeId"](issue) in assignees
        return Seen(
            read_fields(issue, settings.fields),
            is_open=issue.status.id != settings.closed_status_id,
            has_block=place_in(issue.description or "") is not None,
            is_taken=not is_ours,
            native=issue,
        )

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        issue: Issue = seen.native
        form = to_form({name: value for name, value in change.fields.items() if value != seen.fields.get(name)})
        if change.block and (description := self._description(draft, issue.description or "")) != issue.description:
            form["description"] = description
        if change.state and (status := self._status(change.state)) != issue.status.id:
            form["statusId"] = str(status)
            if change.state == "closed" and self._settings.resolution_id is not None:
                form["resolutionId"] = str(self._settings.resolution_id)
        # one that changes nothing is refused ("No comment content."): then only see whether the issue is still there
        self._api.call("PATCH" if form else "GET", self._one(remote_id), Issue, form=form or None)
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        content = f"{notation(lines(text, _MOST_COMMENT), self._settings.formatting)}\n\n{mark_line(self._mark(mark))}"
        self._api.call("POST", f"{self._one(remote_id)}/comments", Comment, form={"content": content})

    def has_comment(self, remote_id: str, mark: str) -> bool:
        path, line = f"{self._one(remote_id)}/comments", mark_line(self._mark(mark))
        last = 0
        while True:
            params = {"minId": str(last), "count": str(_PAGE), "order": "asc"}
            page = self._api.call("GET", path, list[Comment], params=params)
            if any(line in (one.content or "").splitlines() for one in page):
                return True
            former, last = last, max((one.id for one in page), default=last)
            if last == former or len(page) < _PAGE:
                return False

    def checks(self, today: date) -> Iterator[Check]:
        return backlog_checks.checks(self._settings, Reader(self._api))

    def _status(self, state: str) -> int:
        return self._settings.closed_status_id if state == "closed" else self._settings.new_status_id

    def _key_of(self, issue: Issue) -> str | None:
        if self._settings.key_field:
            return next((one.value for one in issue.custom_fields if one.id == self._settings.key_field), None)
        place = place_in(issue.description or "")
        return place.key if place else None

    def _wanted(self, name: str, value: Any) -> Any:
        """As Backlog gives it back; a template gives a number as text."""
        try:
            if name in ("categoryId", "versionId", "milestoneId"):
                return [int(one) for one in (value if isinstance(value, list) else [value])]
            if name.endswith("Id") and value not in (None, ""):
                return int(value)
            if name.endswith("Hours") and value not in (None, ""):
                return float(value)
        except (TypeError, ValueError):
            raise Refused(f"{self.name}: {name} cannot be {one_line(str(value), 40)!r}, but a number of Backlog's") from None
        return None if value == "" else value

    def _description(self, draft: Draft, present: str) -> str:
        """With as much of our text as there is room for."""
        place = place_in(present)
        above, below = (place.above, place.below) if place else (f"{present}\n\n" if present else "", "")
        most = _MOST_TEXT
        while True:
            ours = block(self._key(draft.key), notation(lines(draft.text, most), self._settings.formatting))
            if len(above) + len(ours) + len(below) <= _MOST_DESCRIPTION:
                return f"{above}{ours}{below}"
            if not most:
                return present
            most //= 2

    def _one(self, remote_id: str) -> str:
        if not _ISSUE_KEY.fullmatch(remote_id):
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the key of an issue")
        return f"/api/v2/issues/{remote_id}"

    def _key(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be sought in Backlog")
        return key

    def _mark(self, mark: str) -> str:
        if not _MARK.fullmatch(mark):
            raise Refused(f"{self.name}: {one_line(mark, 40)!r} cannot mark a comment")
        return mark
