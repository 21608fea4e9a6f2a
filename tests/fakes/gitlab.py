"""A stateful stand-in for the issues of one project in GitLab.

Contract: GitLab 18, doc/api/issues.md, doc/api/notes.md and their code lib/api/issues.rb, lib/api/notes.rb,
lib/gitlab/quick_actions/extractor.rb (docs.gitlab.com/api/issues, /api/notes, /user/project/quick_actions). Stricter than GitLab,
which passes over parameters that it does not know: here they are refused.

Its oddities: the path of a project is one part of the address (%2F); a line of a description or note that begins with /close is a
command and is taken out; system notes stand among the comments; pages of notes need not be full; labels are parted at commas,
given in order, and dropped without a word where the token may not set them; a private project is 404 to strangers.

`python -m tests.fakes.gitlab --port 3000 --token-file FILE --project GROUP/NAME` has faults as in faults.py.
"""

import argparse
import itertools
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import jsonify, request

from tests.fakes.tracker import Answer, FakeTracker, Route, boolean, digits, message, number, numbers, one_of, or_null, text, texts

MOST_TITLE, MOST_DESCRIPTION, MOST_NOTE, MOST_LABEL = 255, 1_048_576, 1_000_000, 255
OURS, PERSON = 7, 8
"""The numbers of the token's own user and of a person."""

_COMMAND = re.compile(r"^/(close|reopen|assign|unassign|label|title|confidential)(?:[ ][^\n]*)?(?:\s*\n|$)", re.I | re.M)
_PAGE = {"per_page": digits, "page": digits}


def _labels(value: Any) -> bool:
    return text(value) or texts(value)


def _date(value: Any) -> bool:
    return text(value) and (value == "" or re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) is not None)


_ISSUE: dict[str, Callable[[Any], bool]] = {
    "title": text,
    "description": text,
    "assignee_ids": numbers,
    "milestone_id": or_null(number),
    "labels": _labels,
    "due_date": or_null(_date),
    "confidential": boolean,
    "weight": or_null(number),
    "issue_type": one_of("issue", "incident", "test_case", "task"),
}
_CHANGE = {**_ISSUE, "add_labels": _labels, "remove_labels": _labels, "state_event": one_of("close", "reopen")}
_LIST = {
    **_PAGE,
    "labels": text,
    "state": one_of("opened", "closed", "all"),
    "scope": one_of("created_by_me", "assigned_to_me", "all"),
    "order_by": one_of("created_at", "updated_at", "title"),
    "sort": one_of("asc", "desc"),
    "iids": text,
}
_NOTES = {
    **_PAGE,
    "sort": one_of("asc", "desc"),
    "order_by": one_of("created_at", "updated_at"),
    "activity_filter": one_of("all_notes", "only_comments", "only_activity"),
}


class FakeGitLab(FakeTracker):
    """`issues` and `notes` by iid; `commands` are those that were obeyed.

    `sets_labels`: the token may set them; `sees`: it may see the project at all; `filters_notes`: not an older version, which
    passes over `activity_filter`.
    """

    def __init__(self, token: str, project: str = "network/incidents", port: int = 0) -> None:
        super().__init__(port)
        self.issues: dict[int, dict[str, Any]] = {}
        self.notes: dict[int, list[dict[str, Any]]] = {}
        self.commands: list[str] = []
        self.sets_labels = self.sees = self.filters_notes = True
        self._token = token
        self._iids = itertools.count(1)
        one = rf"/api/v4/projects/(?:42|{re.escape(quote(project, safe=''))})"
        self.routes = (
            Route("GET", one, self._project, {}, None),
            Route("GET", f"{one}/issues", self._list, _LIST, None),
            Route("POST", f"{one}/issues", self._create, {}, _ISSUE),
            Route("GET", f"{one}/issues/([0-9]+)", self._get, {}, None),
            Route("PUT", f"{one}/issues/([0-9]+)", self._update, {}, _CHANGE),
            Route("GET", f"{one}/issues/([0-9]+)/notes", self._list_notes, _NOTES, None),
            Route("POST", f"{one}/issues/([0-9]+)/notes", self._comment, {}, {"body": text, "internal": boolean}),
            Route("GET", r"/api/v4/projects/.+", self._no_project, {**_LIST, **_NOTES}, None),
        )

    def add(self, *, labels: tuple[str, ...] = (), author: int = PERSON) -> int:
        """What a person makes; its iid."""
        return int(self._made({"title": "a person's", "labels": list(labels)}, author)["iid"])

    def note(self, iid: int, body: str, *, system: bool = False) -> None:
        there = self.notes.setdefault(iid, [])
        there.append({"id": len(there) + 1, "body": body, "system": system, "internal": False})

    def unauthorized(self) -> Answer | None:
        if request.headers.get("PRIVATE-TOKEN") != self._token:
            return message(401, message="401 Unauthorized")
        return None if self.sees else self._no_project()

    def no_route(self) -> Answer:
        return message(404, error="404 Not Found")

    def unknown(self, name: str) -> Answer:
        return message(400, error=f"{name} is unknown")

    def wrong(self, name: str) -> Answer:
        return message(400, error=f"{name} is invalid")

    def _no_project(self) -> Answer:
        return message(404, message="404 Project Not Found")

    def _project(self) -> Answer:
        return jsonify(id=42, path_with_namespace="network/incidents")

    def _list(self) -> Answer:
        wanted = set(filter(None, request.args.get("labels", "").split(",")))
        state, scope = request.args.get("state", "all"), request.args.get("scope", "all")
        found = [
            one
            for one in self.issues.values()
            if wanted <= set(one["labels"])
            and state in ("all", one["state"])
            and (scope != "created_by_me" or one["author"]["id"] == OURS)
        ]
        found.sort(key=lambda one: int(one["iid"]), reverse=request.args.get("sort", "desc") == "desc")
        return jsonify(self._page(found))

    def _create(self) -> Answer:
        wanted = request.get_json()
        if "title" not in wanted:
            return message(400, error="title is missing")
        return _too_long(wanted) or (jsonify(self._made(wanted, OURS)), 201)

    def _get(self, iid: str) -> Answer:
        return self._absent(iid) or jsonify(self.issues[int(iid)])

    def _update(self, iid: str) -> Answer:
        wanted = request.get_json(silent=True) or {}
        if refusal := self._absent(iid) or _too_long(wanted):
            return refusal
        if not wanted:
            return message(
                400, error="title, description, labels, state_event are missing, at least one parameter must be provided"
            )
        one = self.issues[int(iid)]
        state = {"close": "closed", "reopen": "opened", None: one["state"]}[wanted.get("state_event")]
        if state != one["state"]:
            one["state"] = state
            self.note(int(iid), state, system=True)
        self._fill(one, wanted)
        return jsonify(one)

    def _list_notes(self, iid: str) -> Answer:
        if refusal := self._absent(iid):
            return refusal
        notes = self.notes.get(int(iid), [])
        if self.filters_notes and request.args.get("activity_filter") == "only_comments":
            notes = [note for note in notes if not note["system"]]
        notes = notes if request.args.get("sort", "desc") == "asc" else notes[::-1]
        # what the token may not see is taken out of the page, which has fewer then
        return jsonify([note for note in self._page(notes) if not note["internal"]])

    def _comment(self, iid: str) -> Answer:
        if refusal := self._absent(iid):
            return refusal
        body = request.get_json()["body"]
        if len(body) > MOST_NOTE:
            return message(400, message=f"400 Bad request - Note {{:note=>['is too long (maximum is {MOST_NOTE} characters)']}}")
        left = self._obeyed(self.issues[int(iid)], body)
        if not left.strip():
            return message(202, commands_changes={}, summary=["Done."])
        self.note(int(iid), left)
        return jsonify(self.notes[int(iid)][-1]), 201

    def _obeyed(self, one: dict[str, Any], body: str) -> str:
        """The text without its commands, which are carried out."""
        body = body.replace("\r", "")
        for found in _COMMAND.finditer(body):
            self.commands.append(found[0].strip())
            if found[1].lower() == "close":
                one["state"] = "closed"
        return _COMMAND.sub("", body).rstrip()

    def _absent(self, iid: str) -> Answer | None:
        return None if int(iid) in self.issues else message(404, message="404 Not found")

    def _made(self, wanted: dict[str, Any], author: int) -> dict[str, Any]:
        one: dict[str, Any] = {"iid": next(self._iids), "project_id": 42, "state": "opened", "description": None, "labels": []}
        one |= {"assignees": [], "milestone": None, "due_date": None, "weight": None, "confidential": False}
        one |= {"issue_type": "issue", "author": {"id": author}}
        one["id"] = 1000 + one["iid"]
        self._fill(one, wanted)
        self.issues[one["iid"]] = one
        return one

    def _fill(self, one: dict[str, Any], wanted: dict[str, Any]) -> None:
        labels = set(_parted(wanted["labels"])) if "labels" in wanted else set(one["labels"])
        labels |= set(_parted(wanted.get("add_labels", "")))
        labels -= set(_parted(wanted.get("remove_labels", "")))
        if self.sets_labels:
            one["labels"] = sorted(labels, key=str.lower)
        for name, value in wanted.items():
            if name == "assignee_ids":
                one["assignees"] = [{"id": id_, "username": f"u{id_}"} for id_ in value]
            elif name == "milestone_id":
                one["milestone"] = None if not value else {"id": value, "title": "m"}
            elif name == "description":
                one[name] = self._obeyed(one, value)
            elif not name.endswith("labels") and name != "state_event":
                one[name] = value.strip() if name == "title" else value

    def _page(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        size = min(int(request.args.get("per_page", 20)), 100)
        start = (int(request.args.get("page", 1)) - 1) * size
        return found[start : start + size]


def _parted(labels: str | list[str]) -> list[str]:
    given = [labels] if isinstance(labels, str) else labels
    return [one.strip() for label in given for one in label.split(",") if one.strip()]


def _too_long(wanted: dict[str, Any]) -> Answer | None:
    for name, most in (("title", MOST_TITLE), ("description", MOST_DESCRIPTION)):
        if len(wanted.get(name) or "") > most:
            return message(400, message={name: [f"is too long (maximum is {most} characters)"]})
    labels = _parted(wanted.get("labels", "")) + _parted(wanted.get("add_labels", ""))
    if any(len(label) > MOST_LABEL for label in labels):
        return message(400, message={"labels": [f"is too long (maximum is {MOST_LABEL} characters)"]})
    return message(400, message={"title": ["can't be blank"]}) if not wanted.get("title", "x").strip() else None


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for the issues of a project in GitLab")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-file", required=True)
    parser.add_argument("--project", default="network/incidents")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        FakeGitLab(Path(given.token_file).read_text().strip(), given.project, given.port).serve()


if __name__ == "__main__":
    main()
