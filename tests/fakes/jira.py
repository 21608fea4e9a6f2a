"""A stateful stand-in for Jira: `FakeJira("cloud", …)` speaks REST API v3, `FakeJira("server", …)` REST API v2 of Data Center.

Every request is checked against a closed slice of the published contracts: unknown paths, query parameters, body keys and fields
are refused, where the real one ignores some. Read in 2026-11:
- paths, parameters, schemas and status codes of v3: Atlassian's OpenAPI document (developer.atlassian.com/cloud/jira/platform/
  swagger-v3.v3.json, 1001.0.0-SNAPSHOT, as kept in github.com/primelib/jira4j and github.com/salto-io/jira-swaggers), and for
  `search/jql` docs.rs/crate/jira_v3_openapi/1.6.1 (SearchAndReconcileRequestBean) and
  developer.atlassian.com/cloud/jira/platform/search-and-reconcile (seconds to minutes until a change is found);
- v2 of Data Center: mrrefactoring.github.io/jira.js/api/modules/server (made of its OpenAPI document): getIssue, getComments,
  searchUsingSearchRequest; docs.atlassian.com/software/jira/docs/api/REST/8.12.2;
- limits of calls: developer.atlassian.com/cloud/jira/platform/rate-limiting (headers of a 429; X-RateLimit-Reset is
  `yyyy-MM-ddTHH:mmZ`), confluence.atlassian.com/adminjiraserver/adjusting-your-code-for-rate-limiting-987143384.html;
- "cannot be set. It is not on the appropriate screen": prometheus-community/jiralert#88, #95; "contains spaces": nuclei#1689;
- comments that customers do not see (`sd.public.comment`): pycontribs/jira#313, jenkinsci/jira-plugin#375;
- rich text: developer.atlassian.com/cloud/jira/platform/apis/document/structure.
Its oddities: without `fields`, `search/jql` gives ids alone; labels come back sorted, and JQL compares them without regard to case;
who may not see an issue is told that it does not exist (404), and a token without the right scopes is such a one on Jira Cloud.
"""

import base64
import html
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import jsonschema
from flask import Flask, Response, jsonify, request

from tests.fakes.faults import FakeServer

Answer = Response | tuple[Response | str, int]

EMAIL = "art58@carrier.example"
PROJECT = "OPS"
MOST_CHARACTERS = 32_767
STATUSES = {"1": ("To Do", "new"), "3": ("In Progress", "indeterminate"), "4": ("Won't do", "done"), "5": ("Done", "done")}
RESOLUTION = {"required": True, "hasDefaultValue": False, "name": "Resolution", "allowedValues": [{"id": "1", "name": "Done"}]}

_GONE = "Issue does not exist or you do not have permission to see it."
_SCREEN = "Field '{}' cannot be set. It is not on the appropriate screen, or unknown."


def _closed(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}
_STRINGS = {"type": "array", "items": _TEXT}
_MARK = {
    "oneOf": [
        _closed(("type",), type={"enum": ["strong", "em", "code"]}),
        _closed(("type", "attrs"), type={"const": "link"}, attrs=_closed(("href",), href=_TEXT)),
        _closed(("type", "attrs"), type={"const": "subsup"}, attrs=_closed(("type",), type={"enum": ["sub", "sup"]})),
    ]
}
_INLINE = {
    "oneOf": [
        _closed(
            ("type", "text"),
            type={"const": "text"},
            text={"type": "string", "minLength": 1},
            marks={"type": "array", "items": _MARK},
        ),
        _closed(("type",), type={"const": "hardBreak"}),
        _closed(("type", "attrs"), type={"const": "mention"}, attrs=_closed(("id",), id=_TEXT, text=_TEXT)),
    ]
}
_PARAGRAPH = _closed(
    ("type",), type={"const": "paragraph"}, content={"type": "array", "items": _INLINE}, attrs=_closed(localId=_TEXT)
)
_PANEL = _closed(
    ("type", "attrs", "content"),
    type={"const": "panel"},
    attrs=_closed(("panelType",), panelType={"enum": ["info", "note", "warning", "success", "error"]}, localId=_TEXT),
    content={"type": "array", "minItems": 1, "items": _PARAGRAPH},
)
_ITEM = _closed(("type", "content"), type={"const": "listItem"}, content={"type": "array", "minItems": 1, "items": _PARAGRAPH})
_LIST = _closed(("type", "content"), type={"const": "bulletList"}, content={"type": "array", "minItems": 1, "items": _ITEM})
_BLOCKS = {"type": "array", "items": {"oneOf": [_PARAGRAPH, _PANEL, _LIST]}}
ADF = _closed(("type", "version", "content"), type={"const": "doc"}, version={"const": 1}, content=_BLOCKS)

_FIELDS = {"type": "object", "minProperties": 0}
_LABELS = {"type": "array", "items": {"oneOf": [_closed(("add",), add=_TEXT), _closed(("remove",), remove=_TEXT)]}}
_BODIES = {
    "create": _closed(("fields",), fields=_FIELDS),
    "edit": _closed(fields=_FIELDS, update=_closed(labels=_LABELS)),
    "move": _closed(("transition",), transition=_closed(("id",), id=_TEXT), fields=_FIELDS),
    "comment": _closed(("body",), body={}, properties={"type": "array", "items": _closed(("key", "value"), key=_TEXT, value={})}),
    "property": _closed(("status",), status=_TEXT),
    "search/cloud": _closed(("jql",), jql=_TEXT, fields=_STRINGS, maxResults=_NUMBER, nextPageToken=_TEXT),
    "search/server": _closed(("jql",), jql=_TEXT, fields=_STRINGS, maxResults=_NUMBER, startAt=_NUMBER),
}
_QUERIES = {
    "read": {"fields", "properties"},
    "comments": {"startAt", "maxResults", "orderBy"},
    "transitions": {"expand"},
}


@dataclass
class Transition:
    """From every status that is not `to`. `screen` is the fields on its screen, as Jira describes them."""

    id: str
    name: str
    to: str
    screen: dict[str, Any] = field(default_factory=dict)


@dataclass
class Issue:
    """`made_by` and `assignee` are names of users."""

    id: int
    key: str
    fields: dict[str, Any]
    made_by: str
    status: str = "1"
    assignee: str | None = None
    comments: list[dict[str, Any]] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    indexed: bool = True


class FakeJira(FakeServer):
    """`issues` is what it holds by key, `requests` what it was asked and let pass (method, path, JSON).

    `screen` is the fields that may be set, `transitions` its workflow. While it `lags`, what is made is not found. It gives `page`
    issues or comments at once at most. `default_assignee` gets new issues; `locks_closed` forbids to edit closed ones.
    """

    def __init__(self, kind: Literal["cloud", "server"], token: str, port: int = 0) -> None:
        self.kind = kind
        self.issues: dict[str, Issue] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.screen = {"project", "issuetype", "summary", "description", "labels", "priority", "customfield_10050"}
        self.transitions = [Transition("11", "To Do", "1"), Transition("21", "In Progress", "3"), Transition("31", "Done", "5")]
        self.lags = self.locks_closed = False
        self.page = 2
        self.default_assignee: str | None = None
        login = base64.b64encode(f"{EMAIL}:{token}".encode()).decode()
        self.authorization = f"Basic {login}" if kind == "cloud" else f"Bearer {token}"
        self._ids = itertools.count(10_000)
        app = Flask(__name__)
        super().__init__(app, port)
        base = f"/rest/api/{3 if kind == 'cloud' else 2}"
        search = "/search/jql" if kind == "cloud" else "/search"
        routes: tuple[tuple[str, str, str, Callable[..., Answer]], ...] = (
            ("create", "POST", "/issue", self._create),
            ("read", "GET", "/issue/<key>", self._read),
            ("edit", "PUT", "/issue/<key>", self._edit),
            ("comments", "GET", "/issue/<key>/comment", self._comments),
            ("comment", "POST", "/issue/<key>/comment", self._comment),
            ("transitions", "GET", "/issue/<key>/transitions", self._transitions),
            ("move", "POST", "/issue/<key>/transitions", self._move),
            ("property", "PUT", "/issue/<key>/properties/<name>", self._note),
            (f"search/{kind}", "POST", search, self._search),
            ("project", "GET", "/project/<key>", self._project),
        )
        for name, method, rule, view in routes:
            app.add_url_rule(base + rule, name, view, methods=[method])
        app.before_request(self._check)
        app.after_request(self._limits)

    def user(self, name: str) -> dict[str, Any]:
        return {"accountId": f"5b10{name}", "displayName": name} if self.kind == "cloud" else {"name": name, "key": name}

    def status(self, number: str) -> dict[str, Any]:
        name, category = STATUSES[number]
        return {"id": number, "name": name, "statusCategory": {"id": 2, "key": category, "name": name}}

    def _check(self) -> Answer | None:
        if request.path == "/_fault":
            return None
        endpoint = request.endpoint
        if endpoint is None:
            gone = request.path in ("/rest/api/2/search", "/rest/api/3/search")
            return _error("The requested API has been removed.", status=410) if gone else ("null for uri: " + request.path, 404)
        if request.headers.get("Authorization") != self.authorization:
            if self.kind == "server" or request.method != "GET":
                return _error("Client must be authenticated to access this resource.", status=401)
            return _error(_GONE, status=404)
        if unknown := set(request.args) - _QUERIES.get(endpoint, set()):
            return _error(f"unknown query parameters {sorted(unknown)}")
        body = request.get_json(silent=True)
        if endpoint in _BODIES:
            if request.content_type != "application/json":
                return _error("Unsupported Media Type", status=415)
            try:
                jsonschema.validate(body, _BODIES[endpoint])
            except jsonschema.ValidationError as error:
                return _error(f"Invalid request payload. Refer to the REST API documentation and try again. {error.message}"[:300])
        self.requests.append((request.method, request.path, body))
        return None

    def _limits(self, response: Response) -> Response:
        if response.status_code == 429 and self.kind == "cloud":
            response.headers["X-RateLimit-Reset"] = "2026-11-22T06:30Z"
            response.headers["RateLimit-Reason"] = "jira-burst-based"
        if self.kind == "server":
            response.headers["X-RateLimit-Remaining"] = "0" if response.status_code == 429 else "49"
        return response

    def _create(self) -> Answer:
        wanted: dict[str, Any] = request.get_json()["fields"]
        if wrong := self._wrong(wanted):
            return _error(**wrong)
        if wanted.get("project") != {"key": PROJECT} or wanted.get("issuetype") not in ({"name": "Task"}, {"name": "Incident"}):
            return _error(errors={"project": "valid project is required", "issuetype": "The issue type selected is invalid."})
        if "summary" not in wanted:
            return _error(errors={"summary": "You must specify a summary of the issue."})
        number = next(self._ids)
        issue = Issue(number, f"{PROJECT}-{number - 9_999}", {}, "art58", assignee=self.default_assignee, indexed=not self.lags)
        issue.fields = {name: self._kept(value) for name, value in wanted.items()}
        self.issues[issue.key] = issue
        return jsonify({"id": str(number), "key": issue.key, "self": f"{self.url}/rest/api/2/issue/{number}"}), 201

    def _read(self, key: str) -> Answer:
        issue = self.issues.get(key)
        if issue is None:
            return _error(_GONE, status=404)
        every = {
            **issue.fields,
            "labels": sorted(issue.fields.get("labels", [])),
            "status": self.status(issue.status),
            "creator": self.user(issue.made_by),
            "assignee": self.user(issue.assignee) if issue.assignee else None,
        }
        asked = request.args.get("fields", "*all").split(",")
        fields = every if asked == ["*all"] else {name: every.get(name) for name in asked if name in every or name in self.screen}
        properties = {name: issue.properties[name] for name in request.args.getlist("properties") if name in issue.properties}
        return jsonify(id=str(issue.id), key=key, expand="names", fields=fields, properties=properties)

    def _edit(self, key: str) -> Answer:
        issue, body = self.issues.get(key), request.get_json()
        if issue is None:
            return _error(_GONE, status=404)
        fields, labels = body.get("fields", {}), body.get("update", {}).get("labels", [])
        if self.locks_closed and STATUSES[issue.status][1] == "done":
            return _error(errors={name: _SCREEN.format(name) for name in fields})
        given = [*issue.fields.get("labels", []), *(one["add"] for one in labels if "add" in one)]
        if wrong := self._wrong(fields | ({"labels": given} if labels else {})):
            return _error(**wrong)
        issue.fields |= {name: self._kept(value) for name, value in fields.items()}
        if labels:
            removed = {one.get("remove") for one in labels}
            issue.fields["labels"] = [one for one in dict.fromkeys(given) if one not in removed]
        return "", 204

    def _comments(self, key: str) -> Answer:
        issue = self.issues.get(key)
        if issue is None:
            return _error(_GONE, status=404)
        if request.args.get("orderBy", "created") not in ("created", "-created"):
            return _error("orderBy")
        ordered = issue.comments[::-1] if request.args.get("orderBy") == "-created" else issue.comments
        start, most = int(request.args.get("startAt", 0)), min(self.page, int(request.args.get("maxResults", 50)))
        return jsonify(startAt=start, maxResults=most, total=len(ordered), comments=ordered[start : start + most])

    def _comment(self, key: str) -> Answer:
        issue, body = self.issues.get(key), request.get_json()["body"]
        if issue is None:
            return _error(_GONE, status=404)
        if not self._is_rich_text(body):
            return _error(errors={"comment": "Comment body is not valid!"})
        if _length(body) > MOST_CHARACTERS:
            return _error(errors={"comment": _too_long()})
        properties = {one["key"]: one["value"] for one in request.get_json().get("properties", [])}
        public = not properties.get("sd.public.comment", {}).get("internal")
        one = {"id": str(len(issue.comments)), "author": self.user("art58"), "body": body, "jsdPublic": public}
        issue.comments.append(one)
        return jsonify(issue.comments[-1]), 201

    def _transitions(self, key: str) -> Answer:
        issue = self.issues.get(key)
        if issue is None:
            return _error(_GONE, status=404)
        with_fields = request.args.get("expand") == "transitions.fields"
        listed = [
            {"id": one.id, "name": one.name, "to": self.status(one.to), "isAvailable": True, "hasScreen": bool(one.screen)}
            | ({"fields": one.screen} if with_fields else {})
            for one in self._leading_from(issue)
        ]
        return jsonify(expand="transitions", transitions=listed)

    def _move(self, key: str) -> Answer:
        issue, body = self.issues.get(key), request.get_json()
        if issue is None:
            return _error(_GONE, status=404)
        one = next((one for one in self._leading_from(issue) if one.id == body["transition"]["id"]), None)
        if one is None:
            return _error(f"Transition id '{body['transition']['id']}' is not valid for this issue.")
        fields = body.get("fields", {})
        errors = {name: _SCREEN.format(name) for name in fields if name not in one.screen}
        errors |= {name: f"{name} is required." for name, asked in one.screen.items() if asked["required"] and name not in fields}
        if errors:
            return _error(errors=errors)
        issue.fields |= fields
        issue.status = one.to
        return "", 204

    def _note(self, key: str, name: str) -> Answer:
        if key not in self.issues:
            return _error(_GONE, status=404)
        status = 200 if name in self.issues[key].properties else 201
        self.issues[key].properties[name] = request.get_json()
        return "", status

    def _project(self, key: str) -> Answer:
        return jsonify(id="1", key=key) if key == PROJECT else _error(f"No project could be found with key '{key}'.", status=404)

    def _search(self) -> Answer:
        body = request.get_json()
        jql = re.fullmatch(
            r'project = "(?P<project>\w+)" AND labels = "(?P<label>\S+)" AND creator = currentUser\(\) ORDER BY created ASC',
            body["jql"],
        )
        if jql is None:
            return _error("Error in the JQL Query")
        if jql["project"] != PROJECT:
            return _error(f"The value '{jql['project']}' does not exist for the field 'project'.")
        found = [one for one in self.issues.values() if one.indexed and one.made_by == "art58" and _has_label(one, jql["label"])]
        most = min(self.page, body.get("maxResults", 50))
        if self.kind == "server":
            start = body.get("startAt", 0)
            page = [self._row(one, body.get("fields", ["labels"])) for one in found[start : start + most]]
            return jsonify(expand="schema,names", startAt=start, maxResults=most, total=len(found), issues=page)
        start = int(body.get("nextPageToken", "page-0").removeprefix("page-"))
        page = [self._row(one, body.get("fields")) for one in found[start : start + most]]
        is_last = start + most >= len(found)
        return jsonify({"issues": page, "isLast": is_last} | ({} if is_last else {"nextPageToken": f"page-{start + most}"}))

    def _row(self, one: Issue, fields: list[str] | None) -> dict[str, Any]:
        if not fields:
            return {"id": str(one.id)}
        return {"id": str(one.id), "key": one.key, "self": "", "fields": {name: one.fields.get(name) for name in fields}}

    def _leading_from(self, issue: Issue) -> list[Transition]:
        return [one for one in self.transitions if one.to != issue.status]

    def _kept(self, value: Any) -> Any:
        """A choice comes back with more than its name."""
        if isinstance(value, dict) and set(value) == {"name"}:
            return {"self": f"{self.url}/rest/api/2/priority/2", "id": "2", "iconUrl": "", **value}
        return value

    def _is_rich_text(self, value: Any) -> bool:
        if self.kind == "server":
            return isinstance(value, str)
        try:
            jsonschema.validate(value, ADF)
        except jsonschema.ValidationError:
            return False
        return True

    def _wrong(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What Jira says against these fields; nothing if all may be set."""
        errors = {name: _SCREEN.format(name) for name in fields if name not in self.screen}
        summary, labels = fields.get("summary", "x"), fields.get("labels", [])
        if not isinstance(summary, str) or not summary.strip():
            errors["summary"] = "You must specify a summary of the issue."
        elif len(summary.encode("utf-16-le")) // 2 > 255:
            errors["summary"] = "Summary can't exceed 255 characters."
        elif re.search(r"[\r\n]", summary):
            errors["summary"] = "The summary is invalid because it contains newline characters."
        for label in labels:
            if re.search(r"\s", label):
                errors["labels"] = f"The label '{label}' contains spaces which is invalid."
            elif not label or len(label) > 255:
                errors["labels"] = "The label exceeds 255 characters."
        if "description" in fields:
            if not self._is_rich_text(fields["description"]):
                errors["description"] = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
            elif _length(fields["description"]) > MOST_CHARACTERS:
                errors["description"] = _too_long()
        return {"errors": errors} if errors else {}


def _too_long() -> str:
    return "The entered text is too long. It exceeds the allowed limit of 32,767 characters."


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _has_label(one: Issue, label: str) -> bool:
    return label.lower() in [there.lower() for there in one.fields.get("labels", [])]


def _error(*messages: str, errors: Mapping[str, str] | None = None, status: int = 400) -> Answer:
    return jsonify(errorMessages=list(messages), errors=errors or {}), status


def plain(value: Any) -> str:
    """Rich text as a person sees it: of a document its text by lines, of wiki markup what the renderer leaves."""
    if isinstance(value, str):
        return _rendered(value)
    if not isinstance(value, dict):
        return ""
    if value["type"] == "hardBreak":
        return "\n"
    inner = "".join(plain(one) for one in value.get("content", []))
    return str(value.get("text", "")) + inner + ("\n" if value["type"] == "paragraph" else "")


def _rendered(text: str) -> str:
    """Without macros, images, links to users and line-breaking backslashes, which are not shown as text; escapes undone at the end,
    as Jira does by way of entities.
    """
    text = re.sub(r"\\([-#*_+?^~|%{}\[\]()!@])", lambda sign: f"&#{ord(sign[1])};", text)
    text = re.sub(r"\{[^}\n]*\}|\[[^\]\n]*\]|![^!\n\s]+!|\\\\", "", text)
    return html.unescape(text)
