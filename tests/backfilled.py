"""A real Prometheus that remembers what a test says."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples import peers
from receiver.observation.prometheus import Prometheus
from receiver.settings import PrometheusSettings
from tests.programs import PEERS


@contextmanager
def server(folder: Path, history: str, *flags: str) -> Iterator[str]:
    """The address of a Prometheus into which `history` (OpenMetrics text with times) was loaded."""
    (folder / "history.txt").write_text(history, newline="")
    load = [str(PEERS / "promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
    subprocess.run(load, cwd=folder, check=True, capture_output=True)
    with peers.Prometheus(PEERS, folder, {"global": {}}, folder / "data", flags=flags) as running:
        yield running.url


@contextmanager
def prometheus(folder: Path, history: str, *flags: str) -> Iterator[Prometheus]:
    """Asks such a Prometheus."""
    with server(folder, history, *flags) as url:
        client = Prometheus(PrometheusSettings(url=url))
        yield client
        client.close()
