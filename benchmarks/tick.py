"""How long one tick takes over 10, 1,000 and 10,000 open incidents, how many queries it asks, and how much memory it needs.

Against a loop that reads the same rows, asks the same questions and parses both with `json`, but judges nothing. At the first ticks
the users of the past are asked for, too, some at each: these are told apart.
"""

import json
import resource
import sqlite3
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec
import requests

from benchmarks.frame import machine, scratch, spread, table
from benchmarks.vectors import Vectors
from receiver.catalogue import Catalogue, Service
from receiver.incidents.ask import Observer
from receiver.incidents.correlate import cause_of
from receiver.incidents.known import Known
from receiver.incidents.tick import tick
from receiver.law.rulebook import shipped
from receiver.model import Alert, Incident
from receiver.observation.prometheus import Prometheus
from receiver.settings import AuthenticationSettings, PrometheusSettings, Settings
from receiver.storage import incidents as store
from receiver.storage.database import Database

NOW = datetime.now(UTC).replace(microsecond=0)
"""Of now: numbers that are older than the server's own clock are refused."""
SERVICES = (
    Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',)),
    Service(name="data", kind="internet_access", charged=True, match=('service="data"',)),
    Service(name="lpwa", kind="cellular_lpwa", match=('service="lpwa"',)),
    Service(name="mail", kind="email", charged=False, monthly_users_previous_fy=12_000_000, match=('service="mail"',)),
)
LATEST = """SELECT document FROM assessments JOIN
    (SELECT incident_id, max(number) AS number FROM assessments GROUP BY incident_id) USING (incident_id, number)"""


class Measured(msgspec.Struct, frozen=True):
    """Seconds of the first tick, of each until no past is left to be asked for, of each later one, and of the yardstick beside it;
    the most queries of a tick.
    """

    first: float
    catching_up: list[float]
    ticks: list[float]
    bare: list[float]
    queries: int


def measure(size: int, rounds: int, folder: Path) -> Measured:
    """A store of its own for every size. Tick and yardstick take turns."""
    folder.mkdir()
    database, catalogue = Database(f"sqlite:///{folder / 'art58.db'}"), Catalogue(SERVICES)
    database.migrate()
    seed(database, size)
    first, ticks, bares, queries = 0.0, [], [], 0
    catching_up: list[float] = []
    with Vectors(size, [service.name for service in SERVICES]) as vectors:
        settings = Settings(prometheus=PrometheusSettings(url=vectors.url), authentication=AuthenticationSettings())
        prometheus = Prometheus(settings.prometheus)
        observer = Observer(prometheus, catalogue, settings.comparable_days.calendar)
        known = Known(catalogue, settings)
        number = 0
        while len(ticks) < rounds:
            is_caught_up = number > 0 and not observer.left_for_later
            now = NOW + number * timedelta(seconds=settings.tick_seconds)
            vectors.set(number, now)
            begin = time.perf_counter()
            ticked = tick(database, observer, settings, shipped(), now, known)
            took = time.perf_counter() - begin
            if number == 0:
                first = took
            else:
                (ticks if is_caught_up else catching_up).append(took)
            if number == 0 and len(ticked.appended) != size:
                raise click.ClickException(f"{len(ticked.appended)} of {size} incidents were assessed")
            if unmeasured := sum(not new.measured for new in ticked.appended):
                raise click.ClickException(f"the users of {unmeasured} incidents were not measured")
            asked = tuple(vectors.asked)
            queries = max(queries, len(asked))
            if is_caught_up:
                bares.append(bare(folder / "art58.db", vectors.url, asked))
            vectors.asked.clear()
            number += 1
        prometheus.close()
    database.close()
    return Measured(first, catching_up, ticks, bares, queries)


def seed(database: Database, size: int) -> None:
    """Open incidents, each with an alert and an equipment of its own, begun in the last three hours; never yet assessed."""
    with database.write() as connection:
        for n in range(size):
            store.save(connection, incident(n))
        store.save_alerts(connection, [alert(n) for n in range(size)])


def incident(n: int) -> Incident:
    begun = alert(n).starts_at
    return Incident(_id(n), f"equipment:equipment=unit-{n}", f"unit-{n}", "open", begun, begun, "starts_at")


def alert(n: int) -> Alert:
    begun = NOW - timedelta(minutes=n % 180, seconds=30)
    labels = {"alertname": "Art58EquipmentDown", "service": SERVICES[n % len(SERVICES)].name, "equipment": f"unit-{n}"}
    labels |= {"instance": f"unit-{n}:9100", "job": "network", "region": "kanto", "severity": "critical"}
    annotations = {"summary": "Equipment with users under it is down", "summary_ja": "利用者を収容する設備が停止"}
    address = "http://prometheus.example/graph?g0.expr=art58%3Aequipment_up+%3D%3D+0&g0.tab=1"
    sighting = Alert("alertmanager", f"{n:016x}", begun, None, labels, annotations, address, begun, None, _id(n))
    return msgspec.structs.replace(sighting, cause=cause_of(sighting, Catalogue(SERVICES)))


def bare(file: Path, url: str, queries: Sequence[bytes]) -> float:
    """Read the newest assessment and the alert of every incident, ask, parse: what no tick can do without."""
    begin = time.perf_counter()
    connection = sqlite3.connect(file)
    for (document,) in connection.execute(LATEST):
        json.loads(document)
    for (labels,) in connection.execute("SELECT labels FROM alerts"):
        json.loads(labels)
    connection.close()
    with requests.Session() as session:
        for query in queries:
            session.post(f"{url}/api/v1/query", data=query).json()
    return time.perf_counter() - begin


def _id(n: int) -> str:
    return f"20261121-{n:010}"


def summary(found: dict[int, Measured]) -> dict[str, float]:
    """Medians, and how many times as long as the yardstick a tick takes."""
    figures: dict[str, float] = {}
    for size, measured in found.items():
        seconds, least = statistics.median(measured.ticks), statistics.median(measured.bare)
        figures |= {
            f"seconds_{size}": round(seconds, 4),
            f"first_seconds_{size}": round(measured.first, 4),
            f"catching_up_seconds_{size}": round(statistics.median(measured.catching_up or [0.0]), 4),
            f"bare_seconds_{size}": round(least, 4),
            f"ratio_bare_{size}": round(seconds / least, 3),
        }
    return figures | {
        "queries": max(measured.queries for measured in found.values()),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def report(found: dict[int, Measured]) -> str:
    rows = [
        [
            f"{size:,} incidents",
            spread(m.ticks, 3),
            f"{m.first:,.3f}",
            f"{len(m.catching_up)} x {statistics.median(m.catching_up):,.3f}" if m.catching_up else "-",
            spread(m.bare, 3),
            str(m.queries),
        ]
        for size, m in found.items()
    ]
    return table(["median (range)", "tick s", "first tick s", "catching up s", "yardstick s", "queries"], rows)


@click.command(help=__doc__)
@click.option(
    "--size", "sizes", type=click.IntRange(1, 100_000), multiple=True, default=(10, 1_000, 10_000), help="Open incidents."
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 50),
    default=5,
    show_default=True,
    help="Ticks once no past is left to be asked for.",
)
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(sizes: tuple[int, ...], rounds: int, as_json: bool) -> None:
    with scratch() as folder:
        ran_on = machine(folder, "sqlalchemy", "msgspec") | {"sqlite": sqlite3.sqlite_version}
        found = {size: measure(size, rounds, folder / str(size)) for size in sorted(sizes)}
    figures = summary(found)
    click.echo(f"{rounds} ticks; " + ", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(report(found))
    click.echo("; ".join(f"tick / yardstick with {size:,}: {figures[f'ratio_bare_{size}']}" for size in found))
    if as_json:
        click.echo(json.dumps(figures | {"rounds": rounds} | ran_on))


if __name__ == "__main__":
    main()
