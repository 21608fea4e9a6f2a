"""What a person states is checked, kept whole with its effect, or refused whole; and no alert is ever lost by it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.topology import Declared, DeclaredUnit
from receiver.incidents.acts import alerts_on, not_handed_on, state
from receiver.incidents.derive import derive_waiting
from receiver.incidents.facts import Refused
from receiver.incidents.fold import ended_at
from receiver.law.near_miss import Answers
from receiver.law.wording import clock_time
from receiver.model import (
    RECEIVER,
    Act,
    Alert,
    Caused,
    Closed,
    Counted,
    Deed,
    Dismissed,
    Drilled,
    EmergencyCalls,
    Incident,
    Merged,
    NearMissAnswered,
    Opened,
    Planned,
    Reopened,
    Split,
    Timed,
    Withdrawn,
)
from receiver.stated import Stated, in_words
from receiver.stated import stated as fold_of_acts
from receiver.storage import acts as kept_acts
from receiver.storage import incidents as store
from receiver.storage import notifications
from tests import stores
from tests.fakes.prometheus import FakePrometheus
from tests.receiver import SERVICES, Receiver

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HOLD = timedelta(hours=1)
WHO, WHY = "kenji", "calls from customers"
CATALOGUE = Catalogue(
    (
        Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',), users_total=90_000),
        Service(name="data", kind="internet_access", match=('service="data"',), equipment_label="node"),
        Service(name="mail", kind="email", charged=True, match=('service="mail"',)),
    ),
    Declared(
        units=(
            DeclaredUnit(name="core-1"),
            DeclaredUnit(name="edge-1", parent="core-1"),
            DeclaredUnit(name="cell-1", parent="edge-1"),
        )
    ),
)


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


class Desk:
    """A store, and a person who states things about what is in it."""

    def __init__(self, folder: Path) -> None:
        self.database = stores.opened(folder)
        self.now = after(30)

    def told(self, equipment: str, starts: float, ends: float | None = None, service: str = "voice") -> str:
        """An alert comes in, minutes after T0; the id of its incident."""
        alert = {
            "status": "firing" if ends is None else "resolved",
            "labels": {"alertname": "Down", "service": service, "equipment": equipment},
            "annotations": {},
            "startsAt": after(starts).isoformat(),
            "endsAt": "0001-01-01T00:00:00Z" if ends is None else after(ends).isoformat(),
            "fingerprint": f"{equipment}-{service}",
        }
        body = msgspec.json.encode({"version": "4", "status": "firing", "alerts": [alert]})
        with self.database.inbox.write() as connection:
            notifications.add(connection, "alertmanager", self.now, body)
        derive_waiting(self.database, CATALOGUE, HOLD, self.now)
        with self.database.read() as connection:
            its = store.sightings(connection, [("alertmanager", f"{equipment}-{service}")])
        id_ = its["alertmanager", f"{equipment}-{service}"][after(starts)].incident_id
        assert id_
        return id_

    def state(self, incident_id: str | None, deed: Deed, who: str = WHO, why: str = WHY) -> Act:
        return state(self.database, CATALOGUE, incident_id, deed, who, why, self.now)

    def open(self, *services: str, equipment: str | None = None, started: float = 0) -> str:
        return self.state(None, Opened(services or ("voice",), equipment, after(started))).incident_id

    def opened_and_over(self, started: float, restored: float, equipment: str) -> str:
        """An outage that was over when a person told of it."""
        id_ = self.open("voice", equipment=equipment, started=started)
        self.state(id_, Timed(restored_at=after(restored)))
        self.put(id_, state="restored", restored_at=after(restored))
        return id_

    def put(self, id_: str, **changes: Any) -> None:
        """What a tick would have made of it."""
        with self.database.write() as connection:
            store.save(connection, msgspec.structs.replace(self.incident(id_), **changes))

    def incident(self, id_: str) -> Incident:
        with self.database.read() as connection:
            found = store.get(connection, id_)
        assert found
        return found

    def alerts(self, id_: str) -> list[Alert]:
        with self.database.read() as connection:
            return store.alerts_of(connection, [id_])[id_]

    def acts(self, id_: str) -> list[Act]:
        with self.database.read() as connection:
            return kept_acts.of_incidents(connection, [id_])[id_]

    def everything(self) -> tuple[list[tuple[Any, ...]], ...]:
        with self.database.read() as connection:
            return tuple(
                sorted(tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}"))  # noqa: S608
                for table in ("incidents", "alerts", "acts")
            )

    def refuses(self, incident_id: str | None, deed: Deed, *words: str, who: str = WHO, why: str = WHY) -> None:
        """Clearly, and nothing of it is kept."""
        before = self.everything()
        with pytest.raises(Refused) as refused:
            self.state(incident_id, deed, who, why)
        for word in words:
            assert word in str(refused.value)
        assert self.everything() == before


@pytest.fixture
def desk(tmp_path: Path, each_store: str) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


FACTS: list[Deed] = [
    Caused("hardware"),
    Timed(started_at=after(-5)),
    Timed(started_at=after(-5), restored_at=after(20)),
    Counted("voice", 32_000, stopped=30_000, degraded=2_000),
    Planned(after(-10), after(600)),
    Drilled(),
    EmergencyCalls("voice", affected=False),
    NearMissAnswered(Answers(standby_not_switched=True)),
]


@pytest.mark.parametrize("deed", FACTS, ids=lambda deed: type(deed).__name__)
def test_a_fact_is_kept_with_who_and_why_and_the_incident_is_judged_anew(desk: Desk, deed: Deed) -> None:
    id_ = desk.told("core-1", 0)
    before = desk.incident(id_)
    act = desk.state(id_, deed)
    assert desk.acts(id_) == [act]
    assert (act.incident_id, act.at, act.who, act.why, act.deed) == (id_, desk.now, WHO, WHY, deed)
    assert desk.incident(id_) == msgspec.structs.replace(before, to_assess=True)


def test_what_is_stated_twice_is_kept_twice(desk: Desk) -> None:
    id_ = desk.told("core-1", 0)
    desk.state(id_, Caused("hardware"))
    desk.state(id_, Caused("software"))
    desk.state(id_, Caused("hardware"))
    assert [act.deed for act in desk.acts(id_)] == [Caused("hardware"), Caused("software"), Caused("hardware")]


def test_a_fact_may_be_stated_of_what_is_closed(desk: Desk) -> None:
    id_ = desk.told("core-1", 0, 10)
    desk.put(id_, state="closed", restored_at=after(10))
    desk.state(id_, Counted("voice", 32_000))
    assert (desk.incident(id_).state, desk.incident(id_).to_assess) == ("closed", True)


TOKYO = timezone(timedelta(hours=9))
WRONG: dict[str, tuple[Deed, tuple[str, ...]]] = {
    "no times": (Timed(), ("neither a start nor an end",)),
    "a time without zone": (Timed(started_at=datetime(2026, 11, 21, 12, 0)), ("time zone",)),  # noqa: DTZ001
    "a start ahead": (Timed(started_at=after(32)), ("lies ahead", "2026-11-21 12:30:00 JST")),
    "an end ahead": (Timed(restored_at=after(32)), ("lies ahead",)),
    "the end of time": (Timed(started_at=datetime.max.replace(tzinfo=TOKYO)), ("lies ahead",)),
    "the begin of time": (Timed(started_at=datetime.min.replace(tzinfo=TOKYO)), ("before the Act",)),
    "an end before the start": (Timed(after(20), after(19)), ("before the start", "12:19:00 JST")),
    "an end before the known start": (Timed(restored_at=after(-1)), ("before the start",)),
    "no kind of cause": (Caused("gremlins"), ("'gremlins'", "hardware")),  # type: ignore[arg-type]
    "another service": (Counted("data", 5), ("does not hit 'data'", "voice")),
    "no service": (Counted("television", 5), ("does not hit 'television'",)),
    "users below zero": (Counted("voice", -1), ("no number of users",)),
    "more users than there are": (Counted("voice", 90_001), ("90,001", "90,000")),
    "more users than can be written": (Counted("voice", 10**30), ("no number of users",)),
    "stopped below zero": (Counted("voice", 5, stopped=-1), ("no number of users",)),
    "parts above the whole": (Counted("voice", 5, stopped=3, degraded=3), ("more than the 5",)),
    "a plan that ends first": (Planned(after(10), after(10)), ("before it begins",)),
    "a plan in another age": (Planned(after(10), after(60 * 24 * 400)), ("lies ahead",)),
    "emergency calls of another service": (EmergencyCalls("data", affected=True), ("does not hit",)),
    "no answer": (NearMissAnswered(Answers()), ("no question is answered",)),
}


@pytest.mark.parametrize(("deed", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_so_is_refused_whole(desk: Desk, deed: Deed, words: tuple[str, ...]) -> None:
    id_ = desk.told("core-1", 0)
    desk.refuses(id_, deed, *words)


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("", WHY),
        (WHO, " "),
        ("k" * 201, WHY),
        (WHO, "w" * 2001),
        ("ken\nji", WHY),
        (WHO, "red \x1b[31m"),
        (WHO, "turned \u202e round"),
        (WHO, "a half \ud800"),
        (RECEIVER, WHY),
        (f" {RECEIVER.upper()} ", WHY),
    ],
)
def test_who_and_why_are_one_plain_line_of_a_person(desk: Desk, who: str, why: str) -> None:
    desk.refuses(desk.told("core-1", 0), Drilled(), who=who, why=why)


def test_a_time_may_be_ahead_by_as_much_as_clocks_differ(desk: Desk) -> None:
    id_ = desk.told("core-1", 0)
    desk.state(id_, Timed(restored_at=desk.now + timedelta(seconds=59)))


def test_emergency_calls_are_stated_only_of_what_carries_them(desk: Desk) -> None:
    id_ = desk.told("core-1", 0, service="mail")
    desk.refuses(id_, EmergencyCalls("mail", affected=True), "carries no emergency calls")


def test_the_checklist_is_answered_only_of_days_on_which_it_was_in_force(desk: Desk) -> None:
    id_ = desk.open("voice", started=-60 * 24 * 365 * 8)
    desk.refuses(id_, NearMissAnswered(Answers(burned=True)), "not in force")


@pytest.mark.parametrize("id_", ["20261121-nothing", "", "\x00", "\ud800", None])
def test_nothing_is_stated_of_an_incident_that_is_not_there(desk: Desk, id_: str | None) -> None:
    desk.refuses(id_, Drilled(), "there is no incident")


# -- open --


def test_a_person_opens_an_outage_that_no_alert_tells_of(desk: Desk) -> None:
    act = desk.state(None, Opened(("data", "voice"), "core-9", after(-20)))
    incident, (alert,) = desk.incident(act.incident_id), desk.alerts(act.incident_id)
    assert (incident.state, incident.failure_started_at, incident.equipment) == ("open", after(-20), "core-9")
    assert (incident.units, incident.start_basis, incident.start_settled) == (("core-9",), "person", True)
    assert (alert.source, alert.fingerprint, alert.learnt, alert.pinned) == ("person", f"act-{act.id}", "act", True)
    assert alert.labels == {"service": "voice,data", "equipment": "core-9"}
    assert (alert.cause, ended_at(alert, [alert])) == (incident.cause, None)
    assert act.deed == Opened(("voice", "data"), "core-9", after(-20))


def test_an_alert_on_the_same_equipment_belongs_to_what_a_person_opened(desk: Desk) -> None:
    id_ = desk.open("voice", equipment="core-9")
    assert desk.told("core-9", 5) == id_
    assert len(desk.alerts(id_)) == 2


def test_what_a_person_opened_is_over_when_a_person_says_so(desk: Desk) -> None:
    id_ = desk.open("voice", started=0)
    desk.state(id_, Timed(restored_at=after(20)))
    (alert,) = desk.alerts(id_)
    assert ended_at(alert, [alert]) == after(20)
    desk.state(id_, Timed(restored_at=after(10)))
    assert desk.alerts(id_)[0].ends_at == after(10)


def test_its_end_is_never_before_its_start_though_a_person_moves_both(desk: Desk) -> None:
    id_ = desk.open("voice", started=10)
    desk.state(id_, Timed(after(-30), after(5)))
    (alert,) = desk.alerts(id_)
    assert alert.ends_at == alert.starts_at == after(10)


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (Opened((), None, T0), ("no service",)),
        (Opened(("television",), None, T0), ("'television'", "voice, data, mail")),
        (Opened(("voice",), "", T0), ("equipment is empty",)),
        (Opened(("voice",), "core\x00", T0), ("U+0000",)),
        (Opened(("voice",), "c" * 501, T0), ("501",)),
        (Opened(("voice",), None, after(40)), ("lies ahead",)),
    ],
)
def test_what_cannot_be_opened_is_refused(desk: Desk, deed: Deed, words: tuple[str, ...]) -> None:
    desk.refuses(None, deed, *words)


def test_what_is_open_already_is_not_opened_again(desk: Desk) -> None:
    id_ = desk.told("core-1", 0)
    desk.refuses(None, Opened(("voice",), "core-1", after(10)), id_, "core-1")
    desk.refuses(None, Opened(("voice",), None, after(10)), id_, "name its equipment")
    assert desk.open("data", started=10) != id_
    assert desk.open("voice", equipment="core-2", started=10) != id_


def test_what_was_over_before_is_no_reason_to_refuse(desk: Desk) -> None:
    id_ = desk.told("core-1", 0, 5)
    desk.put(id_, state="restored", restored_at=after(5))
    desk.refuses(None, Opened(("voice",), "core-1", after(4)), id_)
    assert desk.open("voice", equipment="core-1", started=6) != id_


def test_the_same_start_may_be_opened_again_after_a_dismissal(desk: Desk) -> None:
    first = desk.open("voice")
    desk.state(first, Dismissed())
    second = desk.open("voice")
    assert second != first
    assert len(desk.alerts(first)) == len(desk.alerts(second)) == 1


# -- merge and split --


def test_two_outages_over_a_lull_become_one_accident_from_the_first_start_to_the_last_end(desk: Desk) -> None:
    # the mail outage of 2012-01-01: 21:30 to 22:35 and 23:03 to 00:45 were judged as one
    desk.now = after(600)
    first, second = desk.told("mail-1", 0, 65), desk.told("mail-2", 93, 195)
    for id_, end in ((first, 65), (second, 195)):
        desk.put(id_, state="closed", restored_at=after(end), closed_at=after(300))
    act = desk.state(second, Merged(second, first))
    whole, part = desk.incident(first), desk.incident(second)
    assert (whole.failure_started_at, whole.restored_at, whole.state) == (after(0), after(195), "restored")
    assert (whole.units, whole.closed_at, whole.to_assess) == (("mail-1", "mail-2"), None, True)
    assert (part.state, part.joined_to, part.closed_at, part.to_assess) == ("closed", first, desk.now, True)
    assert [(alert.incident_id, alert.pinned) for alert in desk.alerts(first)] == [(first, True)] * 2
    assert desk.alerts(second) == []
    assert [kept.deed for kept in (*desk.acts(first), *desk.acts(second))] == [act.deed] * 2


def test_later_news_of_what_was_merged_changes_nothing_of_it(desk: Desk) -> None:
    desk.now = after(600)
    first, second = desk.told("mail-1", 0, 65), desk.told("mail-2", 400, 410)
    desk.state(second, Merged(second, first))
    assert desk.told("mail-2", 400, 420) == first
    assert (desk.incident(first).failure_started_at, desk.incident(second).joined_to) == (after(0), first)


def test_a_start_that_moves_earlier_is_looked_up_anew(desk: Desk) -> None:
    later, earlier = desk.told("core-1", 20), desk.told("core-2", 0)
    desk.put(later, start_settled=True, good_at=after(19), start_basis="equipment_series")
    desk.put(earlier, start_settled=True, good_at=after(-2), start_basis="equipment_series", failure_started_at=after(-1))
    desk.state(earlier, Merged(earlier, later))
    whole = desk.incident(later)
    assert (whole.failure_started_at, whole.good_at, whole.start_settled) == (after(-1), after(-2), False)
    assert (whole.cause, whole.units) == (desk.incident(earlier).cause, ("core-2", "core-1"))


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("open", "closed"), "open"),
        (("closed", "open"), "open"),
        (("recovering", "restored"), "recovering"),
        (("restored", "closed"), "restored"),
    ],
)
def test_a_whole_is_not_over_before_its_parts_are(desk: Desk, states: tuple[str, str], expected: str) -> None:
    desk.now = after(600)
    ids = desk.told("core-1", 0, 10), desk.told("core-2", 200, 300)
    for id_, its, end in zip(ids, states, (10, 300), strict=True):
        desk.put(id_, state=its, restored_at=None if its == "open" else after(end))
    desk.state(ids[0], Merged(ids[1], ids[0]))
    whole = desk.incident(ids[0])
    assert (whole.state, whole.restored_at) == (expected, None if expected == "open" else after(300))


def test_what_persons_stated_of_the_times_of_two_holds_for_the_one_they_become(desk: Desk) -> None:
    desk.now = after(600)
    first, second = desk.opened_and_over(0, 65, "mail-1"), desk.opened_and_over(93, 195, "mail-2")
    desk.state(second, Merged(second, first))
    assert desk.acts(first)[-1].deed == Timed(restored_at=after(195))
    assert sorted(str(alert.ends_at) for alert in desk.alerts(first)) == [str(after(65)), str(after(195))]


@pytest.mark.parametrize("stated_of_the_earlier", [True, False])
def test_a_start_that_a_person_stated_is_no_later_than_that_of_the_whole(desk: Desk, stated_of_the_earlier: bool) -> None:
    earlier, later = desk.told("core-1", 0), desk.told("core-2", 20)
    desk.state(earlier if stated_of_the_earlier else later, Timed(started_at=after(-10 if stated_of_the_earlier else 15)))
    desk.state(earlier, Merged(earlier, later))
    its = desk.acts(later)[-1]
    # what nobody stated of the earlier is looked up: no statement is made of it
    assert its.deed == (Timed(started_at=after(-10)) if stated_of_the_earlier else Withdrawn(("started_at",)))
    assert (its.who, its.why) == (
        RECEIVER,
        f"申告2に伴う: {earlier}を{later}に統合 / follows from act 2: {earlier} became part of {later}",
    )
    if not stated_of_the_earlier:
        assert (desk.incident(later).failure_started_at, desk.incident(later).start_settled) == (after(0), False)


def test_a_whole_was_known_since_the_first_of_its_parts_was_and_is_as_unwatched_as_they_are(desk: Desk) -> None:
    known = desk.told("core-1", 0)
    desk.now = after(40)
    later = desk.told("core-2", 0)
    desk.put(known, unwatched_since=after(35))
    desk.state(known, Merged(known, later))
    assert (desk.incident(later).opened_at, desk.incident(later).unwatched_since) == (after(30), after(35))


def test_the_end_of_a_whole_is_that_of_its_last_part(desk: Desk) -> None:
    desk.now = after(600)
    first, second = desk.opened_and_over(0, 65, "mail-1"), desk.opened_and_over(93, 195, "mail-2")
    desk.state(second, Merged(second, first))
    desk.state(first, Timed(restored_at=after(210)))
    assert [alert.ends_at for alert in desk.alerts(first)] == [after(65), after(210)]
    desk.state(first, Timed(restored_at=after(50)))
    assert [alert.ends_at for alert in desk.alerts(first)] == [after(50), after(93)]


def test_a_merge_that_cannot_be_is_refused(desk: Desk) -> None:
    one, two, false = desk.told("core-1", 0), desk.told("core-2", 0), desk.told("core-3", 0)
    desk.state(false, Dismissed())
    desk.refuses(one, Merged(one, one), "part of itself")
    desk.refuses(one, Merged(one, "20261121-nothing"), "there is no incident")
    desk.refuses(false, Merged(one, two), "neither the part nor the whole")
    desk.refuses(one, Merged(one, false), "Reopen it first")
    desk.state(one, Merged(one, two))
    desk.refuses(one, Merged(one, two), f"{one} is part of {two}")
    desk.refuses(two, Merged(two, one), f"{one} is part of {two}")


@pytest.mark.parametrize("deed", [*FACTS, Dismissed(), Reopened(), Closed()], ids=lambda deed: type(deed).__name__)
def test_of_what_is_part_of_another_nothing_is_stated_and_the_other_is_named(desk: Desk, deed: Deed) -> None:
    one, two, three = desk.told("core-1", 0), desk.told("core-2", 0), desk.told("core-3", 0)
    desk.state(one, Merged(one, two))
    desk.state(two, Merged(two, three))
    desk.refuses(one, deed, f"State it of {three}")


def alerts_of(desk: Desk, id_: str, *equipment: str) -> tuple[tuple[str, str], ...]:
    return alerts_on(desk.database, CATALOGUE, id_, equipment, ())


def test_some_alerts_become_an_incident_of_their_own(desk: Desk) -> None:
    whole = desk.told("core-1", 0)
    desk.now = after(40)
    assert desk.told("edge-1", 10, 20) == whole  # it is under core-1
    act = desk.state(whole, Split("", whole, alerts_of(desk, whole, "edge-1")))
    assert isinstance(act.deed, Split)
    part = desk.incident(act.deed.part)
    assert (part.failure_started_at, part.units, part.state, part.start_settled) == (after(10), ("edge-1",), "open", False)
    assert part.opened_at == desk.incident(whole).opened_at == after(30)
    assert desk.incident(whole).units == ("core-1",)
    assert [(a.fingerprint, a.pinned) for a in desk.alerts(part.id)] == [("edge-1-voice", True)]
    assert [(a.fingerprint, a.pinned) for a in desk.alerts(whole)] == [("core-1-voice", True)]
    assert [kept.deed for kept in (*desk.acts(whole), *desk.acts(part.id))] == [act.deed] * 2


def test_what_was_split_is_not_joined_again_by_later_news(desk: Desk) -> None:
    desk.now = after(40)
    whole = desk.told("core-1", 0)
    desk.told("edge-1", 10)
    act = desk.state(whole, Split("", whole, alerts_of(desk, whole, "edge-1")))
    assert isinstance(act.deed, Split)
    assert desk.told("edge-1", 10, 30) == act.deed.part
    assert desk.told("core-1", 0, 30) == whole


def parted(desk: Desk, whole: str, *equipment: str) -> str:
    act = desk.state(whole, Split("", whole, alerts_of(desk, whole, *equipment)))
    assert isinstance(act.deed, Split)
    return act.deed.part


def test_what_fires_again_within_the_hold_continues_its_own_incident_though_what_was_parted_fires_on(desk: Desk) -> None:
    desk.now = after(40)
    whole = desk.told("core-1", 0)
    assert desk.told("edge-1", 10) == whole
    part = parted(desk, whole, "edge-1")
    desk.told("core-1", 0, 31)
    assert desk.told("core-1", 33) == whole
    assert (desk.incident(whole).units, desk.incident(part).units) == (("core-1",), ("edge-1",))
    # another alert of the same equipment, too
    assert desk.told("core-1", 36, service="mail") == whole
    desk.told("edge-1", 10, 37)
    assert desk.told("edge-1", 38) == part


def test_what_was_parted_alert_by_alert_continues_alert_by_alert(desk: Desk) -> None:
    desk.now = after(40)
    whole = desk.told("core-1", 0)
    assert desk.told("core-1", 1, 20, service="mail") == whole
    act = desk.state(whole, Split("", whole, (("alertmanager", "core-1-mail"),)))
    assert isinstance(act.deed, Split)
    assert desk.told("core-1", 30, service="mail") == act.deed.part


@pytest.mark.parametrize(
    ("core_fires", "edge_fires", "home"), [(True, True, "part"), (True, False, "whole"), (False, True, "part")]
)
def test_new_equipment_belongs_to_the_nearest_in_time_then_in_the_network(
    desk: Desk, core_fires: bool, edge_fires: bool, home: str
) -> None:
    desk.now = after(40)
    whole = desk.told("core-1", 0)
    part_its = desk.told("edge-1", 10)
    assert part_its == whole
    part = parted(desk, whole, "edge-1")
    if not core_fires:
        desk.told("core-1", 0, 31)
    if not edge_fires:
        desk.told("edge-1", 10, 31)
    assert desk.told("cell-1", 35) == {"whole": whole, "part": part}[home]


@given(
    parted_off=st.sets(st.sampled_from(("core-1", "edge-1", "cell-1")), min_size=1, max_size=2),
    ends=st.lists(st.one_of(st.none(), st.integers(35, 40)), min_size=3, max_size=3),
    later=st.lists(
        st.tuples(st.sampled_from(("core-1", "edge-1", "cell-1")), st.sampled_from(("voice", "mail")), st.integers(41, 95)),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_after_a_split_what_fires_within_the_hold_at_the_same_equipment_is_with_what_fired_there(
    parted_off: set[str], ends: list[int | None], later: list[tuple[str, str, int]]
) -> None:
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.now = after(100)
        names = ("core-1", "edge-1", "cell-1")
        (whole,) = {desk.told(name, number) for number, name in enumerate(names)}
        part = parted(desk, whole, *parted_off)
        for number, (name, end) in enumerate(zip(names, ends, strict=True)):
            desk.told(name, number, end)
        for name, service, minute in later:
            assert desk.told(name, minute, service=service) == (part if name in parted_off else whole)
        desk.database.close()


def test_a_split_states_nothing_that_nobody_stated(desk: Desk) -> None:
    desk.now = after(40)
    whole = desk.told("core-1", 0)
    desk.told("edge-1", 10)
    desk.state(whole, Timed(started_at=after(-5)))
    part = parted(desk, whole, "edge-1")
    assert [type(act.deed) for act in desk.acts(whole)] == [Timed, Split]
    assert [type(act.deed) for act in desk.acts(part)] == [Split]
    assert (desk.incident(part).start_basis, desk.incident(part).start_settled) == ("starts_at", False)


def test_a_stated_start_leaves_with_the_first_alert_and_the_receiver_signs_for_that(desk: Desk) -> None:
    desk.now = after(40)
    whole = desk.told("core-1", 0)
    desk.told("edge-1", 10)
    desk.state(whole, Timed(started_at=after(-5)))
    part = parted(desk, whole, "core-1")
    for id_, follows in ((part, Timed(started_at=after(-5))), (whole, Withdrawn(("started_at",)))):
        split, last = desk.acts(id_)[-2:]
        assert (split.who, split.why, last.who, last.deed) == (WHO, WHY, RECEIVER, follows)
        assert last.why.endswith(f" / follows from act 2: {part} was parted from {whole} (1 alerts)")
        assert in_words(last).ja.endswith(f"、art58-receiverによる: 申告2に伴う: {whole}から{part}を分離（アラート1件））")
        assert in_words(last).en.endswith(f": follows from act 2: {part} was parted from {whole} (1 alerts))")


def test_a_merge_with_what_fires_on_does_not_make_a_person_say_that_it_goes_on(desk: Desk) -> None:
    over, firing = desk.opened_and_over(0, 10, "core-1"), desk.told("core-2", 5)
    desk.state(firing, Merged(firing, over))
    word = stated_of(desk, over)
    assert (word.restored_at, word.is_going_on) == (None, False)
    assert [(act.who, act.deed) for act in desk.acts(over)][-1] == (RECEIVER, Withdrawn(("restored_at",)))


def stated_of(desk: Desk, id_: str) -> Stated:
    return fold_of_acts(desk.acts(id_))


def test_a_drill_stays_one_whatever_is_stated_after_it_until_that_is_withdrawn(desk: Desk) -> None:
    drill, real = desk.told("core-1", 0), desk.told("core-2", 5)
    desk.state(drill, Drilled())
    desk.put(drill, state="closed", restored_at=after(10))
    desk.state(drill, Reopened())
    desk.state(drill, Timed(restored_at=after(20)))
    assert stated_of(desk, drill).drill
    (told,) = not_handed_on(desk.database, Merged(drill, real))
    assert f"only {drill} was stated to be a drill" in told.en
    desk.state(drill, Merged(drill, real))
    assert (stated_of(desk, drill).drill, stated_of(desk, real).drill) == (True, False)
    desk.refuses(real, Withdrawn(("drill",)), "drill is not stated", "nothing to take back")
    desk.state(real, Drilled())
    desk.state(real, Withdrawn(("drill",)))
    assert not stated_of(desk, real).drill


def test_what_is_real_makes_the_whole_real(desk: Desk) -> None:
    drill, real = desk.told("core-1", 0), desk.told("core-2", 5)
    desk.state(drill, Drilled())
    (told,) = not_handed_on(desk.database, Merged(real, drill))
    assert f"so {drill} is judged as real" in told.en
    desk.state(real, Merged(real, drill))
    assert not stated_of(desk, drill).drill
    assert desk.acts(drill)[-1].who == RECEIVER


def test_a_start_that_the_leaving_alerts_told_leaves_with_them(desk: Desk) -> None:
    desk.now = after(40)
    whole = desk.told("core-1", 0)
    desk.told("edge-1", 10)
    desk.put(whole, failure_started_at=after(-1), start_basis="equipment_series", good_at=after(-2), start_settled=True)
    desk.state(whole, Split("", whole, alerts_of(desk, whole, "core-1")))
    left = desk.incident(whole)
    assert (left.failure_started_at, left.start_basis, left.good_at, left.start_settled) == (after(10), "starts_at", None, False)
    assert left.units == ("edge-1",)


def test_a_start_that_the_staying_alerts_told_stays(desk: Desk) -> None:
    desk.now = after(40)
    whole = desk.told("core-1", 0)
    desk.told("edge-1", 10)
    desk.put(whole, failure_started_at=after(-1), start_basis="equipment_series", good_at=after(-2), start_settled=True)
    desk.state(whole, Split("", whole, alerts_of(desk, whole, "edge-1")))
    assert desk.incident(whole).failure_started_at == after(-1)


def test_of_what_is_over_each_half_has_its_own_end(desk: Desk) -> None:
    desk.now = after(400)
    whole = desk.told("core-1", 0, 30)
    assert desk.told("edge-1", 10, 50) == whole
    desk.put(whole, state="closed", restored_at=after(50), closed_at=after(200))
    act = desk.state(whole, Split("", whole, alerts_of(desk, whole, "edge-1")))
    assert isinstance(act.deed, Split)
    for id_, end in ((whole, 30), (act.deed.part, 50)):
        incident = desk.incident(id_)
        assert (incident.state, incident.restored_at, incident.closed_at, incident.to_assess) == (
            "restored",
            after(end),
            None,
            True,
        )


def test_a_split_that_cannot_be_is_refused(desk: Desk) -> None:
    whole, other = desk.told("core-1", 0), desk.told("core-2", 0)
    its, others = alerts_of(desk, whole, "core-1"), alerts_of(desk, other, "core-2")
    desk.refuses(whole, Split("", whole, ()), "no alert is named")
    desk.refuses(whole, Split("", whole, others), "has no alert 'core-2-voice'")
    desk.refuses(whole, Split("", whole, its), "nothing would stay")
    desk.refuses(other, Split("", whole, its), "which is to be split")


def test_alerts_are_chosen_by_equipment_or_fingerprint(desk: Desk) -> None:
    whole = desk.told("core-1", 0)
    desk.told("edge-1", 10)
    both = (("alertmanager", "core-1-voice"), ("alertmanager", "edge-1-voice"))
    assert alerts_on(desk.database, CATALOGUE, whole, ["core-1"], ["edge-1-voice"]) == both
    with pytest.raises(Refused, match="'core-7': they name core-1, edge-1"):
        alerts_on(desk.database, CATALOGUE, whole, ["core-7"], [])
    with pytest.raises(Refused, match="has no alert 'f7'"):
        alerts_on(desk.database, CATALOGUE, whole, [], ["f7"])


def test_a_merge_that_is_split_again_gives_the_two_that_there_were(desk: Desk) -> None:
    one, two = desk.told("core-1", 0), desk.told("core-2", 5)
    before = desk.incident(one), desk.incident(two)
    desk.state(two, Merged(two, one))
    act = desk.state(one, Split("", one, alerts_of(desk, one, "core-2")))
    assert isinstance(act.deed, Split)
    assert act.deed.part == two, "it comes back under its own name"
    for incident, was in zip((desk.incident(one), desk.incident(two)), before, strict=True):
        assert incident == msgspec.structs.replace(was, to_assess=True)


# -- dismiss, reopen, close --


def test_a_false_alarm_is_dismissed_and_what_fires_anew_is_another_incident(desk: Desk) -> None:
    id_ = desk.told("core-1", 0, 5)
    desk.state(id_, Dismissed())
    incident = desk.incident(id_)
    assert (incident.state, incident.dismissed, incident.closed_at, incident.to_assess) == ("closed", True, desk.now, True)
    assert desk.told("core-1", 0, 5) == id_
    assert desk.told("core-1", 15) != id_
    assert desk.incident(id_) == incident
    desk.refuses(id_, Dismissed(), "dismissed already")


def test_a_dismissal_is_taken_back(desk: Desk) -> None:
    id_ = desk.told("core-1", 0)
    desk.state(id_, Dismissed())
    desk.state(id_, Reopened())
    incident = desk.incident(id_)
    assert (incident.state, incident.dismissed, incident.closed_at, incident.restored_at) == ("open", False, None, None)
    desk.state(id_, Reopened())  # not over, whatever the alerts say
    desk.refuses(id_, Reopened(), "open already")


def test_a_dismissal_that_is_taken_back_leaves_the_end_that_a_person_stated(desk: Desk) -> None:
    id_ = desk.opened_and_over(0, 10, "core-1")
    desk.state(id_, Dismissed())
    desk.state(id_, Reopened())
    assert desk.alerts(id_)[0].ends_at == after(10)


def test_only_what_is_restored_is_closed(desk: Desk) -> None:
    id_ = desk.told("core-1", 0)
    desk.refuses(id_, Closed(), "is open", "--restored")
    desk.put(id_, state="recovering", restored_at=after(10))
    desk.refuses(id_, Closed(), "is recovering", "Wait until its recovery has held", "hold_seconds")
    desk.put(id_, state="restored", restored_at=after(10))
    desk.state(id_, Closed())
    assert (desk.incident(id_).state, desk.incident(id_).closed_at) == ("closed", desk.now)
    desk.refuses(id_, Closed(), "closed already")


def test_who_closes_too_early_is_told_from_when_it_can_be_closed(desk: Desk) -> None:
    id_ = desk.told("core-1", 0, 10)
    desk.put(id_, state="recovering", restored_at=after(10))
    with pytest.raises(Refused) as refused:
        state(desk.database, CATALOGUE, id_, Closed(), WHO, WHY, desk.now, HOLD)
    assert clock_time(after(70)) in str(refused.value)
    assert f"{clock_time(after(70))}以降" in refused.value.ja
    assert "復旧確認中" in refused.value.ja
    desk.now = after(71)
    desk.refuses(id_, Closed(), "has held (hold_seconds)")


def test_a_close_is_taken_back_and_that_does_not_say_that_the_outage_goes_on(desk: Desk) -> None:
    id_ = desk.opened_and_over(0, 10, "core-1")
    desk.state(id_, Closed())
    desk.state(id_, Reopened())
    assert desk.incident(id_).state == "open"
    assert desk.alerts(id_)[0].ends_at == after(10)


def test_what_a_person_opened_and_ended_goes_on_when_a_person_says_that_it_does(desk: Desk) -> None:
    id_ = desk.opened_and_over(0, 10, "core-1")
    desk.state(id_, Reopened())
    (alert,) = desk.alerts(id_)
    assert ended_at(alert, [alert]) is None


# -- and what the receiver makes of it --


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url, hold_seconds=60) as receiver:
        prometheus.holds("art58:equipment_up", 1, equipment="mail-1")
        prometheus.holds("art58:equipment_up", 1, equipment="mail-2")
        receiver.clock.fixed = after(600)
        prometheus.now = after(600).timestamp()
        yield receiver


def stated(receiver: Receiver, incident_id: str | None, deed: Deed) -> str:
    now = receiver.clock()
    id_ = state(receiver.database, Catalogue(SERVICES), incident_id, deed, WHO, WHY, now).incident_id
    receiver.assess_at(now)
    return id_


def judged(receiver: Receiver, id_: str) -> dict[str, Any]:
    (found,) = [incident for incident in receiver.incidents() if incident["id"] == id_]
    return found


def seconds(incident: dict[str, Any]) -> set[int]:
    return {impact["duration_seconds"] for impact in incident["impacts"]}


def past(receiver: Receiver, starts: float, ends: float, equipment: str) -> str:
    """An outage that was over before, as a person tells it."""
    id_ = stated(receiver, None, Opened(("webmail",), equipment, after(starts)))
    stated(receiver, id_, Timed(restored_at=after(ends)))
    return id_


def test_an_outage_that_a_person_opened_is_judged_until_a_person_ends_it(receiver: Receiver) -> None:
    id_ = stated(receiver, None, Opened(("webmail",), "mail-1", after(540)))
    assert (judged(receiver, id_)["state"], seconds(judged(receiver, id_))) == ("open", {3600})
    receiver.assess_at(after(700))
    assert judged(receiver, id_)["state"] == "open"
    receiver.clock.fixed = after(700)
    stated(receiver, id_, Timed(restored_at=after(690)))
    assert judged(receiver, id_)["state"] in ("restored", "closed")
    assert seconds(judged(receiver, id_)) == {150 * 60}


@pytest.mark.parametrize("first_is_whole", [True, False])
def test_two_outages_that_were_over_are_judged_as_one_with_the_lull_between_them(receiver: Receiver, first_is_whole: bool) -> None:
    # docomo mail on 2012-01-01: 21:30 to 22:35 and 23:03 to 00:45
    first, second = past(receiver, 0, 65, "mail-1"), past(receiver, 93, 195, "mail-2")
    whole, part = (first, second) if first_is_whole else (second, first)
    stated(receiver, part, Merged(part, whole))
    found = judged(receiver, whole)
    assert (found["state"] in ("restored", "closed"), seconds(found)) == (True, {195 * 60})
    assert datetime.fromisoformat(found["failure_started_at"]) == after(0)
    assert datetime.fromisoformat(found["restored_at"]) == after(195)
    assert judged(receiver, part)["state"] == "closed"


def test_what_a_person_ended_goes_on_when_something_that_goes_on_becomes_part_of_it(receiver: Receiver) -> None:
    over = past(receiver, 0, 65, "mail-1")
    state(receiver.database, Catalogue(SERVICES), over, Reopened(), WHO, WHY, receiver.clock())
    stated(receiver, over, Timed(restored_at=after(65)))
    if judged(receiver, over)["state"] == "restored":
        stated(receiver, over, Closed())
    going_on = stated(receiver, None, Opened(("webmail",), "mail-2", after(93)))
    stated(receiver, going_on, Merged(going_on, over))
    whole = judged(receiver, over)
    assert (whole["state"], whole["restored_at"], seconds(whole)) == ("open", None, {600 * 60})
    stated(receiver, over, Timed(restored_at=after(195)))
    assert seconds(judged(receiver, over)) == {195 * 60}


def test_a_merge_of_what_was_over_is_split_again_into_two_with_their_own_times(receiver: Receiver) -> None:
    first, second = past(receiver, 0, 65, "mail-1"), past(receiver, 93, 195, "mail-2")
    stated(receiver, second, Merged(second, first))
    its = alerts_on(receiver.database, Catalogue(SERVICES), first, ["mail-2"], [])
    stated(receiver, first, Split("", first, its))
    for id_, minutes in ((first, 65), (second, 102)):
        found = judged(receiver, id_)
        assert (found["state"] in ("restored", "closed"), seconds(found)) == (True, {minutes * 60})


def test_what_is_dismissed_stays_so_at_every_tick(receiver: Receiver) -> None:
    id_ = stated(receiver, None, Opened(("webmail",), "mail-1", after(540)))
    stated(receiver, id_, Dismissed())
    receiver.assess_at(after(700))
    assert judged(receiver, id_)["state"] == "closed"
    receiver.clock.fixed = after(701)
    stated(receiver, id_, Reopened())
    assert judged(receiver, id_)["state"] == "open"


# -- one transaction --

ALL: dict[str, tuple[str | None, Deed]] = {
    "open": (None, Opened(("mail",), "mail-1", T0)),
    "times": ("person", Timed(restored_at=after(5))),
    "merge": ("one", Merged("one", "two")),
    "split": ("pair", Split("", "pair", (("alertmanager", "edge-1-voice"),))),
    "dismiss": ("one", Dismissed()),
    "reopen": ("over", Reopened()),
    "close": ("over", Closed()),
}


def stage(desk: Desk, incident_id: str | None, deed: Deed) -> tuple[str | None, Deed]:
    """The deed with real ids for those in it."""
    ids = {"one": desk.told("node-1", 0), "two": desk.told("node-2", 0), "pair": desk.told("core-1", 0)}
    desk.told("edge-1", 5)
    ids["person"] = desk.open("data", equipment="node-3")
    ids["over"] = desk.opened_and_over(0, 10, "node-4")
    if isinstance(deed, Merged):
        deed = Merged(ids[deed.part], ids[deed.whole])
    if isinstance(deed, Split):
        deed = Split("", ids[deed.whole], deed.alerts)
    return ids[incident_id] if incident_id else None, deed


class Stop(Exception):
    pass


@pytest.mark.parametrize("where", ["save", "save_alerts", "add"])
@pytest.mark.parametrize(("id_", "deed"), ALL.values(), ids=ALL)
def test_an_act_that_fails_in_between_leaves_nothing_behind(
    desk: Desk, id_: str | None, deed: Deed, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = stage(desk, id_, deed)
    before = desk.everything()
    room = kept_acts if where == "add" else store
    do, calls = getattr(room, where), []

    def done_and_failed(*arguments: Any) -> None:
        do(*arguments)
        calls.append(where)
        raise Stop

    monkeypatch.setattr(room, where, done_and_failed)
    try:
        desk.state(*staged)
    except Stop:
        assert desk.everything() == before
    else:
        assert calls == [], "it never came there"
    monkeypatch.undo()
    if calls:
        desk.state(*staged)
        assert desk.everything() != before


KILLED = """
import os, signal, sys
from receiver.storage.database import Database
from tests.incidents.test_acts import *
desk = Desk.__new__(Desk)
desk.database, desk.now = Database(sys.argv[1]), after(30)
add = kept_acts.add
def killed(*arguments):
    add(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
kept_acts.add = killed
desk.state(sys.argv[2], Merged(sys.argv[2], sys.argv[3]))
"""


def test_a_kill_in_the_middle_of_a_merge_leaves_two_incidents(desk: Desk) -> None:
    one, two = desk.told("core-1", 0), desk.told("core-2", 0)
    before = desk.everything()
    command = [sys.executable, "-c", KILLED, desk.database.url, one, two]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], env=os.environ, capture_output=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert desk.everything() == before
    desk.state(one, Merged(one, two))
    assert desk.incident(one).joined_to == two


# -- whatever is stated in whatever order --

MOVES = ("tell", "resolve", "open", "times", "merge", "split", "dismiss", "reopen", "close", "rest")


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 7), st.integers(0, 7)), min_size=3, max_size=25))
def test_no_sequence_of_acts_loses_an_alert_or_leaves_one_with_what_was_joined_away(moves: list[tuple[str, int, int]]) -> None:
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.told("node-0", 0)
        desk.told("node-1", 0)
        kept = 0
        for minute, (move, first, second) in enumerate(moves, start=31):
            desk.now = after(minute)
            before = desk.everything()
            try:
                _make(desk, move, first, second)
            except Refused:
                assert desk.everything() == before
            alerts, incidents, acts_now = _all(desk)
            assert {alert.incident_id for alert in alerts} <= incidents.keys()
            assert all(incidents[alert.incident_id or ""].joined_to is None for alert in alerts)
            keys = {(alert.source, alert.fingerprint, alert.starts_at) for alert in alerts}
            assert keys >= {(*tuple(row[:2]), _moment(row[2])) for row in before[1]}, "an alert is gone"
            for incident in incidents.values():
                its = [alert for alert in alerts if alert.incident_id == incident.id]
                assert bool(its) == (incident.joined_to is None)
                if incident.state != "open" and incident.joined_to is None and not incident.dismissed:
                    assert incident.restored_at, incident
                if incident.joined_to:
                    assert (incident.state, incidents[incident.joined_to].id) == ("closed", incident.joined_to)
            assert acts_now >= kept, "an act is gone"
            kept = acts_now
        desk.database.close()


def _all(desk: Desk) -> tuple[list[Alert], dict[str, Incident], int]:
    with desk.database.read() as connection:
        incidents = {each.id: each for each in store.listed(connection, ("open", "recovering", "restored", "closed"), 1000)}
        alerts = [alert for its in store.alerts_of(connection, incidents).values() for alert in its]
        count = connection.exec_driver_sql("SELECT count(*) FROM acts").scalar_one()
        lost = connection.exec_driver_sql("SELECT count(*) FROM alerts WHERE incident_id IS NULL").scalar_one()
    assert lost == 0
    return alerts, incidents, count


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _make(desk: Desk, move: str, first: int, second: int) -> None:
    _, incidents, _ = _all(desk)
    ids = sorted(incidents)
    one, two = ids[first % len(ids)], ids[second % len(ids)]
    match move:
        case "tell":
            desk.told(f"node-{first % 3}", float(second))
        case "resolve":
            desk.told(f"node-{first % 3}", float(second), 20.0 + second)
        case "open":
            desk.open("voice", equipment=f"node-{first}", started=float(second))
        case "times":
            desk.state(one, Timed(restored_at=after(10 + second)))
        case "merge":
            desk.state(one, Merged(one, two))
        case "split":
            several = [id_ for id_ in ids if len({alert.fingerprint for alert in desk.alerts(id_)}) > 1]
            one = several[first % len(several)] if several else one
            its = desk.alerts(one)
            chosen = tuple({(alert.source, alert.fingerprint) for alert in its[: 1 + second % 3]})
            desk.state(one, Split("", one, chosen))
        case "dismiss":
            desk.state(one, Dismissed())
        case "reopen":
            desk.state(one, Reopened())
        case "close":
            desk.state(one, Closed())
        case "rest":  # what the clock would do
            incident = incidents[one]
            if incident.joined_to is None and not incident.dismissed:
                desk.put(one, state="restored", restored_at=after(20))
