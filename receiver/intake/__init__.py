"""What comes in over HTTP: authenticate, decode, store the body on disk, answer. No network call, no query, no judgement.

200 is given when the body is on disk, 503 when it cannot be stored, 4xx only for what can never be right; never 429, after which
Alertmanager would not come again within the flush.
"""

from contextlib import suppress
from datetime import datetime
from functools import partial

import structlog
from flask import Blueprint, Response, jsonify, request
from prometheus_client import Counter
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import LimitedStream

from receiver import payloads
from receiver.intake.authentication import Gate
from receiver.intake.crowd import Crowd
from receiver.model import Clock, Source
from receiver.storage import notifications, tables
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.packed import packed
from receiver.storage.together import Together

REFUSED_KEPT = 64 * 1024
"""Bytes that are kept of a body that can never be right: enough to see what it is."""
SMALL, AT_ONCE = 256 * 1024, 8 * 1024 * 1024
"""Bytes of a body that is always read, and of larger ones that one process works on at once unless a single one is larger."""
TOO_LARGE = "larger than max_body_mib: raise it, or let the sender put fewer alerts in a body"

log = structlog.get_logger()

NOTIFICATIONS = Counter("art58_notifications_total", "Webhook bodies by what became of them", ["source", "outcome"])


def blueprint(database: Database, gate: Gate, clock: Clock) -> Blueprint:
    """The webhooks."""
    crowd = Crowd(SMALL, AT_ONCE)
    together = Together(partial(database.inbox.append, tables.notifications, notifications.Arrived._fields))

    def refuse(several: list[tuple[Source, datetime, bytes, str]]) -> None:
        with database.inbox.write(beside=True) as connection:
            for one in several:
                notifications.refuse(connection, *one)

    refused = Together(refuse)
    room = Blueprint("intake", __name__, url_prefix="/webhook")

    @room.post("/alertmanager")
    def alertmanager() -> Response:
        return take_in("alertmanager")

    @room.route("/grafana", methods=["POST", "PUT"])
    def grafana() -> Response:
        return take_in("grafana")

    def take_in(source: Source) -> Response:
        if not gate.admits(request.headers.get("Authorization")):
            return answer(source, "unauthorized", 401, "send a bearer token or basic credentials that this receiver knows")
        with crowd.let_in(_announced()) as fits:
            if fits:
                return keep(source)
        _discard_body()
        return answer(source, "busy", 503, "too much is being taken in just now: send it again")

    def keep(source: Source) -> Response:
        body, whole = _read_body()
        alerts, wrong = 0, None if whole else TOO_LARGE
        if whole:
            try:
                alerts = payloads.check(source, body)
            except payloads.Unacceptable as error:
                wrong = str(error)
        try:
            if wrong:
                refused.add((source, clock(), body[:REFUSED_KEPT], wrong))
            else:
                together.add(notifications.Arrived(source, clock(), packed(body)))
        except StoreUnavailable as error:
            log.error("not stored: the sender is told to come again", source=source, error=str(error))
            return answer(source, "unavailable", 503, "the notification could not be stored: send it again")
        if wrong:
            log.error("refused a body: its alerts are lost", source=source, error=wrong)
            return answer(source, "refused", 400, wrong) if whole else answer(source, "too_large", 413, wrong)
        NOTIFICATIONS.labels(source, "stored").inc()
        return jsonify(status="stored", alerts=alerts)

    def answer(source: Source, outcome: str, status: int, error: str) -> Response:
        NOTIFICATIONS.labels(source, outcome).inc()
        response = jsonify(error=error)
        response.status_code = status
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="art58-receiver"'
        if status == 503:
            response.headers["Retry-After"] = "1"
        return response

    return room


def _announced() -> int:
    """The size of the body as its sender says, in bytes, and as large as may be where it does not say."""
    most = request.max_content_length or 0
    return most if request.content_length is None else min(request.content_length, most)


def _discard_body() -> None:
    """Read all of it, a little at a time: who is still sending does not see the answer."""
    with suppress(RequestEntityTooLarge):
        while request.stream.read(64 * 1024):
            pass


def _read_body() -> tuple[bytes, bool]:
    """The body of the request, and whether that is all of it: of one that is too large it is the beginning."""
    beyond = request.environ["wsgi.input"]
    try:
        body = request.stream.read()
    except RequestEntityTooLarge:
        return LimitedStream(beyond, REFUSED_KEPT).read(), False
    # where no length was announced the stream ends at the limit without a word
    cut = request.content_length is None and len(body) == request.max_content_length and beyond.read(1)
    return body, not cut
