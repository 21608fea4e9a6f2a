"""Tickets as Markdown files: ours is the block and our keys of the front matter, the rest is the person's."""

import errno
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.delivery.merge import merge
from receiver.delivery.targets import Refused, Unreachable
from receiver.delivery.targets.directory import BEGIN, END, TicketDirectory
from receiver.law.provisions import Text
from receiver.model import Remembered
from tests.samples import RESTORED_AT, draft, say


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "desk" / "tickets"


@pytest.fixture
def target(folder: Path) -> TicketDirectory:
    return TicketDirectory("desk", folder)


def test_a_ticket_reads_well(target: TicketDirectory, folder: Path) -> None:
    assert target.create(draft()) == "inc-1.md"

    assert (folder / "inc-1.md").read_text() == (
        "---\n"
        "id: inc-1\n"
        "state: open\n"
        'title: "重大な事故に該当する可能性（要判断）: 携帯電話（音声） / May be a major accident: mobile voice"\n'
        "verdict: major\n"
        "unmeasured: false\n"
        "started_at: 2026-11-21T12:00:00+09:00\n"
        "restored_at: null\n"
        "number: 3\n"
        "---\n"
        "\n"
        "<!-- art58 begin -->\n"
        "# 重大な事故に該当する可能性（要判断）: 携帯電話（音声） / May be a major accident: mobile voice\n"
        "\n"
        "影響利用者数: 42,000人（実測）  \n"
        "継続時間: 65分\n"
        "- 設備: mme-1\n"
        "\n"
        "Users hit: 42,000 (measured)  \n"
        "For: 65 min\n"
        "\n"
        "詳細 / Details: http://127.0.0.1:9158/incidents/inc-1\n"
        "\n"
        "*この枠内は自動で書き換わります。メモは枠の外にお書きください。 / Rewritten automatically: write notes outside.*\n"
        "<!-- art58 end -->\n"
        "\n"
        "## メモ / Notes\n"
        "\n"
    )


def test_a_resolved_ticket_says_when_it_was_restored(target: TicketDirectory, folder: Path) -> None:
    remote_id = target.create(draft(unmeasured=True))
    say(target, remote_id, draft(number=4, restored_at=RESTORED_AT, resolved=True, unmeasured=True))

    front_matter = (folder / "inc-1.md").read_text().splitlines()[1:9]
    assert "state: resolved" in front_matter
    assert "restored_at: 2026-11-21T13:30:00+09:00" in front_matter
    assert "unmeasured: true" in front_matter
    assert "number: 4" in front_matter


def test_what_a_person_wrote_is_kept(target: TicketDirectory, folder: Path) -> None:
    target.create(draft())
    file = folder / "inc-1.md"
    text = file.read_text()
    text = text.replace("number: 3\n", "number: 3\nassignee: 山田\nlabels:\n- core\n")
    text = text.replace(BEGIN, f"担当から一言\n\n{BEGIN}") + "経過を確認中\r\n---\nend of note"
    file.write_bytes(text.encode())

    say(target, "inc-1.md", draft(number=4))

    assert file.read_bytes().decode() == text.replace("number: 3\nassignee", "number: 4\nassignee")


def test_writing_the_same_again_changes_nothing(target: TicketDirectory, folder: Path) -> None:
    target.create(draft())
    before = (folder / "inc-1.md").read_bytes()
    target.create(draft())
    say(target, "inc-1.md", draft())

    assert (folder / "inc-1.md").read_bytes() == before
    assert [file.name for file in folder.iterdir()] == ["inc-1.md"]


def test_notes_in_another_encoding_go_through_unharmed(target: TicketDirectory, folder: Path) -> None:
    target.create(draft())
    note = "復旧作業中".encode("shift_jis")
    with (folder / "inc-1.md").open("ab") as stream:
        stream.write(note)

    say(target, "inc-1.md", draft(number=4))

    assert (folder / "inc-1.md").read_bytes().endswith(note)


def test_a_ticket_saved_by_an_editor_of_windows_is_still_ours(target: TicketDirectory, folder: Path) -> None:
    target.create(draft())
    file = folder / "inc-1.md"
    saved = file.read_text().replace("number: 3\n", "number: 3\nassignee: 山田\n") + "メモ\n"
    file.write_bytes(saved.replace("\n", "\r\n").encode("utf-8-sig"))

    say(target, "inc-1.md", draft(number=4))

    assert file.read_text() == saved.replace("number: 3\n", "number: 4\n")


@pytest.mark.parametrize("left", ["", "my own words\n", "---\nid: inc-1\nno end", f"{END}\n{BEGIN}\nx\n"])
def test_a_file_without_the_block_gets_it_and_keeps_its_words(target: TicketDirectory, folder: Path, left: str) -> None:
    folder.mkdir(parents=True)
    file = folder / "inc-1.md"
    file.write_bytes(left.encode())
    say(target, "inc-1.md", draft(number=4))
    once = file.read_bytes()
    say(target, "inc-1.md", draft(number=4))

    assert file.read_bytes() == once
    assert once.decode().splitlines()[10:12] == ["", BEGIN]
    for line in left.splitlines():
        assert line in once.decode()


def test_a_file_that_was_taken_away_is_made_anew(target: TicketDirectory, folder: Path) -> None:
    remote_id = target.create(draft())
    (folder / remote_id).unlink()
    assert target.find("inc-1") == []

    say(target, remote_id, draft(number=4, restored_at=RESTORED_AT, resolved=True))

    assert target.find("inc-1") == ["inc-1.md"]
    assert merge({"title": "t"}, {}, Remembered(written={"title": "before"})) == ({"title": "t"}, ()), "nobody's yet"


def test_a_stored_id_does_not_lead_out_of_the_folder(target: TicketDirectory, folder: Path) -> None:
    say(target, "../../elsewhere.md", draft())

    assert [file.name for file in folder.iterdir()] == ["inc-1.md"]


def test_a_key_that_is_no_file_name_is_refused_when_looking_too(target: TicketDirectory) -> None:
    with pytest.raises(Refused, match="cannot be the name of a file"):
        target.find("../secrets")


def test_a_folder_that_cannot_be_written_means_come_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unreachable, match=r"^desk: .*/file: .*Check the folder"):
        TicketDirectory("desk", tmp_path / "file").create(draft())


def test_a_full_disk_leaves_the_old_ticket_whole(target: TicketDirectory, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target.create(draft())
    before = (folder / "inc-1.md").read_bytes()

    fsync, outcomes = os.fsync, iter([OSError(errno.ENOSPC, "No space left on device")])

    def full_once(descriptor: int) -> None:
        if outcome := next(outcomes, None):
            raise outcome
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_once)
    with pytest.raises(Unreachable, match="No space left"):
        say(target, "inc-1.md", draft(number=4))

    assert (folder / "inc-1.md").read_bytes() == before
    assert [file.name for file in folder.iterdir()] == ["inc-1.md"]


def test_others_may_read_a_ticket_and_its_mode_is_kept(target: TicketDirectory, folder: Path) -> None:
    target.create(draft())
    file = folder / "inc-1.md"
    assert file.stat().st_mode & 0o777 == 0o644
    file.chmod(0o664)

    say(target, "inc-1.md", draft(number=4))

    assert file.stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("# heading", "\\# heading"),
        ("    code", "code"),
        ("> quote", "\\> quote"),
        ("===", "\\==="),
        ("- - -", "- \\- -"),
        ("- # heading", "- \\# heading"),
        ("* voice *", "* voice \\*"),
        ("* * *", "* \\* \\*"),
        ("a*b* `c` [d](e) |f| ~g~", "a\\*b\\* \\`c\\` \\[d\\](e) \\|f\\| \\~g\\~"),
        ("snake_case _under_ __dunder__", "snake_case \\_under\\_ \\_\\_dunder\\_\\_"),
        ("&lt; a & b <b>", "&amp;lt; a & b &lt;b>"),
        ("back\\slash", "back\\\\slash"),
        ("重大な事故 3,000人 (a-b) 1 > 0!", "重大な事故 3,000人 (a-b) 1 > 0!"),
    ],
)
def test_signs_of_markdown_in_a_text_are_shown_as_they_are(target: TicketDirectory, folder: Path, written: str, shown: str) -> None:
    target.create(draft(text=Text(ja=written, en="x")))

    assert shown in (folder / "inc-1.md").read_text().splitlines()


def test_every_kind_of_line_break_is_one_and_a_list_ends_where_it_ends(target: TicketDirectory, folder: Path) -> None:
    target.create(draft(text=Text(ja="a\r\nb\rc\u2028d\n- e\n- f\ng\n\nh", en="x")))

    text = (folder / "inc-1.md").read_text()
    assert "\n\na  \nb  \nc  \nd\n- e\n- f\n\ng\n\nx\n\n" in text
    assert "\n\nh\n\n" in text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(), max_size=200).map(lambda text: text.replace("x", END).replace("y", "\n---\n")))
def test_no_text_breaks_out_of_the_front_matter_or_the_block(tmp_path: Path, text: str) -> None:
    target = TicketDirectory("desk", tmp_path)
    (tmp_path / "inc-1.md").unlink(missing_ok=True)
    target.create(draft(title=Text(ja=text, en=text), text=Text(ja=text, en=text), url=text))

    written = (tmp_path / "inc-1.md").read_text()
    front_matter, rest = written.removeprefix("---\n").split("\n---\n", 1)
    found = yaml.safe_load(front_matter)
    assert (found["id"], found["state"], found["number"], len(found)) == ("inc-1", "open", 3, 8)
    assert isinstance(found["title"], str)
    assert rest.count("<!--") == 2
    assert rest.startswith(f"\n{BEGIN}\n")
    assert rest.endswith(f"{END}\n\n## メモ / Notes\n\n")
