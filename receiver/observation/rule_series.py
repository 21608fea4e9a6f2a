"""What fired when, as the rules' own series (ALERTS) tell: also of alerts that Alertmanager never sent, or has forgotten.

A series whose samples stop tells nothing by that: Prometheus itself may have stood still. That an alert was over is known where
Prometheus marked the end of its series, which it does at the first evaluation without it.
"""

import re
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from statistics import median
from typing import Any

import msgspec
import yaml

from receiver.catalogue import Catalogue
from receiver.model import Alert
from receiver.observation.prometheus import NotOffered, Prometheus, QueryFailed, any_of, escaped, quoted

Labels = tuple[tuple[str, str], ...]
"""Of a series, in the order of their names, without __name__ and alertstate. They lack Prometheus' external labels."""

FURTHEST = timedelta(days=30)
"""No gap is looked into further back."""
MOST_SAMPLES = 400_000
"""So many are asked for at once: about 9 MiB."""
MOST_TOGETHER = 1_000_000
MOST_SECONDS = 4
"""After so long nothing more is begun: what is left is read the next time."""
USUAL_INTERVAL = 60.0
"""Prometheus' own default: where no alert fired twice in a row, nothing tells how often its rule is evaluated."""
SLOT = timedelta(minutes=5)
LOOK_BACK = ((timedelta(minutes=15), 2000), (timedelta(hours=6), 100), (timedelta(days=8), 10))
"""How far back the end of an alert is looked for that nobody told of, and for how many at once."""
LONGEST_FOR = timedelta(days=365)

_WRITING = frozenset({"replace", "hashmod", "labelmap", "lowercase", "uppercase"})
"""The actions of relabelling that set a label; all others keep or drop."""
_STALE_AFTER = 240.0
"""Seconds, less than the five minutes after which Prometheus shows no series any more, marked or not."""
_GRID = 15.0
"""Seconds."""
_ENOUGH = 1000
_MS = timedelta(milliseconds=1)


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """One time during which an alert fired: its first and last sample that are known.

    `ended_at` is the first evaluation at which it fired no more; None while it fires. It is `proven` where Prometheus marked it:
    else the samples stop, and nobody knows since when it was over. `cut`: it fired already where the reading began.
    """

    labels: Labels
    first: datetime
    last: datetime
    ended_at: datetime | None = None
    proven: bool = True
    cut: bool = False

    @property
    def name(self) -> str:
        return _rule_of(self.labels)


class Reading(msgspec.Struct, frozen=True):
    """The stretches by labels, earliest first, and up to when all was read."""

    stretches: dict[Labels, list[Stretch]]
    up_to: datetime


class Rule(msgspec.Struct, frozen=True):
    """An alerting rule: when it was last evaluated, and whether it could be."""

    evaluated_at: datetime | None
    is_well: bool


def read(prometheus: Prometheus, matchers: str, since: datetime, until: datetime) -> Reading:
    """What fired between, of the alerts with these `matchers` (PromQL, "" for all). Raises QueryFailed.

    Of much it reads the earlier part; `up_to` says how far it came.
    """
    selector = f'ALERTS{{alertstate="firing"{"," if matchers else ""}{matchers}}}'
    since, up_to, begun = max(since, until - FURTHEST), until, time.monotonic()
    seen: dict[Labels, set[float]] = defaultdict(set)
    samples = 0
    for begins, ends in _windows(prometheus, selector, since, until):
        if samples and (time.monotonic() - begun > MOST_SECONDS or samples > MOST_TOGETHER):
            up_to = begins
            break
        for series in prometheus.raw(f"{selector}[{(ends - begins) // _MS}ms]", ends):
            seen[labels_of(series.labels)].update(at for at, _ in series.points)
            samples += len(series.points)
    intervals = _intervals(seen)
    gaps = {labels: _gaps(moments, intervals[_rule_of(labels)], up_to) for labels, moments in seen.items()}
    shown = _shown(prometheus, selector, len(seen), {gap.probe for its in gaps.values() for gap in its if gap.probe})
    stretches = {
        labels: _stretches(labels, moments, gaps[labels], shown, since + timedelta(seconds=_slack(intervals[_rule_of(labels)])))
        for labels, moments in seen.items()
    }
    return Reading(stretches, up_to)


def last_stretches(
    prometheus: Prometheus,
    alerts: Mapping[str, dict[str, str]],
    label: str | None,
    now: datetime,
    of: Callable[[Labels], Collection[str]],
) -> dict[str, Stretch]:
    """The last time each of these alerts (labels by fingerprint) fired, looked for further and further back. Raises QueryFailed.

    `label` names the equipment of all of them, `of` tells which alerts a series is of. Of very many only the first are looked for.
    """
    found: dict[str, Stretch] = {}
    left = dict(alerts)
    for back, most in LOOK_BACK:
        its = dict(islice(left.items(), most))
        if not its:
            break
        matchers = f"alertname=~{any_of({labels.get('alertname', '') for labels in its.values()})}"
        if label:
            matchers += f",{label}=~{any_of({labels.get(label, '') for labels in its.values()})}"
        for labels, stretches in read(prometheus, matchers, now - back, now).stretches.items():
            found |= dict.fromkeys(its.keys() & of(labels), stretches[-1])
        left = {fingerprint: labels for fingerprint, labels in its.items() if fingerprint not in found}
    return found


def held_since(prometheus: Prometheus, names: Iterable[str], at: datetime) -> dict[Labels, datetime]:
    """Since when the condition of each alert with one of these names held that is pending or firing at `at`. Raises QueryFailed."""
    found = {}
    for series in prometheus.over(f"ALERTS_FOR_STATE{{alertname=~{any_of(names)}}}", at, at, timedelta(seconds=1)):
        value = series.points[-1][1]
        # its value is the time: one that is far off is none
        if (at - LONGEST_FOR).timestamp() <= value <= at.timestamp():
            found[labels_of(series.labels)] = _moment(value)
    return found


def rules(prometheus: Prometheus) -> dict[str, Rule] | None:
    """The alerting rules by name; None if what answers knows of none, as a store behind the same API does. Raises QueryFailed."""
    try:
        document = prometheus.document("rules?type=alert&exclude_alerts=true")
        groups = msgspec.json.decode(document, type=_Groups).groups
    except (NotOffered, msgspec.DecodeError, UnicodeDecodeError):
        return None
    found: dict[str, Rule] = {}
    for rule in (rule for group in groups for rule in group.rules):
        known = found.get(rule.name)
        evaluated_at = rule.last_evaluation if rule.last_evaluation and rule.last_evaluation.year > 1 else None
        if known and known.evaluated_at and evaluated_at:
            evaluated_at = min(known.evaluated_at, evaluated_at)
        found[rule.name] = Rule(evaluated_at, rule.health != "err" and (known is None or known.is_well))
    # VictoriaMetrics says so whatever rules there are: only of a real Prometheus is it true
    return found if found or external_labels(prometheus) is not None else None


def deleted_rules(prometheus: Prometheus, alerts: Iterable[Alert]) -> set[str]:
    """The names of those alerts whose rule Prometheus had when they fired and does not have now: their end is none.

    Empty where that cannot be told. Never raises.
    """
    its = [alert for alert in alerts if alert.source == "alertmanager" and alert.name]
    if not its:
        return set()
    try:
        there = rules(prometheus)
        if there is None:
            return set()
        missing = {alert.name for alert in its} - there.keys()
        return remembered(prometheus, missing) if missing else set()
    except QueryFailed:
        return set()


def remembered(prometheus: Prometheus, names: Iterable[str]) -> set[str]:
    """Those of these names of rules that ALERTS knows of. Raises QueryFailed."""
    query = f"group by (alertname) (last_over_time(ALERTS{{alertname=~{any_of(names)}}}[{FURTHEST // _MS}ms]))"
    return {sample.labels.get("alertname", "") for sample in prometheus.instant(query)}


class External(msgspec.Struct, frozen=True):
    """What Prometheus adds to the labels of the alerts it sends, without those that it drops again.

    `rewritten`: the names of labels that its relabelling sets, to values that are not known here. Empty: no others are added.
    """

    labels: dict[str, str]
    rewritten: frozenset[str] = frozenset()


def external(prometheus: Prometheus) -> External | None:
    """None if Prometheus does not show its configuration. Raises QueryFailed."""
    try:
        text = msgspec.json.decode(prometheus.document("status/config"), type=_Configuration).yaml
        own = (_section(text, "global") or {}).get("external_labels") or {}
        alerting = _section(text, "alerting") or {}
        relabelling = alerting.get("alert_relabel_configs") or []
        dropped = [re.compile(f"(?:{one['regex']})") for one in relabelling if one.get("action") == "labeldrop"]
        of_one = [step for one in alerting.get("alertmanagers") or [] for step in one.get("alert_relabel_configs") or []]
        rewritten = frozenset(_written(one) for one in [*relabelling, *of_one] if one.get("action", "replace") in _WRITING)
    except (NotOffered, msgspec.DecodeError, UnicodeDecodeError, yaml.YAMLError, re.error, AttributeError, KeyError, TypeError):
        return None
    labels = {str(name): str(value) for name, value in own.items() if not any(one.fullmatch(str(name)) for one in dropped)}
    return External(labels, rewritten)


def external_labels(prometheus: Prometheus) -> dict[str, str] | None:
    """What Prometheus adds to the labels of alerts it sends; None if it does not show its configuration. Raises QueryFailed."""
    shown = external(prometheus)
    return shown.labels if shown else None


def matchers_of(catalogue: Catalogue, external: Mapping[str, str] | None) -> str:
    """PromQL matchers that every series of an alert about a service fits, and few others. `external`: None if they are not known.

    One question for all services: by a label that each of them asks for. Series lack it where it is an external one.
    """
    asked: list[dict[str, str]] = []
    for service in catalogue.services:
        patterns = {}
        for matcher in service.matchers:
            if matcher.op == "=~":
                patterns[matcher.name] = f"(?:{matcher.value})"
            elif matcher.op == "=":
                patterns[matcher.name] = escaped(matcher.value)
        asked.append(patterns)
    shared = [name for name in asked[0] if all(name in patterns for patterns in asked)] if asked else []
    written = []
    for name in shared:
        values = dict.fromkeys(patterns[name] for patterns in asked)
        if external is None or name in external:
            values[""] = ""
        written.append(f"{name}=~{quoted('|'.join(values))}")
    return ",".join(written)


def labels_of(metric: Mapping[str, str]) -> Labels:
    return tuple(sorted((name, value) for name, value in metric.items() if name not in ("__name__", "alertstate")))


class _Rule(msgspec.Struct, rename="camel"):
    name: str
    health: str = ""
    last_evaluation: datetime | None = None


class _Group(msgspec.Struct):
    rules: list[_Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Configuration(msgspec.Struct):
    yaml: str


class _Gap(msgspec.Struct, frozen=True, gc=False):
    """From a sample to the next one, longer than an evaluation takes (`following` None: to the end of what was read).

    `over_at`: when it was evaluated next. At `probe` (ms) the series is still shown if its end was not marked; None: never.
    """

    last: float
    over_at: float
    following: float | None
    probe: int | None


def _windows(prometheus: Prometheus, selector: str, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The parts in which something fired, each with no more samples than may be asked for at once."""
    if until - since <= 3 * SLOT:
        yield since, until
        return
    number = -((since - until) // SLOT)
    ends = [until - back * SLOT for back in range(number - 1, -1, -1)]
    counted = prometheus.over(f"sum(count_over_time({selector}[{SLOT // _MS}ms]))", ends[0], until, SLOT)
    samples = {round(at): count for series in counted for at, count in series.points}
    window: tuple[datetime, datetime] | None = None
    together = 0.0
    for end in ends:
        here = samples.get(round(end.timestamp()), 0)
        if window and (not here or together + here > MOST_SAMPLES):
            yield window
            window, together = None, 0
        if here:
            window, together = (window[0] if window else end - SLOT, end), together + here
    if window:
        yield window


def _intervals(seen: Mapping[Labels, set[float]]) -> dict[str, float]:
    """How often each rule is evaluated, in seconds. Some samples of some alerts tell it."""
    apart: dict[str, list[float]] = defaultdict(list)
    for labels, moments in seen.items():
        its = apart[_rule_of(labels)]
        if len(its) < _ENOUGH:
            its += (later - earlier for earlier, later in pairwise(sorted(moments)[:_ENOUGH]))
    every = [seconds for its in apart.values() for seconds in its]
    usual = median(every) if every else USUAL_INTERVAL
    return {name: median(its) if its else usual for name, its in apart.items()}


def _gaps(moments: set[float], interval: float, up_to: datetime) -> list[_Gap]:
    slack, end = _slack(interval), up_to.timestamp()
    found = []
    ordered = sorted(moments)
    for last, following in zip(ordered, [*ordered[1:], None], strict=True):
        until = end if following is None else following
        if until - last > slack:
            # a common grid, so that one question serves many
            probe = end - (end - last - slack) // _GRID * _GRID
            is_telling = probe < min(until + (following is None), last + _STALE_AFTER)
            found.append(_Gap(last, last + interval, following, round(probe * 1000) if is_telling else None))
    return found


def _slack(interval: float) -> float:
    """An evaluation may be late: so much is no gap."""
    return max(1.5 * interval, interval + 2)


def _shown(prometheus: Prometheus, selector: str, series: int, probes: set[int]) -> set[tuple[Labels, int]]:
    """Which series Prometheus shows at these moments (ms, on one grid)."""
    found: set[tuple[Labels, int]] = set()
    ordered = sorted(probes)
    at_once = max(1, min(MOST_SAMPLES // max(series, 1), 10_000)) * round(_GRID * 1000)
    while ordered:
        its = ordered[: bisect_left(ordered, ordered[0] + at_once)]
        ordered = ordered[len(its) :]
        for one in prometheus.over(selector, _moment(its[0] / 1000), _moment(its[-1] / 1000), timedelta(seconds=_GRID)):
            labels = labels_of(one.labels)
            found.update((labels, round(at * 1000)) for at, _ in one.points)
    return found


def _stretches(
    labels: Labels, moments: set[float], gaps: list[_Gap], shown: set[tuple[Labels, int]], since: datetime
) -> list[Stretch]:
    """What began before `since` is cut."""
    found = []
    first: float | None = min(moments)
    for gap in gaps:
        proven = gap.probe is not None and (labels, gap.probe) not in shown
        if first is None or (gap.following is not None and not proven):
            continue  # nobody looked: it may have fired on
        begins = _moment(first)
        found.append(Stretch(labels, begins, _moment(gap.last), _moment(gap.over_at), proven, cut=begins < since))
        first = gap.following
    if first is not None:
        found.append(Stretch(labels, _moment(first), _moment(max(moments)), cut=_moment(first) < since))
    return found


def _section(text: str, name: str) -> Any:
    """One section of Prometheus' configuration as it shows it itself: the whole may be very long."""
    found = re.search(rf"^{name}:\n(?:[ -].*\n?)*", text, re.MULTILINE)
    return yaml.safe_load(found[0])[name] if found else None


def _written(step: Mapping[str, Any]) -> str:
    """The label that this step of a relabelling sets."""
    return str(step.get("target_label") or step.get("replacement"))


def _rule_of(labels: Labels) -> str:
    return next((value for name, value in labels if name == "alertname"), "")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
