"""The frozen values that the rooms hand to each other. Times are aware datetimes, users integers.

Those that come by the ten thousand are none of the garbage collector's business (`gc=False`): frozen trees, never part of a cycle.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec

from receiver.law.counting import Affected
from receiver.law.deadlines import Matter
from receiver.law.explanation import Explanation
from receiver.law.provisions import Text
from receiver.law.rulebook import Condition
from receiver.law.verdict import Effect, Verdict, conceivable

Source = Literal["alertmanager", "grafana"]
IncidentState = Literal["open", "recovering", "closed"]
StartBasis = Literal["equipment_series", "alerts_for_state", "starts_at"]


class Clock(Protocol):
    """The only way to learn the time: passed in, so that tests can set it."""

    def __call__(self) -> datetime: ...


class Notification(msgspec.Struct, frozen=True):
    """One webhook body exactly as received. `refused` says why it can never be right; None when it was accepted.

    Of a refused one only the beginning is kept, once: `times` counts how often it came, `received_at` is the last time.
    """

    id: int
    source: Source
    received_at: datetime
    body: bytes
    refused: str | None = None
    times: int = 1


class AlertEvent(msgspec.Struct, frozen=True):
    """What one notification says of one alert. `ends_at` is None while it fires."""

    source: Source
    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    generator_url: str = ""


class Alert(msgspec.Struct, frozen=True, gc=False):
    """One sighting of one alert: (source, fingerprint, startsAt). `ends_at` is None as long as nobody has said that it ended.

    A pair of Alertmanagers stamps different starts on the same stretch: these are two sightings of it. `fired_at` and `resolved_at`
    are when it was last said to fire and to be over: whether it fires now is incidents.fold's to tell.
    """

    source: Source
    fingerprint: str
    starts_at: datetime
    ends_at: datetime | None
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    incident_id: str | None = None

    @property
    def name(self) -> str:
        """What the rule is called; Grafana puts it elsewhere when the rule has no data."""
        return self.labels.get("rulename" if self.is_ignorance else "alertname", "")

    @property
    def is_ignorance(self) -> bool:
        """Grafana's own alerts on a rule without data or with a failing query: neither an outage nor a recovery."""
        return self.source == "grafana" and self.labels.get("alertname") in ("DatasourceNoData", "DatasourceError")


class Incident(msgspec.Struct, frozen=True, gc=False):
    """One failure with one cause, over time.

    `cause` is what its alerts have in common, `equipment` what failed (None if no alert names it). `good_at` is the last moment at
    which the equipment's own series was seen working. `start_settled` says that the history has been asked for the start.
    `restored_at` is the last recovery: provisional while `recovering`, final when `closed`.
    """

    id: str
    cause: str
    equipment: str | None
    state: IncidentState
    opened_at: datetime
    failure_started_at: datetime
    start_basis: StartBasis
    start_settled: bool = False
    good_at: datetime | None = None
    restored_at: datetime | None = None
    closed_at: datetime | None = None


class Conclusion(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one impact at one instant, as yet without its explanation.

    `number` counts within the incident. `affected_users` is the figure a report would name: measured (the largest so far), else
    the bound, else None. `major_since` is when the verdict rose to major; `major_expected_at` when it will if nothing changes
    (at the earliest conceivable, while users are not measured). `candidate` says that a ticket is due though it is not major yet.
    `effect` is what was seen of it so far: a stop, a degradation, or both; `quality` is what was told of that last.
    `all_traffic_down_since` is about the facility of clause 2; until when that is known, or when traffic was seen to flow, is in
    `all_traffic_down_until` (None: it is down).
    """

    incident_id: str
    number: int
    service: str
    assessed_at: datetime
    state: IncidentState
    failure_started_at: datetime
    restored_at: datetime | None
    duration: timedelta
    verdict: Verdict
    at_least: Verdict
    at_most: Verdict
    rulebook: str
    row: int
    condition: Condition
    margin_seconds: int
    margin_users: int
    affected: Affected
    affected_users: int | None
    method: str
    measured: bool
    major_since: datetime | None
    major_expected_at: datetime | None
    candidate: bool
    effect: Effect = "unknown"
    all_traffic_down_since: datetime | None = None
    all_traffic_down_until: datetime | None = None
    quality: tuple[Text, ...] = ()

    @property
    def unit(self) -> str | None:
        """In which unit users are counted (contract, line, account …), as the series says."""
        return (self.affected.count.unit or None) if self.affected.count else None


class Assessment(Conclusion, frozen=True, gc=False, kw_only=True):
    """A conclusion with all its evidence; only ever appended."""

    explanation: Explanation

    @property
    def reason(self) -> Text:
        """The explanation as one paragraph."""
        return self.explanation.text


def matter(incident: Incident, latest: Iterable[Assessment]) -> Matter:
    """The incident as far as duties hang on it, by the latest assessment of each service."""
    certain: set[Verdict] = set()
    possible: set[Verdict] = set()
    for assessment in latest:
        certain.add(assessment.at_least)
        possible.update(conceivable(assessment.at_least, assessment.at_most))
    return Matter(
        occurred_at=incident.failure_started_at,
        verdicts=frozenset(certain),
        possible=frozenset(possible - certain),
        known_at=max(incident.opened_at, incident.failure_started_at),
        upstream_major=None,
        restored=incident.restored_at is not None,
    )


class Statement(msgspec.Struct, frozen=True):
    """What is said of an incident to a target: finished, nothing left to look up.

    `key` is the incident's id, by which the target can find what it made of it. `number` counts up with every change. `title` is
    one line, `text` plain lines, both in Japanese and English. `tags` are short and safe. `url` leads to the incident's page.
    """

    key: str
    number: int
    title: Text
    text: Text
    verdict: Verdict
    unmeasured: bool
    tags: tuple[str, ...]
    url: str
    started_at: datetime
    restored_at: datetime | None
    resolved: bool
    assessments: tuple[Assessment, ...]


class Delivery(msgspec.Struct, frozen=True):
    """One thing owed to one target: a row of the ledger, unique for incident x target x object.

    `wanted` is the number of the assessment to be shown, `sent` of the one last shown. `creating_since` is set, on disk, before the
    call that creates: where it is set and `remote_id` is not, that call's outcome is unknown.
    """

    incident_id: str
    target: str
    object: Literal["ticket", "annotation"]
    wanted: int
    sent: int
    resolve: bool
    state: Literal["owed", "claimed", "sent", "dead"]
    attempts: int
    next_attempt_at: datetime
    remote_id: str | None = None
    creating_since: datetime | None = None
    last_error: str | None = None
