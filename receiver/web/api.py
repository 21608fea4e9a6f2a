"""The JSON API. Its form is a contract: keys are added, never renamed."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec

from flask import Blueprint, Response, jsonify, request
from msgspec import to_builtins
from msgspec.structs import asdict

from receiver.intake.authentication import Gate
from receiver.law import deadlines
from receiver.law.near_miss import NearMiss
from receiver.law.provisions import Text
from receiver.law.verdict import gravest
from receiver.model import Act, Assessment, Clock, Incident, IncidentState, Notification, matter
from receiver.stated import Stated, deed_in_words, near_miss_of, stated
from receiver.storage import acts, notifications
from receiver.storage import incidents as store
from receiver.storage.database import Database

STATES: dict[str, tuple[IncidentState, ...]] = {
    "open": ("open", "recovering"),
    "restored": ("restored",),
    "closed": ("closed",),
    "all": ("open", "recovering", "restored", "closed"),
}
MOST = 1000
"""Incidents in one answer, the newest first."""
MOST_REFUSED = 50
"""Refused bodies in one answer, the latest first."""
HEAD = 500
"""Characters that are shown of a refused body."""


View = ParamSpec("View")


def admitted(gate: Gate, view: Callable[View, Response | str]) -> Callable[View, Response | str]:
    """The view, for those the gate knows."""

    @wraps(view)
    def guarded(*args: View.args, **kwargs: View.kwargs) -> Response | str:
        if gate.admits(request.headers.get("Authorization")):
            return view(*args, **kwargs)
        response = jsonify(error="send a bearer token or basic credentials that this receiver knows")
        response.status_code = 401
        response.headers["WWW-Authenticate"] = 'Basic realm="art58-receiver", charset="UTF-8"'
        return response

    return guarded


def blueprint(database: Database, duty_settings: deadlines.Settings, gate: Gate, clock: Clock) -> Blueprint:
    room = Blueprint("api", __name__, url_prefix="/api/v1")

    def listed() -> Response:
        states = STATES.get(request.args.get("state", "open"))
        if states is None:
            response = jsonify(error=f"state is one of {', '.join(STATES)}")
            response.status_code = 400
            return response
        with database.read() as connection:
            found = store.listed(connection, states, MOST)
            ids = [incident.id for incident in found]
            latest = store.latest_assessments(connection, ids)
            said, parts, learnt = acts.of_incidents(connection, ids), store.parts_of(connection, ids), store.learnt(connection, ids)
        now = clock()
        return jsonify(
            incidents=[
                as_json(incident, latest[incident.id], duty_settings, now, said[incident.id])
                | {"parts": parts[incident.id], "learnt": learnt[incident.id]}
                for incident in found
            ]
        )

    def refused() -> Response:
        with database.inbox.read() as connection:
            found = notifications.refused(connection, MOST_REFUSED)
        return jsonify(refused=[_refused(notification) for notification in found])

    room.add_url_rule("/incidents", "incidents", admitted(gate, listed))
    room.add_url_rule("/refused", "refused", admitted(gate, refused))
    return room


def as_json(
    incident: Incident, latest: list[Assessment], duty_settings: deadlines.Settings, now: datetime, said: Iterable[Act] = ()
) -> dict[str, Any]:
    """An incident as the API tells it; durations run on to `now`. `said` are the acts on it."""
    every = tuple(said)
    standing = stated(every)
    near = near_miss_of(standing, incident.failure_started_at)
    return {
        "id": incident.id,
        "state": incident.state,
        "failure_started_at": _time(incident.failure_started_at),
        "failure_start_basis": incident.start_basis,
        "restored_at": _time(incident.restored_at),
        "verdict": gravest([*latest, near] if near else latest).verdict if latest else None,
        "impacts": [_impact(assessment, now) for assessment in latest],
        "duties": [_duty(duty) for duty in deadlines.duties(matter(incident, latest, near), duty_settings)],
        "equipment": incident.equipment,
        "units": list(incident.units),
        "joined_to": incident.joined_to,
        "dismissed": incident.dismissed,
        "unwatched_since": _time(incident.unwatched_since),
        "near_miss": _near_miss(near) if near else None,
        "stated": _stated(standing),
        "acts": [_act(act) for act in every],
    }


def _stated(standing: Stated) -> dict[str, Any]:
    """What stands by the word of persons."""
    plan, answers = standing.planned, standing.near_miss
    return {
        "cause": standing.cause,
        "started_at": _time(standing.started_at),
        "restored_at": _time(standing.restored_at),
        "users": {service: counted.users for service, counted in standing.users.items()},
        "planned": {"since": _time(plan.since), "until": _time(plan.until)} if plan else None,
        "drill": standing.drill,
        "emergency_calls": standing.emergency_calls,
        "near_miss": {fact: answer for fact, answer in asdict(answers).items() if answer is not None} if answers else {},
    }


def _act(act: Act) -> dict[str, Any]:
    return {
        "id": act.id,
        "at": _time(act.at),
        "who": act.who,
        "why": act.why,
        **to_builtins(act.deed),
        "text": _text(deed_in_words(act.deed)),
    }


def _near_miss(near: NearMiss) -> dict[str, Any]:
    return {
        "outcome": near.outcome,
        "class": near.near_miss_class,
        "case": near.case,
        "at_least": near.at_least,
        "at_most": near.at_most,
        "open_questions": [{"fact": question.fact, "text": _text(question.text)} for question in near.open_questions],
        "reason": _text(near.explanation),
    }


def body_head(body: bytes) -> str:
    """How a body begins, whatever it is."""
    return body[: 4 * HEAD].decode(errors="replace")[:HEAD]


def _refused(notification: Notification) -> dict[str, Any]:
    return {
        "source": notification.source,
        "reason": notification.refused,
        "received_at": _time(notification.received_at),
        "times": notification.times,
        "body_head": body_head(notification.body),
    }


def _impact(assessment: Assessment, now: datetime) -> dict[str, Any]:
    lasted = (assessment.restored_at or now) - assessment.failure_started_at
    return {
        "service": assessment.service,
        "verdict": assessment.verdict,
        "at_least": assessment.at_least,
        "at_most": assessment.at_most,
        "rulebook": assessment.rulebook,
        "row": assessment.row,
        "affected_users": assessment.affected_users,
        "affected_users_at_most": assessment.affected.at_most,
        "unit": assessment.unit,
        "effect": assessment.effect,
        "method": assessment.method,
        "measured": assessment.measured,
        "duration_seconds": max(0, int(lasted.total_seconds())),
        "major_since": _time(assessment.major_since),
        "major_expected_at": _time(assessment.major_expected_at),
        "users_per_hour": assessment.users_per_hour,
        "major_on_trend_at": _time(assessment.major_on_trend_at),
        "major_earliest_at": _time(assessment.major_earliest_at),
        "major_latest_at": _time(assessment.major_latest_at),
        "flags": [flag.code for flag in assessment.explanation.uncertain],
        "reason": _text(assessment.reason),
    }


def _duty(duty: deadlines.Duty) -> dict[str, Any]:
    return {
        "id": duty.id,
        "what": _text(duty.what),
        "due_on": duty.due_on and duty.due_on.isoformat(),
        "due_at": _time(duty.due_at and duty.due_at.astimezone(UTC)),
        "form": duty.form,
        "to": _text(duty.to_whom),
        "basis": duty.basis,
        "article": _text(duty.citation.article),
        "evidence": duty.citation.evidence,
        "why": _text(duty.why),
        "flags": [flag.code for flag in duty.flags],
    }


def _text(text: Text) -> dict[str, str]:
    return {"ja": text.ja, "en": text.en}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
