"""The first tables: notifications, alerts, incidents, assessments, the ledger of deliveries, heartbeat."""

import sqlalchemy as sa
from alembic import op

from receiver.storage.tables import TEXT

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("refused", TEXT),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("derived_at", sa.BigInteger),
    )
    _partial("notifications_waiting", "notifications", ["id"], "derived_at IS NULL AND refused IS NULL")
    _partial("notifications_refused", "notifications", ["source", "refused", "received_at"], "refused IS NOT NULL")
    op.create_table(
        "incidents",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("cause", TEXT, nullable=False),
        sa.Column("equipment", TEXT),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("failure_started_at", sa.BigInteger, nullable=False),
        sa.Column("start_basis", TEXT, nullable=False),
        sa.Column("start_settled", sa.Boolean, nullable=False),
        sa.Column("good_at", sa.BigInteger),
        sa.Column("restored_at", sa.BigInteger),
        sa.Column("closed_at", sa.BigInteger),
    )
    _partial("incidents_living", "incidents", ["cause"], "state != 'closed'", unique=True)
    op.create_index("incidents_by_state", "incidents", ["state", "opened_at"])
    op.create_index("incidents_by_time", "incidents", ["opened_at"])
    op.create_table(
        "alerts",
        sa.Column("source", TEXT, primary_key=True),
        sa.Column("fingerprint", TEXT, primary_key=True),
        sa.Column("starts_at", sa.BigInteger, primary_key=True),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("fired_at", sa.BigInteger),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("labels", TEXT, nullable=False),
        sa.Column("annotations", TEXT, nullable=False),
        sa.Column("generator_url", TEXT, nullable=False),
        sa.Column("incident_id", TEXT, sa.ForeignKey("incidents.id")),
    )
    op.create_index("alerts_of_incident", "alerts", ["incident_id"])
    _partial("alerts_alone", "alerts", ["source"], "ends_at IS NULL AND incident_id IS NULL")
    op.create_table(
        "assessments",
        sa.Column("incident_id", TEXT, sa.ForeignKey("incidents.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("service", TEXT, nullable=False),
        sa.Column("assessed_at", sa.BigInteger, nullable=False),
        sa.Column("verdict", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("routed_at", sa.BigInteger),
    )
    _partial("assessments_unrouted", "assessments", ["incident_id"], "routed_at IS NULL")
    op.create_table(
        "deliveries",
        sa.Column("incident_id", TEXT, sa.ForeignKey("incidents.id"), primary_key=True),
        sa.Column("target", TEXT, primary_key=True),
        sa.Column("object", TEXT, primary_key=True),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("sent", sa.Integer, nullable=False),
        sa.Column("resolve", sa.Boolean, nullable=False),
        sa.Column("resolved", sa.Boolean, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
        sa.Column("claimed_by", TEXT),
        sa.Column("claimed_until", sa.BigInteger),
        sa.Column("creating_since", sa.BigInteger),
        sa.Column("remote_id", TEXT),
        sa.Column("last_error", TEXT),
    )
    op.create_index("deliveries_due", "deliveries", ["target", "state", "next_attempt_at"])
    op.create_table(
        "heartbeat",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    for table in ("heartbeat", "deliveries", "assessments", "alerts", "incidents", "notifications"):
        op.drop_table(table)


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
