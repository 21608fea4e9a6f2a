"""The same annotations by either of Grafana's APIs, over each of its stores: one for each incident and place, whatever dies or is
edited by persons in between; one more at the moment from which it may be major."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from receiver.delivery.dispatcher import Dispatcher
from receiver.delivery.follow import GONE_AFTER, UNSURE, Policy
from receiver.delivery.plan import Route, plan
from receiver.delivery.targets import Refused, Target, http
from receiver.delivery.targets.annotations import Place, fields
from receiver.delivery.targets.grafana import GrafanaAnnotations
from receiver.delivery.targets.grafana_app import GrafanaAppAnnotations
from receiver.delivery.targets.grafana_either import GrafanaEither, Question
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.model import Delivery
from receiver.storage import deliveries
from receiver.storage import incidents as store
from tests.delivery.test_dispatcher import Desk, Killed, incident_of
from tests.fakes.grafana import FakeGrafana
from tests.fakes.grafana_app import LegacySql, Postgres, StoreKind
from tests.samples import RESTORED_AT, STARTED_AT, assessment, draft, say

TOKEN = "glsa_Zt7Qx0PvN4"
MINUTE = 60_000
START = int(STARTED_AT.timestamp() * 1000)
WAYS = ("legacy", "app over postgres", "app over legacy-sql", "found out: app", "found out: legacy")


def at(grafana: FakeGrafana, way: str, uid: str | None = "art58", panel: int | None = 3, **how: Any) -> Target:
    """The target of a place, by this API."""
    name = how.pop("name", "grafana")
    legacy = GrafanaAnnotations(name, grafana.url, TOKEN, uid, panel, 5, **how)
    app = GrafanaAppAnnotations(name, grafana.url, TOKEN, uid, panel, 5, **how)
    if way.startswith("found out"):
        return GrafanaEither(legacy, app, Question(name, grafana.url, TOKEN, 5))
    return legacy if way == "legacy" else app


STORES: dict[str, StoreKind] = {
    "app over postgres": "postgres",
    "app over legacy-sql": "legacy-sql",
    "found out: app": "postgres",
}


class Board(Desk):
    """A store with the dispatcher of one place in front of it."""

    def __init__(self, folder: Path, grafana: FakeGrafana, way: str) -> None:
        super().__init__(folder)
        self.grafana = grafana
        self.way = way
        self.routes: list[tuple[Route, Target]] = [(Route("grafana", "annotation", major=True), at(grafana, way))]

    def assess(self, number: int, **changes: Any) -> None:
        sample = assessment(number=number, **changes)
        with self.database.write() as connection:
            store.save(connection, incident_of(sample))
            store.append(connection, sample)
        plan(self.database, tuple(route for route, _ in self.routes), self.now)

    def dispatcher(self, target: Target | None = None, holder: str = "one", policy: Policy = Policy()) -> Dispatcher:  # noqa: B008
        return super().dispatcher(target or self.routes[0][1], holder, policy)

    def send_all(self) -> None:
        for _, target in self.routes:
            dispatcher = self.dispatcher(target)
            while dispatcher.send_next():
                pass

    def rows(self) -> dict[tuple[str, str], Delivery]:
        with self.database.read() as connection:
            return {(row.target, row.object): row for row in deliveries.of_incidents(connection, ["inc-1"])}

    def marked(self, key: str) -> list[dict[str, Any]]:
        """What persons see under a key, and where it ends."""
        return [{"timeEnd": one["time"], **one} for one in self.grafana.shown if f"a58:{key}" in one["tags"]]

    @property
    def one(self) -> dict[str, Any]:
        (found,) = self.marked("inc-1")
        return found

    def edit(self, **spec: Any) -> None:
        """A person changes the only one, or takes it away."""
        if self.grafana.annotations:
            (row,) = self.grafana.annotations.values()
            row |= spec
        else:
            (resource,) = self.grafana.postgres.all()
            resource["spec"] |= spec


NEITHER = {"verdict": Verdict.PERIODIC, "major_since": None}


@pytest.fixture(params=WAYS)
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Board]:
    with FakeGrafana(TOKEN, dashboards=("art58", "other"), app=STORES.get(request.param)) as grafana:
        board = Board(tmp_path, grafana, request.param)
        yield board
        board.database.close()


@contextlib.contextmanager
def dies(monkeypatch: pytest.MonkeyPatch, at_call: int, *, done: bool) -> Iterator[None]:
    """The process ends at this call, before or after it did its work; not at all where there are fewer."""
    real, calls = http.call, iter(range(1, 1000))

    def call(*given: Any, **how: Any) -> bytes:
        last = next(calls) == at_call
        if last and not done:
            raise Killed
        answer = real(*given, **how)
        if last:
            raise Killed
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(http, "call", call)
        with contextlib.suppress(Killed):
            yield


def test_a_point_while_it_lasts_retagged_with_the_verdict_and_a_region_when_it_is_over(board: Board) -> None:
    board.assess(1, **NEITHER)
    board.send_all()
    point = board.one
    assert (point["time"], point["timeEnd"], point["dashboardUID"]) == (START, START, "art58")
    assert {"art58", "verdict:periodic", "service:voice"} <= set(point["tags"])
    board.assess(2, verdict=Verdict.NONE, major_since=None)
    board.send_all()
    assert "verdict:none" in board.one["tags"]
    assert "verdict:periodic" not in board.one["tags"]
    board.assess(3, verdict=Verdict.NONE, major_since=None, state="closed", restored_at=RESTORED_AT)
    board.send_all()
    region = board.one
    assert (region["time"], region["timeEnd"], region["dashboardUID"]) == (START, START + 90 * MINUTE, "art58")
    assert board.row().state == "sent"


def test_one_that_is_learnt_when_it_is_over_stands_in_the_past_as_a_region(board: Board) -> None:
    board.assess(1, **NEITHER, state="closed", restored_at=RESTORED_AT)
    board.send_all()
    assert (board.one["time"], board.one["timeEnd"]) == (START, START + 90 * MINUTE)


def test_an_outage_that_goes_on_is_a_point_again(board: Board) -> None:
    board.assess(1, **NEITHER, state="closed", restored_at=RESTORED_AT)
    board.send_all()
    board.assess(2, **NEITHER)
    board.send_all()
    assert (board.one["time"], board.one["timeEnd"]) == (START, START)


@pytest.mark.parametrize("done", [False, True], ids=["before the work", "after the work"])
@pytest.mark.parametrize("at_call", range(1, 7))
def test_killed_at_any_call_of_a_move_there_is_one_with_the_right_times(
    board: Board, monkeypatch: pytest.MonkeyPatch, at_call: int, done: bool
) -> None:
    board.assess(1, **NEITHER)
    board.send_all()
    board.edit(tags=[*board.one["tags"], "core-team"])
    board.assess(2, **NEITHER, state="closed", restored_at=RESTORED_AT)
    with dies(monkeypatch, at_call, done=done):
        board.send_all()
    board.now += deliveries.CLAIM
    board.send_all()
    assert (board.one["time"], board.one["timeEnd"]) == (START, START + 90 * MINUTE)
    assert "core-team" in board.one["tags"]
    assert board.row().state == "sent"
    # and it is followed on
    board.assess(3, verdict=Verdict.NONE, major_since=None, state="closed", restored_at=RESTORED_AT)
    board.send_all()
    assert {"verdict:none", "core-team"} <= set(board.one["tags"])


@pytest.mark.parametrize("at_call", range(1, 6))
def test_killed_at_any_call_of_the_making_there_is_one(board: Board, monkeypatch: pytest.MonkeyPatch, at_call: int) -> None:
    board.assess(1, **NEITHER)
    with dies(monkeypatch, at_call, done=True):
        board.send_all()
    board.now += deliveries.CLAIM
    board.send_all()
    board.now += UNSURE
    board.send_all()
    assert board.one["time"] == START
    assert board.row().state == "sent"


def test_what_persons_wrote_stays_also_where_it_is_made_anew(board: Board) -> None:
    board.assess(1, **NEITHER)
    board.send_all()
    tags = [tag for tag in board.one["tags"] if tag != "service:voice"]
    board.edit(text="山田: 回線業者の工事", tags=[*tags, "vendor"])
    board.assess(2, verdict=Verdict.NONE, major_since=None, state="closed", restored_at=RESTORED_AT)
    board.send_all()
    assert board.one["text"] == "山田: 回線業者の工事"
    assert {"vendor", "verdict:none"} <= set(board.one["tags"])
    assert "service:voice" not in board.one["tags"], "taken out by a person"
    assert board.one["timeEnd"] == START + 90 * MINUTE


@pytest.mark.parametrize("edited", [False, True], ids=["as made", "edited"])
def test_after_a_lost_store_it_is_found_again_and_what_persons_wrote_stays(board: Board, edited: bool, tmp_path: Path) -> None:
    board.assess(1, **NEITHER)
    board.send_all()
    if edited:
        board.edit(text="山田: 回線業者の工事", tags=[*board.one["tags"], "vendor"])
    (tmp_path / "new").mkdir()
    lost, board = board, Board(tmp_path / "new", board.grafana, board.way)
    lost.database.close()
    board.assess(2, verdict=Verdict.NONE, major_since=None, state="closed", restored_at=RESTORED_AT)
    board.send_all()
    tags = set(board.one["tags"])
    assert "verdict:none" in tags
    if edited:
        assert board.one["text"] == "山田: 回線業者の工事"
        assert "vendor" in tags
    else:
        assert "verdict:periodic" not in tags
        assert board.one["timeEnd"] == START + 90 * MINUTE
    board.database.close()


def test_one_that_a_person_deleted_is_not_made_again(board: Board) -> None:
    board.assess(1, **NEITHER)
    board.send_all()
    board.grafana.annotations.clear()
    if board.grafana.app and isinstance(board.grafana.app.store, Postgres):
        for resource in board.grafana.app.store.rows.values():
            resource["metadata"]["deletionTimestamp"] = "2026-11-21T04:00:00Z"
    board.assess(2, verdict=Verdict.NONE, major_since=None)
    board.send_all()
    board.now += GONE_AFTER
    board.send_all()
    assert board.marked("inc-1") == []
    assert board.row().remembered.gone


@pytest.mark.parametrize("edited", [{}, {"text": "山田: 参照中"}, {"tags": "more"}], ids=["as made", "other text", "more tags"])
def test_of_doubles_only_one_stays_unless_a_person_changed_the_other(
    board: Board, monkeypatch: pytest.MonkeyPatch, edited: dict[str, Any]
) -> None:
    board.assess(1, **NEITHER)
    asked = board.way.startswith("found out: ")
    with dies(monkeypatch, 3, done=True):  # a look, the dashboard, then the making of which nobody knows
        board.send_all()
    assert asked or len(board.marked("inc-1")) == 1
    board.now += deliveries.CLAIM
    board.send_all()
    # a second one turns up late, as where another one had made it too
    sample = draft()
    late = board.routes[0][1].create(sample)
    seen = board.routes[0][1].read(late)
    assert seen
    if edited:
        tags = [*seen.fields["tags"], "mine"] if "tags" in edited else seen.fields["tags"]
        _edit(board, late, {"text": edited.get("text", seen.fields["text"]), "tags": tags})
    board.now += UNSURE
    board.send_all()
    assert len(board.marked("inc-1")) == (2 if edited else 1)


def _edit(board: Board, remote_id: str, spec: dict[str, Any]) -> None:
    name = remote_id.rpartition("/")[2]
    if board.grafana.app and isinstance(board.grafana.app.store, Postgres):
        board.grafana.app.store.rows[name]["spec"] |= spec
    else:
        board.grafana.annotations[int(name.removeprefix("a-"))] |= spec


def test_the_only_one_is_no_double_and_stays(board: Board) -> None:
    target: Any = board.routes[0][1]
    remote_id = target.create(draft())
    target.remove(remote_id)
    assert len(board.marked("inc-1")) == 1


def test_every_place_has_its_own_and_none_is_the_others_double(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[tuple[str | None, int | None]] = [("art58", 4), ("other", None), (None, None)]
    for uid, panel in places:
        name = f"grafana:{uid}-{panel}"
        board.routes.append((Route(name, "annotation"), at(board.grafana, board.way, uid, panel, name=name)))
    board.assess(1, **NEITHER)
    with dies(monkeypatch, 2, done=True):
        board.send_all()
    board.now += deliveries.CLAIM
    board.send_all()
    board.now += UNSURE
    board.send_all()
    board.assess(2, **NEITHER, state="closed", restored_at=RESTORED_AT)
    board.send_all()
    stand = {(one.get("dashboardUID"), one.get("panelID", one.get("panelId")) or None) for one in board.marked("inc-1")}
    assert stand == {("art58", 3), *places}
    assert len(board.marked("inc-1")) == 4
    assert {one["timeEnd"] for one in board.marked("inc-1")} == {START + 90 * MINUTE}


def test_the_moment_from_which_it_may_be_major_has_a_point_of_its_own(board: Board) -> None:
    board.assess(1, **NEITHER)
    board.send_all()
    assert board.marked("inc-1.major") == []
    board.assess(2)
    board.assess(3, state="closed", restored_at=RESTORED_AT)
    board.send_all()
    (point,) = board.marked("inc-1.major")
    assert (point["time"], point["timeEnd"]) == (START + 60 * MINUTE, START + 60 * MINUTE)
    assert point["dashboardUID"] == "art58"
    assert {"verdict:major", "art58", "service:voice"} <= set(point["tags"])
    assert "要判断" in point["text"]
    assert "13:00" in point["text"]
    assert board.one["timeEnd"] == START + 90 * MINUTE, "the incident's own is another one"
    assert set(board.rows()) == {("grafana", "annotation"), ("grafana", "annotation.major")}


def test_where_the_verdict_falls_again_its_point_stays_and_says_so(board: Board) -> None:
    board.assess(1)
    board.send_all()
    board.assess(2, **NEITHER)
    board.send_all()
    (point,) = board.marked("inc-1.major")
    assert point["time"] == START + 60 * MINUTE
    assert "withdrawn" in point["tags"]
    assert "verdict:major" not in point["tags"]
    assert "取り消し" in point["text"]
    board.assess(3)
    board.send_all()
    (point,) = board.marked("inc-1.major")
    assert "verdict:major" in point["tags"]
    assert "withdrawn" not in point["tags"]
    assert point["time"] == START + 60 * MINUTE


@pytest.mark.parametrize("dismissed", [True, False])
def test_of_a_drill_that_is_over_the_moment_says_so_and_no_more(dismissed: bool) -> None:
    tags = ("art58", "drill", *(["dismissed"] if dismissed else []))
    said = fields("grafana", draft(key="inc-1", tags=tags, resolved=True), Place())
    major = msgspec.structs.replace(draft(tags=tags, resolved=True), key="inc-1.major")
    text = fields("grafana", major, Place())["text"]
    assert "訓練終了" not in said["text"]
    assert text.startswith("<b>訓練終了: ")
    assert "<b>Drill over: " in text
    assert "取り消し" not in text
    assert (
        "訓練終了" not in fields("grafana", msgspec.structs.replace(major, statement=draft(tags=tags).statement), Place())["text"]
    )


def test_an_annotation_says_the_head_and_not_all_of_the_arithmetic() -> None:
    lines = [f"行{number}" + "長" * 90 for number in range(9)]
    said = draft(text=Text("\n".join([*lines, "", "grounds"]), "head\n\ngrounds"))
    text = fields("grafana", said, Place())["text"]
    assert "grounds" not in text
    assert f"{lines[5]}<br>…<br>" in text
    assert lines[6] not in text
    assert "<br>head<br><a " in text


def test_an_unknown_dashboard_is_refused_and_nothing_made_for_the_whole_organisation(board: Board) -> None:
    board.routes = [(Route("grafana", "annotation"), at(board.grafana, board.way, "nowhere", 3))]
    board.assess(1, **NEITHER)
    board.send_all()
    assert board.row().state == "dead"
    assert "there is no dashboard 'nowhere'" in str(board.row().last_error)
    assert board.grafana.shown == []


def test_persons_tags_are_never_dropped_for_ours(board: Board) -> None:
    board.assess(1, **NEITHER)
    board.send_all()
    theirs = [f"team-{number:02d}-{'x' * 21}" for number in range(14)]
    board.edit(tags=[*board.one["tags"], *theirs])
    board.assess(2, verdict=Verdict.INDETERMINATE, major_since=None)
    board.send_all()
    assert set(theirs) < set(board.one["tags"])
    assert {"a58:inc-1", "verdict:indeterminate"} <= set(board.one["tags"])
    assert "service:voice" not in board.one["tags"]
    assert board.row().state == "sent"


def test_where_persons_tags_leave_no_room_the_tags_stay_as_they_are(board: Board) -> None:
    board.assess(1, **NEITHER)
    board.send_all()
    tags = ["a58:inc-1", "verdict:periodic", "x" * 99, "y" * 99, "z" * 99, "v" * 99, "w" * 56]
    board.edit(tags=tags)
    board.assess(2, verdict=Verdict.INDETERMINATE, major_since=None)
    board.send_all()
    assert sorted(board.one["tags"]) == sorted(tags)
    assert board.row().state == "sent"


def test_only_what_hits_the_services_of_a_place_is_shown_there(board: Board) -> None:
    board.routes = [(Route("grafana", "annotation", services=("data",), major=True), at(board.grafana, board.way))]
    board.assess(1)
    assert board.rows() == {}
    board.assess(2, service="data", **NEITHER)
    assert set(board.rows()) == {("grafana", "annotation")}


def test_the_header_of_the_organisation_goes_with_every_call() -> None:
    with ExitStack() as stack:
        grafana = stack.enter_context(FakeGrafana(TOKEN, dashboards=("art58",), app="postgres", org_id=2))
        say(at(grafana, "app", org_id=2), at(grafana, "app", org_id=2).create(draft()), draft(number=4))
        assert {path.split("/namespaces/")[-1].split("/")[0] for _, path, _ in grafana.requests[1:]} == {"org-2"}
        assert at(grafana, "legacy", org_id=2).create(draft())
        for way in ("app", "legacy"):
            with pytest.raises(Refused, match="401"):
                at(grafana, way, org_id=3).create(draft())


def test_which_api_there_is_is_asked_once_for_all_places() -> None:
    with FakeGrafana(TOKEN, dashboards=("art58",), app="postgres") as grafana:
        question = Question("grafana", grafana.url, TOKEN, 5)
        for uid in ("art58", None):
            legacy = GrafanaAnnotations("grafana", grafana.url, TOKEN, uid, None, 5)
            app = GrafanaAppAnnotations("grafana", grafana.url, TOKEN, uid, None, 5)
            either = GrafanaEither(legacy, app, question)
            say(either, either.create(draft()), draft(number=4))
        asked = [path for _, path, _ in grafana.requests if path.endswith("/v0alpha1/")]
        assert len(asked) == 1


@pytest.mark.parametrize("kind", ["not_json", "empty_json"])
def test_an_answer_that_names_no_such_api_means_the_legacy_one(kind: Any) -> None:
    with FakeGrafana(TOKEN) as grafana:
        grafana.fail(kind, path="/apis/")
        assert not Question("grafana", grafana.url, TOKEN, 5).has_app_api()


def test_no_answer_is_no_answer_and_asked_for_again() -> None:
    with FakeGrafana(TOKEN, app="postgres") as grafana:
        grafana.fail("status", status=503, path="/apis/")
        question = Question("grafana", grafana.url, TOKEN, 5)
        with pytest.raises(Exception, match="503"):
            question.has_app_api()
        assert question.has_app_api()


def test_what_the_legacy_api_made_is_followed_by_the_newer_one_and_back(tmp_path: Path) -> None:
    with FakeGrafana(TOKEN, dashboards=("art58",), app="legacy-sql") as grafana:
        board = Board(tmp_path, grafana, "legacy")
        steps: list[tuple[str, Callable[[], None]]] = [
            ("app", lambda: board.assess(2, **NEITHER, state="closed", restored_at=RESTORED_AT)),
            ("legacy", lambda: board.assess(3, **NEITHER)),
        ]
        board.assess(1, **NEITHER)
        board.send_all()
        for way, news in steps:
            board.routes = [(board.routes[0][0], at(grafana, way))]
            news()
            board.send_all()
            assert board.row().state == "sent"
        assert (board.one["time"], board.one["timeEnd"]) == (START, START)
        board.database.close()


def test_one_too_old_to_be_found_by_name_is_found_by_its_tag(tmp_path: Path) -> None:
    with FakeGrafana(TOKEN, dashboards=("art58",), app="legacy-sql") as grafana:
        target = at(grafana, "app")
        remote_id = target.create(draft(started_at=STARTED_AT - timedelta(days=300)))
        target.create(draft(key="inc-2", tags=("art58",)))
        assert grafana.app
        assert isinstance(grafana.app.store, LegacySql)
        grafana.app.store.sees = 1
        seen = target.read(remote_id)
        assert seen
        assert "a58:inc-1" in seen.fields["tags"]
        by_legacy_id = target.read(remote_id.rpartition("a-")[2])
        assert by_legacy_id
        assert by_legacy_id.fields == seen.fields


def test_the_stand_in_refuses_what_the_newer_contract_does_not_have() -> None:
    with FakeGrafana(TOKEN, app="postgres") as grafana:
        root = f"{grafana.url}/apis/annotation.grafana.app/v0alpha1/namespaces/default"

        def ask(method: str, path: str, **how: Any) -> int:
            given = {"Authorization": f"Bearer {TOKEN}", **how.pop("headers", {})}
            return requests.request(method, f"{root}{path}", headers=given, timeout=5, **how).status_code

        whole = {
            "apiVersion": "annotation.grafana.app/v0alpha1",
            "kind": "Annotation",
            "metadata": {"generateName": "a-"},
            "spec": {"text": "x", "time": START},
        }
        assert ask("POST", "/annotations", json=whole) == 201
        assert ask("POST", "/annotations", json={**whole, "metadata": {}}) == 400
        assert ask("POST", "/annotations", json={**whole, "spec": {"text": "x", "time": START, "panelId": 3}}) == 400
        assert ask("POST", "/annotations", json={**whole, "spec": {"text": "x", "time": START, "timeEnd": START - 1}}) == 400
        assert ask("POST", "/annotations", json={**whole, "spec": {"text": "x", "time": START + 365 * 1440 * MINUTE}}) == 400
        (name,) = grafana.postgres.rows
        patch = {"Content-Type": "application/merge-patch+json"}
        assert ask("PATCH", f"/annotations/{name}", json={"spec": {"text": "y"}}) == 415
        assert ask("PATCH", f"/annotations/{name}", data='{"spec": {"time": 5}}', headers=patch) == 400
        assert ask("PATCH", f"/annotations/{name}", data='{"spec": {"tags": ["y"]}}', headers=patch) == 200
        assert ask("GET", "/search?tags=y") == 400
        assert ask("GET", "/search?tag=y") == 200
        assert ask("DELETE", f"/annotations/{name}") == ask("DELETE", f"/annotations/{name}") == 200
        assert ask("GET", f"/annotations/{name}") == 410
        assert ask("GET", "/annotations/none") == 404


def test_one_beyond_what_grafana_keeps_is_refused_in_its_words() -> None:
    with FakeGrafana(TOKEN, app="postgres") as grafana:
        assert grafana.app
        grafana.app.retention = 90 * 1440 * MINUTE
        with pytest.raises(Refused, match="time cannot be older than retention TTL"):
            at(grafana, "app", None, None).create(draft(started_at=STARTED_AT - timedelta(days=400)))
        with pytest.raises(Refused, match="time cannot be more than 1 week in the future"):
            at(grafana, "app", None, None).create(draft(started_at=STARTED_AT + timedelta(days=400)))
