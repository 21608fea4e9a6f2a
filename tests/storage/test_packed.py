"""Large bodies are kept compressed, and come back byte for byte: whoever sent them, and whichever version kept them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select

from receiver.storage import notifications, replay
from receiver.storage.notifications import table
from receiver.storage.packed import MARK, SMALL, packed, unpacked
from tests import stores

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
LARGE = b'{"alerts": [' + b", ".join([b'{"status": "firing", "labels": {"equipment": "mme-1"}}'] * 500) + b"]}"


@given(st.binary(max_size=3 * SMALL) | st.binary(max_size=9).map(lambda rest: MARK + rest))
@example(LARGE)
@example(bytes(SMALL))
@example(MARK)
@example(packed(LARGE))
def test_every_body_comes_back_byte_for_byte(body: bytes) -> None:
    assert unpacked(packed(body)) == body


def test_a_small_body_is_kept_as_it_came_and_of_a_large_one_little_is_left() -> None:
    small = b'{"alerts": []}'
    assert packed(small) is small
    assert len(packed(LARGE)) * 20 < len(LARGE)


def test_what_an_earlier_version_kept_is_read_as_it_is() -> None:
    assert unpacked(LARGE) == LARGE
    for garbage in (MARK + b"garbage that was refused", packed(LARGE)[:-1], packed(LARGE) + b"more"):
        assert unpacked(garbage) == garbage


@pytest.mark.usefixtures("each_store")
def test_what_an_earlier_version_refused_is_counted_on(tmp_path: Path) -> None:
    database = stores.opened(tmp_path)
    with database.inbox.write() as connection:
        earlier = {"source": "grafana", "received_at": NOW, "body": LARGE, "refused": "no JSON", "times": 7, "learnt": "webhook"}
        connection.execute(table.insert(), earlier)
        notifications.refuse(connection, "grafana", NOW, LARGE, "no JSON")
    with database.inbox.read() as connection:
        assert [one.times for one in notifications.refused(connection, 5)] == [8]
    database.close()


@pytest.mark.usefixtures("each_store")
def test_whoever_reads_the_store_reads_what_was_sent(tmp_path: Path) -> None:
    database = stores.opened(tmp_path)
    with database.inbox.write() as connection:
        notifications.add(connection, "grafana", NOW, LARGE)
        for _ in range(2):
            notifications.refuse(connection, "alertmanager", NOW, LARGE + b"}", "no JSON")
    with database.inbox.read() as connection:
        assert [one.body for one in notifications.waiting(connection, 5)] == [LARGE]
        assert [one.body for one in replay.accepted(connection, NOW, NOW)] == [LARGE]
        assert [(one.body, one.times) for one in notifications.refused(connection, 5)] == [(LARGE + b"}", 2)]
        kept = connection.execute(select(table.c.body)).scalars().all()
    assert all(body.startswith(MARK) for body in kept)
    database.close()
