"""How long `art58 backtest` takes for 90 days of a mid-size network, out of a real Prometheus, and how long looking at every step
would take.

Eight services, 2,000 pieces of equipment, 300 failures of which every fifth flaps, rules evaluated once a minute.
"""

import json
import random
import resource
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from benchmarks.frame import ROOT, machine, scratch, table
from examples import peers
from receiver.catalogue import Catalogue, Service
from receiver.law.rulebook import shipped
from receiver.model import Notification
from receiver.observation.past import PastPrometheus, bodies
from receiver.observation.rule_series import Stretch
from receiver.operations import sources
from receiver.operations.backtest import Backtest, Past
from receiver.operations.report import report
from receiver.settings import AuthenticationSettings, PrometheusSettings, Settings

BIN = ROOT / ".peers" / "bin"
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
STEP = timedelta(seconds=15)
MINUTE = timedelta(minutes=1)
LATE = timedelta(seconds=7)
"""After the minute rules are evaluated."""
AROUND = timedelta(hours=3)
"""So long before and after a failure the series of its equipment are in Prometheus: nothing else of them is asked for."""
FEW_BLOCKS = 50
EQUIPMENT = 2_000
SERVICES = (
    Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',)),
    Service(name="voip", kind="voice", emergency_calls=False, match=('service="voip"',)),
    *(Service(name=f"data-{n}", kind="internet_access", charged=True, match=(f'service="data-{n}"',)) for n in range(4)),
    Service(name="lpwa", kind="cellular_lpwa", match=('service="lpwa"',)),
    Service(name="mail", kind="email", charged=True, match=('service="mail"',)),
)
MEASURED = {"voip", "data-0", "data-1", "mail"}
"""Services whose users that cannot use them are counted, anew every minute, and never twice the same."""


class Failure(msgspec.Struct, frozen=True):
    """Equipment that fails for some stretches of time; nested equipment fails with it."""

    equipment: str
    services: tuple[str, ...]
    users: int
    stretches: tuple[tuple[datetime, datetime], ...]


def failures(days: int, number: int) -> list[Failure]:
    """The same ones every time."""
    dice = random.Random(58)  # noqa: S311 - no secret
    found = []
    for n in range(number):
        begins = UNTIL - timedelta(days=days) * dice.random() - timedelta(minutes=1)
        lasts = timedelta(minutes=min(1 + dice.lognormvariate(3.5, 0.9), 600))
        stretches = [(begins, begins + lasts)]
        if n % 5 == 0:
            for _ in range(dice.randrange(1, 4)):
                begins = stretches[-1][1] + timedelta(minutes=dice.randrange(2, 30))
                stretches.append((begins, begins + lasts / 2))
        services = tuple(dice.sample([service.name for service in SERVICES], dice.choice([1, 1, 2])))
        stretches = [(a.replace(second=0, microsecond=0), b.replace(second=0, microsecond=0)) for a, b in stretches]
        users = int(dice.lognormvariate(8.5, 1.5))
        found.append(Failure(f"unit-{dice.randrange(EQUIPMENT):04}", services, users, tuple(stretches)))
    return sorted(found, key=lambda one: one.stretches[0])


def history(found: list[Failure], since: datetime) -> Iterator[str]:
    """OpenMetrics: what is asked for, once a minute, 7 s after it."""
    dice = random.Random(59)  # noqa: S311 - no secret
    samples: dict[str, dict[float, float]] = defaultdict(dict)
    for one in found:
        moment, last = one.stretches[0][0] - AROUND, min(one.stretches[-1][1] + AROUND, UNTIL)
        name = f'equipment="{one.equipment}"'
        while moment <= last:
            at, down = (moment + LATE).timestamp(), any(begins <= moment < ends for begins, ends in one.stretches)
            samples[f"art58:equipment_up{{{name}}}"][at] = not down
            for service in one.services:
                its = f'{{{name},service="{service}",unit="line"}}'
                samples[f"art58:users_under_equipment{its}"][at] = one.users
                if down and service in MEASURED:
                    samples[f"art58:users_unable{its}"][at] = int(one.users * (0.5 + dice.random() / 2))
                if down and any(begins + MINUTE <= moment for begins, ends in one.stretches if moment < ends):
                    alert = f'alertname="Art58EquipmentDown",alertstate="firing",{name},service="{service}"'
                    samples[f"ALERTS{{{alert}}}"][at] = 1
            moment += MINUTE
    for n in range(EQUIPMENT):  # all the others are there
        samples[f'art58:equipment_up{{equipment="unit-{n:04}"}}'].setdefault((since + LATE).timestamp(), 1)
    for series, points in sorted(samples.items()):
        yield from (f"{series} {value:g} {at:.3f}\n" for at, value in sorted(points.items()))
    yield "# EOF\n"


@contextmanager
def prometheus(folder: Path, found: list[Failure], since: datetime) -> Iterator[str]:
    with (folder / "history.txt").open("w") as file:
        file.writelines(history(found, since))
    load = [*peers.binary(BIN, "promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
    subprocess.run(load, cwd=folder, check=True, capture_output=True)
    flags = ["--storage.tsdb.retention.time=100y"]
    with peers.Prometheus(BIN, folder, {"global": {}}, folder / "data", flags=flags) as server:
        # loaded history lies in blocks of two hours, which Prometheus joins in its first minutes; a lived one lies in large ones
        peers.wait_until("Prometheus to join its blocks", lambda: len(list((folder / "data").iterdir())) < FEW_BLOCKS, 300, 1)
        yield server.url


def replayed(url: str, past: Past, *, every_step: bool = False) -> tuple[Backtest, float]:
    settings = Settings(prometheus=PrometheusSettings(url=url), authentication=AuthenticationSettings())
    client = PastPrometheus(settings.prometheus, STEP)
    begin = time.perf_counter()
    backtest = Backtest(settings, Catalogue(SERVICES), shipped(), client, past)
    backtest.run(every_step=every_step)
    client.close()
    return backtest, time.perf_counter() - begin


def told(found: list[Failure], since: datetime) -> Past:
    """What Alertmanager sent, as a receiver would have kept it: loaded history has no marks of the ends that flaps are known by."""
    stretches = [
        Stretch(tuple(sorted(labels.items())), begins + MINUTE + LATE, ends + LATE, ends + LATE)
        for one in found
        for service in one.services
        for labels in [{"alertname": "Art58EquipmentDown", "equipment": one.equipment, "service": service}]
        for begins, ends in one.stretches
        if begins + MINUTE < ends
    ]
    sent = enumerate(bodies(stretches))
    return Past(since, UNTIL, STEP, [Notification(n, "alertmanager", at, body) for n, (at, body) in sent if at <= UNTIL])


def seconds_to_ask_for_alerts(url: str, since: datetime) -> float:
    client = PastPrometheus(PrometheusSettings(url=url), STEP)
    begin = time.perf_counter()
    sources.of_rules(client, Catalogue(SERVICES), since, UNTIL)
    client.close()
    return time.perf_counter() - begin


def part(past: Past, hours: int) -> Past:
    """The hours with the middle number of notifications, as far as there are any."""
    parts = []
    for n in range(int((past.until - past.since) / timedelta(hours=hours))):
        since = past.since + n * timedelta(hours=hours)
        its = [one for one in past.told if since <= one.received_at < since + timedelta(hours=hours)]
        parts.append(Past(since, since + timedelta(hours=hours), STEP, its))
    parts.sort(key=lambda one: len(one.told))
    return parts[len(parts) // 2]


@click.command(help=__doc__)
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True)
@click.option("--failures", "number", type=click.IntRange(1, 10_000), default=300, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True)
@click.option("--sample-hours", type=click.IntRange(1, 24), default=24, show_default=True, help="Looked at step by step.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(days: int, number: int, rounds: int, sample_hours: int, as_json: bool) -> None:
    since = UNTIL - timedelta(days=days)
    with scratch() as folder:
        ran_on = machine(folder, "sqlalchemy", "msgspec")
        found = failures(days, number)
        with prometheus(folder, found, since) as url:
            past, asking = told(found, since), seconds_to_ask_for_alerts(url, since)
            seconds = []
            for _ in range(rounds):
                backtest, took = replayed(url, past)
                seconds.append(asking + took)
            sample = part(past, sample_hours)
            quick, quick_seconds = replayed(url, sample)
            whole, whole_seconds = replayed(url, sample, every_step=True)
    judged = report(backtest.database, past, backtest.ticks)
    same = report(quick.database, sample, 0) == report(whole.database, sample, 0)
    steps = int((past.until - past.since) / STEP)
    figures: dict[str, object] = {
        "days": days,
        "seconds": round(statistics.median(seconds), 2),
        "seconds_of_asking_for_alerts": round(asking, 2),
        "services": len(SERVICES),
        "equipment": EQUIPMENT,
        "failures": number,
        "incidents": judged.totals.incidents,
        "verdicts": judged.totals.verdicts,
        "notifications": len(past.told),
        "steps": steps,
        "ticks": backtest.ticks,
        "sample_hours": sample_hours,
        "sample_seconds": round(quick_seconds, 3),
        "sample_seconds_every_step": round(whole_seconds, 3),
        "extrapolated_seconds_every_step": round(whole_seconds * 24 * days / sample_hours),
        "ratio": round(whole_seconds / quick_seconds, 1),
        "same": same,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "rounds": rounds,
    }
    click.echo(", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(table(["", ""], [[name, str(figure)] for name, figure in figures.items()]))
    if as_json:
        click.echo(json.dumps(figures | ran_on))
    if not same:
        raise click.ClickException("looking at every step says something else")


if __name__ == "__main__":
    main()
