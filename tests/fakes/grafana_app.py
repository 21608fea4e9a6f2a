"""The app-platform annotation API of the stand-in for Grafana, over either of the stores that Grafana has for it.

After grafana/grafana pkg/registry/apps/annotation: k8s_adapter_test.go (064de252) for what is refused and with which status,
sql_adapter.go (0f33c576) and postgres_partitioned.go (002c2202) for what each store keeps. `legacy-sql` (the default of Grafana) is
on the same annotations as the legacy API: it names them `a-<id>`, forgets when they were made, and finds by name only among the
newest 1,000. `postgres` keeps the name, and what was deleted is 410 Gone.
"""

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml
from flask import Flask, Response, jsonify, request
from openapi_core import Config, OpenAPI
from openapi_core.contrib.flask import FlaskOpenAPIRequest
from openapi_core.exceptions import OpenAPIError

SLICE = Path(__file__).parents[1] / "data" / "grafana-app-slice.yaml"
ROOT = "/apis/annotation.grafana.app/v0alpha1"
MERGE_PATCH = "application/merge-patch+json"
WEEK = 7 * 86400 * 1000

_SEARCH = {one["name"] for one in yaml.safe_load(SLICE.read_text())["paths"]["/namespaces/{namespace}/search"]["get"]["parameters"]}
StoreKind = Literal["legacy-sql", "postgres"]
Resource = dict[str, Any]
Answer = Response | tuple[Response, int]


class Store(Protocol):
    """`get` raises KeyError where there is none and Gone where there was one."""

    def all(self) -> list[Resource]: ...
    def get(self, name: str) -> Resource: ...
    def add(self, prefix: str, spec: dict[str, Any]) -> Resource: ...
    def change(self, name: str, spec: dict[str, Any]) -> Resource: ...
    def delete(self, name: str) -> None: ...


class Gone(Exception):
    """It was deleted."""


class LegacySql:
    """The annotations of the legacy API. `add_legacy` makes one there; by name only the newest `sees` are found."""

    def __init__(self, rows: dict[int, dict[str, Any]], add_legacy: Callable[[dict[str, Any]], int], sees: int = 1000) -> None:
        self._rows = rows
        self._add_legacy = add_legacy
        self.sees = sees

    def all(self) -> list[Resource]:
        return [self._resource(row) for row in self._rows.values()]

    def get(self, name: str) -> Resource:
        newest = sorted(self._rows.values(), key=lambda row: (row["timeEnd"], row["time"]), reverse=True)[: self.sees]
        return {self._resource(row)["metadata"]["name"]: self._resource(row) for row in newest}[name]

    def add(self, prefix: str, spec: dict[str, Any]) -> Resource:
        return self._resource(self._rows[self._add_legacy({**spec, "panelId": spec.get("panelID", 0)})])

    def change(self, name: str, spec: dict[str, Any]) -> Resource:
        row = self._rows[int(name.removeprefix("a-"))]
        row |= {field: spec[field] for field in ("text", "tags") if field in spec}
        return self._resource(row)

    def delete(self, name: str) -> None:
        del self._rows[int(name.removeprefix("a-"))]

    @staticmethod
    def _resource(row: dict[str, Any]) -> Resource:
        spec = {"text": row["text"], "time": row["time"], "timeEnd": row["timeEnd"], "tags": row["tags"]}
        where = {"dashboardUID": row["dashboardUID"], "panelID": row["panelId"]}
        metadata = {"name": f"a-{row['id']}", "creationTimestamp": None}
        return {"metadata": metadata, "spec": spec | {name: value for name, value in where.items() if value}}


class Postgres:
    """A table of its own, from which nothing is deleted but marked."""

    def __init__(self) -> None:
        self.rows: dict[str, Resource] = {}
        self._ids = itertools.count(1)

    def all(self) -> list[Resource]:
        return [row for row in self.rows.values() if not row["metadata"].get("deletionTimestamp")]

    def get(self, name: str) -> Resource:
        row = self.rows[name]
        if row["metadata"].get("deletionTimestamp"):
            raise Gone
        return row

    def add(self, prefix: str, spec: dict[str, Any]) -> Resource:
        number = next(self._ids)
        made_at = datetime.fromtimestamp(1_795_000_000 + number, UTC).isoformat().replace("+00:00", "Z")
        name = f"{prefix}{(number * 7919) % 10007:05d}x"  # in no order, as short ids are
        self.rows[name] = {"metadata": {"name": name, "creationTimestamp": made_at}, "spec": dict(spec)}
        return self.rows[name]

    def change(self, name: str, spec: dict[str, Any]) -> Resource:
        self.rows[name]["spec"] |= {field: spec[field] for field in ("text", "tags") if field in spec}
        return self.rows[name]

    def delete(self, name: str) -> None:
        self.rows[name]["metadata"]["deletionTimestamp"] = "2026-11-21T04:00:00Z"


class AppApi:
    """The routes of the API on `app`. `retention` in milliseconds refuses what is older, `now` is what it takes for now."""

    def __init__(
        self, app: Flask, store: Store, namespace: str, now: int, note: Callable[[], None], retention: int | None = None
    ) -> None:
        self.store = store
        self.retention = retention
        self.namespace = namespace
        self._now = now
        self._note = note
        self._spec = OpenAPI.from_file_path(str(SLICE), config=Config(extra_media_type_deserializers={MERGE_PATCH: json.loads}))
        app.before_request(self._check)
        in_namespace = f"{ROOT}/namespaces/<namespace>"
        for rule, method, view in (
            (f"{ROOT}/", "GET", self._resources),
            (f"{in_namespace}/search", "GET", self._search),
            (f"{in_namespace}/annotations", "POST", self._create),
            (f"{in_namespace}/annotations/<name>", "GET", self._get),
            (f"{in_namespace}/annotations/<name>", "PATCH", self._patch),
            (f"{in_namespace}/annotations/<name>", "DELETE", self._delete),
        ):
            app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])

    def _check(self) -> Answer | None:
        if not request.path.startswith(f"{ROOT}/"):
            return None
        if request.method == "PATCH" and request.mimetype != MERGE_PATCH:
            return status(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {request.mimetype}")
        try:
            self._spec.validate_request(FlaskOpenAPIRequest(request))
        except OpenAPIError as error:
            cause = error.__cause__ or error
            return status(400, "BadRequest", str(getattr(cause, "schema_errors", None) or cause)[:300])
        if unknown := set(request.args) - (_SEARCH if request.path.endswith("/search") else set()):
            return status(400, "BadRequest", f"unknown query parameters {sorted(unknown)}")
        if (request.view_args or {}).get("namespace", self.namespace) != self.namespace:
            return status(403, "Forbidden", "invalid namespace")
        self._note()
        return None

    def _resources(self) -> Answer:
        resource = {"name": "annotations", "singularName": "annotation", "namespaced": True, "kind": "Annotation", "verbs": []}
        return jsonify(
            kind="APIResourceList", apiVersion="v1", groupVersion="annotation.grafana.app/v0alpha1", resources=[resource]
        )

    def _search(self, namespace: str) -> Answer:
        wanted, limit = request.args.getlist("tag"), int(request.args.get("limit", 100))
        start = int(request.args.get("continue", "at-0").removeprefix("at-"))
        found = [one for one in self.store.all() if all(tag in (one["spec"].get("tags") or []) for tag in wanted)]
        newest_first = sorted(found, key=lambda one: (-one["spec"]["time"], one["metadata"]["name"]))
        more = {"continue": f"at-{start + limit}"} if len(newest_first) > start + limit else {}
        return jsonify(items=newest_first[start : start + limit], metadata=more)

    def _create(self, namespace: str) -> Answer:
        wanted = request.get_json()
        prefix = wanted["metadata"].get("name") or wanted["metadata"].get("generateName")
        if not prefix:
            return status(400, "BadRequest", "metadata.name or metadata.generateName is required")
        spec = wanted["spec"]
        if why := self._wrong_times(spec["time"], spec.get("timeEnd")):
            return status(400, "BadRequest", why)
        made = self.store.add(prefix, spec)
        return jsonify(apiVersion=wanted["apiVersion"], kind="Annotation", **made), 201

    def _wrong_times(self, time: int, end: int | None) -> str | None:
        if time <= 0:
            return "time is required"
        if time > self._now + WEEK:
            return "time cannot be more than 1 week in the future"
        if self.retention is not None and time < self._now - self.retention:
            return "time cannot be older than retention TTL"
        if end is not None and end <= time:
            return "timeEnd must be after time"
        if end is not None and end > self._now + WEEK:
            return "timeEnd cannot be more than 1 week in the future"
        return None

    def _get(self, namespace: str, name: str) -> Answer:
        try:
            return jsonify(apiVersion="annotation.grafana.app/v0alpha1", kind="Annotation", **self.store.get(name))
        except (KeyError, Gone) as error:
            return _not_there(error, name)

    def _patch(self, namespace: str, name: str) -> Answer:
        try:
            there = self.store.get(name)["spec"]
        except (KeyError, Gone) as error:
            return _not_there(error, name)
        spec = request.get_json().get("spec", {})
        if any(field in spec and spec[field] != there.get(field) for field in ("time", "timeEnd", "dashboardUID", "panelID")):
            return status(400, "BadRequest", "time, timeEnd, dashboardUID and panelID are immutable")
        return jsonify(self.store.change(name, spec))

    def _delete(self, namespace: str, name: str) -> Answer:
        try:
            self.store.get(name)
            self.store.delete(name)
        except Gone:
            pass  # a second time is no error
        except KeyError as error:
            return _not_there(error, name)
        return jsonify(kind="Status", apiVersion="v1", metadata={}, status="Success")


def _not_there(error: Exception, name: str) -> Answer:
    if isinstance(error, Gone):
        return status(410, "Gone", f'annotations.annotation.grafana.app "{name}" is gone')
    return status(404, "NotFound", f'annotations.annotation.grafana.app "{name}" not found')


def status(code: int, reason: str, message: str) -> Answer:
    """An error as a Kubernetes API says it."""
    return jsonify(kind="Status", apiVersion="v1", metadata={}, status="Failure", message=message, reason=reason, code=code), code
