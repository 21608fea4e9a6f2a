"""Grafana's annotations: a point while an incident lasts, a region when it is over, our text shown as text."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from receiver.delivery.targets import Change, Refused, Seen, Unreachable
from receiver.delivery.targets.grafana import GrafanaAnnotations
from receiver.law.provisions import Text
from tests.fakes.faults import FaultKind
from tests.fakes.grafana import FakeGrafana
from tests.samples import RESTORED_AT, STARTED_AT, draft, say

TOKEN = "glsa_Zt7Qx0PvN4"
START = 1795230000000
END = START + 90 * 60 * 1000


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with FakeGrafana(TOKEN, dashboards=("art58",)) as fake:
        yield fake


@pytest.fixture
def target(grafana: FakeGrafana) -> GrafanaAnnotations:
    return GrafanaAnnotations("grafana", f"{grafana.url}/", TOKEN, "art58", 3, 10)


def _ask(grafana: FakeGrafana, method: str, path: str, **how: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return requests.request(method, f"{grafana.url}/api{path}", headers=headers, timeout=10, **how)


def test_an_incident_is_a_point_on_its_panel(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    assert target.create(draft()) == "1"

    method, path, body = grafana.requests[-1]
    assert (method, path) == ("POST", "/api/annotations")
    seal = re.search("#a58-[0-9a-f]{12}", body["text"])
    assert seal
    assert body == {
        "text": "<b>重大な事故に該当する可能性（要判断）: 携帯電話（音声）</b>"
        "<br>影響利用者数: 42,000人（実測）<br>継続時間: 65分<br>- 設備: mme-1"
        "<br><b>May be a major accident: mobile voice</b><br>Users hit: 42,000 (measured)<br>For: 65 min"
        f'<br><a href="http://127.0.0.1:9158/incidents/inc-1{seal[0]}">http://127.0.0.1:9158/incidents/inc-1</a>',
        "tags": ["a58:inc-1", "art58", "verdict:major", "service:voice"],
        "time": START,
        "timeEnd": START,
        "dashboardUID": "art58",
        "panelId": 3,
    }


def test_an_incident_that_is_over_is_a_region(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    say(target, target.create(draft()), draft(number=4, restored_at=RESTORED_AT, resolved=True))

    method, path, body = grafana.requests[-1]
    assert (method, path) == ("PATCH", "/api/annotations/1")
    assert sorted(body) == ["tags", "text", "time", "timeEnd"]
    assert (body["time"], body["timeEnd"]) == (START, END)
    assert (grafana.annotations[1]["time"], grafana.annotations[1]["timeEnd"]) == (START, END)
    assert grafana.annotations[1]["dashboardUID"] == "art58"


def test_a_start_learnt_later_moves_the_point(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    say(target, target.create(draft()), draft(number=4, started_at=STARTED_AT - timedelta(minutes=1)))

    assert grafana.annotations[1]["time"] == grafana.annotations[1]["timeEnd"] == START - 60_000


def test_of_several_the_oldest_comes_first(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    target.create(draft())
    target.create(draft(started_at=STARTED_AT - timedelta(days=400)))

    assert target.find("inc-1") == ["1", "2"]
    assert grafana.requests[-1][0] == "GET"
    assert grafana.requests[-1][1] == "/api/annotations?tags=a58%3Ainc-1&type=annotation"


def test_a_tag_that_differs_in_case_is_another_incident() -> None:
    with FakeGrafana(TOKEN, tags_ignore_case=True) as grafana:
        target = GrafanaAnnotations("grafana", grafana.url, TOKEN, None, None, 10)
        target.create(draft(key="INC-1", tags=()))

        assert target.find("inc-1") == []


def test_without_a_dashboard_the_annotation_is_the_organisations(grafana: FakeGrafana) -> None:
    GrafanaAnnotations("grafana", grafana.url, TOKEN, None, 3, 10).create(draft())

    assert [path for _, path, _ in grafana.requests] == ["/api/annotations"]
    assert grafana.annotations[1]["dashboardUID"] is None
    assert grafana.annotations[1]["panelId"] == 0


def test_hostile_text_is_no_markup(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    hostile = "<img src=x onerror=alert(1)>&lt;b&gt;"
    url = 'http://x/"><script>'
    target.create(draft(title=Text(ja=hostile, en=hostile), text=Text(ja=hostile, en=hostile), url=url))

    text = grafana.annotations[1]["text"]
    text = re.sub("#a58-[0-9a-f]{12}", "", text)
    assert set(re.findall(r"<[^>]*>|<|>", text)) == {"<b>", "</b>", "<br>", '<a href="http://x/&quot;&gt;&lt;script&gt;">', "</a>"}
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;lt;b&amp;gt;" in text


def test_an_address_that_is_no_web_page_is_no_link(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    target.create(draft(url="javascript:alert(1)"))

    assert "javascript" not in grafana.annotations[1]["text"]


def test_a_long_text_is_cut_and_says_so(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    target.create(draft(text=Text(ja="<" * 1_000_000, en="&" * 1_000_000)))

    text = grafana.annotations[1]["text"]
    assert len(text.encode()) < 60_000
    assert (text.count("&lt;"), text.count("&amp;"), text.count("…<br>…<br>")) == (597, 597, 2)


def test_tags_stay_within_what_grafana_takes(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    tags = ("service:a:b", "", "art58", "art58", *(f"service:{'長' * 90}{number}" for number in range(50)))
    remote_id = target.create(draft(tags=tags))
    say(target, remote_id, draft(tags=tags, number=4))

    assert grafana.annotations[1]["tags"][:3] == ["a58:inc-1", "art58", "service:a_b"]
    assert target.find("inc-1") == ["1"]


@pytest.mark.parametrize("remote_id", ["0", "", "-1", "1/../2", "00", "1e3", "１", "9" * 40])
def test_what_is_no_id_is_never_sent(grafana: FakeGrafana, target: GrafanaAnnotations, remote_id: str) -> None:
    with pytest.raises(Refused, match="is not the id of an annotation"):
        target.read(remote_id)
    with pytest.raises(Refused, match="is not the id of an annotation"):
        target.write(remote_id, draft(), Change({"time": START}), Seen({}))
    with pytest.raises(Refused, match="is not the id of an annotation"):
        target.remove(remote_id)
    assert grafana.requests == []


def test_an_annotation_deleted_in_grafana_is_refused(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    remote_id = target.create(draft())
    assert _ask(grafana, "DELETE", f"/annotations/{remote_id}").status_code == 200

    assert target.read(remote_id) is None
    target.remove(remote_id)


def test_a_wrong_token_is_refused(grafana: FakeGrafana) -> None:
    with pytest.raises(Refused, match=r"grafana: answered 401 \(Unauthorized\)\. Check the secret"):
        GrafanaAnnotations("grafana", grafana.url, "wrong", None, None, 10).create(draft())


@pytest.mark.parametrize("token", ["with\nbreak", "鍵"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_quoted(grafana: FakeGrafana, token: str) -> None:
    with pytest.raises(Refused) as raised:
        GrafanaAnnotations("grafana", grafana.url, token, None, None, 10).find("inc-1")
    assert token not in str(raised.value)


@pytest.mark.parametrize("kind", ["not_json", "huge"])
def test_an_answer_that_is_none_of_grafanas_counts_as_no_answer(
    grafana: FakeGrafana, target: GrafanaAnnotations, kind: FaultKind
) -> None:
    grafana.fail(kind, times=3)
    with pytest.raises(Unreachable, match="something else than the JSON expected"):
        target.create(draft())
    with pytest.raises(Unreachable, match="something else than the JSON expected"):
        target.find("inc-1")
    with pytest.raises(Unreachable, match="something else than the JSON expected"):
        say(target, "1", draft())


def test_an_annotation_without_an_id_counts_as_not_made(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    grafana.fail("empty_json", path="/api/annotations")

    with pytest.raises(Unreachable, match="did not say which annotation"):
        target.create(draft())


def test_grafana_may_live_below_a_path(grafana: FakeGrafana) -> None:
    grafana.fail("status", status=503, path="/below/api/annotations")

    with pytest.raises(Unreachable, match="503"):
        GrafanaAnnotations("grafana", f"{grafana.url}/below/", TOKEN, None, None, 10).find("inc-1")


def test_the_stand_in_refuses_what_the_contract_does_not_have(grafana: FakeGrafana) -> None:
    assert _ask(grafana, "POST", "/annotations", json={"text": "x", "dashboardUid": "art58"}).status_code == 400
    assert _ask(grafana, "POST", "/annotations", json={"text": "x", "time": "now"}).status_code == 400
    assert _ask(grafana, "POST", "/annotations", json={"tags": ["x"]}).status_code == 400
    assert _ask(grafana, "GET", "/annotations?tag=x").status_code == 400
    assert _ask(grafana, "GET", "/annotations?dashboardUID=nowhere").status_code == 400
    assert _ask(grafana, "GET", "/annotations/1").status_code == 404
    assert _ask(grafana, "GET", "/dashboards/uid/nowhere").status_code == 404
    assert _ask(grafana, "GET", "/health").json()["database"] == "ok"


def test_the_stand_in_has_grafanas_oddities(grafana: FakeGrafana) -> None:
    made = {"text": "x", "dashboardUID": "nowhere", "tags": ["a:b:c"], "time": 5}
    assert _ask(grafana, "POST", "/annotations", json=made).json()["id"] == 1
    assert _ask(grafana, "PATCH", "/annotations/1", json={"text": "", "timeEnd": 0}).status_code == 200

    one = _ask(grafana, "GET", "/annotations/1").json()
    assert (one["text"], one["tags"], one["timeEnd"], one["dashboardUID"]) == ("x", ["a:b"], 5, None)
    assert _ask(grafana, "DELETE", "/annotations/0").status_code == 200
    assert grafana.annotations == {}
    assert _ask(grafana, "POST", "/dashboards/db", json={"dashboard": {"uid": "new"}}).json()["uid"] == "new"
    assert _ask(grafana, "POST", "/annotations", json={**made, "dashboardUID": "new"}).json()["id"] == 2
    assert grafana.annotations[2]["dashboardUID"] == "new"


def test_a_dashboard_of_some_megabytes_is_there_all_the_same(grafana: FakeGrafana, target: GrafanaAnnotations) -> None:
    grafana.panels.append({"id": 3, "type": "text", "description": "x" * 3_000_000})
    target.create(draft())
    assert len(grafana.annotations) == 1
