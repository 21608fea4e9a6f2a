"""Tickets by webhook: each change as one signed JSON message (Standard Webhooks) to a system of the operator.

Nothing can be looked up behind a webhook. A message whose outcome is unknown is sent again with the same `webhook-id`, by which its
receiver knows it. There is one `opened` per incident (`data.id`), whatever its text.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec
from standardwebhooks import Webhook

from receiver.delivery.targets import Change, Check, Draft, Refused, Seen, Unreachable, checking
from receiver.delivery.targets.http import call, decode
from receiver.delivery.targets.plain_text import lines, one_line
from receiver.law.provisions import Text
from receiver.model import Assessment, Clock, Statement

_MOST_BODY_BYTES = 20_000  # Standard Webhooks recommends less than 20 KB
_MOST_LINE = 200
_MOST_TAGS = 20
_MOST_URL = 1000
_SIZES = ((2000, 30), (500, 20), (200, 10), (60, 5))  # (characters of a text, impacts): the first that fits; the last always does
_LEAST_SECRET_BYTES = 24
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REMOTE_ID = re.compile(r"[A-Za-z0-9#][A-Za-z0-9#._:/-]{0,99}")

Action = Literal["opened", "updated", "resolved"]


class _Answer(msgspec.Struct, frozen=True):
    id: str | int | None = None


class TicketWebhook:
    """One address that takes messages signed with `secret` (`whsec_` and base64). `clock` dates the signature."""

    reads, comments, settles = False, False, timedelta()

    def __init__(self, name: str, url: str, secret: str, timeout_seconds: float, clock: Clock) -> None:
        self.name = name
        self._url = url
        self._secret = secret
        self._signer = _signer(name, secret)
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    def __repr__(self) -> str:
        return f"TicketWebhook({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, Any]:
        return {}

    def find(self, key: str) -> list[str]:
        """Always none: the receiver of the webhook tells doubles apart by `webhook-id`."""
        return []

    def create(self, draft: Draft) -> str:
        """The `id` of the answer if it has one that is short plain text, else the incident's key."""
        answer = self._send("opened", draft, None)
        try:
            remote_id = decode(self.name, answer, _Answer).id
        except Unreachable:
            return draft.key  # taken with 2xx: what else the answer says is its own affair
        return str(remote_id) if _REMOTE_ID.fullmatch(str(remote_id or "")) else draft.key

    def read(self, remote_id: str) -> Seen | None:
        raise NotImplementedError  # reads is False

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        self._send("resolved" if draft.statement.resolved else "updated", draft, remote_id)
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        raise NotImplementedError  # comments is False

    def has_comment(self, remote_id: str, mark: str) -> bool:
        raise NotImplementedError

    def checks(self, today: date) -> Iterator[Check]:
        """Nothing is sent: whether the other side takes the signature shows only when something is."""
        yield checking.reachable(self._url, self._timeout_seconds)

    def _send(self, action: Action, draft: Draft, remote_id: str | None) -> bytes:
        key, statement = draft.key, draft.statement
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be a part of a webhook-id")
        # an incident is opened once: a retry with newer text is still the same message, and an update follows it
        message_id = f"{key}-opened" if action == "opened" else f"{key}-{action}-{statement.number}"
        body = _body(action, statement, remote_id)
        # the library takes the wall clock time of any zone for UTC
        now = self._clock().astimezone(UTC)
        return call(
            self.name,
            "POST",
            self._url,
            timeout_seconds=self._timeout_seconds,
            secret=self._secret,
            headers={
                "Content-Type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": self._signer.sign(message_id, now, body.decode()),
            },
            body=body,
        )


def _signer(name: str, secret: str) -> Webhook:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or len(key) < _LEAST_SECRET_BYTES:
        raise ValueError(
            f"{name}: the secret is not whsec_ and the base64 of {_LEAST_SECRET_BYTES} bytes or more. "
            'Make one with: echo "whsec_$(openssl rand -base64 32)"'
        )
    return Webhook(secret)


def _body(action: Action, statement: Statement, remote_id: str | None) -> bytes:
    """The same bytes for the same statement, with as much of its texts as has room."""
    body = b""
    for most_characters, most_impacts in _SIZES:
        body = msgspec.json.encode(
            {
                "type": f"art58.incident.{action}",
                "timestamp": _occurred_at(statement),
                "data": _data(statement, remote_id, most_characters, most_impacts),
            }
        )
        if len(body) < _MOST_BODY_BYTES:
            break
    return body


def _occurred_at(statement: Statement) -> datetime:
    """When what is said came to be; Standard Webhooks wants this here, the time of sending in the header."""
    return max((one.assessed_at for one in statement.assessments), default=statement.started_at)


def _data(statement: Statement, remote_id: str | None, most_characters: int, most_impacts: int) -> dict[str, Any]:
    return {
        "id": statement.key,
        "number": statement.number,
        "ticket": one_line(remote_id, _MOST_LINE) if remote_id else None,
        "title": _text(statement.title, min(_MOST_LINE, most_characters)),
        "text": _text(statement.text, most_characters),
        "verdict": statement.verdict,
        "unmeasured": statement.unmeasured,
        "resolved": statement.resolved,
        "failure_started_at": statement.started_at,
        "restored_at": statement.restored_at,
        "tags": [one_line(tag, 100) for tag in statement.tags[:_MOST_TAGS]],
        "url": one_line(statement.url, _MOST_URL),
        "impacts": [_impact(one, most_characters) for one in statement.assessments[:most_impacts]],
        "impacts_left_out": max(0, len(statement.assessments) - most_impacts),
    }


def _impact(one: Assessment, most_characters: int) -> dict[str, Any]:
    return {
        "service": one_line(one.service, 100),
        "verdict": one.verdict,
        "at_least": one.at_least,
        "at_most": one.at_most,
        "rulebook": one.rulebook,
        "row": one.row,
        "condition": one.condition,
        "margin_seconds": one.margin_seconds,
        "margin_users": one.margin_users,
        "affected_users": one.affected_users,
        "affected_users_at_least": one.affected.at_least,
        "affected_users_at_most": one.affected.at_most,
        "unit": one_line(one.unit, 100) if one.unit else None,
        "effect": one.effect,
        "method": one.method,
        "measured": one.measured,
        "problem": one_line(one.affected.problem, min(_MOST_LINE, most_characters)) if one.affected.problem else None,
        "candidate": one.candidate,
        "assessed_at": one.assessed_at,
        "failure_started_at": one.failure_started_at,
        "restored_at": one.restored_at,
        "duration_seconds": int(one.duration.total_seconds()),
        "major_since": one.major_since,
        "major_expected_at": one.major_expected_at,
        "users_per_hour": one.users_per_hour,
        "major_on_trend_at": one.major_on_trend_at,
        "major_earliest_at": one.major_earliest_at,
        "major_latest_at": one.major_latest_at,
        "reason": _text(one.reason, min(4000, most_characters)),
    }


def _text(text: Text, most_characters: int) -> dict[str, str]:
    return {"ja": lines(text.ja, most_characters), "en": lines(text.en, most_characters)}
