"""Operators add or overrule a rulebook from a file of their own; a wrong file is refused with the line and the cure."""

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

ROWS = GOOD[GOOD.index("rows:") : GOOD.index("clause_2:")]
CLAUSE_2 = """\
clause_2:
  article: {ja: 想定, en: assumption}
  source: https://noc.example/assumptions
  evidence: assumed
  last_checked: 2026-11-21
  duration_seconds: 0"""
DRAFT = """\
id: OWN-DRAFT
title: {ja: 案, en: draft}
status: draft_not_enacted
based_on: JP-TBA58-2019
article: {ja: 案, en: draft}
source: 案
evidence: draft
last_checked: 2026-11-21
"""
TOO_LOW = "a threshold of zero or less, which everything reaches. Give seconds and users above zero"
LAST_ROW = "rows: the last row does not take every service. Add a last row without kinds and other demands"
NO_GAP = ". Let one rulebook end on the eve of the next, and the last one not at all"
APART = ". End one before the other begins, or name it "


def changed(*texts: str) -> str:
    """GOOD with the first of each pair, where it stands first, replaced by the second."""
    text = GOOD
    for was, becomes in zip(texts[::2], texts[1::2], strict=True):
        text = text.replace(was, becomes, 1)
    return text


def write(folder: Path, text: str, name: str = "own.yaml") -> Path:
    file = folder / name
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
    draft = rulebook_named("OWN-DRAFT", load([write(tmp_path, DRAFT)], shipped()))
    assert draft.rows == rulebook_named("JP-TBA58-2019", shipped()).rows
    assert (draft.valid_from, draft.valid_to, draft.valid_days) == (None, None, "draft")
    assert not draft.covers(datetime(2026, 5, 1, tzinfo=UTC).date())


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("id: OWN-2027", "id: OWN-2027\nid: TWICE"), 2, "id: key given twice"),
        (("valid_to: null", "valid_to: 2027-03-31"), 4, "valid_to: is before valid_from. Correct one of the two days"),
        (("valid_from: 2027-04-01", "valid_from: 1 April"), 3, "valid_from: invalid RFC3339"),
        (("evidence: assumed\nlast", "evidence: guessed\nlast"), 8, "evidence: invalid enum value 'guessed'"),
        (("last_checked: 2026-11-21\n", ""), 1, "last_checked: required key is missing"),
        (("row: 1", "row: 2"), 11, "rows[0].row: is 2, but this is row 1. Number the rows from 1, from the top"),
        (("users: 10}", "users: 0}"), 13, f"rows[0].conditions[0]: {TOO_LOW}"),
        (("users: 10}", "users: 10.5}"), 13, "rows[0].conditions[0].users: expected `int`, got `float`"),
        (("users: 10}", "user: 10}"), 13, "rows[0].conditions[0].user: unknown key"),
        (
            ("[{duration_seconds: 60, users: 10}]", "[]"),
            13,
            "rows[0].conditions: no condition. Give at least one duration and number of users",
        ),
        (("    conditions", "    kinds: [voice]\n    conditions"), 10, LAST_ROW),
        (("    conditions", "    kinds: [fax]\n    conditions"), 13, "rows[0].kinds[0]: invalid enum value 'fax'"),
        (("id: OWN-2027", "id: OWN-2027\nstop_onyl: true"), 2, "stop_onyl: unknown key"),
        (
            ("valid_from: 2027-04-01", "valid_from: 2026-04-01"),
            3,
            f"valid_from: covers days of JP-TBA58-2026, too (2026-04-01 and on){APART}JP-TBA58-2026",
        ),
        (
            ("valid_from: 2027-04-01", "valid_from: 2025-04-01"),
            3,
            f"valid_from: covers days of JP-TBA58-2019, too (2025-04-01 and on){APART}JP-TBA58-2019",
        ),
        (("clause_2: null\n", ""), 1, "clause_2: required key is missing"),
        (("id: OWN-2027", 'id: "OWN 2027\\e[2J"'), 1, "id: is no plain name. Use up to 63 letters, digits, '.', '_' and '-'"),
        (("  users: 5", "  users: 0"), 15, f"periodic: {TOO_LOW}"),
        (("  duration_seconds: 60\n  users: 5", "  duration_seconds: 0\n  users: 5"), 15, f"periodic: {TOO_LOW}"),
        (
            ("users: 10}", "users: 10000000001}"),
            13,
            "rows[0].conditions[0]: a threshold of 10000000001, which nothing reaches. Give no more than 10000000000",
        ),
        (("    conditions", "    monthly_users_previous_fy_at_least: 5\n    conditions"), 10, LAST_ROW),
        ((ROWS, "rows: []\n"), 10, LAST_ROW),
        (("clause_2: null", CLAUSE_2), 14, f"clause_2: {TOO_LOW}"),
        (
            ("OWN-2027", "JP-TBA58-2019", "2027-04-01", "2019-04-01", "valid_to: null", "valid_to: 2026-04-01"),
            3,
            f"valid_from: covers days of JP-TBA58-2026, too (2026-04-01 and on){APART}JP-TBA58-2026",
        ),
        (("valid_to: null", "valid_to: 2027-09-30"), 3, f"valid_from: leaves the days after 2027-09-30 without a rulebook{NO_GAP}"),
        (("OWN-2027", "JP-TBA58-2026"), 3, f"valid_from: leaves the days from 2026-04-01 to 2027-03-31 without a rulebook{NO_GAP}"),
        (
            ("valid_from: 2027-04-01\nvalid_to: null", "valid_from: 2026-06-01\nvalid_to: 2026-06-30"),
            3,
            "valid_from: leaves the days after 2026-06-30 without a rulebook",
        ),
        (("{ja: 想定, en: assumption}", "想定"), 6, "article: expected `object`, got `str`"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, change: tuple[str, ...], line: int, said: str) -> None:
    file = write(tmp_path, changed(*change))
    with pytest.raises(FaultyFile) as refused:
        load([file], shipped())
    assert f"{file}:{line}: {said}" in str(refused.value)


def test_a_draft_on_nothing_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, DRAFT.replace("JP-TBA58-2019", "NOWHERE"))
    with pytest.raises(FaultyFile) as refused:
        load([file], shipped()[-2:])
    known = "Name one of JP-TBA58-2026, JP-TBA58-DRAFT-2023-04"
    assert str(refused.value) == f"{file}:4: based_on: there is no rulebook 'NOWHERE'. {known}"


@pytest.mark.parametrize(
    "text", [DRAFT.replace("OWN-DRAFT", "JP-TBA58-2026"), changed("OWN-2027", "JP-TBA58-2026\nstatus: draft_not_enacted")]
)
def test_a_draft_cannot_take_the_place_of_a_rulebook_in_force(tmp_path: Path, text: str) -> None:
    with pytest.raises(FaultyFile, match=r":1: id: a draft cannot take the place of a rulebook in force\. Choose another id$"):
        load([write(tmp_path, text)], shipped())


def test_two_files_of_one_id_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path, GOOD)
    second = write(tmp_path, GOOD, "again.yaml")
    with pytest.raises(FaultyFile, match=r"again.yaml:1: id: two of the files have this id\. Choose another id$"):
        load([first, second], shipped())


def test_rulebooks_from_elsewhere_may_cover_a_part_of_time_only(tmp_path: Path) -> None:
    """Only what was covered before must stay covered."""
    half_a_year = write(tmp_path, changed("valid_from: 2027-04-01\nvalid_to: null", "valid_from: 2026-04-01\nvalid_to: 2026-09-30"))
    (book,) = load([half_a_year])
    until_2026 = tuple(rulebook_named(name, shipped()) for name in ("JP-TBA58-2019", "JP-TBA58-DRAFT-2023-04"))
    assert load([half_a_year], until_2026) == (until_2026[0], book, until_2026[1])


def test_rulebooks_stand_in_the_order_of_their_days_and_drafts_last(tmp_path: Path) -> None:
    files = [write(tmp_path, DRAFT, "draft.yaml"), write(tmp_path, GOOD)]
    known = [book.id for book in shipped()]
    assert [book.id for book in load(files, shipped())] == [*known[:-1], "OWN-2027", known[-1], "OWN-DRAFT"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("OWN-2027", "own.table_2027"), id="small letters and signs"),
        pytest.param(("duration_seconds: 60, users: 10", "duration_seconds: 1, users: 1"), id="the smallest thresholds"),
        pytest.param(
            ("duration_seconds: 60, users: 10", "duration_seconds: 10000000000, users: 10000000000"), id="the largest thresholds"
        ),
        pytest.param(("valid_to: null", "valid_to: 2027-04-01"), id="a single day"),
    ],
)
def test_what_is_unusual_but_right_is_taken(tmp_path: Path, change: tuple[str, ...]) -> None:
    assert len(load([write(tmp_path, changed(*change))])) == 1
