"""Whatever Alertmanager does to what it says, the same incidents come of the same truth: for any order, any repetition, any time of
arrival, with and without ticks and restarts in between. What must come of it is worked out from the truth alone (streams.py).
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.incidents.derive import derive_waiting
from receiver.model import Conclusion
from tests.incidents.streams import (
    EXAMPLES,
    HOLD,
    LEAD,
    MAJOR_AFTER,
    MINUTE,
    USERS,
    Body,
    Found,
    Hit,
    House,
    Outage,
    Stream,
    body,
    expected,
    found,
    moment,
    regardless_of_users,
    say,
    streams,
)

LOOKS = st.sampled_from((1, 20, 45, 200)).map(lambda minutes: timedelta(minutes=minutes))
"""How long after the last word one looks: within the hold, beyond it, when all is long over."""


def test_the_brute_force_itself_is_right() -> None:
    """A few cases that were worked out by hand."""

    def groups(*truth: Outage) -> list[list[int]]:
        return sorted(sorted(one.outages) for one in expected(truth, moment(600)))

    flap = Outage("core-1", "voice", 0, 10), Outage("core-1", "data", 40, 50), Outage("core-1", "voice", 81, 90)
    assert groups(*flap) == [[0, 1], [2]]
    assert groups(Outage("core-1", "voice", 0, 10), Outage("cell-1a", "voice", 5, 20)) == [[0, 1]]
    # what is beside is not joined, but by what is above both, or by what they share
    beside = Outage("edge-1a", "voice", 0, 10), Outage("edge-1b", "voice", 0, 10)
    assert groups(*beside) == [[0], [1]]
    assert groups(*beside, Outage("core-1", "voice", 20, 30)) == [[0, 1, 2]]
    assert groups(Outage("edge-1a", "voice", 0, 10, "feed-1"), Outage("edge-2", "data", 0, 10, "feed-1")) == [[0, 1]]
    assert groups(Outage(None, "voice", 0, None), Outage(None, "data", 0, None)) == [[0], [1]]
    (one,) = expected(flap[:2], moment(60))
    assert one == Found(
        frozenset({0, 1}),
        frozenset({"core-1"}),
        moment(0),
        moment(50),
        "recovering",
        frozenset(
            {
                Hit("voice", moment(10), 10 * MINUTE, "periodic", USERS),
                Hit("data", moment(50), 50 * MINUTE, "periodic", USERS),
            }
        ),
    )


class Record(NamedTuple):
    """What one store holds at the end, by incident."""

    found: dict[str, object]
    owed: set[tuple[str, str, int]]


def record(house: House, truth: tuple[Outage, ...]) -> Record:
    by_id = {
        incident.id: (incident.failure_started_at, incident.restored_at, incident.state, incident.units)
        for incident in house.incidents()
    }
    owed = {(row.incident_id, row.object, row.wanted) for row in house.owed()}
    assert found(house, truth) is not None
    return Record(by_id, owed)


def derive(house: House) -> None:
    while derive_waiting(house.database, house.catalogue, HOLD, house.clock()):
        pass


@given(streams(), st.data())
@settings(max_examples=25 * EXAMPLES, suppress_health_check=list(HealthCheck))
def test_any_order_and_repetition_ends_in_the_incidents_of_the_truth(stream: Stream, data: st.DataObject) -> None:
    """Nothing is assessed in between: then not even the ids, or what is owed to whom, may differ."""
    end = max(one.at for one in stream.before + stream.last)
    look = data.draw(LOOKS, label="look")
    records = []
    for _ in range(2):
        again = data.draw(st.lists(st.sampled_from(stream.before), max_size=5), label="again")
        order = data.draw(st.permutations([*stream.before, *again]), label="order")
        last = data.draw(st.permutations(stream.last), label="last")
        one_by_one = data.draw(st.booleans(), label="one by one")
        with TemporaryDirectory() as folder, House(Path(folder, "store")) as house:
            house.clock.now = moment(end)
            for one in (*order, *last):
                house.clock.advance(seconds=20)
                house.take_in(one)
                if one_by_one:
                    derive(house)
            derive(house)
            house.clock.now = moment(end + 30) + look
            house.settle()
            assert found(house, stream.truth) == expected(stream.truth, house.clock())
            records.append(record(house, stream.truth))
            owes_what_it_must(house, exactly=True)
    assert records[0] == records[1]


class Arrival(NamedTuple):
    """A body with the minute at which it comes, and what happens after it."""

    at: float
    body: Body
    then: str


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[Stream, list[Arrival]]:
    """Each body some time after it was sent, some twice, or none at all; then the last words, at once or one by one."""
    stream = draw(streams())
    # at once, within the hold, long after it
    delays = st.sampled_from((0.0, 0.1, 1, 7, 25, 100))
    then = st.sampled_from(("nothing", "tick", "look", "restart"))
    heard = draw(st.sampled_from((True, True, False)))
    again = draw(st.lists(st.sampled_from(stream.before), max_size=4))
    story = [Arrival(one.at + draw(delays), one, draw(then)) for one in (*stream.before, *again)] if heard else []
    at = max([one.at for one in stream.before + stream.last] + [arrival.at for arrival in story])
    for one in draw(st.permutations(stream.last)):
        at += draw(st.sampled_from((1, 1, 40)))
        story.append(Arrival(at, one, draw(then)))
    return stream, sorted(story, key=lambda arrival: arrival.at)


def looked(house: House, then: str) -> None:
    (house.look if then == "look" else house.tick)()
    holds_at_any_time(house)


def play(house: House, story: list[Arrival], look: Callable[[House, str], None] = looked) -> None:
    for arrival in story:
        house.clock.now = max(house.clock.now, moment(arrival.at))
        house.take_in(arrival.body)
        if arrival.then == "restart":
            house.restart()
        if arrival.then != "nothing":
            look(house, arrival.then)


@given(arrivals(), LOOKS)
@settings(max_examples=25 * EXAMPLES, suppress_health_check=list(HealthCheck))
def test_ticks_and_restarts_while_it_comes_in_change_nothing_in_the_end(
    told: tuple[Stream, list[Arrival]], look: timedelta
) -> None:
    stream, story = told
    with TemporaryDirectory() as folder, House(Path(folder, "store")) as house:
        play(house, story)
        house.clock.now += look
        house.settle()
        assert regardless_of_users(found(house, stream.truth)) == regardless_of_users(expected(stream.truth, house.clock()))
        holds_at_any_time(house)
        owes_what_it_must(house, exactly=False)


V, D = "voice", "data"
BY_HAND: dict[str, tuple[tuple[Outage, ...], tuple[tuple[float, int, str], ...]]] = {
    "a gap of just the hold is within it": (
        (Outage("core-1", V, 0, 10), Outage("core-1", V, 40, 50)),
        ((10, 0, "over"), (41, 1, "fires"), (50, 1, "over")),
    ),
    "a gap of more than the hold is not": (
        (Outage("core-1", V, 0, 10), Outage("core-1", V, 41, 50)),
        ((10, 0, "over"), (41, 1, "fires"), (50, 1, "over")),
    ),
    "what is above two that were closed makes them one": (
        (Outage("edge-1a", V, 0, 10), Outage("edge-1b", D, 0, 10), Outage("core-1", V, 5, 8)),
        ((10, 0, "over"), (10, 1, "over"), (60, 0, "over"), (61, 2, "over")),
    ),
    "a recovery that is heard of late parts what it seemed to reach": (
        (Outage("edge-1a", V, 0, 5), Outage("core-1", V, 70, 75)),
        ((1, 0, "fires"), (71, 1, "fires"), (72, 0, "over"), (75, 1, "over")),
    ),
    "a service that another failure hit is withdrawn while this one goes on": (
        (Outage("core-1", V, 0, 5, "feed-1"), Outage("core-2", D, 70, None, "feed-1"), Outage("core-1", V, 20, 50)),
        ((1, 0, "fires"), (21, 2, "fires"), (71, 1, "fires"), (73, 0, "over"), (74, 2, "over")),
    ),
    "what is heard of a service after all was closed is judged": (
        (Outage("core-1", V, 20, 40), Outage("core-1", D, 0, 30)),
        ((40, 0, "over"), (100, 0, "over"), (101, 1, "over")),
    ),
    "what late news make major waits for a person though it was closed": (
        (Outage("core-1", V, 30, 60), Outage("core-1", V, 0, 20)),
        ((60, 0, "over"), (100, 0, "over"), (101, 1, "over")),
    ),
    "what fires on was never over": (
        (Outage("core-1", V, 0, None),),
        ((1, 0, "fires"), (2, 0, "over"), (60, 0, "over"), (62, 0, "fires")),
    ),
    "what fires within the hold of what was closed continues it": (
        (Outage("core-1", V, 0, 10), Outage("core-1", V, 39, None)),
        ((10, 0, "over"), (50, 0, "over"), (51, 1, "fires")),
    ),
}


@pytest.mark.parametrize(("truth", "news"), BY_HAND.values(), ids=BY_HAND)
def test_it_is_so_in_cases_made_by_hand(
    tmp_path: Path, truth: tuple[Outage, ...], news: tuple[tuple[float, int, str], ...]
) -> None:
    """With a tick after each piece of news. What fires on may be called over for a time: then it ended when that was said."""
    with House(tmp_path / "store") as house:
        for at, number, what in news:
            its = truth[number]
            end = (at if its.end is None else its.end) if what == "over" else None
            play(house, [Arrival(at, body([say(its, at, start=its.start, end=end)], at), "tick")])
        house.clock.advance(minutes=45)
        house.settle()
        assert found(house, truth) == expected(truth, house.clock())
        owes_what_it_must(house, exactly=False)


def holds_at_any_time(house: House) -> None:
    """What must be so after any tick, whatever was told."""
    alerts, latest, numbered = house.alerts(), house.latest(), house.numbers()
    by_id = {incident.id: incident for incident in house.incidents()}
    for incident in by_id.values():
        numbers = numbered.get(incident.id, [])
        assert numbers == list(range(1, len(numbers) + 1)), f"{incident.id}: assessments are numbered {numbers}"
        assert all(a.duration >= timedelta() for a in latest[incident.id])
        if incident.joined_to:
            assert incident.state == "closed"
            assert not alerts[incident.id], "an alert is left in what is part of another"
            assert by_id[incident.joined_to].joined_to != incident.id
        else:
            assert alerts[incident.id], "an incident of nothing"
            assert latest[incident.id] or incident.dismissed, "nobody assessed it"


def ends(latest: Sequence[Conclusion]) -> bool:
    """Whether they say that it is over. What was withdrawn stays as it was then: nothing of it is shown."""
    return all(each.withdrawn or each.state in ("restored", "closed") for each in latest)


def owes_what_it_must(house: House, *, exactly: bool) -> None:
    """A wall is owed every incident, a desk what may be major; both that it is over, once that is final.

    `exactly`: nothing that was believed for a time had a ticket made.
    """
    latest = house.latest()
    owed = {(row.incident_id, row.object): row for row in house.owed()}
    for incident in house.standing():
        its = latest[incident.id]
        number = max(assessment.number for assessment in its)
        over = incident.state in ("restored", "closed")
        annotation, ticket = owed[incident.id, "annotation"], owed.get((incident.id, "ticket"))
        assert (annotation.wanted, ends(its)) == (number, over)
        # over long enough, or soon so
        until = {a.service: a.restored_at or house.clock() + LEAD for a in its}
        due = any(until[name] - incident.failure_started_at >= MAJOR_AFTER[name] for name in until)
        assert ticket or not due, "no ticket for what may be major"
        if ticket:
            assert ticket.wanted == number
            assert due or not exactly
    for incident in house.incidents():
        if incident.joined_to:
            rows = [row for (id_, _), row in owed.items() if id_ == incident.id]
            number = max((a.number for a in latest[incident.id]), default=0)
            assert ends(latest[incident.id]), "a part goes on"
            assert all(row.wanted == number for row in rows), "the ticket of a part was not told"
