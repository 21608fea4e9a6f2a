"""History for new users, as the page of network rules says: its commands on the real Prometheus, word for word but for
addresses and folders; and its configuration is one that Prometheus accepts."""

import json
import os
import subprocess
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples import peers
from tests.programs import PEERS
from tests.test_docs import blocks

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "rules-for-networks.md"

MIDNIGHT = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
FAILED, WORKS_AGAIN = 3 * 3600, 4 * 3600 + 600


def history() -> str:
    """Six hours of one BRAS, which fails at three and works again at ten past four."""
    moments = range(0, 6 * 3600 + 1, 60)
    down = [FAILED <= second < WORKS_AGAIN for second in moments]
    lines = ["# TYPE accel_up gauge"]
    lines += [f'accel_up{{equipment="bras-1"}} {int(not d)} {MIDNIGHT + s}' for s, d in zip(moments, down, strict=True)]
    lines += ["# TYPE accel_sessions_active gauge"]
    sessions = [0 if is_down else 42_000 for is_down in down]
    lines += [f'accel_sessions_active{{equipment="bras-1"}} {n} {MIDNIGHT + s}' for s, n in zip(moments, sessions, strict=True)]
    return "\n".join([*lines, "# EOF", ""])


def run(command: str, folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env=os.environ | {"PATH": f"{PEERS}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def value(server: peers.Prometheus, series: str, second: int) -> list[tuple[dict[str, str], str]]:
    asked = urllib.parse.urlencode({"query": series, "time": MIDNIGHT + second})
    result: list[dict[str, Any]] = json.loads(peers.fetch(f"{server.url}/api/v1/query?{asked}"))["data"]["result"]
    return [({k: v for k, v in one["metric"].items() if k != "__name__"}, one["value"][1]) for one in result]


def test_the_normalised_series_of_the_past_come_from_the_command_on_the_page(tmp_path: Path) -> None:
    create, move = (block for block in blocks(PAGE, "sh") if "backfill" in block)
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    (tmp_path / "history.txt").write_text(history())
    run("promtool tsdb create-blocks-from openmetrics history.txt data", tmp_path)
    with peers.Prometheus(PEERS, tmp_path, {"global": {}}, data_dir=tmp_path / "data") as server:
        assert value(server, "art58:equipment_up", FAILED) == []
        run(create.replace("http://127.0.0.1:9090", server.url), tmp_path)
    run(move.replace("/var/lib/prometheus/data/", "data/"), tmp_path)
    with peers.Prometheus(PEERS, tmp_path, {"global": {}}, data_dir=tmp_path / "data") as server:
        up, users = "art58:equipment_up", "art58:users_under_equipment"
        # a group of rules is evaluated somewhere within its 15 seconds
        assert value(server, up, FAILED - 1) == [({"equipment": "bras-1"}, "1")]
        assert value(server, up, FAILED + 15) == [({"equipment": "bras-1"}, "0")]
        assert value(server, up, WORKS_AGAIN - 1) == [({"equipment": "bras-1"}, "0")]
        assert value(server, up, WORKS_AGAIN + 15) == [({"equipment": "bras-1"}, "1")]
        line = {"service": "ftth", "equipment": "bras-1", "unit": "line"}
        assert value(server, users, FAILED + 1800) == [(line, "42000")]


@pytest.mark.parametrize("example", blocks(PAGE, "yaml"))
def test_the_configuration_on_the_page_is_accepted(example: str, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(example)
    assert all((ROOT / file).exists() for file in yaml.safe_load(example)["rule_files"])
    run("promtool check config --syntax-only prometheus.yml", tmp_path)
