"""Pages for people, bare, in Japanese and English: one per incident, and one of what was refused."""

from flask import Blueprint, Response, render_template

from receiver.catalogue import Catalogue
from receiver.intake.authentication import Gate
from receiver.law import deadlines
from receiver.law.freshness import overdue
from receiver.law.provisions import BASES
from receiver.law.rulebook import Rulebook
from receiver.law.verdict import gravest
from receiver.law.wording import METHODS, VERDICTS, clock_time, length, users
from receiver.model import Clock, matter
from receiver.storage import deliveries, notifications
from receiver.storage import incidents as store
from receiver.storage.database import Database
from receiver.web.api import MOST_REFUSED, admitted, body_head

MOST_ALERTS = 200


def blueprint(
    database: Database,
    catalogue: Catalogue,
    rulebooks: tuple[Rulebook, ...],
    duty_settings: deadlines.Settings,
    gate: Gate,
    clock: Clock,
) -> Blueprint:
    room = Blueprint("pages", __name__, template_folder="templates")

    def incident(id_: str) -> Response | str:
        now = clock()
        with database.read() as connection:
            found = store.get(connection, id_)
            if found is None:
                return Response("no such incident\n", 404, content_type="text/plain; charset=utf-8")
            latest = store.latest_assessments(connection, [id_])[id_]
            history = store.history(connection, id_)
            alerts = store.alerts_of(connection, [id_])[id_]
            sent = deliveries.of_incidents(connection, [id_])
        return render_template(
            "incident.html",
            incident=found,
            verdict=VERDICTS[gravest(latest).verdict],
            latest=latest,
            duties=deadlines.duties(matter(found, latest), duty_settings),
            bases=BASES,
            history=history,
            alerts=alerts[:MOST_ALERTS],
            alerts_left_out=max(0, len(alerts) - MOST_ALERTS),
            deliveries=sent,
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
        with database.read() as connection:
            found = notifications.refused(connection, MOST_REFUSED)
        return render_template(
            "refused.html", refused=found, overdue=overdue(rulebooks, clock()), clock_time=clock_time, body_head=body_head
        )

    room.add_url_rule("/incidents/<id_>", "incident", admitted(gate, incident))
    room.add_url_rule("/refused", "refused", admitted(gate, refused))
    return room
