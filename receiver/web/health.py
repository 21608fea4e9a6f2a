"""`/-/healthy`: the process answers. `/-/ready`: the store can be written, so alerts can be taken in."""

from flask import Blueprint, Response, jsonify

from receiver.model import Clock
from receiver.storage import heartbeat
from receiver.storage.database import Database, StoreUnavailable


def blueprint(database: Database, clock: Clock) -> Blueprint:
    room = Blueprint("health", __name__, url_prefix="/-")

    @room.get("/healthy")
    def healthy() -> Response:
        return jsonify(status="ok")

    @room.get("/ready")
    def ready() -> tuple[Response, int]:
        try:
            with database.inbox.write(beside=True) as connection:
                heartbeat.beat(connection, "ready", clock())
        except StoreUnavailable as error:
            return jsonify(status="not ready", error=str(error)), 503
        return jsonify(status="ready"), 200

    return room
