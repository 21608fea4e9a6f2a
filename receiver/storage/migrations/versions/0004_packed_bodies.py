"""Large bodies are compressed from now on: those that are there stay as they are, and going down unpacks them."""

import sqlalchemy as sa
from alembic import op

from receiver.storage.packed import MARK, unpacked

revision = "0004"
down_revision = "0003"

_bodies = sa.table("notifications", sa.column("id", sa.BigInteger), sa.column("body", sa.LargeBinary))


def upgrade() -> None:
    pass


def downgrade() -> None:
    connection = op.get_bind()
    is_packed = sa.func.substr(_bodies.c.body, 1, len(MARK)) == sa.literal(MARK, sa.LargeBinary)
    # one by one: each may be large
    for id_ in connection.execute(sa.select(_bodies.c.id).where(is_packed)).scalars().all():
        its = _bodies.c.id == id_
        body = connection.execute(sa.select(_bodies.c.body).where(its)).scalar_one()
        connection.execute(sa.update(_bodies).where(its).values(body=unpacked(body)))
