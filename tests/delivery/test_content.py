"""What a ticket says: ours in two languages, an operator's templates and mapped fields; nothing that others sent is a template."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from receiver.delivery import content
from receiver.delivery.compose import compose
from receiver.delivery.content import Content
from receiver.delivery.routes import complaints, route_of
from receiver.delivery.targets.plain_text import head_and_rest
from receiver.law import deadlines
from receiver.law.deadlines import Duty
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.model import Alert, Delivery, Link, Parts, Remembered, Statement
from receiver.settings import SecretRef, Settings
from receiver.settings.tickets import DirectoryTicket, GitHubTicket, RedmineTicket
from tests.delivery.test_compose import CATALOGUE, DUTIES, INCIDENT
from tests.samples import ASSESSED_AT, STARTED_AT, assessment
from tests.samples import statement as sample

ROW = Delivery("inc-1", "desk", "ticket", 3, 0, "owed", 0, ASSESSED_AT)
ANNOTATIONS = {
    "__dashboard_url__": "https://grafana.example/d/core",
    "__panel_url__": "https://grafana.example/d/core?viewPanel=4",
    "__silence_url__": "https://grafana.example/alerting/silence/new?alertmanager=grafana&matcher=cell%3D0",
}


def alert(**changes: Any) -> Alert:
    labels = {"alertname": "Down", "cell": "0"} | changes.pop("labels", {})
    url = "https://grafana.example/alerting/grafana/abc/view"
    return msgspec.structs.replace(Alert("grafana", "f0", STARTED_AT, None, labels, ANNOTATIONS, url), **changes)


def statement(alerts: list[Alert] | None = None, **changes: Any) -> Statement:
    shown = [alert()] if alerts is None else alerts
    return compose(INCIDENT, [assessment(**changes)], shown, CATALOGUE, DUTIES, "https://noc.example/")


def settings(**changes: Any) -> RedmineTicket:
    basic = {"kind": "redmine", "name": "desk", "url": "http://redmine.example", "api_key": {"env": "KEY"}, "project": "noc"}
    return msgspec.convert(basic | {"key_field": 1} | changes, RedmineTicket)


def templates(folder: Path, **sources: str) -> dict[str, str]:
    """A file for each of these templates."""
    for name, source in sources.items():
        (folder / f"{name}.j2").write_text(source, encoding="utf-8")
    return {name: str(folder / f"{name}.j2") for name in sources}


def whole(*tickets: Any, **others: Any) -> Settings:
    given = {"prometheus": {"url": "http://127.0.0.1:9090"}, "authentication": {}} | others
    return msgspec.structs.replace(msgspec.convert(given, Settings), tickets=tickets)


@pytest.mark.parametrize("language", ["ja", "en", "both"])
def test_all_is_said_in_the_language_of_the_target(language: str) -> None:
    said = Content(settings(language=language)).draft(ROW, statement())
    expected = Path("tests/data/tickets", f"{language}.txt").read_text(encoding="utf-8")
    assert f"{said.title}\n\n{said.text}\n\n{said.note}\n" == expected


def test_without_settings_links_and_faults_it_is_both_languages_and_the_address() -> None:
    said, plain = content.draft(ROW, sample()), sample()
    assert said.title == f"{plain.title.ja} / {plain.title.en}"
    assert said.text == f"{plain.text.ja}\n\n{plain.text.en}\n\n詳細 / Details: {plain.url}"
    assert said.note == "\n\n".join([plain.title.ja, plain.text.ja, plain.title.en, plain.text.en, plain.url])
    assert said.fields == {}


def test_one_that_goes_on_from_another_says_so_first() -> None:
    row = msgspec.structs.replace(ROW, object="ticket.2", remembered=Remembered(continues="OPS-7"))
    said = content.draft(row, sample())
    assert said.text.startswith("前のチケット / Goes on from: OPS-7\n\n")
    assert (said.key, said.continues) == ("inc-1.2", "OPS-7")


def test_the_head_says_at_once_what_one_has_to_know_and_the_grounds_all_else() -> None:
    said = statement().text
    head, grounds = head_and_rest(said.ja)
    assert head.splitlines()[:3] == [
        "携帯電話（音声）: 重大な事故に該当する可能性（要判断）、影響利用者数 42,000人（計測）",
        "基準に達した時刻: 2026-11-21 13:00:00 JST",
        "故障の発生: 2026-11-21 12:00:00 JST（設備の計測値による）",
    ]
    assert "期限 2026-12-21: 重大な事故の詳細報告" in head.splitlines()[-1]
    assert "※" not in head
    assert grounds.startswith("■ 携帯電話（音声）: ")
    assert "アラート: 1件" in grounds


COMING = {"verdict": Verdict.PERIODIC, "candidate": True, "major_since": None}


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        (COMING, "13:00:00 JST（変化がなければ）"),
        (COMING | {"major_on_trend_at": STARTED_AT + timedelta(minutes=50)}, "12:50:00 JST（現在の傾向では）"),
        (COMING | {"verdict": Verdict.INDETERMINATE, "measured": False}, "13:00:00 JST（未計測のため、早ければ）"),
    ],
)
def test_the_head_of_a_candidate_says_when_it_may_reach_the_threshold(changes: dict[str, Any], how: str) -> None:
    assert f"\n基準到達の見込み: 2026-11-21 {how}\n" in statement(**changes).text.ja
    assert "基準到達" not in statement(verdict=Verdict.NONE, major_since=None).text.ja


def test_services_have_the_names_that_persons_know_them_by() -> None:
    fields = {"ja": "{{ ja.services }}", "en": "{{ en.services }}", "own": "{{ services }}"}
    said = Content(settings(fields=fields)).draft(ROW, statement())
    assert said.fields == {"ja": "携帯電話（音声）", "en": "Mobile voice", "own": "voice"}


def test_a_comment_says_what_changed_since_the_last_one() -> None:
    before = statement(**COMING).milestone
    row = msgspec.structs.replace(ROW, remembered=Remembered(milestone=before))
    note = Content(settings(language="ja")).draft(row, statement()).note
    assert note.splitlines()[:4] == [
        "重大な事故に該当する可能性（要判断）: 携帯電話（音声）（発生中）",
        "- 判定: 定期報告の対象に該当する可能性（要判断） → 重大な事故に該当する可能性（要判断）",
        "",
        "携帯電話（音声）: 重大な事故に該当する可能性（要判断）、影響利用者数 42,000人（計測）",
    ]
    assert " → " not in Content(settings()).draft(ROW, statement()).note


@pytest.mark.parametrize("before", ["", "x", "gone/by", "open/periodic/?/unmeasured", "closed/periodic"])
def test_a_milestone_of_another_release_is_told_as_far_as_it_is_understood(before: str) -> None:
    row = msgspec.structs.replace(ROW, remembered=Remembered(milestone=before))
    said = Content(settings(language="en")).draft(row, sample(milestone="open/none/candidate=False/unmeasured=True"))
    assert ("- State: closed → ongoing" in said.note) == before.startswith("closed")


def test_a_long_title_keeps_both_languages() -> None:
    title = content.draft(ROW, sample(title=Text("長" * 500, "x" * 500))).title
    assert len(title) == 120 + 3 + 120
    assert title.endswith("x…")


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "http://a b", "http://a/<script>", 'http://a/"x', "ftp://a", "http://あ", "http://" + "a" * 2000, ""],
)
def test_what_is_no_plain_web_address_is_no_link(url: str) -> None:
    assert statement([alert(annotations={"__panel_url__": url}, generator_url=url)]).parts.links == ()


def test_links_of_many_alerts_are_few() -> None:
    many = [alert(fingerprint=f"f{n}", generator_url=f"https://grafana.example/{n}") for n in range(10)]
    links = statement(many).parts.links
    assert [link.what.en for link in links].count("Alert rule in Grafana") == 3
    assert [link.what.en for link in links].count("Grafana panel") == 1


def test_the_first_day_by_which_the_law_wants_something_is_a_value() -> None:
    assert statement().parts.due_on == date(2026, 12, 21)
    assert statement(verdict=Verdict.NONE, major_since=None).parts.due_on is None


def test_a_day_that_only_a_guideline_names_is_not_that_value(monkeypatch: pytest.MonkeyPatch) -> None:
    by_law = deadlines.duties

    def with_a_guideline(*given: Any) -> tuple[Duty, ...]:
        owed = by_law(*given)
        dated = next(duty for duty in owed if duty.due_on)
        return (msgspec.structs.replace(dated, due_on=date(2026, 12, 1), basis="guideline"), *owed)

    monkeypatch.setattr(deadlines, "duties", with_a_guideline)
    assert statement().parts.due_on == date(2026, 12, 21)


def test_an_operators_templates_lay_it_out_otherwise(tmp_path: Path) -> None:
    files = templates(
        tmp_path,
        title="[{{ verdict }}] {{ services }}\n{{ ja.title }}",
        text=(
            "{{ users }} / {{ due_on }} / {{ started_at | clock_time }}\n"
            "{% for one in en.impacts %}{{ one.called }}: {{ one.lines | length }}\n{% endfor %}"
            "{{ restored_at }}{% for link in links %}{{ link.what }} {% endfor %}\n\n"
        ),
        comment="{{ en.verdict }} {{ candidate }}",
    )
    said = Content(settings(language="en", templates=files)).draft(ROW, statement())
    assert said.title == "[major] voice 重大な事故に該当する可能性（要判断）: 携帯電話（音声）（発生中）"
    assert said.text.splitlines()[:2] == ["42000 / 2026-12-21 / 2026-11-21 12:00:00 JST", "Mobile voice: 7"]
    assert said.text.endswith("Grafana dashboard Grafana panel Silence it Alert rule in Grafana ")
    assert said.note == "may apply as a major accident (重大な事故): a person decides False"


BAD: dict[str, tuple[str, int, str]] = {
    "syntax": ("a\n{% if %}", 2, "Expected an expression"),
    "not closed": ("{{ url", 1, "unexpected end of template"),
    "unknown variable": ("a\n\n{{ verdikt }}", 3, "'verdikt' is not known: known are alerts_left_out, "),
    "unknown part": ("\n{{ ja.fakts }}", 2, "has no attribute 'fakts'"),
    "unknown filter": ("{{ url | shout }}", 1, "No filter named 'shout'"),
    "not always known": ("{{ url }}\n{{ due_on.year }}", 2, "has no attribute 'year'"),
    "no number": ("{{ url | number }}", 1, "ValueError"),
    "inside of python": ("{{ url.__class__.__mro__ }}", 1, "unsafe"),
    "another file": ("{% include '/etc/passwd' %}", 1, "no loader"),
    "without end": ("{% for a in range(10000000) %}x{% endfor %}", 1, "Range too big"),
}


@pytest.mark.parametrize(("source", "line", "wrong"), BAD.values(), ids=BAD)
def test_a_bad_template_is_told_with_file_and_line_and_ours_takes_its_place(
    tmp_path: Path, source: str, line: int, wrong: str
) -> None:
    ticket = settings(templates=templates(tmp_path, text=source))
    ((at, why, _),) = complaints(whole(ticket), ["voice"])
    assert at == ("tickets", 0, "templates", "text")
    assert why.startswith(f"{tmp_path}/text.j2:{line}: ")
    assert wrong in why
    said, ours = Content(ticket).draft(ROW, statement()), content.draft(ROW, statement())
    *text, last = said.text.splitlines()
    assert "\n".join(text) == ours.text
    assert last.startswith(f"ひな形を使えなかった: text.j2:{line}: ")
    assert f" / A template could not be used: text.j2:{line}: " in last
    assert (said.title, said.note) == (ours.title, ours.note)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.j2").write_bytes(b"\xe9")
    files = {"title": f"{tmp_path}/none.j2", "comment": f"{tmp_path}/latin.j2"}
    told = [why for _, why, _ in complaints(whole(settings(templates=files)), [])]
    assert told[0] == f"{tmp_path}/none.j2:1: cannot be read (No such file or directory)"
    assert "latin.j2:1: is not UTF-8 text" in told[1]


def test_a_fault_that_only_shows_later_stops_no_ticket(tmp_path: Path) -> None:
    files = templates(tmp_path, title="{{ 1 // (number - 3) }}", comment="{% if number == 3 %} {% else %}x{% endif %}")
    ticket = settings(templates=files, fields={"note": "{{ 1 // (number - 3) }}", "kept": "yes"})
    assert complaints(whole(ticket), []) == []
    said, ours = Content(ticket).draft(ROW, statement()), content.draft(ROW, statement())
    assert (said.title, said.note, said.fields) == (ours.title, ours.note, {"kept": "yes"})
    told = said.text.removeprefix(ours.text).splitlines()[1:]
    assert [line.partition(" / ")[0].removeprefix("ひな形を使えなかった: ") for line in told] == [
        "title.j2:1: ZeroDivisionError: integer division or modulo by zero",
        "comment.j2:1: nothing came out",
        "fields.note:1: ZeroDivisionError: integer division or modulo by zero",
    ]


FIELDS: dict[str, tuple[Any, Any]] = {
    "text": ("{{ verdict }}: {{ services }}", "major: voice"),
    "no template": ("plain {text}", "plain {text}"),
    "number": (3, 3),
    "nothing": (None, None),
    "truth": (False, False),
    "empty list": ([], []),
    "users as text": ("{{ users }}", "42000"),
    "users as a number": ("{{ users | number }}", 42000),
    "day": ("{{ due_on }}", "2026-12-21"),
    "object": ({"name": "{{ priority }}", "id": 7}, {"name": "高", "id": 7}),
    "list of objects": (
        [{"value": "{{ verdict }}"}, "{{ restored_at }}"],
        [{"value": "major"}],
    ),
    "deep": ({"a": [{"b": ["{{ unmeasured }}"]}]}, {"a": [{"b": ["False"]}]}),
}


@pytest.mark.parametrize(("mapped", "expected"), FIELDS.values(), ids=FIELDS)
def test_fields_are_mapped_however_they_are_nested(mapped: Any, expected: Any) -> None:
    ticket = settings(fields={"f": mapped}, priority={"major": "高"})
    assert complaints(whole(ticket), []) == []
    assert Content(ticket).draft(ROW, statement()).fields == {"f": expected}


@pytest.mark.parametrize(
    "mapped", ["", "{{ restored_at }}", " {{ '' }}\n", {"name": "{{ priority }}"}, [{"a": ["{{ priority }}"]}]]
)
def test_a_field_of_which_nothing_comes_out_is_left_out(mapped: Any) -> None:
    assert Content(settings(fields={"f": mapped})).draft(ROW, statement()).fields == {}


def test_what_the_system_cannot_take_is_told_before_the_receiver_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART58_TEST_TOKEN", "x")
    ticket = GitHubTicket(name="tracker", repository="a/b", token=SecretRef(env="ART58_TEST_TOKEN"), fields={"foo": 1})
    ((at, why, _),) = complaints(whole(ticket), [])
    assert at == ("tickets", 0)
    assert "foo" in why
    monkeypatch.delenv("ART58_TEST_TOKEN")
    fit = msgspec.structs.replace(ticket, fields={})
    assert complaints(whole(fit), []) == [], "a secret that is not there is told where it is named"


def test_a_bad_template_in_a_field_is_told_at_its_key() -> None:
    ticket = settings(fields={"a": {"b": ["x", "{{ verdikt }}"]}, "c": "{{ verdict }}"})
    ((at, why, _),) = complaints(whole(ticket), [])
    assert at == ("tickets", 0, "fields", "a", "b", 1)
    assert why.startswith("fields.a.b[1]:1: 'verdikt' is not known")
    assert Content(ticket).draft(ROW, statement()).fields == {"a": {"b": ["x"]}, "c": "major"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1),
        ({"verdict": Verdict.PERIODIC, "major_since": None, "candidate": True}, "soon"),
        ({"verdict": Verdict.INDETERMINATE, "major_since": None, "candidate": True, "measured": False}, "soon"),
        ({"verdict": Verdict.INDETERMINATE, "major_since": None}, "ask"),
        ({"verdict": Verdict.PERIODIC, "major_since": None}, None),
    ],
)
def test_the_priority_is_that_of_the_verdict_or_of_a_candidate(changes: dict[str, Any], expected: Any) -> None:
    ticket = settings(priority={"major": 1, "candidate": "soon", "indeterminate": "ask"}, fields={"p": "{{ priority }}"})
    assert Content(ticket).draft(ROW, statement(**changes)).fields.get("p") == expected


def test_users_are_those_of_the_service_hit_hardest_and_never_added_up() -> None:
    two = (assessment(), assessment(service="data", affected_users=50_000))
    other = assessment(service="mail", affected_users=90_000, verdict=Verdict.NONE)
    said = Content(settings(fields={"u": "{{ users }}"})).draft(ROW, sample(assessments=(*two, other)))
    assert said.fields == {"u": "50000"}
    none = Content(settings(fields={"u": "{{ users | number }}"})).draft(
        ROW, sample(assessments=(assessment(affected_users=None),))
    )
    assert none.fields == {}


MEANING = st.sampled_from(["{{ 7*7 }}", "{{", "}}", "{%", "%}", "{#", "#}", "{% raw %}", "{{ self.__init__ }}", "%s", "{0}"])
HOSTILE = st.lists(st.one_of(MEANING, st.text(max_size=8)), max_size=6).map("".join)
OWN = Content(
    settings(fields={"all": "{{ ja.text }}", "tags": "{{ tags | join('|') }}", "title": "{{ en.title }}"}, language="both")
)


@given(HOSTILE)
def test_nothing_that_others_sent_is_ever_a_template(text: str) -> None:
    made: list[str] = []
    counting: Callable[..., Any] = lambda *given, **_: made.append(str(given))  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImmutableSandboxedEnvironment, "compile", counting)
        patch.setattr(ImmutableSandboxedEnvironment, "parse", counting)
        said = statement([alert(labels={"cell": text, "alertname": text}, annotations={"__panel_url__": text}, generator_url=text)])
        draft = OWN.draft(ROW, said)
    assert made == []
    # as it was said, letter by letter, and nothing else
    assert draft.fields["all"] == said.text.ja
    assert draft.fields["tags"] == "|".join(said.tags)
    (head_ja, grounds_ja), (head_en, grounds_en) = head_and_rest(said.text.ja), head_and_rest(said.text.en)
    assert draft.text.startswith(f"{head_ja}\n\n{head_en}\n\n詳細 / Details: {said.url}\n")
    assert draft.text.endswith(f"\n\n{grounds_ja}\n\n{grounds_en}")


@given(HOSTILE)
def test_a_statement_of_any_text_is_shown_as_it_is(text: str) -> None:
    said = sample(
        title=Text(text, text), text=Text(f"a{text}b", f"c{text}d"), parts=Parts(links=(Link(Text("x", "y"), "http://z"),))
    )
    shown = content.draft(ROW, said).text
    (head_ja, grounds_ja), (head_en, grounds_en) = head_and_rest(f"a{text}b"), head_and_rest(f"c{text}d")
    grounds = "".join(f"\n\n{each}" for each in (grounds_ja, grounds_en) if each)
    assert shown == f"{head_ja}\n\n{head_en}\n\n詳細 / Details: {said.url}\nx / y: http://z{grounds}"


def test_paths_are_taken_from_the_configuration(tmp_path: Path) -> None:
    desk = msgspec.convert({"kind": "directory", "name": "desk", "path": "t", "templates": {"text": "x/text.j2"}}, DirectoryTicket)
    (rooted,) = whole(desk).rooted(tmp_path).tickets
    assert (rooted.templates.text, rooted.templates.title) == (f"{tmp_path}/x/text.j2", None)


def test_send_settings_that_cannot_be_meant_are_told() -> None:
    odd = {"services": ["voice", "fax"], "lead_seconds": 3600, "quiet": {"begins": "22:00", "ends": "22:00"}}
    told = complaints(whole(settings(send=odd), settings(send={"verdicts": [], "candidates": False})), ["voice"])
    assert [at for at, _, _ in told] == [
        ("tickets", 0, "send", "services", 1),
        ("tickets", 0, "send", "lead_seconds"),
        ("tickets", 0, "send", "quiet", "ends"),
        ("tickets", 1, "send", "verdicts"),
    ]
    assert told[1][1] == "is longer than candidate_lead_seconds (1800): nothing is a candidate so early"


def test_the_settings_become_a_route() -> None:
    ticket = settings(send={"lead_seconds": 600, "services": ["voice"], "quiet": {"begins": "22:00", "ends": "06:30"}})
    route = route_of(ticket)
    assert (route.target, route.object, route.services, route.send.lead) == ("desk", "ticket", ("voice",), timedelta(minutes=10))
    assert route.send.quiet is not None
    assert str(route.send.quiet.ends) == "06:30:00"
    assert route.content.draft(ROW, sample()).text == content.draft(ROW, sample()).text
