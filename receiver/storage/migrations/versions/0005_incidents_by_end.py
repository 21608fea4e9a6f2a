"""The days of the last weeks on which equipment failed are found without reading every incident that ever was."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("incidents_by_end", "incidents", ["restored_at"])


def downgrade() -> None:
    op.drop_index("incidents_by_end", "incidents")
