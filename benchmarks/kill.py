"""Random kill -9 of a web process, gunicorn's master, the worker, all of it, or PostgreSQL, under load: what becomes of the alerts?

Every alert that was answered 200 is to be in the store with its incident, every incident assessed, and every ticket made once. The
ticket system is the stand-in of the tests, which makes as many tickets as it is asked for. The claim of a killed worker on a ticket
ends after a minute: what is left of them after the last kill is worked off here, with a clock that is ahead.
"""

import json
import logging
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence, Sized
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import click
import structlog
from sqlalchemy import select

from benchmarks.frame import machine, scratch, table
from benchmarks.outages import Outages, Unit
from benchmarks.senders import Sender, Sent, alert, body_of
from benchmarks.store import Store, opened
from benchmarks.store import option as store_option
from benchmarks.tree import address, configured, kill, processes, serving
from examples.peers import Server
from receiver.cli import config
from receiver.cli.parts import targets
from receiver.delivery.dispatcher import Dispatcher
from receiver.storage import deliveries
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.tables import alerts, assessments, incidents
from receiver.storage.tables import deliveries as owed_table
from tests.fakes.faults import Fault
from tests.fakes.servicenow import FakeServiceNow
from tests.postgres import PostgresServer

PASSWORD = "not-for-anyone's-eyes"  # noqa: S105 - of a stand-in
SENDERS = 4
PAUSE_SECONDS = 0.1
"""Between two bodies of one sender: the load is to be there all the time, not to be as high as can be."""
LASTS_SECONDS = 3.0
"""So long a failure lasts, until its end is sent."""
MAJOR_EVERY = 20
"""Each so many-th failure began more than an hour ago and hits enough users: it gets a ticket."""
HOLD_SECONDS = 5
PAUSES = (0.3, 1.3)
"""Seconds from one kill to the next, the least and the most."""
SLOW_SHARE, SLOW_SECONDS = 0.7, 0.2
"""Of the calls to the ticket system so many take so long after their work is done: then a kill finds some half made."""
AIMED_SHARE, AIMED_SECONDS = 0.5, 3.0
"""So many of the worker's deaths wait, for so long at most, until a ticket has just been made: by chance few would hit one."""
DOWN_SECONDS = 0.5
"""So long at most PostgreSQL is away after it was killed, besides what it needs to start."""
CLAIM_OVER = timedelta(minutes=2)
SETTLE_SECONDS = 60

Victim = Literal["web", "master", "worker", "deriver", "tree", "server", "backend"]
VICTIMS: tuple[Victim, ...] = get_args(Victim)
OF_POSTGRESQL: tuple[Victim, ...] = ("server", "backend")
MAKES_TICKETS: tuple[Victim, ...] = ("worker", "tree", *OF_POSTGRESQL)
"""Whose death may part a ticket from what is remembered of it."""


class Load:
    """Senders that report failures and their ends to receivers by turns until stopped; what was answered 200."""

    def __init__(self, urls: Sequence[str], network: Outages) -> None:
        self.sent = Sent([])
        self.fired: dict[str, str] = {}
        """Fingerprint and equipment of each alert whose firing was answered 200."""
        self.ended: set[str] = set()
        self._urls, self._network = urls, network
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No more failures; those that last come to their ends."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _work(self, sender: int) -> None:
        connection, number = Sender(self._urls[sender % len(self._urls)], self.sent), 0
        lasting: list[tuple[float, Unit]] = []
        while not self._stopped.is_set():
            unit = self._failed(f"unit{sender}x{number}", is_major=number % MAJOR_EVERY == 0)
            number += 1
            if self._post(connection, unit, None):
                self.fired[f"{unit.name}n0"] = unit.name
                lasting.append((time.time() + LASTS_SECONDS, unit))
            while lasting and lasting[0][0] <= time.time():
                self._end(connection, lasting.pop(0)[1])
            self._stopped.wait(PAUSE_SECONDS)
        for _, unit in lasting:
            self._end(connection, unit)
        connection.close()

    def _failed(self, name: str, *, is_major: bool) -> Unit:
        begun = time.time() - (4000 if is_major else 60)
        unit = Unit(name, "voice", 50_000 if is_major else 500, begun)
        self._network.units[name] = unit
        return unit

    def _end(self, connection: Sender, unit: Unit) -> None:
        unit.up_since = time.time()
        if self._post(connection, unit, unit.up_since):
            self.ended.add(f"{unit.name}n0")

    def _post(self, connection: Sender, unit: Unit, ended: float | None) -> bool:
        body = body_of(unit.name, [alert(unit.name, unit.service, 0, unit.down_since, ended)])
        deadline = time.monotonic() + SETTLE_SECONDS
        return connection.post(body, until=lambda: time.monotonic() > deadline)


class Killer:
    """Chooses its victims by chance, every kind of them equally often in the long run, and starts again what nobody else would.

    `postgres` is the server that is killed, too; None where there is none, or it is not ours.
    """

    def __init__(self, receivers: Sequence[Server], seed: int, tickets: Sized, postgres: PostgresServer | None) -> None:
        self._receivers, self._chance = receivers, random.Random(seed)  # noqa: S311 - no secret depends on it
        self._tickets, self._postgres = tickets, postgres
        self.victims = tuple(victim for victim in VICTIMS if postgres or victim not in OF_POSTGRESQL)
        self.kills: Counter[str] = Counter()
        self._left: list[Victim] = []

    def strike(self) -> None:
        """Kill one that is there: whoever was killed a moment ago may not have been started again."""
        if not self._left:
            self._left = self._chance.sample(self.victims, len(self.victims))
        receiver = self._chance.choice(self._receivers)
        victim = next((victim for victim in self._left if self._there(victim, receiver)), None)
        if victim is None:
            return
        self._left.remove(victim)
        if victim in MAKES_TICKETS and self._chance.random() < AIMED_SHARE:
            self._wait_for_a_ticket()
        there = self._there(victim, receiver)
        if victim == "server":
            self._kill_server()
        elif victim == "tree":
            kill(there)
            receiver.kill()
            receiver.start()
        elif there:
            kill([self._chance.choice(there)])
        else:
            return
        self.kills[victim] += 1

    def _there(self, victim: Victim, receiver: Server) -> list[int]:
        """The processes of which one may be killed, or all."""
        assert receiver.process is not None  # noqa: S101 - for the type checker
        if victim in OF_POSTGRESQL:
            return self._postgres.backends() if self._postgres else []
        return [pid for pid, role in processes(receiver.process.pid).items() if victim in ("tree", role)]

    def _kill_server(self) -> None:
        assert self._postgres is not None  # noqa: S101 - for the type checker
        self._postgres.kill()
        time.sleep(self._chance.uniform(0, DOWN_SECONDS))
        self._postgres.start()

    def _wait_for_a_ticket(self) -> None:
        before, deadline = len(self._tickets), time.monotonic() + AIMED_SECONDS
        while len(self._tickets) == before and time.monotonic() < deadline:
            time.sleep(0.005)

    def rest(self) -> None:
        time.sleep(self._chance.uniform(*PAUSES))


def run(kills: int, receivers: int, seed: int, folder: Path, store: Store, say: Callable[[str], None]) -> dict[str, Any]:
    begin = time.monotonic()
    with ExitStack() as stack:
        network = stack.enter_context(Outages())
        desk = stack.enter_context(FakeServiceNow("art58", PASSWORD))
        desk.misbehave(SLOW_SHARE, seed, Fault("timeout_after_work", seconds=SLOW_SECONDS))
        folders = [folder / str(number) for number in range(receivers)]
        files = [receiver_of(its, network.url, store, desk) for its in folders]
        servers = [serving(file) for file in files]
        for server in servers:
            stack.callback(server.kill)
            server.start()
        load, killer = Load([server.url for server in servers], network), Killer(servers, seed, desk.incidents, store.server)
        while killer.kills.total() < kills:
            killer.rest()
            killer.strike()
            say(f"{killer.kills.total()} kills, {len(load.sent.seconds)} bodies answered 200, {len(desk.incidents)} tickets")
        load.stop()
        with closing(Database(address(folders[0], store.url))) as database:
            seconds = settled(database, load)
            for server in servers:
                server.kill()
            desk.misbehave(0, seed)
            deliver_the_rest(database, files[0])
            return {
                "receivers": receivers,
                "kills": killer.kills.total(),
                **{f"kills_{victim}": killer.kills[victim] for victim in killer.victims},
                "answered": len(load.sent.seconds),
                "unanswered": load.sent.refused + load.sent.broken,
                **found(database, load),
                **tickets(database, desk.incidents),
                "settled_s": round(seconds, 1),
                "seconds": round(time.monotonic() - begin, 1),
            }


def receiver_of(folder: Path, prometheus: str, store: Store, desk: FakeServiceNow) -> Path:
    """The configuration of one receiver in a folder of its own."""
    folder.mkdir()
    (folder / "password").write_text(PASSWORD)
    ticket = {"kind": "servicenow", "name": "now", "url": desk.url, "user": "art58", "password": {"file": "password"}}
    more: dict[str, Any] = {"hold_seconds": HOLD_SECONDS, "tick_seconds": 1, "tickets": [ticket | {"per_minute": 100_000}]}
    return configured(folder, prometheus, store.url, **more)


def settled(database: Database, load: Load) -> float:
    """Seconds until all that was answered is derived and assessed; it need not ever be: then something was lost."""
    begin = time.monotonic()
    while _lacks(database, load) and time.monotonic() - begin < SETTLE_SECONDS:
        time.sleep(0.2)
    return time.monotonic() - begin


def _lacks(database: Database, load: Load) -> bool:
    try:
        return any(found(database, load).values())
    except StoreUnavailable:
        return True  # it recovers from the last kill


def found(database: Database, load: Load) -> dict[str, int]:
    """Alerts answered 200 that are not in the store as they were told, with no incident, or an incident that was never assessed."""
    with database.read() as connection:
        stored = {
            row.fingerprint: row
            for row in connection.execute(select(alerts.c.fingerprint, alerts.c.fired_at, alerts.c.ends_at, alerts.c.incident_id))
        }
        said = set(connection.execute(select(assessments.c.incident_id).distinct()).scalars())
        known = set(connection.execute(select(incidents.c.id)).scalars())
    return {
        # the word of the end alone makes an alert, too: one that never fired
        "lost": sum(name not in stored or stored[name].fired_at is None for name in load.fired)
        + sum(name not in stored or stored[name].ends_at is None for name in load.ended),
        "homeless": sum(row.incident_id is None for row in stored.values()),
        "unassessed": len(known - said),
    }


def deliver_the_rest(database: Database, file: Path) -> None:
    """Work off what is owed as if the claims of all killed workers had ended."""

    def clock() -> datetime:
        return datetime.now(UTC) + CLAIM_OVER

    settings, catalogue, _ = config.load(file)
    duties, holder, deadline = settings.duties.of_the_law, "after the kills", time.monotonic() + SETTLE_SECONDS
    for route, target in targets(settings, clock):
        dispatcher = Dispatcher(
            database, target, catalogue, duties, settings.external_url, holder, clock, route.policy, route.content
        )
        while unsent(database) and time.monotonic() < deadline:
            if not dispatcher.send_next():
                time.sleep(0.05)


def unsent(database: Database) -> int:
    """What is made but looked up again for some minutes, lest it be there twice, is sent."""
    with database.read() as connection:
        return sum(n for (_, state), n in deliveries.count_by_state(connection).items() if state not in ("sent", "unsure"))


def tickets(database: Database, made: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Tickets there are, too many of one incident, and owed but not there."""
    with database.read() as connection:
        owed = [id_ for (id_,) in connection.execute(select(owed_table.c.incident_id))]
    text = Counter(id_ for id_ in owed for row in made.values() if id_ in json.dumps(row, default=str))
    return {
        "tickets": len(made),
        "doubled": sum(number - 1 for number in text.values()),
        "missing": sum(id_ not in text for id_ in owed),
        "unsent": unsent(database),
    }


@click.command(help=__doc__)
@click.option("--kills", type=click.IntRange(1, 10_000), default=200, show_default=True, help="How many.")
@click.option("--seed", default=58, show_default=True, help="Of the victims and the moments.")
@click.option("--receivers", type=click.IntRange(1, 8), default=1, show_default=True, help="So many share the store (PostgreSQL).")
@store_option
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(kills: int, receivers: int, seed: int, store: str, as_json: bool) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if receivers > 1 and store == "sqlite":
        raise click.UsageError("several receivers need a store that they can share: --store postgresql")
    with scratch() as folder, opened(store, folder) as its:
        figures = run(kills, receivers, seed, folder, its, lambda text: click.echo(text, err=True))
        ran_on = machine(folder, "flask", "gunicorn", "sqlalchemy")
    click.echo(", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(table(("", ""), [[name, f"{value:,}"] for name, value in figures.items()]))
    if as_json:
        click.echo(json.dumps(figures | ran_on))
    sys.exit(any(figures[wrong] for wrong in ("lost", "homeless", "unassessed", "doubled", "missing", "unsent")))


if __name__ == "__main__":
    main()
