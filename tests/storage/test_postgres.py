"""PostgreSQL as the store of many: who leads, whose turn it is, what it says when it cannot serve, and how it is set."""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from receiver.catalogue import Catalogue
from receiver.incidents.derive import derive_waiting
from receiver.model import Delivery, Incident
from receiver.settings import AuthenticationSettings, PrometheusSettings, SecretRef, Settings
from receiver.storage import deliveries, heartbeat, incidents, notifications, topology
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.tables import metadata
from tests.postgres import PASSWORD, PostgresServer
from tests.receiver import SERVICES
from tests.samples import ASSESSED_AT as NOW
from tests.serving import until


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.url()


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., Database]]:
    """Further ones are as other processes have them."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(closing(Database(url, **changes)))


def count(database: Database) -> int:
    with database.read() as connection:
        return notifications.count_waiting(connection)


def test_only_one_leads_and_when_it_resigns_or_ends_another_does(opened: Callable[..., Database]) -> None:
    one, two = opened(), opened()
    assert (one.leads(), two.leads(), one.leads()) == (True, False, True)
    one.resign()
    until(two.leads)
    assert not one.leads()
    two.close()
    until(one.leads)


def test_another_process_writes_in_the_name_of_the_leader_as_long_as_it_leads(opened: Callable[..., Database]) -> None:
    one, its_own, two = opened(), opened(), opened()
    assert one.leads()
    its_own.follow(one.leader)
    with its_own.write() as connection:
        heartbeat.beat(connection, "tick", NOW)
    one.resign()
    until(two.leads)
    with pytest.raises(StoreUnavailable, match="another receiver leads by now"), its_own.write() as connection:
        heartbeat.beat(connection, "tick", NOW)


def test_whoever_lost_the_lead_without_a_word_writes_no_more_but_takes_in(
    opened: Callable[..., Database], postgres: PostgresServer, url: str
) -> None:
    one, two = opened(), opened()
    assert one.leads()
    name = url.rpartition("/")[2]
    holds = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {holds} AND datname = '{name}'")  # noqa: S608
    until(two.leads)
    with pytest.raises(StoreUnavailable, match="another receiver leads by now"), one.write() as connection:
        heartbeat.beat(connection, "tick", NOW)
    with one.write(beside=True) as connection:
        notifications.add(connection, "grafana", NOW, b"x")
    with two.write() as connection:
        heartbeat.beat(connection, "tick", NOW)
    with pytest.raises(StoreUnavailable, match="cannot be led"):
        one.leads()
    assert not one.leads()


def test_who_reads_before_it_writes_waits_for_its_turn_and_who_adds_does_not(opened: Callable[..., Database]) -> None:
    one, two = opened(), opened(busy_seconds=0.1)
    with one.write() as connection:
        notifications.add(connection, "grafana", NOW, b"one")
        with two.write(beside=True) as other:
            notifications.add(other, "grafana", NOW, b"two")
        assert count(two) == 1
        with pytest.raises(StoreUnavailable, match="lock timeout"), two.write():
            pass
    with two.write():
        assert count(two) == 2


@contextmanager
def busy(database: Database, number: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(database.read()).execute(text("SELECT 1"))
        yield


@pytest.mark.parametrize("most", [2, 4])
def test_when_all_connections_of_the_process_are_in_use_it_is_unavailable_for_that_time(
    opened: Callable[..., Database], most: int
) -> None:
    database = opened(busy_seconds=0.1, connections=most)
    with busy(database, most), pytest.raises(StoreUnavailable, match=f"all {most} connections"), database.read():
        pass
    assert count(database) == 0


def test_a_process_opens_as_many_connections_as_the_settings_say(url: str) -> None:
    settings = Settings(
        database_url=url,
        database_connections=2,
        prometheus=PrometheusSettings(url="http://127.0.0.1:9"),
        authentication=AuthenticationSettings(),
    )
    database = Database.of(settings, busy_seconds=0.1)
    with busy(database, 2), pytest.raises(StoreUnavailable, match="all 2 connections"), database.read():
        pass
    database.close()


def test_when_the_server_has_no_connection_left_it_is_unavailable_for_that_time(
    opened: Callable[..., Database], postgres: PostgresServer, url: str
) -> None:
    name = url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    with pytest.raises(StoreUnavailable, match="too many connections"):
        count(opened())
    postgres.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    assert count(opened()) == 0


def test_a_connection_that_was_cut_costs_one_try(opened: Callable[..., Database], postgres: PostgresServer, url: str) -> None:
    database = opened()
    assert count(database) == 0
    name = url.rpartition("/")[2]
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        until(lambda: count(database))
    assert count(database) == 0


def test_a_reader_writes_nothing(opened: Callable[..., Database]) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"), opened().read() as connection:
        heartbeat.beat(connection, "x", NOW)


def test_without_tables_or_rights_it_is_unavailable_not_broken(postgres: PostgresServer, url: str) -> None:
    with closing(Database(postgres.url(empty=True))) as empty, pytest.raises(StoreUnavailable, match="does not exist"):
        count(empty)
    stranger = url.replace("art58@", "keeper@")
    with (
        closing(Database(stranger, password=SecretRef(env="ART58_TEST_PASSWORD"))) as database,
        pytest.raises(StoreUnavailable, match="environment variable ART58_TEST_PASSWORD is empty or not set"),
    ):
        count(database)


def test_the_password_is_read_anew_for_each_connection_and_never_told(postgres: PostgresServer, url: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "x")
    database = Database(url.replace("art58@", "keeper@"), password=SecretRef(file=str(file)))
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        count(database)
    assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r} {database.engine!r} {vars(database)!r}"
    file.write_text(PASSWORD)
    with pytest.raises(StoreUnavailable, match="permission denied"):
        count(database)
    database.close()


def test_a_database_that_cannot_keep_japanese_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE euc OWNER art58 ENCODING 'EUC_JP' LOCALE 'C' TEMPLATE template0")
    with closing(Database(postgres.address("euc"))) as database, pytest.raises(StoreUnavailable, match="ENCODING 'UTF8'"):
        database.migrate()


def test_nothing_is_answered_before_it_is_on_disk_whatever_the_server_is_set_to(postgres: PostgresServer, url: str) -> None:
    name = url.rpartition("/")[2]
    for is_set, holds in (("off", "on"), ("remote_apply", "remote_apply")):
        postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = {is_set}")
        with closing(Database(url)) as database, database.write() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == holds


def test_who_is_gone_without_a_word_is_noticed_by_the_server_also_while_it_waits_for_a_receipt(postgres: PostgresServer) -> None:
    """Keepalives are for idle connections: what was sent and never acknowledged is sent again for a quarter of an hour."""
    with closing(Database(postgres.url())) as database, database.read() as connection:
        shown = {
            name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in ("tcp_keepalives_idle", "tcp_user_timeout")
        }
    assert shown == {"tcp_keepalives_idle": "10", "tcp_user_timeout": "20000"}


def test_each_delivery_is_claimed_by_one_of_many_that_do_not_wait_for_each_other(opened: Callable[..., Database]) -> None:
    database = opened()
    with database.write() as connection:
        for number in range(60):
            incidents.save(connection, Incident(f"inc-{number}", "c", None, "open", NOW, NOW, "starts_at"))
            deliveries.want(connection, Delivery(f"inc-{number}", "desk", "ticket", 1, 0, "owed", 0, NOW))
    claimed: list[str] = []

    def work(mine: Database, holder: str) -> None:
        while True:
            with mine.write(beside=True) as connection:
                delivery = deliveries.claim(connection, "desk", holder, NOW)
            if delivery is None:
                return
            claimed.append(delivery.incident_id)

    with opened().write(beside=True) as connection:  # one that takes long holds its own row only
        first = deliveries.claim(connection, "desk", "slow", NOW)
        assert first
        threads = [threading.Thread(target=work, args=(opened(), f"holder {number}")) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted([*claimed, first.incident_id]) == sorted(f"inc-{number}" for number in range(60))


def test_what_becomes_wanted_while_its_holder_records_is_sent_too(opened: Callable[..., Database]) -> None:
    one, two = opened(), opened()
    delivery = Delivery("inc-1", "desk", "ticket", 1, 0, "owed", 0, NOW)
    with one.write() as connection:
        incidents.save(connection, Incident("inc-1", "c", None, "open", NOW, NOW, "starts_at"))
        deliveries.want(connection, delivery)
        deliveries.claim(connection, "desk", "holder", NOW)
    with one.write(beside=True) as recording:
        deliveries.record_sent(recording, delivery, "holder", 1, delivery.remembered, NOW)
        planning = threading.Thread(target=_want, args=(two, Delivery("inc-1", "desk", "ticket", 2, 0, "owed", 0, NOW)))
        planning.start()
        planning.join(0.2)
        assert planning.is_alive()  # it waits for the row
    planning.join()
    with one.write(beside=True) as connection:
        assert deliveries.claim(connection, "desk", "holder", NOW)


def _want(database: Database, delivery: Delivery) -> None:
    with database.write() as connection:
        deliveries.want(connection, delivery)


def test_all_who_share_it_agree_on_the_time_of_its_clock(opened: Callable[..., Database]) -> None:
    ahead, behind = (lambda: datetime.now(UTC) + timedelta(hours=1)), (lambda: datetime.now(UTC) - timedelta(hours=1))
    told = [opened().clock(clock)() for clock in (ahead, behind)]
    assert abs(told[0] - told[1]) < timedelta(seconds=5)
    assert abs(told[0] - datetime.now(UTC)) < timedelta(seconds=5)


def test_replicas_that_start_at_once_make_the_tables_once(postgres: PostgresServer) -> None:
    url = postgres.url(empty=True)
    faults: list[BaseException] = []

    def migrate() -> None:
        try:
            with closing(Database(url, busy_seconds=20)) as database:
                database.migrate()
        except BaseException as error:  # noqa: BLE001 - told below
            faults.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with closing(Database(url)) as database, database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = {(what, index.name) for what, index in compare_metadata(context, metadata)}
        assert found == {("remove_index", "alerts_of_cause_hashed"), ("add_index", "alerts_of_cause")}
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
        order = (
            "SELECT DISTINCT collation_name FROM information_schema.columns WHERE data_type = 'text' AND table_schema = 'public'"
        )
        assert list(connection.execute(text(order)).scalars()) == ["C"]


def test_a_view_does_not_change_while_it_is_looked_at(opened: Callable[..., Database]) -> None:
    database = opened()
    with database.read() as view:
        assert notifications.count_waiting(view) == 0
        with database.write() as connection:
            notifications.add(connection, "grafana", NOW, b"x")
        assert notifications.count_waiting(view) == 0
    assert count(database) == 1


def test_a_fault_within_a_transaction_leaves_nothing_of_it(opened: Callable[..., Database]) -> None:
    database = opened()

    def fail_halfway() -> None:
        with database.write() as connection:
            notifications.add(connection, "grafana", NOW, b"half")
            raise LookupError

    with pytest.raises(LookupError):
        fail_halfway()
    assert count(database) == 0


def test_two_writers_lose_no_update_of_each_other(opened: Callable[..., Database]) -> None:
    database = opened()
    with database.write() as connection:
        heartbeat.beat(connection, "sum", NOW)

    def add(mine: Database) -> None:
        for _ in range(50):
            with mine.write() as connection:
                known = heartbeat.last(connection, "sum")
                assert known
                heartbeat.beat(connection, "sum", known + timedelta(seconds=1))

    threads = [threading.Thread(target=add, args=(opened(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert heartbeat.last(connection, "sum") == NOW + timedelta(seconds=100)


def test_what_two_transactions_wait_for_of_each_other_is_given_up_by_one(opened: Callable[..., Database]) -> None:
    one, two = opened(), opened()
    with one.write(beside=True) as connection:
        heartbeat.beat(connection, "a", NOW)
        heartbeat.beat(connection, "b", NOW)
    faults: list[StoreUnavailable] = []
    both = threading.Barrier(2)

    def beat(mine: Database, *names: str) -> None:
        try:
            with mine.write(beside=True) as connection:
                heartbeat.beat(connection, names[0], NOW)
                both.wait()
                heartbeat.beat(connection, names[1], NOW)
        except StoreUnavailable as error:
            faults.append(error)

    threads = [threading.Thread(target=beat, args=(mine, *names)) for mine, names in ((one, "ab"), (two, "ba"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["deadlock" in str(fault) for fault in faults] == [True]


def test_what_its_holder_records_while_more_becomes_wanted_hides_none_of_it(opened: Callable[..., Database]) -> None:
    one, two = opened(), opened()
    delivery = Delivery("inc-1", "desk", "ticket", 1, 0, "owed", 0, NOW)
    with one.write() as connection:
        incidents.save(connection, Incident("inc-1", "c", None, "open", NOW, NOW, "starts_at"))
        deliveries.want(connection, delivery)
        deliveries.claim(connection, "desk", "holder", NOW)

    def record() -> None:
        with two.write(beside=True) as connection:
            deliveries.record_sent(connection, delivery, "holder", 1, delivery.remembered, NOW)

    with one.write() as planning:
        deliveries.want(planning, Delivery("inc-1", "desk", "ticket", 2, 0, "owed", 0, NOW))
        recording = threading.Thread(target=record)
        recording.start()
        recording.join(0.2)
        assert recording.is_alive()  # it waits for the row
    recording.join()
    with one.write(beside=True) as connection:
        assert deliveries.claim(connection, "desk", "holder", NOW)


def test_a_name_of_any_length_is_derived_and_stops_nothing(opened: Callable[..., Database]) -> None:
    database = opened()
    name = secrets.token_hex(5000)
    told = {
        "status": "firing",
        "labels": {"alertname": "Down", "service": "voice", "equipment": name},
        "startsAt": NOW.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "f" * 128,
    }
    with database.write(beside=True) as connection:
        notifications.add(connection, "alertmanager", NOW, json.dumps({"version": "4", "alerts": [told]}).encode())
    assert derive_waiting(database, Catalogue(SERVICES), timedelta(hours=1), NOW) == 1
    with database.write() as connection:
        topology.learn(connection, "equipment", {name: None, "a": name, "b": "c"}, NOW)
    with database.read() as connection:
        assert [incident.equipment for incident in incidents.living(connection)] == [name]
        assert topology.parents(connection, "equipment", [name, "a", "b"]) == {"b": "c"}
