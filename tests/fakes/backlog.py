"""A stateful stand-in for one project of a Backlog space (Nulab): issues and their comments, by API version 2.

Written from Nulab's published reference as of autumn 2026 (developer.nulab.com/docs/backlog: api/2/add-issue, update-issue,
get-issue-list, get-issue, get-comment-list, error-response, rate-limit); the header `Backlog-API-Key` from nulab/backlog-js#189
and #190 (August 2026); the limits of lengths and their words from qiita.com/otLenz/items/8e21020b37880f6392c6 (measured July 2025).
It takes forms only. A PATCH that changes nothing is refused with "No comment content.", both searches find what merely contains the
words, and answers carry the rate limit. It is stricter in one way: unknown parameters and the key in the address are refused.
`with FakeBacklog("key") as space: space.url`; faults as in faults.py.
"""

import itertools
import re
from collections.abc import Iterable
from time import time
from typing import Any

from flask import Flask, Response, jsonify, request

from tests.fakes.faults import FakeServer

PROJECT, PROJECT_KEY, ISSUE_TYPE = 11, "OPS", 21
KEY_FIELD, TEXT_FIELD, LIST_FIELD, DATE_FIELD = 31, 32, 33, 34
CUSTOM_FIELDS = {KEY_FIELD: 1, TEXT_FIELD: 1, LIST_FIELD: 6, DATE_FIELD: 4}
"""The type of each custom field (1 text, 4 date, 6 list of several) by its number."""

_NUMBERS = ("priorityId", "issueTypeId", "assigneeId", "parentIssueId", "estimatedHours", "actualHours")
_LISTS = {"categoryId[]": "category", "versionId[]": "versions", "milestoneId[]": "milestone"}
_DATES = ("startDate", "dueDate")
_ADD = {"projectId", "summary", "description", *_NUMBERS, *_LISTS, *_DATES}
_UPDATE = {"summary", "description", "statusId", "resolutionId", "comment", *_NUMBERS, *_LISTS, *_DATES}
_SEARCH = {"projectId[]", "keyword", "sort", "order", "offset", "count", *(f"customField_{number}" for number in CUSTOM_FIELDS)}
_CUSTOM = re.compile(r"customField_(\d+)(\[\d+\])?")
_MOST = {
    "summary": (255, "件名は1文字以上255文字以下で入力してください。"),
    "description": (100_000, "詳細は100,000文字以下で入力してください。"),
    "content": (50_000, "コメントは50,000文字以下で入力してください。"),
}

Answer = Response | tuple[Response, int]


class Wrong(Exception):
    """The request is refused with these words."""


class FakeBacklog(FakeServer):
    """`issues` by key as the API shows them, `comments` by issue key, `requests` what was let pass (method, address, form)."""

    def __init__(self, api_key: str) -> None:
        self.issues: dict[str, dict[str, Any]] = {}
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        self.left = 150
        self._api_key = api_key
        self._numbers = itertools.count(1)
        app = Flask(__name__)
        super().__init__(app)
        app.before_request(self._check)
        app.after_request(self._limit)
        for rule, method, view in (
            ("/api/v2/issues", "GET", self._list),
            ("/api/v2/issues", "POST", self._add),
            ("/api/v2/issues/<key>", "GET", self._get),
            ("/api/v2/issues/<key>", "PATCH", self._update),
            ("/api/v2/issues/<key>/comments", "GET", self._list_comments),
            ("/api/v2/issues/<key>/comments", "POST", self._add_comment),
        ):
            app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
        app.register_error_handler(Wrong, lambda wrong: _error(400, 7, str(wrong)))
        app.register_error_handler(404, lambda error: _error(404, 6, "Undefined resource. "))
        app.register_error_handler(405, lambda error: _error(404, 6, "Undefined resource. "))

    def _check(self) -> Answer | None:
        if request.path == "/_fault":
            return None
        if request.headers.get("Backlog-API-Key") != self._api_key:
            return _error(401, 11, "Authentication failure.")
        if self.left <= 0:
            return _error(429, 13, "Rate limit exceeded.")
        if request.method != "GET":
            self.left -= 1
            if request.mimetype != "application/x-www-form-urlencoded" or request.args:
                raise Wrong("a form is expected, and nothing in the address")
        self.requests.append((request.method, request.environ["REQUEST_URI"], request.form.to_dict(flat=False)))
        return None

    def _limit(self, response: Response) -> Response:
        response.headers |= {
            "X-RateLimit-Limit": "150",
            "X-RateLimit-Remaining": str(self.left),
            "X-RateLimit-Reset": str(int(time()) + 60),
        }
        return response

    def _list(self) -> Answer:
        _only(request.args, _SEARCH)
        if request.args.get("sort") != "created" or request.args.getlist("projectId[]") != [str(PROJECT)]:
            raise Wrong("projectId[], sort")
        found = list(self.issues.values())
        for name, words in request.args.items():
            if name == "keyword":
                found = [one for one in found if words.lower() in f"{one['summary']}\n{one['description']}".lower()]
            elif custom := _CUSTOM.fullmatch(name):
                found = [one for one in found if words.lower() in str(_custom(one, int(custom[1]))["value"] or "").lower()]
        if request.args.get("order", "desc") == "desc":
            found.reverse()
        offset, count = int(request.args.get("offset", 0)), _count()
        return jsonify(found[offset : offset + count])

    def _add(self) -> Answer:
        _only(request.form, _ADD)
        for name in ("projectId", "summary", "issueTypeId", "priorityId"):
            if not request.form.get(name):
                raise Wrong(f"error.required: {name}")
        if _number("projectId") != PROJECT:
            return _error(404, 6, "No project.")
        number = next(self._numbers)
        issue: dict[str, Any] = {
            "id": 1000 + number,
            "projectId": PROJECT,
            "issueKey": f"{PROJECT_KEY}-{number}",
            "keyId": number,
            "summary": "",
            "description": "",
            "status": {"id": 1, "projectId": PROJECT, "name": "未対応"},
            "resolution": None,
            "assignee": None,
            **{name: [] for name in _LISTS.values()},
            **dict.fromkeys((*_DATES, "estimatedHours", "actualHours", "parentIssueId")),
            "customFields": [{"id": id_, "fieldTypeId": kind, "name": "x", "value": None} for id_, kind in CUSTOM_FIELDS.items()],
        }
        self._take(issue)
        self.issues[issue["issueKey"]], self.comments[issue["issueKey"]] = issue, []
        return jsonify(issue), 201

    def _get(self, key: str) -> Answer:
        _only(request.args, ())
        return jsonify(self.issues[key]) if key in self.issues else _no_issue(key)

    def _update(self, key: str) -> Answer:
        if key not in self.issues:
            return _no_issue(key)
        _only(request.form, _UPDATE)
        issue = self.issues[key]
        changed = {**issue, "customFields": [dict(one) for one in issue["customFields"]]}
        self._take(changed)
        if changed == issue:
            raise Wrong("No comment content.")
        self.issues[key] = changed
        self.comments[key].append({"id": self._next_comment(), "content": None, "changeLog": [{"field": "x"}]})
        return jsonify(changed)

    def _take(self, issue: dict[str, Any]) -> None:
        for name in request.form:
            text = request.form[name]
            if name in ("summary", "description"):
                issue[name] = _fitting(name, text)
            elif name in _LISTS:
                issue[_LISTS[name]] = [{"id": int(one), "name": "x"} for one in request.form.getlist(name) if one]
            elif name in ("statusId", "priorityId", "issueTypeId", "assigneeId", "resolutionId"):
                issue[name.removesuffix("Id")] = {"id": _number(name), "name": "x"} if text else None
            elif name in _DATES:
                issue[name] = f"{_day(text)}T00:00:00Z" if text else None
            elif name in ("estimatedHours", "actualHours", "parentIssueId"):
                issue[name] = _number(name) if text else None
            elif custom := _CUSTOM.fullmatch(name):
                _take_custom(_custom(issue, int(custom[1])), custom[2], text)

    def _list_comments(self, key: str) -> Answer:
        if key not in self.issues:
            return _no_issue(key)
        _only(request.args, ("minId", "maxId", "count", "order"))
        least, most = int(request.args.get("minId", 0)), int(request.args.get("maxId", 10**12))
        found = [one for one in self.comments[key] if least <= one["id"] <= most]
        if request.args.get("order", "desc") == "desc":
            found.reverse()
        return jsonify(found[: _count()])

    def _add_comment(self, key: str) -> Answer:
        if key not in self.issues:
            return _no_issue(key)
        _only(request.form, ("content",))
        comment = {"id": self._next_comment(), "content": _fitting("content", request.form["content"]), "changeLog": []}
        self.comments[key].append(comment)
        return jsonify(comment), 201

    def _next_comment(self) -> int:
        return 5000 + sum(len(one) for one in self.comments.values())


def _only(given: Iterable[str], known: Iterable[str]) -> None:
    if unknown := [name for name in given if name not in known and not _CUSTOM.fullmatch(name)]:
        raise Wrong(f"unknown: {unknown}")


def _fitting(name: str, text: str) -> str:
    most, words = _MOST[name]
    if len(text) > most or (name != "description" and not text):
        raise Wrong(words)
    return text


def _number(name: str) -> float:
    try:
        value = float(request.form[name])
    except ValueError:
        raise Wrong(f"error.number: {name}") from None
    return int(value) if value.is_integer() else value


def _day(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise Wrong("error.date")
    return text


def _count() -> int:
    count = int(request.args.get("count", 20))
    if not 1 <= count <= 100 or request.args.get("order", "desc") not in ("asc", "desc"):
        raise Wrong("count, order")
    return count


def _custom(issue: dict[str, Any], number: int) -> dict[str, Any]:
    for one in issue["customFields"]:
        if one["id"] == number:
            return one  # type: ignore[no-any-return]
    raise Wrong(f"No custom field. id : {number}")


def _take_custom(field: dict[str, Any], index: str | None, text: str) -> None:
    if (field["fieldTypeId"] == CUSTOM_FIELDS[LIST_FIELD]) != (index is not None) and text:
        raise Wrong("error.customField")
    if index is not None:
        before = [] if index == "[0]" else field["value"]
        field["value"] = [*before, {"id": int(text), "name": "x"}]
    elif field["fieldTypeId"] == CUSTOM_FIELDS[DATE_FIELD]:
        field["value"] = f"{_day(text)}T00:00:00Z" if text else None
    else:
        field["value"] = text or ([] if field["fieldTypeId"] == CUSTOM_FIELDS[LIST_FIELD] else None)


def _no_issue(key: str) -> Answer:
    return _error(404, 6, f"No such issue. (key:{key})")


def _error(status: int, code: int, message: str) -> Answer:
    return jsonify(errors=[{"message": message, "code": code, "moreInfo": ""}]), status
