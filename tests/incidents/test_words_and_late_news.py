"""What persons stated, and what is heard late, together: neither hides an outage, makes a second ticket, or loses the other."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from receiver.catalogue import Catalogue
from receiver.catalogue.topology import Declared
from receiver.incidents import acts, correlate, derive, learn
from receiver.model import Closed, Counted, Deed, Dismissed, EmergencyCalls, Incident, Merged, Opened, Reopened, Timed
from receiver.observation.prometheus import Sample
from receiver.storage import notifications
from tests.incidents.streams import CATALOGUE, HOLD, MINUTE, House, Outage, body, moment, say

VOICE = Outage("core-1", "voice", 0, None)
DATA = Outage("core-1", "data", 0, None)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path / "store") as house:
        yield house


def told(house: House, at: float, *said: tuple[Outage, float, float | None]) -> None:
    """Take in, at so many minutes, what is said of alerts: start, and end unless it fires; and tick."""
    house.clock.now = moment(at)
    if said:
        house.take_in(body([say(what, at, start=start, end=end) for what, start, end in said], at))
    house.tick()


def state(house: House, deed: Deed, incident: Incident | None = None) -> str:
    id_ = incident.id if incident else None
    act = acts.state(house.database, house.catalogue, id_, deed, "a person", "for the test", house.clock())
    return act.incident_id


def minutes(of: datetime | None) -> float | None:
    return (of - moment(0)) / MINUTE if of else None


def lives(house: House) -> list[tuple[str, float | None, float | None]]:
    """State, start and end of those that stand, earliest first."""
    its = sorted(house.standing(), key=lambda each: each.failure_started_at)
    return [(each.state, minutes(each.failure_started_at), minutes(each.restored_at)) for each in its]


def tickets(house: House) -> set[str]:
    """The incidents with a ticket that do not say that they are over."""
    going_on = {id_ for id_, latest in house.latest().items() if any(each.state not in ("restored", "closed") for each in latest)}
    return {row.incident_id for row in house.owed() if row.object == "ticket"} & going_on


def test_a_stated_end_does_not_end_what_fires_again_after_it(house: House) -> None:
    told(house, 1, (VOICE, 0, None))
    told(house, 12, (VOICE, 0, 10))
    state(house, Timed(restored_at=moment(10)), house.standing()[0])
    told(house, 26, (VOICE, 25, None))
    told(house, 300)
    assert lives(house) == [("open", 0, None)]
    assert tickets(house) == {house.standing()[0].id}


def test_an_alert_that_hangs_after_its_stated_end_hides_no_later_outage(house: House) -> None:
    told(house, 1, (VOICE, 0, None))
    house.clock.now = moment(20)
    state(house, Timed(restored_at=moment(10)), house.standing()[0])
    told(house, 60)
    told(house, 200, (Outage("edge-1a", "data", 0, None), 190, None))
    told(house, 400)
    assert lives(house) == [("closed", 0, 10), ("open", 190, None)]


def test_late_evidence_joins_what_a_person_ended_with_what_goes_on(house: House) -> None:
    told(house, 1, (VOICE, 0, None))
    told(house, 11, (VOICE, 0, 10))
    state(house, Timed(restored_at=moment(9)), house.standing()[0])
    told(house, 50)
    told(house, 61, (VOICE, 60, None))
    told(house, 150)
    told(house, 151, (DATA, 35, 40))
    told(house, 152)
    assert lives(house) == [("open", 0, None)]
    assert len(tickets(house)) == 1


def test_facts_that_were_stated_of_a_part_hold_for_the_whole(house: House) -> None:
    told(house, 1, (VOICE, 0, None))
    told(house, 11, (VOICE, 0, 10))
    told(house, 61, (VOICE, 60, None))
    first, second = sorted(house.standing(), key=lambda each: each.failure_started_at)
    house.clock.now = moment(62)
    state(house, Counted("voice", 20_000), second)
    state(house, EmergencyCalls("voice", True), second)
    told(house, 63)
    told(house, 64, (DATA, 35, 40))
    told(house, 65)
    (whole,) = house.standing()
    assert whole.id == first.id
    voice = next(each for each in house.latest()[whole.id] if each.service == "voice")
    assert (voice.affected_users, voice.method) == (20_000, "stated")


def test_a_stated_start_gives_way_to_an_outage_that_is_heard_of_later_and_began_before(house: House) -> None:
    told(house, 61, (VOICE, 60, None))
    state(house, Timed(started_at=moment(58)), house.standing()[0])
    told(house, 62)
    assert lives(house) == [("open", 58, None)]
    told(house, 63, (DATA, 0, 40))
    told(house, 64)
    assert lives(house) == [("open", 0, None)]


def test_what_a_person_merged_stays_when_late_news_part_what_came_to_it(house: House) -> None:
    told(house, 61, (VOICE, 60, None), (Outage("core-2", "voice", 0, None), 60, None))
    one, other = house.standing()
    state(house, Merged(part=other.id, whole=one.id), other)
    state(house, Counted("voice", 20), one)
    told(house, 62)
    told(house, 63, (DATA, 0, None))
    told(house, 64, (DATA, 0, 10))
    told(house, 65)
    assert {alert.starts_at for alert in house.alerts()[one.id]} == {moment(60)}
    assert [(each.service, each.affected_users) for each in house.latest()[one.id] if not each.withdrawn] == [("voice", 20)]


def test_a_close_is_taken_back_when_it_turns_out_to_have_gone_on(house: House) -> None:
    told(house, 1, (VOICE, 0, None))
    told(house, 90)
    told(house, 101, (VOICE, 0, 100))
    told(house, 140)
    state(house, Closed(), house.standing()[0])
    told(house, 141)
    assert lives(house) == [("closed", 0, 100)]
    told(house, 150, (VOICE, 0, None))
    told(house, 901, (VOICE, 0, 900))
    told(house, 940)
    assert lives(house) == [("restored", 0, 900)]


def test_a_twin_of_a_dismissed_alert_is_dismissed_too_and_what_begins_after_it_is_not(house: House) -> None:
    told(house, 1, (VOICE, 0, None))
    state(house, Dismissed(), house.standing()[0])
    told(house, 3, (VOICE, 0.5, None))
    assert [each.state for each in house.standing()] == ["closed"]
    told(house, 10, (VOICE, 0, 9), (VOICE, 0.5, 9))
    told(house, 12, (VOICE, 11, None))
    assert sorted(each.state for each in house.standing()) == ["closed", "open"]


def test_a_dismissal_that_is_taken_back_leaves_one_incident(house: House) -> None:
    told(house, 1, (VOICE, 0, None))
    one = house.standing()[0]
    state(house, Dismissed(), one)
    told(house, 5, (DATA, 4, None))
    assert len([each for each in house.standing() if each.state == "open"]) == 1
    state(house, Reopened(), one)
    told(house, 6)
    assert [(each.id, each.state) for each in house.standing()] == [(one.id, "open")]


@pytest.mark.parametrize("person_first", [True, False])
def test_an_outage_that_a_person_opens_is_one_with_the_alerts_below_it(house: House, *, person_first: bool) -> None:
    house.clock.now = moment(2)
    opened = Opened(("voice",), "core-1", moment(1).astimezone(timezone(timedelta(hours=9))))
    if person_first:
        state(house, opened)
    told(house, 2, (Outage("cell-1a", "voice", 0, None), 0, None))
    if not person_first:
        state(house, opened)
    told(house, 3)
    assert lives(house) == [("open", 0, None)]


def test_where_a_clock_time_is_typed_in_another_zone_the_incident_is_the_same(house: House) -> None:
    house.clock.now = moment(2)
    id_ = state(house, Opened(("voice",), "core-1", moment(1).astimezone(timezone(timedelta(hours=9)))))
    with House(Path(house.settings.data_dir).parent / "other") as other:
        other.clock.now = moment(2)
        assert state(other, Opened(("voice",), "core-1", moment(1).astimezone(UTC))) == id_


def test_what_fires_again_under_its_old_start_is_found_long_after(house: House) -> None:
    told(house, 1, (VOICE, 0, None))
    told(house, 11, (VOICE, 0, 10))
    told(house, 12, (VOICE, 0, None))
    told(house, 120, (DATA, 119, None))
    assert lives(house) == [("open", 0, None)]


def test_an_end_in_years_to_come_is_an_end_when_it_is_said(house: House) -> None:
    told(house, 1, (VOICE, 0, 60 * 24 * 365 * 50))
    assert lives(house) == [("recovering", 0, 1)]
    told(house, 40)
    assert lives(house) == [("closed", 0, 1)]


def grafana(house: House, at: float, fingerprint: str, start: float, end: float | None = None, **labels: str) -> None:
    house.clock.now = moment(at)
    alert = say(VOICE, at, start=start, end=end).alert | {"fingerprint": fingerprint, "labels": labels}
    with house.database.inbox.write() as connection:
        document = json.dumps({"version": "1", "status": "firing", "alerts": [alert]}).encode()
        notifications.add(connection, "grafana", house.clock(), document)
    house.tick()


def test_a_rule_of_grafana_without_data_opens_nothing_that_was_over_before(house: House) -> None:
    down = {"alertname": "Down", "service": "voice", "equipment": "core-1"}
    grafana(house, 1, "g1", 0, **down)
    grafana(house, 11, "g1", 0, 10, **down)
    told(house, 60)
    grafana(house, 300, "g2", 300, alertname="DatasourceNoData", rulename="Down")
    grafana(house, 301, "g1", 301, **down)
    assert lives(house) == [("closed", 0, 10), ("open", 301, None)]
    # nor does an act on it: it is looked at once more
    state(house, EmergencyCalls("voice", False), min(house.standing(), key=lambda each: each.failure_started_at))
    told(house, 302)
    assert lives(house) == [("closed", 0, 10), ("open", 301, None)]
    # while it has none, "resolved" is no recovery
    grafana(house, 305, "g1", 301, 304, **down)
    assert lives(house) == [("closed", 0, 10), ("open", 301, None)]


@pytest.mark.parametrize("assessed", [True, False])
def test_living_incidents_under_another_configuration_are_told_apart_anew_and_none_is_lost(
    tmp_path: Path, *, assessed: bool
) -> None:
    """By the old cause label {a, b} {c, d} {e, f}, by the new one {b, c} {d, e}."""

    def labelled(names: str) -> list[dict[str, object]]:
        found = []
        for name in names:
            labels = {"alertname": "Down", "service": "voice", "equipment": f"x-{name}"}
            labels |= {"ring": ("ab", "cd", "ef")[(ord(name) - ord("a")) // 2], "feed": {"c": "b", "e": "d"}.get(name, name)}
            start = "bcadef".index(name) / 10
            found.append(say(VOICE, 1, start=start).alert | {"labels": labels, "fingerprint": f"f-{name}"})
        return found

    def take(house: House, alerts: list[dict[str, object]]) -> None:
        with house.database.inbox.write() as connection:
            notifications.add(connection, "alertmanager", house.clock(), json.dumps({"version": "4", "alerts": alerts}).encode())

    def catalogue(label: str) -> Catalogue:
        return Catalogue(CATALOGUE.services, Declared(cause_labels=(label,)))

    with House(tmp_path / "store", catalogue("ring")) as house:
        house.clock.now = moment(1)
        take(house, labelled("bcadef"))
        derive.derive_waiting(house.database, house.catalogue, HOLD, house.clock())
        if assessed:
            house.tick()
        house.catalogue = catalogue("feed")
        house.restart()
        for minute, name in ((6, "a"), (16, "d")):
            house.clock.now = moment(minute)
            more = labelled(name)
            more[0]["fingerprint"], more[0]["startsAt"] = f"g-{name}", moment(minute).isoformat()
            take(house, more)
            house.tick()
        told(house, 300)
        assert sorted(each.units for each in house.standing()) == [("x-a",), ("x-b", "x-c"), ("x-d", "x-e"), ("x-f",)]
        assert all(each.state == "open" for each in house.standing())
        assert all(house.latest()[each.id] for each in house.standing())


def test_the_topology_is_not_taken_for_known_when_it_could_not_be_acted_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.catalogue = Catalogue(CATALOGUE.services)
    house.restart()
    told(house, 1, (Outage("cell-x", "voice", 0, None), 0, None), (Outage("edge-x", "voice", 0, None), 0, None))
    assert len(house.standing()) == 2

    def parents(query: str) -> list[object]:
        if "equipment_parent" not in query:
            return []
        return [Sample({"equipment": "cell-x", "parent": "edge-x"}, house.clock().timestamp(), 1.0)]

    monkeypatch.setattr(house.prometheus, "instant", parents)

    def fails(*_: object) -> None:
        raise RuntimeError("in the middle")

    house.clock.now = moment(60 * 25)
    with monkeypatch.context() as broken:
        broken.setattr(learn, "derive_again", fails)
        with pytest.raises(RuntimeError):
            house.tick()
    house.tick()
    assert [each.units for each in house.standing()] == [("edge-x",)]


def test_a_flap_concerns_its_own_incident_and_none_of_the_past(house: House) -> None:
    every = [(VOICE, float(n * 120), float(n * 120 + 10)) for n in range(300)]
    house.clock.now = moment(300 * 120)
    for one in every:
        house.take_in(body([say(VOICE, 0, start=one[1], end=one[2])], 0))
    house.settle()
    before = {each.id: each for each in house.standing()}
    house.take_in(body([say(VOICE, 0, start=300 * 120.0)], 0))
    derive.derive_waiting(house.database, house.catalogue, HOLD, house.clock())
    assert {id_: each for id_, each in {i.id: i for i in house.standing()}.items() if id_ in before} == before


def test_one_act_makes_no_more_to_compare_of_a_thousand_alerts(house: House) -> None:
    """Of each with each there would be half a million pairs."""
    house.clock.now = moment(1)
    house.take_in(body([say(Outage(f"x-{n}", "voice", 0, None, "feed-1"), 0, start=0) for n in range(1000)], 0))
    house.tick()
    (its,) = house.alerts().values()
    its[0] = msgspec.structs.replace(its[0], pinned=True)
    pairs = list(correlate._related(correlate.stretches(its, house.catalogue, HOLD), {}))
    assert 999 <= len(pairs) <= 3000
