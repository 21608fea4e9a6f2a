"""${message}"""

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "raise RuntimeError('write the migration')"}


def downgrade() -> None:
    ${downgrades if downgrades else "raise RuntimeError('write the migration')"}
