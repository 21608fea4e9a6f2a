"""What is known of each thing on the other side: what we wrote there, what persons changed."""

import sqlalchemy as sa
from alembic import op

from receiver.storage.tables import TEXT

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("remembered", TEXT, nullable=False, server_default="{}"))
    op.drop_column("deliveries", "resolved")
    op.drop_column("deliveries", "resolve")


def downgrade() -> None:
    op.add_column("deliveries", sa.Column("resolve", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("deliveries", sa.Column("resolved", sa.Boolean, nullable=False, server_default=sa.false()))
    op.drop_column("deliveries", "remembered")
