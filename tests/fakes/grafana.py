"""A stateful stand-in for Grafana's annotation APIs; every request is checked against tests/data/grafana-slice.yaml, or
tests/data/grafana-app-slice.yaml for the newer one (grafana_app.py), which it has if `app` names a store.

`python -m tests.fakes.grafana --port 3000 --token-file FILE`, or `with FakeGrafana("token") as grafana: grafana.url`.
Faults: `POST /_fault {"kind": "status", "status": 503, "times": 2}` or `grafana.fail("status", status=503)`; kinds in faults.py.
It has Grafana's oddities: an unknown dashboard is silently none, tags lose a second colon, PATCH ignores what is empty or zero,
DELETE of id 0 deletes every annotation that has no dashboard.
"""

import itertools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from flask import Flask, Response, jsonify, request
from openapi_core import OpenAPI
from openapi_core.contrib.flask import FlaskOpenAPIRequest
from openapi_core.exceptions import OpenAPIError

from tests.fakes.faults import FakeServer, arguments
from tests.fakes.grafana_app import AppApi, LegacySql, Postgres, Store, StoreKind

SLICE = Path(__file__).parents[1] / "data" / "grafana-slice.yaml"
MOST_TAGS_CHARACTERS = 500
NOW = 1_795_000_000_000
"""What it takes for now in milliseconds, where a request names no time."""

PERMISSIONS = "/api/access-control/user/permissions"
"""It is in Grafana's documentation of service accounts, but not in its OpenAPI description."""

_MAY = (("canAdd", "create"), ("canEdit", "write"), ("canDelete", "delete"))
_QUERY = {one["name"] for one in yaml.safe_load(SLICE.read_text())["paths"]["/annotations"]["get"]["parameters"]}
Answer = Response | tuple[Response, int]


class FakeGrafana(FakeServer):
    """`annotations` is what it holds by id, `requests` what it was asked and let pass (method, path, JSON). `shown` is what persons
    see, by whichever API it was made. `may` is what it says of the token's permissions by action, `panels` what each dashboard has.
    """

    def __init__(
        self,
        token: str,
        port: int = 0,
        dashboards: tuple[str, ...] = (),
        tags_ignore_case: bool = False,
        app: StoreKind | None = None,
        org_id: int = 1,
    ) -> None:
        self.annotations: dict[int, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.dashboards = set(dashboards)
        self.panels: list[dict[str, Any]] = []
        self.may = {f"annotations:{action}": ["annotations:*"] for action in ("read", "create", "write", "delete")}
        self._token = token
        self._tags_ignore_case = tags_ignore_case  # as on MySQL
        self._ids = itertools.count(1)
        self._org_id = org_id
        self._spec = OpenAPI.from_file_path(str(SLICE))
        flask = Flask(__name__)
        super().__init__(flask, port)
        flask.before_request(self._let_in)
        self.app: AppApi | None = None
        if app:
            self.postgres = Postgres()
            store: Store = self.postgres if app == "postgres" else LegacySql(self.annotations, self._keep)
            self.app = AppApi(flask, store, "default" if org_id == 1 else f"org-{org_id}", NOW, self._note)
        flask.before_request(self._check)
        for rule, method, view in (
            ("/api/health", "GET", self._health),
            (PERMISSIONS, "GET", lambda: jsonify(self.may)),
            ("/api/dashboards/db", "POST", self._save_dashboard),
            ("/api/dashboards/uid/<uid>", "GET", self._get_dashboard),
            ("/api/annotations", "GET", self._find),
            ("/api/annotations", "POST", self._add),
            ("/api/annotations/<id>", "GET", self._get),
            ("/api/annotations/<id>", "PATCH", self._patch),
            ("/api/annotations/<id>", "DELETE", self._delete),
        ):
            flask.add_url_rule(rule, f"{method} {rule}", view, methods=[method])

    @property
    def shown(self) -> list[dict[str, Any]]:
        if self.app is None or isinstance(self.app.store, LegacySql):
            return list(self.annotations.values())
        return [{"timeEnd": one["spec"]["time"], **one["spec"]} for one in self.app.store.all()]

    def _let_in(self) -> Answer | None:
        if request.path in ("/_fault", "/api/health"):
            return None
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return _message("Unauthorized", 401)
        if int(request.headers.get("X-Grafana-Org-Id", self._org_id)) != self._org_id:
            return _message("Unauthorized", 401)
        return None

    def _note(self) -> None:
        self.requests.append((request.method, request.environ["REQUEST_URI"], request.get_json(silent=True)))

    def _check(self) -> Answer | None:
        if request.path == "/_fault" or not request.path.startswith("/api/"):
            return None
        if request.path == PERMISSIONS:
            self._note()
            return None
        try:
            self._spec.validate_request(FlaskOpenAPIRequest(request))
        except OpenAPIError as error:
            cause = error.__cause__ or error
            return _message(f"bad request data: {getattr(cause, 'schema_errors', None) or cause}"[:500], 400)
        if unknown := set(request.args) - (_QUERY if request.path == "/api/annotations" else set()):
            return _message(f"bad request data: unknown query parameters {sorted(unknown)}", 400)
        self._note()
        return None

    def _health(self) -> Answer:
        return jsonify(commit="0", database="ok", version="13.0.0")

    def _save_dashboard(self) -> Answer:
        dashboard = request.get_json()["dashboard"]
        uid = dashboard.get("uid") or f"d{len(self.dashboards) + 1}"
        self.dashboards.add(uid)
        title = dashboard.get("title", "")
        return jsonify(id=len(self.dashboards), uid=uid, url=f"/d/{uid}", status="success", title=title, version=1)

    def _get_dashboard(self, uid: str) -> Answer:
        if uid not in self.dashboards:
            return _message("Dashboard not found", 404)
        may = {name: f"annotations:{action}" in self.may for name, action in _MAY}
        meta = {"annotationsPermissions": {"dashboard": may, "organization": may}}
        return jsonify(dashboard={"uid": uid, "title": uid, "panels": self.panels}, meta=meta)

    def _find(self) -> Answer:
        dashboard = request.args.get("dashboardUID")
        if dashboard and dashboard not in self.dashboards:
            return _message("Dashboard not found", 400)
        found = [one for one in self.annotations.values() if self._matches(one, dashboard)]
        newest_end_first = sorted(found, key=lambda one: (one["timeEnd"], one["time"]), reverse=True)
        return jsonify(newest_end_first[: int(request.args.get("limit", 100))])

    def _matches(self, one: dict[str, Any], dashboard: str | None) -> bool:
        wanted, has = _stored(request.args.getlist("tags")), one["tags"]
        if self._tags_ignore_case:
            wanted, has = [tag.lower() for tag in wanted], [tag.lower() for tag in has]
        if wanted and not (any if request.args.get("matchAny") == "true" else all)(tag in has for tag in wanted):
            return False
        start, end = int(request.args.get("from", 0)), int(request.args.get("to", 0))
        if start and end and not (one["time"] <= end and one["timeEnd"] >= start):
            return False
        panel = int(request.args.get("panelId", one["panelId"]))
        return bool((not dashboard or one["dashboardUID"] == dashboard) and one["panelId"] == panel)

    def _add(self) -> Answer:
        wanted = request.get_json()
        tags = _stored(wanted.get("tags", []))
        if _too_long(tags):
            return _message("tags length exceeds the maximum allowed", 400)
        if not wanted["text"]:
            return _message("Failed to save annotation: text field should not be empty", 400)
        return jsonify(id=self._keep(wanted), message="Annotation added")

    def _keep(self, wanted: dict[str, Any]) -> int:
        start = wanted.get("time") or NOW
        start, end = sorted((start, wanted.get("timeEnd") or start))
        known = wanted.get("dashboardUID") in self.dashboards
        number = next(self._ids)
        self.annotations[number] = {
            "id": number,
            "text": wanted["text"],
            "tags": _stored(wanted.get("tags", [])),
            "time": start,
            "timeEnd": end,
            "dashboardUID": wanted["dashboardUID"] if known else None,
            "panelId": wanted.get("panelId", 0),
            "created": NOW,
            "updated": NOW,
            "login": "sa-art58",
        }
        return number

    # openapi-core reads Flask's own arguments, so the name is that of the slice
    def _get(self, id: str) -> Answer:  # noqa: A002
        one = self._one(id)
        return jsonify(one) if one else _message("Annotation not found", 404)

    def _patch(self, id: str) -> Answer:  # noqa: A002
        one, wanted = self._one(id), request.get_json()
        if one is None:
            return _message("Annotation not found", 404)
        tags = _stored(wanted.get("tags", one["tags"]))
        if _too_long(tags):
            return _message("tags length exceeds the maximum allowed", 400)
        one["tags"] = tags
        one["text"] = wanted.get("text") or one["text"]
        start, end = wanted.get("time") or one["time"], wanted.get("timeEnd") or one["timeEnd"]
        one["time"], one["timeEnd"] = sorted((start, end))
        return jsonify(message="Annotation patched")

    def _delete(self, id: str) -> Answer:  # noqa: A002
        if id == "0":
            self.annotations = {number: one for number, one in self.annotations.items() if one["dashboardUID"]}
        elif self._one(id) is None:
            return _message("Annotation not found", 404)
        else:
            del self.annotations[int(id)]
        return jsonify(message="Annotation deleted")

    def _one(self, id: str) -> dict[str, Any] | None:  # noqa: A002
        return self.annotations.get(int(id)) if id.isdecimal() else None


def _message(text: str, status: int) -> Answer:
    return jsonify(message=text), status


def _stored(tags: list[str]) -> list[str]:
    """The tags as Grafana keeps them: `key:value` trimmed, the rest after a second colon lost, no doubles."""
    pairs = [[part.strip(" ") for part in tag.split(":")[:2]] for tag in tags]
    return list(dict.fromkeys(":".join(part for part in pair if part) for pair in pairs if pair[0]))


def _too_long(tags: list[str]) -> bool:
    return len(json.dumps(tags, ensure_ascii=False, separators=(",", ":")).encode()) > MOST_TAGS_CHARACTERS


def main() -> None:
    given = arguments("A stand-in for Grafana's annotation API", "--token-file")
    grafana = FakeGrafana(Path(given.secret_file).read_text().strip(), given.port)
    with suppress(KeyboardInterrupt):
        grafana.serve()


if __name__ == "__main__":
    main()
