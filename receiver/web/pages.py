"""Pages for people, bare, in Japanese and English: the incidents, one page for each, and one of what was refused."""

from datetime import datetime
from operator import itemgetter

from flask import Blueprint, Response, render_template

from receiver.catalogue import Catalogue
from receiver.delivery import standing as deliveries_standing
from receiver.delivery import words
from receiver.incidents import overview
from receiver.intake.authentication import Gate
from receiver.law import deadlines, near_miss
from receiver.law.freshness import overdue
from receiver.law.provisions import BASES, Text
from receiver.law.rulebook import Rulebook
from receiver.law.verdict import gravest
from receiver.law.wording import METHODS, VERDICTS, clock_time, length, users
from receiver.model import Act, Assessment, Clock, matter
from receiver.stated import deed_in_words, near_miss_of, stated
from receiver.storage import acts, deliveries, notifications
from receiver.storage import incidents as store
from receiver.storage.database import Database
from receiver.web.api import MOST, MOST_REFUSED, admitted, body_head

MOST_ALERTS = 200
MOST_CLOSED = 50


def blueprint(
    database: Database,
    catalogue: Catalogue,
    rulebooks: tuple[Rulebook, ...],
    duty_settings: deadlines.Settings,
    gate: Gate,
    clock: Clock,
) -> Blueprint:
    room = Blueprint("pages", __name__, template_folder="templates")

    def home() -> Response:
        return Response(status=302, headers={"Location": "/incidents"})

    def incidents() -> str:
        with database.read() as connection:
            # one more than is shown tells that there are more
            living = overview.not_closed(connection, MOST + 1)
            closed = overview.closed(connection, MOST_CLOSED + 1)
        return render_template(
            "incidents.html",
            parts=[
                (Text("継続中・確認待ち", "Going on, or waiting for a person"), living[:MOST], len(living) > MOST),
                (Text("終結", "Closed"), closed[:MOST_CLOSED], len(closed) > MOST_CLOSED),
            ],
            marks=words.marks,
            is_drill_over=words.is_drill_over,
            states=words.STATES,
            services=catalogue.by_name,
            verdicts=VERDICTS,
            clock_time=clock_time,
            users=users,
            overdue=overdue(rulebooks, clock()),
        )

    def incident(id_: str) -> Response | str:
        now = clock()
        with database.read() as connection:
            found = store.get(connection, id_)
            if found is None:
                return Response(render_template("absent.html"), 404)
            latest = store.latest_assessments(connection, [id_])[id_]
            history = store.history(connection, id_)
            alerts = store.alerts_of(connection, [id_])[id_]
            said = acts.of_incidents(connection, [id_])[id_]
            parts = store.parts_of(connection, [id_])[id_]
            sent = deliveries.of_incidents(connection, [id_])
        standing = stated(said)
        near = near_miss_of(standing, found.failure_started_at)
        return render_template(
            "incident.html",
            incident=found,
            verdict=VERDICTS[gravest([*latest, near] if near else latest).verdict],
            glance=overview.glance(found, latest, standing, sum(row.state == "dead" for row in sent)),
            marks=words.marks(found, standing),
            notes=words.notes(found, alerts, standing),
            by_alerts=words.by_alerts(found, alerts, standing),
            parts=parts,
            states=words.STATES,
            start_basis=words.START_BASES["person" if standing.started_at else found.start_basis],
            learnt=words.LEARNT,
            latest=latest,
            withdrawn=words.ALL_WITHDRAWN,
            near=near,
            checklist=[(question, standing.by.get(("near_miss", question.fact))) for question in near_miss.shipped().questions],
            answers=standing.near_miss,
            duties=deadlines.duties(matter(found, latest, near), duty_settings),
            bases=BASES,
            history=_by_time(history, said),
            deed_in_words=deed_in_words,
            alerts=alerts[:MOST_ALERTS],
            alerts_left_out=max(0, len(alerts) - MOST_ALERTS),
            deliveries=sorted(sent, key=lambda row: row.state != "dead"),
            standing=deliveries_standing,
            lacks_fields=any(map(deliveries_standing.lacks_fields, sent)),
            services=catalogue.by_name,
            now=now,
            overdue=overdue(rulebooks, now),
            verdicts=VERDICTS,
            methods=METHODS,
            clock_time=clock_time,
            length=length,
            users=users,
        )

    def refused() -> str:
        with database.inbox.read() as connection:
            found = notifications.refused(connection, MOST_REFUSED)
        return render_template(
            "refused.html", refused=found, overdue=overdue(rulebooks, clock()), clock_time=clock_time, body_head=body_head
        )

    room.add_url_rule("/", "home", admitted(gate, home))
    room.add_url_rule("/incidents", "incidents", admitted(gate, incidents))
    room.add_url_rule("/incidents/<id_>", "incident", admitted(gate, incident))
    room.add_url_rule("/refused", "refused", admitted(gate, refused))
    return room


def _by_time(history: list[Assessment], said: list[Act]) -> list[tuple[datetime, Assessment | None, Act | None]]:
    """Assessments and acts, the newest first. An act comes before the assessment that takes it into account."""
    rows: list[tuple[datetime, Assessment | None, Act | None]] = [(act.at, None, act) for act in said]
    rows += [(assessment.assessed_at, assessment, None) for assessment in history]
    return sorted(rows, key=itemgetter(0))[::-1]
