"""Since when: the equipment's own series back to its last good sample, then ALERTS_FOR_STATE, then the alerts' startsAt.

The last two are reset when Prometheus restarts, so the series comes first; the earliest of the three is the start.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from receiver.catalogue.inputs import EQUIPMENT_UP
from receiver.model import Alert, StartBasis
from receiver.observation.prometheus import Prometheus, QueryFailed, Sample, Series, any_of, is_selector, narrowed

LOOK_BACK = ((timedelta(minutes=10), 10_000), (timedelta(hours=2), 500), (timedelta(hours=26), 100), (timedelta(days=8), 12))
"""How far back the series is read: a longer stretch only if the shorter one holds no good sample. All from raw samples. Alerts
mostly come within minutes of the failure: a storm of them then costs one query.

With it, of how much equipment a query asks: scraped every 15 s, a sample is 22 bytes of the answer, which so stays below 16 MiB.
"""

MOST_QUERIES = 30
"""For one expression at one tick; what is left is asked at the next. Thousands that failed days ago shall not hold up a tick."""

MOST_NAMES, MOST_ALERTS = 10_000, 50_000
"""Of how much equipment, and with how many alerts on it, ALERTS_FOR_STATE is asked at once: with 500 bytes each, 24 MiB. The alerts
of the whole network under the same names may be more than one answer may hold.
"""

LONGEST_FOR = timedelta(days=365)
"""No alert has been active for longer."""

_STEP = "15s"

log = structlog.get_logger()


Whole = Callable[[Iterable[str]], Mapping[str, Iterable[Alert]]]
"""From the incidents to their alerts with all their labels."""


class Asked(msgspec.Struct, frozen=True):
    """An incident whose start is looked for: what failed (None: not named), under which label and series, and its alerts.

    Of their labels only alertname and that one are looked at: in a storm most need no more (`Whole`). `numbers`: for how many
    alerts one stands, by startsAt, source and fingerprint, if for more than itself.
    """

    incident_id: str
    equipment: str | None
    equipment_label: str
    expression: str | None
    alerts: tuple[Alert, ...]
    numbers: Mapping[tuple[datetime, str, str], int] = {}

    @property
    def known_by(self) -> datetime:
        """When the failure was there at the latest."""
        return min(alert.starts_at for alert in self.alerts)


class Start(msgspec.Struct, frozen=True):
    """The start of a failure, what says so, and the last moment the equipment was seen working."""

    at: datetime
    basis: StartBasis
    good_at: datetime | None = None


def find(prometheus: Prometheus, asked: Iterable[Asked], now: datetime, whole: Whole) -> dict[str, Start]:
    """The start of each incident's failure. Those whose questions failed are left out: of them nothing is known but their alerts.

    One wrong expression in the catalogue must not hold up the others.
    """
    found: dict[str, Start] = {}
    groups: dict[tuple[str, str | None], list[Asked]] = defaultdict(list)
    for one in asked:
        groups[one.equipment_label, one.expression].append(one)
    for (label, expression), group in groups.items():
        looked = _from_series(prometheus, label, expression, [one for one in group if one.equipment is not None], now)
        known = {one.incident_id: one.known_by for one in group}
        known |= {id_: min(start.at, known[id_]) for id_, start in looked.starts.items()}
        try:
            active = _active_since(prometheus, group, known, whole)
        except QueryFailed as error:
            looked.problem, looked.left = str(error), {one.incident_id for one in group}
        if looked.problem:
            log.warning("the start of failures could not be looked up", expression=expression or EQUIPMENT_UP, error=looked.problem)
        for one in (one for one in group if one.incident_id not in looked.left):
            candidates = [Start(one.known_by, "starts_at")]
            candidates += [Start(moment, "alerts_for_state") for moment in active[one.incident_id]]
            candidates += [looked.starts[one.incident_id]] if one.incident_id in looked.starts else []
            found[one.incident_id] = _earliest(candidates)
    return found


def _earliest(candidates: list[Start]) -> Start:
    """The best evidence comes last, and wins a tie. ALERTS_FOR_STATE holds whole seconds: what is within its second is as early."""
    first = min(reversed(candidates), key=lambda start: start.at)
    if first.basis != "alerts_for_state":
        return first
    as_early = [start for start in candidates if start.basis != first.basis and start.at - first.at < timedelta(seconds=1)]
    return min(reversed(as_early), key=lambda start: start.at, default=first)


class _Looked(msgspec.Struct):
    """Starts by incident as the series tells them, and the incidents for which it was not asked, or not far enough back."""

    starts: dict[str, Start] = {}
    left: set[str] = set()
    queries: int = 0
    problem: str | None = None


def _from_series(prometheus: Prometheus, label: str, expression: str | None, group: list[Asked], now: datetime) -> _Looked:
    looked = _Looked()

    def look(asked: list[Asked], level: int) -> None:
        back, most = LOOK_BACK[level]
        for batch in (asked[at : at + most] for at in range(0, len(asked), most)):
            if looked.queries == MOST_QUERIES:
                looked.left |= {one.incident_id for one in batch}
                continue
            looked.queries += 1
            until = min(max(one.known_by for one in batch), now)
            try:
                series = prometheus.raw(_range(expression, label, {one.equipment or "" for one in batch}, back), until)
            except QueryFailed as error:
                looked.problem = str(error)
                looked.left |= {one.incident_id for one in batch}
                continue
            starts = _starts(batch, label, series)
            looked.starts |= starts
            if level + 1 < len(LOOK_BACK):
                # silent for ten minutes: it may have told of the failure before
                silent = {one.equipment for one in batch} - {s.labels.get(label) for s in series} if level == 0 else set()
                look(
                    [
                        one
                        for one in batch
                        if one.equipment in silent or _is_further_back(one, starts.get(one.incident_id), until - back)
                    ],
                    level + 1,
                )

    # what has just failed comes first: its users are still to be counted
    look(sorted(group, key=lambda one: one.known_by, reverse=True), 0)
    return looked


def _starts(batch: list[Asked], label: str, series: list[Series]) -> dict[str, Start]:
    by_equipment: dict[str | None, list[Series]] = defaultdict(list)
    for s in series:
        by_equipment[s.labels.get(label)].append(s)
    return {one.incident_id: start for one in batch if (start := _first_bad(one, by_equipment[one.equipment]))}


def _is_further_back(one: Asked, start: Start | None, seen_since: datetime) -> bool:
    """No good sample was seen, or nothing at all of the time when it was known to have failed."""
    return one.known_by <= seen_since if start is None else start.good_at is None


def _range(expression: str | None, label: str, equipment: set[str], back: timedelta) -> str:
    series, window = expression or EQUIPMENT_UP, f"{int(back.total_seconds())}s"
    return f"{narrowed(series, label, equipment)}[{window if is_selector(series) else f'{window}:{_STEP}'}]"


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


def _active_since(
    prometheus: Prometheus, group: list[Asked], known: Mapping[str, datetime], whole: Whole
) -> dict[str, list[datetime]]:
    """Since when alerts of each incident have been active, as far as that is before what is `known` of it."""
    found: dict[str, list[datetime]] = defaultdict(list)
    earlier, may_be_of = _active_before(prometheus, group, known)
    if not earlier:
        return found
    holders: dict[tuple[str, str], list[tuple[str, Alert]]] = defaultdict(list)
    for id_, alerts in whole(may_be_of).items():
        for alert in alerts:
            for label in alert.labels.items():
                holders[label].append((id_, alert))
    for sample in earlier:
        labels = {name: value for name, value in sample.labels.items() if name != "__name__"}
        # by the rarest label: in a storm thousands of alerts share the others
        holding = min((holders.get(label, []) for label in labels.items()), key=len, default=[])
        # alerts carry external labels besides those of the series
        for id_ in {id_ for id_, alert in holding if labels.items() <= alert.labels.items()}:
            found[id_].append(_moment(sample.value))
    return found


def _active_before(prometheus: Prometheus, group: list[Asked], known: Mapping[str, datetime]) -> tuple[list[Sample], set[str]]:
    """The samples of ALERTS_FOR_STATE that tell of an earlier start, and the incidents that may have these alerts."""
    names = {alert.name for one in group for alert in one.alerts if alert.source == "alertmanager" and alert.name}
    if not names:
        return [], set()
    named_by = group[0].equipment_label
    # an alert has all labels of its series: that of one on other equipment would fit none of these
    on = Counter[str]()
    for one in group:
        for alert in one.alerts:
            on[alert.labels.get(named_by, "")] += one.numbers.get((alert.starts_at, alert.source, alert.fingerprint), 1)
    on |= {"": 1}
    of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in group:
        for name, equipment in {(alert.name, alert.labels.get(named_by, "")) for alert in one.alerts}:
            of[name, equipment].add(one.incident_id)
            of[name, ""].add(one.incident_id)
    queries = (f"ALERTS_FOR_STATE{{alertname=~{any_of(names)},{named_by}=~{any_of(its)}}}" for its in _portions(on))
    earlier: list[Sample] = []
    latest = {its: max(known[id_] for id_ in ids) for its, ids in of.items()}
    first: dict[tuple[str, str], datetime] = {}
    for sample in (sample for query in queries for sample in prometheus.instant(query)):
        # its value is the time: one that is far off is none
        if not sample.at - LONGEST_FOR.total_seconds() <= sample.value <= sample.at:
            continue
        its, at = (sample.labels.get("alertname", ""), sample.labels.get(named_by, "")), _moment(sample.value)
        if its in latest and at < latest[its]:
            earlier.append(sample)
            first[its] = min(at, first.get(its, at))
    may_be_of = {id_ for its, at in first.items() for id_ in of[its] if at < known[id_]}
    return earlier, may_be_of


def _portions(on: Mapping[str, int]) -> Iterator[list[str]]:
    """The equipment (alerts by name), so much at once as may be asked for."""
    names: list[str] = []
    alerts = 0
    for name, number in sorted(on.items()):
        if names and (len(names) == MOST_NAMES or alerts + number > MOST_ALERTS):
            yield names
            names, alerts = [], 0
        names.append(name)
        alerts += number
    yield names


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
