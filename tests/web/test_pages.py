"""The page of an incident: what a person sees, in Japanese and English, and nothing foreign that runs in it."""

import re
from datetime import timedelta
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from receiver.delivery.words import ALL_WITHDRAWN
from receiver.law.counting import Affected
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.model import Delivery, Remembered
from receiver.storage import deliveries, notifications
from tests.apps import BEARER, App, alert, incident
from tests.samples import ASSESSED_AT, RESTORED_AT, assessment, saying

pytestmark = pytest.mark.usefixtures("each_store")

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</code></table><iframe src=//example.org>",
    "{{ 7 * 7 }}{% raw %}",
    "<!--",
    "&lt;b&gt;",
    "\u202e\u0007",
]


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def page(app: App, id_: str = "inc-1") -> str:
    return opened(app, f"/incidents/{id_}")


def opened(app: App, path: str) -> str:
    response = app.client.get(path, headers=BEARER)
    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    return response.get_data(as_text=True)


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.comments: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        self.words += data


def row(incident_id: str = "inc-1", target: str = "desk") -> Delivery:
    return Delivery(incident_id, target, "ticket", wanted=1, sent=0, state="owed", attempts=0, next_attempt_at=ASSESSED_AT)


def give_up(app: App, target: str, error: str, incident_id: str = "inc-1") -> None:
    """A ticket becomes a dead letter."""
    with app.database.write() as connection:
        deliveries.want(connection, row(incident_id, target))
        failing = deliveries.claim(connection, target, "test", ASSESSED_AT)
        assert failing
        deliveries.record_failed(connection, failing, "test", error, "dead", ASSESSED_AT)


def test_it_says_in_both_languages_what_may_apply_and_that_a_person_decides(app: App) -> None:
    app.keep(incident(), assessment(), alerts=[alert()])
    words = Seen(page(app)).words
    for said in (
        "重大な事故に該当する可能性（要判断）",
        "may apply as a major accident (重大な事故): a person decides",
        "携帯電話（音声）",
        "Mobile voice",
        "42,000人 / 42,000 users",
        "利用できなかった利用者の実数 / users who tried and could not use it",
        'sum(art58:users_unable{service="voice"})',
        "2026-11-21 12:00:00 JST",
        "1時間05分00秒 / 1 h 05 min 00 s",
        "mme-1",
        "発生中 / open",
        "Art58EquipmentDown",
        *(line.ja for _, lines in assessment().explanation.sections for line in lines),
        *(line.en for _, lines in assessment().explanation.sections for line in lines),
        "重大な事故の詳細報告（発生した日から30日以内）",
        "2026-12-21",
        "様式第50の3",
        "Ordinance Art. 57(1)",
    ):
        assert said in words


def test_an_unmeasured_impact_is_marked_as_such(app: App) -> None:
    affected = Affected(bound=90_000, problem="Prometheus cannot be reached")
    app.keep(incident(), assessment(affected=affected, affected_users=90_000, measured=False, verdict=Verdict.INDETERMINATE))
    words = Seen(page(app)).words
    assert "未計測 / unmeasured" in words
    assert "90,000 users – 上限 / upper bound" in words
    assert "判定できない（要判断）" in words


def test_a_measured_impact_is_not_marked_unmeasured(app: App) -> None:
    app.keep(incident(), assessment())
    assert "unmeasured" not in Seen(page(app)).words
    assert "upper bound" not in Seen(page(app)).words


def test_the_duration_runs_with_the_clock_and_stands_once_restored(app: App) -> None:
    app.keep(incident(), assessment())
    app.clock.advance(minutes=10)
    assert "1 h 15 min 00 s" in page(app)
    app.keep(incident(state="closed", restored_at=RESTORED_AT, closed_at=RESTORED_AT + timedelta(hours=1)))
    assert "1 h 30 min 00 s" in page(app)
    assert "終結 / closed" in page(app)


def test_the_threshold_is_told_as_reached_or_as_expected(app: App) -> None:
    app.keep(incident(), assessment(number=1, major_since=None))
    assert "Threshold expected" in page(app)
    app.keep(incident(), assessment(number=2))
    assert "Threshold reached" in page(app)


def test_when_it_may_become_major_stands_at_the_top(app: App) -> None:
    app.keep(incident(), assessment(number=1, verdict=Verdict.PERIODIC, major_since=None, candidate=True))
    top = page(app).split("<nav>")[0]
    assert "基準到達の見込み 2026-11-21 13:00:00 JST threshold expected" in Seen(top).words
    assert 'class="mark soon"' in top


def test_a_dead_letter_is_told_at_the_top_and_in_words_with_its_error_and_what_to_do(app: App) -> None:
    app.keep(incident(), assessment())
    with app.database.write() as connection:
        deliveries.want(connection, row(target="desk"))
    give_up(app, "redmine", "redmine: answered 422")
    text = page(app)
    assert '<a class="mark dead" href="#deliveries">不達 1件</a>' in text.split("<nav>")[0]
    section = text.split('<h2 id="deliveries">')[1]
    assert section.index("redmine: answered 422") < section.index("desk")
    for said in ("不達 dead", "チケット", "1/0", "art58 doctor", "art58 deliveries replay inc-1", "未送付 owed", "次回 / next"):
        assert said in Seen(section).words


def test_without_a_dead_letter_there_is_nothing_to_do(app: App) -> None:
    app.keep(incident(), assessment())
    with app.database.write() as connection:
        deliveries.want(connection, row())
    assert "art58 deliveries replay" not in page(app)
    assert "不達" not in page(app)


def test_what_was_taken_without_its_mapped_fields_says_so_with_the_error_and_what_to_do(app: App) -> None:
    app.keep(incident(), assessment())
    lacking = Remembered(lacking={"priority": "400: no such priority"})
    with app.database.write() as connection:
        deliveries.want(connection, row())
        for refused in (True, False):
            claimed = deliveries.claim(connection, "desk", "test", ASSESSED_AT)
            assert claimed
            if refused:
                deliveries.record_failed(connection, claimed, "test", "desk: answered 400 (weight)", "owed", ASSESSED_AT)
            else:
                deliveries.keep(connection, claimed, "test", "7", lacking, ASSESSED_AT)
                deliveries.record_sent(connection, claimed, "test", 1, lacking, ASSESSED_AT)
    words = Seen(page(app)).words
    for said in ("送付済み（設定した項目なし） sent without its mapped fields", "400: no such priority", "replay inc-1"):
        assert said in words


def test_every_assessment_stays_to_be_seen(app: App) -> None:
    app.keep(incident(), *[assessment(number=n, affected_users=31_000 + n) for n in (1, 2, 3)])
    words = Seen(page(app)).words
    assert words.index("31,003") < words.index("31,002") < words.index("31,001")


def test_an_incident_not_yet_assessed_has_a_page(app: App) -> None:
    app.keep(incident(equipment=None, good_at=None))
    assert "まだ判定されていません / not assessed yet" in page(app)


def test_a_service_that_left_the_catalogue_is_shown_by_its_name(app: App) -> None:
    app.keep(incident(), assessment(service="pager"))
    assert "pager" in Seen(page(app)).words


def test_alerts_beyond_what_a_page_shows_are_counted(app: App) -> None:
    app.keep(incident(), assessment(), alerts=[alert(fingerprint=f"{number:016}") for number in range(203)])
    assert "ほか3件 / and 3 more" in page(app)
    assert page(app).count("Art58EquipmentDown") == 200


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_came_from_outside_becomes_part_of_the_page(app: App, hostile: str) -> None:
    app.keep(incident(), assessment(), alerts=[alert()])
    with app.database.write() as connection:
        deliveries.want(connection, row())
    give_up(app, "mail", "no")
    own = Seen(page(app))

    count = msgspec.structs.replace(assessment().affected.kept[0], query=hostile)
    explanation = saying(Text(ja=hostile, en=hostile))
    labels = {"alertname": hostile, "service": hostile, hostile: hostile}
    app.keep(
        incident(equipment=hostile),
        assessment(number=4, service=hostile, explanation=explanation, affected=Affected(kept=(count,))),
        alerts=[alert(labels=labels)],
    )
    with app.database.write() as connection:
        claimed = deliveries.claim(connection, "desk", "test", ASSESSED_AT)
        assert claimed
        deliveries.keep(connection, claimed, "test", hostile, Remembered(), ASSESSED_AT)
        deliveries.record_sent(connection, claimed, "test", 1, Remembered(), ASSESSED_AT)
    give_up(app, hostile, hostile)
    text = page(app)
    seen = Seen(text)

    assert (seen.tags, seen.attributes, seen.comments) == (own.tags, own.attributes, [])
    # equipment, service twice, query, reasons, remote id, target, error, alert's name, its labels
    assert seen.words.count(hostile) >= 12
    if escape(hostile) != hostile:
        assert hostile not in text


@pytest.mark.parametrize("id_", ["inc-2", "<script>", "..%2f..%2fetc%2fpasswd", "inc-1'--"])
def test_an_unknown_incident_is_not_found_and_its_id_is_not_echoed(app: App, id_: str) -> None:
    app.keep(incident(), assessment())
    response = app.client.get(f"/incidents/{id_}", headers=BEARER)
    assert response.status_code == 404
    assert id_ not in response.get_data(as_text=True)


def refuse(app: App, body: bytes, reason: str) -> None:
    with app.database.inbox.write() as connection:
        notifications.refuse(connection, "grafana", app.clock.now, body, reason)


def test_what_was_refused_is_listed_in_both_languages_with_time_count_source_reason_size_and_beginning(app: App) -> None:
    for _ in range(3):
        refuse(app, "障害".encode() * 1000, "no webhook body of grafana")
    words = Seen(opened(app, "/refused")).words
    for said in ("受け付けなかった通知", "Refused notifications", "2026-11-21 13:05:00 JST", "3", "grafana", "6,000", "障害" * 250):
        assert said in words
    assert "no webhook body of grafana" in words
    assert "障害" * 251 not in words


def test_where_nothing_was_refused_the_page_says_so(app: App) -> None:
    assert "なし / none" in opened(app, "/refused")


def test_the_latest_fifty_refused_bodies_are_shown(app: App) -> None:
    for number in range(53):
        refuse(app, b"body-%02d" % number, "wrong")
    words = Seen(opened(app, "/refused")).words
    assert words.count("body-") == 50
    assert words.index("body-52") < words.index("body-03")


@pytest.mark.parametrize("hostile", [*HOSTILE, "\0\ud800"])
def test_nothing_of_a_refused_body_becomes_part_of_the_page(app: App, hostile: str) -> None:
    refuse(app, b"x", "x")
    own = Seen(opened(app, "/refused"))
    # a reason is ours, and has no NUL
    refuse(app, hostile.encode(errors="surrogatepass"), hostile.encode(errors="replace").decode().replace("\0", "?"))
    text = opened(app, "/refused")
    seen = Seen(text)
    assert (seen.tags, seen.attributes, seen.comments) == (own.tags, own.attributes, [])
    if escape(hostile) != hostile:
        assert hostile not in text
        assert seen.words.count(hostile) == 2


@pytest.mark.parametrize("path", ["/incidents/inc-1", "/refused"])
def test_strangers_see_nothing_and_a_browser_asks_them_for_a_password(app: App, path: str) -> None:
    app.keep(incident(), assessment())
    refuse(app, b"mme-1", "wrong")
    response = app.client.get(path)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith('Basic realm="art58-receiver"')
    assert "mme-1" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    "path", ["/incidents/inc-1", "/incidents/none", "/refused", "/api/v1/incidents", "/metrics", "/-/healthy", "/none"]
)
def test_no_answer_lets_a_browser_run_frame_or_guess_anything(app: App, path: str) -> None:
    app.keep(incident(), assessment())
    headers = app.client.get(path, headers=BEARER).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_page_loads_nothing_from_elsewhere(app: App) -> None:
    app.keep(incident(), assessment(), alerts=[alert()])
    seen = Seen(page(app))
    assert not seen.tags & {"script", "img", "link", "iframe", "object", "form", "base"}
    assert not seen.attributes & {"src", "style", "onclick"}
    assert not re.findall(r'href="(?!#|/incidents)', page(app))


def test_where_all_verdicts_were_withdrawn_that_is_said_and_not_that_none_was_made_yet(app: App) -> None:
    app.keep(incident(), assessment(number=1), assessment(number=2, withdrawn=True))
    words = Seen(page(app)).words
    assert ALL_WITHDRAWN.ja in words
    assert "not assessed yet" not in words
