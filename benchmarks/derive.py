"""How many events of alerts a second are derived into incidents, on one core: a storm of many groups, and groups of many alerts.

Time is that of the processor, of this process alone: with SQLite all of it, with PostgreSQL without what the server does. Against
decoding the same bodies with msgspec, into nothing.
"""

import json
import resource
import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec
from sqlalchemy import event

from benchmarks.frame import machine, scratch, spread, table
from benchmarks.senders import alert, body_of
from benchmarks.tree import SERVICES
from receiver.catalogue import Catalogue, Service
from receiver.incidents.derive import derive_waiting
from receiver.storage import notifications
from receiver.storage.database import Database

HOLD = timedelta(minutes=30)
CATALOGUE = Catalogue(tuple(msgspec.convert(dict(service), Service) for service in SERVICES))


class Shape(msgspec.Struct, frozen=True):
    """So many groups, each on equipment of its own, of so many bodies with so many alerts; all fire, then all are over."""

    name: str
    groups: int
    bodies: int
    each: int

    @property
    def events(self) -> int:
        return 2 * self.groups * self.bodies * self.each


class Measured(msgspec.Struct):
    """Of one round: seconds of the processor for firing, for resolved, for decoding the same; seconds by the clock; statements."""

    firing: float
    resolved: float
    decoding: float
    passed: float
    statements: int


def shapes(groups: int, each: int, large: int) -> list[Shape]:
    """The storm; and as many alerts as a large group has in one group, in small bodies and in a single one."""
    return [
        Shape("storm", groups, 1, each),
        Shape("one group, a tenth", 1, max(1, large // 10 // each), each),
        Shape("one group", 1, max(1, large // each), each),
        Shape("one group, one body", 1, 1, large),
    ]


def bodies_of(shape: Shape, begun: float, ended: float | None) -> Iterator[bytes]:
    names = [service.name for service in CATALOGUE.services]
    for group in range(shape.groups):
        unit, service = f"unit{group}", names[group % len(names)]
        for number in range(shape.bodies):
            parts = range(number * shape.each, (number + 1) * shape.each)
            yield body_of(unit, [alert(unit, service, part, begun, ended) for part in parts])


def measure(shape: Shape, database: Database) -> Measured:
    """The store must be empty."""
    now = datetime.now(UTC)
    begun, ended = (now - timedelta(minutes=5)).timestamp(), now.timestamp()
    statements: list[int] = [0]

    def count(*_: object) -> None:
        statements[0] += 1

    for engine in {database.engine, database.inbox.engine}:
        event.listen(engine, "before_cursor_execute", count)
    seconds: list[float] = []
    measured = Measured(0.0, 0.0, 0.0, 0.0, 0)
    for over in (None, ended):
        with database.inbox.write() as connection:
            for body in bodies_of(shape, begun, over):
                notifications.add(connection, "alertmanager", now, body)
        statements[0] = 0
        seconds.append(_derived(database, now, bodies_of(shape, begun, over), measured))
        measured.statements += statements[0]
    measured.firing, measured.resolved = seconds
    checked(shape, database)
    return measured


def _derived(database: Database, now: datetime, bodies: Iterator[bytes], measured: Measured) -> float:
    """Derive all that waits; seconds of the processor. The yardstick takes turns with each batch, as the machine may be busy."""
    seconds, batch = 0.0, 1
    while batch:
        clock, processor = time.perf_counter(), time.process_time()
        batch = derive_waiting(database, CATALOGUE, HOLD, now)
        seconds += time.process_time() - processor
        measured.passed += time.perf_counter() - clock
        same = list(islice(bodies, batch))
        processor = time.process_time()
        for body in same:
            msgspec.json.decode(body)
        measured.decoding += time.process_time() - processor
    return seconds


def checked(shape: Shape, database: Database) -> None:
    """Every alert is over and has its incident, one for each group; else the figures are worth nothing."""
    with database.read() as connection:
        total, over, units = connection.exec_driver_sql(
            "SELECT count(*), count(ends_at), count(DISTINCT incident_id) FROM alerts WHERE incident_id IS NOT NULL"
        ).one()
    if (total, over, units) != (shape.events // 2, shape.events // 2, shape.groups):
        raise click.ClickException(f"{shape.name}: {total} alerts, {over} over, {units} incidents")


def emptied(database: Database) -> None:
    with database.write() as connection:
        for name in ("alerts", "acts", "assessments", "deliveries", "incidents", "notifications"):
            connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608 - names of ours


def summary(found: dict[Shape, list[Measured]]) -> dict[str, Any]:
    """Medians: events a second of processor time, and as a share of what decoding alone does."""
    figures: dict[str, Any] = {}
    for shape, rounds in found.items():
        key = shape.name.replace(", ", "_").replace(" ", "_")
        figures |= {
            f"events_s_{key}": round(statistics.median(_rate(shape, each) for each in rounds)),
            f"ratio_decode_{key}": round(statistics.median(each.decoding / (each.firing + each.resolved) for each in rounds), 4),
            f"statements_{key}": max(each.statements for each in rounds),
        }
    return figures | {"peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def _rate(shape: Shape, each: Measured) -> float:
    return shape.events / (each.firing + each.resolved)


def report(found: dict[Shape, list[Measured]]) -> str:
    rows = [
        [
            f"{shape.name} ({shape.groups:,} x {shape.bodies:,} x {shape.each:,})",
            spread([_rate(shape, each) for each in rounds]),
            spread([each.firing for each in rounds], 2),
            spread([each.resolved for each in rounds], 2),
            spread([each.passed for each in rounds], 2),
            spread([shape.events / each.decoding for each in rounds]),
            f"{max(each.statements for each in rounds):,}",
        ]
        for shape, rounds in found.items()
    ]
    heads = ["median (range)", "events/s of CPU", "firing CPU s", "resolved CPU s", "clock s", "decoded/s", "statements"]
    return table(heads, rows)


def run(wanted: Sequence[Shape], rounds: int, folder: Path, store: str | None) -> dict[Shape, list[Measured]]:
    found: dict[Shape, list[Measured]] = {shape: [] for shape in wanted}
    for number in range(rounds):
        for place, shape in enumerate(wanted):
            with closing(Database(store or f"sqlite:///{folder / f'{number}-{place}.db'}")) as database:
                database.migrate()
                if store:
                    emptied(database)
                found[shape].append(measure(shape, database))
    return found


@click.command(help=__doc__)
@click.option("--groups", type=click.IntRange(1, 20_000), default=2_000, show_default=True, help="Groups of the storm.")
@click.option("--each", type=click.IntRange(1, 1_000), default=50, show_default=True, help="Alerts in a body.")
@click.option("--large", type=click.IntRange(10, 100_000), default=20_000, show_default=True, help="Alerts of the large group.")
@click.option("--rounds", type=click.IntRange(1, 50), default=3, show_default=True, help="Each on an empty store.")
@click.option("--store", help="Address of a database that may be EMPTIED; default: a SQLite file.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(groups: int, each: int, large: int, rounds: int, store: str | None, as_json: bool) -> None:
    with scratch() as folder:
        ran_on = machine(folder, "sqlalchemy", "msgspec") | {"sqlite": sqlite3.sqlite_version}
        found = run(shapes(groups, each, large), rounds, folder, store)
    click.echo(f"{rounds} rounds; " + ", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(report(found))
    figures = summary(found)
    if as_json:
        click.echo(json.dumps(figures | {"rounds": rounds} | ran_on))


if __name__ == "__main__":
    main()
