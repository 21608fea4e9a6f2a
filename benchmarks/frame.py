"""What every measurement has in common: a folder that vanishes, the machine it ran on, medians with their range."""

import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FSYNC_SECONDS = 0.5


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder beside the code, as the folder for temporary files is memory on many machines. Goes away on SIGTERM too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    (ROOT / "var").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{os.getpid()}-", dir=ROOT / "var"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def machine(folder: Path, *packages: str) -> dict[str, str | int]:
    """What the figures depend on: cores this process may use, memory, versions, and how often `folder`'s disk syncs in a second."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "fsync_s": fsyncs_per_second(folder),
        "python": platform.python_version(),
    } | {package: version(package) for package in packages}


def fsyncs_per_second(folder: Path) -> int:
    with (folder / "fsync").open("wb", buffering=0) as file:
        count, begin = 0, time.perf_counter()
        while (passed := time.perf_counter() - begin) < FSYNC_SECONDS:
            file.write(bytes(4096))
            os.fsync(file.fileno())
            count += 1
    return round(count / passed)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their heads, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        [text.ljust(width) if n == 0 else text.rjust(width) for n, (text, width) in enumerate(zip(row, widths, strict=True))]
        for row in (heads, *rows)
    ]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def spread(figures: Sequence[float], digits: int = 0) -> str:
    """The median with its range: "1,137 (1,004-1,255)"."""
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"
