"""The frozen values that the rooms hand to each other. Times are aware datetimes, users integers.

Those that come by the ten thousand are none of the garbage collector's business (`gc=False`): frozen trees, never part of a cycle.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec

from receiver.law import causes, near_miss
from receiver.law.counting import Affected
from receiver.law.deadlines import Matter
from receiver.law.explanation import Explanation
from receiver.law.provisions import Text
from receiver.law.rulebook import Condition
from receiver.law.verdict import Effect, Verdict, conceivable

Source = Literal["alertmanager", "grafana", "person"]
"""Who told of an alert. Of an outage that no alert tells of, a person does: by an act."""
Learnt = Literal["webhook", "alertmanager_api", "rule_series", "act"]
"""How: it was sent to us; we found it at Alertmanager's API, or in the rules' own series (ALERTS); a person said so."""
IncidentState = Literal["open", "recovering", "restored", "closed"]
StartBasis = Literal["equipment_series", "alerts_for_state", "starts_at", "person"]


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
    learnt: Learnt = "webhook"


class AlertEvent(msgspec.Struct, frozen=True, gc=False):
    """What one notification says of one alert. `ends_at` is None while it fires. `inhibited_by`: fingerprints of other alerts."""

    source: Source
    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    generator_url: str = ""
    learnt: Learnt = "webhook"
    inhibited_by: tuple[str, ...] = ()


class Alert(msgspec.Struct, frozen=True, gc=False):
    """One sighting of one alert: (source, fingerprint, startsAt). `ends_at` is None as long as nobody has said that it ended.

    A pair of Alertmanagers stamps different starts on the same stretch: these are two sightings of it. `fired_at` and `resolved_at`
    are when it was last said to fire and to be over: whether it fires now is incidents.fold's to tell. `learnt` is how we first
    heard of it, where that was not by webhook alone. `cause` is what it points to (None: no service of the catalogue). `pinned`: a
    person put it into its incident, where it stays. `inhibited_by`: the fingerprints of the alerts from which, by Alertmanager, it
    follows.
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
    learnt: Learnt = "webhook"
    cause: str | None = None
    pinned: bool = False
    inhibited_by: tuple[str, ...] = ()

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

    `cause` is what its first alert points to, `equipment` what failed (None if no alert names it), `units` all equipment that its
    alerts name. `good_at` is the last moment at which the equipment's own series was seen working. `start_settled` says that the
    history has been asked for the start. `restored_at` is the last recovery: provisional while `recovering`, final when `restored`.
    `closed`: nothing is awaited any more, of a person either. `joined_to`: later evidence, or a person, made it part of that one.
    `dismissed`: a person says that it was none. `unwatched_since`: nobody tells any more whether it goes on. `to_assess`: it is to
    be looked at once more, though it is over.
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
    units: tuple[str, ...] = ()
    joined_to: str | None = None
    dismissed: bool = False
    unwatched_since: datetime | None = None
    to_assess: bool = False


class _Deed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="act"):
    """What an act says."""


class Opened(_Deed, frozen=True, tag="open"):
    """There is, or was, an outage that no alert tells of: learnt from customers, say.

    `apart`: of equipment that nobody knows yet, and another failure than those known of the same services.
    """

    services: tuple[str, ...]
    equipment: str | None
    started_at: datetime
    apart: bool = False


class Caused(_Deed, frozen=True, tag="cause"):
    kind: causes.Kind


class Timed(_Deed, frozen=True, tag="times"):
    """When the failure began and when it was over; None leaves what is known."""

    started_at: datetime | None = None
    restored_at: datetime | None = None


class Withdrawn(_Deed, frozen=True, tag="withdraw"):
    """What was stated of these does not stand any more: it was an error, or is about another incident by now."""

    facts: tuple[Literal["started_at", "restored_at", "drill"], ...]


class Counted(_Deed, frozen=True, tag="users"):
    """So many users of the service were hit, by a count of one's own; those of a stop and of a degradation apart where known."""

    service: str
    users: int
    stopped: int | None = None
    degraded: int | None = None


class Planned(_Deed, frozen=True, tag="planned"):
    """Work that was planned and announced for this time."""

    since: datetime
    until: datetime


class Drilled(_Deed, frozen=True, tag="drill"):
    """A drill: nothing of it is real."""


class EmergencyCalls(_Deed, frozen=True, tag="emergency_calls"):
    """Whether calls to 110, 118, 119 over this service were affected."""

    service: str
    affected: bool


class NearMissAnswered(_Deed, frozen=True, tag="near_miss"):
    """Answers to the checklist of Article 58-2; those given before stay unless answered anew. `withdrawn` are open again."""

    answers: near_miss.Answers
    withdrawn: tuple[near_miss.Fact, ...] = ()


class Merged(_Deed, frozen=True, tag="merge"):
    """`part` is the same accident as `whole`: at once, or its later recurrence."""

    part: str
    whole: str


class Split(_Deed, frozen=True, tag="split"):
    """The alerts (source, fingerprint) of `part` are an accident of their own, no longer of `whole`."""

    part: str
    whole: str
    alerts: tuple[tuple[str, str], ...]


class Dismissed(_Deed, frozen=True, tag="dismiss"):
    """It was no accident: a false alarm."""


class Reopened(_Deed, frozen=True, tag="reopen"):
    """It is not over, or was not to be dismissed."""


class Closed(_Deed, frozen=True, tag="close"):
    """Nothing is to be done any more."""


Deed = (
    Opened
    | Caused
    | Timed
    | Withdrawn
    | Counted
    | Planned
    | Drilled
    | EmergencyCalls
    | NearMissAnswered
    | Merged
    | Split
    | Dismissed
    | Reopened
    | Closed
)

RECEIVER = "art58-receiver"
"""Who joins and parts incidents by later evidence, and hands on to them what persons stated."""


class Act(msgspec.Struct, frozen=True):
    """What a person states about an incident, or the receiver did with it (`who` is RECEIVER): kept for ever, in this order."""

    id: int
    incident_id: str
    at: datetime
    who: str
    why: str
    deed: Deed


class Conclusion(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one impact at one instant, as yet without its explanation.

    `number` counts within the incident. `affected_users` is the figure a report would name: measured (the largest so far), else
    the bound, else None. `major_since` is when the verdict rose to major; `major_expected_at` when it will if nothing changes
    (at the earliest conceivable, while users are not measured). `candidate` says that a ticket is due though it is not major yet.
    `effect` is what was seen of it so far: a stop, a degradation, or both; `quality` is what was told of that last.
    `all_traffic_down_since` is about the facility of clause 2; until when that is known, or when traffic was seen to flow, is in
    `all_traffic_down_until` (None: it is down). `acts_up_to` is the last act of persons that is taken into account, by its id.
    `major_on_trend_at` is when it becomes major if users go on growing as they do, by `users_per_hour` (None: they do not, or that
    makes it no sooner), `major_earliest_at` and `major_latest_at` (None: never) the band around it. `units` is the equipment of
    which users were counted. `withdrawn`: by later evidence the service was hit by another failure, and this verdict is none.
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
    acts_up_to: int | None = None
    users_per_hour: int | None = None
    major_on_trend_at: datetime | None = None
    major_earliest_at: datetime | None = None
    major_latest_at: datetime | None = None
    units: tuple[str, ...] = ()
    withdrawn: bool = False

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


def matter(incident: Incident, latest: Iterable[Assessment], near: near_miss.NearMiss | None = None) -> Matter:
    """The incident as far as duties hang on it, by the latest assessment of each service and what persons answered on near-misses.

    None hang on what a person dismissed, nor on a part: its duties are those of the whole.
    """
    if incident.dismissed or incident.joined_to:
        latest, near = (), None
    certain: set[Verdict] = set()
    possible: set[Verdict] = set()
    for assessment in latest:
        certain.add(assessment.at_least)
        possible.update(conceivable(assessment.at_least, assessment.at_most))
    if near:
        certain.add(near.at_least)
        possible.add(near.at_most)
    return Matter(
        occurred_at=incident.failure_started_at,
        verdicts=frozenset(certain),
        possible=frozenset(possible - certain),
        known_at=max(incident.opened_at, incident.failure_started_at),
        upstream_major=None,
        restored=incident.restored_at is not None,
    )


class Link(msgspec.Struct, frozen=True):
    """Where more is to be seen: `what` names it, `url` is an http(s) address without blanks or quotes."""

    what: Text
    url: str


class Impacted(msgspec.Struct, frozen=True):
    """What is said of one service; `lines` begin with its heading."""

    service: str
    called: Text
    lines: tuple[Text, ...]


class Parts(msgspec.Struct, frozen=True):
    """A statement's text in named parts of plain lines, for templates that lay it out otherwise.

    `notes` come before all else. Of `alerts` so many are left out. `due_on` is the first day by which the law wants something.
    """

    state: IncidentState = "open"
    candidate: bool = False
    notes: tuple[Text, ...] = ()
    facts: tuple[Text, ...] = ()
    impacts: tuple[Impacted, ...] = ()
    near_miss: tuple[Text, ...] = ()
    duties: tuple[Text, ...] = ()
    alerts: tuple[Text, ...] = ()
    alerts_left_out: int = 0
    links: tuple[Link, ...] = ()
    due_on: date | None = None


class Statement(msgspec.Struct, frozen=True):
    """What is said of an incident to a target: finished, nothing left to look up.

    `key` is the incident's id, by which the target can find what it made of it. `number` counts up with every change. `title` is
    one line, `text` plain lines, both in Japanese and English; its head, what one must know at once, ends at the first empty line.
    `tags` are short and safe. `url` leads to the incident's page.
    `milestone` changes with what a person wants to be told of, not only to find written: the verdict, the state.
    `parts` says the same as `text`, part by part, and where more is to be seen.
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
    milestone: str
    parts: Parts = Parts()


class Remembered(msgspec.Struct, frozen=True, omit_defaults=True):
    """What we know of the thing on the other side, kept with its row of the ledger and written before and after every call.

    `number` is the statement last written, `milestone` the one last told, `was_over` whether the incident was over then.
    `written` is what we last wrote into each field, `begun` what writes since were to put there whose outcome is unknown: what
    stands there and is none of these was put there by a person, and then the field is one of `theirs` for good. `closed_at` is
    when we closed it, `turning` the state that a write of unknown outcome was to bring. `comments` counts those of milestones;
    `telling` is a comment of unknown outcome (the thing it is on, its mark, its milestone), `told` the marks of those on
    doubles and predecessors. `doubles` are further things under our key, `unsure_until` is the time up to which one may turn
    up. `continues` is the closed one that this one goes on from; one that is `superseded` has such a successor.
    `forms` are values that the other side keeps in a form of its own: ours, and theirs. `lacking` are the mapped fields that it
    did not take, with what was said. `missing_since` is when it was first not found there, `gone`: a person deleted it;
    `reopened`: a person opened again what we had closed.
    """

    number: int = 0
    milestone: str = ""
    was_over: bool = False
    written: dict[str, Any] = {}
    begun: dict[str, list[Any]] = {}
    theirs: tuple[str, ...] = ()
    closed_at: datetime | None = None
    turning: Literal["open", "closed"] | None = None
    comments: int = 0
    telling: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    doubles: tuple[str, ...] = ()
    unsure_until: datetime | None = None
    continues: str = ""
    superseded: bool = False
    forms: dict[str, tuple[Any, Any]] = {}
    lacking: dict[str, str] = {}
    missing_since: datetime | None = None
    gone: bool = False
    reopened: bool = False


class Delivery(msgspec.Struct, frozen=True):
    """One thing owed to one target: a row of the ledger, unique for incident x target x object.

    `object` is "ticket" or "annotation"; "ticket.2" goes on from a "ticket" that was closed too long ago to be opened again.
    `wanted` is the number of the assessment to be shown, `sent` of the one last shown. `creating_since` is the
    first claim: from then on something may have been begun; whether it was, `remembered` knows. `state` "unsure": it
    is shown, and is looked at once more at `next_attempt_at`, as it may be there twice.
    """

    incident_id: str
    target: str
    object: str
    wanted: int
    sent: int
    state: Literal["owed", "claimed", "sent", "unsure", "dead"]
    attempts: int
    next_attempt_at: datetime
    remote_id: str | None = None
    creating_since: datetime | None = None
    last_error: str | None = None
    remembered: Remembered = Remembered()

    @property
    def key(self) -> str:
        """By what the thing is found on the other side: the incident's id, and which one of its things."""
        _, dot, which = self.object.partition(".")
        return f"{self.incident_id}{dot}{which}"

    @property
    def next(self) -> "Delivery":
        """The ticket that goes on from this one, not made yet."""
        name, _, generation = self.object.partition(".")
        object_, remembered = f"{name}.{int(generation or 1) + 1}", Remembered(continues=self.remote_id or "")
        return msgspec.structs.replace(self, object=object_, remote_id=None, creating_since=None, remembered=remembered)
