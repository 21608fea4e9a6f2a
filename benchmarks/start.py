"""How long `art58 serve` takes from its start until it is ready, and how much memory all its processes need at rest.

Beside it the time the same Python takes to import Flask and SQLAlchemy, which no start can do without.
"""

import compileall
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

from benchmarks.frame import ROOT, machine, scratch, spread, table
from benchmarks.store import opened
from benchmarks.store import option as store_option
from benchmarks.tree import configured, processes, pss_mib, serving
from examples.peers import free_port

REST_SECONDS = 3
"""After so long with nothing to do it is at rest: longer than the first tick takes."""


def measure(folder: Path, store: str | None) -> tuple[float, float, dict[str, float]]:
    """Seconds until ready, MiB at rest, and these by role."""
    folder.mkdir()
    server = serving(configured(folder, f"http://127.0.0.1:{free_port()}", store))
    begin = time.perf_counter()
    try:
        server.start()
        ready = time.perf_counter() - begin
        time.sleep(REST_SECONDS)
        assert server.process is not None  # noqa: S101 - for the type checker
        parts: dict[str, float] = {}
        for pid, role in processes(server.process.pid).items():
            parts[role] = parts.get(role, 0) + pss_mib([pid])
    finally:
        server.stop()
    return ready, sum(parts.values()), parts


def imports() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import flask, sqlalchemy"], check=True)
    return time.perf_counter() - begin


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(1, 50), default=5, show_default=True, help="Starts, the first on an empty store.")
@store_option
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(rounds: int, store: str, as_json: bool) -> None:
    with scratch() as folder, opened(store, folder) as its:
        ran_on = machine(folder, "flask", "gunicorn", "sqlalchemy")
        # as pip does when it installs one; else each start compiles it anew where Python is told to write no bytecode
        compileall.compile_dir(ROOT / "receiver", quiet=1)
        imports()  # from the disk into memory
        bare = [imports() for _ in range(rounds)]
        found = [measure(folder / str(number), its.url) for number in range(rounds)]
    seconds, memory = [each[0] for each in found], [each[1] for each in found]
    parts = {role: statistics.median(each[2].get(role, 0) for each in found) for role in found[0][2]}
    figures: dict[str, float] = {
        "ready_s": round(statistics.median(seconds), 3),
        "imports_s": round(statistics.median(bare), 3),
        "ratio_imports": round(statistics.median(seconds) / statistics.median(bare), 2),
        "rest_mib": round(statistics.median(memory), 1),
        **{f"rest_{role}_mib": round(mib, 1) for role, mib in parts.items()},
    }
    click.echo(f"{rounds} starts; " + ", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    rows = [
        ["start to ready, s", spread(seconds, 2)],
        ["imports of Flask and SQLAlchemy alone, s", spread(bare, 2)],
        ["memory at rest of all processes (PSS), MiB", spread(memory)],
        *([f"  {role}", f"{mib:.0f}"] for role, mib in parts.items()),
    ]
    click.echo(table(["median (range)", ""], rows))
    if as_json:
        click.echo(json.dumps(figures | {"rounds": rounds} | ran_on))


if __name__ == "__main__":
    main()
