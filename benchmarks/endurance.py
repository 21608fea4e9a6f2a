"""A week in an hour: failures by day and by night, flaps, repeats every four hours, three great outages, and persons who close what
was major. Does memory stay flat, how fast does the store grow, does a tick get slower by every incident that ever was?

The processes are those of `art58 serve`, web and worker, but their clock and that of the stand-ins runs faster. What that does not
show: what hangs on real time (connections that stay idle, time-outs), as many ticks as a week has (there is one each
fifth of a second, or one after the other), a week's own requests to the pages, and the process that starts the others.
"""

import heapq
import json
import logging
import math
import os
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from benchmarks.frame import machine, scratch, table
from benchmarks.outages import Outages, Unit
from benchmarks.senders import Sender, Sent, alert, body_of
from benchmarks.store import opened
from benchmarks.store import option as store_option
from benchmarks.tree import SERVICES, address, configured, own_mib, processes
from examples.peers import Server, fetch
from receiver.cli import config, parts
from receiver.incidents import acts
from receiver.model import Closed
from receiver.storage import incidents as store_of
from receiver.storage import notifications
from receiver.storage.database import Database
from receiver.storage.tables import incidents
from tests.fakes.servicenow import FakeServiceNow

DAY = 86400.0
REPEAT = 4 * 3600.0
"""Alertmanager's `repeat_interval`."""
CLOSED_AFTER = 6 * 3600.0
"""A person has decided on what is over by then."""
UNITS = 1_500
FAILURES_A_DAY = 400
LASTING_SHARE = 0.05
"""Of the failures so many last for hours or days."""
FLAPPING_SHARE = 0.05
"""And so many come again and again within an hour."""
OUTAGES = (0.21, 0.48, 0.83)
"""Where in the week the great outages are."""
OUTAGE_UNITS = 150
MOST_SAMPLES, LEAST_SAMPLE_SECONDS = 240, 3
WARM = 1 / 4
"""What is seen in this first part of the time is left out of the slopes: caches and pools fill."""
FLAT = 0.05
"""What grows from then to the end by less than this part of itself is flat; so is a tick whose growth may be chance."""
BOUNDED = 1.25
"""The store is bounded if in the second half of that time it grows at most so many times as fast as in the first."""
PASSWORD = "not-for-anyone's-eyes"  # noqa: S105 - of a stand-in


class Clock(msgspec.Struct, frozen=True):
    """Unix seconds that pass `speed` times as fast since `began`."""

    began: float
    speed: float

    def __call__(self) -> float:
        return self.began + (time.time() - self.began) * self.speed

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self(), UTC)


class Failure(msgspec.Struct, frozen=True, order=True):
    """One unit fails, with so many alerts."""

    begins: float
    lasts: float
    unit: str
    alerts: int
    users: int


class Sample(msgspec.Struct):
    """What was seen at a moment, in days since the beginning: MiB of own memory and store, ticks since the last look, incidents."""

    day: float
    web_mib: float
    worker_mib: float
    store_mib: float
    tick_s: float
    ticks: int
    living: int
    incidents: int
    waiting: int

    @property
    def memory_mib(self) -> float:
        return self.web_mib + self.worker_mib


def week(began: float, days: float, seed: int) -> list[Failure]:
    """The failures, in order. By night there are a third of those by day; a week ends in a quiet weekend."""
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    found: list[Failure] = []
    for _ in range(round(FAILURES_A_DAY * days)):
        begins = began + _busy(chance, days)
        unit, users = f"unit{chance.randrange(UNITS)}", round(chance.lognormvariate(6, 1))
        kind = chance.random()
        if kind < LASTING_SHARE:
            found.append(Failure(begins, chance.uniform(6, 60) * 3600, unit, chance.randint(1, 3), users))
        elif kind < LASTING_SHARE + FLAPPING_SHARE:
            found += [Failure(begins + 600 * n, chance.uniform(60, 400), unit, 1, users) for n in range(chance.randint(3, 6))]
        else:
            found.append(Failure(begins, chance.lognormvariate(6.2, 0.8), unit, chance.randint(1, 3), users))
    for number, share in enumerate(OUTAGES):
        begins, lasts = began + share * days * DAY, (2 + 2 * number) * 3600.0
        units = chance.sample(range(UNITS), OUTAGE_UNITS)
        found += [
            Failure(begins + chance.uniform(0, 120), lasts * chance.uniform(0.8, 1), f"unit{unit}", 5, 60_000 if n < 10 else 1_500)
            for n, unit in enumerate(units)
        ]
    return sorted(found)


def _busy(chance: random.Random, days: float) -> float:
    """A moment of the week, rather by day than by night and on weekdays than on others."""
    while True:
        at = chance.uniform(0, days * DAY)
        by_day = 8 <= at / 3600 % 24 < 22
        if chance.random() < (1 if by_day else 0.33) * (1 if at % (7 * DAY) < 5 * DAY else 0.6):
            return at


class Traffic:
    """What Alertmanager sends of these failures: their begin, again every four hours, their end."""

    def __init__(self, failures: Sequence[Failure], network: Outages, url: str) -> None:
        self.sent = Sent([])
        self._network, self._sender = network, Sender(url, self.sent)
        self._due: list[tuple[float, int, Failure, str]] = []
        self._down_until: dict[str, float] = {}
        for number, failure in enumerate(failures):
            if self._down_until.get(failure.unit, 0) + 120 < failure.begins:  # it is down already: no second failure
                self._down_until[failure.unit] = failure.begins + failure.lasts
                self._due.append((failure.begins + 60, number, failure, "begins"))
        heapq.heapify(self._due)
        self.failures = len(self._due)

    def send_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            at, number, failure, what = heapq.heappop(self._due)
            end = failure.begins + failure.lasts + 60
            unit = self._network.units[failure.unit]
            if what == "begins":
                unit.users, unit.down_since, unit.up_since = failure.users, failure.begins, 0
            elif what == "ends":
                unit.up_since = end - 60
            ended = end if what == "ends" else None
            its = [alert(unit.name, unit.service, n, failure.begins + 60, ended) for n in range(failure.alerts)]
            self._sender.post(body_of(unit.name, its))
            if what != "ends":
                following = min(at + REPEAT, max(end, failure.begins + 120))
                heapq.heappush(self._due, (following, number, failure, "ends" if following < at + REPEAT else "again"))

    def close(self) -> None:
        self._sender.close()


def run(minutes: float, days: float, seed: int, folder: Path, url: str | None, say: Callable[[str], None]) -> list[Sample]:
    clock = Clock(time.time(), days * DAY / (minutes * 60))
    with ExitStack() as stack:
        units = [Unit(f"unit{n}", str(SERVICES[n % len(SERVICES)]["name"]), 500) for n in range(UNITS)]
        network = stack.enter_context(Outages(units, clock))
        desk = stack.enter_context(FakeServiceNow("art58", PASSWORD))
        (folder / "password").write_text(PASSWORD)
        ticket = {"kind": "servicenow", "name": "now", "url": desk.url, "user": "art58", "password": {"file": "password"}}
        file = configured(folder, network.url, url, tickets=[ticket | {"per_minute": 100_000}])
        web, worker = (_part(part, file, clock) for part in ("web", "worker"))
        database = stack.enter_context(closing(Database(address(folder, url))))
        database.migrate()
        metrics = folder / "data" / "metrics"
        metrics.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        for part in (worker, web):
            stack.callback(part.stop)
            part.start()
        traffic = Traffic(week(clock(), days, seed), network, web.url)
        stack.callback(traffic.close)
        person, look = _Person(database, file), _Look(web, worker, database, folder / "data", clock)
        end = clock() + days * DAY
        step = max(days * DAY / MOST_SAMPLES, LEAST_SAMPLE_SECONDS * clock.speed)
        next_look, next_visit = clock() + step, clock() + 3600
        samples: list[Sample] = []
        while (now := clock()) < end:
            traffic.send_due(now)
            if now >= next_visit:
                next_visit = now + 3600
                person.visit(clock.moment())
            if now >= next_look:
                next_look = now + step
                samples.append(look.now())
                say(f"day {samples[-1].day:.2f}: {samples[-1]}")
            time.sleep(0.01)
        return samples


class _Person:
    """Closes what waits for a person and is over for hours."""

    def __init__(self, database: Database, file: Path) -> None:
        settings, self._catalogue, _ = config.load(file)
        self._database, self._hold = database, timedelta(seconds=settings.hold_seconds)

    def visit(self, now: datetime) -> None:
        with self._database.read() as connection:
            there = list(store_of.living(connection))
        for incident in there:
            if (
                incident.state == "restored"
                and incident.restored_at
                and incident.restored_at < now - timedelta(seconds=CLOSED_AFTER)
            ):
                acts.state(self._database, self._catalogue, incident.id, Closed(), "night shift", "reported", now, self._hold)


class _Look:
    """Reads what the processes need and the store holds."""

    def __init__(self, web: Server, worker: Server, database: Database, data: Path, clock: Clock) -> None:
        self._web, self._worker, self._database, self._data, self._clock = web, worker, database, data, clock
        self._began, self._ticked = clock(), self._ticks()

    def now(self) -> Sample:
        seconds, ticks = self._ticks()
        before, self._ticked = self._ticked, (seconds, ticks)
        with self._database.read() as connection:
            living = len(list(store_of.living(connection)))
            every = connection.execute(select(func.count()).select_from(incidents)).scalar_one()
        with self._database.inbox.read() as connection:
            waiting = notifications.count_waiting(connection)
        return Sample(
            day=(self._clock() - self._began) / DAY,
            web_mib=_memory(self._web),
            worker_mib=_memory(self._worker),
            store_mib=self._stored() / 2**20,
            tick_s=(seconds - before[0]) / max(1, ticks - before[1]),
            ticks=ticks - before[1],
            living=living,
            incidents=every,
            waiting=waiting,
        )

    def _stored(self) -> int:
        """Bytes."""
        if self._database.is_sqlite:
            return sum(file.stat().st_size for file in self._data.glob("*.db*"))
        with self._database.read() as connection:
            return int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())

    def _ticks(self) -> tuple[float, int]:
        """Seconds of all ticks so far, and how many there were."""
        text = fetch(f"{self._web.url}/metrics", timeout=30).decode()
        found = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
        return found.get("art58_tick_seconds_sum", 0.0), int(found.get("art58_tick_seconds_count", 0))


def _memory(part: Server) -> float:
    assert part.process is not None  # noqa: S101 - for the type checker
    return own_mib(processes(part.process.pid))


def _part(part: str, file: Path, clock: Clock) -> Server:
    """A process of the receiver with that clock. The worker does not listen: its stand-in for readiness is that of the store."""
    listen = config.load(file)[0].listen
    command = [sys.executable, "-m", "benchmarks.endurance", "--part", part, "--config", str(file)]
    command += ["--began", str(clock.began), "--speed", str(clock.speed)]
    return (Server if part == "web" else _Worker)(part, command, file.parent, f"http://{listen}", "/-/ready")


class _Worker(Server):
    def _ready(self) -> bool:
        assert self.process is not None  # noqa: S101 - for the type checker
        return self.process.poll() is None


def work(part: str, file: Path, clock: Clock) -> int:
    """Be that part, until stopped."""
    settings, catalogue, rulebooks = config.load(file)
    if part == "worker":
        return parts.run_worker(settings, catalogue, rulebooks, clock.moment)
    return parts.run_web(settings, catalogue, rulebooks, clock.moment)


def figures_of(samples: Sequence[Sample]) -> dict[str, float]:
    """Slopes over what is warm, and what they come to: `memory_flat`, `store_bounded`, `tick_flat`."""
    warm = samples[round(len(samples) * WARM) :]
    ticked = [one for one in warm if one.ticks]
    days = [one.day for one in warm]
    memory = [one.memory_mib for one in warm]
    stored = [one.store_mib for one in warm]
    half, lasted = len(warm) // 2, days[-1] - days[0]
    living_ms, incidents_ms, error_ms = (1000 * slope for slope in _slopes(ticked))
    figures = {
        "samples": len(samples),
        "memory_mib_first": round(_median(memory[: len(memory) // 6 + 1]), 1),
        "memory_mib_last": round(_median(memory[-len(memory) // 6 :]), 1),
        "memory_mib_most": round(max(one.memory_mib for one in samples), 1),
        "memory_mib_per_day": round(_slope(days, memory), 3),
        "memory_mib_per_day_of_the_second_half": round(_slope(days[half:], memory[half:]), 3),
        "web_mib_per_day": round(_slope(days, [one.web_mib for one in warm]), 3),
        "worker_mib_per_day": round(_slope(days, [one.worker_mib for one in warm]), 3),
        "store_mib": round(samples[-1].store_mib, 1),
        "store_mib_per_day": round(_slope(days, stored), 2),
        "store_mib_per_day_of_the_first_half": round(_slope(days[:half], stored[:half]), 2),
        "store_mib_per_day_of_the_second_half": round(_slope(days[half:], stored[half:]), 2),
        "incidents": samples[-1].incidents,
        "living_most": max(one.living for one in samples),
        "ticks": sum(one.ticks for one in samples),
        "tick_ms": round(1000 * _median([one.tick_s for one in ticked]), 1),
        "tick_ms_per_100_living": round(100 * living_ms, 3),
        "tick_ms_per_1000_incidents": round(1000 * incidents_ms, 3),
        "tick_ms_per_1000_incidents_standard_error": round(1000 * error_ms, 3),
        "waiting_last": samples[-1].waiting,
    }
    more = (ticked[-1].incidents - ticked[0].incidents) / 1000
    tick_grows, chance = figures["tick_ms_per_1000_incidents"], 2 * figures["tick_ms_per_1000_incidents_standard_error"]
    earlier, later = (figures[f"store_mib_per_day_of_the_{which}_half"] for which in ("first", "second"))
    return figures | {
        "memory_flat": figures["memory_mib_per_day"] * lasted < FLAT * _median(memory),
        "store_bounded": later <= BOUNDED * earlier,
        "tick_flat": tick_grows * more < FLAT * figures["tick_ms"] or tick_grows < chance,
    }


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _slope(at: Sequence[float], values: Sequence[float]) -> float:
    return statistics.linear_regression(at, values).slope if len(set(at)) > 1 else 0.0


def _slopes(samples: Sequence[Sample]) -> tuple[float, float, float]:
    """Seconds by which each living incident, and each that ever was, makes a tick longer, both at once by least squares; and the
    standard error of the second.
    """
    seconds = [one.tick_s for one in samples]
    living, ever = [float(one.living) for one in samples], [float(one.incidents) for one in samples]
    by_living, by_ever = _alone(living, ever, seconds), _alone(ever, living, seconds)
    rest = [s - by_living * a - by_ever * b for s, a, b in zip(seconds, living, ever, strict=True)]
    alone = _without(ever, living)
    spread = sum((x - statistics.fmean(alone)) ** 2 for x in alone) * max(1, len(rest) - 3)
    error = sum((x - statistics.fmean(rest)) ** 2 for x in rest)
    return by_living, by_ever, math.sqrt(error / spread) if spread else math.inf


def _alone(one: Sequence[float], other: Sequence[float], values: Sequence[float]) -> float:
    """What `one` adds where `other` stays the same."""
    return _slope(_without(one, other), values)


def _without(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """What of `one` does not go along with `other`."""
    slope = _slope(other, one)
    return [a - slope * b for a, b in zip(one, other, strict=True)]


@click.command(help=__doc__)
@click.option("--minutes", type=click.FloatRange(0.1, 24 * 60), default=60, show_default=True, help="How long it takes.")
@click.option("--days", type=click.FloatRange(0.05, 60), default=7, show_default=True, help="How long it is made of.")
@click.option("--seed", default=58, show_default=True, help="Of the failures.")
@store_option
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
@click.option("--part", type=click.Choice(["web", "worker"]), hidden=True)
@click.option("--config", "file", type=Path, hidden=True)
@click.option("--began", type=float, hidden=True)
@click.option("--speed", type=float, hidden=True)
def main(minutes: float, days: float, seed: int, store: str, as_json: bool, part: str | None, **its: Any) -> None:
    if part:
        sys.exit(work(part, its["file"], Clock(its["began"], its["speed"])))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with scratch() as folder, opened(store, folder) as its_store:
        samples = run(minutes, days, seed, folder, its_store.url, lambda text: click.echo(text, err=True))
        ran_on = machine(folder, "flask", "gunicorn", "sqlalchemy") | {"sqlite": sqlite3.sqlite_version}
    figures = figures_of(samples) | {"minutes": minutes, "days": days}
    click.echo(", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(table(("day", "web MiB", "worker MiB", "store MiB", "tick ms", "living", "incidents"), list(_rows(samples))))
    click.echo(
        table(("", ""), [[name, str(value) if isinstance(value, bool) else f"{value:,}"] for name, value in figures.items()])
    )
    if as_json:
        click.echo(json.dumps(figures | ran_on))


def _rows(samples: Sequence[Sample]) -> Iterator[list[str]]:
    """Some twenty of them."""
    for one in samples[:: max(1, len(samples) // 20)]:
        memory = [f"{one.web_mib:.0f}", f"{one.worker_mib:.0f}", f"{one.store_mib:.1f}"]
        yield [f"{one.day:.2f}", *memory, f"{1000 * one.tick_s:.1f}", str(one.living), f"{one.incidents:,}"]


if __name__ == "__main__":
    main()
