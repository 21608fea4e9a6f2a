"""What a tick must not cost: reading again what was not written since, and a garbage collector that looks through all of it."""

import gc
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event

from receiver.catalogue import Catalogue
from receiver.incidents import tick
from receiver.incidents.cases import Cases
from receiver.model import Alert
from receiver.storage import incidents as store
from receiver.storage.database import StoreUnavailable
from receiver.storage.in_memory import InMemory
from tests.apps import incident
from tests.receiver import SERVICES

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HOLD = timedelta(minutes=30)


def test_a_replay_asks_its_store_nothing_twice_while_nothing_is_written() -> None:
    database = InMemory()
    database.migrate()
    labels = {"alertname": "Down", "service": "voice", "equipment": "mme-1"}
    with database.write() as connection:
        store.save(connection, incident())
        for source, cause in (("grafana", "equipment:equipment=mme-1"), ("alertmanager", "equipment:equipment=mme-2")):
            told = Alert(source, "f1", T0, None, labels, {}, "", T0, None, incident().id, cause=cause)  # type: ignore[arg-type]
            store.save_alerts(connection, [told])
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *of: asked.append(of[2]))
    first = Cases(Catalogue(SERVICES), HOLD).load(database)
    assert len(asked) > 5
    assert [len(case.alerts) for case in first] == [2]
    asked.clear()
    again = Cases(Catalogue(SERVICES), HOLD).load(database)
    assert asked == []
    assert [case.alerts for case in again] == [case.alerts for case in first]


@pytest.mark.parametrize("was_enabled", [True, False])
def test_the_garbage_collector_rests_during_a_tick_and_is_then_as_it_was_even_after_a_failure(was_enabled: bool) -> None:
    seen: list[bool] = []

    class Gone:
        def read(self) -> None:
            seen.append(gc.isenabled())
            raise StoreUnavailable("gone")

    anything: Any = SimpleNamespace(
        prometheus=SimpleNamespace(begin=lambda: None), catalogue=Catalogue(SERVICES), hold_seconds=1800
    )
    database: Any = Gone()
    (gc.enable if was_enabled else gc.disable)()
    try:
        with pytest.raises(StoreUnavailable):
            tick.tick(database, anything, anything, (), T0)
        assert seen == [False]
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
