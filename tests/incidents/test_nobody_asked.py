"""An outage that nobody measured while it lasted: what is told of its time counts, and a zero of now says nothing of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.catalogue import Catalogue, Service
from receiver.delivery.plan import Route
from receiver.model import Assessment
from receiver.observation import users_past
from receiver.storage import incidents as store
from tests.fakes.memory import MemoryTarget
from tests.fakes.prometheus import FakePrometheus
from tests.incidents.test_derive import alert, take_in
from tests.receiver import SERVICES, Receiver

pytestmark = pytest.mark.usefixtures("each_store")

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
USERS = 150_000
RELAY = Service(name="relay", kind="voice", emergency_calls=False, match=('service="relay"',))


class House:
    """One piece of equipment that was down for the first hour after T0, but for what a test changes. All is told every minute."""

    def __init__(self, folder: Path, prometheus: FakePrometheus) -> None:
        self.prometheus, self.desk = prometheus, MemoryTarget("desk")
        self.receiver = Receiver(
            folder,
            prometheus.url,
            (Route("desk", "ticket"), self.desk),
            catalogue=Catalogue((*SERVICES, RELAY)),
            candidate_lead_seconds=0,
            hold_seconds=1800,
        )
        self.tell()

    def tell(
        self,
        unable: Callable[[int], int] = lambda minute: USERS if 0 <= minute < 70 else 0,
        up: Callable[[int], bool] = lambda minute: not 0 <= minute < 70,
        *,
        away: range = range(0),
    ) -> None:
        """What is told of each minute after T0; of those in `away` nothing."""
        its: dict[str, Callable[[int], float]] = {
            "art58:users_unable": unable,
            "art58:users_under_equipment": lambda _: 200_000,
            "art58:equipment_up": up,
        }
        self._its = its
        for name, value in its.items():
            points = [(at(minute).timestamp(), float(value(minute))) for minute in range(-30, 200) if minute not in away]
            self.prometheus.remembers(name, *points, **self._labels(name))

    def _labels(self, name: str) -> dict[str, str]:
        return {"equipment": "core-1"} if name == "art58:equipment_up" else {"equipment": "core-1", "service": "relay"}

    def hears(self, minute: int, ends: int | None = None) -> dict[str, Any]:
        """The alert comes, or comes again, at this minute, and is judged; the impact."""
        self._set(minute)
        take_in(self.receiver, [alert(0, ends, "relay")])
        return self.at(minute)

    def at(self, minute: int) -> dict[str, Any]:
        """The only impact after a tick."""
        self._set(minute)
        self.receiver.assess_at(at(minute))
        self.receiver.worker.deliver()
        (incident,) = self.receiver.incidents()
        (impact,) = incident["impacts"]
        return {"state": incident["state"], **impact}

    def _set(self, minute: int) -> None:
        self.receiver.clock.fixed, self.prometheus.now = at(minute), at(minute).timestamp()
        for name, value in self._its.items():
            self.prometheus.holds(name, float(value(minute)), **self._labels(name))

    def last(self) -> Assessment:
        with self.receiver.database.read() as connection:
            return store.history(connection, self.receiver.incidents()[0]["id"])[-1]

    def explanation(self) -> str:
        return str(self.last().explanation)

    def bounds(self) -> tuple[int, int | None]:
        """Users that were hit at least, and at most."""
        affected = self.last().affected
        return affected.at_least, affected.at_most


def at(minute: float) -> datetime:
    return T0 + timedelta(minutes=minute)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with FakePrometheus() as prometheus:
        house = House(tmp_path, prometheus)
        with house.receiver:
            yield house


def told(impact: dict[str, Any]) -> tuple[Any, ...]:
    return impact["verdict"], impact["affected_users"], impact["measured"], impact["method"]


def test_an_outage_first_seen_after_the_recovery_has_the_users_that_it_had(house: House) -> None:
    assert told(house.hears(72)) == ("major", USERS, True, "direct")
    assert told(house.hears(75, ends=70)) == ("major", USERS, True, "direct")
    assert (house.at(130)["state"], len(house.desk.tickets)) == ("restored", 1)  # a person decides


def test_it_is_told_that_the_number_was_asked_for_afterwards_and_of_when_it_is(house: House) -> None:
    house.tell(lambda minute: 10 * minute if 0 <= minute < 70 else 0)
    assert told(house.hears(72))[1] == 690
    text = house.explanation()
    assert "not measured at that time, asked for afterwards: 2026-11-21 12:00:00 JST – 2026-11-21 13:12:00 JST" in text
    assert "The number is that of 2026-11-21 13:09:00 JST" in text
    assert "この数は2026-11-21 13:09:00 JSTの値" in text


def test_what_was_not_told_before_the_first_measurement_counts_too(house: House) -> None:
    house.tell(lambda minute: USERS if 0 <= minute < 40 else 10, up=lambda minute: minute < 0)
    assert told(house.hears(50))[1:] == (USERS, True, "direct")


def test_it_is_the_same_whether_the_recovery_was_told_or_not(house: House) -> None:
    assert told(house.hears(75, ends=70)) == ("major", USERS, True, "direct")


def test_a_wrong_alert_is_none_by_what_was_measured_all_the_time(house: House) -> None:
    house.tell(lambda _: 0, lambda _: True)
    assert told(house.hears(72)) == ("none", 0, True, "direct")
    assert told(house.hears(75, ends=74)) == ("none", 0, True, "direct")
    assert house.desk.tickets == {}


def test_an_outage_of_which_nothing_was_told_is_not_known_whatever_is_told_now(house: House) -> None:
    house.tell(away=range(70))
    assert told(house.hears(72)) == ("indeterminate", 200_000, False, "unmeasured")
    assert "nobody is hit now, and how many were before was not measured" in house.explanation()
    assert told(house.hears(75, ends=70))[0] == "indeterminate"
    assert (house.at(130)["state"], len(house.desk.tickets)) == ("restored", 1)  # it is not closed without a person


def test_what_was_told_of_a_part_of_the_time_is_a_floor(house: House) -> None:
    house.tell(lambda minute: 5_000 if 0 <= minute < 70 else 0, away=range(20, 70))
    assert (house.hears(72)["verdict"], house.bounds()) == ("indeterminate", (5_000, 200_000))


def test_few_who_are_hit_later_do_not_end_the_doubt(house: House) -> None:
    house.tell(lambda minute: 5 if minute >= 80 else 0, up=lambda minute: not 0 <= minute < 70, away=range(70))
    assert house.hears(72)["verdict"] == "indeterminate"
    assert house.at(85)["verdict"] == "indeterminate"


def test_what_is_told_of_the_past_later_ends_the_doubt(house: House) -> None:
    house.tell(away=range(70))
    assert house.hears(72)["verdict"] == "indeterminate"
    house.tell()  # say a store behind it was filled again
    assert house.at(73)["verdict"] == "indeterminate"  # it is not asked at every tick
    assert told(house.at(78)) == ("major", USERS, True, "direct")


def test_a_zero_measured_while_the_equipment_is_down_is_a_number(house: House) -> None:
    house.tell(lambda _: 0, lambda minute: minute < 0, away=range(70))
    assert told(house.hears(72)) == ("none", 0, True, "direct")


def test_prometheus_that_is_away_and_back_after_the_recovery_lowers_nothing(house: House) -> None:
    house.prometheus.down = True
    assert house.hears(5)["verdict"] == "indeterminate" or house.at(65)["verdict"] == "indeterminate"
    house.prometheus.down = False
    assert told(house.at(72)) == ("major", USERS, True, "direct")


def test_a_break_of_prometheus_in_which_nothing_was_kept_leaves_an_outage_unknown(house: House) -> None:
    house.tell(away=range(70))
    house.prometheus.down = True
    house.hears(5)
    assert house.at(65)["verdict"] == "indeterminate"
    house.prometheus.down = False
    assert house.at(72)["verdict"] == "indeterminate"


def test_a_gap_in_the_middle_is_filled_by_what_was_told_of_it(house: House) -> None:
    house.tell(lambda minute: USERS if 20 <= minute < 40 else 100 if 0 <= minute < 70 else 0)
    assert told(house.hears(3))[1:3] == (100, True)
    house.prometheus.down = True
    house.at(10)
    house.prometheus.down = False
    assert told(house.at(66)) == ("major", USERS, True, "direct")


def test_a_gap_of_which_nothing_is_known_is_not_filled_by_a_later_zero(house: House) -> None:
    house.tell(lambda minute: 100 if 0 <= minute < 70 else 0, away=range(4, 70))
    assert told(house.hears(3))[1:3] == (100, True)
    house.prometheus.down = True
    house.at(10)
    house.prometheus.down = False
    assert (house.at(72)["verdict"], house.bounds()) == ("indeterminate", (100, 200_000))


def test_the_past_of_many_is_asked_for_once_and_together(house: House) -> None:
    units = [f"core-{n}" for n in range(2, 30)]
    for unit in units:
        house.prometheus.holds("art58:users_unable", 20, service="relay", equipment=unit)
    house._set(72)
    house.prometheus.asked.clear()
    take_in(house.receiver, [alert(0, service="relay", equipment=unit) for unit in ["core-1", *units]])
    # of each instant and of the past
    assert sum(query.startswith('{__name__=~"art58:calls|') for query in house.prometheus.asked) == 2
    house.prometheus.asked.clear()
    house.receiver.assess_at(at(73))
    assert sum(query.startswith('{__name__=~"art58:calls|') for query in house.prometheus.asked) == 1


def test_what_was_told_while_the_receiver_was_away_counts(house: House) -> None:
    house.tell(lambda minute: USERS if 20 <= minute < 40 else 100 if 0 <= minute < 70 else 0)
    assert told(house.hears(3))[1:3] == (100, True)
    assert told(house.at(66)) == ("major", USERS, True, "direct")


def test_what_was_not_told_while_the_receiver_was_away_is_not_known(house: House) -> None:
    house.tell(lambda minute: 100 if 0 <= minute < 70 else 0, away=range(4, 70))
    assert told(house.hears(3))[1:3] == (100, True)
    assert (house.at(72)["verdict"], house.bounds()) == ("indeterminate", (100, 200_000))


def test_what_was_too_much_to_be_asked_at_once_is_asked_at_the_next_ticks(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_past, "MOST_TOGETHER", 1)
    monkeypatch.setattr(users_past, "MOST_QUERIES", 1)
    house.tell(lambda minute: USERS if 0 <= minute < 40 else 10, up=lambda minute: minute < 0)
    for name, value in house._its.items():
        points = [(at(minute).timestamp(), float(value(minute))) for minute in range(-30, 200)]
        house.prometheus.remembers(name, *points, **house._labels(name) | {"equipment": "core-2"})
        house.prometheus.holds(name, value(50), **house._labels(name) | {"equipment": "core-2"})
    house._set(50)
    take_in(house.receiver, [alert(0, service="relay"), alert(0, service="relay", equipment="core-2")])
    for _ in range(2):
        house.receiver.assess_at(at(50))
    assert {impact["affected_users"] for one in house.receiver.incidents() for impact in one["impacts"]} == {USERS}
