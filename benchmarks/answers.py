"""A Prometheus that fires so many alerts as it is told: what it says of ALERTS_FOR_STATE, and of ALERTS over four minutes."""

from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks.stand_in import Handler, StandIn
from receiver.observation.prometheus import Prometheus, QueryFailed

LABELS = (
    '"alertname":"Art58EquipmentDown","equipment":"unit-%07d","instance":"unit-%07d:9100","job":"network","region":"kanto",'
    '"service":"voice","severity":"critical"'
)
EVERY, SAMPLES = 15, 16
"""The rules are evaluated so often (seconds), so four minutes have so many samples."""
_HEAD, _TAIL = b'{"status":"success","data":{"resultType":"%s","result":[', b"]}}"


class Answers(StandIn):
    """`series` alerts fire, with seven labels each."""

    def __init__(self) -> None:
        self.series = 1
        self._at = datetime.now(UTC).timestamp()
        answers = self

        class OwnHandler(Handler):
            def answer(self, body: bytes) -> bytes:
                return answers._answer("ALERTS_FOR_STATE" if b"ALERTS_FOR_STATE" in body else "ALERTS")

        super().__init__(OwnHandler)

    def questions(self, prometheus: Prometheus) -> dict[str, Callable[[], int | None]]:
        """How many series came, by what is asked for; None: the answer was refused."""
        window = EVERY * SAMPLES

        def held() -> int | None:
            return _counted(lambda: len(prometheus.instant("ALERTS_FOR_STATE")))

        def fired() -> int | None:
            return _counted(lambda: len(prometheus.raw(f"ALERTS[{window}s]", datetime.now(UTC))))

        return {"alerts_for_state": held, "alerts_range": fired}

    def bytes_each(self, name: str) -> float:
        """Bytes of an answer by series."""
        of_series = "ALERTS_FOR_STATE" if name == "alerts_for_state" else "ALERTS"
        return len(self._entry(of_series, 1)) + 1.0

    def _answer(self, name: str) -> bytes:
        kind = b"vector" if name == "ALERTS_FOR_STATE" else b"matrix"
        entries = ",".join(self._entry(name, n) for n in range(self.series))
        return _HEAD % kind + entries.encode() + _TAIL

    def _entry(self, name: str, n: int) -> str:
        labels = LABELS % (n, n)
        if name == "ALERTS_FOR_STATE":
            return f'{{"metric":{{"__name__":"{name}",{labels}}},"value":[{self._at:.3f},"{self._at - 60:.0f}"]}}'
        points = ",".join(f'[{self._at - EVERY * back:.3f},"1"]' for back in range(SAMPLES - 1, -1, -1))
        return f'{{"metric":{{"__name__":"{name}","alertstate":"firing",{labels}}},"values":[{points}]}}'


def _counted(ask: Callable[[], int]) -> int | None:
    try:
        return ask()
    except QueryFailed:
        return None
