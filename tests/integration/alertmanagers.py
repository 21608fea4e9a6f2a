"""Real Alertmanagers in a cluster, or parted, and a real Prometheus that sends to them: quick, and made to misbehave by the test.

A `Door` is a TCP port that a test opens and shuts: behind it a receiver goes away and comes back, and a parted cluster is healed.
"""

import contextlib
import json
import shutil
import socket
import socketserver
import threading
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from examples import peers
from tests.integration.conftest import Network
from tests.programs import PEERS
from tests.receiver import TOKEN

ROOT = Path(__file__).parents[2]
SECOND = timedelta(seconds=1)
EVALUATION = timedelta(milliseconds=250)
ENDS_WITHIN = 8 * EVALUATION
"""How long after its last firing sample Prometheus says that an alert ended: at its next evaluation, later on a busy machine."""
USERS = {"voice": 50_000, "data": 120_000}

QUEUE_RULES = """\
groups:
  - name: queues
    rules:
      - {alert: QueueStuck, expr: queue_stuck == 1}
"""
"""Alerts that name a service and no equipment: whether they go on, nothing but their rule can tell."""


class Plant(Network):
    """What the tests break. Every test has equipment of its own: what is over is told again and again for a quarter of an hour."""

    def __init__(self, *nodes: str) -> None:
        super().__init__()
        self.nodes = nodes
        self.stuck: set[str] = set()

    def exposition(self) -> str:
        lines = [f'queue_stuck{{service="{name}"}} {int(name in self.stuck)}' for name in ("webmail", "lpwa")]
        for node in self.nodes:
            lines.append(f'network_node_up{{node="{node}",prefecture="tokyo",region="east"}} {int(node not in self.down)}')
            lines += [f'network_node_subscribers{{node="{node}",service="{name}",unit="line"}} {n}' for name, n in USERS.items()]
        return "\n".join(lines) + "\n"


@contextlib.contextmanager
def plant(*nodes: str) -> Iterator[Plant]:
    it = Plant(*nodes)
    thread = threading.Thread(target=it.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield it
    finally:
        it.server.shutdown()
        it.server.server_close()
        thread.join()


class Door:
    """A TCP port that leads to another while it is open. Shut, it refuses, and what went through it is cut."""

    def __init__(self) -> None:
        self.port = peers.free_port()
        self._server: _Doorkeeper | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self, to: int) -> None:
        self._server = _Doorkeeper(self.port, to)

    def shut(self) -> None:
        if self._server:
            self._server.close()
        self._server = None


class _Doorkeeper(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def __init__(self, port: int, to: int) -> None:
        super().__init__(("127.0.0.1", port), _Passage)
        self.to, self.streams, self.lock = to, set[socket.socket](), threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        with self.lock:
            for stream in self.streams:
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)
        self.server_close()  # waits for the passages


class _Passage(socketserver.BaseRequestHandler):
    server: _Doorkeeper

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.to)) as there:
            streams = {self.request, there}
            with self.server.lock:
                self.server.streams |= streams
            back = threading.Thread(target=_copy, args=(there, self.request))
            back.start()
            _copy(self.request, there)
            back.join()
            with self.server.lock:
                self.server.streams -= streams


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


class Alertmanager(peers.Server):
    """One real Alertmanager, as a member of a cluster if it has a `cluster_port`. It knows `friends` (ports) from the start."""

    def __init__(self, folder: Path, config: Mapping[str, object], cluster_port: int | None = None, *friends: int) -> None:
        self._config = peers.write_config(folder.resolve() / "alertmanager.yml", config)
        self.data, self.cluster_port = folder.resolve() / "data", cluster_port
        port = peers.free_port()
        gossip = [f"--cluster.listen-address=127.0.0.1:{cluster_port}" if cluster_port else "--cluster.listen-address="]
        if cluster_port:
            gossip += [f"--cluster.peer=127.0.0.1:{friend}" for friend in friends]
            gossip += [
                f"--cluster.advertise-address=127.0.0.1:{cluster_port}",
                "--cluster.peer-timeout=500ms",
                "--cluster.gossip-interval=20ms",  # ten of it decide when a cluster has settled
                "--cluster.pushpull-interval=500ms",
                "--cluster.reconnect-interval=500ms",
            ]
        command = [
            *peers.binary(PEERS, "alertmanager"),
            f"--config.file={self._config}",
            f"--storage.path={self.data}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--alerts.gc-interval=1s",
            *gossip,
        ]
        super().__init__("alertmanager", command, folder, f"http://127.0.0.1:{port}", "/-/ready")

    def configure(self, config: Mapping[str, object]) -> None:
        peers.write_config(self._config, config)
        peers.fetch(f"{self.url}/-/reload", body=b"")

    def forget(self) -> None:
        """While it is stopped: lose what it kept on disk."""
        shutil.rmtree(self.data)

    def get(self, path: str) -> Any:
        return json.loads(peers.fetch(f"{self.url}/api/v2/{path}"))

    def active(self, label: str, value: str) -> list[dict[str, Any]]:
        """Its alerts with this label that are not over; silenced and inhibited ones too."""
        return [alert for alert in self.get("alerts") if alert["labels"].get(label) == value]

    def knows(self) -> int:
        """Members of its cluster, itself among them."""
        return len(self.get("status")["cluster"].get("peers", []))

    def silence(self, label: str, value: str) -> None:
        now = datetime.now(UTC)
        silence = {
            "matchers": [{"name": label, "value": value, "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "test",
            "comment": "work",
        }
        peers.fetch(f"{self.url}/api/v2/silences", {"Content-Type": "application/json"}, json.dumps(silence).encode())


def config(
    receiver_url: str,
    about: str = 'equipment=~".+"',
    group_by: Sequence[str] = ("equipment",),
    max_alerts: int = 0,
    **more: object,
) -> dict[str, object]:
    """Alertmanager's configuration: quick, and only alerts that fit the matcher `about` are told. `more` goes in as it is."""
    webhook = {
        "url": f"{receiver_url}/webhook/alertmanager",
        "send_resolved": True,
        "max_alerts": max_alerts,
        "http_config": {"authorization": {"type": "Bearer", "credentials": TOKEN}},
    }
    return {
        "route": {
            "receiver": "nobody",
            "group_by": list(group_by),
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "2s",
            "routes": [{"receiver": "art58", "matchers": [about]}],
        },
        "receivers": [{"name": "nobody"}, {"name": "art58", "webhook_configs": [webhook]}],
        **more,
    }


class Prometheus(peers.Prometheus):
    """A real Prometheus that watches the plant four times a second by our own rules, and sends to these Alertmanagers."""

    def __init__(self, folder: Path, plant: Plant, alertmanagers: Sequence[Alertmanager]) -> None:
        self._queue_rules = folder.resolve() / "queues.rules.yml"
        folder.mkdir(parents=True, exist_ok=True)
        self._queue_rules.write_text(QUEUE_RULES)
        targets = [one.url.removeprefix("http://") for one in alertmanagers]
        rules = [ROOT / "rules" / f"art58-{name}.rules.yml" for name in ("normalise", "alerts")]
        settings = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "200ms", "evaluation_interval": "250ms"},
            "rule_files": [str(path) for path in (*rules, self._queue_rules)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": targets}]}]},
            "scrape_configs": [{"job_name": "network", "static_configs": [{"targets": [f"127.0.0.1:{plant.port}"]}]}],
        }
        flags = ["--web.enable-lifecycle", "--rules.alert.resend-delay=500ms"]
        super().__init__(PEERS, folder, settings, flags=flags)

    def give_rules(self, text: str = QUEUE_RULES) -> None:
        """These in place of the rules about queues."""
        self._queue_rules.write_text(text)
        peers.fetch(f"{self.url}/-/reload", body=b"")

    def samples(self, selector: str) -> list[tuple[datetime, float]]:
        """The raw samples of the last ten minutes, of all series together, in the order of time."""
        query = urllib.parse.urlencode({"query": f"{selector}[10m]"})
        result = json.loads(peers.fetch(f"{self.url}/api/v1/query?{query}"))["data"]["result"]
        return sorted((datetime.fromtimestamp(at, UTC), float(value)) for one in result for at, value in one["values"])

    def fires(self, label: str, value: str) -> bool:
        query = urllib.parse.urlencode({"query": f'ALERTS{{alertstate="firing",{label}="{value}"}}'})
        return bool(json.loads(peers.fetch(f"{self.url}/api/v1/query?{query}"))["data"]["result"])

    def fired(self, label: str, value: str) -> tuple[datetime, datetime]:
        """When the alerts with this label were first and last seen firing."""
        samples = self.samples(f'ALERTS{{alertstate="firing",{label}="{value}"}}')
        return samples[0][0], samples[-1][0]

    def down_since(self, equipment: str) -> datetime:
        """The first sample of the equipment's own series that says it is down."""
        samples = self.samples(f'art58:equipment_up{{equipment="{equipment}"}}')
        return next(at for at, value in samples if value == 0)

    def sees(self, equipment: str) -> bool:
        return bool(self.samples(f'art58:equipment_up{{equipment="{equipment}"}}'))
