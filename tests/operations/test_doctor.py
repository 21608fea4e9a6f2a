"""The doctor asks everything that the receiver needs, says of each fault what to do, and leaves everything as it was."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.law.provisions import Text
from receiver.law.rulebook import shipped
from receiver.operations import doctor
from receiver.operations.doctor import Finding
from receiver.settings import (
    AlertmanagerSettings,
    AuthenticationSettings,
    GrafanaSettings,
    PrometheusSettings,
    SecretRef,
    Settings,
)
from receiver.settings.tickets import DirectoryTicket, WebhookTicket
from receiver.storage import heartbeat
from receiver.storage.database import Database
from tests.fakes.grafana import FakeGrafana
from tests.fakes.pages import FakePages
from tests.fakes.prometheus import FakePrometheus
from tests.stores import put_store

TOKEN = "glsa_secret0123456789"
ALERTS = "/api/v2/alerts"


class Site:
    """All of a receiver's surroundings in order; `changes` are of its settings."""

    def __init__(self, folder: Path, prometheus: FakePrometheus) -> None:
        self.folder = folder
        (folder / "token").write_text(TOKEN)
        (folder / "data").mkdir()
        put_store(folder / "data" / "art58.db")
        self.secret = SecretRef(file=str(folder / "token"))
        self.settings = Settings(
            data_dir=str(folder / "data"),
            prometheus=PrometheusSettings(url=prometheus.url),
            authentication=AuthenticationSettings(bearer_tokens=(self.secret,)),
        )
        database = Database(self.settings.database)
        with database.write() as connection:
            heartbeat.beat(connection, "tick", datetime.now(UTC))
        database.close()

    def examined(self, now: datetime | None = None, **changes: Any) -> list[Finding]:
        settings = msgspec.structs.replace(self.settings, **changes)
        return list(doctor.examine(settings, shipped(), lambda: now or datetime.now(UTC)))

    def faults(self, **changes: Any) -> list[tuple[str, str]]:
        return [(one.name, one.state) for one in self.examined(**changes) if one.state != "ok"]


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    with FakePrometheus() as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, prometheus: FakePrometheus) -> Site:
    return Site(tmp_path, prometheus)


def test_a_receiver_with_all_in_order_has_no_fault(site: Site, prometheus: FakePrometheus) -> None:
    found = site.examined()

    assert [one for one in found if one.state != "ok"] == []
    names = {one.name for one in found}
    assert {"store", "rulebooks", f"prometheus {prometheus.url}"} <= names


def test_prometheus_that_does_not_answer_has_failed_with_what_to_do(site: Site) -> None:
    (failed,) = (one for one in site.examined(prometheus=PrometheusSettings(url="http://127.0.0.1:9")) if one.state == "failed")

    assert failed.name == "prometheus http://127.0.0.1:9"
    assert failed.fault
    assert failed.cure


def test_each_further_address_of_prometheus_is_asked(site: Site, prometheus: FakePrometheus) -> None:
    also = PrometheusSettings(url=prometheus.url, also=("http://127.0.0.1:9",))

    assert site.faults(prometheus=also) == [("prometheus http://127.0.0.1:9", "failed")]


def test_something_else_at_the_address_of_prometheus_has_failed(site: Site) -> None:
    with FakePages({}, {}) as pages:
        (failed,) = (one for one in site.examined(prometheus=PrometheusSettings(url=pages.url)) if one.state == "failed")
        assert failed.name == f"prometheus {pages.url}"
        assert "Prometheus answered 4" in str(failed.fault)


@pytest.mark.parametrize(("seconds", "state"), [(0, None), (4, None), (8, "warning"), (-8, "warning"), (70, "failed")])
def test_a_clock_that_differs_is_a_warning_and_one_that_differs_much_a_failure(
    site: Site, prometheus: FakePrometheus, seconds: int, state: str | None
) -> None:
    now = datetime.fromtimestamp(int(time.time()), UTC) + timedelta(milliseconds=500)
    prometheus.now = now.timestamp() + seconds

    found = [one for one in site.examined(now) if one.state != "ok"]

    assert [one.state for one in found] == ([state] if state else [])
    assert all(one.fault and f"{seconds:+d} s" in one.fault.en for one in found)


def test_an_alertmanager_is_asked_for_alerts_that_there_are_none_of(site: Site) -> None:
    with FakePages({}, {ALERTS: lambda query: [] if query["filter"] == 'alertname="art58-doctor"' else 400}) as pages:
        assert site.faults(alertmanagers=(AlertmanagerSettings(url=pages.url),)) == []
        assert pages.written == []


def test_an_alertmanager_that_is_none_has_failed(site: Site) -> None:
    with FakePages({}, {ALERTS: {"status": "ok"}}) as pages:
        found = site.faults(alertmanagers=(AlertmanagerSettings(url=pages.url),))
        assert found == [(f"alertmanager {pages.url}", "failed")]


def test_a_receiver_at_rest_is_a_warning(site: Site) -> None:
    found = [one for one in site.examined(datetime.now(UTC) + timedelta(minutes=5)) if one.name == "store" and one.state != "ok"]

    assert [one.state for one in found] == ["warning"]
    assert found[0].cure == Text("受信機を起動してください: art58 serve", "Start the receiver: art58 serve")


def test_where_there_is_no_store_yet_none_is_made(site: Site) -> None:
    elsewhere = site.folder / "elsewhere"

    assert site.faults(data_dir=str(elsewhere)) == [("store", "warning")]
    assert not elsewhere.exists()


def test_a_store_that_others_keep_locked_has_failed(site: Site) -> None:
    other = Database(site.settings.database)
    with other.write():
        assert ("store", "failed") in site.faults()
    other.close()


def test_a_store_without_tables_has_failed(site: Site) -> None:
    (site.folder / "data" / "art58.db").write_bytes(b"")

    assert ("store", "failed") in site.faults()


def test_rules_past_the_day_of_their_check_have_failed(site: Site) -> None:
    late = [one for one in site.examined(datetime.now(UTC) + timedelta(days=4000)) if one.name.startswith("rules ")]

    assert late
    assert {one.state for one in late} == {"failed"}


def test_without_a_rulebook_of_today_it_has_failed(site: Site) -> None:
    found = list(doctor.examine(site.settings, (), lambda: datetime.now(UTC)))

    assert [one.state for one in found if one.name == "rulebooks"] == ["failed"]


def test_a_folder_for_tickets_is_looked_at_and_not_made(site: Site) -> None:
    folder = site.folder / "tickets" / "of" / "the" / "noc"

    assert site.faults(tickets=(DirectoryTicket(name="desk", path=str(folder)),)) == []
    assert not (site.folder / "tickets").exists()


def test_a_folder_that_cannot_be_written_has_failed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = site.folder / "tickets"
    folder.mkdir()
    # a mode would not do: root may write anywhere
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != folder)

    assert site.faults(tickets=(DirectoryTicket(name="desk", path=str(folder)),)) == [("target desk", "failed")]


def test_a_file_in_place_of_the_folder_has_failed(site: Site) -> None:
    (site.folder / "tickets").write_text("")

    found = site.examined(tickets=(DirectoryTicket(name="desk", path=str(site.folder / "tickets")),))

    (failed,) = (one for one in found if one.state == "failed")
    assert "is no folder" in str(failed.fault)


def _webhook(site: Site, url: str) -> WebhookTicket:
    (site.folder / "signing").write_text("whsec_" + "c2VjcmV0" * 6)
    return WebhookTicket(name="hook", url=url, secret=SecretRef(file=str(site.folder / "signing")))


def test_to_a_webhook_a_connection_is_made_and_nothing_sent(site: Site) -> None:
    with FakePages({}, {}) as pages:
        assert site.faults(tickets=(_webhook(site, pages.url),)) == []
        assert pages.asked == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://nowhere.invalid/x"])
def test_a_webhook_that_nobody_listens_on_has_failed(site: Site, url: str) -> None:
    assert site.faults(tickets=(_webhook(site, url),)) == [("target hook", "failed")]


def test_a_webhook_whose_tls_is_none_has_failed(site: Site) -> None:
    with FakePages({}, {}) as pages:
        found = site.faults(tickets=(_webhook(site, pages.url.replace("http:", "https:")),))
        assert found == [("target hook", "failed")]


def test_grafana_is_asked_for_annotations_and_each_dashboard_and_given_none(site: Site) -> None:
    with FakeGrafana(TOKEN, dashboards=("noc",)) as grafana:
        assert site.faults(grafana=GrafanaSettings(url=grafana.url, token=site.secret, dashboard_uid="noc")) == []
        assert {method for method, _, _ in grafana.requests} == {"GET"}
        assert grafana.annotations == {}


def test_a_dashboard_that_is_not_there_has_failed(site: Site) -> None:
    with FakeGrafana(TOKEN) as grafana:
        found = site.faults(grafana=GrafanaSettings(url=grafana.url, token=site.secret, dashboard_uid="nok"))
        assert found == [("target grafana", "failed")]


def test_a_wrong_token_has_failed_and_is_not_shown(site: Site) -> None:
    with FakeGrafana("another") as grafana:
        found = site.examined(grafana=GrafanaSettings(url=grafana.url, token=site.secret))
        assert [one.state for one in found if one.name == "target grafana"] == ["failed"]
        assert TOKEN not in str(found)


@pytest.mark.parametrize("api", ["legacy", "app", "auto"])
@pytest.mark.parametrize("dashboard_uid", ["noc", None])
@pytest.mark.parametrize("action", ["create", "write", "delete"])
def test_each_right_that_a_token_for_grafana_lacks_is_named(
    site: Site, api: Literal["legacy", "app", "auto"], dashboard_uid: str | None, action: str
) -> None:
    with FakeGrafana(TOKEN, dashboards=("noc",), app="legacy-sql") as grafana:
        settings = GrafanaSettings(url=grafana.url, token=site.secret, dashboard_uid=dashboard_uid, api=api)
        assert site.faults(grafana=settings) == []
        del grafana.may[f"annotations:{action}"]
        (failed,) = (one for one in site.examined(grafana=settings) if one.state == "failed")
        assert failed.fault == Text(f"不足: annotations:{action}", f"lacking: annotations:{action}")
        assert {method for method, _, _ in grafana.requests} == {"GET"}


def test_a_right_for_dashboards_alone_does_not_do_for_the_whole_organisation(site: Site) -> None:
    with FakeGrafana(TOKEN) as grafana:
        grafana.may["annotations:create"] = ["annotations:type:dashboard", "dashboards:*"]
        assert site.faults(grafana=GrafanaSettings(url=grafana.url, token=site.secret)) == [("target grafana", "failed")]


def test_an_older_grafana_that_tells_no_rights_has_no_fault(site: Site) -> None:
    dashboard = {"dashboard": {"uid": "noc"}, "meta": {}}
    with FakePages({}, {"/api/annotations": [], "/api/dashboards/uid/noc": dashboard}) as pages:
        for uid in ("noc", None):
            assert site.faults(grafana=GrafanaSettings(url=pages.url, token=site.secret, dashboard_uid=uid)) == []


@pytest.mark.parametrize(("panel_id", "found"), [(3, []), (4, []), (5, [("target grafana", "failed")])])
def test_a_panel_that_is_not_there_has_failed_also_in_a_row_that_is_folded_up(site: Site, panel_id: int, found: list[Any]) -> None:
    with FakeGrafana(TOKEN, dashboards=("noc",)) as grafana:
        grafana.panels = [{"id": 3}, {"id": 1, "type": "row", "panels": [{"id": 4}]}]
        settings = GrafanaSettings(url=grafana.url, token=site.secret, dashboard_uid="noc", panel_id=panel_id)
        assert site.faults(grafana=settings) == found


def test_a_grafana_without_the_newer_api_that_is_asked_for_has_failed_with_what_to_do(site: Site) -> None:
    with FakeGrafana(TOKEN) as grafana:
        settings = GrafanaSettings(url=grafana.url, token=site.secret, api="app")
        (failed,) = (one for one in site.examined(grafana=settings) if one.state == "failed")
        assert failed.cure
        assert "Set api to auto or legacy" in failed.cure.en


def test_a_namespace_that_is_another_organisations_has_failed(site: Site) -> None:
    with FakeGrafana(TOKEN, app="postgres") as grafana:
        settings = GrafanaSettings(url=grafana.url, token=site.secret, namespace="org-2")
        (failed,) = (one for one in site.examined(grafana=settings) if one.state == "failed")
        assert "invalid namespace" in str(failed.fault)


def _command(site: Site, *words: str, url: str) -> Result:
    config = site.folder / "config.yaml"
    config.write_text(
        f'prometheus: {{url: "{url}"}}\nauthentication: {{bearer_tokens: [{{file: token}}]}}\n'
        "services:\n  - {name: voice, kind: voice, emergency_calls: true, match: ['service=\"voice\"']}\n"
    )
    return CliRunner().invoke(main, ["doctor", "--config", str(config), *words])


def test_the_command_says_in_both_languages_how_it_is_and_ends_with_0(site: Site, prometheus: FakePrometheus) -> None:
    found = _command(site, url=prometheus.url)

    assert found.exit_code == 0, found.output
    assert "[正常 / ok] store: 書き込める / it can be written" in found.stdout
    assert "0 failed, 0 warning(s)" in found.stdout


def test_the_command_ends_with_1_where_a_check_failed_and_says_what_to_do(site: Site) -> None:
    found = _command(site, url="http://127.0.0.1:9")

    assert found.exit_code == 1
    assert "[異常 / failed] prometheus http://127.0.0.1:9" in found.stdout
    assert "動作とアドレス、認証（設定 prometheus）を確認してください" in found.stdout


def test_the_command_answers_machines_in_json(site: Site) -> None:
    found = _command(site, "--json", url="http://127.0.0.1:9")

    told = json.loads(found.stdout)
    assert (found.exit_code, told["ok"]) == (1, False)
    (failed,) = (one for one in told["checks"] if one["state"] == "failed")
    assert failed["name"] == "prometheus http://127.0.0.1:9"
    assert failed["cure"]["en"]
