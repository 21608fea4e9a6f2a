"""A stand-in for PagerDuty's Events API v2; every request is checked against tests/data/pagerduty-slice.yaml.

After developer.pagerduty.com/docs/events-api-v2 (PagerDuty/developer-docs 1da9f6a2, docs/events-API-v2). As there: an event under
the `dedup_key` of an open alert is applied to it, after it was resolved a trigger opens a new one and a resolve is dropped; the
answer is 202 before anything is done; a wrong event is 400 with `errors`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request
from openapi_core import OpenAPI
from openapi_core.contrib.flask import FlaskOpenAPIRequest
from openapi_core.exceptions import OpenAPIError

from tests.fakes.faults import FakeServer

SLICE = Path(__file__).parents[1] / "data" / "pagerduty-slice.yaml"
MOST_BODY_BYTES = 512 * 1024


@dataclass
class Alert:
    """`events` are all that were applied to it, the newest last."""

    dedup_key: str
    is_open: bool = True
    events: list[dict[str, Any]] = field(default_factory=list)


class FakePagerDuty(FakeServer):
    """`alerts` in the order in which they were opened; `dropped` are events that nothing was open for."""

    def __init__(self, routing_key: str) -> None:
        self.alerts: list[Alert] = []
        self.dropped: list[dict[str, Any]] = []
        self._routing_key = routing_key
        self._spec = OpenAPI.from_file_path(str(SLICE))
        app = Flask(__name__)
        super().__init__(app)
        app.add_url_rule("/v2/enqueue", view_func=self._enqueue, methods=["POST"])

    def of(self, key: str) -> list[Alert]:
        return [alert for alert in self.alerts if alert.dedup_key == key]

    def _enqueue(self) -> tuple[Response, int]:
        if len(request.get_data()) > MOST_BODY_BYTES:
            return _wrong("Event object is larger than 512 KB")
        try:
            self._spec.validate_request(FlaskOpenAPIRequest(request))
        except OpenAPIError as error:
            cause = error.__cause__ or error
            return _wrong(str(getattr(cause, "schema_errors", None) or cause)[:300])
        event = request.get_json()
        if event["event_action"] == "trigger" and "payload" not in event:
            return _wrong("'payload' is missing or blank")
        if event["event_action"] != "trigger" and "dedup_key" not in event:
            return _wrong("'dedup_key' is missing or blank")
        if event["routing_key"] == self._routing_key:  # of any other integration: taken, and none of ours
            self._apply(event)
        return jsonify(status="success", message="Event processed", dedup_key=event.get("dedup_key", "generated")), 202

    def _apply(self, event: dict[str, Any]) -> None:
        one = next((alert for alert in self.of(event["dedup_key"]) if alert.is_open), None)
        if one is None:
            if event["event_action"] != "trigger":
                self.dropped.append(event)
                return
            one = Alert(event["dedup_key"])
            self.alerts.append(one)
        one.events.append(event)
        one.is_open = event["event_action"] != "resolve"


def _wrong(why: str) -> tuple[Response, int]:
    return jsonify(status="invalid event", message="Event object is invalid", errors=[why]), 400
