"""Clocks: days that are odd, zones that are not ours, clocks that jump or differ. Only the command line reads the machine's own."""

import ast
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.delivery.dispatcher import LONGEST_WAIT
from receiver.delivery.targets import Change, Draft, Seen
from receiver.law.provisions import JST
from receiver.storage import heartbeat, notifications
from receiver.storage.database import StoreUnavailable
from tests.fakes.memory import MemoryTarget
from tests.incidents.streams import HOLD, MINUTE, T0, Body, House, Outage, body, expected, found, moment, say, streams
from tests.incidents.test_any_order import arrivals, derive, holds_at_any_time
from tests.serving import until

ROOT = Path(__file__).parents[1]

# who reads the clock

READS = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    *(f"time.{name}" for name in ("time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime", "clock_gettime")),
}
ALLOWED = {
    # it compares the machine's clock itself with that of Prometheus, and tells of the difference: nothing is judged by it
    ("observation/prometheus.py", "time.time"),
}


def reads_of_the_clock(source: str) -> set[str]:
    """Every name in `source` by which the machine's clock, or its zone, can be read; by whatever name it was imported."""
    tree, known = ast.parse(source), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {(alias.asname or alias.name): alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {(alias.asname or alias.name): f"{node.module}.{alias.name}" for alias in node.names}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and (name := _dotted(node, known)) in READS:
            found.add(name)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # without a zone these take the machine's
            given = len(node.args) + len(node.keywords)
            if (node.func.attr == "astimezone" and given == 0) or (node.func.attr == "fromtimestamp" and given == 1):
                found.add(node.func.attr)
    return found


def _dotted(node: ast.AST, known: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    return f"{_dotted(node.value, known)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


@pytest.mark.parametrize(
    "source",
    [
        "import datetime as d\nd.datetime.now(d.UTC)",
        "from datetime import datetime as moment\nmoment.utcnow()",
        "from datetime import date\ntoday = date.today",
        "import time\nx = time.time()",
        "from time import time as seconds\nseconds()",
        "moment.astimezone()",
        "datetime.fromtimestamp(3)",
    ],
)
def test_it_is_seen_who_reads_the_clock(source: str) -> None:
    assert reads_of_the_clock(source)


def test_only_the_command_line_reads_the_clock() -> None:
    files = sorted((ROOT / "receiver").rglob("*.py"))
    readers = {
        (str(file.relative_to(ROOT / "receiver")), name)
        for file in files
        if "cli" not in file.relative_to(ROOT).parts
        for name in reads_of_the_clock(file.read_text())
    }
    assert len(files) > 50
    assert readers == ALLOWED


# a house whose time is told

VOICE = Outage("core-1", "voice", 0, None)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path / "store") as house:
        yield house


def fires(at: datetime) -> Body:
    return _told(at)


def over(at: datetime, end: datetime) -> Body:
    return _told(at, end)


def _told(start: datetime, end: datetime | None = None) -> Body:
    minutes = [None if one is None else (one - T0) / MINUTE for one in (start, end)]
    return body([say(VOICE, 0, start=minutes[0] or 0, end=minutes[1])], 0)


def at(house: House, now: datetime, *bodies: Body) -> Any:
    """Take in, and tick, at `now`; the only incident."""
    house.clock.now = now
    for one in bodies:
        house.take_in(one)
    house.tick()
    house.worker.deliver()
    holds_at_any_time(house)
    (incident,) = house.standing()
    return incident


def verdicts(house: House) -> list[str]:
    (its,) = house.latest().values()
    return [str(one.verdict) for one in its]


# days


def test_an_outage_over_a_leap_day_in_japan(house: House) -> None:
    started = datetime(2028, 2, 28, 23, 59, 30, tzinfo=JST)
    incident = at(house, started + timedelta(seconds=20), fires(started))
    assert incident.id.startswith("20280228-")
    assert at(house, datetime(2028, 2, 29, 0, 59, 29, tzinfo=JST)).state == "open"
    assert verdicts(house) == ["periodic"]
    at(house, datetime(2028, 2, 29, 0, 59, 30, tzinfo=JST))
    assert verdicts(house) == ["major"]
    end = datetime(2028, 3, 1, 0, 0, 30, tzinfo=JST)
    at(house, end + MINUTE, over(started, end))
    ((one,),) = house.latest().values()
    assert (one.duration, one.major_since) == (timedelta(hours=24, minutes=1), datetime(2028, 2, 29, 0, 59, 30, tzinfo=JST))
    (ticket,) = house.desk.said.values()
    assert "2028-02-29" in ticket.text.en


def test_an_outage_that_begins_on_a_leap_day_has_its_date(house: House) -> None:
    started = datetime(2028, 2, 29, 0, 0, tzinfo=JST)
    assert at(house, started + MINUTE, fires(started)).id.startswith("20280229-")


def test_the_day_in_japan_decides_which_table_holds(tmp_path: Path) -> None:
    """Not the day in UTC: the new table is in force from midnight in Japan, which is 15:00 in UTC."""
    new_table = datetime(2026, 4, 1, tzinfo=JST)
    found = []
    for name, started in (("a", new_table - timedelta(seconds=1)), ("b", new_table)):
        with House(tmp_path / name) as house:
            incident = at(house, started.astimezone(UTC) + 2 * MINUTE, fires(started.astimezone(UTC)))
            ((one,),) = house.latest().values()
            found.append((incident.id[:8], one.rulebook))
    assert found == [("20260331", "JP-TBA58-2019"), ("20260401", "JP-TBA58-2026")]


def test_a_start_before_midnight_that_is_heard_of_late_brings_the_table_of_that_day(house: House) -> None:
    midnight = datetime(2026, 4, 1, tzinfo=JST)
    at(house, midnight + 2 * MINUTE, fires(midnight + MINUTE))
    at(house, midnight + 3 * MINUTE, fires(midnight - MINUTE))
    ((one,),) = house.latest().values()
    assert (one.rulebook, one.failure_started_at) == ("JP-TBA58-2019", midnight - MINUTE)


# the zone of the host

CHANGES = {
    "to winter in New York": datetime(2026, 11, 1, 6, 0, tzinfo=UTC),
    "to summer in New York": datetime(2027, 3, 14, 7, 0, tzinfo=UTC),
}


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def put(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_zone_of_the_host_and_its_daylight_saving_change_nothing(
    tmp_path: Path, in_zone: Callable[[str], None], change: datetime
) -> None:
    told = []
    for zone in ("UTC", "America/New_York", "Asia/Tokyo"):
        in_zone(zone)
        with House(tmp_path / zone.replace("/", "-")) as house:
            started, end = change - 30 * MINUTE, change + 30 * MINUTE
            at(house, started + MINUTE, fires(started))
            at(house, end - timedelta(seconds=1))
            assert verdicts(house) == ["periodic"]
            at(house, end)
            assert verdicts(house) == ["major"]
            at(house, end + MINUTE, over(started, end))
            told.append((house.incidents(), house.history(house.incidents()[0].id), _statements(house.desk)))
    assert told[1:] == told[:1] * 2


def _statements(target: MemoryTarget) -> list[tuple[Any, ...]]:
    return [(one.key, one.number, one.title, one.text) for one in target.said.values()]


# clocks that jump

HOUR = timedelta(hours=1)


def test_a_clock_put_back_while_it_fires_closes_nothing_and_loses_no_assessment(house: House) -> None:
    at(house, T0 + 50 * MINUTE, fires(T0))
    for minutes in (-10, 0, 10):  # it is an hour behind now
        assert at(house, T0 + minutes * MINUTE, fires(T0)).state == "open"
    assert at(house, T0 + 61 * MINUTE).failure_started_at == T0
    assert verdicts(house) == ["major"]
    assert len(house.desk.tickets) == 1


def test_a_clock_put_back_while_a_recovery_is_awaited_closes_nothing_early(house: House) -> None:
    at(house, T0 + 20 * MINUTE, fires(T0))
    end = T0 + 40 * MINUTE
    incident = at(house, end + MINUTE, over(T0, end))
    assert (incident.state, incident.restored_at) == ("recovering", end)
    for minutes in (-18, 0, 41, 69):
        assert at(house, T0 + minutes * MINUTE).state == "recovering"
    incident = at(house, end + HOLD)
    assert (incident.state, incident.restored_at) == ("closed", end)


def test_an_outage_that_begins_while_the_clock_is_an_hour_behind(house: House) -> None:
    """Its start lies ahead then; and is what it was as soon as the clock is right again."""
    assert at(house, T0 - HOUR + MINUTE, fires(T0)).state == "open"
    right = at(house, T0 + 5 * MINUTE, fires(T0))
    assert right.failure_started_at == T0
    assert verdicts(house) == ["periodic"]  # not an hour and more


def test_an_outage_that_began_and_ended_ahead_of_a_clock_that_is_behind(house: House) -> None:
    end = T0 + 10 * MINUTE
    assert at(house, T0 - HOUR + 11 * MINUTE, fires(T0), over(T0, end)).state == "recovering"
    assert at(house, end + HOLD - MINUTE).state == "recovering"
    incident = at(house, end + HOLD)
    assert (incident.state, incident.failure_started_at, incident.restored_at) == ("closed", T0, end)
    assert verdicts(house) == ["periodic"]


def test_the_clock_put_back_between_two_incidents(house: House) -> None:
    first_end = T0 + 10 * MINUTE
    at(house, first_end + MINUTE, fires(T0), over(T0, first_end))
    assert at(house, first_end + HOLD + MINUTE).state == "closed"
    # by the true time two hours later; the clock is an hour behind
    started = first_end + 2 * HOUR
    house.clock.now = started - HOUR
    house.take_in(fires(started))
    house.tick()
    holds_at_any_time(house)
    assert sorted(incident.state for incident in house.standing()) == ["closed", "open"]
    house.clock.now = started + 5 * MINUTE
    house.take_in(fires(started))
    house.tick()
    assert {incident.failure_started_at for incident in house.standing()} == {T0, started}


def test_ticks_go_on_when_the_clock_was_put_back(house: House) -> None:
    """The next tick was due at a time that is an hour away now."""
    at(house, T0 + 10 * MINUTE, fires(T0))
    house.clock.now -= HOUR
    house.clock.advance(seconds=house.settings.tick_seconds)
    house.worker.step()
    with house.database.read() as connection:
        assert heartbeat.last(connection, "tick") == house.clock()


def test_what_was_owed_before_the_clock_was_put_back_is_sent_all_the_same(house: House) -> None:
    """As soon as anything is tried again at the latest."""
    house.clock.now = T0 + 10 * MINUTE
    house.take_in(fires(T0))
    house.tick()
    house.clock.now += LONGEST_WAIT - HOUR
    house.tick()
    house.worker.deliver()
    assert len(house.wall.tickets) == 1


def test_a_clock_an_hour_ahead_for_a_while_is_set_right_by_what_is_said_later(house: House) -> None:
    """It closes too early then, by its own time; evidence opens it again."""
    end = T0 + 10 * MINUTE
    at(house, T0 + 5 * MINUTE, fires(T0))
    assert at(house, end + MINUTE, over(T0, end)).state == "recovering"
    assert at(house, end + MINUTE + HOUR).state == "closed"
    again = end + 5 * MINUTE
    incident = at(house, again + MINUTE, fires(again))
    assert (incident.state, incident.failure_started_at, incident.restored_at) == ("open", T0, None)
    ((one,),) = house.latest().values()
    assert (one.state, one.duration) == ("open", again + MINUTE - T0)


def test_a_verdict_by_a_clock_that_was_ahead_goes_when_the_clock_is_right(house: House) -> None:
    at(house, T0 + 5 * MINUTE, fires(T0))
    at(house, T0 + 6 * MINUTE + HOUR)
    assert verdicts(house) == ["major"]
    at(house, T0 + 7 * MINUTE)
    assert verdicts(house) == ["periodic"]
    ((one,),) = house.latest().values()
    assert one.major_since is None


# clocks that differ


def test_a_clock_that_is_a_second_behind_gives_the_same_start_as_one_that_is_right(tmp_path: Path) -> None:
    """As soon as both have passed it: Alertmanager may well be heard within that second."""
    starts = []
    for behind in (0, 1):
        with House(tmp_path / str(behind)) as house:
            at(house, T0 - timedelta(seconds=behind), fires(T0))
            starts.append(at(house, T0 + MINUTE, fires(T0)).failure_started_at)
    assert starts == [T0, T0]


@given(arrivals(), st.sampled_from((1, 45, 200)))
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_two_receivers_with_clocks_two_seconds_apart_come_to_the_same(told: Any, look: int) -> None:
    _, story = told
    records = []
    for ahead in (timedelta(seconds=-1), timedelta(seconds=1)):
        with TemporaryDirectory() as folder, House(Path(folder, "store")) as house:
            for arrival in story:
                house.clock.now = max(house.clock.now, moment(arrival.at) + ahead)
                house.take_in(arrival.body)
                if arrival.then != "nothing":
                    house.tick()
            # well between two thresholds
            house.clock.now = moment(max(arrival.at for arrival in story) // 5 * 5 + 2.5 + 10 + look) + ahead
            house.settle()
            its = house.latest()
            records.append(
                {
                    (
                        *(one.id, one.failure_started_at, one.restored_at, one.state, one.units),
                        frozenset((a.service, a.verdict) for a in its[one.id]),
                    )
                    for one in house.standing()
                }
            )
            holds_at_any_time(house)
    assert records[0] == records[1]


def test_what_one_worker_hears_while_another_asks_prometheus_is_not_lost(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two Prometheis called it over long ago, and the tick is about to close it: then it is said to fire on."""
    at(house, T0 + 10 * MINUTE, fires(T0))
    house.clock.now = T0 + 60 * MINUTE
    house.take_in(over(T0, T0 + 20 * MINUTE))
    derive(house)
    answers, meanwhile = house.prometheus.instant, iter([T0 + 62 * MINUTE])

    def instant(query: str) -> Any:
        if now := next(meanwhile, None):
            house.clock.now = now
            house.take_in(fires(T0))
            derive(house)
        return answers(query)

    monkeypatch.setattr(house.prometheus, "instant", instant)
    house.worker.assess(house.clock())
    assert at(house, T0 + 63 * MINUTE).state == "open"


class _Door(MemoryTarget):
    """One at a time may write."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._turn = threading.RLock()

    def create(self, draft: Draft) -> str:
        with self._turn:
            return super().create(draft)

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        with self._turn:
            return super().write(remote_id, draft, change, seen)


@given(streams(4), st.data())
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
def test_two_workers_on_one_store_with_clocks_two_seconds_apart_double_nothing(stream: Any, data: st.DataObject) -> None:
    order = data.draw(st.permutations(stream.before), label="order")
    with TemporaryDirectory() as folder, House(Path(folder, "store")) as house:
        house.desk, house.wall = _Door("desk"), _Door("wall")
        house.clock.now = moment(max(one.at for one in stream.before + stream.last) + 1)
        stop, faults = threading.Event(), []

        def work(ahead: timedelta) -> None:
            worker = house.another_worker(lambda: house.clock() + ahead)
            while not stop.is_set():
                # as its own loop does: what another writes just now is tried again
                with suppress(StoreUnavailable):
                    worker.step()
                    worker.assess(house.clock() + ahead)
                    worker.deliver()

        def watched(ahead: timedelta) -> None:
            try:
                work(ahead)
            except Exception as fault:  # noqa: BLE001 - whatever it is, it ends the process
                faults.append(fault)

        threads = [threading.Thread(target=watched, args=(timedelta(seconds=ahead),)) for ahead in (0, 2)]
        for thread in threads:
            thread.start()
        try:
            for one in order:
                house.take_in(one)
            house.clock.advance(minutes=1)  # the last words are said after all others
            for one in stream.last:
                house.take_in(one)
        finally:
            until(lambda: faults or not _waiting(house))
            stop.set()
            for thread in threads:
                thread.join()
        assert not faults
        house.worker = house.another_worker()
        house.clock.advance(minutes=45)
        house.settle()
        house.worker.deliver()
        assert found(house, stream.truth) == expected(stream.truth, house.clock())
        holds_at_any_time(house)
        for target in (house.desk, house.wall):
            keys = [one.key for one in target.said.values()]
            assert len(keys) == len(set(keys)), "two objects for one incident"


def _waiting(house: House) -> int:
    with house.database.inbox.read() as connection:
        return notifications.count_waiting(connection)
