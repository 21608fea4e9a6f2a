"""What is above equipment, as it was last learnt: it stays known while Prometheus does not answer."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, insert, select

from receiver.storage.tables import chunks
from receiver.storage.tables import equipment_parents as table

_LONGEST = 2000
"""Bytes of a name: an index of PostgreSQL takes 2,700 with the label."""


def learn(connection: Connection, label: str, parents: Mapping[str, str | None], at: datetime) -> None:
    """Insert or replace what is above each (None: nothing), told at `at`. `label` is the one that names this equipment.

    Of a name that no index takes nothing is kept: it is asked for again.
    """
    for chunk in chunks(sorted(child for child, parent in parents.items() if _is_short(child) and _is_short(parent or ""))):
        connection.execute(delete(table).where(table.c.label == label, table.c.child.in_(chunk)))
        rows = [{"label": label, "child": child, "parent": parents[child], "learnt_at": at} for child in chunk]
        connection.execute(insert(table), rows)


def _is_short(name: str) -> bool:
    return len(name.encode()) <= _LONGEST


# statements are built once: that takes longer than to ask them for a few names
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
_OF_LABEL = table.c.label == bindparam("its_label")
_BELOW = select(table.c.child).where(_OF_LABEL, table.c.parent.in_(_NAMES))
_LEARNT = select(table.c.child).where(_OF_LABEL, table.c.child.in_(_NAMES), table.c.learnt_at >= bindparam("since"))
_PARENTS = select(table.c.child, table.c.parent).where(_OF_LABEL, table.c.child.in_(_NAMES))


def below(connection: Connection, label: str, names: Iterable[str]) -> set[str]:
    """What is known to lie under these, and under that, and so on."""
    found: set[str] = set()
    level = set(names)
    while level:
        under: set[str] = set()
        for chunk in chunks(sorted(level)):
            under |= set(connection.execute(_BELOW, {"its_label": label, "names": list(chunk)}).scalars())
        level = under - found
        found |= under
    return found


def unknown(connection: Connection, label: str, names: Iterable[str], since: datetime) -> set[str]:
    """Those of these of which nothing was learnt since then."""
    found = set(names)
    for chunk in chunks(sorted(found)):
        found -= set(connection.execute(_LEARNT, {"its_label": label, "names": list(chunk), "since": since}).scalars())
    return found


def parents(connection: Connection, label: str, names: Iterable[str]) -> dict[str, str | None]:
    """What is above these, above that, and so on, as far as it is known; what was never asked is not in it."""
    found: dict[str, str | None] = {}
    level = set(names)
    while level:
        above: set[str] = set()
        for chunk in chunks(sorted(level)):
            for child, parent in connection.execute(_PARENTS, {"its_label": label, "names": list(chunk)}):
                found[child] = parent
                above |= {parent} - {None}
        # what was looked up once is not again: parents may lead in a circle, as they were learnt at different times
        level = above - found.keys()
    return found
