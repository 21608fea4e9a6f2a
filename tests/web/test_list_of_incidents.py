"""The list of incidents: where a person who knows no id begins, in Japanese and English."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import escape
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from receiver.law.near_miss import Answers
from receiver.law.verdict import Verdict
from receiver.model import Deed, Drilled, NearMissAnswered
from receiver.storage import acts
from tests.apps import BEARER, App, incident
from tests.samples import RESTORED_AT, STARTED_AT, assessment
from tests.web.test_pages import HOSTILE, Seen, give_up, opened

pytestmark = pytest.mark.usefixtures("each_store")


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def known(app: App, id_: str, *, minute: int = 0, state: str = "open", **judged: object) -> None:
    """An incident that was learnt of in this minute, with one assessment."""
    over = {"restored_at": RESTORED_AT} if state in ("restored", "closed") else {}
    opened_at = STARTED_AT + timedelta(minutes=minute)
    app.keep(incident(id=id_, state=state, opened_at=opened_at, **over), assessment(incident_id=id_, **judged))


def act(app: App, id_: str, deed: Deed) -> None:
    with app.database.write() as connection:
        acts.add(connection, id_, STARTED_AT, "yamada", "seen on site", deed)


def words(app: App) -> str:
    return Seen(opened(app, "/incidents")).words


def order(app: App, *ids: str) -> list[str]:
    said = words(app)
    return sorted((id_ for id_ in ids if id_ in said), key=said.index)


@contextmanager
def queries() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_the_root_leads_there(app: App) -> None:
    answer = app.client.get("/", headers=BEARER)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/incidents")


def test_it_names_verdict_services_users_since_and_state_and_leads_to_the_page(app: App) -> None:
    known(app, "inc-1")
    text = opened(app, "/incidents")
    assert 'href="/incidents/inc-1"' in text
    for said in (
        "重大な事故に該当する可能性（要判断）",
        "may apply as a major accident (重大な事故): a person decides",
        "携帯電話（音声） Mobile voice: 42,000人 / 42,000 users",
        "2026-11-21 12:00:00 JST",
        "発生中 / open",
        "mme-1",
    ):
        assert said in Seen(text).words
    assert "unmeasured" not in Seen(text).words


def test_what_may_be_major_or_soon_is_comes_first_then_the_newest_and_the_closed_last(app: App) -> None:
    known(app, "inc-old", minute=1, verdict=Verdict.PERIODIC)
    known(app, "inc-major", minute=2)
    known(app, "inc-candidate", minute=3, verdict=Verdict.INDETERMINATE, candidate=True, measured=False)
    known(app, "inc-restored", minute=4, state="restored", verdict=Verdict.PERIODIC)
    known(app, "inc-new", minute=5, state="recovering", verdict=Verdict.NONE)
    known(app, "inc-closed", minute=6, state="closed")
    known(app, "inc-drill", minute=7)
    act(app, "inc-drill", Drilled())
    expected = ["inc-candidate", "inc-major", "inc-drill", "inc-new", "inc-restored", "inc-old", "inc-closed"]
    assert order(app, *sorted(expected)) == expected
    assert "未計測 / unmeasured" in words(app)
    assert "【訓練】" in words(app)


def test_what_is_about_to_be_major_says_when(app: App) -> None:
    known(app, "inc-soon", minute=1, verdict=Verdict.PERIODIC, major_since=None, candidate=True)
    known(app, "inc-late", minute=2, verdict=Verdict.PERIODIC, major_since=None, major_expected_at=RESTORED_AT)
    known(app, "inc-major", minute=3)
    assert "基準到達の見込み 2026-11-21 13:00:00 JST" in words(app)
    assert "基準到達の見込み 2026-11-21 13:30:00 JST" in words(app)
    assert words(app).count("threshold expected") == 2
    assert opened(app, "/incidents").count('class="mark soon"') == 1


def test_dead_letters_are_told_with_a_link_to_them(app: App) -> None:
    known(app, "inc-1")
    known(app, "inc-2")
    give_up(app, "desk", "desk: answered 401", "inc-2")
    give_up(app, "mail", "mail: answered 401", "inc-2")
    assert opened(app, "/incidents").count('href="/incidents/inc-2#deliveries">不達 2件</a>') == 1
    assert "2 dead letters" in words(app)
    assert words(app).count("不達") == 1


def test_the_verdict_on_what_is_dismissed_or_was_but_a_drill_alarms_nobody(app: App) -> None:
    known(app, "inc-drill", state="restored")
    act(app, "inc-drill", Drilled())
    app.keep(incident(id="inc-false", dismissed=True), assessment(incident_id="inc-false"))
    assert 'class="mark major"' not in opened(app, "/incidents")
    known(app, "inc-real")
    assert opened(app, "/incidents").count('class="mark major"') == 1


def test_of_the_closed_the_last_fifty_are_shown(app: App) -> None:
    for number in range(50):
        known(app, f"inc-{number:02}", minute=number, state="closed")
    assert "only the newest" not in words(app)
    known(app, "inc-50", minute=50, state="closed")
    assert "only the newest 50" in words(app)
    assert "inc-00" not in words(app)
    assert order(app, "inc-01", "inc-50") == ["inc-50", "inc-01"]


def test_answers_on_a_near_miss_enter_the_verdict(app: App) -> None:
    known(app, "inc-1", verdict=Verdict.NONE)
    act(app, "inc-1", NearMissAnswered(Answers(already_major=False, class_2_facility=True, class_2_impaired=True)))
    assert "may apply as a near-miss (おそれ事態): a person decides" in words(app)


def test_what_was_withdrawn_and_what_was_not_assessed_yet_has_no_verdict(app: App) -> None:
    known(app, "inc-1", withdrawn=True)
    assert "まだ判定されていません / not assessed yet" in words(app)
    assert "Mobile voice" not in words(app)


def test_where_there_is_none_it_says_so(app: App) -> None:
    assert words(app).count("なし / none") == 2


def test_it_asks_as_often_for_many_as_for_one(app: App) -> None:
    known(app, "inc-00")
    known(app, "inc-01", state="closed")
    with queries() as few:
        opened(app, "/incidents")
    for number in range(2, 40):
        known(app, f"inc-{number:02}", state="open" if number % 2 else "closed")
        act(app, f"inc-{number:02}", Drilled())
    with queries() as many:
        opened(app, "/incidents")
    assert 0 < len(many) == len(few) < 12


@pytest.mark.parametrize("path", ["/", "/incidents", "/incidents/none"])
def test_strangers_see_nothing(app: App, path: str) -> None:
    known(app, "inc-1")
    answer = app.client.get(path)
    assert (answer.status_code, "inc-1" in answer.text) == (401, False)
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_foreign_becomes_part_of_the_page(app: App, hostile: str) -> None:
    known(app, "inc-1")
    own = Seen(opened(app, "/incidents"))
    app.keep(incident(units=(hostile,)), assessment(number=4, service=hostile))
    text = opened(app, "/incidents")
    seen = Seen(text)
    assert (seen.tags, seen.attributes, seen.comments) == (own.tags, own.attributes, [])
    assert seen.words.count(hostile) == 2
    if escape(hostile) != hostile:
        assert hostile not in text


def test_an_unknown_incident_gets_a_page_in_both_languages_that_leads_to_the_list(app: App) -> None:
    answer = app.client.get("/incidents/inc-9", headers=BEARER)
    assert (answer.status_code, answer.content_type) == (404, "text/html; charset=utf-8")
    for said in ("この番号の障害はありません", "There is no incident with this id", 'href="/incidents"'):
        assert said in answer.text


def test_the_page_of_an_incident_begins_with_what_is_on_it(app: App) -> None:
    known(app, "inc-1", verdict=Verdict.PERIODIC)
    text = opened(app, "/incidents/inc-1")
    parts = ["impacts", "duties", "history", "deliveries", "alerts"]
    for part in parts:
        assert text.index(f'href="#{part}"') < text.index(f'<h2 id="{part}"')
    assert 'href="#near-miss"' not in text
    act(app, "inc-1", NearMissAnswered(Answers(burned=True)))
    text = opened(app, "/incidents/inc-1")
    assert text.index('href="#near-miss"') < text.index('<h2 id="near-miss"')


def test_the_history_tells_verdicts_and_services_in_words(app: App) -> None:
    known(app, "inc-1", verdict=Verdict.PERIODIC)
    history = Seen(opened(app, "/incidents/inc-1")).words.split("履歴 / History")[2]
    for said in ("携帯電話（音声） Mobile voice", "定期報告の対象に該当する可能性（要判断）", "may belong in the periodic report"):
        assert said in history
    assert "periodic\n" not in history.replace("the periodic report", "")


def test_an_answer_that_was_taken_back_is_open_again_on_the_page(app: App) -> None:
    known(app, "inc-1")
    act(app, "inc-1", NearMissAnswered(Answers(already_major=True, burned=True)))
    answered = Seen(opened(app, "/incidents/inc-1")).words.split("期限 / Duties")[1]
    assert "already? = yes" in answered
    act(app, "inc-1", NearMissAnswered(Answers(), ("already_major",)))
    words = Seen(opened(app, "/incidents/inc-1")).words.split("期限 / Duties")[1]
    assert words.count("はい / yes") == 1
    asked = words.split("Has it been judged to be a major accident (Art. 58(2)) already?")[1]
    assert asked.lstrip().startswith("要回答 / open")
    assert "回答の取消し" in Seen(opened(app, "/incidents/inc-1")).words
