"""Health is for machines without credentials: alive says that the process answers, ready that alerts can be taken in."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from receiver.storage import heartbeat
from tests.apps import App

pytestmark = pytest.mark.usefixtures("each_store")
# what becomes of PostgreSQL: tests/integration/test_postgres_faults.py
of_sqlite = pytest.mark.parametrize("each_store", ["sqlite"], indirect=True)


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def test_it_is_ready_when_the_store_could_be_written(app: App) -> None:
    response = app.client.get("/-/ready")
    assert (response.status_code, response.get_json()) == (200, {"status": "ready"})
    with app.database.inbox.read() as connection:
        assert heartbeat.last(connection, "ready") == app.clock.now


@of_sqlite
def test_it_is_not_ready_while_the_store_is_locked_and_ready_again_after(app: App) -> None:
    with closing(sqlite3.connect(app.inbox, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        response = app.client.get("/-/ready")
        assert response.status_code == 503
        assert response.get_json()["status"] == "not ready"
        assert "locked" in response.get_json()["error"]
    assert app.client.get("/-/ready").status_code == 200


@of_sqlite
def test_it_lives_whatever_becomes_of_the_store(app: App) -> None:
    app.inbox.unlink()
    assert app.client.get("/-/ready").status_code == 503
    response = app.client.get("/-/healthy")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})
