"""What a tick must not cost: reading again what was not written since, and a garbage collector that looks through all of it."""

import gc
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import event

from receiver.catalogue import Catalogue
from receiver.incidents import cases, correlate, tick
from receiver.incidents.cases import Case, Cases
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


def told(start: int, end: int | None, service: str, **changes: Any) -> Alert:
    """An alert that was told of at once, in minutes after T0."""
    labels = {"alertname": "Down", "service": service, "equipment": "mme-1"}
    since, until = T0 + timedelta(minutes=start), None if end is None else T0 + timedelta(minutes=end)
    heard = None if end is None else T0 + timedelta(minutes=50)
    alert = Alert("alertmanager", "", since, until, labels, {}, "", since, heard, incident().id, cause="equipment:equipment=mme-1")
    return msgspec.structs.replace(alert, **changes)


ALERTS = st.builds(told, st.sampled_from([0, 5]), st.sampled_from([None, 10, 40]), st.sampled_from(["voice", "data", "other"]))


@given(st.lists(st.tuples(st.integers(1, 6), ALERTS), min_size=1, max_size=25), st.integers(0, 3))
@example([(2, told(0, None, "voice")), (1, told(5, 10, "voice"))], 1)
@example([(1, told(0, 10, "voice")), (1, told(0, 40, "voice"))], 0)
def test_one_alert_that_stands_for_those_alike_tells_what_all_of_them_would(alike: list[tuple[int, Alert]], twins: int) -> None:
    several = [alert for number, alert in alike for _ in range(number)]
    fingerprints = [f"f{n}" for n in range(len(several) - twins)] + [f"f{n}" for n in range(twins)]
    named = zip(several, fingerprints, strict=False)
    its = {correlate.order_of(one): one for alert, name in named if (one := msgspec.structs.replace(alert, fingerprint=name))}
    database = InMemory()
    database.migrate()
    with database.write() as connection:
        store.save(connection, incident())
        store.save_alerts(connection, list(its.values()))
    ((found, few), (expected, all_)) = (_case(database), _case(database, lambda alerts: (alerts, {})))
    assert found == expected
    assert sum(few.numbers.get(correlate.order_of(alert), 1) for alert in few.alerts) == len(all_.alerts)
    assert len({(a.starts_at, a.ends_at, a.labels["service"]) for a in few.alerts}) <= len(few.alerts) <= 18 + 2 * twins


def _case(database: InMemory, one_of_alike: Any = cases._one_of_alike) -> tuple[list[Any], Case]:
    """What is found of the only incident, and it."""
    with mock.patch.object(cases, "_one_of_alike", one_of_alike):
        (case,) = Cases(Catalogue(SERVICES), HOLD).load(database)
    return [case.ended, case.held_at, *((hit.service, hit.units, hit.named, hit.ended) for hit in case.hits)], case


def test_what_is_alike_is_looked_at_once() -> None:
    database = InMemory()
    database.migrate()
    with database.write() as connection:
        store.save(connection, incident())
        store.save_alerts(connection, [told(0, None, "voice", fingerprint=f"f{n}") for n in range(50)])
        store.save_alerts(connection, [told(0, None, "data", fingerprint="other")])
    _, case = _case(database)
    assert [alert.fingerprint for alert in case.alerts] == ["f0", "other"]
    assert list(case.numbers.values()) == [50]


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
