"""Which service an alert is about is told by Alertmanager's matchers, and they mean what they mean in Alertmanager."""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.matchers import BadMatcher, Matcher, parse
from tests.programs import PEERS

AMTOOL = PEERS / "amtool"

CASES: list[tuple[str, dict[str, str], bool]] = [
    ('service="voice"', {"service": "voice"}, True),
    ('service="voice"', {"service": "voices"}, False),
    ('service="voice"', {"service": "Voice"}, False),
    ("service=voice", {"service": "voice"}, True),
    (' service = "voice" ', {"service": "voice"}, True),
    ("service==voice", {"service": "=voice"}, True),
    ('service="a b, {c}"', {"service": "a b, {c}"}, True),
    # an absent label is an empty one
    ('service="voice"', {"job": "x"}, False),
    ('service=""', {"job": "x"}, True),
    ("service=", {"job": "x"}, True),
    ('service=""', {"service": "voice"}, False),
    ('service!="voice"', {"job": "x"}, True),
    ('service!="voice"', {"service": "voice"}, False),
    ('service!="voice"', {"service": "data"}, True),
    ('service!=""', {"job": "x"}, False),
    ('service!~"voice|data"', {"job": "x"}, True),
    ('service=~".*"', {"job": "x"}, True),
    ('service=~".+"', {"job": "x"}, False),
    # patterns are anchored at both ends, alternatives too
    ('service=~"voice"', {"service": "voice-2"}, False),
    ('service=~"voice"', {"service": "my-voice"}, False),
    ('service=~"voice|data"', {"service": "voicedata"}, False),
    ('service=~"voice|data"', {"service": "data"}, True),
    ('service=~"voice.*"', {"service": "voice-2"}, True),
    ('service!~"voice.*"', {"service": "voice-2"}, False),
    ('service!~"voice"', {"service": "voice-2"}, True),
    ("service=~ran-.*", {"service": "ran-tokyo"}, True),
    ('service=~"(?i)VOICE"', {"service": "voice"}, True),
    # escapes: \" \\ \n, any other backslash stays; with and without quotes
    (r'service=~"ran-\d+"', {"service": "ran-12"}, True),
    (r'service=~"a\.b"', {"service": "a.b"}, True),
    (r'service=~"a\.b"', {"service": "axb"}, False),
    (r'service=~"a\\.b"', {"service": "a.b"}, True),
    (r"service=a\\b", {"service": "a\\b"}, True),
    (r"service=~a\.b", {"service": "axb"}, False),
    # character classes are those of ASCII
    (r'service=~"\d"', {"service": "３"}, False),
    (r'service=~"\w+"', {"service": "音声"}, False),
    ('service="音声"', {"service": "音声"}, True),
]


def fits(matcher: str, labels: dict[str, str]) -> bool:
    return parse(matcher).fits(labels)


@pytest.mark.parametrize(("matcher", "labels", "expected"), CASES)
def test_a_matcher_means_what_it_means_in_alertmanager(matcher: str, labels: dict[str, str], expected: bool) -> None:
    assert fits(matcher, labels) is expected


@pytest.mark.parametrize(("matcher", "labels", "expected"), CASES)
def test_alertmanager_agrees(matcher: str, labels: dict[str, str], expected: bool, tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yml"
    route = {"receiver": "no", "routes": [{"receiver": "yes", "matchers": [matcher]}]}
    config.write_text(json.dumps({"route": route, "receivers": [{"name": "no"}, {"name": "yes"}]}))
    quoted = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
    answer = subprocess.run(
        [AMTOOL, "config", "routes", "test", f"--config.file={config}", *quoted], capture_output=True, text=True, check=True
    )
    # newer versions warn, above the answer, of what their stricter parser would not read
    assert answer.stdout.splitlines()[-1] == ("yes" if expected else "no")


@pytest.mark.parametrize(
    ("matcher", "value"),
    [(r'a="say \"hi\""', 'say "hi"'), (r'a="back\\slash"', "back\\slash"), (r'a="two\nlines"', "two\nlines"), (r'a="\t"', r"\t")],
)
def test_escapes_are_undone(matcher: str, value: str) -> None:
    assert parse(matcher) == Matcher("a", "=", value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "service",
        '="voice"',
        'service="voice',
        'service=voice"',
        'service="voi"ce"',
        'service "voice"',
        'service>"voice"',
        'service-name="voice"',
        '1service="voice"',
        'サービス="voice"',
        '{service="voice"}',
        'service="voice",job="x"',
        "service=two words",
    ],
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(BadMatcher, match="is no matcher"):
        parse(text)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{99999999999}", "a**", "(?P<n>a)(?P<n>b)", r"\pL", "(?u)a"])
@pytest.mark.parametrize("operator", ["=~", "!~"])
def test_what_is_no_regular_expression_is_refused(operator: str, pattern: str) -> None:
    with pytest.raises(BadMatcher, match="is no regular expression"):
        parse(f'service{operator}"{pattern}"')


def test_a_posix_class_is_refused_because_it_would_mean_something_else_here() -> None:
    with pytest.raises(BadMatcher, match=r"write it as \[A-Za-z\]"):
        parse('service=~"[[:alpha:]]+"')


@pytest.mark.parametrize("operator", ["=", "!="])
def test_what_would_be_a_bad_pattern_is_good_text(operator: str) -> None:
    assert parse(f'service{operator}"("').value == "("


label_names = st.from_regex(re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII), fullmatch=True)
values = st.text(max_size=30)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@given(label_names, values, values)
def test_any_value_can_be_written_in_quotes(name: str, value: str, other: str) -> None:
    assert fits(f"{name}={_quoted(value)}", {name: value})
    assert fits(f"{name}={_quoted(value)}", {name: other}) == (value == other)


@given(label_names, values, values)
def test_any_value_can_be_matched_by_its_escaped_pattern_and_nothing_longer(name: str, value: str, more: str) -> None:
    matcher = f"{name}=~{_quoted(re.escape(value))}"
    assert fits(matcher, {name: value})
    assert fits(matcher, {name: value + more}) == (more == "")
    assert fits(matcher, {name: more + value}) == (more == "")


@given(label_names, values, st.dictionaries(label_names, values, max_size=3))
def test_a_negated_matcher_fits_exactly_where_the_plain_one_does_not(name: str, value: str, labels: dict[str, str]) -> None:
    for plain, negated, text in (("=", "!=", value), ("=~", "!~", re.escape(value))):
        assert fits(f"{name}{plain}{_quoted(text)}", labels) != fits(f"{name}{negated}{_quoted(text)}", labels)


@given(label_names, st.sampled_from(["=", "!=", "=~", "!~"]), values, st.dictionaries(label_names, values, max_size=3))
def test_an_absent_label_is_an_empty_one(name: str, operator: str, value: str, labels: dict[str, str]) -> None:
    matcher = f"{name}{operator}{_quoted(re.escape(value))}"
    absent = {key: text for key, text in labels.items() if key != name}
    assert fits(matcher, absent) == fits(matcher, absent | {name: ""})


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")  # Python's hint on patterns like [[a]
@given(st.text('ab=~!"\\ ([{*+?|^$)]}1,', max_size=20))
def test_any_text_is_a_matcher_or_refused_as_none(text: str) -> None:
    for matcher in (text, f'a=~"{text}"'):
        with contextlib.suppress(BadMatcher):
            assert parse(matcher).fits({}) in (True, False)


def _service(name: str, *match: str) -> Service:
    return Service(name=name, kind="other", match=match)


def test_an_alert_must_fit_every_matcher_of_a_service() -> None:
    catalogue = Catalogue((_service("voice", 'service="voice"', 'job=~"ran-.*"'),))
    assert [s.name for s in catalogue.services_of({"service": "voice", "job": "ran-1"})] == ["voice"]
    assert catalogue.services_of({"service": "voice", "job": "core"}) == []
    assert catalogue.services_of({"job": "ran-1"}) == []


def test_an_alert_may_be_about_several_services_in_the_order_of_the_catalogue() -> None:
    catalogue = Catalogue(
        (_service("voice", 'service=~"voice|all"'), _service("lpwa", 'service="lpwa"'), _service("data", 'service="all"'))
    )
    assert [s.name for s in catalogue.services_of({"service": "all"})] == ["voice", "data"]


def test_what_is_remembered_of_labels_is_of_those_that_services_ask_for_and_of_this_catalogue() -> None:
    labels = {"service": "voice", "instance": "a"}
    one, other = Catalogue((_service("voice", 'service="voice"', 'job=""'),)), Catalogue((_service("lpwa", 'service="voice"'),))
    for _ in range(2):
        assert [s.name for s in one.services_of(labels)] == ["voice"]
        assert [s.name for s in one.services_of(labels | {"instance": "b"})] == ["voice"]
        assert one.services_of(labels | {"job": "core"}) == []
        assert [s.name for s in other.services_of(labels)] == ["lpwa"]


def test_nobody_who_changes_an_answer_changes_the_next_one() -> None:
    catalogue = Catalogue((_service("voice", 'service="voice"'),))
    catalogue.services_of({"service": "voice"}).clear()
    assert [s.name for s in catalogue.services_of({"service": "voice"})] == ["voice"]


def test_no_more_than_so_many_kinds_of_alerts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.catalogue._MOST_REMEMBERED", 10)
    catalogue = Catalogue((_service("voice", 'equipment=~"ran-.*"'),))
    for number in range(100):
        assert [s.name for s in catalogue.services_of({"equipment": f"ran-{number}"})] == ["voice"]
        assert catalogue.services_of({"equipment": f"core-{number}"}) == []
        assert len(catalogue._services_of) <= 10


def test_long_labels_are_matched_and_not_remembered() -> None:
    catalogue = Catalogue((_service("voice", 'equipment=~"ran-.*"', 'job=""'),))
    for labels in ({"equipment": "ran-" + "x" * 1000}, {"equipment": "ran-1", "job": "x" * 1000}):
        assert [s.name for s in catalogue.services_of(labels)] == ([] if "job" in labels else ["voice"])
    assert catalogue._services_of == {}
