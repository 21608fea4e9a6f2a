"""How many requests and alerts a second the intake stores on disk, against a bare Flask app that parses the same body alone.

The receiver is `art58 serve` as in production: two web processes, bearer tokens, its worker deriving and assessing what comes in.
With --sketch also against the least that stores what it answers, with --alerta against Alerta over PostgreSQL, which is installed
for that from the package registry.
"""

import json
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import alerta
from benchmarks.frame import ROOT, machine, scratch, spread, table
from benchmarks.load import Load, press
from examples.peers import Server, fetch, free_port

TOKEN = "benchmark"  # noqa: S105 - of a receiver that lives for some seconds
SIZES = {1: "requests", 100: "alerts"}
"""Alerts in a body, and what is counted with it."""
EQUIPMENT = 20
"""Alerts of a body fall on so many pieces of equipment: a storm has many alerts and few causes."""

WHOLE_SECONDS = 0.7
"""gunicorn starts its processes up to a tenth of a second apart, and wrk connects at once: the first process would get it all."""
SETTLE_SECONDS = 5
"""How long the last requests may take: longer than one waits for the store."""


class Cell(msgspec.Struct, frozen=True):
    """One server under one size of body. `lost` are bodies answered with 200 that are not in the store."""

    load: Load
    lost: int = 0


def bare(folder: Path) -> Server:
    """The yardstick."""
    return _plain("bare", folder)


def sketch(folder: Path) -> Server:
    """The least that stores what it answers."""
    return _plain("sketch", folder)


def _plain(name: str, folder: Path) -> Server:
    """An app of ours under gunicorn with the receiver's own settings."""
    address = f"127.0.0.1:{free_port()}"
    options = f"--bind {address} --workers 2 --worker-class gthread --threads 8 --keep-alive 75 --log-level warning"
    options += " --worker-tmp-dir /dev/shm --no-control-socket"
    where = ["--chdir", str(ROOT), "--env", f"SKETCH_FOLDER={folder}"]
    command = [sys.executable, "-m", "gunicorn", *options.split(), *where, f"benchmarks.{name}_app:app"]
    return Server(name, command, folder, f"http://{address}", "/-/ready")


def receiver(folder: Path) -> Server:
    """The product, with a service that the alerts match and a Prometheus that does not answer: its users are never measured."""
    address = f"127.0.0.1:{free_port()}"
    service = {"name": "voice", "kind": "voice", "emergency_calls": True, "match": ['service="voice"'], "users_total": 1_000_000}
    config = {
        "listen": address,
        "prometheus": {"url": f"http://127.0.0.1:{free_port()}"},
        "authentication": {"bearer_tokens": [{"file": "token"}]},
        "services": [service],
    }
    (folder / "token").write_text(TOKEN)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "receiver.cli", "serve", "--config", str(folder / "config.yaml")]
    return Server("receiver", command, folder, f"http://{address}", "/-/ready")


Servers = Mapping[str, Callable[[Path], Server]]
SERVERS: Servers = {"bare": bare, "receiver": receiver}


def measure(servers: Servers, name: str, alerts: int, seconds: int, folder: Path, series: str) -> Cell:
    """A server of its own for every cell: none works off what another one left."""
    folder.mkdir()
    body = folder / "body.json"
    body.write_text(json.dumps(webhook(alerts)))
    server = servers[name](folder)
    # who is not asked for a token must not be given one either: Alerta takes it for one of its own
    path, token = (alerta.WEBHOOK, "") if name == "alerta" else ("/webhook/alertmanager", TOKEN)
    try:
        server.start()
        time.sleep(WHOLE_SECONDS)
        load = press(server.url + path, body, token, series, seconds)
        answered = answered_with_200(server.url, folder) if name == "receiver" else 0
    finally:
        # no ordered end: what was answered with 200 must be in the file whatever becomes of the process
        server.kill()
    if name != "receiver":
        return Cell(load)
    # more may be stored than answered: wrk leaves while its last requests are under way
    return Cell(load, lost=max(0, answered - stored(folder), load.requests - load.refused - stored(folder)))


def webhook(alerts: int) -> dict[str, object]:
    """A body as Alertmanager sends it. @ID@ is where every request puts a number of its own, so that all its alerts are new."""
    common = {"alertname": "Art58EquipmentDown", "severity": "critical", "service": "voice", "region": "kanto", "job": "network"}
    return {
        "version": "4",
        "receiver": "art58",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": common | {"equipment": f"mme-{n % EQUIPMENT}", "instance": f"sector-@ID@-{n}:9100"},
                "annotations": {
                    "summary": "Equipment with users of mobile voice under it is down",
                    "summary_ja": "携帯電話（音声）の利用者を収容する設備が停止",
                    "runbook_url": "https://runbooks.example/art58-equipment-down",
                },
                "startsAt": "2026-11-21T03:00:00.000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.example/graph?g0.expr=art58%3Aequipment_up+%3D%3D+0&g0.tab=1",
                "fingerprint": f"@ID@n{n}",
            }
            for n in range(alerts)
        ],
        "groupLabels": {"service": "voice"},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "groupKey": '{}:{service="voice"}',
        "truncatedAlerts": 0,
    }


def answered_with_200(url: str, folder: Path) -> int:
    """What the receiver counted itself, as soon as that is what it stored; if it never is, something was lost."""
    answered, deadline = -1, time.monotonic() + SETTLE_SECONDS
    while answered != stored(folder) and time.monotonic() < deadline:
        families = text_string_to_metric_families(fetch(f"{url}/metrics", timeout=30).decode())
        samples = [sample for family in families for sample in family.samples if sample.name == "art58_notifications_total"]
        answered = int(sum(sample.value for sample in samples if sample.labels["outcome"] == "stored"))
    return answered


def stored(folder: Path) -> int:
    connection = sqlite3.connect(folder / "data" / "art58-inbox.db")
    try:
        (count,) = connection.execute("SELECT count(*) FROM notifications WHERE refused IS NULL").fetchone()
    finally:
        connection.close()
    return int(count)


def summary(cells: dict[tuple[str, int], list[Cell]]) -> dict[str, float]:
    """Medians, and the receiver's as a part, or a multiple, of each yardstick's. What fails at Alerta is told apart."""
    found: dict[str, float] = {}
    yardsticks = [name for name in dict.fromkeys(name for name, _ in cells) if name != "receiver"]
    for size, counted in SIZES.items():
        rates = {name: statistics.median(cell.load.requests_s for cell in cells[name, size]) for name in ("receiver", *yardsticks)}
        p99 = {name: statistics.median(cell.load.p99_ms for cell in cells[name, size]) for name in rates}
        found |= {f"{counted}_s_{size}": round(size * rates["receiver"]), f"p99_ms_{size}": round(p99["receiver"], 1)}
        for name in yardsticks:
            found |= {
                f"ratio_{name}_{size}": round(rates["receiver"] / rates[name], 3) if rates[name] else 0,
                f"{name}_{counted}_s_{size}": round(size * rates[name]),
                f"{name}_p99_ms_{size}": round(p99[name], 1),
            }
    own = [cell for (name, _), several in cells.items() if name != "alerta" for cell in several]
    found |= {"failed": sum(cell.load.failed for cell in own), "lost": sum(cell.lost for cell in own)}
    if "alerta" in yardsticks:
        found["alerta_failed"] = sum(cell.load.failed for size in SIZES for cell in cells["alerta", size])
    return found


def report(cells: dict[tuple[str, int], list[Cell]]) -> str:
    rows = []
    for (name, size), several in sorted(cells.items(), key=lambda item: item[0][1]):
        loads = [cell.load for cell in several]
        rows.append(
            [
                f"{name}, {size} alert{'s' if size > 1 else ''} a body",
                spread([load.requests_s for load in loads]),
                spread([size * load.requests_s for load in loads]),
                spread([load.p50_ms for load in loads], 1),
                spread([load.p99_ms for load in loads], 1),
                spread([load.max_ms for load in loads]),
                str(sum(load.failed for load in loads)),
                str(sum(cell.lost for cell in several)),
            ]
        )
    return table(["median (range)", "requests/s", "alerts/s", "p50 ms", "p99 ms", "longest ms", "failed", "lost"], rows)


@click.command(help=__doc__)
@click.option("--seconds", type=click.IntRange(1, 60), default=4, show_default=True, help="Load for each cell.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Times that the servers take turns.")
@click.option("--sketch", "with_sketch", is_flag=True, help="Against the least that stores what it answers, too.")
@click.option("--alerta", "with_alerta", is_flag=True, help="Against Alerta over PostgreSQL, too; installs it where it is missing.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(seconds: int, rounds: int, with_sketch: bool, with_alerta: bool, as_json: bool) -> None:
    with scratch() as folder, ExitStack() as stack:
        servers = dict(SERVERS) | ({"sketch": sketch} if with_sketch else {})
        if with_alerta:
            servers["alerta"] = stack.enter_context(alerta.Alerta(folder / "postgresql")).server
        cells: dict[tuple[str, int], list[Cell]] = {(name, size): [] for size in SIZES for name in servers}
        ran_on = machine(folder, "flask", "gunicorn", "sqlalchemy") | {"sqlite": sqlite3.sqlite_version}
        for number in range(rounds):
            for (name, size), several in cells.items():
                cell = f"{number}-{name}-{size}"
                several.append(measure(servers, name, size, seconds, folder / cell, cell))
    found = summary(cells)
    click.echo(f"{rounds} rounds of {seconds} s; " + ", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(report(cells))
    for name in servers.keys() - {"receiver"}:
        click.echo(f"receiver / {name}: {found[f'ratio_{name}_1']} with 1 alert a body, {found[f'ratio_{name}_100']} with 100")
    if as_json:
        click.echo(json.dumps(found | {"rounds": rounds, "seconds": seconds} | ran_on))
    sys.exit(1 if found["failed"] or found["lost"] else 0)


if __name__ == "__main__":
    main()
