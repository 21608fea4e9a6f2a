"""The real Prometheus and Alertmanager, started once: a small network exports the example metrics, and our own rules watch it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from examples import peers
from tests.programs import PEERS
from tests.receiver import TOKEN

ROOT = Path(__file__).parents[2]

NODES = [f"core-{number}" for number in range(1, 9)]
USERS = {"voice": 50_000, "data": 120_000, "lpwa": 20_000}


class Network:
    """Nodes that can fail, exported as the example metrics of `rules/`. Data users can be measured, others cannot."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        network = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = network.exposition().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    def exposition(self) -> str:
        lines = []
        for node in NODES:
            lines.append(f'network_node_up{{node="{node}",prefecture="tokyo",region="east"}} {int(node not in self.down)}')
            for service, users in USERS.items():
                lines.append(f'network_node_subscribers{{node="{node}",service="{service}",unit="line"}} {users}')
            failed = USERS["data"] - 5_000 if node in self.down else 0
            lines.append(f'network_service_failed_users{{node="{node}",service="data",unit="line"}} {failed}')
        return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    network = Network()
    thread = threading.Thread(target=network.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield network
    network.server.shutdown()
    network.server.server_close()
    thread.join()


def prometheus(network: Network, folder: Path, alertmanager_url: str, port: int) -> peers.Prometheus:
    """A Prometheus that scrapes the network four times a second and runs our rules."""
    rules = [str(path) for path in sorted((ROOT / "rules").glob("*.rules.yml"))]
    config = {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "200ms", "evaluation_interval": "250ms"},
        "rule_files": rules,
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]},
        "scrape_configs": [{"job_name": "network", "static_configs": [{"targets": [f"127.0.0.1:{network.port}"]}]}],
    }
    return peers.Prometheus(PEERS, folder, config, port=port, flags=["--rules.alert.resend-delay=500ms"])


def alertmanager(folder: Path, receiver_url: str) -> peers.Alertmanager:
    """An Alertmanager that sends to the receiver; one group per equipment, quick."""
    config = {
        "route": {
            "receiver": "art58",
            "group_by": ["equipment"],
            "group_wait": "200ms",
            "group_interval": "500ms",
            "repeat_interval": "1h",
        },
        "receivers": [
            {
                "name": "art58",
                "webhook_configs": [
                    {
                        "url": f"{receiver_url}/webhook/alertmanager",
                        "send_resolved": True,
                        "http_config": {"authorization": {"type": "Bearer", "credentials": TOKEN}},
                    }
                ],
            }
        ],
    }
    return peers.Alertmanager(PEERS, folder, config)
