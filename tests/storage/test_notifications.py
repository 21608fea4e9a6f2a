"""The bodies that wait to be derived: the oldest first, and no more at once than memory is for."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver.storage import notifications, tables
from receiver.storage.packed import packed
from tests import stores

pytestmark = pytest.mark.usefixtures("each_store")

MIB = 1024 * 1024


@pytest.mark.parametrize("kept", [bytes, packed], ids=["as they came", "packed"])
def test_the_oldest_waiting_bodies_are_given_until_they_are_large_together(tmp_path: Path, kept: Callable[[bytes], bytes]) -> None:
    database = stores.opened(tmp_path)
    sizes = [10, 3 * MIB, 2 * MIB, 10, 9 * MIB, 10, 10]
    arrived = [notifications.Arrived("alertmanager", datetime.now(UTC), kept(bytes(size))) for size in sizes]
    database.inbox.append(tables.notifications, notifications.Arrived._fields, arrived)
    found = []
    while True:
        with database.inbox.write() as connection:
            bodies = notifications.waiting(connection, 20)
            notifications.mark_derived(connection, [one.id for one in bodies], datetime.now(UTC))
        if not bodies:
            break
        found.append([len(one.body) for one in bodies])
    assert found == [[10, 3 * MIB], [2 * MIB, 10], [9 * MIB], [10, 10]]
    database.close()
