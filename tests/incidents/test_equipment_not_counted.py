"""Of several pieces of equipment that failed one has no number of users: all that is known is a floor, with a merge or without."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.topology import Declared
from receiver.incidents.acts import state
from receiver.incidents.count import Told, count
from receiver.law.counting import Affected, Count
from receiver.law.provisions import Text
from receiver.law.topology import SAME_CAUSE, Total
from receiver.law.wording import JOINED_LATER
from receiver.model import Assessment, Merged, Timed
from receiver.observation.topology import Found
from receiver.observation.users import Answer, Reading, UsersObserved
from receiver.storage import incidents as store
from tests.fakes.prometheus import FakePrometheus
from tests.incidents.test_count import DATA, HOUR, INCIDENT, VOICE, missing
from tests.incidents.test_derive import T0, alert, take_in
from tests.receiver import Receiver

MAIL = Service(name="mail", kind="email", charged=True, match=('service="mail"',))
FTTH = Service(name="ftth", kind="internet_access", charged=True, match=('service="ftth"',), users_total=1_800_000)
OWN = "my_unable"
CATALOGUE = Catalogue((FTTH, MAIL), Declared(cause_labels=("ring",)))


class House:
    def __init__(self, receiver: Receiver, prometheus: FakePrometheus, catalogue: Catalogue) -> None:
        self.receiver, self.prometheus, self.catalogue = receiver, prometheus, catalogue

    def under(self, equipment: str, users: int | None, series: str = "art58:users_under_equipment") -> None:
        self.prometheus.holds(series, users, service="ftth", equipment=equipment)

    def fail(self, equipment: str, starts: float = 0, ends: float | None = None, service: str = "ftth", **labels: str) -> str:
        take_in(self.receiver, [alert(starts, ends, service=service, equipment=equipment, **labels)])
        with self.receiver.database.read() as connection:
            its = store.listed(connection, ("open", "recovering", "restored", "closed"), 100)
        return next(each.id for each in its if equipment in each.units)

    def merge(self, part: str, whole: str) -> None:
        self.state(part, Merged(part, whole))

    def state(self, id_: str, deed: Any) -> None:
        state(self.receiver.database, self.catalogue, id_, deed, "person-1", "a reason", self.receiver.clock())

    def at(self, minutes: float, id_: str) -> Assessment:
        """Its last assessment after a tick."""
        moment = T0 + timedelta(minutes=minutes)
        self.receiver.clock.fixed, self.prometheus.now = moment, moment.timestamp()
        self.receiver.assess_at(moment)
        with self.receiver.database.read() as connection:
            return store.latest_assessments(connection, [id_])[id_][0]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url, catalogue=CATALOGUE) as receiver:
        receiver.clock.fixed = T0 + timedelta(minutes=10)
        prometheus.now = receiver.clock.fixed.timestamp()
        house = House(receiver, prometheus, CATALOGUE)
        house.under("ftth-1", 40_000)
        house.under("ftth-2", 900)
        yield house


def floor_of(told: Assessment, users: int) -> None:
    """The number is a floor, the verdict open upward, and a line says for which equipment."""
    assert (told.affected.at_least, told.affected.at_most, told.verdict) == (users, 1_800_000, "indeterminate")
    assert told.candidate
    (line,) = [flag.text for flag in told.explanation.uncertain if flag.code == "equipment_not_counted"]
    assert "ftth-9" in line.en
    assert "ftth-9" in line.ja
    assert "ftth-1" not in line.en


def test_a_piece_of_equipment_without_a_number_of_users_leaves_the_others_a_floor(house: House) -> None:
    ids = {house.fail(equipment, ring="r1") for equipment in ("ftth-1", "ftth-9", "ftth-2")}
    assert len(ids) == 1
    told = house.at(90, ids.pop())
    floor_of(told, 40_900)
    assert sorted(told.units) == ["ftth-1", "ftth-2", "ftth-9"]


@pytest.mark.parametrize("whole_is_counted", [True, False])
def test_a_merge_never_makes_what_is_not_known_a_number(house: House, *, whole_is_counted: bool) -> None:
    counted, uncounted, more = house.fail("ftth-1"), house.fail("ftth-9"), house.fail("ftth-2")
    assert house.at(11, uncounted).verdict == "indeterminate"
    part, whole = (uncounted, counted) if whole_is_counted else (counted, uncounted)
    house.merge(part, whole)
    floor_of(house.at(90, whole), 40_000)
    house.merge(more, whole)
    floor_of(house.at(91, whole), 40_900)


def test_as_soon_as_the_series_is_there_the_sum_is_the_number(house: House) -> None:
    house.fail("ftth-1", ring="r1")
    id_ = house.fail("ftth-9", ring="r1")
    floor_of(house.at(90, id_), 40_000)
    house.under("ftth-9", 7)
    told = house.at(91, id_)
    assert (told.affected_users, told.affected.at_most, told.affected.problem) == (40_007, 40_007, None)


def test_a_short_outage_does_not_turn_a_floor_into_a_number(house: House) -> None:
    """A recovery within minutes forgives a gap in measuring; this is none."""
    house.fail("ftth-1", ring="r1")
    id_ = house.fail("ftth-9", ring="r1")
    house.at(11, id_)
    house.fail("ftth-1", 0, 12, ring="r1")
    house.fail("ftth-9", 0, 12, ring="r1")
    told = house.at(13, id_)
    assert told.restored_at
    assert (told.affected.at_least, told.affected.at_most) == (40_000, 1_800_000)
    house.under("ftth-9", 7)
    assert house.at(14, id_).affected.at_most == 40_007


def test_a_bound_of_some_of_the_equipment_is_none_of_all(house: House) -> None:
    """Prometheus cannot be reached any more when the second piece fails."""
    house.fail("ftth-2", ring="r1")
    id_ = house.fail("ftth-2", ring="r1")
    assert house.at(11, id_).affected.at_most == 900
    house.prometheus.down = True
    house.fail("ftth-9", ring="r1")
    told = house.at(12, id_)
    assert (told.affected.at_least, told.affected.at_most) == (900, 1_800_000)
    house.prometheus.down = False
    house.under("ftth-9", 50)
    assert house.at(13, id_).affected.at_most == 950


def test_what_was_over_before_it_was_merged_is_counted_with_the_rest(house: House) -> None:
    whole, part = house.fail("ftth-1"), house.fail("ftth-2")
    house.at(11, whole)
    house.state(whole, Timed(restored_at=T0 + timedelta(minutes=12)))
    house.state(part, Timed(restored_at=T0 + timedelta(minutes=12)))
    assert house.at(13, whole).affected_users == 40_000
    house.merge(part, whole)
    told = house.at(14, whole)
    assert (told.affected_users, told.affected.at_most, told.affected.problem) == (40_900, 40_900, None)


def test_of_users_counted_while_it_lasted_those_of_the_part_are_not_forgotten(house: House) -> None:
    """Nobody can count them any more after the recovery: the larger number is the floor, all users under both the bound."""
    for equipment, users in (("ftth-1", 30), ("ftth-2", 600)):
        house.under(equipment, users, "art58:users_unable")
    whole, part = house.fail("ftth-1"), house.fail("ftth-2")
    house.at(11, whole)
    for id_ in (whole, part):
        house.state(id_, Timed(restored_at=T0 + timedelta(minutes=12)))
    assert house.at(13, whole).affected_users == 30
    house.merge(part, whole)
    told = house.at(14, whole)
    assert (told.method, told.affected.at_least, told.affected.at_most) == ("direct", 600, 40_900)


def test_pieces_with_the_same_number_by_promql_of_ones_own_are_still_several() -> None:
    alike = {name: Reading(20_000, T0, OWN, "line") for name in ("ftth-1", "ftth-2")}
    told = UsersObserved({"unable": Answer(OWN, alike)})
    both = told.reading("unable", "ftth-1", "ftth-2")
    assert both
    assert both.users == 40_000
    assert told.reading("unable", "ftth-1", "ftth-9") is None


def test_the_line_names_another_piece_when_it_is_another(house: House) -> None:
    house.under("ftth-8", 0)
    ids = {house.fail(equipment, ring="r1") for equipment in ("ftth-1", "ftth-8", "ftth-9")}
    id_ = ids.pop()
    floor_of(house.at(90, id_), 40_000)
    house.under("ftth-8", None)
    house.under("ftth-9", 0)
    assert house.at(91, id_).affected.problem == "no series gives the users of: ftth-8"


def test_equipment_that_joins_without_a_further_user_is_counted_all_the_same(house: House) -> None:
    """Else the recovery would find it uncounted."""
    for equipment, users in (("ftth-1", 30), ("ftth-2", 0)):
        house.under(equipment, users, "art58:users_unable")
    id_ = house.fail("ftth-1", ring="r1")
    house.at(11, id_)
    house.fail("ftth-2", ring="r1")
    assert house.at(12, id_).units == ("ftth-1", "ftth-2")
    house.fail("ftth-1", 0, 13, ring="r1")
    house.fail("ftth-2", 0, 13, ring="r1")
    told = house.at(14, id_)
    assert told.restored_at
    assert (told.affected_users, told.affected.problem) == (30, None)


def test_a_service_that_only_the_part_hit_keeps_its_largest_number(house: House) -> None:
    house.under("ftth-2", 600, "art58:users_unable")
    whole, part = house.fail("mail-1", service="mail"), house.fail("ftth-2")
    house.at(11, part)
    house.under("ftth-2", 5, "art58:users_unable")
    house.merge(part, whole)
    house.at(12, whole)
    with house.receiver.database.read() as connection:
        latest = {each.service: each for each in store.latest_assessments(connection, [whole])[whole]}
    assert (latest["ftth"].affected_users, latest["ftth"].incident_id) == (600, whole)


BOTH, READINGS = ("core-1", "core-2"), {name: Reading(0.25, T0, "each", "line") for name in ("core-1", "core-2")}


def under_core_1(users: int) -> Found:
    total = Total(users, str(users), users, ("core-1",), Text("合計", "total"), SAME_CAUSE)
    return Found(total, 0, 2, 2, "line", "tree")


@pytest.mark.parametrize(("before", "bound"), [(None, 900_000), (60_000, 60_000), (40_000, 900_000)])
def test_the_bound_of_a_floor_is_what_was_known_before_unless_the_floor_is_above_it(before: int | None, bound: int) -> None:
    told = Told(UsersObserved({}), below=under_core_1(50_000), units=BOTH, uncounted=("core-2",))
    affected = count(INCIDENT, DATA, told, Affected(bound=before), T0 + HOUR)
    assert (affected.at_least, affected.at_most) == (50_000, bound)


def test_what_is_counted_of_all_equipment_by_another_method_is_no_floor() -> None:
    answers = UsersObserved({"bytes_per_user_hour": Answer("each", READINGS)})
    told = Told(answers, traffic=missing(0.5), below=under_core_1(50_000), units=BOTH, uncounted=("core-2",))
    affected = count(INCIDENT, DATA, told, Affected(), T0 + HOUR)
    assert affected.count
    assert (affected.count.method, affected.count.users, affected.problem) == ("traffic_difference", 2_000, None)


@pytest.mark.parametrize("method", ["direct", "all_under_equipment"])
def test_after_the_recovery_no_other_method_takes_the_place_of_the_one_that_counted(method: Any) -> None:
    """Whether emergency calls were affected is not measured any more: those of the accident's time were not."""
    known = Affected((Count(40, method, "q", T0),), 50_000, JOINED_LATER, T0)
    told = Told(UsersObserved({}), below=under_core_1(50_000), units=BOTH)
    assert count(INCIDENT, VOICE, told, known, T0 + HOUR, restored_at=T0 + HOUR) == known
