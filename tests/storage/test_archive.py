"""Old notifications go into compressed files: each is in the store or in a file at any moment, whatever is killed when."""

import base64
import gzip
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text
from structlog.testing import capture_logs

from receiver.operations import sources
from receiver.storage import archive, notifications
from receiver.storage.archive import Archive, Line
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.packed import packed
from receiver.storage.tables import notifications as table
from tests import stores
from tests.fakes.prometheus import FakePrometheus
from tests.incidents.test_derive import alert
from tests.receiver import Receiver

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
BEFORE = NOW - 90 * DAY


@pytest.fixture
def database(tmp_path: Path, each_store: str) -> Iterator[Database]:
    with closing(stores.opened(tmp_path)) as database:
        yield database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "old" / "archive"


def come(database: Database, *ages: float, body: bytes = b"{}", derived: bool = True) -> None:
    """Bodies that came so many days ago, and were derived at once."""
    with database.inbox.write() as connection:
        for age in ages:
            notifications.add(connection, "grafana", NOW - age * DAY, body)
        if derived:
            waiting = [one.id for one in notifications.waiting(connection, 10_000)]
            notifications.mark_derived(connection, waiting, NOW)


def there(database: Database) -> dict[int, Any]:
    with database.inbox.read() as connection:
        return {row.id: row for row in connection.execute(select(table).order_by(table.c.id))}


def lines(folder: Path) -> list[Line]:
    """As anybody reads them."""
    return [
        msgspec.json.decode(line, type=Line)
        for file in archive.files(folder)
        for line in gzip.decompress(file.read_bytes()).splitlines()
    ]


def move_all(database: Database, folder: Path, before: datetime = BEFORE, now: datetime = NOW) -> int:
    kept = Archive(folder)
    moved = 0
    while found := kept.move(database, before, now):
        moved += found
    return moved


def test_what_is_older_goes_with_all_that_is_known_of_it_and_the_rest_stays(database: Database, folder: Path) -> None:
    come(database, 400, 91, body="断\n".encode())
    with database.inbox.write() as connection:
        notifications.add(connection, "alertmanager", NOW - 100 * DAY, b"\xff\0", learnt="rule_series")
        notifications.refuse(connection, "alertmanager", NOW - 95 * DAY, b"{", "no JSON")
        notifications.mark_refused(connection, 3, "not UTF-8")
    come(database, 89, 0)
    assert move_all(database, folder) == 4
    assert list(there(database)) == [5, 6]
    assert [file.name for file in archive.files(folder)] == [
        "notifications-2025-10.jsonl.gz",
        "notifications-2026-08.jsonl.gz",
    ]
    found = {line.id: line for line in lines(folder)}
    assert found[1] == Line(1, NOW - 400 * DAY, "grafana", "断\n", derived_at=NOW)
    assert found[3] == Line(3, NOW - 100 * DAY, "alertmanager", None, "/wA=", "rule_series", "not UTF-8")
    assert (found[4].body, found[4].refused) == ("{", "no JSON")


def test_what_waits_stays_however_old_and_does_not_hold_up_what_came_later(database: Database, folder: Path) -> None:
    come(database, 300, derived=False)
    with database.inbox.write() as connection:
        notifications.refuse(connection, "grafana", NOW, b"{", "no JSON")
        connection.execute(
            text("UPDATE notifications SET id = 0 WHERE id = 2")
        )  # refused anew again and again: young, with an old number
    with database.inbox.write() as connection:
        for age in (299, 298, 1):
            notifications.add(connection, "grafana", NOW - age * DAY, b"{}")
        ids = [one.id for one in notifications.waiting(connection, 9)][1:]
        notifications.mark_derived(connection, ids, NOW)
    assert move_all(database, folder) == 2
    assert [(row.id, row.derived_at) for row in there(database).values()][:2] == [(0, None), (1, None)]
    assert len(there(database)) == 3


def test_one_of_a_clock_that_was_ahead_does_not_hold_up_those_behind_it(database: Database, folder: Path) -> None:
    come(database, -400, 100, 0)
    assert move_all(database, folder) == 1
    assert list(there(database)) == [1, 3]


def test_the_last_one_stays_so_that_no_number_is_given_twice(database: Database, folder: Path) -> None:
    come(database, 300, 299, 298)
    assert move_all(database, folder) == 2
    come(database, 0)
    assert list(there(database)) == [3, 4]


def test_a_refused_one_that_comes_again_while_it_is_moved_stays(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.inbox.write() as connection:
        notifications.refuse(connection, "grafana", NOW - 100 * DAY, b"{", "no JSON")
    come(database, 0)
    append = Archive._append

    def meanwhile(self: Archive, month: str, lines: bytes) -> None:
        append(self, month, lines)
        with database.inbox.write(beside=True) as connection:
            notifications.refuse(connection, "grafana", NOW, b"{", "no JSON")

    monkeypatch.setattr(Archive, "_append", meanwhile)
    Archive(folder).move(database, BEFORE, NOW)
    assert there(database)[1].times == 2


def test_chunks_are_small_whatever_lies_there(database: Database, folder: Path) -> None:
    come(database, *([100] * 450), 0)
    come(database, 100, 100, body=b"x" * archive.BYTES)
    come(database, 0)
    kept = Archive(folder)
    sizes = []
    while moved := kept.move(database, BEFORE, NOW):
        sizes.append(moved)
    assert sizes == [200, 200, 50]  # those behind one that is young wait for it
    come(database, 0)
    assert move_all(database, folder, before=NOW + DAY, now=NOW + 200 * DAY) == 4


def test_large_bodies_are_moved_few_at_a_time_however_small_they_are_kept(tmp_path: Path) -> None:
    database, folder = stores.opened(tmp_path), tmp_path / "archive"
    sizes = [10, archive.BYTES - 10, 10, archive.BYTES, 3 * archive.BYTES, 10, 10]
    with database.inbox.write() as connection:
        for size in sizes:
            notifications.add(connection, "grafana", BEFORE - DAY, b" " * size)
        notifications.mark_derived(connection, list(range(1, 1 + len(sizes))), NOW)
    kept, moved = Archive(folder), list[int]()
    while its := kept.move(database, BEFORE, NOW):
        moved.append(its)
    assert moved == [2, 1, 1, 1, 1]  # the last that came stays
    assert [len(line.body or "") for line in lines(folder)] == sizes[:-1]
    database.close()


bodies = st.binary(max_size=50) | st.text(max_size=20).map(lambda said: said.encode("utf-8", "surrogatepass"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(bodies, min_size=1, max_size=5))
def test_every_body_comes_back_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, sent: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("any")
    row = type("Row", (), {"id": 1, "received_at": NOW, "source": "grafana", "learnt": "webhook", "refused": None})
    row.times, row.derived_at = 1, None  # type: ignore[attr-defined]
    kept = Archive(folder)
    for body in sent:
        row.body = packed(body)  # type: ignore[attr-defined]
        kept._append("2026-11", b"".join(msgspec.json.encode(line) + b"\n" for line in archive._lines([row])))  # type: ignore[list-item]
    back = [line.body.encode() if line.body is not None else base64.b64decode(line.body_base64 or "") for line in lines(folder)]
    assert back == sent


KILLS = """if True:
    import os, signal, sys
    from datetime import datetime, timedelta
    from pathlib import Path
    from receiver.storage import archive
    from receiver.storage.archive import Archive
    from receiver.storage.database import Database
    url, folder, before, now, step = sys.argv[1], Path(sys.argv[2]), *map(datetime.fromisoformat, sys.argv[3:5]), int(sys.argv[5])
    archive.ROWS = 3
    database = Database(url)
    database.close()
    line = 0
    while True:
        line += step + line // 5  # each that was written twice makes the way longer
        pid = os.fork()
        if not pid:
            left = line
            def trace(frame, event, _):
                global left
                if frame.f_code.co_filename != archive.__file__:
                    return None
                left -= event == "line"
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return trace
            sys.settrace(trace)
            moved = Archive(folder).move(Database(url), before, now)
            os._exit(0 if moved else 3)
        status = os.waitpid(pid, 0)[1]
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
"""


def test_killed_at_any_line_nothing_is_lost_and_what_stands_twice_is_the_same(database: Database, folder: Path) -> None:
    come(database, *range(400, 350, -10), body=b'{"version": "1"}')
    come(database, 0)
    known = there(database)
    database.close()
    moments = [BEFORE.isoformat(), NOW.isoformat()]
    ended = 0
    while ended == 0:  # each time it got through a chunk
        ended = subprocess.run([sys.executable, "-c", KILLS, database.url, str(folder), *moments, "3"], check=False).returncode
        assert there(database).keys() | {line.id for line in lines_of_whole(folder)} == known.keys()
    assert ended == 3
    move_all(database, folder)
    found = lines(folder)
    assert {line.id for line in found} == known.keys() - {max(known)}
    assert len({msgspec.json.encode(line) for line in found}) == len(known) - 1
    assert len(found) > len(known) - 1, "some were written and not yet deleted when it was killed"


def lines_of_whole(folder: Path) -> list[Line]:
    """Where an end may be torn off."""
    found = []
    for file in archive.files(folder):
        with file.open("rb") as opened:
            end = archive._whole_end(opened, file.stat().st_size)
        found += gzip.decompress(file.read_bytes()[:end]).splitlines()
    return [msgspec.json.decode(line, type=Line) for line in found]


def test_a_torn_end_is_cut_off_wherever_it_was_torn(folder: Path) -> None:
    Archive(folder)._append("2026-08", b'{"id": 1}\n')
    (file,) = archive.files(folder)
    whole = file.read_bytes()
    member = archive._member(b'{"id": 9}\n')
    for torn in (
        *(member[:length] for length in range(1, len(member))),
        bytes(100),
        member[:-1] + b"\1",
        member[:22] + bytes(len(member) - 22),
    ):
        file.write_bytes(whole + torn)
        Archive(folder)._append("2026-08", b"{}\n")
        assert file.read_bytes() == whole + archive._member(b"{}\n"), len(torn)


def test_a_file_that_somebody_packed_anew_is_left_alone(database: Database, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "notifications-2026-08.jsonl.gz").write_bytes(gzip.compress(b'{"id": 0}\n'))
    come(database, 100, 0)
    before = (folder / "notifications-2026-08.jsonl.gz").read_bytes()
    move_all(database, folder)
    assert (folder / "notifications-2026-08.jsonl.gz").read_bytes() == before
    assert (folder / "notifications-2026-08.2.jsonl.gz").exists()


def test_a_full_disk_keeps_all_in_the_store_and_the_next_try_goes_on(database: Database, folder: Path) -> None:
    come(database, 100, body=os.urandom(3000))
    come(database, 99, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = Archive(folder)
    folder.mkdir(parents=True)
    known = there(database)
    append = Archive._append

    def on_a_full_disk(self: Archive, month: str, lines: bytes) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            append(self, month, lines)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    Archive._append = on_a_full_disk  # type: ignore[method-assign]
    try:
        with pytest.raises(OSError, match="too large"):
            kept.move(database, BEFORE, NOW)
    finally:
        Archive._append = append  # type: ignore[method-assign]
    assert there(database) == known
    assert archive.files(folder)[0].stat().st_size == 1000, "half of it was written"
    assert kept.move(database, BEFORE, NOW) == 2
    assert [line.id for line in lines(folder)] == [1, 2]


def test_one_that_lost_the_lead_deletes_nothing(tmp_path: Path, folder: Path, postgres: Any) -> None:
    url = postgres.url()
    with closing(Database(url)) as one, closing(Database(url)) as two:
        come(one, 100, 0)
        assert one.leads()
        one.resign()
        assert two.leads()
        with pytest.raises(StoreUnavailable, match="another receiver leads"):
            Archive(folder).move(one, BEFORE, NOW)
        assert len(there(two)) == 2
        assert move_all(two, folder) == 1
    assert [line.id for line in lines(folder)] == [1, 1]


def test_the_space_of_what_went_is_used_again(tmp_path: Path, folder: Path) -> None:
    with closing(stores.opened(tmp_path)) as database:
        sizes = []
        for month in range(4):
            come(database, *([300 - month] * 400), body=os.urandom(2000))
            move_all(database, folder)
            with database.inbox.read() as connection:
                sizes.append(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    assert sizes[-1] <= sizes[0] * 1.1


@pytest.fixture
def receiver(tmp_path: Path, each_store: str) -> Iterator[Receiver]:
    changes = {"archive_dir": str(tmp_path / "archive"), "keep_notifications_days": 90}
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url, **changes) as receiver:
        receiver.clock.fixed = NOW
        yield receiver


def test_the_worker_moves_what_is_older_than_the_setting_and_looks_again_in_an_hour(receiver: Receiver) -> None:
    folder = receiver.settings.archive_folder
    assert folder
    come(receiver.database, 91, 89, 0)
    with capture_logs() as logs:
        for _ in range(2):
            receiver.worker.archive(NOW)
    assert [line.id for line in lines(folder)] == [1]
    assert [(log["event"], log["notifications"]) for log in logs] == [("old notifications went to the archive", 1)]
    receiver.worker.archive(NOW + timedelta(minutes=59))
    later = NOW + 2 * DAY
    receiver.worker.archive(later)
    receiver.worker.archive(later)
    assert [line.id for line in lines(folder)] == [1, 2]


def test_an_archive_that_cannot_be_written_is_told_and_stops_nothing(receiver: Receiver) -> None:
    folder = receiver.settings.archive_folder
    assert folder
    come(receiver.database, 91, 0)
    folder.write_text("no folder")
    with capture_logs() as logs:
        receiver.worker.archive(NOW)
    assert "the archive cannot be written" in logs[0]["event"]
    assert len(there(receiver.database)) == 2
    folder.unlink()
    receiver.worker.archive(NOW + timedelta(hours=1))
    assert len(there(receiver.database)) == 1


def test_without_a_folder_all_stays(tmp_path: Path, each_store: str) -> None:
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url) as receiver:
        come(receiver.database, 1000, 0)
        receiver.worker.archive(NOW)
        left = len(there(receiver.database))
        # the disk of one of several is read by no other, and may go with it
        assert (receiver.settings.archive_folder is None, left) == ((True, 2) if each_store == "postgresql" else (False, 1))


def test_nothing_that_lives_hangs_on_what_went(receiver: Receiver) -> None:
    """An incident that is older than what the store keeps goes on, and its end finds it."""
    old = NOW - 100 * DAY
    receiver.clock.fixed = old
    fires = alert(0) | {"startsAt": old.isoformat()}
    body = msgspec.json.encode({"version": "4", "alerts": [fires]})
    with receiver.database.inbox.write() as connection:
        notifications.add(connection, "alertmanager", old, body)
    receiver.worker.step()
    come(receiver.database, 0)
    (before,) = receiver.incidents()
    move_all(receiver.database, receiver.settings.archive_folder or Path())
    assert len(there(receiver.database)) == 1
    receiver.clock.fixed = NOW
    ends = fires | {"status": "resolved", "endsAt": NOW.isoformat()}
    with receiver.database.inbox.write() as connection:
        notifications.add(connection, "alertmanager", NOW, msgspec.json.encode({"version": "4", "alerts": [ends]}))
    receiver.worker.step()
    (after,) = receiver.incidents()
    assert after["id"] == before["id"]


def test_a_backtest_replays_what_went_there_and_what_is_still_in_the_store(database: Database, folder: Path) -> None:
    body = msgspec.json.encode({"version": "1", "alerts": []})
    come(database, 200, 150, 100, 50, 0, body=body)
    with database.inbox.write() as connection:
        notifications.refuse(connection, "grafana", NOW - 149 * DAY, b"{", "no JSON")
        connection.execute(text("UPDATE notifications SET id = 7 WHERE id = 5"))
    with database.inbox.read() as connection:
        every = sources.of_database(database, None, None)
    assert move_all(database, folder) == 3
    Archive(folder)._append("2026-08", gzip.decompress(archive.files(folder)[-1].read_bytes()))  # a kill wrote it twice
    assert sources.of_database(database, NOW - 300 * DAY, NOW, folder) == every
    assert sources.of_database(database, NOW - 160 * DAY, NOW - 60 * DAY, folder) == every[1:3]
    assert sources.of_database(database, None, None, folder) == every[3:]
    assert sources.of_file(folder) == every[:3]
    assert sources.of_file(archive.files(folder)[-1]) == every[2:3]
    with database.inbox.write() as connection:
        connection.execute(delete(table))
    assert sources.of_database(database, NOW - 300 * DAY, NOW, folder) == every[:3]
