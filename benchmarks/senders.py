"""Several senders of webhook bodies at once, as Alertmanager sends: over connections that stay open, again after a failure."""

import http.client
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from benchmarks.tree import TOKEN

RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5)
"""Waits after failures, the last again and again: shorter than Alertmanager's, as a run is shorter than an outage."""
_HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", "User-Agent": "Alertmanager/0.28.0"}


class Sent(msgspec.Struct):
    """What came of it: seconds of each request that was answered 200, and how many were answered otherwise or not at all."""

    seconds: list[float]
    refused: int = 0
    broken: int = 0


class Sender:
    """One connection to the receiver at `url`."""

    def __init__(self, url: str, sent: Sent) -> None:
        self._address = urlsplit(url).netloc
        self._sent = sent
        self._connection = self._new()

    def post(self, body: bytes, until: Callable[[], bool] = lambda: False) -> bool:
        """Post it again and again until it is answered 200, or `until` holds; whether it was."""
        for attempt in _attempts():
            begin = time.perf_counter()
            try:
                self._connection.request("POST", "/webhook/alertmanager", body, _HEADERS)
                answer = self._connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self._sent.broken += 1
                self._connection.close()
                self._connection = self._new()
            else:
                if answer.status == 200:
                    self._sent.seconds.append(time.perf_counter() - begin)
                    return True
                self._sent.refused += 1
            if until():
                return False
            time.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
        return False

    def close(self) -> None:
        self._connection.close()

    def _new(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, timeout=10)


def send_all(url: str, bodies: Sequence[bytes], senders: int) -> Sent:
    """Post each of `bodies` once, by so many senders."""
    sent, left = Sent([]), iter(bodies)
    turn = threading.Lock()

    def work() -> None:
        sender = Sender(url, sent)
        while True:
            with turn:
                body = next(left, None)
            if body is None:
                break
            sender.post(body)
        sender.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """One alert of a body."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    fingerprint: str
    generator_url: str = msgspec.field(
        default="http://prometheus.example/graph?g0.expr=art58%3Aequipment_up+%3D%3D+0&g0.tab=1", name="generatorURL"
    )


def alert(unit: str, service: str, part: int, begun: float, ended: float | None = None) -> Alert:
    """Alert number `part` of those on a piece of equipment; times are Unix seconds."""
    labels = {"alertname": "Art58EquipmentDown", "severity": "critical", "service": service, "region": "kanto", "job": "network"}
    return Alert(
        "resolved" if ended else "firing",
        labels | {"equipment": unit, "instance": f"{unit}-sector{part}:9100"},
        {
            "summary": "Equipment with users of mobile voice under it is down",
            "summary_ja": "携帯電話（音声）の利用者を収容する設備が停止",
            "runbook_url": "https://runbooks.example/art58-equipment-down",
        },
        _written(begun),
        _written(ended) if ended else "0001-01-01T00:00:00Z",
        f"{unit}n{part}",
    )


def body_of(group: str, alerts: Iterable[Alert]) -> bytes:
    """A body as Alertmanager sends it for a group."""
    its = list(alerts)
    status = "firing" if any(one.status == "firing" for one in its) else "resolved"
    common = dict(set.intersection(*(set(one.labels.items()) for one in its)))
    return msgspec.json.encode(
        {
            "version": "4",
            "groupKey": f'{{}}:{{equipment="{group}"}}',
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "art58",
            "groupLabels": {"equipment": group},
            "commonLabels": common,
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example",
            "alerts": its,
        }
    )


def _attempts() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _written(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03}Z"
