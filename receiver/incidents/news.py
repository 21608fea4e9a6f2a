"""What is news of alerts, whoever told it, in the form in which Alertmanager would have sent it: everything after it is as ever."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog

from receiver import payloads
from receiver.model import Alert, Learnt

MOST_ALERTS = 500
"""In one body."""

log = structlog.get_logger()


class News:
    """Each alert once, by fingerprint and start."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, datetime], tuple[Learnt, dict[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def say(self, learnt: Learnt, alert: Alert, ends_at: datetime | None, inhibited_by: Iterable[str] = ()) -> None:
        """Of a sighting that is known."""
        text = alert.annotations, alert.generator_url
        self.add(learnt, alert.fingerprint, alert.labels, alert.starts_at, ends_at, *text, inhibited_by)

    def add(
        self,
        learnt: Learnt,
        its: str,
        labels: dict[str, str],
        starts_at: datetime,
        ends_at: datetime | None,
        annotations: Mapping[str, str] | None = None,
        generator_url: str = "",
        inhibited_by: Iterable[str] = (),
    ) -> None:
        event = {
            "status": "firing" if ends_at is None else "resolved",
            "labels": labels,
            "annotations": annotations or {},
            "startsAt": starts_at,
            "endsAt": ends_at,
            "generatorURL": generator_url,
            "fingerprint": its,
            "inhibitedBy": list(inhibited_by),
        }
        self._all[its, starts_at] = learnt, event

    def counted(self) -> Counter[Learnt]:
        return Counter(learnt for learnt, _ in self._all.values())

    def bodies(self) -> Iterator[tuple[Learnt, bytes]]:
        """In the form of Alertmanager's webhook, version 4. What no store can keep is left out."""
        for wanted in self.counted():
            events = [event for learnt, event in self._all.values() if learnt == wanted]
            for start in range(0, len(events), MOST_ALERTS):
                part = events[start : start + MOST_ALERTS]
                if why := _unfit(part):
                    log.warning("an alert that was found cannot be kept", learnt=wanted, error=why)
                    part = [event for event in part if not _unfit([event])]
                if part:
                    yield wanted, _body(part)


def _unfit(events: Sequence[dict[str, Any]]) -> str | None:
    try:
        payloads.decode("alertmanager", _body(events))
    except payloads.Unacceptable as error:
        return str(error)
    return None


def _body(events: Sequence[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"version": "4", "receiver": "art58-receiver", "status": "firing", "alerts": events})
