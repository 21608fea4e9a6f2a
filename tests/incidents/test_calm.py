"""An outage of which every figure stays the same is not judged at each tick; what is said of it, and when, is as if it were."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import QualityInputs
from receiver.incidents import acts
from receiver.incidents import tick as tick_module
from receiver.incidents.ask import Observer
from receiver.incidents.known import JUDGED_ANEW, Known
from receiver.incidents.tick import tick
from receiver.law.rulebook import shipped
from receiver.model import Assessment, Caused, Planned
from receiver.observation.prometheus import QueryFailed, Sample
from tests.apps import SetClock
from tests.incidents.streams import EXAMPLES, HOLD, House, Network, Outage, body, derive_waiting, moment, say

UNITS = ("core-1", "core-2")
UNABLE, UNDER, NO_EMERGENCY = "art58:users_unable", "art58:users_under_equipment", "art58:emergency_calls_affected"
CATALOGUE = Catalogue(
    (
        Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',)),
        Service(
            name="data",
            kind="internet_access",
            facility="satellite",
            match=('service="data"',),
            quality=QualityInputs(all_traffic_down="down_now"),
        ),
    )
)


class Measured(Network):
    """Tells of each equipment what the test says."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__(clock)
        self.values: dict[tuple[str, str], float] = {(NO_EMERGENCY, unit): 0.0 for unit in UNITS}
        self.why = ""

    def _answer(self) -> list[Any]:
        if self.why:
            raise QueryFailed(self.why)
        return super()._answer()

    def instant(self, query: str) -> list[Sample]:
        self._answer()
        return [
            Sample({"__name__": name, "service": service, "equipment": unit}, self._clock().timestamp(), value)
            for (name, unit), value in self.values.items()
            for service in ("voice", "data")
            if re.search(rf"\b{name}\b", query)
        ]


class Ticks:
    """Ticks over a house of its own; if `calm`, each with what the one before left of the calm ones."""

    def __init__(self, folder: Path, *, calm: bool) -> None:
        self.house = House(folder, CATALOGUE)
        self.house.prometheus = self.measured = Measured(self.house.clock)
        self._observer = Observer(self.measured, CATALOGUE, self.house.settings.comparable_days.calendar)
        self._known, self._keeps = Known(CATALOGUE, self.house.settings), calm

    def hear(self, *outages: Outage) -> None:
        for one in outages:
            at = one.start if one.end is None else one.end
            self.house.take_in(body([say(one, at, start=one.start, end=one.end)], at))
        while derive_waiting(self.house.database, CATALOGUE, HOLD, self.house.clock()):
            pass

    def at(self, minute: float) -> list[Assessment]:
        self.house.clock.now = moment(minute)
        if not self._keeps:
            self._known._calm.clear()
        house = self.house
        return tick(house.database, self._observer, house.settings, shipped(), house.clock(), self._known).appended


@pytest.fixture
def ticks(tmp_path: Path) -> Iterator[Ticks]:
    ticks = Ticks(tmp_path / "store", calm=True)
    with ticks.house:
        yield ticks


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The equipment of each judgement, as they are made."""
    its: list[str] = []
    judge = tick_module._judge

    def noted(case: tick_module.Case, *rest: object) -> object:
        its.append(case.incident.equipment or "")
        return judge(case, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(tick_module, "_judge", noted)
    return its


def test_what_is_new_is_judged_twice_a_larger_number_once_and_then_at_times_of_its_own(ticks: Ticks, judged: list[str]) -> None:
    ticks.measured.values |= {(UNABLE, "core-1"): 100, (UNABLE, "core-2"): 100}
    ticks.hear(Outage("core-1", "voice", 0, None), Outage("core-2", "voice", 0, None))
    for half_minute in range(8):
        ticks.at(1 + half_minute / 2)
    assert sorted(judged) == ["core-1", "core-1", "core-2", "core-2"]
    ticks.measured.values[UNABLE, "core-2"] = 101
    for half_minute in range(8, 10):
        ticks.at(1 + half_minute / 2)
    assert judged[4:] == ["core-2"]
    ticks.at(6 + JUDGED_ANEW / timedelta(minutes=1))
    assert sorted(judged[5:]) == ["core-1", "core-2"]


@pytest.mark.parametrize("users", [{"unable": 120_000.0}, {"unable": 101.0, "degraded": 5.0}], ids=["verdict", "effect"])
def test_a_larger_number_that_is_not_all_that_is_new_is_judged_again(
    ticks: Ticks, judged: list[str], users: dict[str, float]
) -> None:
    def tell(**users: float) -> None:
        ticks.measured.values |= {(f"art58:users_{kind}", "core-1"): number for kind, number in users.items()}

    tell(unable=100.0, stopped=1.0, degraded=0.0)
    ticks.hear(Outage("core-1", "voice", 0, None))
    for half_minute in range(4):
        ticks.at(121 + half_minute / 2)
    judged.clear()
    tell(**users)
    assert ticks.at(123)
    ticks.at(123.5)
    assert judged == ["core-1", "core-1"]


@pytest.mark.parametrize("minute", [60, 120], ids=["major_by_then", "periodic_by_then"])
def test_a_duration_of_the_rules_is_not_slept_through(ticks: Ticks, minute: int) -> None:
    ticks.measured.values |= {(UNABLE, "core-1"): 40_000.0 if minute == 60 else 10.0}
    ticks.hear(Outage("core-1", "voice", 0, None))
    for half_minute in range(2 * minute):
        ticks.at(half_minute / 2)
    (new,) = ticks.at(minute)
    assert (new.verdict, new.duration) == ("major" if minute == 60 else "periodic", timedelta(minutes=minute))


def test_what_a_person_states_is_judged_at_once(ticks: Ticks, judged: list[str]) -> None:
    ticks.measured.values |= {(UNABLE, "core-1"): 100.0}
    ticks.hear(Outage("core-1", "voice", 0, None))
    for half_minute in range(4):
        ticks.at(1 + half_minute / 2)
    house = ticks.house
    acts.state(house.database, CATALOGUE, house.incidents()[0].id, Caused("hardware"), "noc", "seen", moment(3), HOLD)
    judged.clear()
    assert ticks.at(3.5)
    assert judged == ["core-1"]


def test_that_all_traffic_is_down_is_judged_at_once(ticks: Ticks) -> None:
    ticks.measured.values |= {(UNABLE, "core-1"): 100.0, ("down_now", "core-1"): 0.0}
    ticks.hear(Outage("core-1", "data", 0, None))
    for half_minute in range(6):
        ticks.at(1 + half_minute / 2)
    ticks.measured.values["down_now", "core-1"] = 1.0
    assert [new.all_traffic_down_since for new in ticks.at(4)] == [moment(4)]


def test_another_reason_why_nothing_is_measured_is_told_at_once(ticks: Ticks) -> None:
    ticks.hear(Outage("core-1", "voice", 0, None))
    ticks.measured.why = "it timed out"
    for half_minute in range(6):
        ticks.at(1 + half_minute / 2)
    ticks.measured.why = "it cannot be reached"
    assert [new.affected.problem for new in ticks.at(4)] == ["it cannot be reached"]


def said_by_minute(ticks: Ticks, minutes: range) -> dict[float, list[Assessment]]:
    """What is said at each quarter of a minute, where something is."""
    return {at / 4: said for at in range(4 * minutes.start, 4 * minutes.stop) if (said := ticks.at(at / 4))}


@pytest.mark.parametrize("minute", [1.25, 9.25, 14.25])
def test_clause_2_is_judged_in_time_though_the_table_may_be_fulfilled_before(ticks: Ticks, minute: float) -> None:
    # of those who had a stop and those who had a degradation nobody knows how many are the same: it may be major from two hours on
    users = {("art58:users_stopped", "core-1"): 12_000.0, ("art58:users_degraded", "core-1"): 25_000.0}
    ticks.measured.values |= users | {("down_now", "core-1"): 0.0}
    ticks.hear(Outage("core-1", "data", 0, None))
    for at in range(int(4 * minute)):
        ticks.at(at / 4)
    ticks.measured.values["down_now", "core-1"] = 1.0
    said = said_by_minute(ticks, range(int(minute), 140))
    major = [at for at, its in said.items() if its[0].verdict == "major"]
    assert major[0] == 120 + (min(said) if min(said) > 0 else minute)


def test_a_plan_that_the_outage_preceded_takes_nothing_back_and_is_no_news_at_each_tick(ticks: Ticks) -> None:
    ticks.measured.values[UNABLE, "core-1"] = 40_000.0
    ticks.hear(Outage("core-1", "voice", 0, None))
    said_by_minute(ticks, range(70))
    house = ticks.house
    plan = Planned(moment(65), moment(90))
    acts.state(house.database, CATALOGUE, house.incidents()[0].id, plan, "noc", "seen", moment(70), HOLD)
    said = said_by_minute(ticks, range(70, 100))
    assert {(new.verdict, new.major_since) for its in said.values() for new in its} == {("major", moment(60))}
    assert len(said) <= 2


class Step(NamedTuple):
    """So many minutes later these figures are told, nothing is (`down`), or that of an outage."""

    minutes: float
    values: dict[tuple[str, str], float | None]
    down: bool = False
    heard: Outage | None = None


_USERS = st.sampled_from((None, 0.0, 100.0, 29_999.0, 30_000.0, 40_000.0, 120_000.0))
_SHARES = {"art58:call_loss_ratio": st.sampled_from((None, 0.5, 0.9))}
_STATES = {name: st.sampled_from((None, 0.0, 1.0)) for name in ("art58:equipment_up", "down_now", NO_EMERGENCY)}
_VALUES = {UNABLE: _USERS, UNDER: _USERS} | _SHARES | _STATES
_KEYS = st.tuples(st.sampled_from(sorted(_VALUES)), st.sampled_from(UNITS))


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Mostly nothing changes; some outages begin and end on the way."""
    found, minute, firing = [], 0.0, dict[tuple[str, str], float]()
    for _ in range(draw(st.integers(5, 30))):
        minutes = draw(st.sampled_from((0.5, 0.5, 0.5, 2, 5, 14.5, 25)))
        minute += minutes
        values, heard, down = dict[tuple[str, str], float | None](), None, False
        match draw(st.sampled_from(("same", "same", "same", "values", "outage", "down"))):
            case "values":
                values = {key: draw(_VALUES[key[0]]) for key in draw(st.lists(_KEYS, min_size=1, max_size=4))}
            case "outage":
                unit, service = draw(st.sampled_from(UNITS)), draw(st.sampled_from(("voice", "data")))
                began = firing.pop((unit, service), None)
                heard = Outage(unit, service, minute if began is None else began, None if began is None else minute)
                if began is None:
                    firing[unit, service] = minute
            case "down":
                down = True
        found.append(Step(minutes, values, down, heard))
    return found


@given(steps())
@settings(max_examples=25 * EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
def test_what_is_said_at_each_tick_is_what_is_said_if_all_is_judged(its: list[Step]) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        sides = [Ticks(Path(one, "store"), calm=True), Ticks(Path(other, "store"), calm=False)]
        with sides[0].house, sides[1].house:
            for side in sides:
                side.measured.values |= {(UNABLE, unit): 30_000.0 for unit in UNITS}
                side.house.clock.now = moment(0)
                side.hear(Outage("core-1", "voice", 0, None))
                side.at(0)
            minute = 0.0
            for step in its:
                minute += step.minutes
                said = []
                for side in sides:
                    measured = side.measured
                    measured.down = step.down
                    for key, value in step.values.items():
                        measured.values.pop(key, None)
                        if value is not None:
                            measured.values[key] = value
                    side.house.clock.now = moment(minute)
                    side.hear(*([step.heard] if step.heard else []))
                    said.append(side.at(minute))
                assert said[0] == said[1], f"after {minute} minutes"
