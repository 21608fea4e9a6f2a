"""Send what the ledger owes, one target at a time: claim on disk, call, record. Killed at any line, it doubles nothing.

A row whose creation was begun and not recorded may or may not exist on the other side: it is looked up there first.
"""

import random
from datetime import timedelta

import msgspec
import structlog

from receiver.catalogue import Catalogue
from receiver.delivery.compose import compose
from receiver.delivery.targets import Refused, Target, Unreachable
from receiver.law import deadlines
from receiver.model import Clock, Delivery, Statement
from receiver.stated import stated
from receiver.storage import acts, deliveries
from receiver.storage import incidents as store
from receiver.storage.database import Database

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=5)
GIVE_UP_AFTER = 300
"""Attempts: about a day at the longest wait. Then it is a dead letter, until news of the incident give it another try."""

log = structlog.get_logger()


class Dispatcher:
    """Sends to one target. `holder` names who claims; it must differ between processes and threads."""

    def __init__(
        self,
        database: Database,
        target: Target,
        catalogue: Catalogue,
        duty_settings: deadlines.Settings,
        external_url: str,
        holder: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._target = target
        self._catalogue = catalogue
        self._duty_settings = duty_settings
        self._external_url = external_url
        self._holder = holder
        self._clock = clock

    def send_next(self) -> bool:
        """Send what is due longest; False if nothing is due."""
        with self._database.read() as connection:
            if not deliveries.is_due(connection, self._target.name, self._clock()):
                return False  # without taking a writer's turn
        with self._database.write() as connection:
            delivery = deliveries.claim(connection, self._target.name, self._holder, self._clock())
        if delivery is None:
            return False
        number, statement = self._statement(delivery.incident_id)
        try:
            remote_id, created, resolved = self._send(delivery, statement)
        except Unreachable as error:
            self._failed(delivery, str(error), "owed", error.retry_after)
        except Refused as error:
            self._failed(delivery, str(error), "dead", None)
        else:
            if created and delivery.creating_since is not None:
                number = 0  # an earlier call may have made it with older text: the newest is said once more
            with self._database.write() as connection:
                deliveries.record_sent(connection, delivery, self._holder, remote_id, number, resolved=resolved, now=self._clock())
            log.info("delivered", incident=delivery.incident_id, target=self._target.name, number=number, resolved=resolved)
        return True

    def _send(self, delivery: Delivery, statement: Statement) -> tuple[str, bool, bool]:
        """The other side's id, whether it was created now, and whether it is resolved now."""
        remote_id = delivery.remote_id
        if remote_id is None and delivery.creating_since is not None:
            remote_id = self._target.find(statement.key)
        if remote_id is None:
            return self._target.create(statement), True, False
        if statement.resolved:
            self._target.resolve(remote_id, statement)
        else:
            self._target.update(remote_id, statement)
        return remote_id, False, statement.resolved

    def _statement(self, incident_id: str) -> tuple[int, Statement]:
        """What is to be said now: the newest, even if the row asked for an older number."""
        with self._database.read() as connection:
            incident = store.get(connection, incident_id)
            latest = store.latest_assessments(connection, [incident_id])[incident_id]
            alerts = store.alerts_of(connection, [incident_id])[incident_id]
            said = stated(acts.of_incidents(connection, [incident_id])[incident_id])
            parts = store.parts_of(connection, [incident_id])[incident_id]
            number = store.last_numbers(connection, [incident_id])[incident_id]
        if incident is None:
            raise LookupError(f"the ledger names incident {incident_id}, which is not in the store")
        statement = compose(incident, latest, alerts, self._catalogue, self._duty_settings, self._external_url, said, parts)
        # what was withdrawn since is news, too, though nothing of it is shown
        return number, msgspec.structs.replace(statement, number=number)

    def _failed(self, delivery: Delivery, error: str, state: deliveries.Failed, retry_after: timedelta | None) -> None:
        attempts = delivery.attempts + 1
        if attempts >= GIVE_UP_AFTER:
            state = "dead"
        wait = max(_wait(attempts), retry_after or timedelta())
        now = self._clock()
        with self._database.write() as connection:
            deliveries.record_failed(connection, delivery, self._holder, error, state, now + wait)
        log.warning(
            "not delivered", incident=delivery.incident_id, target=self._target.name, error=error, state=state, attempts=attempts
        )


def _wait(attempts: int) -> timedelta:
    """Twice as long each time, with jitter so that the many do not come back together."""
    longest = min(FIRST_WAIT * (1 << min(attempts - 1, 20)), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
