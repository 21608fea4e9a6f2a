"""The ledger: one row per incident x target x object. A row is claimed, on disk, before the first call to the other side."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, and_, case, func, or_, select, true, update

from receiver.model import Delivery, Remembered
from receiver.storage.tables import deliveries as table
from receiver.storage.upsert import insert_missing

Failed = Literal["owed", "dead"]

CLAIM = timedelta(seconds=60)
"""How long a claim holds without a word from its holder: longer than any call to a target may take."""

_FURTHEST = timedelta(days=1, hours=1)
"""Nothing waits for longer; what seems to was put off by a clock that was put back since."""


def want(connection: Connection, delivery: Delivery) -> None:
    """Owe this: insert the row, or raise what an existing row owes. Doing it twice changes nothing."""
    key = _key(delivery)
    # locked: its holder may record at the same time that it sent what was wanted until now
    known = connection.execute(select(table).where(key).with_for_update()).first()
    if known is None:
        new = {
            "incident_id": delivery.incident_id,
            "target": delivery.target,
            "object": delivery.object,
            "wanted": delivery.wanted,
            "sent": 0,
            "state": "owed",
            "attempts": 0,
            "next_attempt_at": delivery.next_attempt_at,
            "remembered": msgspec.json.encode(delivery.remembered).decode(),
        }
        if not insert_missing(connection, table, new):
            want(connection, delivery)  # another one has owed it just now
    elif known.wanted < delivery.wanted:
        values: dict[str, Any] = {"wanted": delivery.wanted}
        # a dead letter gets another try with the news; one that waits goes on waiting, as the target may have asked it to, and a
        # claimed one is released by its holder, who sees the raised number
        if known.state not in ("owed", "claimed"):
            values |= {"state": "owed", "attempts": 0, "next_attempt_at": delivery.next_attempt_at}
        connection.execute(update(table).where(key).values(values))


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
    # `creating_since` as it was before this claim: set means that an earlier holder may have begun something
    return delivery


def keep(
    connection: Connection, delivery: Delivery, holder: str, remote_id: str | None, remembered: Remembered, now: datetime
) -> bool:
    """Remember what is known of the other side, and hold the claim for longer; False if another one holds it by now."""
    values = {
        "remote_id": remote_id,
        "remembered": msgspec.json.encode(remembered).decode(),
        "claimed_until": now + CLAIM,
    }
    return connection.execute(update(table).where(_held(delivery, holder)).values(values)).rowcount == 1


def succeed(connection: Connection, delivery: Delivery, remote_id: str, now: datetime) -> None:
    """Owe a thing that goes on from this one, which is `remote_id` on the other side."""
    successor = msgspec.structs.replace(delivery, remote_id=remote_id).next
    want(connection, msgspec.structs.replace(successor, next_attempt_at=now))


def record_sent(
    connection: Connection, delivery: Delivery, holder: str, number: int, remembered: Remembered, now: datetime
) -> None:
    """The other side has it as of assessment `number`. More may be wanted by now; else what is unsure is looked at once more."""
    row = connection.execute(select(table.c.wanted).where(_held(delivery, holder)).with_for_update()).first()
    if row is None:
        return  # the claim ran out and another holder has it: that one records
    again_at = remembered.unsure_until
    state = "owed" if row.wanted > number else "unsure" if again_at else "sent"
    connection.execute(
        update(table)
        .where(_key(delivery))
        .values(
            state=state,
            sent=number,
            attempts=0,
            next_attempt_at=again_at or now,
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
        .where(_held(delivery, holder))
        .values(state=state, last_error=error, next_attempt_at=next_attempt_at, claimed_by=None, claimed_until=None)
    )


def of_incidents(connection: Connection, incident_ids: Iterable[str]) -> list[Delivery]:
    query = select(table).where(table.c.incident_id.in_(list(incident_ids))).order_by(table.c.object, table.c.target)
    return [_delivery(row) for row in connection.execute(query)]


def count_by_state(connection: Connection) -> dict[tuple[str, str], int]:
    """Number of rows by (target, state)."""
    query = select(table.c.target, table.c.state, func.count()).group_by(table.c.target, table.c.state)
    return {(target, state): number for target, state, number in connection.execute(query)}


def count_dead(connection: Connection, incident_ids: Iterable[str]) -> Counter[str]:
    """How many dead letters each of these incidents has."""
    query = select(table.c.incident_id).where(table.c.state == "dead", table.c.incident_id.in_(list(incident_ids)))
    return Counter(connection.scalars(query))


def give_back(connection: Connection, delivery: Delivery, holder: str, *, begun: bool) -> None:
    """Owed again as if it had not been claimed, but for what is remembered since; `begun`: something may have been made there."""
    values: dict[str, Any] = {"state": "owed", "attempts": delivery.attempts, "claimed_by": None, "claimed_until": None}
    if not begun:
        values["creating_since"] = delivery.creating_since
    connection.execute(update(table).where(_held(delivery, holder)).values(values))


def _due(target: str, now: datetime) -> Any:
    # what was not tried yet is due at once, and no claim is for so long: the clock may have been put back since
    waited = or_(table.c.next_attempt_at <= now, table.c.next_attempt_at > now + _FURTHEST)
    owed = and_(table.c.state == "owed", or_(waited, table.c.attempts == 0))
    unsure = and_(table.c.state == "unsure", waited)
    abandoned = and_(table.c.state == "claimed", or_(table.c.claimed_until <= now, table.c.claimed_until > now + 2 * CLAIM))
    # the states by themselves too: by them the index leaves out all that was sent long ago
    return and_(table.c.target == target, table.c.state.in_(("owed", "unsure", "claimed")), or_(owed, unsure, abandoned))


def _key(delivery: Delivery) -> Any:
    return and_(table.c.incident_id == delivery.incident_id, table.c.target == delivery.target, table.c.object == delivery.object)


def _held(delivery: Delivery, holder: str) -> Any:
    return and_(_key(delivery), table.c.state == "claimed", table.c.claimed_by == holder)


def _delivery(row: Row[Any]) -> Delivery:
    values = {name: row._mapping[name] for name in Delivery.__struct_fields__}
    return Delivery(**values | {"remembered": msgspec.json.decode(row.remembered, type=Remembered)})


_BY_NEED = case({"dead": 0, "owed": 1, "claimed": 2, "unsure": 3}, value=table.c.state, else_=4)


def listed(connection: Connection, most: int, *, target: str | None = None, state: str | None = None) -> list[Delivery]:
    """Rows, of this target and in this state where named: dead letters first, what was sent last; of each kind the latest first."""
    query = select(table).where(_of(target=target, state=state)).order_by(_BY_NEED, table.c.next_attempt_at.desc())
    return [_delivery(row) for row in connection.execute(query.limit(most))]


def replay(connection: Connection, now: datetime, *, target: str | None = None, incident_id: str | None = None) -> list[Delivery]:
    """Owe the dead letters anew, of this target or this incident where named, at once and with all attempts before them; likewise
    what was taken without its mapped fields only: these are tried again. They are returned as they were.
    """
    lacking = and_(table.c.state.in_(("sent", "unsure")), table.c.remembered.contains('"lacking":'))  # left out where there is none
    query = select(table).where(_of(target=target, incident_id=incident_id), or_(table.c.state == "dead", lacking))
    ordered = query.order_by(table.c.incident_id, table.c.target, table.c.object)
    found = [_delivery(row) for row in connection.execute(ordered.with_for_update())]
    for delivery in found:
        remembered = msgspec.structs.replace(delivery.remembered, lacking={}, number=0)  # so that all is written again
        connection.execute(
            update(table)
            .where(_key(delivery))
            .values(
                state="owed",
                attempts=0,
                next_attempt_at=now,
                last_error=None,
                remembered=msgspec.json.encode(remembered).decode(),
            )
        )
    return found


def _of(**named: str | None) -> Any:
    return and_(true(), *(table.c[name] == value for name, value in named.items() if value is not None))
