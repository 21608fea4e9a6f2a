"""The tables. Times are whole microseconds since 1970 in UTC, so that SQLite and PostgreSQL compare them alike and exactly."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

BEGINNING = _EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK = 400  # bound variables per statement, under SQLite's limit
_Item = TypeVar("_Item")


def chunks(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    """In pieces as long as one statement may name."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


# by its bytes, as SQLite does: else an order hangs on the language of the server, and an index on the version of its libraries
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


class Moment(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970. A naive one is refused: nobody knows which moment it is."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Any) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone: pass an aware datetime")
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, _dialect: Any) -> datetime | None:
        return None if value is None else moment_of(value)


def moment_of(stored: int) -> datetime:
    """The moment of a number as it is stored: for who reads the same ones by the thousand."""
    return _EPOCH + timedelta(microseconds=stored)


metadata = MetaData()

notifications = Table(
    "notifications",
    metadata,
    # SQLite counts a row id up only in an INTEGER PRIMARY KEY
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("source", TEXT, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("refused", TEXT),
    Column("times", Integer, nullable=False, default=1),
    Column("learnt", TEXT, nullable=False, default="webhook"),
    Column("derived_at", Moment),
)
_waiting = notifications.c.derived_at.is_(None) & notifications.c.refused.is_(None)
Index("notifications_waiting", notifications.c.id, sqlite_where=_waiting, postgresql_where=_waiting)
_refused = notifications.c.refused.is_not(None)
Index(
    "notifications_refused",
    notifications.c.source,
    notifications.c.refused,
    notifications.c.received_at,
    sqlite_where=_refused,
    postgresql_where=_refused,
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("cause", TEXT, nullable=False),
    Column("equipment", TEXT),
    Column("state", TEXT, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("failure_started_at", Moment, nullable=False),
    Column("start_basis", TEXT, nullable=False),
    Column("start_settled", Boolean, nullable=False),
    Column("good_at", Moment),
    Column("restored_at", Moment),
    Column("closed_at", Moment),
    Column("units", TEXT, nullable=False, default="[]"),
    Column("joined_to", TEXT),
    Column("dismissed", Boolean, nullable=False, default=False),
    Column("unwatched_since", Moment),
    Column("to_assess", Boolean, nullable=False, default=False),
    Index("incidents_by_state", "state", "opened_at"),
    Index("incidents_by_time", "opened_at"),
    Index("incidents_by_end", "restored_at"),
)
_to_assess = incidents.c.to_assess.is_(True)
Index("incidents_to_assess", incidents.c.id, sqlite_where=_to_assess, postgresql_where=_to_assess)
_joined = incidents.c.joined_to.is_not(None)
Index("incidents_joined", incidents.c.joined_to, sqlite_where=_joined, postgresql_where=_joined)

alerts = Table(
    "alerts",
    metadata,
    Column("source", TEXT, primary_key=True),
    Column("fingerprint", TEXT, primary_key=True),
    Column("starts_at", Moment, primary_key=True),
    Column("ends_at", Moment),
    Column("fired_at", Moment),
    Column("resolved_at", Moment),
    Column("labels", TEXT, nullable=False),
    Column("annotations", TEXT, nullable=False),
    Column("generator_url", TEXT, nullable=False),
    Column("incident_id", TEXT, ForeignKey("incidents.id")),
    Column("learnt", TEXT, nullable=False, default="webhook"),
    Column("cause", TEXT),
    Column("pinned", Boolean, nullable=False, default=False),
    Column("inhibited_by", TEXT, nullable=False, default="[]"),
    Index("alerts_of_incident", "incident_id"),
    Index("alerts_by_end", "ends_at"),
    Index("alerts_by_firing", "fired_at"),
)
# in PostgreSQL another stands for it, alerts_of_cause_hashed: see migration 0002
Index("alerts_of_cause", alerts.c.cause, alerts.c.starts_at)
_again = alerts.c.fired_at > alerts.c.ends_at
Index("alerts_again", alerts.c.fired_at, sqlite_where=_again, postgresql_where=_again)
_inhibited = alerts.c.inhibited_by != "[]"
Index("alerts_inhibited", alerts.c.ends_at, sqlite_where=_inhibited, postgresql_where=_inhibited)
_alone = alerts.c.ends_at.is_(None) & alerts.c.incident_id.is_(None)
Index("alerts_alone", alerts.c.source, sqlite_where=_alone, postgresql_where=_alone)

assessments = Table(
    "assessments",
    metadata,
    Column("incident_id", TEXT, ForeignKey("incidents.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("service", TEXT, nullable=False),
    Column("assessed_at", Moment, nullable=False),
    Column("verdict", TEXT, nullable=False),
    Column("document", TEXT, nullable=False),
    Column("routed_at", Moment),
)
_unrouted = assessments.c.routed_at.is_(None)
Index("assessments_unrouted", assessments.c.incident_id, sqlite_where=_unrouted, postgresql_where=_unrouted)

acts = Table(
    "acts",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("incident_id", TEXT, ForeignKey("incidents.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("who", TEXT, nullable=False),
    Column("why", TEXT, nullable=False),
    Column("deed", TEXT, nullable=False),
    Index("acts_of_incident", "incident_id", "id"),
)

equipment_parents = Table(
    "equipment_parents",
    metadata,
    Column("label", TEXT, primary_key=True),
    Column("child", TEXT, primary_key=True),
    # none: it was asked, and nothing is above it
    Column("parent", TEXT),
    Column("learnt_at", Moment, nullable=False),
    Index("equipment_by_parent", "label", "parent"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("incident_id", TEXT, primary_key=True),
    Column("target", TEXT, primary_key=True),
    Column("object", TEXT, primary_key=True),
    Column("wanted", Integer, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Moment, nullable=False),
    Column("claimed_by", TEXT),
    Column("claimed_until", Moment),
    Column("creating_since", Moment),
    Column("remote_id", TEXT),
    Column("last_error", TEXT),
    Column("remembered", TEXT, nullable=False),
    ForeignKeyConstraint(["incident_id"], ["incidents.id"]),
    Index("deliveries_due", "target", "state", "next_attempt_at"),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("at", Moment, nullable=False),
)
