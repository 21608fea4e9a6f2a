"""Eight days of what Prometheus would have recorded, raw and normalised, loaded as TSDB blocks with promtool.

The bulk is coarse (still finer than Prometheus' staleness of five minutes); the last hours, in which a node fails at an
exact time, are fine and are written when that time is known. The live scrape continues the same series.
"""

import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from examples.demo.network import Network, Sample, exposition_line
from examples.demo.simulator import TARGET_LABELS

BULK_SECONDS = 8 * 24 * 3600
BULK_STEP_SECONDS = 240
BULK_FILES = 4  # loaded two at a time
FINE_SECONDS = 3 * 3600
FINE_STEP_SECONDS = 15
NONE_FAILED: frozenset[str] = frozenset()
AT = "@"  # stands for the time in a template; no label holds it


class HistoryError(Exception):
    """promtool refused the history."""


def openmetrics(network: Network, moments: Iterable[tuple[int, frozenset[str]]]) -> Iterator[str]:
    """OpenMetrics text in pieces: all series at each (time, nodes that are down), in the order of time."""
    for metric in dict.fromkeys(sample.metric for sample in _series(network)):
        yield f"# TYPE {metric} gauge\n"
    for failed, moments_alike in groupby(moments, key=lambda moment: moment[1]):
        template = "".join(f"{exposition_line(sample)} {AT}\n" for sample in _series(network, failed))
        for at, _ in moments_alike:
            yield template.replace(AT, str(at))
    yield "# EOF\n"


def bulk_moments(end: int) -> list[tuple[int, frozenset[str]]]:
    """Days in which nothing failed, up to and with `end`."""
    times = range(end, end - BULK_SECONDS, -BULK_STEP_SECONDS)
    return [(at, NONE_FAILED) for at in reversed(times)]


def fine_moments(start: int, end: int, node: str, failure: int) -> list[tuple[int, frozenset[str]]]:
    """From after `start` to `end`: the node worked until one second before `failure` and is down from `failure` on."""
    steps = {failure + k * FINE_STEP_SECONDS for k in range(-(-(start + 1 - failure) // FINE_STEP_SECONDS), 0)}
    steps |= set(range(failure, end + 1, FINE_STEP_SECONDS)) | {failure - 1}
    return [(at, frozenset({node}) if at >= failure else NONE_FAILED) for at in sorted(steps)]


def load_bulk(network: Network, end: int, promtool: Path, data_dir: Path) -> int:
    """Load the coarse days; returns the number of samples."""
    moments = bulk_moments(end)
    size = -(-len(moments) // BULK_FILES)
    parts = [moments[at : at + size] for at in range(0, len(moments), size)]
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(lambda part: load(network, part, promtool, data_dir), parts))


def load(network: Network, moments: list[tuple[int, frozenset[str]]], promtool: Path, data_dir: Path) -> int:
    """Load all series at these moments; returns the number of samples."""
    data_dir.mkdir(parents=True, exist_ok=True)
    file = data_dir.with_name(f"history-{moments[0][0]}.om")
    with file.open("w") as text:
        text.writelines(openmetrics(network, moments))
    # without the (hidden) block duration promtool reads the file once for every two hours in it
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=54h", "-q", file, data_dir]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if run.returncode:
        raise HistoryError(f"promtool refused {file}:\n{run.stdout}{run.stderr}")
    file.unlink()
    return len(moments) * sum(1 for _ in _series(network))


def _series(network: Network, failed: frozenset[str] = NONE_FAILED) -> Iterator[Sample]:
    for sample in network.raw(failed):
        yield sample._replace(labels=sample.labels | TARGET_LABELS)
    yield from network.recorded(failed)
