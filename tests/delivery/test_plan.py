"""Who gets a ticket, and when: by verdict, candidate, service and clock time; and one that is there is followed whatever comes."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.delivery.plan import Route, plan
from receiver.delivery.sending import Send
from receiver.law.counting import Affected, Count
from receiver.law.deadlines import QuietWindow
from receiver.law.estimate import Reading
from receiver.law.near_miss import Answers
from receiver.law.provisions import JST, Text
from receiver.law.verdict import Verdict
from receiver.model import Assessment, Deed, Drilled, NearMissAnswered
from receiver.storage import acts, deliveries
from receiver.storage import incidents as store
from receiver.storage.database import Database
from tests import stores
from tests.delivery.test_dispatcher import incident_of
from tests.samples import ASSESSED_AT as NOW
from tests.samples import assessment
from tests.web.test_acts_shown import CLASS_1

pytestmark = pytest.mark.usefixtures("each_store")

MINUTE = timedelta(minutes=1)
NIGHT = QuietWindow(time(22, 0), time(6, 30))
MIDNIGHT = datetime(2026, 11, 22, 0, 0, tzinfo=JST)


class House:
    """A store, and one ticket system to plan for."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOW
        self.route = Route("desk", "ticket")

    def assess(self, *assessments: Assessment, deeds: tuple[Deed, ...] = (), **of_incident: Any) -> None:
        with self.database.write() as connection:
            store.save(connection, msgspec.structs.replace(incident_of(assessments[0]), **of_incident))
            for deed in deeds:
                acts.add(connection, "inc-1", NOW, "yamada", "why", deed)
            store.append(connection, *assessments)
        self.plan()

    def plan(self, passed: timedelta = timedelta()) -> None:
        self.now += passed
        plan(self.database, (self.route,), self.now)

    @property
    def wanted(self) -> int:
        """The number of the assessment that the ledger owes; 0 without a ticket."""
        with self.database.read() as connection:
            rows = deliveries.of_incidents(connection, ["inc-1"])
        return rows[0].wanted if rows else 0

    @property
    def waits(self) -> bool:
        with self.database.read() as connection:
            return bool(store.unrouted(connection))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    database = stores.opened(tmp_path)
    yield House(database)
    database.close()


def soon(ahead: timedelta = 20 * MINUTE, **changes: Any) -> Assessment:
    """A candidate: measured, periodic so far, major in so long."""
    basic = {"number": 1, "verdict": Verdict.PERIODIC, "major_since": None, "candidate": True, "major_expected_at": NOW + ahead}
    return assessment(**basic | changes)


def mild(**changes: Any) -> Assessment:
    return soon(**{"candidate": False, "major_expected_at": None} | changes)


MAJOR = assessment(number=1)
UNMEASURED = soon(verdict=Verdict.INDETERMINATE, measured=False, major_expected_at=None)
OTHER_READING = Reading(40_000, "40000", Text("別の読み方", "another reading"))
READ_OTHERWISE = soon(affected=Affected(kept=(Count(20_000, "direct", "q", NOW, "line", other_readings=(OTHER_READING,)),)))
PERIODIC = frozenset({Verdict.PERIODIC})

TABLE: dict[str, tuple[Send, Assessment, bool]] = {
    "major by default": (Send(), MAJOR, True),
    "a candidate by default": (Send(), soon(), True),
    "one that is not measured by default": (Send(), UNMEASURED, True),
    "no periodic one by default": (Send(), mild(), False),
    "nothing below the thresholds": (Send(), mild(verdict=Verdict.NONE), False),
    "not major where only others are asked for": (Send(verdicts=PERIODIC), MAJOR, False),
    "periodic where asked for": (Send(verdicts=PERIODIC), mild(), True),
    "no candidate where not wanted": (Send(candidates=False), soon(), False),
    "major without candidates": (Send(candidates=False), MAJOR, True),
    "no unmeasured one where not wanted": (Send(indeterminate=False), UNMEASURED, False),
    "a measured candidate without unmeasured ones": (Send(indeterminate=False), soon(), True),
    "a candidate within the lead": (Send(lead=20 * MINUTE), soon(), True),
    "one beyond the lead": (Send(lead=19 * MINUTE), soon(), False),
    "one on the trend within the lead": (Send(lead=19 * MINUTE), soon(major_on_trend_at=NOW + MINUTE), True),
    "an unmeasured one whatever the lead": (Send(lead=timedelta()), UNMEASURED, True),
    "major whatever the lead": (Send(lead=timedelta()), MAJOR, True),
}


@pytest.mark.parametrize(("send", "one", "expected"), TABLE.values(), ids=TABLE)
def test_a_ticket_is_made_for(house: House, send: Send, one: Assessment, expected: bool) -> None:
    house.route = Route("desk", "ticket", send=send)
    house.assess(one)
    assert (house.wanted == 1) == expected


def test_one_that_is_major_by_another_reading_waits_for_no_forecast(house: House) -> None:
    house.route = Route("desk", "ticket", send=Send(lead=timedelta()))
    house.assess(READ_OTHERWISE)
    assert house.wanted == 1


def test_only_what_hits_a_service_of_the_target_makes_a_ticket(house: House) -> None:
    house.route = Route("desk", "ticket", services=("data",))
    house.assess(MAJOR, mild(number=2, service="data"))
    assert (house.wanted, house.waits) == (0, False)
    house.assess(assessment(number=3, service="data"))
    assert house.wanted == 3


def test_a_candidate_is_told_when_its_lead_comes_though_nothing_is_assessed_anew(house: House) -> None:
    house.route = Route("desk", "ticket", send=Send(lead=5 * MINUTE))
    house.assess(soon())
    assert (house.wanted, house.waits) == (0, True)
    house.plan(14 * MINUTE)
    assert house.wanted == 0
    house.plan(MINUTE)
    assert (house.wanted, house.waits) == (1, False)


def test_a_candidate_that_is_none_any_more_before_its_lead_makes_no_ticket(house: House) -> None:
    house.route = Route("desk", "ticket", send=Send(lead=5 * MINUTE))
    house.assess(soon())
    house.assess(mild(number=2))
    house.plan(60 * MINUTE)
    assert (house.wanted, house.waits) == (0, False)


def test_others_are_told_at_once_while_one_target_waits(house: House) -> None:
    patient = Route("desk", "ticket", send=Send(lead=timedelta()))
    with house.database.write() as connection:
        store.save(connection, incident_of(soon()))
        store.append(connection, soon())
    for _ in range(3):
        plan(house.database, (patient, Route("pager", "ticket"), Route("grafana", "annotation")), NOW)
    with house.database.read() as connection:
        rows = deliveries.of_incidents(connection, ["inc-1"])
    assert sorted((row.target, row.wanted) for row in rows) == [("grafana", 1), ("pager", 1)]


def test_in_quiet_hours_only_major_and_candidates_are_told_and_the_rest_when_they_end(house: House) -> None:
    house.route = Route("desk", "ticket", send=Send(verdicts=frozenset({Verdict.MAJOR, Verdict.PERIODIC}), quiet=NIGHT))
    house.now = MIDNIGHT
    house.assess(mild())
    assert (house.wanted, house.waits) == (0, True)
    house.plan(timedelta(hours=6, minutes=29))
    assert house.wanted == 0
    house.plan(MINUTE)
    assert (house.wanted, house.waits) == (1, False)


@pytest.mark.parametrize("one", [MAJOR, soon(), UNMEASURED])
def test_what_may_be_major_breaks_the_quiet(house: House, one: Assessment) -> None:
    house.route = Route("desk", "ticket", send=Send(quiet=NIGHT))
    house.now = MIDNIGHT
    house.assess(one)
    assert house.wanted == 1


def test_news_of_a_ticket_wait_too_unless_they_are_grave(house: House) -> None:
    house.route = Route("desk", "ticket", send=Send(quiet=NIGHT))
    house.now = MIDNIGHT
    house.assess(MAJOR)
    house.assess(mild(number=2))
    assert house.wanted == 1
    house.assess(assessment(number=3))
    assert house.wanted == 3
    house.assess(mild(number=4))
    house.plan(timedelta(hours=6, minutes=30))
    assert house.wanted == 4


@pytest.mark.parametrize("later", [mild(number=2), mild(number=2, verdict=Verdict.NONE), mild(number=2, withdrawn=True)])
def test_a_verdict_that_falls_takes_no_ticket_back(house: House, later: Assessment) -> None:
    house.route = Route("desk", "ticket", send=Send(verdicts=frozenset(), lead=timedelta(minutes=30), indeterminate=False))
    house.assess(soon())
    house.assess(later)
    assert house.wanted == 2


def test_a_near_miss_by_persons_answers_makes_a_ticket_only_where_asked_for(house: House) -> None:
    answered = (NearMissAnswered(CLASS_1),)
    house.assess(mild(), deeds=answered)
    assert house.wanted == 0
    house.route = Route("desk", "ticket", send=Send(verdicts=frozenset({Verdict.NEAR_MISS})))
    house.assess(mild(number=2))
    assert house.wanted == 2


def test_a_near_miss_that_cannot_be_told_yet_makes_none(house: House) -> None:
    house.route = Route("desk", "ticket", send=Send(verdicts=frozenset({Verdict.NEAR_MISS})))
    house.assess(mild(), deeds=(NearMissAnswered(Answers(burned=True)),))
    assert house.wanted == 0


@pytest.mark.parametrize("changes", [{"dismissed": True}, {"joined_to": "inc-9"}])
def test_what_was_dismissed_or_is_a_part_makes_none_and_is_still_followed(house: House, changes: dict[str, Any]) -> None:
    house.assess(MAJOR, **changes)
    assert (house.wanted, house.waits) == (0, False)
    house.assess(assessment(number=2))
    house.assess(mild(number=3), **changes)
    assert house.wanted == 3


def test_a_drill_is_told_like_the_real_thing(house: House) -> None:
    house.assess(MAJOR, deeds=(Drilled(),))
    assert house.wanted == 1
