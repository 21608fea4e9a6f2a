"""The benchmark of backtests ends with all its figures, and says that nothing was judged otherwise for being quick."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_ends_with_its_figures() -> None:
    size = ["--days", "2", "--failures", "8", "--rounds", "1", "--sample-hours", "3"]
    command = [sys.executable, "-m", "benchmarks.backtest", "--json", *size]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    figures = json.loads(run.stdout.splitlines()[-1])
    assert (figures["days"], figures["failures"], figures["same"]) == (2, 8, True)
    assert all(figures[name] > 0 for name in ("seconds", "ratio", "ticks", "peak_mib", "incidents"))
    assert figures["ticks"] < figures["steps"]
