"""From what was measured to what a machine takes: where each growth meets its first limit. Only arithmetic, nothing is run here."""

from collections.abc import Mapping, Sequence
from itertools import product

import msgspec

from receiver.observation.asking import MOST_MIB
from receiver.settings import AuthenticationSettings, PrometheusSettings, Settings
from receiver.worker import POLL_SECONDS

EQUIPMENT = (10_000, 100_000, 1_000_000)
TARGETS = (1, 10, 100, 1_000)
STORM_SECONDS = 60
CHANGES = 4
REST_MIB = 110
"""All processes at rest, as `benchmarks.start` finds it."""
DEFAULTS = Settings(prometheus=PrometheusSettings(url="http://127.0.0.1:9"), authentication=AuthenticationSettings())


class Costs(msgspec.Struct, frozen=True):
    """Seconds of the processor, bytes and MiB for each."""

    request: float
    alert: float
    event: float
    incident: float
    tick: float
    living: float
    living_mib: float
    plan: float
    delivery: float
    poll: float
    body_bytes: float
    alert_bytes: float
    incident_bytes: float
    assessment_bytes: float
    range_bytes: float
    queries: float

    @classmethod
    def of(cls, found: Mapping[str, float], living: int) -> "Costs":
        """`living` is the largest number of incidents a tick was measured with."""
        alert = max(0.0, found["us_request_100"] - found["us_request_1"]) / 99
        slope = found["tick_ms_per_1000"] / 1000
        return cls(
            request=(found["us_request_1"] - alert) / 1e6,
            alert=alert / 1e6,
            event=found["us_event"] / 1e6,
            incident=found["us_incident"] / 1e6,
            tick=max(0.0, found[f"tick_ms_{living}"] - slope * living) / 1e3,
            living=slope / 1e3,
            living_mib=found["tick_mib_per_1000"] / 1000,
            plan=found["us_plan"] / 1e6,
            delivery=found["us_delivery"] / 1e6,
            poll=found["us_poll"] / 1e6,
            body_bytes=found["bytes_body_1"] * found["disk_per_body_byte"],
            alert_bytes=found["bytes_alert"],
            incident_bytes=found["bytes_incident"],
            assessment_bytes=found["bytes_assessment"],
            range_bytes=found["bytes_alerts_range"],
            queries=found["queries"],
        )


class Assumed(msgspec.Struct, frozen=True):
    """Nobody measured these: alerts for each failure, failures of a unit a day, GiB that the worker may have."""

    each: int
    daily: float
    memory_gib: float

    def text(self) -> str:
        return (
            f"all failing within {STORM_SECONDS} s, each an incident, {self.each} alerts a failure in one body, "
            f"{100 * self.daily:g} failures a day for 100 units, {CHANGES} assessments an incident, "
            f"{self.memory_gib:g} GiB for the worker"
        )


class Load(msgspec.Struct, frozen=True):
    """What so much equipment asks of each part, as a share of what there is (1: all of it)."""

    living: float
    alerts_s: float
    intake: float
    deriving: float
    tick: float
    memory: float
    answer: float
    disk_mib: float

    def first(self, receivers: int = 1) -> tuple[str, float]:
        """Which part is used up first, with so many receivers over one store, and its share."""
        parts = {
            "intake": self.intake / receivers,
            "deriving + tick": self.deriving + self.tick,
            "memory": self.memory,
            "answer of ALERTS": self.answer,
        }
        return max(parts.items(), key=lambda part: part[1])


def load(costs: Costs, assumed: Assumed, equipment: int, failing: float) -> Load:
    """With a part of the equipment `failing` at once, each unit an incident of its own: the worst that it can be."""
    living = equipment * failing
    alerts, failures = living * assumed.each, equipment * assumed.daily
    body = costs.body_bytes * assumed.each
    disk = 2 * body + assumed.each * costs.alert_bytes + costs.incident_bytes + CHANGES * costs.assessment_bytes
    return Load(
        living=living,
        alerts_s=alerts / STORM_SECONDS,
        intake=(living * costs.request + alerts * costs.alert) / STORM_SECONDS / DEFAULTS.web_workers,
        deriving=(alerts * costs.event + living * costs.incident) / STORM_SECONDS,
        tick=(costs.tick + living * costs.living) / DEFAULTS.tick_seconds,
        memory=(REST_MIB + living * costs.living_mib) / 1024 / assumed.memory_gib,
        answer=alerts * costs.range_bytes / 2**20 / MOST_MIB,
        disk_mib=failures * disk / 2**20,
    )


def rows(costs: Costs, assumed: Assumed, failing: Sequence[float]) -> tuple[list[str], list[list[str]]]:
    """The capacity table: its heads, and a line for each number of units."""
    heads = [
        "equipment",
        "failing",
        "living",
        "alerts/s",
        "intake",
        "deriving",
        "tick",
        "memory",
        "ALERTS",
        "disk MiB/day",
        "first, 3 replicas",
        "first",
    ]
    lines = []
    for equipment, part in product(EQUIPMENT, failing):
        its = load(costs, assumed, equipment, part)
        shares = [f"{100 * share:.0f} %" for share in (its.intake, its.deriving, its.tick, its.memory, its.answer)]
        three, one = its.first(3), its.first()
        ends = [f"{name} {100 * share:.0f} %" for name, share in (three, one)]
        lines.append(
            [
                f"{equipment:,}",
                f"{100 * part:g} %",
                f"{its.living:,.0f}",
                f"{its.alerts_s:,.0f}",
                *shares,
                f"{its.disk_mib:,.0f}",
                *ends,
            ]
        )
    return heads, lines


def partners(costs: Costs) -> tuple[list[str], list[list[str]]]:
    """What so many targets take of a core while nothing happens, and to tell all of them of one outage."""
    heads = ["targets", "core when idle", "CPU s to tell all of one outage"]
    lines = []
    for count in TARGETS:
        idle, told = count * costs.poll / POLL_SECONDS, count * (costs.plan + costs.delivery)
        lines.append([f"{count:,}", f"{100 * idle:.0f} %", f"{told:,.2f}"])
    return heads, lines


def limits(costs: Costs, assumed: Assumed) -> dict[str, float]:
    """Where each part by itself is used up."""
    seconds = DEFAULTS.tick_seconds
    return {
        "alerts/s taken in by one web process, 1 a body": 1 / (costs.request + costs.alert),
        "alerts/s taken in by one web process, 100 a body": 100 / (costs.request + 100 * costs.alert),
        "events/s derived, with half of the worker's core": 0.5 / costs.event,
        f"living incidents with a tick of {seconds / 2:g} s": (seconds / 2 - costs.tick) / max(costs.living, 1e-12),
        f"living incidents in {assumed.memory_gib:g} GiB": (1024 * assumed.memory_gib - REST_MIB) / max(costs.living_mib, 1e-12),
        "alerts firing at once, for reading ALERTS": MOST_MIB * 2**20 / costs.range_bytes,
        "ticket targets of one receiver, idle, with a tenth of a core": 0.1 * POLL_SECONDS / costs.poll,
        "tickets/s by the processor alone, half a core": 0.5 / (costs.plan + costs.delivery),
    }
