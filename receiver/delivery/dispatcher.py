"""Send what the ledger owes, one target at a time: claim on disk, call, record. Killed at any line, it doubles nothing.

What is to be called, and in which order, is decided in `follow.py`.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import msgspec
import structlog

from receiver.catalogue import Catalogue
from receiver.delivery.content import DEFAULT, Content
from receiver.delivery.follow import ClaimLost, Follower, Policy, Stopped, never, without
from receiver.delivery.newest import newest
from receiver.delivery.targets import Forbidden, Missing, Refused, Target, Unreachable
from receiver.law import deadlines
from receiver.model import Clock, Delivery, Remembered, Statement
from receiver.storage import deliveries
from receiver.storage.database import Database, StoreUnavailable

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=5)
PATIENCE = 8
"""Attempts, about four minutes: for so long it may be a moment's that a place is not there, or lets us not in."""
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
        policy: Policy = Policy(),  # noqa: B008 - frozen
        content: Content = DEFAULT,
    ) -> None:
        self._database = database
        self._target = target
        self._catalogue = catalogue
        self._duty_settings = duty_settings
        self._external_url = external_url
        self._holder = holder
        self._clock = clock
        self._policy = policy
        self._content = content
        self._held: tuple[Delivery, Follower | None] | None = None

    def send_next(self, is_stopped: Callable[[], bool] = never) -> bool:
        """Send what is due longest; False if nothing is due. Once stopped, the call that is under way is the last that changes
        something there, and the row goes back if there is more to say.
        """
        with self._database.read() as connection:
            if not deliveries.is_due(connection, self._target.name, self._clock()):
                return False  # without taking a writer's turn
        with self._database.write(beside=True) as connection:
            delivery = deliveries.claim(connection, self._target.name, self._holder, self._clock())
        if delivery is not None:
            self._held = (delivery, None)
            self._send(delivery, is_stopped)
            self._held = None
        return True

    def leave(self) -> None:
        """Give up the row that is held by a thread which still waits for an answer and will not live to see it: as after a time-out
        it is looked at, then, what came of the call. Raises StoreUnavailable.
        """
        if held := self._held:
            delivery, follower = held
            self._failed(delivery, "the receiver was stopped before an answer came", "owed", self._settles(follower))

    def _send(self, delivery: Delivery, is_stopped: Callable[[], bool]) -> None:
        follower: Follower | None = None
        try:
            number, statement = self._statement(delivery.incident_id)
            said = without(self._content.draft(delivery, statement), delivery.remembered.lacking)
            keep = partial(self._keep, delivery)
            follower = Follower(self._target, delivery, said, self._policy, keep, self._clock, is_stopped)
            self._held = (delivery, follower)
            follower.follow()
        except Stopped:
            with self._database.write(beside=True) as connection:
                deliveries.give_back(connection, delivery, self._holder, begun=_has_begun(delivery, follower))
        except ClaimLost:
            log.warning("another one sends this by now", incident=delivery.incident_id, target=self._target.name)
        except Unreachable as error:
            self._failed(delivery, str(error), "owed", max(error.retry_after or timedelta(), self._settles(follower)))
        except Refused as error:
            self._refused(delivery, follower, error)
        except StoreUnavailable:
            raise
        except Exception as error:  # whatever it is: one ticket must not keep the others waiting
            log.exception("not delivered by a fault of the receiver", incident=delivery.incident_id, target=self._target.name)
            self._failed(delivery, f"fault of the receiver: {type(error).__name__}, see its log", "owed", timedelta())
        else:
            now, memory = self._clock(), follower.memory
            # one that is gone or has a successor says no more: as much as was wanted of it counts as said
            shown = max(number, delivery.wanted) if memory.gone or memory.superseded else memory.number
            with self._database.write(beside=True) as connection:
                deliveries.record_sent(connection, delivery, self._holder, shown, memory, now)
            log.info(
                "delivered", incident=delivery.incident_id, target=self._target.name, number=shown, remote_id=follower.remote_id
            )

    def _settles(self, follower: Follower | None) -> timedelta:
        """How long it takes until a search there finds what a call made whose answer never came."""
        return self._target.settles if follower and follower.remote_id is None else timedelta()

    def _refused(self, delivery: Delivery, follower: Follower | None, error: Refused) -> None:
        """A dead letter, unless it may pass: deleted since it was read, a proxy or a secret that is being changed just now. Mapped
        fields that the other side does not take must not keep the whole of it away from there.
        """
        if isinstance(error, Missing | Forbidden):
            state: deliveries.Failed = "owed" if delivery.attempts < PATIENCE else "dead"
            self._failed(delivery, str(error), state, timedelta())
            return
        fields = follower.draft.fields if follower else {}
        if follower is None or not fields or follower.memory.number >= follower.draft.statement.number:
            if follower and delivery.remembered.lacking and not fields:  # they were not what it was about
                self._remember(delivery, follower, {})
            self._failed(delivery, str(error), "dead", timedelta())
            return
        # lists last: labels are hardly ever refused, and would be taken out again
        first = [name for name, value in fields.items() if not isinstance(value, list)] or fields
        self._remember(delivery, follower, follower.memory.lacking | dict.fromkeys(first, str(error)))
        self._failed(delivery, f"without its mapped fields from now on, as with them: {error}", "owed", timedelta())

    def _remember(self, delivery: Delivery, follower: Follower, lacking: dict[str, str]) -> None:
        with suppress(ClaimLost):
            self._keep(delivery, follower.remote_id, msgspec.structs.replace(follower.memory, lacking=lacking))

    def _keep(self, delivery: Delivery, remote_id: str | None, memory: Remembered) -> None:
        now = self._clock()
        with self._database.write(beside=True) as connection:
            if not deliveries.keep(connection, delivery, self._holder, remote_id, memory, now):
                raise ClaimLost
            if memory.superseded:
                deliveries.succeed(connection, delivery, remote_id or "", now)

    def _statement(self, incident_id: str) -> tuple[int, Statement]:
        """What is to be said now: the newest, even if the row asked for an older number."""
        with self._database.read() as connection:
            return newest(connection, incident_id, self._catalogue, self._duty_settings, self._external_url)

    def _failed(self, delivery: Delivery, error: str, state: deliveries.Failed, at_least: timedelta) -> None:
        attempts = delivery.attempts + 1
        if attempts >= GIVE_UP_AFTER:
            state = "dead"
        wait = max(_wait(attempts), at_least)
        now = self._clock()
        with self._database.write(beside=True) as connection:
            deliveries.record_failed(connection, delivery, self._holder, error, state, now + wait)
        log.warning(
            "not delivered", incident=delivery.incident_id, target=self._target.name, error=error, state=state, attempts=attempts
        )


def _has_begun(delivery: Delivery, follower: Follower | None) -> bool:
    return bool(delivery.creating_since or (follower and follower.memory.milestone))


def _wait(attempts: int) -> timedelta:
    """Twice as long each time, with jitter so that the many do not come back together."""
    longest = min(FIRST_WAIT * (1 << min(attempts - 1, 20)), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
