"""Large bodies are compressed from now on: those that are there stay as they are, and going down unpacks them."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

from receiver.storage.packed import MARK, packed, unpacked

revision = "0004"
down_revision = "0003"

_bodies = sa.table("notifications", sa.column("id", sa.BigInteger), sa.column("body", sa.LargeBinary))


def upgrade() -> None:
    _change(packed)  # garbage that was refused, and would be taken for compressed


def downgrade() -> None:
    _change(unpacked)


def _change(what: Callable[[bytes], bytes]) -> None:
    """Those that begin as what is compressed; one by one, as each may be large."""
    connection = op.get_bind()
    begins_so = sa.func.substr(_bodies.c.body, 1, len(MARK)) == sa.literal(MARK, sa.LargeBinary)
    for id_ in connection.execute(sa.select(_bodies.c.id).where(begins_so)).scalars().all():
        its = _bodies.c.id == id_
        body = connection.execute(sa.select(_bodies.c.body).where(its)).scalar_one()
        connection.execute(sa.update(_bodies).where(its).values(body=what(body)))
