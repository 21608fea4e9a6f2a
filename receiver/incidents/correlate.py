"""Which incident an alert belongs to. The incident's id is ours: `groupKey` changes on a reload and is not unique."""

import base64
import hashlib
from datetime import datetime

from receiver.catalogue import Catalogue
from receiver.law.provisions import JST
from receiver.model import Alert, Incident


def cause_of(alert: Alert, catalogue: Catalogue) -> tuple[str, str | None] | None:
    """The cause an alert points to, and the equipment it names; None if it is about no service of the catalogue.

    Alerts on the same equipment have the same cause, whichever services they tell of.
    """
    services = catalogue.services_of(alert.labels)
    if not services:
        return None
    for service in services:
        if equipment := alert.labels.get(service.equipment_label):
            return f"equipment:{service.equipment_label}={equipment}", equipment
    return f"services:{'+'.join(service.name for service in services)}", None


def opened_by(alert: Alert, cause: str, equipment: str | None, now: datetime, after: str = "") -> Incident:
    """The incident that begins with this alert. Its id follows from cause and time, so it is the same whoever derives it.

    `after` is the id of a closed incident that began with the same alert, if there is one.
    """
    digest = hashlib.sha256(f"{cause}\n{alert.starts_at.isoformat()}\n{after}".encode()).digest()
    id_ = f"{alert.starts_at.astimezone(JST):%Y%m%d}-{base64.b32encode(digest)[:10].decode().lower()}"
    return Incident(
        id=id_,
        cause=cause,
        equipment=equipment,
        state="open",
        opened_at=now,
        # a start that lies ahead (a wrong clock, an alert made by hand) is no start: it is there now
        failure_started_at=min(alert.starts_at, now),
        start_basis="starts_at",
    )
