"""How long it takes to total the users under equipment with 10,000 and 100,000 units under it, how many queries that costs, and
how much memory. Against a loop that asks the same questions and parses the answers with `json`, but totals nothing.
"""

import json
import resource
import statistics
import time
from collections.abc import Sequence

import click
import msgspec
import requests

from benchmarks.frame import machine, scratch, spread, table
from benchmarks.networks import Network
from receiver.observation.prometheus import Prometheus, Sample
from receiver.observation.topology import Wanted, observe
from receiver.settings import PrometheusSettings

WANTED = Wanted("voice", frozenset({"top"}))
CASES = {"whole": "all failed", "lowest": "1 % failed, only the lowest tell", "part": "1 % failed"}


class Measured(msgspec.Struct, frozen=True):
    """Seconds of each round, and of the yardstick beside it; queries and MiB of answers of a round; most memory so far."""

    seconds: list[float]
    bare: list[float]
    queries: int
    answers_mib: float
    peak_mib: int


class Noted(Prometheus):
    """Keeps what it was asked."""

    def __init__(self, settings: PrometheusSettings) -> None:
        super().__init__(settings)
        self.asked: list[str] = []

    def instant(self, query: str) -> list[Sample]:
        self.asked.append(query)
        return super().instant(query)


def measure(size: int, case: str, rounds: int) -> Measured:
    """Product and yardstick take turns."""
    seconds, bares, mib = [], [], 0.0
    with Network(size, part_down=case != "whole", lowest_tell=case == "lowest") as network:
        prometheus = Noted(PrometheusSettings(url=network.url, timeout_seconds=30))
        for _ in range(rounds):
            prometheus.asked.clear()
            begin = time.perf_counter()
            found = observe(prometheus, [WANTED])[WANTED]
            seconds.append(time.perf_counter() - begin)
            if found.total is None or (found.total.users, found.units) != (network.users, size):
                raise click.ClickException(f"{size:,} units: {found.problem or found.why_not or found.total}")
            del found
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            taken, mib = bare(network.url, prometheus.asked)
            bares.append(taken)
        prometheus.close()
    return Measured(seconds, bares, len(prometheus.asked), mib, peak)


def bare(url: str, queries: Sequence[str]) -> tuple[float, float]:
    """Ask the same and parse: seconds, MiB of answers."""
    begin, read = time.perf_counter(), 0
    with requests.Session() as session:
        for query in queries:
            answer = session.post(f"{url}/api/v1/query", data={"query": query}, timeout=60).content
            json.loads(answer)
            read += len(answer)
    return time.perf_counter() - begin, read / 2**20


def summary(found: dict[tuple[int, str], Measured]) -> dict[str, float]:
    """Medians, and how many times as long as the yardstick it takes."""
    figures: dict[str, float] = {}
    for (size, case), measured in found.items():
        seconds, least = statistics.median(measured.seconds), statistics.median(measured.bare)
        figures |= {
            f"seconds_{case}_{size}": round(seconds, 3),
            f"bare_seconds_{case}_{size}": round(least, 3),
            f"ratio_bare_{case}_{size}": round(seconds / least, 2),
            f"queries_{case}_{size}": measured.queries,
            f"answers_mib_{case}_{size}": round(measured.answers_mib, 1),
            f"peak_mib_{case}_{size}": measured.peak_mib,
        }
    return figures


def report(found: dict[tuple[int, str], Measured]) -> str:
    rows = [
        [
            f"{size:,} units, {CASES[case]}",
            spread(m.seconds, 3),
            spread(m.bare, 3),
            str(m.queries),
            f"{m.answers_mib:,.1f}",
            f"{m.peak_mib:,}",
        ]
        for (size, case), m in found.items()
    ]
    return table(["median (range)", "total s", "yardstick s", "queries", "answers MiB", "peak MiB"], rows)


@click.command(help=__doc__)
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(200, 2_000_000),
    multiple=True,
    default=(10_000, 100_000),
    help="Units in the network.",
)
@click.option("--rounds", type=click.IntRange(1, 50), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(sizes: tuple[int, ...], rounds: int, as_json: bool) -> None:
    with scratch() as folder:
        ran_on = machine(folder, "msgspec", "requests")
        # from small to large: the memory told is the most that the process ever had
        found = {(size, case): measure(size, case, rounds) for size in sorted(sizes) for case in reversed(CASES)}
    figures = summary(found)
    click.echo(f"{rounds} rounds; " + ", ".join(f"{what} {figure}" for what, figure in ran_on.items()))
    click.echo(report(found))
    if as_json:
        click.echo(json.dumps(figures | {"rounds": rounds} | ran_on))


if __name__ == "__main__":
    main()
