"""Incidents as issues (or GitLab's own incidents) in one project of GitLab, by its REST API, version 4. An issue is found again by
its label `a58:KEY`, among those that the token's own user made.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from receiver.delivery.targets import Change, Check, Draft, Missing, Refused, Seen, Unfindable, Unreachable, gitlab_checks
from receiver.delivery.targets.checking import Reader
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.markdown import block, comment, has_block, is_comment, tracker_line, with_block
from receiver.delivery.targets.plain_text import one_line
from receiver.settings.tickets import GitLabTicket

T = TypeVar("T")

_MOST_TITLE = 255
_MOST_DESCRIPTION = 1_048_576
_MOST_NOTE = 10_000
_MOST_LABEL = 255
_A_PAGE = 30  # an answer is read up to 8 MiB
_MOST_PAGES = 200
_ROLE = "Give the token the role of a planner or reporter"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MARK = re.compile(r"[A-Za-z0-9._#-]{1,300}")
_MAPPED = frozenset(("assignee_ids", "confidential", "due_date", "labels", "milestone_id", "weight"))


class _Id(msgspec.Struct, frozen=True):
    id: int


class _Issue(msgspec.Struct, frozen=True):
    iid: int = 0
    title: str = ""
    description: str | None = None
    state: str = "opened"
    labels: list[str] = []
    assignees: list[_Id] | None = None
    milestone: _Id | None = None
    due_date: str | None = None
    weight: int | None = None
    confidential: bool = False


class _Note(msgspec.Struct, frozen=True):
    body: str = ""
    system: bool = False


class GitLabIssues:
    """The issues of one project, by the token (of a person, project or group; scope `api`) of whoever may plan there."""

    reads, comments, settles = True, True, timedelta()

    def __init__(self, settings: GitLabTicket, timeout_seconds: float) -> None:
        """Raises SecretUnreadable, and ValueError for mapped fields that an issue does not have."""
        if unknown := sorted(settings.fields.keys() - _MAPPED):
            raise ValueError(f"{settings.name}: an issue has no {', '.join(unknown)}; fields are {', '.join(sorted(_MAPPED))}")
        self.name = settings.name
        self._settings = settings
        self._project = f"/api/v4/projects/{quote(settings.project, safe='')}"
        self._assignees = _list(settings.fields.get("assignee_ids"))
        token = settings.token.read().reveal()
        self._api = Api(
            settings.name, settings.url, token, timeout_seconds, {"PRIVATE-TOKEN": token}, per_minute=settings.per_minute
        )

    def __repr__(self) -> str:
        return f"GitLabIssues({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, Any]:
        """Assignees are none of them: they are set when the issue is made, and from then on they are the persons' own."""
        mapped = {name: value for name, value in draft.fields.items() if name not in ("labels", "assignee_ids")}
        tags = [tag for tag in draft.statement.tags if not tag.startswith("a58:")]
        labels = {_label(str(label)) for label in (*tags, *_list(draft.fields.get("labels")))}
        return {"title": _title(draft), "labels": sorted({self._key_label(draft.key), *labels} - {""}), **mapped}

    def find(self, key: str) -> list[str]:
        label = self._key_label(key)
        wanted = {"labels": label, "scope": "created_by_me", "state": "all", "order_by": "created_at", "sort": "asc"}
        found = self._pages(f"{self._project}/issues", list[_Issue], wanted)
        return [str(iid) for iid in sorted({one.iid for one in found if label in one.labels})]

    def create(self, draft: Draft) -> str:
        fields = self.fields(draft)
        body: dict[str, Any] = {
            **fields,
            "labels": ",".join(fields["labels"]),
            "description": block(draft.key, draft.text, _MOST_DESCRIPTION),
            "issue_type": self._settings.issue_type,
        }
        if assignees := _list(draft.fields.get("assignee_ids")):
            body["assignee_ids"] = assignees
        made = self._api.call("POST", f"{self._project}/issues", _Issue, body)
        if made.iid <= 0:
            raise Unreachable(f"{self.name}: did not say which issue it made")
        if (label := self._key_label(draft.key)) not in made.labels:
            # GitLab drops labels without a word where the token may not set them, and then nothing would be found again
            cure = f"{_ROLE}, and put that label on it"
            raise Unfindable(f"{self.name}: made issue {made.iid} without its label {label}. {cure}", str(made.iid))
        return str(made.iid)

    def read(self, remote_id: str) -> Seen | None:
        try:
            issue = self._api.call("GET", self._one(remote_id), _Issue)
        except Missing:
            # 404 is also the answer where the token may not see the project: then this raises
            self._api.call("GET", self._project, msgspec.Raw)
            return None
        fields = {
            "title": issue.title,
            "labels": sorted(issue.labels),
            "confidential": issue.confidential,
            "due_date": issue.due_date,
            "milestone_id": issue.milestone.id if issue.milestone else None,
            "weight": issue.weight,
        }
        is_taken = any(user.id not in self._assignees for user in issue.assignees or [])
        description = issue.description or ""
        return Seen(fields, issue.state == "opened", has_block(description), is_taken, native=description)

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        """Labels are added and taken out by name: to replace the list would take away what a person adds at this moment."""
        wanted = {name: value for name, value in change.fields.items() if name != "labels"}
        if "labels" in change.fields:
            wanted |= _relabelled(change.fields["labels"], seen.fields.get("labels") or [])
        description = with_block(seen.native or "", draft.key, draft.text, _MOST_DESCRIPTION)
        if change.block and description != (seen.native or ""):
            wanted["description"] = description
        if change.state:
            wanted["state_event"] = {"open": "reopen", "closed": "close"}[change.state]
        if wanted:
            made = self._api.call("PUT", self._one(remote_id), _Issue, wanted)
            # of the others a person may have taken one away meanwhile
            added = set(change.fields.get("labels", [])).difference(seen.fields.get("labels") or [])
            if missing := added.difference(made.labels):
                raise Refused(f"{self.name}: did not take the labels {', '.join(sorted(missing))}. {_ROLE}")
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        body = {"body": comment(text, self._checked(mark), _MOST_NOTE)}
        self._api.call("POST", f"{self._one(remote_id)}/notes", _Note, body)

    def has_comment(self, remote_id: str, mark: str) -> bool:
        """What GitLab writes itself (system notes) is no comment; versions that do not know the filter pass over it."""
        wanted = {"activity_filter": "only_comments", "sort": "desc"}
        found = self._pages(f"{self._one(remote_id)}/notes", list[_Note], wanted)
        return any(is_comment(one.body, self._checked(mark)) for one in found if not one.system)

    def checks(self, today: date) -> Iterator[Check]:
        return gitlab_checks.checks(self._settings, Reader(self._api), today)

    def _one(self, remote_id: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{0,17}", remote_id):
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the number of an issue")
        return f"{self._project}/issues/{remote_id}"

    def _key_label(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be the label of an issue")
        return f"a58:{key}"

    def _checked(self, mark: str) -> str:
        if not _MARK.fullmatch(mark):
            raise Refused(f"{self.name}: {one_line(mark, 40)!r} cannot be the mark of a comment")
        return mark

    def _pages(self, path: str, type_: type[list[T]], params: Mapping[str, str]) -> Iterator[T]:
        """Up to a page with nothing on it: GitLab takes out what the token may not see, so that pages are not always full."""
        for page in range(1, _MOST_PAGES + 1):
            found = self._api.call("GET", path, type_, params={**params, "per_page": str(_A_PAGE), "page": str(page)})
            if not found:
                return
            yield from found
        raise Refused(f"{self.name}: {path} has more than {_MOST_PAGES} pages")


def _title(draft: Draft) -> str:
    """GitLab calls persons named in a title, too."""
    title = tracker_line(one_line(draft.title, _MOST_TITLE)) or draft.key
    return title if len(title) <= _MOST_TITLE else f"{title[: _MOST_TITLE - 1]}…"


def _label(tag: str) -> str:
    """A comma would part it in two, and `a::b` would drive out every other `a::…`."""
    return one_line(re.sub("::+", ":", tag.replace(",", " ")), _MOST_LABEL)


def _relabelled(wanted: list[str], there: list[str]) -> dict[str, str]:
    changes = {
        "add_labels": [label for label in wanted if label not in there],
        "remove_labels": [label for label in there if label not in wanted],
    }
    return {name: ",".join(labels) for name, labels in changes.items() if labels}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
