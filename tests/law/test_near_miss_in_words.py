"""What decided about a near-miss is named so that it can be read beside the outcome."""

from datetime import UTC, datetime

from receiver.law.near_miss import Answers, assess

DAY = datetime(2026, 7, 1, tzinfo=UTC)


def test_that_it_is_a_major_accident_already_is_named_by_its_question() -> None:
    said = assess(Answers(already_major=True), DAY).explanation
    assert "決め手: 既に重大な事故（第58条第2項）に該当すると判断されているか=はい（柱書）。" in said.ja
    asked = "Has it been judged to be a major accident (Art. 58(2)) already?"
    assert f"Decided by: {asked} = yes (Ordinance Art. 58-2). By the text" in said.en
