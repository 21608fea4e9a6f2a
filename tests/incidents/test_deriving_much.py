"""A storm is derived as a drizzle is: what is left out of large incidents, remembered or read in pieces changes no incident, and
news cost the same whatever the size of the incident.
"""

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.topology import Declared, DeclaredUnit
from receiver.incidents import concerned, derive
from receiver.incidents.derive import derive_waiting
from receiver.model import Alert, Deed, Timed, Withdrawn
from receiver.storage import acts, notifications, sightings, topology
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database
from tests import stores
from tests.samples import assessment

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HOLD = timedelta(minutes=30)
PARENTS = {"core": None, "edge-1": "core", "edge-2": "core", "cell-1": "edge-1", "cell-2": "edge-1", "cell-3": "edge-2"}
VOICE = Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',))
CATALOGUE = Catalogue((VOICE,), Declared(units=tuple(DeclaredUnit(name=name, parent=parent) for name, parent in PARENTS.items())))


def said(unit: str, part: int | str, start: float, end: float | None = None) -> dict[str, Any]:
    """Alert number `part` on a unit, in minutes after T0."""
    return {
        "status": "firing" if end is None else "resolved",
        "labels": {"alertname": "Down", "service": "voice", "equipment": unit, "part": str(part)},
        "startsAt": moment(start).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z" if end is None else moment(end).isoformat(),
        "fingerprint": f"{unit}-{part}",
    }


def moment(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def take_in(database: Database, alerts: Sequence[dict[str, Any]], at: datetime = T0, **more: Any) -> None:
    with database.inbox.write() as connection:
        notifications.add(connection, "alertmanager", at, msgspec.json.encode({"version": "4", "alerts": alerts, **more}))


def derived(database: Database, at: datetime = T0, catalogue: Catalogue = CATALOGUE) -> int:
    return derive_waiting(database, catalogue, HOLD, at)


@pytest.fixture
def database(tmp_path: Path, each_store: str) -> Iterator[Database]:
    with closing(stores.opened(tmp_path)) as database:
        yield database


def everything(database: Database) -> list[Any]:
    tables = {"alerts": "source, fingerprint, starts_at", "incidents": "id", "acts": "id"}
    with database.read() as connection:
        return [
            [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY {order}")]  # noqa: S608
            for name, order in tables.items()
        ]


# what is left out of large incidents


def stream(seed: int) -> list[tuple[float, dict[str, Any]]]:
    """When it comes and what: alerts on a small network that flap, some told late, some twice with another start, some of a group
    that begins and ends at once.
    """
    draw = random.Random(seed)  # noqa: S311
    found = []
    for unit in PARENTS:
        for part in range(draw.choice((1, 2, 6, 10))):
            start, group = draw.uniform(0, 200), [f"{part}", *(f"{part}-{n}" for n in range(draw.choice((0, 0, 1, 3))))]
            for _ in range(draw.choice((1, 1, 2, 3))):
                end = start + draw.choice((1, 5, 40, 90))
                late = draw.choice((0, 0, 1, 60))
                for twin in (0, *[0.25] * draw.choice((0, 0, 0, 1))):
                    found += [(start + late, said(unit, its, start + twin)) for its in group if draw.random() < 0.95]
                    if draw.random() < 0.9:
                        told = end + late + draw.choice((0, 0, 45))
                        found += [(told, said(unit, its, start + twin, end)) for its in group if draw.random() < 0.95]
                start = end + draw.choice((2, 20, 100))
    return sorted(found, key=lambda each: each[0])


def played(database: Database, seed: int) -> list[Any]:
    """All that the store has after the stream. Meanwhile some incidents were assessed, and of few a person stated the end."""
    # nobody pulls the plug here: what is not synced is faster
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    event.listen(database.inbox.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    draw = random.Random(-seed)  # noqa: S311
    rest, assessed = stream(seed), set[str]()
    while rest:
        size = draw.choice((1, 3, 10, 30))
        now = moment(rest[:size][-1][0])
        take_in(database, [alert for _, alert in rest[:size]], now)
        rest = rest[size:]
        derived(database, now)
        with database.write() as connection:
            known = {each.id for each in store.listed(connection, ("open", "recovering", "restored", "closed"), 1000)}
            for id_ in sorted(known - assessed):
                if draw.random() < 0.4:
                    store.append(connection, assessment(incident_id=id_))
                    assessed.add(id_)
                if draw.random() < 0.02:
                    acts.add(connection, id_, now, "yamada", "seen", Timed(restored_at=now))
    return everything(database)


def test_what_is_left_out_of_large_incidents_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = concerned.find
    left_out, asked_again, alike = 0, 0, 0

    def watched(*args: Any, whole: bool) -> concerned.Concerned:
        nonlocal left_out, asked_again, alike
        found = find(*args, whole=whole)
        left_out += bool(found.of_large)
        asked_again += whole
        alike += bool(found.alike)
        return found

    for seed in range(1, 15):
        with closing(stores.opened(tmp_path / f"{seed}")) as database, monkeypatch.context() as patched:
            patched.setattr(concerned, "find", watched)
            found = played(database, seed)
        with closing(stores.opened(tmp_path / f"{seed}-whole")) as database, monkeypatch.context() as patched:
            patched.setattr(concerned, "find", lambda *args, whole: find(*args, whole=True))
            assert played(database, seed) == found, seed
    assert left_out > 80, "too little was left out to tell"
    assert asked_again > 5, "too little moved to tell"
    assert alike > 80, "too little was alike to tell"


MANY = range(20)
ENDED = [said("cell-1", part, 0, 10) for part in MANY]
COURSES: dict[str, list[list[dict[str, Any]]]] = {
    "two large ones are joined": [ENDED, [said("cell-1", 20 + part, 60, 70) for part in MANY], [said("cell-1", 99, 5, 50)]],
    "a large one is parted": [
        [said("cell-1", 99, 5), *(said("cell-1", part, 0) for part in MANY)],
        [*ENDED, *(said("cell-1", 20 + part, 80) for part in MANY)],
        [said("cell-1", 99, 5, 12)],
    ],
    "a group is parted as it ends": [
        [said("cell-1", 99, 5), said("cell-1", 0, 0)],
        [said("cell-1", 0, 0, 10), *(said("cell-1", 20 + part, 80) for part in MANY)],
        [said("cell-1", 99, 5, 12), *(said("cell-1", 20 + part, 80, 90) for part in MANY)],
    ],
    "one was sighted twice, and its twin is over": [
        [said("cell-1", part, 0) for part in MANY] + [said("cell-1", part, 0.2) for part in MANY],
        [said("cell-1", part, 0.2, 10) for part in MANY],
        [said("cell-1", 99, 60)],
    ],
    "the news are of a twin": [ENDED, [said("cell-1", 7, 0.2)], [said("cell-1", 7, 0.2, 90)], [said("cell-1", 99, 110)]],
    "the news are that the first was over by its twin": [
        [said("cell-1", 7, 0), *(said("cell-1", 20 + part, 0.1) for part in MANY)],
        [said("cell-1", 7, 0.2, 10), said("cell-1", 99, 60)],
    ],
    "one fires again after its end": [ENDED, [said("cell-1", 7, 0)], [said("cell-1", 99, 100)]],
    "the news are of the first": [
        [said("cell-1", part, part) for part in MANY],
        [said("cell-1", 0, 0, 1)],
        [said("cell-1", 99, 60)],
    ],
    "what was inhibited fires again, and so does what inhibits it": [
        [
            *(said("cell-1", part, 0) for part in MANY),
            *(said("edge-1", 0, 0), said("cell-2", 0, 0)),
            said("cell-1", 99, 0.5) | {"inhibitedBy": ["cell-2-0"]},
        ],
        [said("cell-1", 99, 0.5, 5), said("edge-1", 0, 0, 60), said("cell-2", 0, 0, 60)],
        [said("cell-1", 99, 0.5)],
        [said("cell-2", 8, 80, 85), said("cell-2", 0, 750)],
    ],
    "a part under it began later": [ENDED, [said("edge-1", 1, 35, 38)], [said("core", 1, 60, 70)], [said("core", 2, 0, 65)]],
}


@pytest.mark.parametrize("is_told", [False, True], ids=["untold", "told"])
@pytest.mark.parametrize("course", COURSES)
def test_a_large_incident_becomes_what_it_would_if_all_were_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, course: str, *, is_told: bool
) -> None:
    find, found = concerned.find, []
    for number, patch in enumerate((find, lambda *args, whole: find(*args, whole=True))):
        monkeypatch.setattr(concerned, "find", patch)
        with closing(stores.opened(tmp_path / f"{number}")) as database:
            for step, alerts in enumerate(COURSES[course], start=1):
                take_in(database, alerts, moment(200 * step))
                derived(database, moment(200 * step))
                with database.write() as connection:
                    for each in store.listed(connection, ("open",), 100) if is_told and step == 1 else ():
                        store.append(connection, assessment(incident_id=each.id))
            found.append(everything(database))
    assert found[0] == found[1]


@pytest.mark.parametrize("over", [None, 5.0], ids=["firing", "over"])
def test_news_of_a_large_incident_read_few_of_its_alerts(
    database: Database, monkeypatch: pytest.MonkeyPatch, over: float | None
) -> None:
    take_in(database, [said("cell-1", part, 0) for part in range(900)])
    if over:
        take_in(database, [said("cell-1", part, 0, over) for part in range(900)])
    derived(database)
    built, alert_of = [], sightings.alert_of
    monkeypatch.setattr(sightings, "alert_of", lambda row: built.append(row) or alert_of(row))
    take_in(database, [said("cell-1", 1000, 6), said("cell-1", 0, 0, 7)])
    derived(database)
    assert len(built) <= 4
    with database.read() as connection:
        (incident,) = store.listed(connection, ("open",), 10)
        assert len(store.alerts_of(connection, [incident.id])[incident.id]) == 901


LIKE: dict[str, Any] = {"ends_at": moment(5), "fired_at": moment(0), "resolved_at": moment(6), "incident_id": "inc", "cause": "c"}
OTHER: dict[str, Any] = {
    "starts_at": moment(1),
    "ends_at": None,
    "fired_at": moment(1),
    "resolved_at": moment(7),
    "incident_id": None,
    "cause": "d",
}


def found_alike(database: Database, **changes: Any) -> tuple[list[str], list[str]]:
    """Of three alerts, the second of which is another in this, by their fingerprints: those looked at, and those left out."""
    its = [Alert("alertmanager", name, moment(0), labels={}, annotations={}, generator_url="", **LIKE) for name in "cab"]
    its[1] = msgspec.structs.replace(its[1], **changes)
    with database.read() as connection:
        found = concerned.find(connection, its, moment(0), {"c", "d"}, whole=False)
    left_out = [alert.fingerprint for several in found.alike.values() for alert in several]
    return sorted(alert.fingerprint for alert in found.alerts), left_out


@pytest.mark.parametrize("what", OTHER)
def test_for_what_is_alike_in_all_that_decides_the_first_stands(database: Database, what: str) -> None:
    assert found_alike(database) == (["a"], ["b", "c"])
    assert found_alike(database, **{what: OTHER[what]}) == (["a", "b"], ["c"])


def test_of_what_was_sighted_twice_nothing_is_left_out(database: Database) -> None:
    assert found_alike(database, fingerprint="b", starts_at=moment(1)) == (["b", "b", "c"], [])


# what is near enough to be looked at

FOLLOWS = said("cell-1", 0, 0) | {"inhibitedBy": ["cell-3-0"]}
JOINED: dict[str, list[tuple[float, dict[str, Any]]]] = {
    "one between the end that was known and the end": [
        *((0, said("cell-1", 0, 0)), (50, said("cell-1", 0, 0, 50))),
        *((100, said("cell-1", 1, 100)), (110, said("cell-1", 1, 100, 110))),
        (200, said("cell-1", 0, 0, 200)),
    ],
    "one that fires again after its end and what inhibits it": [
        *((0, FOLLOWS), (5, said("cell-1", 0, 0, 5)), (190, said("cell-1", 0, 0))),
        (200, said("cell-3", 0, 200)),
    ],
}


@pytest.mark.parametrize("course", JOINED)
def test_what_was_over_long_before_is_looked_at_where_it_is_the_same_failure(database: Database, course: str) -> None:
    for minutes, alert in JOINED[course]:
        take_in(database, [alert], moment(minutes))
        derived(database, moment(minutes))
    with database.read() as connection:
        assert len(store.listed(connection, ("open",), 10)) == 1


@pytest.mark.parametrize("what", ["equipment", "word"])
def test_what_is_told_of_an_incident_later_joins_it_with_what_was_over_long_before_its_end(database: Database, what: str) -> None:
    def said_on(id_: str, minutes: float, deed: Deed) -> None:
        with database.write() as connection:
            acts.add(connection, id_, moment(minutes), "yamada", "seen", deed)
            derive.derive_again(connection, CATALOGUE, HOLD, {id_}, moment(minutes))

    take_in(database, [said("cell-1", 0, 0)])
    derived(database)
    with database.read() as connection:
        (first,) = store.listed(connection, ("open",), 10)
    if what == "word":
        said_on(first.id, 60, Timed(restored_at=moment(50)))
    other = "cell-1" if what == "word" else "cell-3"
    take_in(database, [said("cell-1", 0, 0, 200), said(other, 1, 100, 101)], moment(200))
    derived(database, moment(200))
    with database.write() as connection:
        assert len(store.listed(connection, ("open",), 10)) == 2
        topology.learn(connection, "equipment", {"cell-1": "cell-3"} if what == "equipment" else {}, moment(210))
    said_on(first.id, 210, Withdrawn(("restored_at",)))
    with database.read() as connection:
        assert [each.id for each in store.listed(connection, ("open",), 10)] == [first.id]


# what is written, and when


def counted(database: Database, work: Callable[[], object]) -> int:
    """How many statements it takes."""
    asked: list[str] = []
    engines = {database.engine, database.inbox.engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))
    work()
    return len(asked)


def test_many_alerts_take_no_more_statements_than_few(database: Database) -> None:
    needed = []
    for parts in (range(10), range(10, 400)):
        for over in (None, 5.0):
            take_in(database, [said("cell-1", part, 0, over) for part in parts])
            needed.append(counted(database, lambda: derived(database)))
    few_firing, few_over, many_firing, many_over = needed
    # others of its cause and of its incident are read where there are any
    assert many_firing <= few_firing + 3
    assert many_over <= few_over + 3


def test_what_is_said_again_writes_its_time_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, ...]] = []
    update = sightings.update_raw
    with closing(stores.opened(tmp_path)) as database:
        take_in(database, [said("cell-1", 0, 0)])
        derived(database)
        before = everything(database)
        monkeypatch.setattr(sightings, "update_raw", lambda c, t, names, rows: written.append(names) or update(c, t, names, rows))
        monkeypatch.setattr(sightings, "insert_raw", lambda _c, _t, _n, rows: rows and pytest.fail("written anew"))
        take_in(database, [said("cell-1", 0, 0)])
        derived(database)
        assert (written, everything(database)) == ([], before)
        take_in(database, [said("cell-1", 0, 0)], moment(1))
        derived(database)
    assert written == [("fired_at",)]


def test_an_alert_that_no_service_knew_gets_its_incident_when_the_catalogue_does(database: Database) -> None:
    stranger = Catalogue((msgspec.structs.replace(VOICE, match=('service="other"',)),))
    for catalogue, incidents in ((stranger, 0), (stranger, 0), (CATALOGUE, 1)):
        take_in(database, [said("cell-1", 0, 0)])
        derived(database, catalogue=catalogue)
        with database.read() as connection:
            assert len(store.listed(connection, ("open",), 10)) == incidents


# how much is read at once


def test_bodies_are_read_by_their_size_the_first_whatever_it_has(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "MOST_BYTES", 10_000)
    for size in (30_000, 4000, 4000, 4000, 1):
        take_in(database, [], padding="x" * size)
    batches = []
    while count := derived(database):
        batches.append(count)
    assert batches == [1, 2, 2]


def test_no_more_bodies_are_read_at_once_than_a_batch_has(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derive, "BATCH", 2)
    for part in range(5):
        take_in(database, [said("cell-1", part, 0)])
    assert [derived(database) for _ in range(4)] == [2, 2, 1, 0]


def test_the_garbage_collector_works_again_after_a_batch_and_after_a_fault(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        assert not gc.isenabled()
        raise RuntimeError("in the middle")

    assert gc.isenabled()
    take_in(database, [said("cell-1", 0, 0)])
    with monkeypatch.context() as broken:
        broken.setattr(sightings, "keep", fails)
        with pytest.raises(RuntimeError):
            derived(database)
    assert gc.isenabled()
    derived(database)
    assert gc.isenabled()


def test_a_batch_that_fails_leaves_nothing_and_is_derived_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(database, [said("cell-1", part, 0) for part in range(3)])

    def fails(connection: Connection, *_: object) -> None:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as broken:
        broken.setattr(store, "forget", fails)
        with pytest.raises(RuntimeError):
            derived(database)
    assert [len(rows) for rows in everything(database)] == [0, 0, 0]
    derived(database)
    assert [len(rows) for rows in everything(database)] == [3, 1, 0]
