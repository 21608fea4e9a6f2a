"""A stand-in for a ticket system that takes Standard Webhooks: it checks the signature (5 minutes) and tells doubles by webhook-id.

`python -m tests.fakes.ticket_webhook --port 3001 --secret-file FILE`, or `with FakeTicketWebhook(secret) as desk: desk.hook_url`.
Faults as in faults.py.
"""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request
from standardwebhooks import Webhook, WebhookVerificationError

from tests.fakes.faults import FakeServer, arguments

MOST_BODY_BYTES = 20_000


class FakeTicketWebhook(FakeServer):
    """`messages` has each message by its webhook-id, the first of doubles, in order of arrival; `arrivals` counts and
    `bodies` keeps all of them.

    With `gives_ids` it answers the first message on an incident with the id of a ticket of its own.
    """

    def __init__(self, secret: str, port: int = 0, gives_ids: bool = False) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.arrivals: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.answer: Any = None
        """Answered to every message instead, if not None."""
        self._tickets: dict[str, str] = {}
        self._gives_ids = gives_ids
        self._webhook = Webhook(secret)
        app = Flask(__name__)
        super().__init__(app, port)
        app.add_url_rule("/hook", view_func=self._take, methods=["POST"])
        app.add_url_rule("/messages", view_func=lambda: jsonify(list(self.messages.values())), methods=["GET"])

    @property
    def hook_url(self) -> str:
        return f"{self.url}/hook"

    def of(self, key: str) -> list[dict[str, Any]]:
        """The messages on one incident."""
        return [message for message in self.messages.values() if message["data"]["id"] == key]

    def _take(self) -> Response | tuple[Response, int]:
        body = request.get_data()
        if len(body) >= MOST_BODY_BYTES:
            return jsonify(message="too large"), 413
        try:
            message = self._webhook.verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):  # ValueError: a signature without a comma
            return jsonify(message="no valid signature"), 401
        message_id = request.headers["webhook-id"]
        self.arrivals[message_id] += 1
        self.bodies.append(body)
        self.messages.setdefault(message_id, message)
        if self.answer is not None:
            return jsonify(self.answer)
        key = message["data"]["id"]
        ticket = self._tickets.setdefault(key, f"INC-{len(self._tickets) + 1}")
        return jsonify(id=ticket) if self._gives_ids else jsonify(message="taken")


def main() -> None:
    given = arguments("A stand-in for a ticket system behind a webhook", "--secret-file")
    desk = FakeTicketWebhook(Path(given.secret_file).read_text().strip(), given.port)
    with suppress(KeyboardInterrupt):
        desk.serve()


if __name__ == "__main__":
    main()
