"""A Prometheus in a process of its own that holds one network, its answers ready in pieces: to pick them takes almost nothing."""

import multiprocessing
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Self
from urllib.parse import unquote_plus

FAN_OUT = 100


class Network:
    """`size` units in a tree, a hundred under each, all under `top`; users of `voice` are known of the lowest alone.

    `top` is down, and with `part_down` works while every hundredth of the lowest units does not. Of the others `art58:equipment_up`
    says that they work; with `lowest_tell` it says nothing of those that have others under them, so all the lowest must be asked.
    """

    def __init__(self, size: int, *, part_down: bool, lowest_tell: bool = False) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(size, part_down, lowest_tell, theirs), daemon=True
        )
        self._process.start()
        self.url, self.users = ours.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()


def tree(size: int) -> Iterator[tuple[str, str | None]]:
    """Each unit with its parent, from the top down."""
    yield "top", None
    for n in range(size - 1):
        yield f"unit-{n:07}", "top" if n < FAN_OUT else f"unit-{n // FAN_OUT - 1:07}"


class _Pieces:
    """The entries of answers by series, and by the unit that the query names."""

    def __init__(self, size: int, part_down: bool, lowest_tell: bool) -> None:
        parents = dict(tree(size))
        below: dict[str, list[bytes]] = {}
        for name, parent in parents.items():
            if parent is not None:
                labels = f'"__name__":"art58:equipment_parent","equipment":"{name}","job":"network","parent":"{parent}"'
                below.setdefault(parent, []).append(_entry(labels))
        leaves = [name for name in parents if name not in below]
        down = leaves[::100] if part_down else ["top"]
        self.users = 20 * len(set(leaves) & set(down)) if part_down else 20 * len(leaves)
        self.below = {parent: b",".join(its) for parent, its in below.items()}
        self.sizes = {parent: _entry(f'"parent":"{parent}"', str(len(its))) for parent, its in below.items()}
        users = '"__name__":"art58:users_under_equipment","equipment":"%s","job":"network","service":"voice","unit":"line"'
        self.counts = {name: _entry(users % name, "20") for name in leaves}
        up = '"__name__":"art58:equipment_up","equipment":"%s","job":"network"'
        self.down = {name: _entry(up % name, "0") for name in down}
        self.up = {name: _entry(up % name) for name in (leaves if lowest_tell else parents) if name not in self.down}

    def answer(self, query: str) -> bytes:
        if query.startswith("count("):
            of = self.counts if "users_under" in query else self._states(query) if "equipment_up" in query else {}
            return _entry("", str(len(of))) if of else b""
        if query.startswith("count by (parent)"):
            return b",".join(_picked(self.sizes, query, "parent"))
        if query.startswith("art58:equipment_parent"):
            return b",".join(_picked(self.below, query, "parent"))
        if query.startswith("art58:users_under"):
            return b",".join(_picked(self.counts, query, "equipment"))
        if query.startswith("art58:equipment_up"):
            return b",".join(_picked(self._states(query), query, "equipment"))
        return b""  # nobody is saved, nothing overlaps, none has two parents

    def _states(self, query: str) -> dict[str, bytes]:
        return self.up if "== 1" in query else self.down


def _entry(labels: str, value: str = "1") -> bytes:
    # of the time that the answer is given
    return f'{{"metric":{{{labels}}},"value":[@,"{value}"]}}'.encode()


def _picked(pieces: dict[str, bytes], query: str, label: str) -> Iterator[bytes]:
    _, found, rest = query.partition(f'{label}=~"')
    if not found:
        yield from pieces.values()
        return
    for name in rest.partition('"')[0].split("|"):
        if name in pieces:
            yield pieces[name]


def _serve(size: int, part_down: bool, lowest_tell: bool, tell: Connection) -> None:
    pieces = _Pieces(size, part_down, lowest_tell)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            query = unquote_plus(body.removeprefix("query=").partition("&")[0])
            found = pieces.answer(query).replace(b"[@", f"[{time.time():.3f}".encode())
            answer = b'{"status":"success","data":{"resultType":"vector","result":[' + found + b"]}}"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tell.send((f"http://127.0.0.1:{server.server_port}", pieces.users))
    server.serve_forever()
