"""Acts of persons, how alerts were learnt, several pieces of equipment in one incident, what is above equipment."""

import sqlalchemy as sa
from alembic import op

from receiver.storage.tables import TEXT

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("notifications", sa.Column("learnt", TEXT, nullable=False, server_default="webhook"))
    # one cause may have two living incidents: a person, or late evidence, may part them
    op.drop_index("incidents_living", "incidents")
    op.add_column("incidents", sa.Column("units", TEXT, nullable=False, server_default="[]"))
    op.add_column("incidents", sa.Column("joined_to", TEXT))
    op.add_column("incidents", sa.Column("dismissed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("incidents", sa.Column("unwatched_since", sa.BigInteger))
    op.add_column("incidents", sa.Column("to_assess", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index(
        "incidents_to_assess",
        "incidents",
        ["id"],
        sqlite_where=sa.text("to_assess IS 1"),
        postgresql_where=sa.text("to_assess IS true"),
    )
    joined = sa.text("joined_to IS NOT NULL")
    op.create_index("incidents_joined", "incidents", ["joined_to"], sqlite_where=joined, postgresql_where=joined)
    op.add_column("alerts", sa.Column("learnt", TEXT, nullable=False, server_default="webhook"))
    op.add_column("alerts", sa.Column("cause", TEXT))
    op.add_column("alerts", sa.Column("pinned", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("alerts", sa.Column("inhibited_by", TEXT, nullable=False, server_default="[]"))
    if op.get_bind().dialect.name == "postgresql":
        # its usual index takes no text over 2.7 kB, and a name of equipment may have any length
        op.create_index("alerts_of_cause_hashed", "alerts", ["cause"], postgresql_using="hash")
    else:
        op.create_index("alerts_of_cause", "alerts", ["cause", "starts_at"])
    op.create_index("alerts_by_end", "alerts", ["ends_at"])
    op.create_index("alerts_by_firing", "alerts", ["fired_at"])
    again = sa.text("fired_at > ends_at")
    op.create_index("alerts_again", "alerts", ["fired_at"], sqlite_where=again, postgresql_where=again)
    inhibited = sa.text("inhibited_by != '[]'")
    op.create_index("alerts_inhibited", "alerts", ["ends_at"], sqlite_where=inhibited, postgresql_where=inhibited)
    op.execute("UPDATE alerts SET cause = (SELECT cause FROM incidents WHERE incidents.id = alerts.incident_id)")
    op.create_table(
        "acts",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("incident_id", TEXT, sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("who", TEXT, nullable=False),
        sa.Column("why", TEXT, nullable=False),
        sa.Column("deed", TEXT, nullable=False),
    )
    op.create_index("acts_of_incident", "acts", ["incident_id", "id"])
    op.create_table(
        "equipment_parents",
        sa.Column("label", TEXT, primary_key=True),
        sa.Column("child", TEXT, primary_key=True),
        sa.Column("parent", TEXT),
        sa.Column("learnt_at", sa.BigInteger, nullable=False),
    )
    op.create_index("equipment_by_parent", "equipment_parents", ["label", "parent"])


def downgrade() -> None:
    # not unique as it was: since then one cause may have two, and none of them is thrown away
    living = sa.text("state != 'closed'")
    op.create_index("incidents_living", "incidents", ["cause"], sqlite_where=living, postgresql_where=living)
    op.drop_table("equipment_parents")
    op.drop_table("acts")
    of_cause = "alerts_of_cause_hashed" if op.get_bind().dialect.name == "postgresql" else "alerts_of_cause"
    for index in ("alerts_again", "alerts_inhibited", "alerts_by_firing", "alerts_by_end", of_cause):
        op.drop_index(index, "alerts")
    for column in ("inhibited_by", "pinned", "cause", "learnt"):
        op.drop_column("alerts", column)
    op.drop_index("incidents_joined", "incidents")
    op.drop_index("incidents_to_assess", "incidents")
    for column in ("to_assess", "unwatched_since", "dismissed", "joined_to", "units"):
        op.drop_column("incidents", column)
    op.drop_column("notifications", "learnt")
