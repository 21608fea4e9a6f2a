"""The network simulator: an exporter that Prometheus scrapes, whose nodes can be failed and repaired while it runs."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from examples.demo.network import Network, exposition_line

# Scraped series carry these two labels besides their own; the history is loaded with the same, so that both are one.
TARGET_LABELS = {"job": "network", "instance": "network-simulator"}


class Simulator:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.failed: frozenset[str] = frozenset()
        simulator = self

        class Metrics(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = simulator.exposition().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def fail(self, node: str) -> None:
        self.failed |= {self.network.nodes[node].name}

    def repair(self, node: str) -> None:
        self.failed -= {node}

    def exposition(self) -> str:
        return "".join(exposition_line(sample) + "\n" for sample in self.network.raw(self.failed))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
