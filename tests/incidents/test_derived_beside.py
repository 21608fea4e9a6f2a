"""What another process derives at any moment of a tick changes nothing of what comes of it in the end, and stops no clock."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from receiver.catalogue import Catalogue
from receiver.catalogue.topology import Declared
from receiver.incidents import derive
from receiver.incidents.acts import state
from receiver.incidents.derive import derive_waiting
from receiver.incidents.tick import Only
from receiver.model import Caused
from receiver.observation import ancestors
from receiver.storage import incidents as store
from receiver.storage.database import Database
from tests.incidents.streams import EXAMPLES, HOLD, House, Outage, Stream, body, expected, found, moment, regardless_of_users, say
from tests.incidents.test_any_order import LOOKS, Arrival, arrivals, holds_at_any_time, play
from tests.incidents.test_due_alone import Ticker, heard
from tests.incidents.test_grouping import SERVICES, alert, house_in, take_in

TICKS: dict[str, Only | None] = {"look": "news or due", "tick": None, "restart": "due"}


@contextmanager
def interrupted(house: House, by: Callable[[], object]) -> Iterator[None]:
    """`by` is done before and after each transaction, and before each answer of Prometheus, in turn with nothing else."""
    inside = []

    def interrupt() -> None:
        if not inside:
            inside.append(True)
            by()
            inside.clear()

    def around(transaction: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def interrupted(**options: bool) -> Iterator[Any]:
            interrupt()
            with transaction(**options) as connection:
                yield connection
            interrupt()

        return interrupted

    with pytest.MonkeyPatch.context() as patch, asked_meanwhile(house, interrupt):
        patch.setattr(house.database, "write", around(house.database.write))
        patch.setattr(house.database, "read", around(house.database.read))
        yield


@contextmanager
def asked_meanwhile(house: House, by: Callable[[], object]) -> Iterator[None]:
    """`by` is done before each answer of Prometheus."""
    answer = house.prometheus._answer

    def answered() -> Any:
        by()
        return answer()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.prometheus, "_answer", answered)
        yield


def another(house: House) -> Database:
    """Of another process, which has connections of its own."""
    database = Database.of(house.settings)
    for part in (database, database.inbox):
        event.listen(part.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return database


@given(arrivals(), LOOKS, st.lists(st.booleans(), min_size=1, max_size=5).filter(any))
@settings(max_examples=5 * EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
def test_in_the_end_all_is_as_if_it_had_been_derived_before(
    told: tuple[Stream, list[Arrival]], look: timedelta, turns: list[bool]
) -> None:
    stream, story = told
    with (
        pytest.MonkeyPatch.context() as patch,
        TemporaryDirectory() as folder,
        House(Path(folder, "store")) as house,
        closing(another(house)) as beside,
    ):
        patch.setattr(derive, "BATCH", 1)
        moments = iter(range(10**9))

        def derive_one() -> None:
            if turns[next(moments) % len(turns)]:
                derive_waiting(beside, house.catalogue, HOLD, house.clock())

        def ticked(house: House, then: str) -> None:
            with interrupted(house, derive_one):
                house.worker.assess(house.clock(), TICKS[then])

        play(house, story, ticked)
        while derive_waiting(house.database, house.catalogue, HOLD, house.clock()):
            pass
        house.clock.now += look
        house.settle()
        assert regardless_of_users(found(house, stream.truth)) == regardless_of_users(expected(stream.truth, house.clock()))
        holds_at_any_time(house)


def test_an_outage_becomes_major_by_lasting_though_something_is_heard_of_it_at_each_tick(tmp_path: Path) -> None:
    outage = Outage("core-1", "voice", 0, None)
    with House(tmp_path / "store") as house, closing(another(house)) as beside:

        def heard_again() -> None:
            house.clock.advance(seconds=0.3)
            house.take_in(body([say(outage, 1, start=0)], 1))
            assert derive_waiting(beside, house.catalogue, HOLD, house.clock())

        heard_again()
        for minute in (1, 59, 61):
            house.clock.now = moment(minute)
            with interrupted(house, heard_again):
                house.worker.assess(house.clock())
        assert [str(each.verdict) for its in house.latest().values() for each in its] == ["major"]


def test_one_that_fails_again_while_it_is_closed_stays_open(tmp_path: Path) -> None:
    again = Outage("core-1", "voice", 35, None)
    with House(tmp_path / "store") as house, closing(another(house)) as beside:

        def hears(outage: Outage, at: float) -> None:
            house.take_in(body([say(outage, at, start=outage.start, end=outage.end)], at))
            assert derive_waiting(beside, house.catalogue, HOLD, house.clock())

        hears(Outage("core-1", "voice", 0, 10), 10)
        for minute in (11, 12):
            house.clock.now = moment(minute)
            house.worker.assess(house.clock())
        with house.database.write() as connection:
            # it is looked up still, so that one more alert makes nothing of the incident itself another
            store.save(connection, msgspec.structs.replace(house.incidents()[0], start_settled=False))
        waits = [again]
        house.clock.now = moment(10) + HOLD + timedelta(minutes=1)
        with asked_meanwhile(house, lambda: waits and hears(waits.pop(), 40)):
            house.worker.assess(house.clock())
        assert not waits
        house.worker.assess(house.clock())
        assert [each.state for each in house.incidents()] == ["open"]


@pytest.mark.parametrize("is_heard_of", [False, True])
def test_an_outage_that_another_worker_judges_meanwhile_is_not_judged_twice(tmp_path: Path, *, is_heard_of: bool) -> None:
    """With SQLite nobody leads: a second worker may run by mistake, or for as long as the one before it needs to end."""
    outage = Outage("core-1", "voice", 0, None)
    with House(tmp_path / "store") as house:
        house.take_in(body([say(outage, 1, start=0)], 1))
        house.clock.now = moment(1)
        assert derive_waiting(house.database, house.catalogue, HOLD, house.clock())
        assert house.worker.assess(house.clock())
        house.clock.now = moment(61)
        others = [house.another_worker(house.clock)]

        def judge() -> None:
            if others:
                other = others.pop()
                if is_heard_of:
                    house.take_in(body([say(outage, 2, start=0), say(outage, 2, start=1)], 2))
                    assert derive_waiting(house.database, house.catalogue, HOLD, house.clock())
                assert other.assess(house.clock())

        with asked_meanwhile(house, judge):
            assert not house.worker.assess(house.clock())
        assert not others
        assert [(each.number, str(each.verdict)) for its in house.latest().values() for each in its] == [(2, "major")]


def test_the_moment_of_an_outage_that_somebody_acts_on_meanwhile_is_not_missed(tmp_path: Path) -> None:
    with House(tmp_path / "store") as house, closing(another(house)) as beside:
        ticker = Ticker(house)
        heard(house, Outage("core-1", "voice", 0, None))
        ticked = ticker.at(8, None)
        assert ticked.next_at is not None
        minute = (ticked.next_at - moment(0)) / timedelta(minutes=1)
        deeds = [Caused("hardware")]

        def act() -> None:
            if deeds:
                state(beside, house.catalogue, house.incidents()[0].id, deeds.pop(), "noc", "seen", house.clock(), HOLD)

        with asked_meanwhile(house, act):
            assert ticker.at(minute, "due").appended == []
        assert not deeds
        assert len(ticker.at(minute, "due").appended) == 1


def test_what_came_while_prometheus_was_asked_is_told_apart_by_all_that_it_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it tells of one piece of equipment it tells of all above it, and is not asked of these for a day."""
    observe = ancestors.observe
    with house_in(tmp_path, Declared()) as house:
        receiver = house.receiver
        house.prometheus.down = True
        take_in(receiver, [alert(0, equipment="cell-1")])
        house.prometheus.down = False
        house.prometheus.holds("art58:equipment_parent", 1, equipment="cell-1", parent="agg-1")
        house.prometheus.holds("art58:equipment_parent", 1, equipment="agg-1", parent="core-1")

        def meanwhile(*asked: Any) -> Any:
            monkeypatch.undo()
            monkeypatch.setattr(receiver.worker, "step", lambda: None)
            take_in(receiver, [alert(-600, -550, equipment="agg-1"), alert(-600, -550, equipment="core-1")])
            monkeypatch.undo()
            assert derive_waiting(receiver.database, Catalogue(SERVICES, Declared()), HOLD, receiver.clock())
            return observe(*asked)

        monkeypatch.setattr(ancestors, "observe", meanwhile)
        house.at(31)
        house.at(32)
        assert len([each for each in receiver.incidents() if not each["joined_to"]]) == 2
