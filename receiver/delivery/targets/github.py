"""Incidents as issues in one repository of GitHub, by its REST API. An issue is found again by its label `a58:KEY`, for the list by
labels is exact and up to date where the search is neither.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from receiver.delivery.targets import Change, Check, Draft, Missing, Refused, Seen, Unfindable, Unreachable, github_checks
from receiver.delivery.targets.checking import Reader
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.markdown import block, comment, has_block, is_comment, is_of, with_block
from receiver.delivery.targets.plain_text import one_line
from receiver.settings.tickets import GitHubTicket

T = TypeVar("T")

_MOST_TITLE = 256
_MOST_BODY = 65_536
_MOST_NOTE = 10_000
_MOST_LABEL = 50
_A_PAGE = 30  # an answer is read up to 8 MiB, and a body may have 64 Ki characters
_MOST_PAGES = 200
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MARK = re.compile(r"[A-Za-z0-9._#-]{1,300}")
_MAPPED = frozenset(("assignees", "labels", "milestone", "type"))
_WHILE_LIMITED = timedelta(minutes=1)
"""GitHub's documentation: wait at least so long before the next try."""


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _User(msgspec.Struct, frozen=True):
    login: str = ""


class _Milestone(msgspec.Struct, frozen=True):
    number: int


class _Issue(msgspec.Struct, frozen=True):
    number: int = 0
    title: str = ""
    body: str | None = None
    state: str = "open"
    labels: list[_Named | str] = []
    assignees: list[_User] | None = None
    milestone: _Milestone | None = None
    type: _Named | None = None
    pull_request: dict[str, Any] | None = None

    @property
    def label_names(self) -> list[str]:
        return sorted(one if isinstance(one, str) else one.name for one in self.labels)


class _Comment(msgspec.Struct, frozen=True):
    body: str | None = None


class GitHubIssues:
    """The issues of one repository, by the token of whoever may write issues and set labels there."""

    reads, comments, settles = True, True, timedelta()

    def __init__(self, settings: GitHubTicket, timeout_seconds: float) -> None:
        """Raises SecretUnreadable, and ValueError for mapped fields that an issue does not have."""
        if unknown := sorted(settings.fields.keys() - _MAPPED):
            raise ValueError(f"{settings.name}: an issue has no {', '.join(unknown)}; fields are {', '.join(sorted(_MAPPED))}")
        self.name = settings.name
        self._settings = settings
        self._repository = f"/repos/{settings.repository}"
        self._assignees = _texts(settings.fields.get("assignees"))
        token = settings.token.read().reveal()
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "User-Agent": "art58-receiver",
            "X-GitHub-Api-Version": settings.api_version,
        }
        self._api = Api(settings.name, settings.url, token, timeout_seconds, headers, per_minute=settings.per_minute)

    def __repr__(self) -> str:
        return f"GitHubIssues({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, Any]:
        """Assignees are none of them: they are set when the issue is made, and from then on they are the persons' own."""
        mapped = {name: value for name, value in draft.fields.items() if name not in ("labels", "assignees")}
        tags = [tag for tag in draft.statement.tags if not tag.startswith("a58:")]
        labels = {one_line(label, _MOST_LABEL) for label in (*tags, *_texts(draft.fields.get("labels")))}
        title = one_line(draft.title, _MOST_TITLE) or draft.key
        return {"title": title, "labels": sorted({self._key_label(draft.key), *labels} - {""}), **mapped}

    def find(self, key: str) -> list[str]:
        """A label alone does not make an issue ours: a person may have put it on another one."""
        label = self._key_label(key)
        wanted = {"labels": label, "state": "all", "sort": "created", "direction": "asc"}
        found = self._pages(f"{self._repository}/issues", list[_Issue], wanted)
        ours = (one for one in found if label in one.label_names and not one.pull_request and is_of(key, one.body or ""))
        return [str(number) for number in sorted({one.number for one in ours})]

    def create(self, draft: Draft) -> str:
        body: dict[str, Any] = {**self.fields(draft), "body": block(draft.key, draft.text, _MOST_BODY)}
        if assignees := _texts(draft.fields.get("assignees")):
            body["assignees"] = assignees
        made = self._call("POST", f"{self._repository}/issues", _Issue, body)
        if made.number <= 0:
            raise Unreachable(f"{self.name}: did not say which issue it made")
        if (label := self._key_label(draft.key)) not in made.label_names:
            # GitHub drops labels without a word where the token may not set them, and then nothing would be found again
            raise Unfindable(
                f"{self.name}: made issue {made.number} without its label {label}. "
                "Give the token write access to the repository, and put that label on it",
                str(made.number),
            )
        return str(made.number)

    def read(self, remote_id: str) -> Seen | None:
        try:
            issue = self._call("GET", self._one(remote_id), _Issue)
        except Refused as error:
            if not (isinstance(error, Missing) or _is(error, 301)):
                raise
            # 404 is also the answer where the token may not see the repository, 301 where that was renamed: then this raises
            self._call("GET", self._repository, msgspec.Raw)
            return None
        fields = {
            "title": issue.title,
            "labels": issue.label_names,
            "milestone": issue.milestone.number if issue.milestone else None,
            "type": issue.type.name if issue.type else None,
        }
        ours = {login.lower() for login in self._assignees}
        is_taken = any(user.login.lower() not in ours for user in issue.assignees or [])
        body = issue.body or ""
        return Seen(fields, issue.state == "open", has_block(body), is_taken, native=body)

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        """Labels go one by one: to replace the list would take away what a person adds at this moment."""
        wanted = {name: value for name, value in change.fields.items() if name != "labels"}
        body = with_block(seen.native or "", draft.key, draft.text, _MOST_BODY)
        if change.block and body != (seen.native or ""):
            wanted["body"] = body
        if change.state:
            reason = self._settings.close_reason if change.state == "closed" else "reopened"
            wanted |= {"state": change.state, "state_reason": reason}
        if wanted:
            self._call("PATCH", self._one(remote_id), _Issue, wanted)
        if "labels" in change.fields:
            self._label(remote_id, change.fields["labels"], seen.fields.get("labels") or [])
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        body = {"body": comment(text, self._checked(mark), _MOST_NOTE)}
        self._call("POST", f"{self._one(remote_id)}/comments", _Comment, body)

    def has_comment(self, remote_id: str, mark: str) -> bool:
        found = self._pages(f"{self._one(remote_id)}/comments", list[_Comment], {})
        return any(is_comment(one.body or "", self._checked(mark)) for one in found)

    def checks(self, today: date) -> Iterator[Check]:
        return github_checks.checks(self._settings, Reader(self._api))

    def _label(self, remote_id: str, wanted: list[str], there: list[str]) -> None:
        path = f"{self._one(remote_id)}/labels"
        if new := [label for label in wanted if label not in there]:
            self._call("POST", path, list[_Named], {"labels": new})
        for label in there:
            if label not in wanted:
                with suppress(Missing):  # a person was faster
                    self._call("DELETE", f"{path}/{quote(label, safe='')}", list[_Named])

    def _one(self, remote_id: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{0,17}", remote_id):
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the number of an issue")
        return f"{self._repository}/issues/{remote_id}"

    def _key_label(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be the label of an issue")
        label = f"a58:{key}"
        if len(label) <= _MOST_LABEL:
            return label
        return f"{label[: _MOST_LABEL - 17]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def _checked(self, mark: str) -> str:
        if not _MARK.fullmatch(mark):
            raise Refused(f"{self.name}: {one_line(mark, 40)!r} cannot be the mark of a comment")
        return mark

    def _pages(self, path: str, type_: type[list[T]], params: Mapping[str, str]) -> Iterator[T]:
        """Up to a page with nothing on it: one that is not full may have others after it."""
        for page in range(1, _MOST_PAGES + 1):
            found = self._call("GET", path, type_, params={**params, "per_page": str(_A_PAGE), "page": str(page)})
            if not found:
                return
            yield from found
        raise Refused(f"{self.name}: {path} has more than {_MOST_PAGES} pages")

    def _call(
        self, method: str, path: str, type_: type[T], body: Any = None, params: Mapping[str, str | list[str]] | None = None
    ) -> T:
        try:
            return self._api.call(method, path, type_, body, params=params)
        except Refused as error:
            if _is(error, 403) and "rate limit" in str(error).lower():
                # GitHub says so with 403 as well as 429
                raise Unreachable(str(error), _WHILE_LIMITED) from None
            raise


def _is(error: Refused, status: int) -> bool:
    return f"answered {status}" in str(error)


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] if value else []
