"""Tickets by webhook: one signed message for each change, the same message for each try."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from receiver.delivery.targets import Refused
from receiver.delivery.targets.webhook import TicketWebhook
from receiver.law.counting import Affected
from receiver.law.provisions import Text
from tests.fakes.faults import FaultKind
from tests.fakes.ticket_webhook import FakeTicketWebhook
from tests.samples import RESTORED_AT, assessment, draft, say, saying

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def desk() -> Iterator[FakeTicketWebhook]:
    with FakeTicketWebhook(SECRET) as fake:
        yield fake


@pytest.fixture
def target(desk: FakeTicketWebhook) -> TicketWebhook:
    return TicketWebhook("itsm", desk.hook_url, SECRET, 10, lambda: datetime.now(UTC))


def test_a_message_has_all_that_a_ticket_needs(desk: FakeTicketWebhook, target: TicketWebhook) -> None:
    unmeasured = assessment(
        service="mail",
        restored_at=RESTORED_AT,
        affected=Affected(bound=90_000, problem="Prometheus: time-out"),
        affected_users=90_000,
        method="all_under_equipment",
        measured=False,
        major_since=None,
        major_expected_at=None,
    )
    resolved = draft(number=5, restored_at=RESTORED_AT, resolved=True, assessments=(assessment(), unmeasured))
    say(target, "INC-7", resolved)

    reason = {"ja": assessment().reason.ja, "en": assessment().reason.en}
    assert "42,000" in reason["ja"]
    voice = {
        "service": "voice",
        "verdict": "major",
        "at_least": "major",
        "at_most": "major",
        "rulebook": "JP-TBA58-2026",
        "row": 1,
        "condition": {"duration_seconds": 3600, "users": 30000},
        "margin_seconds": 300,
        "margin_users": 12000,
        "affected_users": 42000,
        "affected_users_at_least": 42000,
        "affected_users_at_most": 42000,
        "unit": "line",
        "effect": "unknown",
        "method": "direct",
        "measured": True,
        "problem": None,
        "candidate": False,
        "assessed_at": "2026-11-21T04:05:00Z",
        "failure_started_at": "2026-11-21T03:00:00Z",
        "restored_at": None,
        "duration_seconds": 3900,
        "major_since": "2026-11-21T04:00:00Z",
        "major_expected_at": "2026-11-21T04:00:00Z",
        "users_per_hour": None,
        "major_on_trend_at": None,
        "major_earliest_at": None,
        "major_latest_at": None,
        "reason": reason,
    }
    assert desk.messages == {
        "inc-1-resolved-5": {
            "type": "art58.incident.resolved",
            "timestamp": "2026-11-21T04:05:00Z",
            "data": {
                "id": "inc-1",
                "number": 5,
                "ticket": "INC-7",
                "title": {
                    "ja": "重大な事故に該当する可能性（要判断）: 携帯電話（音声）",
                    "en": "May be a major accident: mobile voice",
                },
                "text": {
                    "ja": "影響利用者数: 42,000人（実測）\n継続時間: 65分\n- 設備: mme-1",
                    "en": "Users hit: 42,000 (measured)\nFor: 65 min",
                },
                "verdict": "major",
                "unmeasured": False,
                "resolved": True,
                "failure_started_at": "2026-11-21T03:00:00Z",
                "restored_at": "2026-11-21T04:30:00Z",
                "tags": ["art58", "a58:inc-1", "verdict:major", "service:voice"],
                "url": "http://127.0.0.1:9158/incidents/inc-1",
                "impacts": [
                    voice,
                    {
                        **voice,
                        "service": "mail",
                        "restored_at": "2026-11-21T04:30:00Z",
                        "affected_users": 90000,
                        "affected_users_at_least": 0,
                        "affected_users_at_most": 90000,
                        "unit": None,
                        "method": "all_under_equipment",
                        "measured": False,
                        "problem": "Prometheus: time-out",
                        "major_since": None,
                        "major_expected_at": None,
                    },
                ],
                "impacts_left_out": 0,
            },
        }
    }


def test_each_change_is_a_message_of_its_own(desk: FakeTicketWebhook, target: TicketWebhook) -> None:
    remote_id = target.create(draft(number=1))
    say(target, remote_id, draft(number=2))
    say(target, remote_id, draft(number=3))
    say(target, remote_id, draft(number=4, resolved=True))

    assert list(desk.messages) == ["inc-1-opened", "inc-1-updated-2", "inc-1-updated-3", "inc-1-resolved-4"]
    types = [message["type"].removeprefix("art58.incident.") for message in desk.messages.values()]
    assert types == ["opened", "updated", "updated", "resolved"]


def test_a_second_try_is_the_same_message_signed_anew(desk: FakeTicketWebhook) -> None:
    times = iter([datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC)])
    target = TicketWebhook("itsm", desk.hook_url, SECRET, 10, lambda: next(times))
    target.create(draft())
    target.create(draft())

    assert desk.arrivals == {"inc-1-opened": 2}
    assert desk.bodies[0] == desk.bodies[1]


def test_the_signature_is_dated_now_whatever_the_clocks_zone(desk: FakeTicketWebhook) -> None:
    jst = timezone(timedelta(hours=9))
    target = TicketWebhook("itsm", desk.hook_url, SECRET, 10, lambda: datetime.now(jst))

    assert target.create(draft()) == "inc-1"


@pytest.mark.parametrize("late", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_wrong_clock_is_refused(desk: FakeTicketWebhook, late: timedelta) -> None:
    target = TicketWebhook("itsm", desk.hook_url, SECRET, 10, lambda: datetime.now(UTC) - late)

    with pytest.raises(Refused, match="401"):
        target.create(draft())


def test_another_secret_is_refused(desk: FakeTicketWebhook) -> None:
    other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

    with pytest.raises(Refused, match="401"):
        TicketWebhook("itsm", desk.hook_url, other, 10, lambda: datetime.now(UTC)).create(draft())


def test_a_receiver_that_is_gone_is_refused_with_the_cure(desk: FakeTicketWebhook, target: TicketWebhook) -> None:
    desk.fail("status", status=410)

    with pytest.raises(Refused, match=r"410.*take the target out of the configuration"):
        say(target, "inc-1", draft())


def test_the_tickets_own_id_is_taken_from_the_answer() -> None:
    with FakeTicketWebhook(SECRET, gives_ids=True) as desk:
        target = TicketWebhook("itsm", desk.hook_url, SECRET, 10, lambda: datetime.now(UTC))

        assert target.create(draft()) == "INC-1"


@pytest.mark.parametrize(
    ("answer", "remote_id"),
    [
        ({"id": 4711}, "4711"),
        ({"id": "#12"}, "#12"),
        ({"id": None}, "inc-1"),
        ({"id": ""}, "inc-1"),
        ({"id": 0}, "inc-1"),
        ({"id": "a b"}, "inc-1"),
        ({"id": "<b>"}, "inc-1"),
        ({"id": "x" * 200}, "inc-1"),
        ({"id": {"a": 1}}, "inc-1"),
        ({"id": True}, "inc-1"),
        ([1], "inc-1"),
        ("taken", "inc-1"),
    ],
)
def test_an_id_that_is_no_short_plain_text_is_left(
    desk: FakeTicketWebhook, target: TicketWebhook, answer: Any, remote_id: str
) -> None:
    desk.answer = answer

    assert target.create(draft()) == remote_id


@pytest.mark.parametrize("kind", ["not_json", "huge"])
def test_what_else_a_2xx_says_does_not_matter(desk: FakeTicketWebhook, target: TicketWebhook, kind: FaultKind) -> None:
    desk.fail(kind)

    assert target.create(draft()) == "inc-1"


@pytest.mark.parametrize("character", ["a", "長", "𠮷", '"', "\\", "\n", "\t"])
@pytest.mark.parametrize("impacts", [1, 7, 100])
def test_a_message_stays_below_20_kb(desk: FakeTicketWebhook, target: TicketWebhook, character: str, impacts: int) -> None:
    text = Text(ja=character * 50_000, en=character * 50_000)
    one = assessment(service=text.ja, explanation=saying(text), affected=Affected(problem=text.ja))
    target.create(draft(title=text, text=text, assessments=(one,) * impacts, tags=(text.ja,) * 50))

    (message,) = desk.messages.values()
    assert len(message["data"]["impacts"]) + message["data"]["impacts_left_out"] == impacts
    assert len(message["data"]["impacts"]) >= min(impacts, 5)
    assert len(json.dumps(message, ensure_ascii=False)) < 20_000


@pytest.mark.parametrize(
    "secret",
    ["", "hunter2", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "no base64, " * 9, "whsec_鍵"],
)
def test_a_secret_that_is_none_is_told_at_once_without_being_quoted(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^itsm: the secret is not whsec_") as raised:
        TicketWebhook("itsm", "http://127.0.0.1:9/", secret, 10, lambda: datetime.now(UTC))

    assert secret in ("", "whsec_") or secret not in str(raised.value)


def test_the_stand_in_refuses_a_message_that_is_not_signed(desk: FakeTicketWebhook) -> None:
    now = str(int(datetime.now(UTC).timestamp()))
    headers = {"webhook-id": "x", "webhook-timestamp": now, "webhook-signature": "no comma"}

    assert requests.post(desk.hook_url, json={}, timeout=10).status_code == 401
    assert requests.post(desk.hook_url, json={}, headers=headers, timeout=10).status_code == 401
    assert requests.get(f"{desk.url}/messages", timeout=10).json() == []
