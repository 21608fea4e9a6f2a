"""A Prometheus that has its answers ready: every query gets the whole vector of its metric at once, whatever its braces ask for."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from benchmarks.stand_in import Handler, StandIn

_HEAD, _TAIL = b'{"status":"success","data":{"resultType":"vector","result":[', b"]}}"


class Vectors(StandIn):
    """Series of so much equipment, each under one of the services by turns, all down. `asked`: the bodies of the requests."""

    def __init__(self, size: int, services: Sequence[str]) -> None:
        self._size, self._services = size, services
        # nothing is above the equipment
        self._answers = {b"art58:equipment_parent": _HEAD + _TAIL}
        self.asked: list[bytes] = []
        vectors = self

        class OwnHandler(Handler):
            def answer(self, body: bytes) -> bytes:
                vectors.asked.append(body)
                return vectors._answer_to(body, over_time=self.path.endswith("query_range"))

        super().__init__(OwnHandler)

    def set(self, number: int, now: datetime) -> None:
        """The answers of this tick: of a tenth of the equipment the users have risen since the tick before."""
        at = now.timestamp()
        users = [500 * (1 + n % 100) + (number - n % 10) // 10 for n in range(self._size)]
        values: dict[str, list[float]] = {
            "art58:users_unable": [float(each) for each in users],
            "art58:users_under_equipment": [2.0 * each for each in users],
            "art58:equipment_up": [0.0] * self._size,
            "art58:call_loss_ratio": [0.9] * self._size,
            "art58:emergency_calls_affected": [1.0] * self._size,
        }
        for name, those in values.items():
            self._answers[name.encode()] = self._answer("vector", name, [{"value": [at, f"{value:g}"]} for value in those])
        down = [
            {"values": [[at - 60 * (n % 180) - back, up] for back, up in ((75, "1"), (60, "1"), (45, "0"))]}
            for n in range(self._size)
        ]
        self._answers[b"art58:equipment_up[]"] = self._answer("matrix", "art58:equipment_up", down)
        # the half hour before: of a tenth the users rose
        minutes = [(int(at) // 300 * 300 - 60 * back, back) for back in range(30, -1, -1)]
        grown = [
            {"values": [[moment, str(max(0, each - 100 * back * (n % 10 == 0)))] for moment, back in minutes]}
            for n, each in enumerate(users)
        ]
        self._answers[b"art58:users_unable/"] = self._answer("matrix", "art58:users_unable", grown)
        since = [{"value": [at, f"{at - 60 * (n % 180) - 40:.0f}"]} for n in range(self._size)]
        self._answers[b"ALERTS_FOR_STATE"] = self._answer("vector", "ALERTS_FOR_STATE", since)

    def _answer_to(self, body: bytes, *, over_time: bool) -> bytes:
        """The name is before the first brace, several are in the first quotation after it; a range ends in a bracket."""
        name, _, rest = unquote_to_bytes(body.removeprefix(b"query=")[:2000].replace(b"+", b" ")).partition(b"{")
        if name:
            return self._answers[name + b"[]" if b"%5D&" in body else name]
        names = rest.split(b'"')[1].split(b"|")
        head, mark = (_HEAD.replace(b"vector", b"matrix"), b"/") if over_time else (_HEAD, b"")
        found = (self._answers.get(each + mark, b"")[len(head) : -len(_TAIL)] for each in names)
        return head + b",".join(filter(None, found)) + _TAIL

    def _answer(self, kind: str, name: str, entries: list[dict[str, Any]]) -> bytes:
        found = []
        for n, entry in enumerate(entries):
            metric = {"__name__": name, "service": self._services[n % len(self._services)], "equipment": f"unit-{n}"}
            metric |= {"instance": f"unit-{n}:9100", "job": "network"}
            if name == "ALERTS_FOR_STATE":
                metric["alertname"] = "Art58EquipmentDown"
            elif name.startswith("art58:users"):
                metric["unit"] = "line"
            found.append({"metric": metric, **entry})
        entries_text = json.dumps(found, separators=(",", ":")).encode()[1:-1]
        return (_HEAD if kind == "vector" else _HEAD.replace(b"vector", b"matrix")) + entries_text + _TAIL
