"""Incidents as issues in Jira: Jira Cloud by REST API v3, Jira Data Center by REST API v2.

An issue is found again by its label `a58-KEY`, among those that this account made: a clone has the label, too. Jira says 404 also
of an issue that we may not see any more; it counts as deleted only if the project can be seen.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Literal, TypeVar

from receiver.delivery.targets import Change, Check, Draft, Missing, Refused, Seen, Unreachable, jira_checks
from receiver.delivery.targets.checking import Reader
from receiver.delivery.targets.http import Api, decode
from receiver.delivery.targets.jira_answers import Comments, Fields, Found, Issue, Made, Page
from receiver.delivery.targets.jira_text import Adf, RichText, Wiki
from receiver.delivery.targets.jira_workflow import Transitions, asked_for, chosen
from receiver.delivery.targets.plain_text import one_line
from receiver.settings.tickets import JiraCloudTicket, JiraServerTicket, JiraTicket

T = TypeVar("T")

_MOST_SUMMARY = _MOST_LABEL = 255
_PAGE = 20  # an answer is cut after 8 MiB, and a comment may have 32,767 characters
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ID = re.compile(r"[A-Z][A-Z0-9_]{0,99}-[1-9][0-9]{0,18}")
_PROPERTY = "art58"
_READ = ("summary", "labels", "description", "status", "assignee", "creator")
_OURS = frozenset(("summary", "title", "labels", "description", "project", "issuetype"))
_LABELS_CURE = "Put the field Labels on the screens of this project for creating and editing: by it a ticket is found again"


class Jira:
    """One project. `text` is the form of its rich text, `base` the path of its API."""

    reads, comments = True, True
    settles = timedelta()
    text: RichText
    base: str

    def __init__(self, settings: JiraTicket, authorization: str, secret: str, timeout_seconds: float) -> None:
        if taken := sorted(_OURS & settings.fields.keys()):
            raise ValueError(f"{settings.name}: fields: {', '.join(taken)} cannot be mapped, the receiver writes it")
        self.name = settings.name
        self._settings = settings
        secrets, headers = (secret, authorization.partition(" ")[2]), {"Authorization": authorization}
        self._api = Api(self.name, settings.url, secrets, timeout_seconds, headers, per_minute=settings.per_minute)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, Any]:
        labels = {re.sub(r"\s+", "_", one_line(tag, _MOST_LABEL)) for tag in draft.statement.tags}
        mapped = {name: value for name, value in draft.fields.items() if name not in _OURS}
        # in the order in which Jira gives them back
        return {"title": _summary(draft.title), "labels": sorted({_label(self.name, draft.key), *labels} - {""}), **mapped}

    def find(self, key: str) -> list[str]:
        label = _label(self.name, key)
        jql = f'project = "{self._settings.project}" AND labels = "{label}" AND creator = currentUser() ORDER BY created ASC'
        # looked at again, because JQL compares labels without regard to case
        return [one.key for one in self._search(jql) if label in (one.fields.labels or [])]

    def create(self, draft: Draft) -> str:
        wanted = self.fields(draft)
        fields = {
            "project": {"key": self._settings.project},
            "issuetype": {"name": self._settings.issue_type},
            "summary": wanted.pop("title"),
            "description": self._described(None, draft),
            **wanted,
        }
        made = self._call("POST", "/issue", Made, {"fields": fields})
        if not _ID.fullmatch(made.key):
            raise Unreachable(f"{self.name}: did not say which issue it made")
        return made.key

    def read(self, remote_id: str) -> Seen | None:
        params = {"fields": ",".join((*_READ, *self._settings.fields)), "properties": _PROPERTY}
        try:
            issue = self._call("GET", self._one(remote_id), Issue, params=params)
        except Missing:
            self._see_the_project()
            return None
        there, every = decode(self.name, bytes(issue.fields), Fields), decode(self.name, bytes(issue.fields), dict[str, Any])
        mapped = {name: _as_configured(shape, every.get(name)) for name, shape in self._settings.fields.items()}
        return Seen(
            {"title": there.summary, "labels": sorted(there.labels or []), **mapped},
            is_open=there.status.category.key != "done",
            has_block=self.text.has_block(there.description),
            is_taken=self._is_taken(there, issue.properties.get(_PROPERTY)),
            native=there.description,
        )

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        """Workflows may forbid to edit what is closed: so it is opened before that, and closed after it."""
        issue = self._one(remote_id)
        if change.state == "open" and not seen.is_open:
            self._move(issue, "open")
        self._edit(issue, draft, change, seen)
        if change.state == "closed" and seen.is_open:
            self._move(issue, "closed")
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        body = {"body": self.text.comment(text, mark, _last_address(text))}
        if not self._settings.public_comments:
            body["properties"] = [{"key": "sd.public.comment", "value": {"internal": True}}]
        self._call("POST", f"{self._one(remote_id)}/comment", Any, body)

    def has_comment(self, remote_id: str, mark: str) -> bool:
        start = 0
        while True:
            params = {"startAt": str(start), "maxResults": str(_PAGE), "orderBy": "-created"}
            page = self._call("GET", f"{self._one(remote_id)}/comment", Comments, params=params)
            if any(self.text.is_marked(one.body, mark) for one in page.comments):
                return True
            start += len(page.comments)
            if not page.comments or start >= page.total:
                return False

    def checks(self, today: date) -> Iterator[Check]:
        return jira_checks.checks(self._settings, Reader(self._api))

    def _search(self, jql: str) -> Iterator[Found]:
        raise NotImplementedError

    def _described(self, there: Any, draft: Draft) -> Any:
        return self.text.described(there, draft.key, draft.text, draft.statement.url)

    def _edit(self, issue: str, draft: Draft, change: Change, seen: Seen) -> None:
        """Nothing is sent where nothing changes: Jira would mail all watchers. Labels go one by one: a person may just have added
        another.
        """
        fields = {"summary" if name == "title" else name: value for name, value in change.fields.items() if name != "labels"}
        if change.block and seen.has_block and (described := self._described(seen.native, draft)) != seen.native:
            fields["description"] = described
        there, wanted = seen.fields.get("labels") or [], change.fields.get("labels")
        labels = [] if wanted is None else [{"add": one} for one in wanted if one not in there]
        labels += [] if wanted is None else [{"remove": one} for one in there if one not in wanted]
        body = {"fields": fields} | ({"update": {"labels": labels}} if labels else {})
        if fields or labels:
            self._call("PUT", issue, Any, body)

    def _move(self, issue: str, state: Literal["open", "closed"]) -> None:
        listed = self._call("GET", f"{issue}/transitions", Transitions, params={"expand": "transitions.fields"})
        one = chosen(listed.transitions, state, self._settings)
        fields = asked_for(one, state, self._settings)
        if state == "open":
            # so that the status that we set is not taken for a person's work. Before it is set: then this may be done in vain
            self._call("PUT", f"{issue}/properties/{_PROPERTY}", Any, {"status": one.to.id})
        self._call("POST", f"{issue}/transitions", Any, {"transition": {"id": one.id}, **({"fields": fields} if fields else {})})

    def _is_taken(self, there: Fields, noted: Any) -> bool:
        """By what stands there alone. The changelog would say who did it, but holds every description there ever was: too much to
        fetch each time. So an assignee that the project itself gives, and a status in progress in which it begins, are configured.
        """
        nobody = {there.creator.id if there.creator else "", self._settings.default_assignee}
        assigned = there.assignee is not None and there.assignee.id not in nobody and "assignee" not in self._settings.fields
        set_by_us = isinstance(noted, dict) and noted.get("status") == there.status.id
        in_progress = there.status.category.key == "indeterminate" and there.status.name != self._settings.initial_status
        return assigned or (in_progress and not set_by_us)

    def _see_the_project(self) -> None:
        try:
            self._call("GET", f"/project/{self._settings.project}", Any)
        except Missing:
            raise Refused(f"{self.name}: the project cannot be seen. Check the account's secret, permissions and address") from None

    def _one(self, remote_id: str) -> str:
        if not _ID.fullmatch(remote_id):
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the key of an issue")
        return f"/issue/{remote_id}"

    def _call(self, method: str, path: str, type_: type[T], body: Any = None, params: dict[str, Any] | None = None) -> T:
        try:
            return self._api.call(method, self.base + path, type_, body, params=params)
        except Missing:
            raise
        except Refused as error:
            if "answered 409" in str(error):  # somebody else wrote at the same moment
                raise Unreachable(str(error)) from None
            if "labels" in str(error) and "screen" in str(error):
                raise Refused(f"{error}. {_LABELS_CURE}") from None
            raise


class JiraCloud(Jira):
    """Its search is eventually consistent: most of what is written is found within seconds."""

    settles = timedelta(seconds=30)
    text, base = Adf(), "/rest/api/3"

    def __init__(self, settings: JiraCloudTicket, timeout_seconds: float) -> None:
        token = settings.api_token.read().reveal()
        login = b64encode(f"{settings.email}:{token}".encode()).decode()
        super().__init__(settings, f"Basic {login}", token, timeout_seconds)

    def _search(self, jql: str) -> Iterator[Found]:
        query: dict[str, Any] = {"jql": jql, "fields": ["labels"], "maxResults": 100}
        while True:
            page = self._call("POST", "/search/jql", Page, query)
            yield from page.issues
            if not page.next_page:
                return
            query["nextPageToken"] = page.next_page


class JiraServer(Jira):
    """The nodes of a cluster pass their changes of the index on to each other every few seconds."""

    settles = timedelta(seconds=10)
    text, base = Wiki(), "/rest/api/2"

    def __init__(self, settings: JiraServerTicket, timeout_seconds: float) -> None:
        token = settings.token.read().reveal()
        super().__init__(settings, f"Bearer {token}", token, timeout_seconds)

    def _search(self, jql: str) -> Iterator[Found]:
        start = 0
        while True:
            page = self._call("POST", "/search", Page, {"jql": jql, "fields": ["labels"], "startAt": start, "maxResults": 100})
            yield from page.issues
            start += len(page.issues)
            if not page.issues or start >= page.total:
                return


def _label(target: str, key: str) -> str:
    if not _KEY.fullmatch(key):
        raise Refused(f"{target}: {one_line(key, 40)!r} cannot be a label")
    return f"a58-{key}"


def _summary(title: str) -> str:
    """Jira counts as Java does: what lies beyond the first plane of Unicode has two characters."""
    wide = sum(ord(character) > 0xFFFF for character in title[:_MOST_SUMMARY])
    return one_line(title, _MOST_SUMMARY - wide)


def _last_address(text: str) -> str:
    """Where a comment ends with an address on a line of its own, as ours do."""
    return text.rpartition("\n")[2].strip()


def _as_configured(shape: Any, value: Any) -> Any:
    """Of what Jira says of a value only what we said of it: {"name": "High"} comes back with its id, icon and address."""
    if isinstance(shape, dict) and isinstance(value, dict):
        return {name: _as_configured(inner, value.get(name)) for name, inner in shape.items()}
    if isinstance(shape, list) and shape and isinstance(value, list):
        return [_as_configured(shape[0], one) for one in value]
    return value
