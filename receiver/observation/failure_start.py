"""Since when: the equipment's own series back to its last good sample, then ALERTS_FOR_STATE, then the alerts' startsAt.

The last two are reset when Prometheus restarts, so the series comes first; the earliest of the three is the start.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from receiver.catalogue import EQUIPMENT_UP
from receiver.model import Alert, StartBasis
from receiver.observation.prometheus import Prometheus, QueryFailed, Series, any_of

LOOK_BACK = (timedelta(hours=2), timedelta(hours=26), timedelta(days=8))
"""How far back the series is read: a longer stretch only if the shorter one holds no good sample. All from raw samples."""

LONGEST_FOR = timedelta(days=365)
"""No alert has been active for longer."""

_STEP = "15s"

log = structlog.get_logger()


class Asked(msgspec.Struct, frozen=True):
    """An incident whose start is looked for: what failed (None: not named), under which label and series, and its alerts."""

    incident_id: str
    equipment: str | None
    equipment_label: str
    expression: str | None
    alerts: tuple[Alert, ...]

    @property
    def known_by(self) -> datetime:
        """When the failure was there at the latest."""
        return min(alert.starts_at for alert in self.alerts)


class Start(msgspec.Struct, frozen=True):
    """The start of a failure, what says so, and the last moment the equipment was seen working."""

    at: datetime
    basis: StartBasis
    good_at: datetime | None = None


def find(prometheus: Prometheus, asked: Iterable[Asked], now: datetime) -> dict[str, Start]:
    """The start of each incident's failure. Those whose questions failed are left out: of them nothing is known but their alerts.

    One wrong expression in the catalogue must not hold up the others.
    """
    found: dict[str, Start] = {}
    groups: dict[tuple[str, str | None], list[Asked]] = defaultdict(list)
    for one in asked:
        groups[one.equipment_label, one.expression].append(one)
    for (label, expression), group in groups.items():
        try:
            starts = _from_series(prometheus, label, expression, [one for one in group if one.equipment is not None], now)
            active = _active_since(prometheus, group)
        except QueryFailed as error:
            log.warning("the start of failures could not be looked up", expression=expression or EQUIPMENT_UP, error=str(error))
            continue
        for one in group:
            candidates = [Start(one.known_by, "starts_at")]
            candidates += [Start(moment, "alerts_for_state") for moment in active[one.incident_id]]
            candidates += [starts[one.incident_id]] if one.incident_id in starts else []
            # the best evidence wins a tie
            found[one.incident_id] = min(reversed(candidates), key=lambda start: start.at)
    return found


def _from_series(prometheus: Prometheus, label: str, expression: str | None, group: list[Asked], now: datetime) -> dict[str, Start]:
    found: dict[str, Start] = {}
    for back in LOOK_BACK:
        if not group:
            break
        query = _range(expression, label, {one.equipment or "" for one in group}, back)
        series = prometheus.raw(query, min(max(one.known_by for one in group), now))
        by_equipment: dict[str | None, list[Series]] = defaultdict(list)
        for s in series:
            by_equipment[s.labels.get(label)].append(s)
        starts = {one.incident_id: start for one in group if (start := _first_bad(one, by_equipment[one.equipment]))}
        found |= starts
        group = [one for one in group if one.incident_id in starts and starts[one.incident_id].good_at is None]
    return found


def _range(expression: str | None, label: str, equipment: set[str], back: timedelta) -> str:
    window = f"{int(back.total_seconds())}s"
    if not expression:
        return f"{EQUIPMENT_UP}{{{label}=~{any_of(equipment)}}}[{window}]"
    if re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^{}]*\})?", expression.strip()):
        return f"{expression.strip()}[{window}]"
    # on a line of its own, as it may end in a comment
    return f"({expression}\n)[{window}:{_STEP}]"


def _first_bad(one: Asked, series: list[Series]) -> Start | None:
    """The first bad sample after the last good one, as seen when the alert began; None if the series shows no failure then.

    Of several series of one equipment each tells its own story: it failed when the first of them that is bad then did.
    """
    starts = [start for s in series if (start := _first_bad_of(one.known_by.timestamp(), s.points))]
    return min(starts, key=lambda start: start.at, default=None)


def _first_bad_of(known_by: float, points: list[tuple[float, float]]) -> Start | None:
    seen = [(at, value) for at, value in points if at <= known_by and math.isfinite(value)]
    if not seen or seen[-1][1] > 0:
        return None
    good = [at for at, value in seen if value > 0]
    bad = [at for at, _ in seen if not good or at > good[-1]]
    return Start(_moment(bad[0]), "equipment_series", _moment(good[-1]) if good else None)


def _active_since(prometheus: Prometheus, group: list[Asked]) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = defaultdict(list)
    names = {alert.name for one in group for alert in one.alerts if alert.source == "alertmanager" and alert.name}
    if not names:
        return found
    holders: dict[tuple[str, str], list[tuple[str, Alert]]] = defaultdict(list)
    for one in group:
        for alert in one.alerts:
            for label in alert.labels.items():
                holders[label].append((one.incident_id, alert))
    for sample in prometheus.instant(f"ALERTS_FOR_STATE{{alertname=~{any_of(names)}}}"):
        # its value is the time: one that is far off is none
        if not sample.at - LONGEST_FOR.total_seconds() <= sample.value <= sample.at:
            continue
        labels = {name: value for name, value in sample.labels.items() if name != "__name__"}
        # by the rarest label: in a storm thousands of alerts share the others
        holding = min((holders.get(label, []) for label in labels.items()), key=len, default=[])
        # alerts carry external labels besides those of the series
        for id_ in {id_ for id_, alert in holding if labels.items() <= alert.labels.items()}:
            found[id_].append(_moment(sample.value))
    return found


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
