"""How lines are cut and broken where a place shows few of them, or shows them as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.delivery.targets.plain_text import whole_lines, wrapped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short\n\nlines", "short\n\nlines"),
        ("abcdefghij", "abcdefghij"),
        ("abcdefghijk", "abcdefghij\n    k"),
        ("abcdefg hij klm", "abcdefg\n    hij\n    klm"),
        ("abcdefghij klm", "abcdefghij\n    klm"),
        ("a bcdefghijk", "a bcdefghi\n    jk"),
        ("利用者数は一万人", "利用者数は\n    一万人"),
        ("（（（（（（", "（（（（（\n    （"),
        ("→→→→→→", "→→→→→\n    →"),
        ("a利用者数は", "a利用者数\n    は"),
    ],
)
def test_a_long_line_is_broken_by_how_wide_it_is_shown_at_a_blank_if_one_is_near(text: str, shown: str) -> None:
    assert wrapped(text, 10) == shown


@given(st.text(st.characters(exclude_characters=" \n"), max_size=60))
def test_nothing_is_lost_or_added_by_breaking_but_blanks(text: str) -> None:
    assert "".join(line.strip(" ") for line in wrapped(text, 9).split("\n")) == text


def test_no_more_than_whole_lines_are_shown_where_there_is_little_room() -> None:
    assert whole_lines("one\ntwo\nthree", 13) == "one\ntwo\nthree"
    assert whole_lines("one\ntwo\nthree", 12) == "one\ntwo\n…"
    assert whole_lines("a long first line\nb", 10) == "a long …\n…"
