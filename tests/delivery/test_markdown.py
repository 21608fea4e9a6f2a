"""Text in a tracker is shown as it is: it calls nobody, refers to nothing, gives no command and passes for none of our marks."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.delivery.targets import markdown
from tests.delivery.shown_markdown import shown

REFERENCE = re.compile(
    r"@[A-Za-z0-9]|[#!&$]\d|\b(GH|GL)-\d|~[A-Za-z0-9]|%[A-Za-z0-9{]|:([a-z0-9_+-]*[a-z+-][a-z0-9_+-]*|100):|\[[a-z_]+:|\b(?=\d*[a-f])[0-9a-f]{7,40}\b"
)
"""As a tracker looks for them, in the text that is left once Markdown was taken off."""


def rendered(text: str) -> list[str]:
    """The pieces of text between the tags: a tracker looks for references in each."""
    bare = text.replace("&#8203;", "\u200b").replace("&amp;", "&").replace("&lt;", "<")
    return re.split(r"</?span>|<!--.*?-->", re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", bare))


@pytest.mark.parametrize(
    "text",
    [
        "@admin",
        "mail x@example.org",
        "@team/core",
        "#1",
        "group/project#1",
        "!1",
        "&1",
        "$1",
        "GH-1",
        "(GL-1)",
        "~bug",
        "%1",
        "%{project_name}",
        ":tada:",
        ":100:",
        ":+1:",
        "[work_item:1]",
        "deadbeef",
        "0123456789abcdef0123456789abcdef01234567",
        "https://tracker.example/group/project/commit/0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_nobody_is_called_and_nothing_is_referred_to(text: str) -> None:
    made = markdown.tracker_markdown(f"設備 {text} が停止", 1000)
    assert not [piece for piece in rendered(made) if REFERENCE.search(piece)]
    assert shown(made) == f"設備 {text} が停止"
    assert not REFERENCE.search(markdown.tracker_line(f"設備 {text} が停止"))


@pytest.mark.parametrize("text", ["/close", "  /close", "a\n/assign @me", "\u200b/close", "a\r/close", "a\u2028/close"])
def test_no_line_is_a_command(text: str) -> None:
    assert not re.search(r"^\s*/", markdown.tracker_markdown(text, 1000), re.MULTILINE)
    assert not markdown.tracker_line("/close").startswith("/")


@pytest.mark.parametrize("figures", ["42,000", "1234567", "12:00:30", "90%以上", "100%", "2026-11-21 12:00", "a & b", "1 #"])
def test_figures_are_not_parted(figures: str) -> None:
    assert markdown.tracker_markdown(figures, 1000) == figures


def test_a_link_stays_one_unless_it_leads_into_a_tracker() -> None:
    ours = "詳細 / Details: https://art58.example/incidents/20261121-abcdef1234"
    assert markdown.tracker_markdown(ours, 1000) == ours
    for path in ("org/repo/issues/1", "group/project/-/merge_requests/1", "org/repo/pull/1"):
        made = markdown.tracker_markdown(f"https://tracker.example/{path}", 1000)
        assert "https://" not in made
        assert shown(made) == f"https://tracker.example/{path}"


def test_mathematics_is_text() -> None:
    assert "$" not in markdown.tracker_markdown("${7*7} $x$", 1000).replace("<span>$</span>", "")


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_what_stands_around_our_part_is_left_as_it_is(above: str, text: str, below: str) -> None:
    first = markdown.block("inc-1", "first", 10_000)
    there = f"{above}{first}{below}"
    made = markdown.with_block(there, "inc-1", text, 100_000)
    assert made.startswith(above)
    assert made.endswith(below)
    assert markdown.has_block(made)
    assert made.count("<!--") == there.count("<!--")
    assert markdown.with_block(made, "inc-1", text, 100_000) == made


def test_the_part_of_another_ticket_is_left_alone() -> None:
    both = markdown.block("inc-10", "theirs", 1000) + markdown.block("inc-1", "ours", 1000)
    made = markdown.with_block(both, "inc-1", "newer", 10_000)
    assert "theirs" in made
    assert "ours" not in made


def test_our_part_makes_room_for_what_persons_wrote() -> None:
    there = "長" * 60_000 + markdown.block("inc-1", "first", 5000)
    made = markdown.with_block(there, "inc-1", "@x" * 50_000, 65_536)
    assert len(made) <= 65_536
    assert markdown.has_block(made)
    assert made.startswith("長" * 60_000)


def test_without_both_marks_nothing_is_written() -> None:
    there = markdown.block("inc-1", "first", 5000)
    for begun in (there.replace("<!-- art58 end -->", ""), there.replace("<!-- art58 begin inc-1 -->", "")):
        assert not markdown.has_block(begun)
        assert markdown.with_block(begun, "inc-1", "newer", 5000) == begun
