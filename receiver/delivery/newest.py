"""What is to be said of an incident now, out of the store."""

import msgspec

from receiver.catalogue import Catalogue
from receiver.delivery.compose import compose
from receiver.law import deadlines
from receiver.model import Statement
from receiver.stated import stated
from receiver.storage import acts
from receiver.storage import incidents as store
from receiver.storage.database import Connection


class NotAssessed(LookupError):
    """Nothing is to be said of it yet."""


def newest(
    connection: Connection, incident_id: str, catalogue: Catalogue, duty_settings: deadlines.Settings, external_url: str
) -> tuple[int, Statement]:
    """The number of its last assessment, and what is said by those that stand. Raises LookupError, NotAssessed."""
    incident = store.get(connection, incident_id)
    if incident is None:
        raise LookupError(f"incident {incident_id} is not in the store")
    numbers = store.last_numbers(connection, [incident_id])
    if not numbers.get(incident_id):
        raise NotAssessed(f"incident {incident_id} has not been assessed yet")
    number = numbers[incident_id]
    statement = compose(
        incident,
        store.latest_assessments(connection, [incident_id])[incident_id],
        store.alerts_of(connection, [incident_id])[incident_id],
        catalogue,
        duty_settings,
        external_url,
        stated(acts.of_incidents(connection, [incident_id])[incident_id]),
        store.parts_of(connection, [incident_id])[incident_id],
    )
    # what was withdrawn since is news, too, though nothing of it is shown
    return number, msgspec.structs.replace(statement, number=number)
