"""The life of incidents under all that may happen, in any sequence that hypothesis can think of: alerts, their doubles and delays,
ticks, restarts, a Prometheus that is away, acts of persons. After each step what must always be so is looked at.
"""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from receiver.incidents import acts, correlate
from receiver.incidents.derive import derive_waiting
from receiver.incidents.facts import Refused
from receiver.model import Alert, Closed, Deed, Dismissed, Incident, Merged, Reopened, Split, Timed
from receiver.stated import Stated, stated
from receiver.storage import acts as kept_acts
from tests.incidents.streams import (
    EXAMPLES,
    HOLD,
    MINUTE,
    PLACES,
    T0,
    Body,
    House,
    Outage,
    body,
    expected,
    found,
    moment,
    regardless_of_users,
    say,
)
from tests.incidents.test_any_order import holds_at_any_time

_ANY = st.integers(0, 1000)
"""Which one of those there are, whatever their number."""


class Lifecycle(RuleBasedStateMachine):
    """`truth` is what failed so far; `heard`, by place in it, whether the last word that the receiver got is that it is over."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.house = House(Path(self._folder.name, "store"))
        self.truth: list[Outage] = []
        self.heard: dict[int, bool] = {}
        self.held_back: list[tuple[int, Body]] = []
        self.last: Body | None = None
        self.acted = False

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.house.__exit__()
            self._folder.cleanup()

    def _end(self) -> None:
        """The last word on everything: what no person had a hand in is what the truth alone says."""
        house = self.house
        house.prometheus.down = False
        house.clock.advance(minutes=2)
        for number in range(len(self.truth)):
            self._say(number)
        house.clock.advance(minutes=45)
        house.settle()
        self.holds()
        if not self.acted:
            assert regardless_of_users(found(house, self.truth)) == regardless_of_users(expected(self.truth, house.clock()))

    # what Alertmanager says

    @initialize()
    def begin(self) -> None:
        self.house.clock.now = T0

    @rule(place=st.sampled_from(PLACES), service=st.sampled_from(("voice", "data")), feed=st.sampled_from((None, None, "feed-1")))
    def fire(self, place: str | None, service: str, feed: str | None) -> None:
        new = Outage(place, service, self._minute, None, feed)
        # one that fires goes on firing; and what ended within this minute is not told from what begins in it
        if not any(old.labels == new.labels and (old.end is None or old.end >= new.start) for old in self.truth):
            self.truth.append(new)
            self._say(len(self.truth) - 1)

    @precondition(lambda self: self._firing)
    @rule(which=_ANY, is_heard=st.booleans())
    def resolve(self, which: int, is_heard: bool) -> None:
        number = self._firing[which % len(self._firing)]
        self.truth[number] = self.truth[number]._replace(end=self._minute)
        if is_heard:
            self._say(number)
        else:
            self.held_back.append((number, self._word(number)))

    @precondition(lambda self: self._firing)
    @rule(which=_ANY)
    def flap(self, which: int) -> None:
        self._flap(self._firing[which % len(self._firing)])

    def _flap(self, number: int) -> None:
        # not in the minute in which it began
        self.house.clock.advance(minutes=1)
        self.truth[number] = self.truth[number]._replace(end=self._minute)
        self._say(number)
        self.house.clock.advance(minutes=1)
        self.truth.append(self.truth[number]._replace(start=self._minute, end=None))
        self._say(len(self.truth) - 1)
        self._tick()

    @precondition(lambda self: self.truth)
    @rule(which=_ANY)
    def resend(self, which: int) -> None:
        self._say(which % len(self.truth))

    @precondition(lambda self: self.last)
    @rule()
    def double(self) -> None:
        assert self.last
        self._take_in(self.last)

    @precondition(lambda self: self._firing)
    @rule(which=_ANY)
    def fire_as_a_parted_twin_has_it(self, which: int) -> None:
        number = self._firing[which % len(self._firing)]
        outage = self.truth[number]
        self._take_in(body([say(outage, self._minute, start=self._minute)], self._minute))
        self.heard[number] = False

    @precondition(lambda self: self.held_back)
    @rule(which=_ANY)
    def arrive_late(self, which: int) -> None:
        number, one = self.held_back.pop(which % len(self.held_back))
        self._take_in(one)
        self.heard[number] = True

    # what else happens

    @rule()
    def tick(self) -> None:
        self._tick()

    @rule(minutes=st.sampled_from((1, 7, 31, 90)))
    def wait(self, minutes: int) -> None:
        self.house.clock.advance(minutes=minutes)
        self._tick()

    @rule()
    def restart(self) -> None:
        self.house.restart()

    @rule()
    def lose_or_find_prometheus(self) -> None:
        self.house.prometheus.down = not self.house.prometheus.down

    # what persons state

    @precondition(lambda self: len(self._standing) > 1)
    @rule(part=_ANY, whole=_ANY)
    def merge(self, part: int, whole: int) -> None:
        its = self._standing
        one, other = its[part % len(its)].id, its[whole % len(its)].id
        self._act(one, Merged(one, other))

    @precondition(lambda self: self._of_several_alerts)
    @rule(which=_ANY, alert=_ANY, one_flaps=st.booleans())
    def split(self, which: int, alert: int, one_flaps: bool) -> None:
        one = self._of_several_alerts[which % len(self._of_several_alerts)]
        its = self.house.alerts()[one.id]
        chosen = its[alert % len(its)]
        self._act(one.id, Split("", one.id, ((chosen.source, chosen.fingerprint),)))
        stays = {number for each in its if each.fingerprint != chosen.fingerprint for number in self._outages_of(each)}
        if one_flaps and (fires_on := sorted(stays.intersection(self._firing))):
            self._flap(fires_on[0])

    @precondition(lambda self: self._standing)
    @rule(which=_ANY, deed=st.sampled_from((Dismissed(), Reopened(), Closed())))
    def dismiss_reopen_or_close(self, which: int, deed: Deed) -> None:
        one = self._standing[which % len(self._standing)]
        self._act(one.id, deed)

    @precondition(lambda self: self._standing)
    @rule(which=_ANY, ago=st.integers(0, 40), begins=st.booleans())
    def state_a_time(self, which: int, ago: int, begins: bool) -> None:
        one = self._standing[which % len(self._standing)]
        at = self.house.clock() - ago * MINUTE
        self._act(one.id, Timed(started_at=at) if begins else Timed(restored_at=at))

    def _act(self, incident_id: str, deed: Deed) -> None:
        with suppress(Refused):
            acts.state(self.house.database, self.house.catalogue, incident_id, deed, "somebody", "for the test", self.house.clock())
            self.acted = True
        self._derive()

    # what must always be so

    @invariant()
    def every_alert_about_a_service_is_in_an_incident_that_stands(self) -> None:
        standing = {incident.id for incident in self._standing}
        holders = {(alert.fingerprint, alert.starts_at): id_ for id_, its in self.house.alerts().items() for alert in its}
        assert set(holders.values()) <= standing
        with self.house.database.read() as connection:
            (count,) = connection.exec_driver_sql("SELECT count(*) FROM alerts").one()
        assert count == len(holders)

    def holds(self) -> None:
        """After a tick."""
        holds_at_any_time(self.house)
        alerts = self.house.alerts()
        for target in (self.house.desk, self.house.wall):
            keys = [one.key for one in target.said.values()]
            assert len(keys) == len(set(keys)), "two objects for one incident"
        self._what_fires_again_is_with_what_fired_there(alerts)
        for incident in self._standing:
            if not self._a_person_had_a_hand_in(incident):
                self._follows_its_alerts(incident, alerts[incident.id])
        for id_, its in self.house.latest().items():
            for one in its:
                assert one.restored_at is None or one.duration == max(one.restored_at - one.failure_started_at, timedelta()), id_

    def _follows_its_alerts(self, incident: Incident, its: list[Alert]) -> None:
        numbers = [number for alert in its for number in self._outages_of(alert)]
        fires_on = [n for n in numbers if self.truth[n].end is None]
        assert not fires_on or incident.state == "open", "it was over while something fired"
        assert incident.failure_started_at == min(alert.starts_at for alert in its)
        if incident.state != "open" and all(self.heard[n] for n in numbers):
            assert incident.restored_at == max(moment(self.truth[n].end or 0) for n in numbers), "its end is not the last recovery"
        if incident.state in ("restored", "closed"):
            assert incident.restored_at
            assert incident.restored_at + HOLD <= self.house.clock(), "over before its recovery had held"

    def _what_fires_again_is_with_what_fired_there(self, alerts: dict[str, list[Alert]]) -> None:
        """Unless that was dismissed; and where no person put it elsewhere."""
        dismissed = {incident.id for incident in self._standing if incident.dismissed}
        words = {id_: self._word_of(id_) for id_ in alerts}
        its = [alert for each in alerts.values() for alert in each]
        stretches = correlate.stretches(its, self.house.catalogue, HOLD, words)
        for number, later in enumerate(stretches):
            former = {
                earlier.alert.incident_id
                for earlier in stretches[:number]
                if earlier.alert.cause == later.alert.cause and correlate.near(earlier, later)
            }
            if former - dismissed and not later.alert.pinned and later.alert.incident_id not in dismissed:
                assert later.alert.incident_id in former, "it is with something else than what fired there"

    def _word_of(self, incident_id: str) -> Stated:
        with self.house.database.read() as connection:
            return stated(kept_acts.of_incidents(connection, [incident_id])[incident_id])

    def _outages_of(self, alert: Alert) -> list[int]:
        return [
            number
            for number, outage in enumerate(self.truth)
            if outage.labels == alert.labels
            and moment(outage.start) <= alert.starts_at
            and (outage.end is None or alert.starts_at <= moment(outage.end))
        ]

    def _a_person_had_a_hand_in(self, incident: Incident) -> bool:
        with self.house.database.read() as connection:
            query = "SELECT count(*) FROM acts WHERE incident_id = ? AND who = 'somebody'"
            (count,) = connection.exec_driver_sql(query, (incident.id,)).one()
        return bool(count)

    # helpers

    @property
    def _minute(self) -> float:
        return (self.house.clock() - T0) / MINUTE

    @property
    def _firing(self) -> list[int]:
        return [number for number, outage in enumerate(self.truth) if outage.end is None]

    @property
    def _standing(self) -> list[Incident]:
        return sorted(self.house.standing(), key=lambda incident: incident.id)

    @property
    def _of_several_alerts(self) -> list[Incident]:
        alerts = self.house.alerts()
        return [one for one in self._standing if len({alert.fingerprint for alert in alerts[one.id]}) > 1]

    def _word(self, number: int) -> Body:
        outage = self.truth[number]
        return body([say(outage, self._minute, start=outage.start, end=outage.end)], self._minute)

    def _say(self, number: int) -> None:
        self._take_in(self._word(number))
        self.heard[number] = self.truth[number].end is not None

    def _take_in(self, one: Body) -> None:
        self.last = one
        self.house.take_in(one)
        self._derive()

    def _derive(self) -> None:
        while derive_waiting(self.house.database, self.house.catalogue, HOLD, self.house.clock()):
            pass

    def _tick(self) -> None:
        self.house.tick()
        self.house.worker.deliver()
        self.holds()


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(
    max_examples=8 * EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
