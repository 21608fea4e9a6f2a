"""Operators add or overrule a rulebook from a file of their own; a wrong file is refused with the line and the cure."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver.law.lined_yaml import FaultyFile
from receiver.law.rulebook import load, rulebook_named, rulebook_on, shipped

GOOD = """\
id: OWN-2027
title: {ja: 自社の想定, en: our assumption}
valid_from: 2027-04-01
valid_to: null
valid_days: assumed
article: {ja: 想定, en: assumption}
source: https://noc.example/assumptions
evidence: assumed
last_checked: 2026-11-21
rows:
  - row: 1
    title: {ja: すべて, en: everything}
    conditions: [{duration_seconds: 60, users: 10}]
clause_2: null
periodic:
  article: {ja: 想定, en: assumption}
  source: https://noc.example/assumptions
  evidence: assumed
  last_checked: 2026-11-21
  duration_seconds: 60
  users: 5
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "own.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_own_rulebook_overrules_one_of_the_same_name(tmp_path: Path) -> None:
    mine = GOOD.replace("OWN-2027", "JP-TBA58-2026").replace("valid_from: 2027-04-01", "valid_from: 2026-04-01")
    books = load([write(tmp_path, mine)], shipped())
    assert len(books) == len(shipped())
    assert rulebook_on(datetime(2026, 5, 1, tzinfo=UTC), books).rows[0].conditions[0].users == 10
    assert rulebook_named("JP-TBA58-2019", books) == rulebook_named("JP-TBA58-2019", shipped())


def test_a_new_table_ends_the_one_in_force_on_its_eve(tmp_path: Path) -> None:
    books = load([write(tmp_path, GOOD)], shipped())
    noon = {day: datetime.fromisoformat(f"{day}T12:00:00+09:00") for day in ("2027-03-31", "2027-04-01")}
    assert [rulebook_on(moment, books).id for moment in noon.values()] == ["JP-TBA58-2026", "OWN-2027"]
    assert rulebook_named("JP-TBA58-2019", books) == rulebook_named("JP-TBA58-2019", shipped())


def test_a_draft_of_ones_own_is_based_on_another_book(tmp_path: Path) -> None:
    text = "id: OWN-DRAFT\ntitle: {ja: 案, en: draft}\nstatus: draft_not_enacted\nbased_on: JP-TBA58-2026\n"
    text += "article: {ja: 案, en: draft}\nsource: 案\nevidence: draft\nlast_checked: 2026-11-21\n"
    draft = rulebook_named("OWN-DRAFT", load([write(tmp_path, text)], shipped()))
    assert draft.rows == rulebook_named("JP-TBA58-2026", shipped()).rows
    assert not draft.covers(datetime(2026, 5, 1, tzinfo=UTC).date())


@pytest.mark.parametrize(
    ("change", "line", "wrong"),
    [
        (("id: OWN-2027", "id: OWN-2027\nid: TWICE"), 2, "key given twice"),
        (("valid_to: null", "valid_to: 2027-03-31"), 4, "is before valid_from"),
        (("valid_from: 2027-04-01", "valid_from: 1 April"), 3, "invalid RFC3339"),
        (("evidence: assumed\nlast", "evidence: guessed\nlast"), 8, "invalid enum value 'guessed'"),
        (("last_checked: 2026-11-21\n", ""), 1, "required key is missing"),
        (("row: 1", "row: 2"), 11, "is 2, but this is row 1"),
        (("users: 10}", "users: 0}"), 13, "a threshold of zero or less"),
        (("users: 10}", "users: 10.5}"), 13, "expected `int`, got `float`"),
        (("users: 10}", "user: 10}"), 13, "unknown key"),
        (("[{duration_seconds: 60, users: 10}]", "[]"), 13, "no condition"),
        (("    conditions", "    kinds: [voice]\n    conditions"), 10, "the last row does not take every service"),
        (("    conditions", "    kinds: [fax]\n    conditions"), 13, "invalid enum value 'fax'"),
        (("id: OWN-2027", "id: OWN-2027\nstop_onyl: true"), 2, "unknown key"),
        (("valid_from: 2027-04-01", "valid_from: 2026-04-01"), 3, "covers days of JP-TBA58-2026, too"),
        (("valid_from: 2027-04-01", "valid_from: 2025-04-01"), 3, "covers days of JP-TBA58-2019, too"),
        (("clause_2: null\n", ""), 1, "required key is missing"),
        (("id: OWN-2027", 'id: "OWN 2027\\e[2J"'), 1, "is no plain name"),
        (("  users: 5", "  users: 0"), 15, "a threshold of zero or less"),
        (("  duration_seconds: 60\n  users: 5", "  duration_seconds: 0\n  users: 5"), 15, "a threshold of zero or less"),
        (("users: 10}", "users: 99999999999}"), 13, "which nothing reaches"),
        (
            ("    conditions", "    monthly_users_previous_fy_at_least: 5\n    conditions"),
            10,
            "the last row does not take every service",
        ),
        (("valid_to: null", "valid_to: 2027-09-30"), 3, "leaves the days after 2027-09-30 without a rulebook"),
        (("OWN-2027", "JP-TBA58-2026"), 3, "leaves the days from 2026-04-01 to 2027-03-31 without a rulebook"),
        (("valid_from: 2027-04-01\nvalid_to: null", "valid_from: 2026-06-01\nvalid_to: 2026-06-30"), 3, "after 2026-06-30 without"),
        (("{ja: 想定, en: assumption}", "想定"), 6, "expected `object`, got `str`"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], line: int, wrong: str) -> None:
    file = write(tmp_path, GOOD.replace(*change, 1))
    with pytest.raises(FaultyFile) as refused:
        load([file], shipped())
    told = [(fault.line, fault.wrong.lower()) for fault in refused.value.faults]
    assert any(at == line and wrong.lower() in text for at, text in told), told
    assert re.match(rf"{re.escape(str(file))}:\d+: ", str(refused.value))


def test_a_draft_on_nothing_is_refused(tmp_path: Path) -> None:
    text = "id: X\ntitle: {ja: 案, en: draft}\nstatus: draft_not_enacted\nbased_on: NOWHERE\n"
    text += "article: {ja: 案, en: draft}\nsource: 案\nevidence: draft\nlast_checked: 2026-11-21\n"
    with pytest.raises(FaultyFile, match="there is no rulebook 'NOWHERE'"):
        load([write(tmp_path, text)], shipped())


def test_a_draft_cannot_take_the_place_of_a_rulebook_in_force(tmp_path: Path) -> None:
    text = "id: JP-TBA58-2026\ntitle: {ja: 案, en: draft}\nstatus: draft_not_enacted\nbased_on: JP-TBA58-2019\n"
    text += "article: {ja: 案, en: draft}\nsource: 案\nevidence: draft\nlast_checked: 2026-11-21\n"
    with pytest.raises(FaultyFile, match=r":1: id: a draft cannot take the place of a rulebook in force"):
        load([write(tmp_path, text)], shipped())


def test_two_files_of_one_id_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path, GOOD)
    second = tmp_path / "again.yaml"
    second.write_text(GOOD, encoding="utf-8")
    with pytest.raises(FaultyFile, match=r"again.yaml:1: id: two of the files have this id"):
        load([first, second], shipped())


def test_rulebooks_from_elsewhere_may_cover_a_part_of_time_only(tmp_path: Path) -> None:
    """Only what was covered before must stay covered."""
    (book,) = load([write(tmp_path, GOOD.replace("valid_to: null", "valid_to: 2027-09-30"))])
    assert book.valid_to
