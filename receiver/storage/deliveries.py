"""The ledger: one row per incident x target x object. A row is claimed, on disk, before the first call to the other side."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from receiver.model import Delivery
from receiver.storage.tables import deliveries as table

Failed = Literal["owed", "dead"]

CLAIM = timedelta(seconds=60)
"""How long a claim holds without a word from its holder: longer than any call to a target may take."""


def want(connection: Connection, delivery: Delivery) -> None:
    """Owe this: insert the row, or raise what an existing row owes. Doing it twice changes nothing."""
    key = _key(delivery)
    known = connection.execute(select(table).where(key)).first()
    if known is None:
        connection.execute(
            insert(table).values(
                incident_id=delivery.incident_id,
                target=delivery.target,
                object=delivery.object,
                wanted=delivery.wanted,
                sent=0,
                resolve=delivery.resolve,
                resolved=False,
                state="owed",
                attempts=0,
                next_attempt_at=delivery.next_attempt_at,
            )
        )
    elif known.wanted < delivery.wanted:
        # a dead letter gets another try with the news; a claimed row is released by its holder, who sees the raised number
        state = known.state if known.state == "claimed" else "owed"
        connection.execute(
            update(table)
            .where(key)
            .values(
                wanted=delivery.wanted, resolve=delivery.resolve, state=state, attempts=0, next_attempt_at=delivery.next_attempt_at
            )
        )


def is_due(connection: Connection, target: str, now: datetime) -> bool:
    """Whether there is a row of this target to claim."""
    return connection.execute(select(table.c.incident_id).where(_due(target, now)).limit(1)).first() is not None


def claim(connection: Connection, target: str, holder: str, now: datetime) -> Delivery | None:
    """Claim the row of this target that is due longest, or one whose holder has vanished; None if nothing is due."""
    query = select(table).where(_due(target, now)).order_by(table.c.next_attempt_at).limit(1)
    row = connection.execute(query.with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    delivery = _delivery(row)
    values: dict[str, Any] = {"state": "claimed", "claimed_by": holder, "claimed_until": now + CLAIM, "attempts": row.attempts + 1}
    if delivery.remote_id is None and delivery.creating_since is None:
        values["creating_since"] = now
    connection.execute(update(table).where(_key(delivery)).values(values))
    # `creating_since` as it was before this claim: set means that an earlier call to create may have done its work
    return delivery


def record_sent(
    connection: Connection, delivery: Delivery, holder: str, remote_id: str, number: int, *, resolved: bool, now: datetime
) -> None:
    """The other side has it as of assessment `number`. If more is wanted by now, the row is owed again at once."""
    row = connection.execute(select(table).where(_key(delivery), table.c.claimed_by == holder)).first()
    if row is None:
        return  # the claim ran out and another holder has it: that one records
    done = row.wanted <= number and (resolved or not row.resolve)
    connection.execute(
        update(table)
        .where(_key(delivery))
        .values(
            state="sent" if done else "owed",
            sent=number,
            resolved=resolved,
            remote_id=remote_id,
            attempts=0,
            next_attempt_at=now,
            claimed_by=None,
            claimed_until=None,
            last_error=None,
        )
    )


def record_failed(
    connection: Connection, delivery: Delivery, holder: str, error: str, state: Failed, next_attempt_at: datetime
) -> None:
    """The call failed: owed again later, or a dead letter that a person must look at."""
    connection.execute(
        update(table)
        .where(_key(delivery), table.c.claimed_by == holder)
        .values(state=state, last_error=error, next_attempt_at=next_attempt_at, claimed_by=None, claimed_until=None)
    )


def of_incidents(connection: Connection, incident_ids: Iterable[str]) -> list[Delivery]:
    query = select(table).where(table.c.incident_id.in_(list(incident_ids))).order_by(table.c.object, table.c.target)
    return [_delivery(row) for row in connection.execute(query)]


def count_by_state(connection: Connection) -> dict[tuple[str, str], int]:
    """Number of rows by (target, state)."""
    query = select(table.c.target, table.c.state, func.count()).group_by(table.c.target, table.c.state)
    return {(target, state): number for target, state, number in connection.execute(query)}


def _due(target: str, now: datetime) -> Any:
    # what was not tried yet is due at once, and no claim is for so long: the clock may have been put back since
    owed = and_(table.c.state == "owed", or_(table.c.next_attempt_at <= now, table.c.attempts == 0))
    abandoned = and_(table.c.state == "claimed", or_(table.c.claimed_until <= now, table.c.claimed_until > now + 2 * CLAIM))
    # the states by themselves too: by them the index leaves out all that was sent long ago
    return and_(table.c.target == target, table.c.state.in_(("owed", "claimed")), or_(owed, abandoned))


def _key(delivery: Delivery) -> Any:
    return and_(table.c.incident_id == delivery.incident_id, table.c.target == delivery.target, table.c.object == delivery.object)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{name: row._mapping[name] for name in Delivery.__struct_fields__})
