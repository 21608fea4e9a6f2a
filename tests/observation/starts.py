"""The starts of failures, asked for as the receiver does: all labels of an alert are read only where they are needed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from receiver.model import Alert
from receiver.observation import failure_start
from receiver.observation.failure_start import Asked


def find_starts(
    prometheus: Any, questions: Sequence[Asked], now: datetime, whole: list[str] | None = None
) -> dict[str, failure_start.Start]:
    """`whole`: to it are added those whose alerts were asked for with all labels."""

    def labelled(ids: Iterable[str]) -> dict[str, tuple[Alert, ...]]:
        its = {one.incident_id: one.alerts for one in questions}
        (whole if whole is not None else []).extend(ids)
        return {id_: its[id_] for id_ in ids}

    return failure_start.find(prometheus, (_lean(one) for one in questions), now, labelled)


def _lean(one: Asked) -> Asked:
    """As it is asked: of the labels no more than is looked at."""
    looked_at = ("alertname", one.equipment_label)
    kept = [{name: value for name, value in alert.labels.items() if name in looked_at} for alert in one.alerts]
    alerts = zip(one.alerts, kept, strict=True)
    return msgspec.structs.replace(one, alerts=tuple(msgspec.structs.replace(alert, labels=labels) for alert, labels in alerts))
