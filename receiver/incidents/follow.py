"""The life of an incident: open while an alert fires, recovering while a recovery has yet to hold, then closed."""

from datetime import datetime, timedelta

import msgspec

from receiver.incidents.fold import ended_at
from receiver.model import Alert, Incident


def follow(incident: Incident, restored_at: datetime | None, hold: timedelta, now: datetime) -> Incident:
    """The incident at `now`; `restored_at` is None while it lasts. A flap within `hold` is the same failure, and the gap counts."""
    if restored_at is None:
        return msgspec.structs.replace(incident, state="open", restored_at=None)
    if now < restored_at + hold:
        return msgspec.structs.replace(incident, state="recovering", restored_at=restored_at)
    return msgspec.structs.replace(incident, state="closed", restored_at=restored_at, closed_at=now)


def recovered_at(alerts: list[Alert], without_data: frozenset[str]) -> datetime | None:
    """The last recovery, or None while one of the alerts fires.

    `without_data` are the rules of which Grafana says that they have no data: their "resolved" is no recovery, as ignorance never
    closes.
    """
    by_alert: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        by_alert.setdefault((alert.source, alert.fingerprint), []).append(alert)
    ends = []
    for alert in alerts:
        end = ended_at(alert, by_alert[alert.source, alert.fingerprint])
        if end is None or (alert.source == "grafana" and alert.name in without_data):
            return None
        ends.append(end)
    return max(ends, default=None)
