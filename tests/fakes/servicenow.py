"""A stateful stand-in for a ServiceNow instance: the Table API for `incident` and `sys_journal_field`, and the Import Set API.

Written from ServiceNow's published reference, release Australia of March 2026 (github.com/ServiceNow/ServiceNowDocs, below
markdown/api-reference: rest-apis/c_TableAPI.md, rest-apis/c_ImportSetAPI.md and inbound-REST-API-rate-limiting.md).
It has ServiceNow's oddities: a condition of a query that cannot be used is left out (`blind_columns`), a column that the user
may not write keeps its value (`read_only_columns`), a description may end its lines as a browser does (`line_end`), rows that the
user may not see are left out after the limit has counted them (`journal_hidden`), and what is longer than a column is cut. A
resolved incident wants a code and notes, by the base system's data policy. It is stricter in one way: an unknown column or
parameter is refused, where ServiceNow would ignore it.
`with FakeServiceNow(user="art58", password="secret") as instance: instance.url`; faults as in faults.py.
"""

import base64
import itertools
import re
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, request

from tests.fakes.faults import FakeServer

COLUMNS = {
    "short_description": 160,
    "description": 4000,
    "correlation_id": 100,
    "correlation_display": 100,
    "state": 40,
    "close_code": 40,
    "close_notes": 4000,
    "urgency": 40,
    "impact": 40,
    "category": 40,
    "assigned_to": 32,
    "assignment_group": 32,
    "watch_list": 4000,
    "work_notes": 4000,
}
"""The columns of an incident that can be written, with their longest value."""

REFERENCES = ("assigned_to", "assignment_group")
CLOSE_CODES = {"Solution provided", "Workaround provided", "No resolution provided", "Duplicate"}
STATES = {"1", "2", "3", "6", "7", "8"}
NOW = "2026-11-21 04:05:00"

_LIST = {"sysparm_query", "sysparm_fields", "sysparm_limit", "sysparm_offset", "sysparm_exclude_reference_link"}
_ONE = {"sysparm_fields", "sysparm_display_value", "sysparm_exclude_reference_link"}
_WRITE = {"sysparm_fields", "sysparm_exclude_reference_link"}
_SYS_ID = re.compile(r"[0-9a-f]{32}")
_CONDITION = re.compile(r"([a-z_]+)(=|LIKE)(.*)", re.DOTALL)

Answer = Response | tuple[Response, int]


class FakeServiceNow(FakeServer):
    """`incidents` by sys_id, `journal` the rows of sys_journal_field, `requests` what was let pass (method, address, JSON)."""

    def __init__(self, user: str = "", password: str = "", token: str = "", table_of_imports: str = "u_art58_incident") -> None:
        self.incidents: dict[str, dict[str, str]] = {}
        self.journal: list[dict[str, str]] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.blind_columns: set[str] = set()
        self.read_only_columns: set[str] = set()
        self.line_end = "\n"
        self.journal_hidden = False
        self.over_limit = 0  # how many requests are still to be refused for the rate limit
        self.import_error = ""
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._authorization = f"Bearer {token}" if token else f"Basic {basic}"
        self._numbers = itertools.count(10001)
        app = Flask(__name__)
        super().__init__(app)
        app.before_request(self._check)
        for rule, method, view in (
            ("/api/now/table/incident", "GET", self._list),
            ("/api/now/table/incident", "POST", self._create),
            ("/api/now/table/incident/<sys_id>", "GET", self._get),
            ("/api/now/table/incident/<sys_id>", "PATCH", self._patch),
            ("/api/now/table/sys_journal_field", "GET", self._journal),
            (f"/api/now/import/{table_of_imports}", "POST", self._import),
        ):
            app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
        app.register_error_handler(404, lambda error: _error(400, "Requested URI does not represent any resource", request.path))
        app.register_error_handler(405, lambda error: _error(405, "Method not supported", request.method))

    def _check(self) -> Answer | None:
        if request.path == "/_fault":
            return None
        if request.headers.get("Authorization") != self._authorization:
            return _error(401, "User Not Authenticated", "Required to provide Auth information")
        if self.over_limit:
            self.over_limit -= 1
            answer, status = _error(429, "Rate limit exceeded", "Rate limit of 10 requests per hour for Table API exceeded")
            limits = {
                "X-RateLimit-Limit": "10",
                "X-RateLimit-Reset": "1795003200",
                "X-RateLimit-Rule": "a" * 32,
                "Retry-After": "1234",
            }
            answer.headers.update(limits)
            return answer, status
        self.requests.append((request.method, request.environ["REQUEST_URI"], request.get_json(silent=True)))
        if request.method in ("POST", "PATCH"):
            if request.mimetype != "application/json" or not isinstance(request.get_json(silent=True), dict):
                return _error(400, "Exception while reading request", "The payload is not valid JSON")
            if not all(isinstance(value, str) for value in request.get_json().values()):
                return _error(400, "Bad request", "only texts are expected here")
        return None

    def _list(self) -> Answer:
        rows = [{"sys_id": sys_id, **row} for sys_id, row in self.incidents.items()]
        return self._page(rows, {*COLUMNS, "sys_id", "number", "sys_created_on"}, lambda row: True)

    def _journal(self) -> Answer:
        return self._page(
            [dict(one) for one in self.journal],
            {"sys_id", "element_id", "element", "name", "value", "sys_created_on"},
            self._shows_journal,
        )

    def _shows_journal(self, row: dict[str, str]) -> bool:
        return not self.journal_hidden

    def _page(self, rows: list[dict[str, str]], columns: set[str], is_visible: Callable[[dict[str, str]], bool]) -> Answer:
        if unknown := set(request.args) - _LIST:
            return _error(400, "Invalid parameters", str(unknown))
        names = request.args["sysparm_fields"].split(",")
        if unknown := set(names) - columns:
            return _error(400, "Invalid field", str(unknown))
        for term in request.args["sysparm_query"].split("^"):
            if term.startswith("ORDERBY"):
                if term.removeprefix("ORDERBY") not in columns:
                    return _error(400, "Invalid field", term)
            elif not (condition := _CONDITION.fullmatch(term)):
                return _error(400, "Invalid query", term)
            elif condition[1] not in columns:
                return _error(400, "Invalid field", term)
            elif condition[1] not in self.blind_columns:
                rows = [row for row in rows if _holds(row.get(condition[1], ""), condition[2], condition[3])]
        offset, limit = int(request.args.get("sysparm_offset", 0)), int(request.args.get("sysparm_limit", 10_000))
        shown = [row for row in rows[offset : offset + limit] if is_visible(row)]
        answer = jsonify(result=[{name: row.get(name, "") for name in names if name not in self.blind_columns} for row in shown])
        answer.headers["X-Total-Count"] = str(len(rows))
        return answer

    def _create(self) -> Answer:
        wanted = request.get_json()
        if refusal := self._refusal(_WRITE, set(wanted) - set(COLUMNS), {**wanted, "state": wanted.get("state", "1")}):
            return refusal
        return self._row(self._insert(wanted)), 201

    def _insert(self, wanted: dict[str, str]) -> str:
        number = next(self._numbers)
        sys_id = f"{number:032x}"
        self.incidents[sys_id] = dict.fromkeys(COLUMNS, "") | {
            "state": "1",
            "number": f"INC{number:07d}",
            "sys_created_on": NOW,
        }
        self._take(sys_id, wanted)
        return sys_id

    def _take(self, sys_id: str, wanted: dict[str, str]) -> None:
        for name, value in wanted.items():
            if name in self.read_only_columns:
                continue
            if name == "work_notes":
                entry = {
                    "element_id": sys_id,
                    "element": name,
                    "name": "incident",
                    "value": value[: COLUMNS[name]],
                    "sys_created_on": NOW,
                }
                self.journal.append({"sys_id": f"{len(self.journal):032x}", **entry})
            else:
                kept = value[: COLUMNS[name]]
                self.incidents[sys_id][name] = self.line_end.join(kept.splitlines()) if name == "description" else kept

    def _get(self, sys_id: str) -> Answer:
        if sys_id not in self.incidents:
            return _no_record()
        if unknown := set(request.args) - _ONE:
            return _error(400, "Invalid parameters", str(unknown))
        return self._row(sys_id)

    def _patch(self, sys_id: str) -> Answer:
        if sys_id not in self.incidents:
            return _no_record()
        wanted = request.get_json()
        if refusal := self._refusal(_WRITE, set(wanted) - set(COLUMNS), self.incidents[sys_id] | wanted):
            return refusal
        self._take(sys_id, wanted)
        return self._row(sys_id)

    def _refusal(self, parameters: set[str], unknown: set[str], becomes: dict[str, str]) -> Answer | None:
        if set(request.args) - parameters or unknown:
            return _error(400, "Invalid field", str(unknown or set(request.args) - parameters))
        if becomes["state"] not in STATES or becomes.get("close_code", "") not in {"", *CLOSE_CODES}:
            return _error(403, "Operation Failed", "Invalid choice")
        if becomes["state"] in ("6", "7") and not (becomes.get("close_code") and becomes.get("close_notes")):
            detail = "Data Policy Exception: The following fields are mandatory: Resolution code, Resolution notes"
            return _error(403, "Operation Failed", detail)
        if any(becomes.get(name) and not _SYS_ID.fullmatch(becomes[name]) for name in REFERENCES):
            return _error(403, "Operation Failed", "Invalid reference")
        return None

    def _row(self, sys_id: str) -> Response:
        row = {"sys_id": sys_id, **self.incidents[sys_id]}
        if request.args.get("sysparm_display_value") == "true":
            notes = [one for one in self.journal if one["element_id"] == sys_id]
            row["work_notes"] = "".join(
                f"{one['sys_created_on']} - Art58 (Work notes)\n{one['value']}\n\n" for one in reversed(notes)
            )
        if request.args.get("sysparm_exclude_reference_link") != "true":
            row |= {name: {"link": f"{self.url}/x", "value": row[name]} for name in REFERENCES if row[name]}  # type: ignore[misc]
        names = request.args.get("sysparm_fields", ",".join(row)).split(",")
        if unknown := set(names) - set(row):
            return _error(400, "Invalid field", str(unknown))[0]
        return jsonify(result={name: row[name] for name in names if name not in self.blind_columns})

    def _import(self) -> Answer:
        """A transform map that maps u_NAME to NAME and coalesces on correlation_id."""
        wanted = {name.removeprefix("u_"): value for name, value in request.get_json().items()}
        if request.args or any(not name.startswith("u_") for name in request.get_json()) or set(wanted) - set(COLUMNS):
            return _error(400, "Invalid field", str(sorted(request.get_json())))
        outcome: dict[str, str]
        if self.import_error:
            outcome = {"transform_map": "Art58", "table": "incident", "status": "error", "error_message": self.import_error}
        else:
            there = next((id_ for id_, row in self.incidents.items() if row["correlation_id"] == wanted["correlation_id"]), None)
            if there:
                self._take(there, wanted)
            sys_id = there or self._insert(wanted)
            outcome = {
                "transform_map": "Art58",
                "table": "incident",
                "display_name": "number",
                "display_value": self.incidents[sys_id]["number"],
                "record_link": f"{self.url}/api/now/table/incident/{sys_id}",
                "status": "updated" if there else "inserted",
                "sys_id": sys_id,
            }
        return jsonify(import_set="ISET0010001", staging_table=request.path.rpartition("/")[2], result=[outcome]), 201


def _holds(there: str, operator: str, value: str) -> bool:
    # as most databases behind it compare, without regard to case
    return there.casefold() == value.casefold() if operator == "=" else value.casefold() in there.casefold()


def _no_record() -> Answer:
    return _error(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")


def _error(status: int, message: str, detail: str) -> tuple[Response, int]:
    return jsonify(error={"message": message, "detail": detail}, status="failure"), status
