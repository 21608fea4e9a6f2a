"""What growth costs: processor, disk and memory for each alert, incident, assessment, unit of equipment and ticket target, measured
here in one process; and what follows for 10,000, 100,000 and 1,000,000 units of equipment: where the first limit is.

Processor time, not time by the clock. The intake is measured against a bare Flask app that parses the same bodies.
"""

import json
import logging
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import structlog
from flask import Flask
from werkzeug.test import create_environ

from benchmarks import bare_app, derive, faults, tick, topology
from benchmarks.answers import Answers
from benchmarks.capacity import Assumed, Costs, limits, partners, rows
from benchmarks.frame import machine, scratch, table
from benchmarks.senders import alert, body_of
from benchmarks.vectors import Vectors
from receiver.catalogue import Catalogue
from receiver.delivery.dispatcher import Dispatcher
from receiver.delivery.plan import Route
from receiver.delivery.targets.directory import TicketDirectory
from receiver.incidents.ask import Observer
from receiver.incidents.known import Known
from receiver.incidents.tick import tick as run_tick
from receiver.law import deadlines
from receiver.law.rulebook import shipped
from receiver.observation.asking import MOST_MIB
from receiver.observation.prometheus import Prometheus
from receiver.settings import AuthenticationSettings, PrometheusSettings, SecretRef, Settings
from receiver.storage.database import Database
from receiver.web import create_app

TOKEN = "the-token-of-this-benchmark-only"  # noqa: S105 - of nobody
TARGETS = 10
BODY = 50
PAGES = "SELECT m.tbl_name, sum(d.pgsize) FROM dbstat d JOIN sqlite_master m ON m.name = d.name GROUP BY m.tbl_name"


def processor(work: Callable[[], object]) -> float:
    """Seconds of the processor that the whole process needs for it."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def bytes_of(file: Path) -> dict[str, int]:
    """What each table takes with its indexes, in whole pages."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {str(name): int(size) for name, size in connection.execute(PAGES)}


def intake(folder: Path, requests: int) -> dict[str, float]:
    """Microseconds of a request of 1 alert and of 100, receiver and bare app by turns; bytes on disk for each of a body."""
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    settings = Settings(
        data_dir=str(folder),
        prometheus=PrometheusSettings(url="http://127.0.0.1:9"),
        authentication=AuthenticationSettings(bearer_tokens=(SecretRef(file=str(folder / "token")),)),
    )
    with closing(Database.of(settings)) as database:
        database.migrate()
    app = create_app(settings, Catalogue(tick.SERVICES), shipped(), lambda: tick.NOW)
    figures: dict[str, float] = {}
    taken = 0
    for each in (1, 100):
        found: dict[str, list[float]] = {"": [], "bare_": []}
        for number in range(5):
            bodies = list(_bodies(f"{each}-{number}", each, max(1, requests // each)))
            taken += sum(map(len, bodies))
            for name, one in (("", app), ("bare_", bare_app.app)):
                found[name].append(_post(one, bodies) / len(bodies))
        figures |= {f"{name}us_request_{each}": 1e6 * statistics.median(its) for name, its in found.items()}
    stored = bytes_of(folder / "art58-inbox.db")["notifications"]
    return figures | {"bytes_body_1": float(len(next(_bodies("x", 1, 1)))), "disk_per_body_byte": stored / taken}


def _bodies(name: str, each: int, count: int) -> Iterator[bytes]:
    for n in range(count):
        yield body_of(name, [alert(f"unit-{name}-{n}", "voice", part, tick.NOW.timestamp()) for part in range(each)])


def _post(app: Flask, bodies: Sequence[bytes]) -> float:
    """Each of them once, as a WSGI server calls the app: seconds of the processor. The answers have to be 200."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answers: list[str] = []
    environs = []
    for body in bodies:
        environ = create_environ("/webhook/alertmanager", method="POST", headers=headers, content_type="application/json")
        environs.append(environ | {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})

    def begin(status: str, *_: object) -> Callable[[bytes], object]:
        answers.append(status)
        return lambda _: None

    seconds = processor(lambda: [b"".join(app.wsgi_app(environ, begin)) for environ in environs])
    if set(answers) != {"200 OK"}:
        raise click.ClickException(f"answered {sorted(set(answers))}")
    return seconds


def deriving(folder: Path, groups: int) -> dict[str, float]:
    """Microseconds of an event of an alert, and of an incident besides; bytes of an alert, of an incident."""
    folder.mkdir()
    found = {}
    for each in (1, BODY):
        file = folder / f"{each}.db"
        with closing(Database(f"sqlite:///{file}")) as database:
            database.migrate()
            shape = derive.Shape("growth", groups, 1, each)
            measured = derive.measure(shape, database)
        found[each] = (measured.firing + measured.resolved, shape.events, bytes_of(file))
    few, many = found[1], found[BODY]
    event = max(0.0, many[0] - few[0]) / (many[1] - few[1])
    return {
        "us_event": 1e6 * event,
        "us_incident": 1e6 * max(0.0, few[0] - few[1] * event) / groups,
        "bytes_alert": many[2]["alerts"] / (groups * BODY),
        "bytes_incident": few[2]["incidents"] / groups,
    }


def ticking(folder: Path, sizes: Sequence[int], rounds: int) -> dict[str, float]:
    """Processor milliseconds of a regular tick and memory by living incidents, and what one more adds; bytes of an assessment."""
    folder.mkdir()
    figures: dict[str, float] = {}
    for size in sizes:
        figures |= _tick_of(folder / f"{size}.db", size, rounds)
    low, high = sizes[-2:]
    for name in ("tick_ms", "tick_mib"):
        slope = (figures[f"{name}_{high}"] - figures[f"{name}_{low}"]) / (high - low)
        figures[f"{name}_per_1000"] = 1000 * max(0.0, slope)
    return figures


def _tick_of(file: Path, size: int, rounds: int) -> dict[str, float]:
    with closing(Database(f"sqlite:///{file}")) as database, Vectors(size, [one.name for one in tick.SERVICES]) as vectors:
        database.migrate()
        tick.seed(database, size)
        catalogue = Catalogue(tick.SERVICES)
        settings = Settings(prometheus=PrometheusSettings(url=vectors.url), authentication=AuthenticationSettings())
        prometheus, known = Prometheus(settings.prometheus), Known(catalogue, settings)
        observer = Observer(prometheus, catalogue, settings.comparable_days.calendar)
        first, appended, queries, peak = 0.0, 0, 0, 0.0
        seconds: list[float] = []
        before, number = 0.0, 0
        while len(seconds) < rounds:
            # at the first ones the users of the past are asked for, too
            is_caught_up = number > 0 and not observer.left_for_later
            now = tick.NOW + number * timedelta(seconds=settings.tick_seconds)
            vectors.set(number, now)
            vectors.asked.clear()
            before = before or _resident()
            _forget_peak()
            begin = time.thread_time()  # without the stand-in, which is a thread of its own
            appended += len(run_tick(database, observer, settings, shipped(), now, known).appended)
            took = time.thread_time() - begin
            seconds += [took] if is_caught_up else []
            first = first or took
            number += 1
            peak, queries = max(peak, _peak()), len(vectors.asked)
        prometheus.close()
    figures = {"tick_ms": 1e3 * statistics.median(seconds), "first_ms": 1e3 * first, "tick_mib": max(0.0, peak - before)}
    of_size = {f"{name}_{size}": figure for name, figure in figures.items()}
    return of_size | {"bytes_assessment": bytes_of(file)["assessments"] / appended, "queries": float(queries)}


def _resident() -> float:
    """MiB."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """MiB, the most since `_forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def series(sizes: Sequence[int]) -> dict[str, float]:
    """Seconds by the clock, queries and MiB of answers where all units under one alert's equipment are looked at; 1 % are down."""
    figures: dict[str, float] = {}
    for size in sizes:
        found = topology.measure(size, "part", 1)
        its = {"s": found.seconds[0], "queries": float(found.queries), "mib": found.answers_mib}
        figures |= {f"units_{name}_{size}": figure for name, figure in its.items()}
    return figures


def targets(folder: Path, size: int) -> dict[str, float]:
    """Microseconds of the processor for each target: to plan an incident, to write a ticket to a folder, to see that nothing is
    due. Bytes of a row of the ledger.
    """
    folder.mkdir()
    planned = {count: _told(folder / str(count), size, count) for count in (1, 1 + TARGETS)}
    few, many = planned[1], planned[1 + TARGETS]
    return {"us_plan": 1e6 * max(0.0, many.pop("planned") - few["planned"]) / size / TARGETS, **many}


def _told(folder: Path, size: int, count: int) -> dict[str, float]:
    folder.mkdir()
    routes = tuple(Route(f"target-{n}", "ticket") for n in range(count))
    with closing(Database(f"sqlite:///{folder / 'art58.db'}")) as database:
        database.migrate()
        planned = processor(lambda: faults.assess(database, size, 1, routes, faults.BEGAN))
        target = TicketDirectory("target-0", folder / "tickets")
        duties = deadlines.Settings()
        sender = Dispatcher(database, target, faults.CATALOGUE, duties, "http://noc.example", "one", lambda: faults.BEGAN)
        delivering = processor(lambda: [None for _ in range(size) if sender.send_next()])
        polling = processor(lambda: [sender.send_next() for _ in range(200)]) / 200
    _check(len(list((folder / "tickets").glob("*.md"))) == size, "not every ticket was written")
    return {
        "planned": planned,
        "us_delivery": 1e6 * delivering / size,
        "us_poll": 1e6 * polling,
        "bytes_delivery": bytes_of(folder / "art58.db")["deliveries"] / size / count,
    }


def answers(most_mib: float) -> dict[str, float]:
    """Bytes of an answer for each alert that fires, processor time to read it, and up to how many it is taken at all."""
    figures: dict[str, float] = {}
    with Answers() as server:
        prometheus = Prometheus(PrometheusSettings(url=server.url, timeout_seconds=60))
        for name, ask in server.questions(prometheus).items():
            size = server.bytes_each(name)
            fits = int(most_mib * 2**20 / size * 0.99)
            server.series = fits
            begin = time.thread_time()  # without the stand-in
            _check(ask() == fits, f"{fits:,} series are not read")
            spent = time.thread_time() - begin
            figures |= {f"bytes_{name}": size, f"us_{name}": 1e6 * spent / fits, f"most_{name}": MOST_MIB * 2**20 / size}
            if most_mib == MOST_MIB:
                server.series = int(fits * 1.02)
                _check(ask() is None, "an answer beyond the limit was taken")
        prometheus.close()
    return figures


def _check(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise click.ClickException(otherwise)


def measure(
    folder: Path, requests: int, groups: int, sizes: Sequence[int], units: Sequence[int], most_mib: float
) -> dict[str, float]:
    return {
        **intake(folder / "intake", requests),
        **deriving(folder / "deriving", groups),
        **targets(folder / "targets", groups),
        **answers(most_mib),
        **series(sorted(units)),
        **ticking(folder / "ticking", sorted(sizes), 3),
    }


@click.command(help=__doc__)
@click.option(
    "--requests", type=click.IntRange(100, 100_000), default=1_000, show_default=True, help="Alerts of a round of the intake."
)
@click.option(
    "--groups", type=click.IntRange(10, 10_000), default=500, show_default=True, help="Incidents to derive, and to deliver."
)
@click.option(
    "--living", type=click.IntRange(10, 100_000), multiple=True, default=(100, 1_000, 10_000), help="Living incidents; twice."
)
@click.option(
    "--units", type=click.IntRange(200, 2_000_000), multiple=True, default=(10_000, 100_000), help="Equipment under one alert."
)
@click.option("--answer-mib", type=click.FloatRange(0.1, MOST_MIB), default=MOST_MIB, show_default=True, help="Answers to read.")
@click.option("--failing", type=float, multiple=True, default=(1.0, 10.0), help="Assumed: % of the equipment failing in a minute.")
@click.option("--each", type=int, default=4, show_default=True, help="Assumed: alerts for each failure.")
@click.option("--daily", type=float, default=1.0, show_default=True, help="Assumed: failures a day for 100 units.")
@click.option("--memory-gib", type=float, default=2.0, show_default=True, help="Assumed: what the worker may have.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(
    requests: int,
    groups: int,
    living: tuple[int, ...],
    units: tuple[int, ...],
    answer_mib: float,
    failing: tuple[float, ...],
    each: int,
    daily: float,
    memory_gib: float,
    as_json: bool,
) -> None:
    if len(set(living)) < 2:
        raise click.UsageError("name --living at least twice: a slope needs two sizes")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # it tells each delivery
    with scratch() as folder:
        ran_on = machine(folder, "flask", "sqlalchemy", "msgspec") | {"sqlite": sqlite3.sqlite_version}
        figures = measure(folder, requests, groups, living, units, answer_mib)
    costs = Costs.of(figures, max(living))
    assumed = Assumed(each, daily / 100, memory_gib)
    click.echo(", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(
        table(
            ["measured", ""], [[name, f"{figure:,.4g}" if figure < 1000 else f"{figure:,.0f}"] for name, figure in figures.items()]
        )
    )
    click.echo(f"\nComputed, with {assumed.text()}:")
    heads, lines = rows(costs, assumed, [share / 100 for share in failing])
    click.echo(table(heads, lines))
    click.echo("\nComputed, ticket targets (partners) of one receiver:")
    click.echo(table(*partners(costs)))
    click.echo("\nComputed, where each comes to its limit by itself:")
    bounds = limits(costs, assumed)
    click.echo(table(["limit", "at"], [[name, f"{figure:,.0f}"] for name, figure in bounds.items()]))
    if as_json:
        both: dict[str, Any] = {name: round(figure, 4) for name, figure in figures.items()}
        first = {f"first_{line[0].replace(',', '')}_{line[1]}": line[-1] for line in lines}
        click.echo(json.dumps(both | {f"limit: {name}": round(at) for name, at in bounds.items()} | first | ran_on))


if __name__ == "__main__":
    main()
