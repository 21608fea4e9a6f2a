"""HTTP load on a server of this machine, made and timed by wrk: 8 keep-alive connections, every request with a body of its own."""

import json
import os
import subprocess
from pathlib import Path

import msgspec

from examples.peers import PeerError

ROOT = Path(__file__).resolve().parent.parent
WRK = ROOT / ".peers/tools-root/bin/wrk"
CONNECTIONS = 8


class Load(msgspec.Struct, frozen=True):
    """What wrk saw. `refused` are answers of 400 and above, `broken` connections that failed or timed out."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    broken: int

    @property
    def requests_s(self) -> float:
        return (self.requests - self.refused) / self.seconds

    @property
    def failed(self) -> int:
        return self.refused + self.broken


def press(url: str, body: Path, token: str, series: str, seconds: int) -> Load:
    """POST `body` for `seconds`; `series` makes the running numbers in it differ from those of other runs."""
    if not WRK.exists():
        raise PeerError("wrk is missing. Run: make .peers/tools")
    script = Path(__file__).with_name("post.lua")
    command = [WRK, "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--timeout", "10s"]
    wrk = subprocess.run(
        [*command, "--script", script, url],
        env=os.environ | {"BODY": str(body), "TOKEN": token, "SERIES": series},
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
    )
    if wrk.returncode != 0:
        raise PeerError(f"wrk failed: {wrk.stderr or wrk.stdout}")
    return msgspec.convert(json.loads(wrk.stdout.splitlines()[-1]), Load)
