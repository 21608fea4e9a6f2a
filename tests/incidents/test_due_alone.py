"""Between regular ticks only that is judged of which something is news or due; what comes of it is the same."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import event

from receiver import worker as worker_module
from receiver.incidents import acts
from receiver.incidents.ask import Observer
from receiver.incidents.known import Known
from receiver.incidents.tick import Only, Ticked, tick
from receiver.law.rulebook import shipped
from receiver.model import Alert, Caused, Incident, Timed
from receiver.storage import incidents as store
from receiver.storage import topology
from receiver.storage.database import Database
from tests.apps import alert, incident
from tests.incidents.streams import EXAMPLES, HOLD, House, Outage, Stream, body, found, moment, say
from tests.incidents.test_any_order import Arrival, arrivals, play
from tests.stores import url_of

FIELDS = ("service", "state", "verdict", "failure_started_at", "restored_at", "major_since", "affected_users", "candidate", "units")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path / "store") as house:
        yield house


class Ticker:
    """Ticks over the store of a house, each with what the one before left."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._observer = Observer(house.prometheus, house.catalogue, house.settings.comparable_days.calendar)
        self._known = Known(house.catalogue, house.settings)

    def at(self, minute: float, only: Only | None = "news or due") -> Ticked:
        house = self._house
        house.clock.now = moment(minute)
        return tick(house.database, self._observer, house.settings, shipped(), house.clock(), self._known, only=only)


def heard(house: House, *outages: Outage) -> None:
    for one in outages:
        at = one.start if one.end is None else one.end
        house.clock.now = max(house.clock.now, moment(at))
        house.take_in(body([say(one, at, start=one.start, end=one.end)], at))
    while worker_module.derive_waiting(house.database, house.catalogue, HOLD, house.clock()):
        pass


def test_where_nothing_is_news_nothing_is_judged(house: House) -> None:
    ticker = Ticker(house)
    heard(house, Outage("core-1", "voice", 0, None), Outage("core-2", "voice", 0, None))
    first = ticker.at(1)
    assert (first.living, first.judged, len(first.appended)) == (2, 2, 2)
    assert (ticker.at(2).living, ticker.at(2).judged) == (2, 0)
    assert ticker.at(3, None).judged == 2


def test_of_what_is_heard_nothing_else_is_judged(house: House) -> None:
    ticker = Ticker(house)
    heard(house, Outage("core-1", "voice", 0, None), Outage("core-2", "voice", 0, None))
    ticker.at(1)
    heard(house, Outage("core-2", "data", 2, None))
    judged = ticker.at(2.5)
    assert (judged.judged, {new.service for new in judged.appended}) == (1, {"data"})


def test_at_the_moment_when_one_becomes_major_it_alone_is_judged(house: House) -> None:
    ticker = Ticker(house)
    heard(house, Outage("core-1", "voice", 0, None), Outage("core-2", "voice", 7, None))
    ticked = ticker.at(8, None)
    assert ticked.next_at is not None
    moments = []
    while not any(new.verdict == "major" for new in ticked.appended):
        assert ticked.next_at is not None
        moments.append(ticked.next_at)
        ticked = ticker.at((ticked.next_at - moment(0)) / timedelta(minutes=1))
        assert (ticked.judged, ticked.living) == (1, 2)
    (major,) = ticked.appended
    assert (major.major_since, major.assessed_at) == (moments[-1], moments[-1])
    assert ticked.next_at == moments[-1] + timedelta(minutes=7)


def test_what_is_due_is_judged_without_looking_at_what_is_news_of_others(house: House) -> None:
    ticker = Ticker(house)
    heard(house, Outage("core-1", "voice", 0, None), Outage("core-2", "voice", 7, None))
    ticked = ticker.at(8, None)
    heard(house, Outage("core-2", "data", 8, None), Outage("core-3", "voice", 8, None))
    assert ticked.next_at is not None
    minute = (ticked.next_at - moment(0)) / timedelta(minutes=1)
    due = ticker.at(minute, "due")
    (first,) = (new for new in ticked.appended if new.failure_started_at == moment(0))
    assert (due.judged, {new.incident_id for new in due.appended}) == (1, {first.incident_id})
    assert ticker.at(minute, "due").judged == 0
    news = ticker.at(minute, "news or due")
    assert (news.judged, len({new.incident_id for new in news.appended})) == (2, 2)


def test_one_that_somebody_closed_meanwhile_is_not_judged_though_it_was_due(house: House) -> None:
    ticker = Ticker(house)
    heard(house, Outage("core-1", "voice", 0, None))
    ticked = ticker.at(8, None)
    with house.database.write() as connection:
        (one,) = store.living(connection)
        store.save(connection, msgspec.structs.replace(one, state="closed", closed_at=moment(9)))
    assert ticked.next_at is not None
    assert ticker.at((ticked.next_at - moment(0)) / timedelta(minutes=1), "due").judged == 0


def test_what_a_person_states_through_another_process_is_news(house: House) -> None:
    ticker = Ticker(house)
    heard(house, Outage("core-1", "voice", 0, None), Outage("core-2", "voice", 0, None))
    ticker.at(1)
    one, other = sorted(house.incidents(), key=lambda each: each.id)
    with closing(Database.of(house.settings)) as another:
        acts.state(another, house.catalogue, one.id, Caused("hardware"), "noc", "seen", house.clock(), HOLD)
    ticked = ticker.at(2)
    assert ticked.judged == 1
    assert {new.incident_id for new in ticked.appended} == {one.id} != {other.id}


def test_a_stated_end_is_judged_again_when_it_has_held(house: House) -> None:
    ticker = Ticker(house)
    heard(house, Outage("core-1", "voice", 0, None))
    ticker.at(1)
    house.clock.now = moment(11)
    acts.state(house.database, house.catalogue, house.incidents()[0].id, Timed(None, moment(10)), "noc", "seen", moment(11), HOLD)
    assert [ticker.at(minute).judged for minute in (11, 11.5, 39.5)] == [1, 0, 0]
    assert {new.state for new in ticker.at(40).appended} == {"closed"}


@given(arrivals())
@settings(max_examples=8 * EXAMPLES, suppress_health_check=list(HealthCheck))
def test_full_ticks_and_partial_ones_end_in_the_same(told: tuple[Stream, list[Arrival]]) -> None:
    stream, story = told
    ends = []
    for then in ("tick", "look"):
        with TemporaryDirectory() as folder, House(Path(folder, "store")) as house:
            play(house, [one if one.then == "nothing" else one._replace(then=then) for one in story])
            house.settle()
            latest = {
                id_: [tuple(getattr(last, name) for name in FIELDS) for last in its if not last.withdrawn]
                for id_, its in house.latest().items()
            }
            ends.append((found(house, stream.truth), latest))
    assert ends[0] == ends[1]


def test_a_tick_asks_the_store_as_much_for_many_as_for_one(tmp_path: Path) -> None:
    asked: list[str] = []
    numbers = []
    for size in (1, 900):
        with House(tmp_path / str(size)) as house:
            ticker = Ticker(house)
            with house.database.write() as connection:
                for n in range(size):
                    store.save(connection, _incident(n))
                store.save_alerts(connection, [_alert(n) for n in range(size)])
                topology.learn(connection, "equipment", {f"unit-{n}": None for n in range(size)}, moment(0))
            ticker.at(1, None)
            ticker.at(2, None)
            event.listen(house.database.engine, "before_cursor_execute", lambda *of: asked.append(of[2]))
            asked.clear()
            judged = ticker.at(3).judged
            assert judged == 0
            numbers.append(len(asked))
            assert not any(re.search(r"alerts\.(labels|annotations)|assessments\.document", one) for one in asked)
    assert numbers[0] == numbers[1] < 10


def _incident(n: int) -> Incident:
    return incident(id=f"inc-{n}", equipment=f"unit-{n}", units=(f"unit-{n}",), cause=f"equipment:equipment=unit-{n}")


def _alert(n: int) -> Alert:
    labels = {"alertname": "Down", "service": "voice", "equipment": f"unit-{n}"}
    its = {"fingerprint": f"{n:016x}", "labels": labels, "starts_at": moment(0), "incident_id": f"inc-{n}"}
    return alert(**its, cause=f"equipment:equipment=unit-{n}")


@pytest.mark.parametrize(
    "changes",
    [{"ends_at": moment(9)}, {"fired_at": moment(9)}, {"resolved_at": moment(9)}, {"incident_id": "inc-2"}, {"cause": None}],
    ids=lambda changes: ",".join(changes),
)
def test_a_digest_is_another_as_soon_as_something_of_an_alert_is(
    tmp_path: Path, each_store: str, changes: dict[str, datetime | str | None]
) -> None:
    database = Database(url_of(tmp_path) or f"sqlite:///{tmp_path / 'art58.db'}")
    database.migrate()
    of_first = [_alert(1), msgspec.structs.replace(_alert(1), fingerprint="f2")]
    try:
        with database.write() as connection:
            store.save(connection, _incident(1), _incident(2))
            store.save_alerts(connection, of_first)
            first = store.digests(connection)
            assert first.keys() == {"inc-1"}
            assert store.digests(connection, ["inc-1", "inc-2"]) == first
            store.save_alerts(connection, [msgspec.structs.replace(of_first[0], annotations={"users": "5"})])
            assert store.digests(connection) == first
            store.save_alerts(connection, [msgspec.structs.replace(of_first[0], **changes)])
            assert store.digests(connection)["inc-1"] != first["inc-1"]
            store.save_alerts(connection, of_first)
            assert store.digests(connection) == first
    finally:
        database.close()


def test_with_many_a_look_is_followed_by_a_rest_but_a_regular_tick_is_not_put_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    since_start = [0.0]
    judged: list[Only | None] = []
    tick_ = worker_module.tick

    def slow(*its: object, only: Only | None) -> Ticked:
        judged.append(only)
        since_start[0] += 3
        return msgspec.structs.replace(tick_(*its, only=only), living=1000)  # type: ignore[arg-type]

    monkeypatch.setattr(worker_module, "tick", slow)
    monkeypatch.setattr(worker_module.time, "monotonic", lambda: since_start[0])
    house.worker.step()
    for _ in range(2):
        outage = Outage("core-1", "voice", 0, None)
        house.take_in(body([say(outage, 1, start=0)], 1))
        house.worker.step()
    assert judged == [None]
    since_start[0] += 3.1
    house.worker.step()
    assert judged == [None, "news or due"]
    house.worker.step()
    assert judged == [None, "news or due"]
    house.clock.advance(seconds=16)
    house.worker.step()
    assert judged == [None, "news or due", None]


def test_while_much_waits_only_what_is_due_is_judged_between_the_regular_ticks(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Only | None] = []
    tick_ = worker_module.tick

    def noted(*its: object, only: Only | None) -> Ticked:
        judged.append(only)
        return tick_(*its, only=only)  # type: ignore[arg-type]

    monkeypatch.setattr(worker_module, "tick", noted)
    heard(house, Outage("core-1", "voice", 0, None))
    house.worker.step()
    due = house.worker._next_due
    assert due is not None
    house.clock.now = due - timedelta(seconds=5)
    house.worker.step()
    house.clock.now = due
    judged.clear()
    monkeypatch.setattr(worker_module, "derive_waiting", lambda *_: 1)
    assert house.worker.step()
    assert judged == ["due"]
    monkeypatch.setattr(worker_module, "derive_waiting", lambda *_: 0)
    assert not house.worker.step()
    assert judged == ["due", "news or due"]
