"""A stateful stand-in for the issues of one repository on GitHub.

Contract: the OpenAPI description github/rest-api-description, api.github.com.2022-11-28 (issues/list-for-repo, create, get, update;
list-comments, create-comment; add-labels, remove-label; repos/get), and docs.github.com/en/rest: issues, labels, "Rate limits for
the REST API", "Troubleshooting the REST API". Stricter than GitHub: unknown query parameters are refused.

Its oddities: pull requests stand in the list of issues and share their numbers; labels are made by being used and compared without
regard to case; they are dropped without a word where the token may not set them; a deleted issue is 410, one that was moved to
another repository 301; what may not be seen is 404.

`python -m tests.fakes.github --port 3000 --token-file FILE --repository OWNER/NAME` has faults as in faults.py.
"""

import argparse
import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from flask import jsonify, request

from tests.fakes.tracker import Answer, FakeTracker, Route, digits, message, number, one_of, or_null, text, texts

VERSIONS = ("2022-11-28", "2026-03-10")
MOST_TITLE, MOST_BODY, MOST_LABEL = 256, 65_536, 50

_PAGE = {"per_page": digits, "page": digits}
_ISSUE = {
    "title": text,
    "body": or_null(text),
    "labels": texts,
    "assignees": texts,
    "milestone": or_null(number),
    "type": or_null(text),
}
_CHANGE = {
    **_ISSUE,
    "state": one_of("open", "closed"),
    "state_reason": one_of("completed", "not_planned", "duplicate", "reopened", None),
}
_LIST = {
    **_PAGE,
    "labels": text,
    "state": one_of("open", "closed", "all"),
    "sort": one_of("created", "updated", "comments"),
    "direction": one_of("asc", "desc"),
    "creator": text,
    "since": text,
}


class FakeGitHub(FakeTracker):
    """`issues` by number, pull requests among them; `comments` by number. A number is in `deleted` or `moved`, too, where it was.

    `sets_labels`: the token may set them; `sees`: it may see the repository at all.
    """

    def __init__(self, token: str, repository: str = "operator/incidents", port: int = 0) -> None:
        super().__init__(port)
        self.issues: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.labels: dict[str, str] = {}
        self.deleted: set[int] = set()
        self.moved: set[int] = set()
        self.sets_labels = self.sees = True
        self._token = token
        self._numbers = itertools.count(1)
        one = rf"/repos/{repository}"
        self.routes = (
            Route("GET", one, self._repository, {}, None),
            Route("GET", f"{one}/issues", self._list, _LIST, None),
            Route("POST", f"{one}/issues", self._create, {}, _ISSUE),
            Route("GET", f"{one}/issues/([0-9]+)", self._get, {}, None),
            Route("PATCH", f"{one}/issues/([0-9]+)", self._update, {}, _CHANGE),
            Route("GET", f"{one}/issues/([0-9]+)/comments", self._list_comments, {**_PAGE, "since": text}, None),
            Route("POST", f"{one}/issues/([0-9]+)/comments", self._comment, {}, {"body": text}),
            Route("POST", f"{one}/issues/([0-9]+)/labels", self._add_labels, {}, {"labels": texts}),
            Route("DELETE", f"{one}/issues/([0-9]+)/labels/([^/]+)", self._remove_label, {}, None),
        )

    def made(self) -> int:
        """How many issues there are."""
        return sum(not one.get("pull_request") for one in self.issues.values())

    def add(self, *, labels: tuple[str, ...] = (), body: str = "", pull_request: bool = False) -> int:
        """What a person makes; its number."""
        one = self._made({"title": "a person's", "body": body, "labels": list(labels)})
        if pull_request:
            one["pull_request"] = {"url": "https://api.github.com/repos/operator/incidents/pulls/1"}
        return int(one["number"])

    def unauthorized(self) -> Answer | None:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return message(401, message="Bad credentials", status="401")
        if not request.headers.get("User-Agent"):
            return message(403, message="Request forbidden by administrative rules. Please make sure your request has a User-Agent")
        if request.headers.get("X-GitHub-Api-Version", VERSIONS[0]) not in VERSIONS:
            return message(400, message="The specified API version is not supported")
        return None if self.sees else self.no_route()

    def no_route(self) -> Answer:
        return message(404, message="Not Found", documentation_url="https://docs.github.com/rest", status="404")

    def unknown(self, name: str) -> Answer:
        return message(422, message=f'Invalid request.\n\n"{name}" is not a permitted key.', status="422")

    def wrong(self, name: str) -> Answer:
        return message(
            422, message=f"Invalid request.\n\nFor 'properties/{name}', the value is not of the right type.", status="422"
        )

    def _repository(self) -> Answer:
        return jsonify(id=1, full_name="operator/incidents", has_issues=True)

    def _list(self) -> Answer:
        wanted = {label.lower() for label in request.args.get("labels", "").split(",") if label}
        state = request.args.get("state", "open")
        found = [
            one
            for one in self.issues.values()
            if wanted <= {label["name"].lower() for label in one["labels"]} and state in ("all", one["state"])
        ]
        found.sort(key=lambda one: int(one["number"]), reverse=request.args.get("direction", "desc") == "desc")
        return self._page(found)

    def _create(self) -> Answer:
        wanted = request.get_json()
        if "title" not in wanted:
            return message(422, message='Invalid request.\n\n"title" wasn\'t supplied.', status="422")
        if refusal := _too_long(wanted):
            return refusal
        return jsonify(self._made(wanted)), 201

    def _get(self, number_: str) -> Answer:
        return self._absent(number_) or jsonify(self.issues[int(number_)])

    def _update(self, number_: str) -> Answer:
        wanted = request.get_json()
        if refusal := self._absent(number_) or _too_long(wanted):
            return refusal
        self._fill(self.issues[int(number_)], wanted)
        return jsonify(self.issues[int(number_)])

    def _list_comments(self, number_: str) -> Answer:
        return self._absent(number_) or self._page(self.comments.get(int(number_), []))

    def _comment(self, number_: str) -> Answer:
        wanted = request.get_json()
        if refusal := self._absent(number_) or _too_long(wanted):
            return refusal
        there = self.comments.setdefault(int(number_), [])
        there.append({"id": len(there) + 1, "body": wanted["body"], "user": {"login": "art58-bot"}})
        return jsonify(there[-1]), 201

    def _add_labels(self, number_: str) -> Answer:
        wanted = request.get_json()
        if refusal := self._absent(number_) or _too_long(wanted):
            return refusal
        one = self.issues[int(number_)]
        self._fill(one, {"labels": [*(label["name"] for label in one["labels"]), *wanted["labels"]]})
        return jsonify(one["labels"])

    def _remove_label(self, number_: str, label: str) -> Answer:
        if refusal := self._absent(number_):
            return refusal
        one, name = self.issues[int(number_)], unquote(label).lower()
        kept = [there for there in one["labels"] if there["name"].lower() != name]
        if len(kept) == len(one["labels"]):
            return message(404, message="Label does not exist", status="404")
        one["labels"] = kept
        return jsonify(kept)

    def _absent(self, number_: str) -> Answer | None:
        if int(number_) in self.moved:
            body = jsonify(message="Moved Permanently", url="https://api.github.com/repositories/2/issues/1")
            return body, 301, {"Location": "https://api.github.com/repositories/2/issues/1"}
        if int(number_) in self.deleted:
            return message(410, message="This issue was deleted", status="410")
        return None if int(number_) in self.issues else self.no_route()

    def _made(self, wanted: dict[str, Any]) -> dict[str, Any]:
        one: dict[str, Any] = {"number": next(self._numbers), "state": "open", "state_reason": None, "body": None, "labels": []}
        one |= {"assignees": [], "milestone": None, "type": None, "user": {"login": "art58-bot", "type": "Bot"}}
        self._fill(one, wanted)
        self.issues[one["number"]] = one
        return one

    def _fill(self, one: dict[str, Any], wanted: dict[str, Any]) -> None:
        for name, value in wanted.items():
            if name == "labels":
                if self.sets_labels:
                    names = dict.fromkeys(self.labels.setdefault(label.lower(), label) for label in value)
                    one["labels"] = [{"id": 1, "name": label, "color": "ededed"} for label in names]
            elif name == "assignees":
                one[name] = [{"login": login} for login in value]
            elif name == "milestone":
                one[name] = None if value is None else {"number": value, "title": "m"}
            elif name == "type":
                one[name] = None if value is None else {"name": value}
            else:
                one[name] = value.strip() if name == "title" else value

    def _page(self, found: list[dict[str, Any]]) -> Answer:
        size = min(int(request.args.get("per_page", 30)), 100)
        start = (int(request.args.get("page", 1)) - 1) * size
        return jsonify(found[start : start + size])


def _too_long(wanted: dict[str, Any]) -> Answer | None:
    for name, most in (("title", MOST_TITLE), ("body", MOST_BODY)):
        if len(wanted.get(name) or "") > most:
            return _invalid(name, f"{name} is too long (maximum is {most} characters)")
    for label in wanted.get("labels", []):
        if not 0 < len(label) <= MOST_LABEL or len(label.strip()) != len(label):
            errors = [{"value": label, "resource": "Label", "field": "name", "code": "invalid"}]
            return message(422, message="Validation Failed", errors=errors, status="422")
    return _invalid("title", "title can't be blank") if not wanted.get("title", "x").strip() else None


def _invalid(field: str, said: str) -> Answer:
    errors = [{"resource": "Issue", "code": "custom", "field": field, "message": said}]
    return message(422, message="Validation Failed", errors=errors, status="422")


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for the issues of a repository on GitHub")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-file", required=True)
    parser.add_argument("--repository", default="operator/incidents")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        FakeGitHub(Path(given.token_file).read_text().strip(), given.repository, given.port).serve()


if __name__ == "__main__":
    main()
