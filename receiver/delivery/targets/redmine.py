"""Incidents as issues in Redmine 5.0 or newer, by its REST API (https://www.redmine.org/projects/redmine/wiki/Rest_Issues).

Redmine takes much without a word: a filter that it does not know lists everything, and of a change it leaves out what the workflow
or a role does not permit, answering 204. So what matters is looked at again. Journals are never read whole: each holds the
description before and after, and there are no pages of them.
"""

import re
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

import msgspec

from receiver.delivery.targets import Change, Draft, Missing, Refused, Seen
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.plain_text import lines, one_line
from receiver.settings.tickets import RedmineTicket

BEGIN = "<!-- art58 begin -->"
END = "<!-- art58 end -->"

_HINT = "ここまでの枠内は自動で書き換わります。メモは枠の外にお書きください。 / Rewritten automatically: write notes outside."
_MOST_TITLE = 255
_MOST_TEXT = 12_000  # in UTF-8, with a person's text around it, below the 64 KiB of a MySQL TEXT column
_MOST_COMMENT = 4_000
_PAGE = 25  # with their descriptions, far below what is read of an answer
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MARK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#-]{0,150}")
_ID = re.compile(r"[1-9][0-9]{0,8}")
_CUSTOM = re.compile(r"cf_([1-9][0-9]{0,8})")
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]/~%-][A-Za-z0-9._:\[\]/~%-]*")
_BLOCK = re.compile(rf"^{BEGIN}[ \t]*\r?$.*?^{END}(?=[ \t]*\r?$)", re.MULTILINE | re.DOTALL)

_NAMED = {"priority_id": "priority", "category_id": "category", "fixed_version_id": "fixed_version", "parent_issue_id": "parent"}
_PLAIN = ("start_date", "due_date", "done_ratio", "estimated_hours", "is_private")


class _Named(msgspec.Struct, frozen=True):
    id: int
    is_closed: bool = False


class _Custom(msgspec.Struct, frozen=True):
    id: int
    value: Any = None


class _Issue(msgspec.Struct, frozen=True):
    id: int
    status: _Named
    subject: str = ""
    description: str | None = None
    assigned_to: _Named | None = None
    priority: _Named | None = None
    category: _Named | None = None
    fixed_version: _Named | None = None
    parent: _Named | None = None
    start_date: str | None = None
    due_date: str | None = None
    done_ratio: int | None = None
    estimated_hours: float | None = None
    is_private: bool = False
    custom_fields: list[_Custom] = []

    def custom(self, id_: int) -> Any:
        return next((one.value for one in self.custom_fields if one.id == id_), None)


class _One(msgspec.Struct, frozen=True):
    issue: _Issue


class _Listed(msgspec.Struct, frozen=True):
    issues: list[_Issue]
    total_count: int


class RedmineIssues:
    """One project. The API key should be that of a user of its own: only what that user made counts as made by us."""

    reads, comments, settles = True, True, timedelta()

    def __init__(self, settings: RedmineTicket, timeout_seconds: float) -> None:
        self.name = settings.name
        self._settings = settings
        key = settings.api_key.read().reveal()
        headers = {"X-Redmine-API-Key": key}
        self._api = Api(settings.name, settings.url, key, timeout_seconds, headers, per_minute=settings.per_minute)
        for name in settings.fields:
            if problem := _problem(name, settings.key_field):
                raise ValueError(f"{settings.name}: fields: {problem}")

    def __repr__(self) -> str:
        return f"RedmineIssues({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, Any]:
        """Redmine has no labels. Further fields go by the names of its API; a custom field is `cf_` and its number."""
        for name in draft.fields:
            if problem := _problem(name, self._settings.key_field):
                raise Refused(f"{self.name}: {problem}")
        return {"title": one_line(draft.title, _MOST_TITLE)} | {name: _as_read(name, value) for name, value in draft.fields.items()}

    def find(self, key: str) -> list[str]:
        """Also where persons moved it to another project."""
        field, found = self._settings.key_field, list[_Issue]()
        while True:
            query = {f"cf_{field}": self._key(key), "author_id": "me", "status_id": "*", "sort": "id"}
            page = self._list(query | {"limit": str(_PAGE), "offset": str(len(found))})
            found += page.issues
            if any(str(one.custom(field) or "").strip().lower() != key.lower() for one in page.issues):
                raise Refused(f"{self.name}: custom field {field} finds nothing. Tick 'Used as a filter' there")
            if not page.issues or len(found) >= page.total_count:
                # looked at again, because some databases compare without regard to case
                return [str(one.id) for one in found if one.custom(field) == key]

    def create(self, draft: Draft) -> str:
        settings = self._settings
        issue = self._written(self.fields(draft)) | {
            "project_id": settings.project,
            "status_id": settings.open_status_id,
            "description": self._block(draft),
        }
        if settings.tracker_id is not None:
            issue["tracker_id"] = settings.tracker_id
        issue["custom_fields"] = [*issue.get("custom_fields", []), self._key_value(draft)]
        return str(self._api.call("POST", "/issues.json", _One, {"issue": issue}).issue.id)

    def read(self, remote_id: str) -> Seen | None:
        with suppress(Missing):
            issue = self._read(remote_id)
            fields = {"title": issue.subject} | {name: getattr(issue, name) for name in _PLAIN}
            fields |= {name: there.id if (there := getattr(issue, theirs)) else None for name, theirs in _NAMED.items()}
            fields |= {f"cf_{one.id}": one.value for one in issue.custom_fields}
            is_open = not issue.status.is_closed
            moved_on = is_open and issue.status.id != self._settings.open_status_id
            has_block = bool(_BLOCK.search(issue.description or ""))
            return Seen(fields, is_open, has_block, issue.assigned_to is not None or moved_on, native=issue)
        return None

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        issue, before = self._written(change.fields), seen.native
        if change.block and before.description:
            issue["description"] = _BLOCK.sub(lambda _: self._block(draft), before.description, count=1)
        if change.state:
            issue["status_id"] = self._status(change.state)
        without_key = not before.custom(self._settings.key_field)
        if without_key:
            issue["custom_fields"] = [*issue.get("custom_fields", []), self._key_value(draft)]
        self._put(remote_id, issue)
        if change.state or without_key:
            self._check(remote_id, change.state)
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        self._put(remote_id, {"notes": f"{self._verbatim(text, _MOST_COMMENT)}\n{self._last_line(mark)}"})

    def has_comment(self, remote_id: str, mark: str) -> bool:
        if not self._has_note(remote_id, self._last_line(mark)):
            return False
        if self._has_note(remote_id, self._last_line("none")):
            raise Refused(f"{self.name}: this Redmine cannot search in notes. It must be 5.0 or newer")
        return True

    def _has_note(self, remote_id: str, last_line: str) -> bool:
        query = {"issue_id": self._id(remote_id), "notes": f"${last_line}", "status_id": "*", "limit": "1"}
        return self._list(query).total_count > 0

    def _read(self, remote_id: str) -> _Issue:
        return self._api.call("GET", f"/issues/{self._id(remote_id)}.json", _One).issue

    def _list(self, query: dict[str, str]) -> _Listed:
        return self._api.call("GET", "/issues.json", _Listed, params=query)

    def _put(self, remote_id: str, issue: dict[str, Any]) -> None:
        if issue:
            self._api.call("PUT", f"/issues/{self._id(remote_id)}.json", type(None), {"issue": issue})

    def _check(self, remote_id: str, state: Literal["open", "closed"] | None) -> None:
        issue = self._read(remote_id)
        if state and issue.status.id != self._status(state):
            raise Refused(
                f"{self.name}: issue {issue.id} did not take status {self._status(state)}. "
                "Check the workflow of its tracker for the role of the receiver's user, and open subtasks and blocking issues"
            )
        if not issue.custom(self._settings.key_field):
            raise Refused(
                f"{self.name}: issue {issue.id} did not take custom field {self._settings.key_field}. "
                "Give it to the tracker and the project, and let the role of the receiver's user write it"
            )

    def _status(self, state: Literal["open", "closed"]) -> int:
        return self._settings.closed_status_id if state == "closed" else self._settings.open_status_id

    def _written(self, fields: Any) -> dict[str, Any]:
        """Fields as Redmine is given them."""
        issue = {"subject" if name == "title" else name: value for name, value in fields.items() if not _CUSTOM.fullmatch(name)}
        custom = [{"id": int(found[1]), "value": value} for name, value in fields.items() if (found := _CUSTOM.fullmatch(name))]
        return issue | ({"custom_fields": custom} if custom else {})

    def _key_value(self, draft: Draft) -> dict[str, Any]:
        return {"id": self._settings.key_field, "value": self._key(draft.key)}

    def _block(self, draft: Draft) -> str:
        url = draft.statement.url
        link = f"{url}\n\n" if _URL.fullmatch(url) else ""
        return f"{BEGIN}\n{self._verbatim(draft.text, _MOST_TEXT)}\n\n{link}{_HINT}\n{END}"

    def _verbatim(self, text: str, most_characters: int) -> str:
        """In which Redmine finds neither markup nor macros, links, mentions or marks of ours: only the end of it is looked for."""
        shown = re.sub(r"<(?=/?(?:pre|code|kbd|notextile|redpre)|!--)", "＜", lines(text, most_characters), flags=re.IGNORECASE)
        if self._settings.formatting == "textile":
            return f"<pre>\n{shown}\n</pre>"
        return f"```\n{re.sub('`{3,}|~{3,}', lambda run: '-' * len(run[0]), shown)}\n```"

    def _last_line(self, mark: str) -> str:
        if not _MARK.fullmatch(mark):
            raise Refused(f"{self.name}: {one_line(mark, 40)!r} cannot be the mark of a comment")
        return f"<!-- art58 comment {mark} -->"

    def _id(self, remote_id: str) -> str:
        if not _ID.fullmatch(remote_id):
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the id of an issue")
        return remote_id

    def _key(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be an incident's key")
        return key


def _problem(name: str, key_field: int) -> str:
    custom = _CUSTOM.fullmatch(name)
    if name in _NAMED or name in _PLAIN or (custom and int(custom[1]) != key_field):
        return ""
    return f"{one_line(name, 40)!r} is none of {', '.join([*_NAMED, *_PLAIN])} and cf_N, a custom field other than key_field"


def _as_read(name: str, value: Any) -> Any:
    """The value in the form in which Redmine gives it back."""
    if isinstance(value, list):
        return [_as_read(name, one) for one in value]
    if _CUSTOM.fullmatch(name):
        return str(int(value)) if isinstance(value, bool) else None if value is None else str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and not name.endswith("_date"):
        return bool(int(value)) if name == "is_private" else int(value)
    return value
