"""Real Alertmanagers in a cluster that can be cut, and a real Prometheus that sends to them: quick, and made to misbehave.

A `Door` is a TCP port that a test opens and shuts: behind it a receiver, or the other half of a site, goes away and comes back. A
`GossipDoor` leads to one member of a cluster, by TCP and UDP, and is shut to some of the others while the cluster is cut.
"""

import contextlib
import json
import shutil
import socket
import socketserver
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class GossipDoor:
    """The address that a member of a cluster tells the others, by TCP and UDP, for gossip takes both. It listens behind it."""

    def __init__(self) -> None:
        self.port, self.member_port = peers.free_port(), peers.free_port()
        self.shut_to: Sequence[Alertmanager] = ()
        self._streams = _Doorkeeper(self.port, self.member_port, self._admits_stream)
        self._datagrams = _Forwarder(self.port, self.member_port, self._admits_datagram)

    def close(self) -> None:
        self._streams.close()
        self._datagrams.close()

    def _admits_stream(self, from_port: int) -> bool:
        # it may come from any port: only the machine knows whose it is
        return not any(one.process and _holds(one.process.pid, from_port) for one in self.shut_to)

    def _admits_datagram(self, from_port: int) -> bool:
        # a member sends them from the port on which it listens
        return not any(one.gossip and one.gossip.member_port == from_port for one in self.shut_to)


def _holds(process: int, port: int) -> bool:
    """Whether the TCP connection from this local port is of this process, as Linux tells."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    its = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}")}
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(descriptor.readlink()) in its:
                return True
    return False


class _Forwarder(socketserver.UDPServer):
    """Hands datagrams on. An answer takes no way back: gossip says in the datagram where it wants one."""

    def __init__(self, port: int, to: int, admits: Callable[[int], bool]) -> None:
        super().__init__(("127.0.0.1", port), socketserver.BaseRequestHandler)
        self._to, self._admits = to, admits
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._admits(client_address[1]):
            self.socket.sendto(request[0], ("127.0.0.1", self._to))

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Doorkeeper(socketserver.ThreadingTCPServer):
    """Lets streams through; `admits` is asked of the port that one comes from."""

    allow_reuse_address = True

    def __init__(self, port: int, to: int, admits: Callable[[int], bool] = lambda _: True) -> None:
        super().__init__(("127.0.0.1", port), _Passage)
        self.to, self.streams, self.lock = to, set[socket.socket](), threading.Lock()
        self._admits = admits
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._admits(client_address[1])

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
    """One real Alertmanager, a member of a cluster if there is a door to it for `gossip`. It knows its `friends` from the start."""

    def __init__(
        self, folder: Path, config: Mapping[str, object], gossip: GossipDoor | None = None, friends: Sequence[GossipDoor] = ()
    ) -> None:
        self._config = peers.write_config(folder.resolve() / "alertmanager.yml", config)
        self.data, self.gossip = folder.resolve() / "data", gossip
        port = peers.free_port()
        flags = ["--cluster.listen-address="]
        if gossip:
            flags = [
                f"--cluster.listen-address=127.0.0.1:{gossip.member_port}",
                f"--cluster.advertise-address=127.0.0.1:{gossip.port}",
                *(f"--cluster.peer=127.0.0.1:{friend.port}" for friend in friends),
                "--cluster.peer-timeout=500ms",
                "--cluster.gossip-interval=20ms",  # ten of it decide when a cluster has settled
                "--cluster.pushpull-interval=500ms",
                "--cluster.probe-interval=250ms",  # four of it in vain, and a member is taken for dead
                "--cluster.probe-timeout=200ms",
                "--cluster.reconnect-interval=500ms",
            ]
        command = [
            *peers.binary(PEERS, "alertmanager"),
            f"--config.file={self._config}",
            f"--storage.path={self.data}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.external-url=http://127.0.0.1:{port}",  # what it sends says whose it is
            "--alerts.gc-interval=1s",
            *flags,
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

    def __init__(self, folder: Path, plant: Plant, alertmanagers: Sequence[Alertmanager | Door]) -> None:
        self._queue_rules = folder.resolve() / "queues.rules.yml"
        folder.mkdir(parents=True, exist_ok=True)
        self._queue_rules.write_text(QUEUE_RULES)
        targets = [one.url.removeprefix("http://") for one in alertmanagers]
        rules = [ROOT / "rules" / f"art58-{name}.rules.yml" for name in ("normalise", "alerts")]
        settings = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
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
