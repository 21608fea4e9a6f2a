"""GET /api/v1/refused: what can never be right is shown to whoever can mend its sender."""

from pathlib import Path
from typing import Any

import pytest

from tests.apps import BEARER, App

pytestmark = pytest.mark.usefixtures("each_store")

PATH = "/api/v1/refused"


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def listed(app: App) -> list[dict[str, Any]]:
    response = app.client.get(PATH, headers=BEARER)
    assert (response.status_code, response.content_type) == (200, "application/json")
    document = response.get_json()
    assert list(document) == ["refused"]
    found: list[dict[str, Any]] = document["refused"]
    return found


def test_a_refused_body_is_told_in_exactly_the_form_of_the_contract(app: App) -> None:
    for _ in range(2):
        answer = app.client.put("/webhook/grafana", data=b'{"version": "1"}', headers=BEARER)
    assert listed(app) == [
        {
            "source": "grafana",
            "reason": answer.get_json()["error"],
            "received_at": "2026-11-21T04:05:00Z",
            "times": 2,
            "body_head": '{"version": "1"}',
        }
    ]


def test_what_was_taken_in_is_not_among_them(app: App) -> None:
    app.client.post("/webhook/alertmanager", data=b'{"version": "4", "alerts": []}', headers=BEARER)
    assert listed(app) == []


@pytest.mark.parametrize(
    ("body", "head"),
    [(b"x" * 501, "x" * 500), ("😀".encode() * 501, "😀" * 500), (b"\xff\x00", "\ufffd\0")],
    ids=["long", "four bytes a character", "no text"],
)
def test_the_head_is_500_characters_whatever_the_body_is(app: App, body: bytes, head: str) -> None:
    app.client.post("/webhook/alertmanager", data=body, headers=BEARER)
    assert [it["body_head"] for it in listed(app)] == [head]


def test_the_latest_fifty_are_told(app: App) -> None:
    for number in range(51):
        app.client.post("/webhook/alertmanager", data=b"%d" % number, headers=BEARER)
    assert [it["body_head"] for it in listed(app)] == [str(number) for number in range(50, 0, -1)]


def test_strangers_are_told_nothing(app: App) -> None:
    app.client.post("/webhook/alertmanager", data=b"mme-1", headers=BEARER)
    answer = app.client.get(PATH)
    assert answer.status_code == 401
    assert "mme-1" not in answer.text
