"""A Prometheus that tells of a network whose equipment fails and recovers while a measurement runs: it filters by equipment as the
real one does, and has no rules of its own (of ALERTS it knows nothing).
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qs

import msgspec

from benchmarks.stand_in import Handler, StandIn

SCRAPE_SECONDS = 15
_NAMED = re.compile(r'equipment=~?"([^"]*)"')
_SERIES = re.compile(r'^(?:\{__name__=~"([^"]*)"|([\w:]+))')
_WINDOW = re.compile(r"\[(\d+)(ms|s)\]$")


class Unit(msgspec.Struct):
    """One piece of equipment: how many users cannot use its service while it is down. Times are Unix seconds; 0: never was."""

    name: str
    service: str
    users: int
    down_since: float = 0
    up_since: float = 0

    def is_down(self, at: float) -> bool:
        return bool(self.down_since) and self.down_since <= at and not self.down_since < self.up_since <= at


_NOW: dict[str, Callable[[Unit, bool], float]] = {
    "art58:users_unable": lambda unit, down: unit.users if down else 0,
    "art58:users_under_equipment": lambda unit, _: 2 * unit.users,
    "art58:equipment_up": lambda _, down: not down,
    "art58:call_loss_ratio": lambda _, down: 0.9 if down else 0,
    "art58:emergency_calls_affected": lambda _, down: down,
}


class Outages(StandIn):
    """`units` by name, changed by the measurement as it goes. `clock` is its own (Unix seconds)."""

    def __init__(self, units: Iterable[Unit] = (), clock: Callable[[], float] = time.time) -> None:
        self.units = {unit.name: unit for unit in units}
        self.asked = 0
        self._clock = clock
        outages = self

        class OwnHandler(Handler):
            def answer(self, body: bytes) -> bytes:
                form = parse_qs(body.decode())
                return outages._answer({name: values[0] for name, values in form.items()})

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(outages._clock() if timestamp is None else timestamp)

        super().__init__(OwnHandler)

    def _answer(self, form: dict[str, str]) -> bytes:
        self.asked += 1
        query = form["query"]
        window = _WINDOW.search(query)
        if "step" in form:
            start, end, step = (float(form[name]) for name in ("start", "end", "step"))
            steps = [start + n * step for n in range(int((end - start) / step) + 1)]
            return _matrix(self._over(query, steps))
        if window:
            until = float(form.get("time") or self._clock())
            return _matrix(self._raw(query, until, float(window[1]) / (1000 if window[2] == "ms" else 1)))
        return _whole("vector", self._vector(query, self._clock()))

    def _asked(self, query: str) -> tuple[list[str], list[Unit]]:
        """The series and the units that a query is about."""
        series, named = _SERIES.match(query), _NAMED.findall(query)
        names = (series[1] or series[2]).split("|") if series else []
        if not named:
            return names, list(self.units.values())
        units = dict.fromkeys(name for text in named for name in text.split("|"))
        return names, [self.units[name] for name in units if name in self.units]

    def _vector(self, query: str, now: float) -> Iterator[str]:
        names, units = self._asked(query)
        for name in names:
            for unit in units:
                down = unit.is_down(now)
                if name == "ALERTS_FOR_STATE" and down:
                    yield f'{{"metric":{_labels(name, unit)},"value":[{now:.3f},"{unit.down_since:.0f}"]}}'
                elif name in _NOW:
                    yield f'{{"metric":{_labels(name, unit)},"value":[{now:.3f},"{_NOW[name](unit, down):g}"]}}'

    def _raw(self, query: str, until: float, window: float) -> Iterator[str]:
        """Of the samples those around each change, and the last ones: no more is looked at."""
        names, units = self._asked(query)
        if names != ["art58:equipment_up"]:
            return
        for unit in units:
            around = [edge + n * SCRAPE_SECONDS for edge in (unit.down_since, unit.up_since) if edge for n in (-2, -1, 0, 1)]
            moments = sorted({at for at in (*around, until - SCRAPE_SECONDS, until) if until - window < at <= until})
            yield _series(names[0], unit, [(at, float(not unit.is_down(at))) for at in moments])

    def _over(self, query: str, steps: list[float]) -> Iterator[str]:
        names, units = self._asked(query)
        for name in names:
            for unit in units if name in _NOW else ():
                yield _series(name, unit, [(at, _NOW[name](unit, unit.is_down(at))) for at in steps])


def _series(name: str, unit: Unit, points: list[tuple[float, float]]) -> str:
    values = ",".join(f'[{at:.3f},"{value:g}"]' for at, value in points)
    return f'{{"metric":{_labels(name, unit)},"values":[{values}]}}'


def _labels(name: str, unit: Unit) -> str:
    more = ',"alertname":"Art58EquipmentDown"' if name == "ALERTS_FOR_STATE" else ',"unit":"line"' if "users" in name else ""
    return f'{{"__name__":"{name}","service":"{unit.service}","equipment":"{unit.name}"{more}}}'


def _matrix(found: Iterable[str]) -> bytes:
    return _whole("matrix", found)


def _whole(kind: str, found: Iterable[str]) -> bytes:
    return f'{{"status":"success","data":{{"resultType":"{kind}","result":[{",".join(found)}]}}}}'.encode()
