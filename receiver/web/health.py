"""`/-/healthy`: the process answers. `/-/ready`: the store can be written, so alerts can be taken in."""

from datetime import datetime

from flask import Blueprint, Response, jsonify

from receiver.model import Clock
from receiver.storage import heartbeat
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.together import Together


def blueprint(database: Database, clock: Clock) -> Blueprint:
    room = Blueprint("health", __name__, url_prefix="/-")

    def beat(moments: list[datetime]) -> None:
        with database.inbox.write(beside=True) as connection:
            heartbeat.beat(connection, "ready", moments[-1])

    # one at a time: while a commit hangs, probes must not take every thread and connection
    together = Together(beat)

    @room.get("/healthy")
    def healthy() -> Response:
        return jsonify(status="ok")

    @room.get("/ready")
    def ready() -> tuple[Response, int]:
        try:
            together.add(clock())
        except StoreUnavailable as error:
            return jsonify(status="not ready", error=str(error)), 503
        return jsonify(status="ready"), 200

    return room
