"""Incidents as issues in Redmine 5.0 or newer, by its REST API (https://www.redmine.org/projects/redmine/wiki/Rest_Issues).

Redmine takes much without a word: a filter that it does not know lists everything, and of a change it leaves out what the workflow
or a role does not permit, answering 204. So what matters is looked at again. Journals are never read whole: each holds the
description before and after, and there are no pages of them.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from receiver.delivery.targets import Change, Check, Draft, Missing, Refused, Seen, Unfindable, Unreachable, redmine_checks
from receiver.delivery.targets.checking import Reader
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.plain_text import lines, one_line, wrapped
from receiver.delivery.words import LINK_NAMES
from receiver.settings.tickets import RedmineTicket

BEGIN = "<!-- art58 begin -->"
END = "<!-- art58 end -->"

_HINT = {
    "ja": "ここまでは自動で書き換わります。メモはこの下にお書きください。",
    "en": "All above is rewritten automatically: write notes below.",
}
_HINT["both"] = f"{_HINT['ja']} / {_HINT['en']}"
_MOST_COLUMNS = 100
"""What is shown as it is Redmine breaks nowhere: it would have to be moved sidewise to be read."""
_NOT_TAKEN = (
    "Check whether project {!r} is there for the user of the API key, and whether it may add issues there, "
    "then tracker, statuses and mapped fields: art58 doctor asks for them"
)
_NOT_ALLOWED = (
    "Let the role of the API key's user in project {!r} have the rights view_issues, add_issues, edit_issues and add_issue_notes"
)
_CONFLICT = 'answered 422 ({"errors":[]})'
"""How Redmine says, in no words, that somebody saved the same issue in the same moment (IssuesController#update)."""
_MOST_TITLE = 255
_MOST_TEXT = 12_000  # in UTF-8, with a person's text around it, below the 64 KiB of a MySQL TEXT column
_MOST_COMMENT = 4_000
_PAGE = 25  # with their descriptions, far below what is read of an answer
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MARK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#-]{0,150}")
_ID = re.compile(r"[1-9][0-9]{0,8}")
_CUSTOM = re.compile(r"cf_([1-9][0-9]{0,8})")
_LINK = re.compile(r"(?:(?P<name>[^:]+): )?(?P<place>https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?)(?P<path>/[!-~]*)?")
"""A line that is nothing but a link: an address, perhaps after its name."""
_MARKUP = re.compile(r"[^A-Za-z0-9./?=&%#:-]|={2,}")
"""What of an address is escaped in it, as it might be markup: it is the same address so."""
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

    @property
    def fields(self) -> dict[str, Any]:
        """By the names of `RedmineIssues.fields`."""
        found = {"title": self.subject} | {name: getattr(self, name) for name in _PLAIN}
        found |= {name: there.id if (there := getattr(self, theirs)) else None for name, theirs in _NAMED.items()}
        return found | {f"cf_{one.id}": one.value for one in self.custom_fields}

    def custom(self, id_: int) -> Any:
        return next((one.value for one in self.custom_fields if one.id == id_), None)

    def lacks(self, id_: int) -> bool:
        """It has this custom field, and nothing in it. A tracker or project that has it not may be a person's choice."""
        return any(one.id == id_ and not one.value for one in self.custom_fields)


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
        # what its user may not add to, Redmine calls "Project cannot be blank", in the language of that user
        cures = {status: cure.format(one_line(settings.project, 100)) for status, cure in ((403, _NOT_ALLOWED), (422, _NOT_TAKEN))}
        self._api = Api(settings.name, settings.url, key, timeout_seconds, headers, per_minute=settings.per_minute, cures=cures)
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
        """In this project alone: another receiver may write to others as the same user."""
        field, found = self._settings.key_field, list[_Issue]()
        path = f"/projects/{quote(self._settings.project, safe='')}/issues.json"
        while True:
            query = {f"cf_{field}": self._key(key), "author_id": "me", "status_id": "*", "subproject_id": "!*", "sort": "id"}
            page = self._list(query | {"limit": str(_PAGE), "offset": str(len(found))}, path)
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
        made = self._api.call("POST", "/issues.json", _One, {"issue": issue}).issue
        if not made.custom(settings.key_field):
            raise Unfindable(f"{self.name}: made issue {made.id} without {self._no_key}", str(made.id))
        return str(made.id)

    def read(self, remote_id: str) -> Seen | None:
        with suppress(Missing):
            issue = self._read(remote_id)
            is_open = not issue.status.is_closed
            moved_on = is_open and issue.status.id != self._settings.open_status_id
            has_block = bool(_BLOCK.search(issue.description or ""))
            return Seen(issue.fields, is_open, has_block, issue.assigned_to is not None or moved_on, native=issue)
        return None

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        issue, before = self._written(change.fields), seen.native
        if change.block and before.description:
            issue["description"] = _BLOCK.sub(lambda _: self._block(draft), before.description, count=1)
        if change.state:
            issue["status_id"] = self._status(change.state)
        if before.lacks(self._settings.key_field):
            issue["custom_fields"] = [*issue.get("custom_fields", []), self._key_value(draft)]
        self._put(remote_id, issue)
        if issue:
            self._check(remote_id, change, before, issue.get("description"))
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        last_line = self._last_line(mark)
        self._put(remote_id, {"notes": f"{self._shown(text, _MOST_COMMENT)}\n\n{last_line}"})
        if not self._has_note(remote_id, last_line):
            cure = "Give the role of the receiver's user the right add_issue_notes"
            raise Refused(f"{self.name}: issue {remote_id} did not take a note. {cure}")

    def has_comment(self, remote_id: str, mark: str) -> bool:
        if not self._has_note(remote_id, self._last_line(mark)):
            return False
        if self._has_note(remote_id, self._last_line("none")):
            raise Refused(f"{self.name}: this Redmine cannot search in notes. It must be 5.0 or newer")
        return True

    def checks(self, today: date) -> Iterator[Check]:
        return redmine_checks.checks(self._settings, Reader(self._api))

    def _has_note(self, remote_id: str, last_line: str) -> bool:
        query = {"issue_id": self._id(remote_id), "notes": f"${last_line}", "status_id": "*", "limit": "1"}
        return self._list(query).total_count > 0

    def _read(self, remote_id: str) -> _Issue:
        return self._api.call("GET", f"/issues/{self._id(remote_id)}.json", _One).issue

    def _list(self, query: dict[str, str], path: str = "/issues.json") -> _Listed:
        return self._api.call("GET", path, _Listed, params=query)

    def _put(self, remote_id: str, issue: dict[str, Any]) -> None:
        if not issue:
            return
        try:
            self._api.call("PUT", f"/issues/{self._id(remote_id)}.json", type(None), {"issue": issue})
        except Refused as error:
            if _CONFLICT in str(error):
                raise Unreachable(f"{self.name}: issue {remote_id} was saved by somebody else in the same moment") from None
            raise

    def _check(self, remote_id: str, change: Change, before: _Issue, description: str | None) -> None:
        """A change that may not be made is answered as done: so it is read again. What a plugin made of it counts as taken.

        At the fields whoever asks for the change looks, by `read`.
        """
        issue, state = self._read(remote_id), change.state
        if _text(issue.description) == _text(before.description) != _text(description or before.description):
            raise Refused(
                f"{self.name}: issue {issue.id} did not take description. "
                "Let the role of the receiver's user edit issues, and the workflow not make it read-only"
            )
        if state and issue.status.id != self._status(state):
            raise Refused(
                f"{self.name}: issue {issue.id} did not take status {self._status(state)}. "
                "Check the workflow of its tracker for the role of the receiver's user, and open subtasks and blocking issues"
            )
        if issue.lacks(self._settings.key_field):
            raise Refused(f"{self.name}: issue {issue.id} is without {self._no_key}")

    @property
    def _no_key(self) -> str:
        return (
            f"its key in custom field {self._settings.key_field}. "
            "Give that to the tracker and the project, and let the role of the receiver's user write it"
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
        return f"{BEGIN}\n{self._shown(draft.text, _MOST_TEXT)}\n\n{_HINT[self._settings.language]}\n{END}"

    def _shown(self, text: str, most_characters: int) -> str:
        """The lines as they are, but for those that are links of ours: these can be clicked."""
        parts = list[str]()
        each = ((line, self._link(line)) for line in lines(text, most_characters).split("\n"))
        for is_text, group in groupby(each, lambda pair: pair[1] is None):
            shown = "\n".join(line if link is None else link for line, link in group).strip("\n")
            parts += [f"{self._verbatim(shown)}\n" if is_text else shown] if shown else []
        return "\n".join(parts)

    def _link(self, line: str) -> str | None:
        """The line as a link of Redmine's; None where it is none, or not by a name of ours: a name might be markup."""
        found = _LINK.fullmatch(line)
        if not found or found["name"] not in (None, *LINK_NAMES):
            return None
        path, mark, query = (found["path"] or "").partition("?")
        url = found["place"] + _MARKUP.sub(_escaped, path) + mark + _MARKUP.sub(_escaped, query.replace("+", " "))
        if not found["name"]:
            return url
        return f'"{found["name"]}":{url}' if self._settings.formatting == "textile" else f"[{found['name']}]({url})"

    def _verbatim(self, text: str) -> str:
        """In which Redmine finds neither markup nor macros, links, mentions or marks of ours: only the end of it is looked for."""
        shown = wrapped(text, _MOST_COLUMNS)
        shown = re.sub(r"<(?=/?(?:pre|code|kbd|notextile|redpre)|!--)", "＜", shown, flags=re.IGNORECASE)
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


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{ord(sign):02X}" for sign in found[0])


def _problem(name: str, key_field: int) -> str:
    custom = _CUSTOM.fullmatch(name)
    if name in _NAMED or name in _PLAIN or (custom and int(custom[1]) != key_field):
        return ""
    return f"{one_line(name, 40)!r} is none of {', '.join([*_NAMED, *_PLAIN])} and cf_N, a custom field other than key_field"


def _text(description: str | None) -> str:
    return (description or "").replace("\r\n", "\n").strip()


def _as_read(name: str, value: Any) -> Any:
    """The value in the form in which Redmine gives it back."""
    if isinstance(value, list):
        return [_as_read(name, one) for one in value]
    if _CUSTOM.fullmatch(name):
        return str(int(value)) if isinstance(value, bool) else None if value is None else str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and not name.endswith("_date"):
        return bool(int(value)) if name == "is_private" else int(value)
    return value
