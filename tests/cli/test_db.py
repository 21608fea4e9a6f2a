"""`art58 db`: a person sees how the store stands, and brings its tables up, or down when nobody works on it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.model import Delivery
from receiver.storage import deliveries, heartbeat, incidents, notifications, schema
from receiver.storage.database import Database, StoreUnavailable
from tests import stores
from tests.apps import alert, incident
from tests.postgres import PASSWORD, PostgresServer
from tests.samples import ASSESSED_AT as NOW
from tests.samples import assessment
from tests.serving import VOICE, Served

REVISIONS = schema.revisions()


class Keeper:
    """Somebody who looks after the store of this folder; `database` is as a receiver has it open."""

    def __init__(self, folder: Path, url: str | None, **changes: Any) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "token").write_text("any")
        self.url = url or f"sqlite:///{folder}/data/art58.db"
        self.config = folder / "config.yaml"
        document = {
            "prometheus": {"url": "http://127.0.0.1:9"},
            "authentication": {"bearer_tokens": [{"file": "token"}]},
            "services": [VOICE],
        }
        self.config.write_text(yaml.safe_dump(document | ({"database_url": url} if url else {}) | changes))

    def __call__(self, *words: str, **ways: Any) -> Result:
        return CliRunner().invoke(main, ["db", words[0], "--config", str(self.config), *words[1:]], **ways)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return answer

    def opened(self) -> Database:
        return Database(self.url)


@pytest.fixture
def keeper(tmp_path: Path, each_store: str) -> Keeper:
    """Of a store that has no tables yet."""
    server: Callable[..., str] | None = stores.on_server[-1] if stores.on_server else None
    return Keeper(tmp_path, server(empty=True) if server else None)


@pytest.fixture
def database(keeper: Keeper) -> Iterator[Database]:
    assert keeper("migrate").exit_code == 0
    with closing(keeper.opened()) as database:
        yield database


def fill(database: Database) -> None:
    with database.inbox.write() as connection:
        notifications.add(connection, "grafana", NOW, b"{}", learnt="rule_series")
        notifications.refuse(connection, "alertmanager", NOW, b"{", "no JSON")
    with database.write() as connection:
        incidents.save(connection, incident())
        incidents.save_alerts(connection, [alert()])
        incidents.append(connection, assessment())
        deliveries.want(connection, Delivery("inc-1", "desk", "ticket", 1, 0, "owed", 0, NOW))
        heartbeat.beat(connection, "tick", NOW)


def test_status_tells_rows_what_waits_and_when(keeper: Keeper, database: Database, each_store: str) -> None:
    fill(database)
    found = keeper.status()
    assert found["ok"]
    assert found["wrong"] is None
    assert found["kind"].lower().startswith(each_store)
    assert found["rows"] == dict.fromkeys(found["rows"], 1) | {"notifications": 2, "acts": 0, "equipment_parents": 0}
    assert found["waiting"] == 1
    assert (
        found["oldest_notification"] == found["newest_notification"] == found["last_tick"] == NOW.isoformat().replace("+00:00", "Z")
    )
    addresses = [keeper.url, keeper.url.replace("art58.db", "art58-inbox.db")] if each_store == "sqlite" else [keeper.url]
    assert [(part["address"], part["revision"]) for part in found["parts"]] == [(one, REVISIONS[-1]) for one in addresses]
    assert found["parts"][0]["size_bytes"] > 10_000
    said = keeper("status")
    assert said.exit_code == 0
    assert "1 notifications" in said.stdout
    assert "2026-" in said.stdout


def test_status_tells_who_judges(keeper: Keeper, database: Database, each_store: str) -> None:
    assert keeper.status()["leader"] is None
    assert database.leads()
    leader = keeper.status()["leader"]
    assert leader is None if each_store == "sqlite" else "from 127.0.0.1 since" in leader


def test_status_without_tables_or_with_older_ones_is_1_and_says_what_to_do(keeper: Keeper) -> None:
    first = keeper("status")
    assert first.exit_code == 1
    assert "art58 db migrate" in first.stderr
    assert not (keeper.config.parent / "data").exists(), "looking makes no file"
    keeper("migrate", "--to", REVISIONS[0])
    older = keeper("status")
    assert (older.exit_code, f"{REVISIONS[0]}, and this version wants {REVISIONS[-1]}" in older.stderr) == (1, True)
    assert (keeper.status()["ok"], keeper.status()["rows"]) == (False, {})


def test_to_look_at_a_store_without_an_inbox_makes_none(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, None)
    keeper("migrate")
    (tmp_path / "data" / "art58-inbox.db").unlink()
    looked = keeper("status")
    assert (looked.exit_code, "art58-inbox.db: it has no tables yet" in looked.stderr) == (1, True)
    assert not (tmp_path / "data" / "art58-inbox.db").exists()


def test_commands_refuse_a_store_of_an_older_version(keeper: Keeper) -> None:
    """Its rows may mean something else to this one, and what this one writes to an older one."""
    keeper("migrate", "--to", REVISIONS[0])
    runner = CliRunner()
    for words in (["incidents"], ["deliveries"], ["act", "list", "20261121-anyone"]):
        answer = runner.invoke(main, [*words, "--config", str(keeper.config)])
        assert answer.exit_code == 1
        assert f"older than this version ({REVISIONS[0]}, not {REVISIONS[-1]})" in answer.stderr
        assert "art58 db migrate" in answer.stderr.splitlines()[1], "in Japanese, too"
    told = json.loads(runner.invoke(main, ["incidents", "--json", "--config", str(keeper.config)]).stdout)
    assert (told["ok"], "古い" in told["wrong_ja"]) == (False, True)


def test_commands_refuse_a_store_of_a_newer_version(keeper: Keeper, database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    answer = CliRunner().invoke(main, ["incidents", "--config", str(keeper.config)])
    assert (answer.exit_code, "revision 0999" in answer.stderr) == (1, True)


def test_a_store_of_a_newer_version_is_told_and_left_alone(keeper: Keeper, database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    for words in (("status",), ("migrate",), ("migrate", "--to", REVISIONS[0])):
        answer = keeper(*words)
        assert answer.exit_code == 1
        assert "revision 0999, and this version of art58 knows none after" in answer.stderr
    with pytest.raises(StoreUnavailable, match="0999"):
        database.migrate()


def test_an_unreachable_server_is_told_with_its_address_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret-of-the-base")
    keeper = Keeper(tmp_path, "postgresql://art58@127.0.0.1:9/art58", database_password={"file": "password"})
    for words in (("status",), ("status", "--json"), ("migrate",)):
        answer = keeper(*words)
        assert answer.exit_code == 1
        assert "postgresql://art58@127.0.0.1:9/art58" in answer.output
        assert "Check database_url" in answer.output
        assert "secret-of-the-base" not in answer.output


def test_an_option_that_libpq_does_not_know_is_refused_without_its_value(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, "postgresql://art58@127.0.0.1:9/art58?pasword=typed-by-mistake")
    answer = keeper("status")
    assert (answer.exit_code, "libpq does not know: pasword" in answer.output) == (1, True)
    assert "typed-by-mistake" not in answer.output


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    answer = Keeper(tmp_path, None, data_dir="/proc/nowhere")("migrate")
    assert (answer.exit_code, "/proc/nowhere/art58.db: its folder cannot be made" in answer.output) == (1, True)


def test_a_password_is_never_shown(postgres: PostgresServer, tmp_path: Path) -> None:
    name = postgres.url().rpartition("/")[2]
    postgres.execute(f"GRANT ALL ON DATABASE {name} TO keeper")
    postgres.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO keeper", name)
    (tmp_path / "password").write_text(PASSWORD)
    keeper = Keeper(tmp_path, postgres.address(name, "keeper"), database_password={"file": "password"})
    for answer in (keeper("status"), keeper("status", "--json")):
        assert answer.exit_code == 0
        assert PASSWORD not in answer.output


def test_migrate_goes_up_once_however_many_start_at_the_same_time(keeper: Keeper) -> None:
    databases = [keeper.opened() for _ in range(4)]
    faults: list[Exception] = []

    def up(database: Database) -> None:
        try:
            database.migrate()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to show it
            faults.append(error)

    threads = [threading.Thread(target=up, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    assert faults == []
    assert keeper.status()["ok"]
    assert "as wanted" in keeper("migrate").stdout


def test_down_tells_what_it_loses_and_asks(keeper: Keeper, database: Database) -> None:
    fill(database)
    database.close()
    no = keeper("migrate", "--to", REVISIONS[0], input="n\n")
    assert no.exit_code == 1
    assert "notifications.learnt (1 rows hold something there)" in no.stderr
    assert "nothing was changed" in no.stderr
    assert keeper.status()["rows"]["notifications"] == 2
    yes = keeper("migrate", "--to", REVISIONS[0], input="y\n")
    assert (yes.exit_code, keeper.status()["parts"][0]["revision"]) == (0, REVISIONS[0])
    assert keeper("migrate").exit_code == 0
    assert keeper.status()["rows"]["notifications"] == 2


def test_down_where_nobody_can_answer_changes_nothing_and_says_how_to_go_on(keeper: Keeper, database: Database) -> None:
    fill(database)
    database.close()
    answer = keeper("migrate", "--to", REVISIONS[0], input="")
    assert (answer.exit_code, "--yes" in answer.stderr) == (1, True)
    assert keeper.status()["ok"]


def test_down_to_nothing_without_asking_loses_every_table_and_says_so(keeper: Keeper, database: Database) -> None:
    fill(database)
    database.close()
    answer = keeper("migrate", "--to", "base", "--yes")
    assert answer.exit_code == 0, answer.output
    assert "notifications (2 rows" in answer.stderr
    assert keeper.status()["parts"][0]["revision"] is None


def test_down_that_loses_nothing_does_not_ask(keeper: Keeper, database: Database) -> None:
    database.close()
    answer = keeper("migrate", "--to", REVISIONS[1])
    assert (answer.exit_code, answer.stderr) == (0, "")


def test_down_is_refused_while_anybody_has_the_store_open(keeper: Keeper, database: Database) -> None:
    with database.read() as connection:
        notifications.count_waiting(connection)  # from now on it has an idle connection, as a receiver between two requests
    answer = keeper("migrate", "--to", REVISIONS[0], "--yes")
    assert answer.exit_code == 1
    assert "Stop the receiver" in answer.stderr
    assert keeper.status()["ok"]


def test_down_is_refused_while_a_receiver_runs(keeper: Keeper, each_store: str) -> None:
    changes = {"database_url": keeper.url} if each_store == "postgresql" else {"data_dir": str(keeper.config.parent / "data")}
    with Served(keeper.config.parent / "served", **changes):
        answer = keeper("migrate", "--to", REVISIONS[0], "--yes")
    assert (answer.exit_code, "Stop the receiver" in answer.stderr) == (1, True)
    assert keeper.status()["ok"]


def test_a_revision_that_nobody_knows_is_a_wrong_call(keeper: Keeper) -> None:
    answer = keeper("migrate", "--to", "0x")
    assert (answer.exit_code, "It knows base, 0001" in answer.stderr) == (2, True)


def test_a_copy_tells_which_of_the_two_stores_is_at_fault(keeper: Keeper, database: Database, tmp_path: Path) -> None:
    database.close()
    (tmp_path / "broken" / "data").mkdir(parents=True)
    broken = Keeper(tmp_path / "broken", None)
    (tmp_path / "broken" / "data" / "art58.db").write_text("this is no database")
    answer = broken("copy", "--to", str(keeper.config))
    assert (answer.exit_code, "broken/data/art58.db: file is not a database. Check the file" in answer.stderr) == (1, True)
    newer = Keeper(tmp_path / "newer", None)
    assert newer("migrate").exit_code == 0
    with closing(newer.opened()) as source, source.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    answer = newer("copy", "--to", str(keeper.config))
    assert (answer.exit_code, answer.stderr.startswith("the source is of a newer version")) == (1, True)
