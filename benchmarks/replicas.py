"""Several receivers over one PostgreSQL against one: how much they take in and deliver in a second, and is anything done twice?

Each receiver has a folder, a port and, where there are enough, a core of its own, as if it had a machine of its own; PostgreSQL,
the senders and the stand-ins share what is left. Bodies go to all of them at once; one of them judges, all of them deliver.
"""

import json
import logging
import math
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import msgspec
from flask import Response
from sqlalchemy import func, select

from benchmarks.frame import machine, scratch, spread, table
from benchmarks.intake import webhook
from benchmarks.load import Load, press
from benchmarks.outages import Outages, Unit
from benchmarks.senders import alert, body_of, send_all
from benchmarks.store import OPTIONS
from benchmarks.tree import TOKEN, configured, serving
from examples.peers import Server, wait_until
from receiver.storage.database import Database
from receiver.storage.tables import assessments, notifications
from tests.fakes.faults import Fault
from tests.fakes.ticket_webhook import FakeTicketWebhook
from tests.postgres import PostgresServer

SECRET = "whsec_c3Rvcm1zLXJlYWNoLXVzLWluLXRoZS1uaWdodC1vbmx5"  # noqa: S105 - of a stand-in
SIZES = {1: "requests", 100: "alerts"}
"""Alerts in a body, and what is counted with it."""
TAKES_SECONDS = 0.05
"""So long the ticket target needs for an answer."""
BEGAN_SECONDS = 4000
"""So long ago the outages began of which tickets are made: each is major at once."""
IN_A_BODY = 20
PATIENCE_SECONDS = 120
MATTERS = ("verdict", "state", "affected_users", "measured", "method", "major_since", "major_expected_at")
"""Two assessments in a row that differ in none of these say the same: two receivers judged at once."""

Cores = Sequence[int] | None


class Taken(msgspec.Struct, frozen=True):
    """What receivers took in together of bodies of one size."""

    requests: int
    requests_s: float
    p99_ms: float
    failed: int


class Told(msgspec.Struct, frozen=True):
    """What receivers delivered together: messages a second, by receiver, and how many were missing."""

    deliveries_s: float
    by_receiver: list[int]
    missing: int


class Round(msgspec.Struct, frozen=True):
    """What so many receivers did, by size of body what they took in. `lost` are bodies answered 200 that are not in the store,
    `doubled` messages that came twice, `judges` how many receivers began to judge.
    """

    told: Told
    taken: dict[int, Taken]
    lost: int
    doubled: int
    doubled_assessments: int
    judges: int


class Desk(FakeTicketWebhook):
    """The ticket target: when each message came."""

    def __init__(self) -> None:
        self.came: list[float] = []
        super().__init__(SECRET)

    def _take(self) -> Response | tuple[Response, int]:
        self.came.append(time.monotonic())
        return super()._take()


@contextmanager
def receivers(number: int, url: str, folder: Path, prometheus: str, cores: Cores, **more: Any) -> Iterator[list[Server]]:
    """So many of them over the database at `url`, all ready, killed at the end; each on one of `cores`."""
    with ExitStack() as stack, ThreadPoolExecutor(number) as pool:
        servers = []
        for n in range(number):
            its = folder / str(n)
            its.mkdir(parents=True)
            server = serving(configured(its, prometheus, url, **more))
            if cores:
                server.command = ["taskset", "--cpu-list", str(cores[n]), *server.command]
            stack.callback(server.kill)
            servers.append(server)
        list(pool.map(Server.start, servers))
        wait_until("one to judge", lambda: sum(judges(server) for server in servers) == 1, 30)
        yield servers


def judges(server: Server) -> bool:
    return "this receiver judges from now on" in server.log.read_text(errors="replace")


def take_in(servers: Sequence[Server], alerts: int, seconds: int, folder: Path) -> Taken:
    """Each receiver has a sender of its own, of eight connections; all send for so long at the same time."""
    body = folder / f"body{alerts}.json"
    body.write_text(json.dumps(webhook(alerts)))

    def send(numbered: tuple[int, Server]) -> Load:
        number, server = numbered
        return press(server.url + "/webhook/alertmanager", body, TOKEN, f"r{number}", seconds)

    with ThreadPoolExecutor(len(servers)) as pool:
        loads = list(pool.map(send, enumerate(servers)))
    return Taken(
        requests=sum(load.requests - load.refused for load in loads),
        requests_s=sum(load.requests_s for load in loads),
        p99_ms=max(load.p99_ms for load in loads),
        failed=sum(load.failed for load in loads),
    )


def deliver(servers: Sequence[Server], network: Outages, desk: Desk, incidents: int) -> Told:
    """So many outages are told to the receivers by turns, each is major and gets its ticket."""
    units = [Unit(f"unit{n}", "voice", 50_000, time.time() - BEGAN_SECONDS) for n in range(incidents)]
    network.units |= {unit.name: unit for unit in units}
    for number, part in enumerate(batched(units, IN_A_BODY)):
        its = [alert(unit.name, unit.service, 0, unit.down_since) for unit in part]
        send_all(servers[number % len(servers)].url, [body_of(f"group{number}", its)], 1)
    wait_until("the tickets", lambda: len(desk.messages) >= incidents, PATIENCE_SECONDS)
    came = desk.came[:incidents]
    time.sleep(1)  # for those that come too often
    return Told(
        deliveries_s=(len(came) - 1) / (came[-1] - came[0]),
        by_receiver=[len(re.findall(r"\bdelivered\b", server.log.read_text())) for server in servers],
        missing=incidents - len({message["data"]["id"] for message in desk.messages.values()}),
    )


def batched(units: Sequence[Unit], size: int) -> Iterator[Sequence[Unit]]:
    return (units[n : n + size] for n in range(0, len(units), size))


def again(said: Sequence[Any]) -> int:
    """Assessments of a service that say what the one before says."""
    by_service: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for row in said:
        document = json.loads(row.document)
        by_service.setdefault((row.incident_id, row.service), []).append(tuple(document.get(name) for name in MATTERS))
    return sum(one == other for several in by_service.values() for one, other in pairwise(several))


def measure(number: int, url: str, folder: Path, web_workers: int, cores: Cores, incidents: int, seconds: int) -> Round:
    """All that so many receivers over a new database do: first they deliver, then they take in."""
    (folder / "secret").write_text(SECRET)
    with Outages() as network, Desk() as desk:
        desk.misbehave(1, 58, Fault("timeout_after_work", seconds=TAKES_SECONDS))
        ticket = {"kind": "webhook", "name": "desk", "url": desk.hook_url, "secret": {"file": str(folder / "secret")}}
        with receivers(number, url, folder, network.url, cores, web_workers=web_workers, tickets=[ticket]) as servers:
            told = deliver(servers, network, desk, incidents)
            taken = {size: take_in(servers, size, seconds, folder) for size in SIZES}
            judging = sum(judges(server) for server in servers)
            for server in servers:  # whatever becomes of the process: what was answered is to be there
                server.kill()
    with closing(Database(url)) as database, database.read() as connection:
        stored = connection.execute(select(func.count()).select_from(notifications)).scalar_one()
        said = connection.execute(select(assessments).order_by(assessments.c.incident_id, assessments.c.number)).all()
    return Round(
        told,
        taken,
        lost=max(0, sum(each.requests for each in taken.values()) + math.ceil(incidents / IN_A_BODY) - stored),
        doubled=sum(desk.arrivals.values()) - len(desk.arrivals),
        doubled_assessments=again(said),
        judges=judging,
    )


def figures_of(rounds: dict[int, list[Round]]) -> dict[str, Any]:
    """`rounds` by the number of receivers: one, and several."""
    replicas = max(rounds)
    found: dict[str, Any] = {}
    for size, counted in SIZES.items():
        rate = {n: size * statistics.median(one.taken[size].requests_s for one in several) for n, several in rounds.items()}
        p99 = {n: statistics.median(one.taken[size].p99_ms for one in several) for n, several in rounds.items()}
        found |= {f"ratio_{counted}_{size}": round(rate[replicas] / rate[1], 2)}
        found |= {f"{counted}_s_{size}_{n}": round(rate[n]) for n in rounds}
        found |= {f"p99_ms_{size}_{n}": round(p99[n], 1) for n in rounds}
    told = {n: statistics.median(one.told.deliveries_s for one in several) for n, several in rounds.items()}
    every = [one for several in rounds.values() for one in several]
    return {
        "ratio": found["ratio_requests_1"],
        **found,
        "ratio_deliveries": round(told[replicas] / told[1], 2),
        **{f"deliveries_s_{n}": round(rate, 1) for n, rate in told.items()},
        "least_share_of_deliveries": round(
            min(min(one.told.by_receiver) / sum(one.told.by_receiver) for one in rounds[replicas]), 2
        ),
        "doubled": sum(one.doubled for one in every),
        "doubled_assessments": sum(one.doubled_assessments for one in every),
        "missing": sum(one.told.missing for one in every),
        "judges_most": max(one.judges for one in every),
        "failed": sum(each.failed for one in every for each in one.taken.values()),
        "lost": sum(one.lost for one in every),
    }


def report(rounds: dict[int, list[Round]]) -> str:
    rows = [
        [
            f"{_receivers(number)}, {size} alert{'s' if size > 1 else ''} a body",
            spread([one.taken[size].requests_s for one in several]),
            spread([size * one.taken[size].requests_s for one in several]),
            spread([one.taken[size].p99_ms for one in several], 1),
        ]
        for size in SIZES
        for number, several in rounds.items()
    ]
    rows += [
        [f"{_receivers(number)}, deliveries", spread([one.told.deliveries_s for one in several], 1), "", ""]
        for number, several in rounds.items()
    ]
    return table(["median (range)", "a second", "alerts/s", "p99 ms"], rows)


def _receivers(number: int) -> str:
    return f"{number} receiver{'s' if number > 1 else ''}"


def shared_out(replicas: int, wanted: bool) -> Cores:
    """A core for each receiver, where one is left for all else; from now on this process and what it starts use the others."""
    cores = sorted(os.sched_getaffinity(0))
    if not wanted or len(cores) <= replicas:
        return None
    os.sched_setaffinity(0, cores[replicas:])
    return cores[:replicas]


@click.command(help=__doc__)
@click.option("--replicas", type=click.IntRange(2, 8), default=3, show_default=True, help="Receivers to compare with one.")
@click.option("--seconds", type=click.IntRange(1, 60), default=5, show_default=True, help="Load for each cell.")
@click.option("--incidents", type=click.IntRange(20, 2000), default=200, show_default=True, help="Outages that get a ticket.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Times that one and several take turns.")
@click.option("--web-workers", type=click.IntRange(1, 8), default=1, show_default=True, help="Web processes of each receiver.")
@click.option("--cores/--no-cores", "own_cores", default=True, show_default=True, help="A core for each receiver.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(replicas: int, seconds: int, incidents: int, rounds: int, web_workers: int, own_cores: bool, as_json: bool) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with scratch() as folder:
        folder.chmod(0o711)  # where we are root PostgreSQL runs as another one, who has to reach its data
        ran_on = machine(folder, "flask", "gunicorn", "sqlalchemy", "psycopg")
        cores = shared_out(replicas, own_cores)
        with PostgresServer(*OPTIONS, synced=True, within=folder) as postgres:
            found: dict[int, list[Round]] = {1: [], replicas: []}
            for turn in range(rounds):
                for number, several in found.items():
                    cell = folder / f"{turn}-{number}"
                    cell.mkdir()
                    url = postgres.url(empty=True)
                    several.append(measure(number, url, cell, web_workers, cores, incidents, seconds))
    figures = figures_of(found)
    told = {"rounds": rounds, "seconds": seconds, "replicas": replicas, "web_workers": web_workers, "own_cores": bool(cores)}
    click.echo(", ".join(f"{what} {figure}" for what, figure in (told | ran_on).items()))
    click.echo(report(found))
    click.echo(table(("", ""), [[name, f"{value:,}"] for name, value in figures.items()]))
    if as_json:
        click.echo(json.dumps(figures | told | ran_on))
    wrong = ("doubled", "doubled_assessments", "missing", "failed", "lost")
    sys.exit(any(figures[name] for name in wrong) or figures["judges_most"] != 1)


if __name__ == "__main__":
    main()
