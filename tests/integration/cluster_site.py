"""What the tests of a cluster of Alertmanagers share: the site that they break, and a receiver that can go away and come home."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, get_args

import pytest

from examples import peers
from receiver.delivery.plan import Route
from receiver.model import Alert, Incident, IncidentState
from receiver.settings import AlertmanagerSettings
from receiver.storage import heartbeat
from receiver.storage import incidents as store
from receiver.storage.packed import unpacked
from receiver.storage.tables import notifications
from tests.fakes.memory import MemoryTarget
from tests.integration.alertmanagers import ENDS_WITHIN, USERS, Alertmanager, Door, GossipDoor, Plant, Prometheus, config
from tests.receiver import Receiver

HOLD = timedelta(seconds=4)
PATIENCE = 25
"""Seconds; all that is waited for takes two or three, and the hold."""
OF_THE_CLUSTER = 'equipment=~"trio|cut-.+|regrouped|gap-.|inhibit.+|silenced"'
OF_THE_LONE = 'equipment=~"forgotten|unseen|"'  # and those without equipment


class Site:
    """All that runs while these tests do. Prometheus and Alertmanager start slowly, so they are shared.

    The cluster has two halves. In the near one are two Alertmanagers and `prometheus`, which watches `plant`; in the far one the
    third and `other`, which watches `other_plant`: the same network, as it is seen from there. Both send to all three, until the
    cluster is cut. Outside of it is the `lone` one: `prometheus` sends to it, and `doomed`, which watches `doomed_plant`. What is
    sent to the receiver goes through `door`, from either half.
    """

    def __init__(self, folder: Path, plants: tuple[Plant, Plant, Plant]) -> None:
        self.plant, self.other_plant, self.doomed_plant = plants
        self.door = Door()
        # each tells of what its own tests break alone
        cluster, lone = config(self.door.url, OF_THE_CLUSTER), config(self.door.url, OF_THE_LONE, group_by=["equipment", "service"])
        self._gossip = [GossipDoor() for _ in range(3)]
        self.cluster = [Alertmanager(folder / f"cluster-{n}", cluster, own, self._gossip) for n, own in enumerate(self._gossip)]
        *self.near, self.far = self.cluster
        self._across = {Door(): one for one in self.cluster}
        *to_near, to_far = self._across
        self.lone = Alertmanager(folder / "lone", lone)
        self.prometheus = Prometheus(folder / "prometheus", self.plant, [*self.near, to_far, self.lone])
        self.other = Prometheus(folder / "other", self.other_plant, [*to_near, self.far])
        self.doomed = Prometheus(folder / "doomed", self.doomed_plant, [self.lone])
        self.servers = (*self.cluster, self.lone, self.prometheus, self.other, self.doomed)
        self.heal()

    def cut(self) -> None:
        """Nothing gets from one half of the cluster to the other any more: neither gossip nor alerts."""
        *to_near, to_far = self._gossip
        for gossip in to_near:
            gossip.shut_to = [self.far]
        to_far.shut_to = self.near
        for door in self._across:
            door.shut()

    def heal(self) -> None:
        for gossip in self._gossip:
            gossip.shut_to = ()
        for door, alertmanager in self._across.items():
            door.open(int(alertmanager.url.rpartition(":")[2]))

    def shut(self) -> None:
        for door in (self.door, *self._across):
            door.shut()
        for gossip in self._gossip:
            gossip.close()

    def is_ready(self) -> bool:
        watchers = (self.prometheus, self.other, self.doomed)
        return all(am.knows() == 3 for am in self.cluster) and all(watcher.sees("spare") for watcher in watchers)


class House:
    """A receiver that the site can reach while it is at home, its store, and the desk where its tickets lie."""

    def __init__(self, site: Site, folder: Path, alertmanagers: tuple[Alertmanager, ...] = (), watcher: Prometheus | None = None):
        self.site, self.folder, self.desk = site, folder, MemoryTarget("desk")
        self._prometheus = watcher or site.prometheus
        self._peers = tuple(AlertmanagerSettings(url=one.url) for one in alertmanagers)
        self.receiver: Receiver

    def come_home(self) -> Self:
        self.receiver = Receiver(
            self.folder,
            self._prometheus.url,
            (Route("desk", "ticket"), self.desk),
            alertmanagers=self._peers,
            reconcile_seconds=1,
            tick_seconds=0.5,
            hold_seconds=HOLD.total_seconds(),
            candidate_lead_seconds=7200,  # a ticket at once: voice would be major in an hour
        )
        self.receiver.__enter__()
        self.site.door.open(int(self.receiver.url.rpartition(":")[2]))
        return self

    def leave(self) -> None:
        self.site.door.shut()
        self.receiver.__exit__()

    def __enter__(self) -> Self:
        return self.come_home()

    def __exit__(self, *_: object) -> None:
        self.leave()
        for one in (self.site.plant, self.site.other_plant, self.site.doomed_plant):
            one.down.clear()
            one.stuck.clear()

    def work_until(self, what: str, check: Callable[[], object]) -> None:
        """Let the receiver work as it does in its loop until this is so."""

        def worked() -> object:
            self.receiver.worker.step()
            self.receiver.worker.deliver()
            return check()

        try:
            peers.wait_until(what, worked, PATIENCE)
        except peers.PeerError as error:
            pytest.fail(f"{error}\n{self.story()}")

    def incidents(self, *names: str) -> list[Incident]:
        """Those of this equipment, or of services alone, without those that became part of another.

        Others there may be: what the tests before this one broke is still in Prometheus' history.
        """
        with self.receiver.database.read() as connection:
            found = store.listed(connection, get_args(IncidentState), 1000)
        return [one for one in found if one.joined_to is None and {*one.units, one.cause.removeprefix("services:")} & {*names}]

    def incident(self, *names: str) -> Incident:
        """The only one of these."""
        found = self.incidents(*names)
        assert len(found) == 1, self.story()
        return found[0]

    def is_(self, state: IncidentState, *names: str) -> bool:
        return [one.state for one in self.incidents(*names)] == [state]

    def alerts(self, incident: Incident) -> list[Alert]:
        with self.receiver.database.read() as connection:
            return store.alerts_of(connection, [incident.id])[incident.id]

    def heard(self) -> list[dict[str, Any]]:
        """The bodies that were sent to the receiver."""
        with self.receiver.database.inbox.read() as connection:
            rows = connection.execute(notifications.select().where(notifications.c.learnt == "webhook"))
            return [json.loads(unpacked(row.body)) for row in rows]

    def told(self, label: str, value: str, status: str = "firing", tellers: Sequence[Alertmanager] = ()) -> int:
        """How many of these bodies say this of an alert with this label; of `tellers`, if there are some, only theirs."""
        urls = {one.url for one in tellers or (*self.site.cluster, self.site.lone)}
        return sum(
            any(one["status"] == status and one["labels"].get(label) == value for one in body["alerts"])
            for body in self.heard()
            if body["externalURL"] in urls
        )

    def ticked_at(self) -> datetime:
        with self.receiver.database.read() as connection:
            return heartbeat.last(connection, "tick") or datetime.min.replace(tzinfo=UTC)

    def tickets(self, unit: str) -> list[tuple[str, bool]]:
        """Every ticket that was ever made for an incident with this equipment: the incident, and whether it is resolved."""
        with self.receiver.database.read() as connection:
            named = store.named(connection, [ticket.key for ticket in self.desk.said.values()])
        its = {id_ for id_, one in named.items() if unit in (*one.units, one.equipment)}
        return [(ticket.key, number in self.desk.resolved) for number, ticket in self.desk.said.items() if ticket.key in its]

    def story(self) -> str:
        """What there is, for a test that fails."""
        with self.receiver.database.read() as connection:
            found = store.listed(connection, get_args(IncidentState), 1000)
            alerts = store.alerts_of(connection, [one.id for one in found])
        lines = [f"{len(self.heard())} bodies were sent; {self.receiver.received()} of all wait; tickets: {self.desk.calls}"]
        for one in found:
            lines.append(str(one))
            lines += [
                f"  {a.labels.get('equipment')} {a.labels.get('service')} {a.starts_at} - {a.ends_at} learnt {a.learnt} "
                f"fired {a.fired_at} resolved {a.resolved_at}"
                for a in alerts[one.id]
            ]
        return "\n".join(lines)

    def is_as_prometheus_tells(self, unit: str, last_seen_by: Prometheus | None = None) -> None:
        """One incident of this equipment, from the first sample that shows it down to the evaluation that ended its alerts.

        `last_seen_by`: the Prometheus that saw it down for longer, if that is another one.
        """
        one = self.incident(unit)
        first, _ = self._prometheus.fired("equipment", unit)
        _, last = (last_seen_by or self._prometheus).fired("equipment", unit)
        assert is_start(one.failure_started_at, min(self._prometheus.down_since(unit), first)), self.story()
        assert one.restored_at is not None
        assert last < one.restored_at <= last + ENDS_WITHIN, self.story()
        services = {alert.labels["service"] for alert in self.alerts(one)}
        assert services == set(USERS), self.story()


def is_start(found: datetime, true: datetime) -> bool:
    """Of the three that know a start ALERTS_FOR_STATE says it in whole seconds, rounded down."""
    return true.replace(microsecond=0) <= found <= true
