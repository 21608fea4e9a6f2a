"""A storm: 100,000 alerts of 2,000 groups come firing, then resolved, as Alertmanager sends them, to `art58 serve` on this machine.

Meanwhile older outages become major by lasting: how long until the ticket system is told? Prometheus is a stand-in that knows
nothing of ALERTS, so what it costs to look for alerts that were never sent is not in the figures; senders and stand-ins share the
cores with the receiver.
"""

import json
import logging
import math
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from flask import Response, request
from sqlalchemy import func, select

from benchmarks.frame import machine, scratch, table
from benchmarks.outages import Outages, Unit
from benchmarks.senders import Sent, alert, body_of, send_all
from benchmarks.store import opened
from benchmarks.store import option as store_option
from benchmarks.tree import SERVICES, Memory, address, configured, processes, pss_mib, serving
from examples.peers import PeerError
from receiver.storage.database import Connection, Database
from receiver.storage.tables import alerts, assessments, incidents
from tests.fakes.ticket_webhook import FakeTicketWebhook

SECRET = "whsec_c3Rvcm1zLXJlYWNoLXVzLWluLXRoZS1uaWdodC1vbmx5"  # noqa: S105 - of a stand-in
TAKES = 3600.0
"""So long 30,000 users of voice with emergency calls are hit until it is major."""
SENDERS = 8
AGED = 0.05
"""Of so many groups the failure began 45 minutes ago: it may become major within half an hour, so each gets a ticket at once."""
TELLING_SECONDS = 30
"""So long after its moment a ticket system that was not told is taken for never told."""
PATIENCE_SECONDS = 300
"""What has not been derived or assessed by then is lost."""


class Desk(FakeTicketWebhook):
    """The ticket target: when each message came."""

    def __init__(self, secret: str) -> None:
        self.came: list[tuple[float, bytes]] = []
        super().__init__(secret)

    def _take(self) -> Response | tuple[Response, int]:
        self.came.append((time.time(), request.get_data()))
        return super()._take()

    def told_major(self) -> dict[str, tuple[float, float]]:
        """By incident: since when it is major, and when that was said first."""
        found: dict[str, tuple[float, float]] = {}
        for at, body in list(self.came):
            told = json.loads(body)["data"]
            since = [one["major_since"] for one in told["impacts"] if one["major_since"]]
            if told["verdict"] == "major" and since:
                found.setdefault(told["id"], (datetime.fromisoformat(min(since)).timestamp(), at))
        return found


class Plan(msgspec.Struct):
    """The equipment of the storm's groups, and that of the older outages."""

    groups: list[Unit]
    older: list[Unit]


def planned(groups: int, older: int, begins: float, seconds: float) -> Plan:
    """`older` outages that become major one after the other in so many seconds after `begins`."""
    names = [str(service["name"]) for service in SERVICES]
    aged = max(1, round(1 / AGED))
    return Plan(
        [
            Unit(f"unit{n}", names[n % len(names)], 500 * (1 + n % 40), begins - 60)
            if n % aged
            else Unit(f"unit{n}", "voice", 40_000, begins - 2700)
            for n in range(groups)
        ],
        [Unit(f"older{n}", "voice", 50_000, begins - TAKES + seconds * (n + 0.5) / older) for n in range(older)],
    )


class Store:
    """What the receiver has stored, read beside it."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def close(self) -> None:
        self._database.close()

    def count(self, query: Callable[[Connection], int]) -> int:
        with self._database.read() as connection:
            return query(connection)

    def unassessed(self) -> int:
        """Incidents on which nothing was ever said."""
        said = select(assessments.c.incident_id).distinct()
        return self.count(
            lambda c: c.execute(select(func.count()).select_from(incidents).where(incidents.c.id.not_in(said))).scalar_one()
        )

    def still_open(self) -> int:
        return self.count(
            lambda c: c.execute(select(func.count()).select_from(incidents).where(incidents.c.state == "open")).scalar_one()
        )

    def resolved(self) -> int:
        return self.count(
            lambda c: c.execute(select(func.count()).select_from(alerts).where(alerts.c.ends_at.is_not(None))).scalar_one()
        )

    def homeless(self) -> int:
        """Alerts that belong to no incident."""
        return self.count(
            lambda c: c.execute(select(func.count()).select_from(alerts).where(alerts.c.incident_id.is_(None))).scalar_one()
        )

    def fingerprints(self) -> set[str]:
        with self._database.read() as connection:
            return set(connection.execute(select(alerts.c.fingerprint)).scalars())


def waited(check: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether `check` came to hold."""
    deadline = time.monotonic() + seconds
    while not (held := check()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return held


def run(groups: int, each: int, older: int, prepared: int, crossing: int, folder: Path, store: str | None) -> dict[str, Any]:
    begins = time.time() + prepared
    plan = planned(groups, older, begins, crossing)
    with ExitStack() as stack:
        network = stack.enter_context(Outages(plan.older))
        desk = stack.enter_context(Desk(SECRET))
        (folder / "secret").write_text(SECRET)
        ticket = {"kind": "webhook", "name": "desk", "url": desk.hook_url, "secret": {"file": "secret"}}
        server = serving(configured(folder, network.url, store, tickets=[ticket]))
        stack.callback(server.stop)
        server.start()
        assert server.process is not None  # noqa: S101 - for the type checker
        kept = stack.enter_context(closing(Store(address(folder, store))))
        root = server.process.pid
        send_all(server.url, [body_of(unit.name, [alert(unit.name, "voice", 0, unit.down_since)]) for unit in plan.older], SENDERS)
        if not waited(lambda: len(desk.arrivals) >= older, prepared):
            raise PeerError(f"the older outages have no tickets after {prepared} s: give more to --prepared")
        rest = pss_mib(processes(root))
        firing = [body_of(unit.name, _alerts(unit, each)) for unit in plan.groups]
        time.sleep(max(0, begins - time.time()))
        network.units |= {unit.name: unit for unit in plan.groups}
        memory = stack.enter_context(Memory(root))
        fired, fired_s = _timed(lambda: send_all(server.url, firing, SENDERS))
        over = time.time()
        for unit in plan.groups:
            unit.up_since = over
        ended = [body_of(unit.name, _alerts(unit, each, over)) for unit in plan.groups]
        resolved, resolved_s = _timed(lambda: send_all(server.url, ended, SENDERS))
        waited(lambda: kept.resolved() >= groups * each)
        derived_s = time.time() - over - resolved_s
        waited(lambda: kept.still_open() <= older and not kept.unassessed())
        assessed_at = time.time()
        major = waited_for_tickets(desk, older, begins + crossing + TELLING_SECONDS)
        sent = {alert_.fingerprint for unit in plan.groups for alert_ in _alerts(unit, each)} | {f"{u.name}n0" for u in plan.older}
        return {
            "alerts": groups * each,
            "groups": groups,
            "lost": len(sent - kept.fingerprints()) + kept.homeless(),
            "unassessed": kept.unassessed() + max(0, kept.still_open() - older),
            **acked([fired, resolved], fired_s, resolved_s),
            "derived_s": round(derived_s, 2),
            "assessed_s": round(assessed_at - over - resolved_s, 2),
            "peak_mib": round(memory.peak),
            "before_mib": round(rest),
            **{f"peak_{role}_mib": round(mib) for role, mib in memory.parts.items()},
            **crossings(plan.older, major, begins, assessed_at),
            "tickets": sum(name.endswith("-opened") for name in desk.arrivals),
        }


def _timed(what: Callable[[], Sent]) -> tuple[Sent, float]:
    begin = time.monotonic()
    return what(), time.monotonic() - begin


def _alerts(unit: Unit, each: int, ended: float | None = None) -> list[Any]:
    return [alert(unit.name, unit.service, n, unit.down_since, ended) for n in range(each)]


def acked(sent: Sequence[Sent], *seconds: float) -> dict[str, float]:
    requests = sorted(one for each in sent for one in each.seconds)
    return {
        "acked_s": round(sum(seconds), 2),
        "acked_firing_s": round(seconds[0], 2),
        "acked_resolved_s": round(seconds[1], 2),
        "request_p50_ms": round(1000 * percentile(requests, 0.5), 1),
        "request_p99_ms": round(1000 * percentile(requests, 0.99), 1),
        "refused": sum(each.refused for each in sent),
        "broken": sum(each.broken for each in sent),
    }


def waited_for_tickets(desk: Desk, older: int, until: float) -> dict[str, tuple[float, float]]:
    while time.time() < until and len(desk.told_major()) < older:
        time.sleep(0.2)
    return desk.told_major()


def crossings(older: Sequence[Unit], told: dict[str, tuple[float, float]], begins: float, ends: float) -> dict[str, Any]:
    """From the moment an outage became major until the ticket system was told: in the storm, and after it."""
    storm = [at - since for since, at in told.values() if begins <= since < ends]
    calm = [at - since for since, at in told.values() if since >= ends]
    return {
        "crossings": len(storm),
        "crossing_to_ticket_p50_s": _rounded(statistics.median(storm) if storm else None),
        "crossing_to_ticket_p99_s": _rounded(percentile(sorted(storm), 0.99) if storm else None),
        "calm_crossings": len(calm),
        "calm_crossing_to_ticket_p99_s": _rounded(percentile(sorted(calm), 0.99) if calm else None),
        "never_told": len(older) - len(told),
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


@click.command(help=__doc__)
@click.option("--groups", type=click.IntRange(1, 20_000), default=2_000, show_default=True, help="Groups, each of a body.")
@click.option("--each", type=click.IntRange(1, 1_000), default=50, show_default=True, help="Alerts in a body.")
@click.option("--older", type=click.IntRange(1, 1_000), default=60, show_default=True, help="Outages that become major meanwhile.")
@click.option(
    "--prepared", default=20, show_default=True, help="Seconds for the older outages to get their tickets before the storm."
)
@click.option("--crossing", default=40, show_default=True, help="Seconds from its beginning in which they become major by turns.")
@store_option
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(groups: int, each: int, older: int, prepared: int, crossing: int, store: str, as_json: bool) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with scratch() as folder, opened(store, folder) as its:
        ran_on = machine(folder, "flask", "gunicorn", "sqlalchemy") | {"sqlite": sqlite3.sqlite_version}
        figures = run(groups, each, older, prepared, crossing, folder, its.url)
    click.echo(", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(table(("", ""), [[name, f"{value:,}" if value is not None else "-"] for name, value in figures.items()]))
    if as_json:
        click.echo(json.dumps(figures | ran_on))
    sys.exit(1 if figures["lost"] or figures["unassessed"] or figures["never_told"] else 0)


if __name__ == "__main__":
    main()
