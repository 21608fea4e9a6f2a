"""From the configuration to the places where annotations stand: several Grafanas, organisations, dashboards and panels."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver import settings as room
from receiver.delivery.opening_grafana import open_grafana
from receiver.delivery.targets.grafana import GrafanaAnnotations
from receiver.delivery.targets.grafana_app import GrafanaAppAnnotations
from receiver.delivery.targets.grafana_either import GrafanaEither
from receiver.settings import AuthenticationSettings, GrafanaSettings, PrometheusSettings, SecretRef, Settings
from receiver.settings.tickets import JiraServerTicket
from tests.fakes.grafana import FakeGrafana
from tests.samples import draft, say

TOKEN = "glsa_Zt7Qx0PvN4"


@pytest.fixture
def token(tmp_path: Path) -> SecretRef:
    (tmp_path / "token").write_text(TOKEN)
    return SecretRef(file=str(tmp_path / "token"))


def read(written: Any) -> GrafanaSettings | tuple[GrafanaSettings, ...]:
    return msgspec.convert(written, GrafanaSettings | tuple[GrafanaSettings, ...])


def one(**more: Any) -> dict[str, Any]:
    return {"url": "http://127.0.0.1:3000", "token": {"file": "token"}, **more}


def settings(grafana: Any, token: SecretRef) -> Settings:
    return Settings(
        prometheus=PrometheusSettings(url="http://127.0.0.1:9090"),
        authentication=AuthenticationSettings(bearer_tokens=(token,)),
        grafana=read(grafana),
    )


def test_one_is_written_as_itself_and_several_as_a_list(token: SecretRef) -> None:
    assert [found.name for found in settings(one(dashboard_uid="a", panel_id=3), token).grafanas] == ["grafana"]
    assert [found.name for found in settings([one(), one(name="branch")], token).grafanas] == ["grafana", "branch"]
    assert settings([], token).grafanas == ()


def test_every_place_is_a_target_by_a_name_of_its_own(token: SecretRef) -> None:
    places = [{"dashboard_uid": "a"}, {"name": "voice", "dashboard_uid": "b", "panel_id": 3, "services": ["voice"]}]
    (grafana,) = settings([one(places=places)], token).grafanas
    found = open_grafana(msgspec.structs.replace(grafana, token=token))
    assert [(route.target, route.services, route.objects) for route, _ in found] == [
        ("grafana", (), ("annotation", "annotation.major")),
        ("grafana:voice", ("voice",), ("annotation", "annotation.major")),
    ]
    assert [target.name for _, target in found] == ["grafana", "grafana:voice"]


@pytest.mark.parametrize(("api", "kind"), [("auto", GrafanaEither), ("legacy", GrafanaAnnotations), ("app", GrafanaAppAnnotations)])
def test_the_api_may_be_named(token: SecretRef, api: str, kind: type[Any]) -> None:
    (grafana,) = settings([one(api=api)], token).grafanas
    ((_, target),) = open_grafana(msgspec.structs.replace(grafana, token=token))
    assert isinstance(target, kind)


@pytest.mark.parametrize(
    ("org_id", "namespace", "used"), [(None, None, "default"), (4, None, "org-4"), (None, "stacks-9", "stacks-9")]
)
def test_an_organisation_has_its_namespace_and_its_header(
    token: SecretRef, org_id: int | None, namespace: str | None, used: str
) -> None:
    with FakeGrafana(TOKEN, dashboards=("a",), app="postgres", org_id=org_id or 1) as fake:
        assert fake.app
        fake.app.namespace = used
        grafana = GrafanaSettings(url=fake.url, token=token, dashboard_uid="a", org_id=org_id, namespace=namespace)
        ((_, target),) = open_grafana(grafana)
        say(target, target.create(draft()), draft(number=4))
        assert len(fake.shown) == 1


FAULTS: dict[str, tuple[Any, str, str]] = {
    "one name twice": ([one(), one()], "grafana/1/name", "'grafana' is taken"),
    "places beside a dashboard": (one(dashboard_uid="a", places=[{}]), "grafana/places", "stands beside dashboard_uid"),
    "a panel of nothing": (one(panel_id=3), "grafana/panel_id", "is a panel of no dashboard"),
    "a place that is a panel of nothing": (
        one(places=[{"panel_id": 3}]),
        "grafana/places/0/panel_id",
        "is a panel of no dashboard",
    ),
    "one place name twice": (
        one(places=[{"name": "a"}, {"name": "a", "dashboard_uid": "x"}]),
        "grafana/places/1/name",
        "'a' is taken",
    ),
    "two places without a name": (one(places=[{}, {"dashboard_uid": "x"}]), "grafana/places/1", "is left out a second time"),
    "one place twice": (
        [one(places=[{"dashboard_uid": "x"}, {"name": "a", "dashboard_uid": "x", "services": ["voice"]}])],
        "grafana/0/places/1/dashboard_uid",
        "is the same place as one above",
    ),
    "the same place in two entries": (
        [one(name="a", dashboard_uid="x"), one(name="b", places=[{}, {"name": "c", "dashboard_uid": "x"}])],
        "grafana/1/url",
        "is where 'a' writes",
    ),
    "no such token": (one(), "grafana/token", "cannot be read"),
    "no such token in a list": ([one()], "grafana/0/token", "cannot be read"),
}


@pytest.mark.parametrize(("written", "at", "wrong"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_said_with_its_place(token: SecretRef, tmp_path: Path, written: Any, at: str, wrong: str) -> None:
    elsewhere = settings(written, token).rooted(tmp_path / "elsewhere")
    found = [("/".join(map(str, path)), what) for path, what, _ in room.complaints(elsewhere)]
    assert any(path == at and wrong in what for path, what in found), found


def test_two_organisations_of_one_grafana_are_two_places(token: SecretRef) -> None:
    two = settings([one(name="a", dashboard_uid="x"), one(name="b", org_id=2, dashboard_uid="x")], token)
    assert not [what for _, what, _ in room.complaints(two) if "writes" in what]


@pytest.mark.parametrize(("other", "is_same"), [("noc", True), ("branch", False)])
def test_two_tickets_in_one_place_would_follow_each_other(token: SecretRef, other: str, is_same: bool) -> None:
    one, two = (
        JiraServerTicket(name=name, url=url, project=project.upper(), token=token)
        for name, url, project in (("a", "https://jira.example", "noc"), ("b", "https://jira.example/", other))
    )
    given = msgspec.structs.replace(settings([], token), tickets=(one, two))
    found = [path for path, what, _ in room.complaints(given) if "is where 'a' writes" in what]
    assert found == ([("tickets", 1, "project")] if is_same else [])


def test_a_ticket_system_cannot_have_the_name_of_a_grafana(token: SecretRef, tmp_path: Path) -> None:
    desk = room.DirectoryTicket(name="branch", path=str(tmp_path))
    taken = msgspec.structs.replace(settings([one(name="branch")], token), tickets=(desk,))
    assert any(path == ("tickets", 0, "name") and "'branch' is taken" in what for path, what, _ in room.complaints(taken))
