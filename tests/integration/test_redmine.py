"""The contract of every ticket system on a real Redmine, and what is special there; then a whole incident, with failures."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import msgspec
import pytest

from receiver.delivery.content import Content
from receiver.delivery.follow import UNSURE
from receiver.delivery.targets import Change, Refused, Seen, Unfindable, Unreachable
from receiver.delivery.targets import redmine as adapter
from receiver.delivery.targets.redmine import RedmineIssues
from receiver.storage import deliveries
from tests.delivery import test_dispatcher, test_ticket_systems
from tests.delivery.places import Desk
from tests.delivery.redmine import CLOSED, IN_PROGRESS, NEW, PATIENCE, Door, Redmine, desk_in
from tests.delivery.test_content import ROW
from tests.delivery.test_content import statement as composed
from tests.samples import draft

globals().update({name: test for name, test in vars(test_ticket_systems).items() if name.startswith("test_")})

SHOWN = (
    "*bold* _it_ h1. x <b>b</b>",
    "#{0} @tanaka user:tanaka [[Wiki]] {{{{toc}}}} !pic.png!",
    '"a":http://a.example http://b.example &lt; commit:abc ==x== ~~ `` 7*7',
    "# x\n> q\n|a|b|",
)
"""Markup that is to be read as it is; {0} is the number of an issue."""

ENDS = "</pre><script>x</script> </PRE > <code class='ruby'>1</code> <!-- c --> ``` ~~~\n```\n~~~\n</pre>"
"""With which it might get out of what is shown as it is."""


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redmine]:
    with Redmine(tmp_path_factory.mktemp("redmine")) as redmine:
        yield redmine


@pytest.fixture
def redmine(started: Redmine) -> Redmine:
    started.wipe()
    return started


@pytest.fixture
def door(redmine: Redmine) -> Iterator[Door]:
    with Door(redmine.url) as door:
        yield door


@pytest.fixture
def timeout_seconds() -> float:
    return PATIENCE


@pytest.fixture
def desk(redmine: Redmine, door: Door, timeout_seconds: float, tmp_path: Path) -> Desk:
    return desk_in(redmine, door, tmp_path)


@pytest.fixture
def target(redmine: Redmine, tmp_path: Path) -> RedmineIssues:
    return RedmineIssues(redmine.settings(tmp_path), PATIENCE)


def seen(target: RedmineIssues, id_: str) -> Seen:
    return test_ticket_systems.seen(target, id_)


@pytest.mark.parametrize("formatting", ["textile", "common_mark"])
def test_text_of_others_is_read_as_it_is_and_makes_nothing(redmine: Redmine, tmp_path: Path, formatting: str) -> None:
    redmine.set_formatting(formatting)
    target = RedmineIssues(redmine.settings(tmp_path, formatting=formatting), PATIENCE)
    other = target.create(draft(key="inc-2"))
    words = [one.format(other) for one in SHOWN]
    markup = "\n".join([*words, ENDS, *words])
    ours = "詳細 / Details: http://127.0.0.1:9158/incidents/inc-1"
    id_ = target.create(msgspec.structs.replace(draft(), text=f"{markup}\n{ours}"))
    target.comment(id_, markup, "inc-1#1")
    redmine.edit(other, description=f"#{id_} <b>", notes="by @tanaka: **bold** *bold*")
    page = redmine.page(id_)
    assert len(page.texts) == 2
    for text in page.texts:
        assert [text.count(word) for word in words] == [2] * len(words)
        assert "art58" not in text, "our marks are not shown"
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == ["http://127.0.0.1:9158/incidents/inc-1"]
    assert {tag for tag, _ in page.tags} <= {"pre", "code", "p", "a", "br"}
    assert "strong" in {tag for tag, _ in redmine.page(other).tags}, "else this finds nothing"
    redmine.set_formatting("textile")


MARKUP_IN_AN_ADDRESS = "http://a.example/!b.png!_c_/*d*/@e@f/[[Wiki]]/(g)'h'~i~,--j--;&lt;/#{0}?q=up+%3D%3D+0&r===s==&commit:ab#{0}"


@pytest.mark.parametrize("formatting", ["textile", "common_mark"])
@pytest.mark.parametrize("name", ["アラートの条件（Prometheus） / Alert's expression in Prometheus: ", "詳細: ", ""])
def test_a_link_of_ours_can_be_clicked_and_whatever_stands_in_it_is_no_markup(
    redmine: Redmine, tmp_path: Path, formatting: str, name: str
) -> None:
    redmine.set_formatting(formatting)
    target = RedmineIssues(redmine.settings(tmp_path, formatting=formatting), PATIENCE)
    other = target.create(draft(key="inc-2"))
    address = MARKUP_IN_AN_ADDRESS.format(other)
    text = f"above\n{name}{address}\nbelow\n{name}javascript:alert(1)\n設備: http://b.example/"
    id_ = target.create(msgspec.structs.replace(draft(), text=text))
    target.comment(id_, text, "inc-1#1")
    page = redmine.page(id_)
    redmine.set_formatting("textile")
    links = [unquote(str(attributes["href"])) for tag, attributes in page.tags if tag == "a"]
    assert links == [unquote(address.replace("+", " "))] * 2
    assert {tag for tag, _ in page.tags} <= {"pre", "code", "p", "a", "br"}
    assert all("javascript:alert(1)" in each and "設備: http://b.example/" in each for each in page.texts)


def test_a_name_that_is_none_of_ours_makes_no_link(redmine: Redmine, tmp_path: Path) -> None:
    target = RedmineIssues(redmine.settings(tmp_path), PATIENCE)
    id_ = target.create(msgspec.structs.replace(draft(), text="*see* !x!: http://a.example/\n詳細: ftp://a.example/"))
    page = redmine.page(id_)
    assert {tag for tag, _ in page.tags} <= {"pre", "p"}


def test_a_ticket_in_one_language_has_no_other(redmine: Redmine, tmp_path: Path) -> None:
    for language, other in (("ja", "[A-Za-z]{2,} [A-Za-z]{2,}"), ("en", "書き換わ|要判断|利用者数")):
        settings = redmine.settings(tmp_path, language=language)
        id_ = RedmineIssues(settings, PATIENCE).create(Content(settings).draft(ROW, composed()))
        (text,) = redmine.page(id_).texts
        foreign = text.replace("1 h and 30,000 users", "").replace("May apply: a person decides", "")
        assert not re.search(other, foreign)


def test_no_line_is_wider_than_is_shown(redmine: Redmine, tmp_path: Path) -> None:
    target = RedmineIssues(redmine.settings(tmp_path), PATIENCE)
    id_ = target.create(msgspec.structs.replace(draft(), text=f"根拠: {'長' * 200}\n{'x' * 250} y"))
    shown = redmine.issue(id_)["description"]
    assert max(len(line) for line in shown.splitlines() if "x" in line) == 100
    assert max(line.count("長") for line in shown.splitlines()) == 48


@pytest.mark.parametrize(("formatting", "left_out"), [("textile", "<pre>.*?</pre>"), ("common_mark", "(?:~~~|```).*?(?:~~~|```)")])
def test_nobody_is_told_of_a_mention_in_text_of_others(redmine: Redmine, tmp_path: Path, formatting: str, left_out: str) -> None:
    """Redmine mails to those who are mentioned, but for what these expressions match (lib/redmine/acts/mentionable.rb)."""
    target = RedmineIssues(redmine.settings(tmp_path, formatting=formatting), PATIENCE)
    id_ = target.create(msgspec.structs.replace(draft(), text=f"@tanaka {ENDS} @tanaka"))
    found = redmine.issue(id_)["description"]
    assert found.count("@tanaka") == 2
    assert "@" not in re.sub(left_out, "", found, flags=re.DOTALL)


def test_all_pages_are_looked_through(target: RedmineIssues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_PAGE", 2)
    made = [target.create(draft()) for _ in range(5)]
    assert target.find("inc-1") == made


def test_only_what_we_made_is_found(redmine: Redmine, target: RedmineIssues) -> None:
    id_ = target.create(draft())
    copied = {"project_id": "noc", "subject": "copy", "custom_fields": [{"id": redmine.ids["key_field"], "value": "inc-1"}]}
    redmine.call("yamada", "POST", "/issues.json", {"issue": copied})
    assert target.find("inc-1") == [id_]
    assert redmine.made() == 2


def test_where_no_issue_may_be_seen_the_right_is_named(redmine: Redmine, target: RedmineIssues) -> None:
    with redmine.without("view_issues"), pytest.raises(Refused, match=r"403\. .*'noc' have the rights view_issues"):
        target.find("inc-1")


def test_what_another_receiver_made_in_another_project_is_not_taken_for_ours(
    redmine: Redmine, target: RedmineIssues, tmp_path: Path
) -> None:
    """Both write as the same user, and the one's project stands below the other's."""
    other = RedmineIssues(redmine.settings(tmp_path, project="field-service"), PATIENCE)
    path = f"/projects/{redmine.ids['other_project']}.json"
    above = next(one["id"] for one in redmine.call("yamada", "GET", "/projects.json")["projects"] if one["identifier"] == "noc")
    theirs = other.create(draft())
    redmine.call("yamada", "PUT", path, {"project": {"parent_id": above}})
    try:
        assert target.find("inc-1") == []
        ours = target.create(draft())
        assert (target.find("inc-1"), other.find("inc-1")) == ([ours], [theirs])
    finally:
        redmine.call("yamada", "PUT", path, {"project": {"parent_id": ""}})


def test_an_issue_that_a_person_moved_to_another_project_is_followed_there(redmine: Redmine, target: RedmineIssues) -> None:
    id_ = target.create(draft())
    redmine.edit(id_, project_id=redmine.ids["other_project"])
    target.write(id_, draft(number=4), Change({}, state="closed"), seen(target, id_))
    target.comment(id_, "over", "inc-1#1")
    assert redmine.issue(id_)["status"]["id"] == CLOSED
    assert target.has_comment(id_, "inc-1#1")


def test_a_comment_counts_only_by_its_whole_mark_and_on_its_own_issue(target: RedmineIssues) -> None:
    first, second = target.create(draft()), target.create(draft())
    target.comment(first, "x", "inc-1#10")
    assert not target.has_comment(first, "inc-1#1")
    assert target.has_comment(first, "inc-1#10")
    assert not target.has_comment(second, "inc-1#10")


def test_a_change_that_the_role_forbids_is_told_and_made_once_it_may(redmine: Redmine, target: RedmineIssues) -> None:
    """Redmine answers it with 204, as if it were done."""
    id_ = target.create(draft())
    before = redmine.issue(id_)
    newer = msgspec.structs.replace(draft(number=2), title="another", text="another")
    with redmine.without("edit_issues"):
        with pytest.raises(Refused, match=r"did not take description\. Let the role"):
            target.write(id_, newer, Change({"title": "another"}), seen(target, id_))
        assert redmine.issue(id_)["subject"] == before["subject"]
    target.write(id_, newer, Change({"title": "another"}), seen(target, id_))
    assert redmine.issue(id_)["subject"] == "another"


def test_a_note_that_the_role_forbids_is_told_and_made_once_it_may(redmine: Redmine, target: RedmineIssues) -> None:
    id_ = target.create(draft())
    with redmine.without("add_issue_notes"), pytest.raises(Refused, match=r"did not take a note\. Give .* add_issue_notes"):
        target.comment(id_, "changed", "inc-1#1")
    assert redmine.comments(id_) == []
    target.comment(id_, "changed", "inc-1#1")
    assert len(redmine.comments(id_)) == 1


def test_what_a_person_saved_in_the_same_moment_is_come_back_to(redmine: Redmine, target: RedmineIssues) -> None:
    id_ = target.create(draft())
    newer, before = msgspec.structs.replace(draft(), text="newer"), seen(target, id_)
    with redmine.database() as database:
        # as where the row has a newer lock_version than was read: no row is changed
        database.execute("CREATE TRIGGER saved_by_a_person BEFORE UPDATE ON issues BEGIN SELECT RAISE(IGNORE); END")
    try:
        with pytest.raises(Unreachable, match="saved by somebody else"):
            target.write(id_, newer, Change({}), before)
        with pytest.raises(Unreachable, match="saved by somebody else"):
            target.comment(id_, "changed", "inc-1#1")
    finally:
        with redmine.database() as database:
            database.execute("DROP TRIGGER saved_by_a_person")
    target.write(id_, newer, Change({}), before)
    assert "newer" in redmine.issue(id_)["description"]


def test_issues_are_made_in_the_status_in_which_they_count_as_nobodys(redmine: Redmine, tmp_path: Path) -> None:
    # where only one status may be first Redmine takes it unasked: so two may, and its own default is the other one
    permit = """
        INSERT INTO workflows (tracker_id, old_status_id, new_status_id, role_id, type)
        SELECT tracker_id, 0, ?, role_id, type FROM workflows WHERE old_status_id = 1 AND new_status_id = 4
    """
    with redmine.database() as database:
        database.executemany(permit, [(NEW,), (4,)])
    target = RedmineIssues(redmine.settings(tmp_path, open_status_id=4), PATIENCE)
    try:
        id_ = target.create(draft())
    finally:
        with redmine.database() as database:
            database.execute("DELETE FROM workflows WHERE old_status_id = 0")
    assert redmine.issue(id_)["status"]["id"] == 4
    assert not seen(target, id_).is_taken


def test_a_redmine_that_cannot_search_in_notes_is_not_believed(redmine: Redmine, door: Door, tmp_path: Path) -> None:
    target = RedmineIssues(redmine.settings(tmp_path, url=door.url), PATIENCE)
    id_ = target.create(draft())
    door.strips = r"&?notes=[^&]*"
    with pytest.raises(Refused, match="must be 5"):
        target.has_comment(id_, "inc-1#1")


def test_a_key_field_that_is_no_filter_is_said_and_finds_nothing(redmine: Redmine, tmp_path: Path) -> None:
    target = RedmineIssues(redmine.settings(tmp_path, key_field=redmine.ids["no_filter"]), PATIENCE)
    target.create(draft(key="inc-2"))
    with pytest.raises(Refused, match="Used as a filter"):
        target.find("inc-1")


def test_a_key_that_was_taken_away_is_put_back(redmine: Redmine, target: RedmineIssues) -> None:
    id_ = target.create(draft())
    redmine.edit(id_, custom_fields=[{"id": redmine.ids["key_field"], "value": ""}])
    assert target.find("inc-1") == []
    target.write(id_, draft(), Change({}, block=False), seen(target, id_))
    assert target.find("inc-1") == [id_]


def test_a_key_that_cannot_be_put_back_is_said(redmine: Redmine, target: RedmineIssues) -> None:
    id_, field = target.create(draft()), redmine.ids["key_field"]
    redmine.edit(id_, custom_fields=[{"id": field, "value": ""}])
    read_only = """
        INSERT INTO workflows (tracker_id, old_status_id, new_status_id, role_id, type, field_name, rule)
        SELECT trackers.id, ?, 0, roles.id, 'WorkflowPermission', ?, 'readonly' FROM trackers, roles
    """
    with redmine.database() as database:
        database.execute(read_only, (NEW, str(field)))
    try:
        with pytest.raises(Refused, match=f"issue {id_} is without its key in custom field {field}"):
            target.write(id_, draft(), Change({}, block=False), seen(target, id_))
    finally:
        with redmine.database() as database:
            database.execute("DELETE FROM workflows WHERE type = 'WorkflowPermission'")


@pytest.fixture
def bare_tracker(redmine: Redmine) -> Iterator[int]:
    """A tracker that has not the field of the key."""
    with redmine.database() as database:
        (tracker,) = database.execute("SELECT max(tracker_id) FROM custom_fields_trackers").fetchone()
        without = (redmine.ids["key_field"], tracker)
        database.execute("DELETE FROM custom_fields_trackers WHERE custom_field_id = ? AND tracker_id = ?", without)
    yield tracker
    with redmine.database() as database:
        database.execute("INSERT INTO custom_fields_trackers VALUES (?, ?)", without)


def test_an_issue_made_without_its_key_is_told_of_by_its_number(redmine: Redmine, bare_tracker: int, tmp_path: Path) -> None:
    target = RedmineIssues(redmine.settings(tmp_path, tracker_id=bare_tracker), PATIENCE)
    with pytest.raises(
        Unfindable, match=r"made issue \d+ without its key in custom field \d+\. Give that to the tracker"
    ) as raised:
        target.create(draft())
    assert redmine.issue(raised.value.remote_id)["tracker"]["id"] == bare_tracker


def test_an_issue_that_a_person_gave_a_tracker_without_the_key_is_followed(
    redmine: Redmine, target: RedmineIssues, bare_tracker: int
) -> None:
    id_ = target.create(draft())
    redmine.edit(id_, tracker_id=bare_tracker)
    target.write(id_, draft(number=4), Change({}, state="closed"), seen(target, id_))
    assert redmine.issue(id_)["status"]["id"] == CLOSED


def test_a_status_that_the_workflow_does_not_permit_is_said(redmine: Redmine, target: RedmineIssues) -> None:
    id_ = target.create(draft())
    with redmine.database() as database:
        database.execute("UPDATE workflows SET new_status_id = -5 WHERE new_status_id = 5")
    try:
        with pytest.raises(Refused, match="did not take status 5"):
            target.write(id_, draft(), Change({}, state="closed"), seen(target, id_))
    finally:
        with redmine.database() as database:
            database.execute("UPDATE workflows SET new_status_id = 5 WHERE new_status_id = -5")


def test_a_status_that_a_person_chose_shows_that_it_is_taken(redmine: Redmine, target: RedmineIssues) -> None:
    id_ = target.create(draft())
    redmine.edit(id_, status_id=IN_PROGRESS)
    assert seen(target, id_).is_taken
    redmine.edit(id_, status_id=NEW)
    assert not seen(target, id_).is_taken


def test_values_from_templates_are_read_back_in_the_same_form(redmine: Redmine, target: RedmineIssues) -> None:
    field = f"cf_{redmine.ids['other_field']}"
    wanted = draft(fields={"priority_id": "4", "done_ratio": "30", "estimated_hours": "2", "is_private": False, field: 7})
    found = seen(target, target.create(wanted)).fields
    assert {name: found[name] for name in target.fields(wanted)} == target.fields(wanted)


def test_a_part_that_went_through_a_browser_is_still_ours(redmine: Redmine, target: RedmineIssues) -> None:
    id_ = target.create(draft())
    assert "\r\n" in redmine.issue(id_)["description"], "Redmine itself ends lines so"
    redmine.edit(id_, description="above \n" + redmine.issue(id_)["description"].replace("-->", "--> ") + "\n below")
    target.write(id_, msgspec.structs.replace(draft(), text="newer"), Change({}), seen(target, id_))
    found = redmine.issue(id_)["description"]
    assert (found.count(adapter.BEGIN), found.count(adapter.END)) == (1, 1)
    assert found.startswith("above ")
    assert found.endswith("below")
    assert "42,000" not in found


@pytest.mark.parametrize("name", ["assigned_to_id", "status_id", "description", "cf_1", "cf_x", "priority"])
def test_a_field_that_is_none_or_not_to_be_mapped_is_refused(redmine: Redmine, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        RedmineIssues(redmine.settings(tmp_path, fields={name: "1"}), PATIENCE)
    with pytest.raises(Refused, match=name):
        RedmineIssues(redmine.settings(tmp_path), PATIENCE).fields(draft(fields={name: "1"}))


def test_a_key_that_is_not_taken_is_refused_and_not_shown(redmine: Redmine, tmp_path: Path) -> None:
    settings = redmine.settings(tmp_path)
    (tmp_path / "api_key").write_text("not-the-key")
    target = RedmineIssues(settings, PATIENCE)
    with pytest.raises(Refused, match="401") as refused:
        target.create(draft())
    assert "not-the-key" not in f"{refused.value}{target!r}{vars(target)}"


def test_a_project_or_status_that_is_not_there_is_refused(redmine: Redmine, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"answered 422 .*'none' is there for the user of the API key"):
        RedmineIssues(redmine.settings(tmp_path, project="none"), PATIENCE).create(draft())


def test_a_user_who_may_not_add_issues_is_what_is_looked_at(redmine: Redmine, target: RedmineIssues, tmp_path: Path) -> None:
    project = redmine.settings(tmp_path).project
    with redmine.without("add_issues"), pytest.raises(Refused, match=rf"'{project}' is there .* and whether it may add issues"):
        target.create(draft())


@pytest.mark.parametrize("key", ["", "-1", "*", "~inc", "inc|1", "inc 1", "長"])
def test_what_cannot_be_a_key_is_refused(target: RedmineIssues, key: str) -> None:
    with pytest.raises(Refused, match="cannot be an incident's key"):
        target.find(key)


class Ledger(test_dispatcher.Desk):
    """A store in front of Redmine, by way of the door."""

    def __init__(self, redmine: Redmine, door: Door, folder: Path, timeout_seconds: float) -> None:
        super().__init__(folder)
        self.settings = redmine.settings(folder, url=door.url)
        self.target = RedmineIssues(self.settings, timeout_seconds)  # type: ignore[assignment]

    def rows(self) -> list[str | None]:
        with self.database.read() as connection:
            return [one.remote_id for one in deliveries.of_incidents(connection, ["inc-1"])]


@pytest.fixture
def ledger(redmine: Redmine, door: Door, timeout_seconds: float, tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(redmine, door, tmp_path, timeout_seconds)
    yield ledger
    ledger.database.close()


def test_an_issue_follows_its_incident_to_the_end_and_beyond(redmine: Redmine, ledger: Ledger) -> None:
    ledger.assess(1)
    ledger.send_all()
    (id_,) = ledger.rows()
    assert id_
    assert redmine.issue(id_)["status"]["id"] == NEW

    redmine.edit(id_, subject="山田が対応中", description="現地へ\n\n" + redmine.issue(id_)["description"] + "\n\n交換済み")
    ledger.assess(2, affected_users=55_000)
    ledger.send_all()
    issue = redmine.issue(id_)
    assert issue["subject"] == "山田が対応中"
    assert issue["description"].startswith("現地へ")
    assert issue["description"].endswith("交換済み")

    ledger.assess(3, state="closed", restored_at=ledger.now)
    ledger.send_all()
    assert redmine.issue(id_)["status"]["id"] == CLOSED

    ledger.now += timedelta(hours=1)
    ledger.assess(4)
    ledger.send_all()
    assert redmine.issue(id_)["status"]["id"] == NEW
    assert redmine.made() == 1

    ledger.assess(5, state="closed", restored_at=ledger.now)
    ledger.send_all()
    ledger.now += timedelta(days=8)
    ledger.assess(6)
    ledger.send_all()
    first, second = ledger.rows()
    assert (first, redmine.made()) == (id_, 2)
    assert second
    assert redmine.issue(id_)["status"]["id"] == CLOSED
    assert id_ in redmine.issue(second)["description"]
    assert second in redmine.comments(id_)[-1]


def test_an_issue_that_a_person_took_on_is_not_closed(redmine: Redmine, ledger: Ledger) -> None:
    ledger.assess(1)
    ledger.send_all()
    (id_,) = ledger.rows()
    redmine.edit(str(id_), assigned_to_id=redmine.ids["tanaka"]["id"])
    ledger.assess(2, state="closed", restored_at=ledger.now)
    ledger.send_all()
    issue = redmine.issue(str(id_))
    assert (issue["status"]["id"], issue["assigned_to"]["id"]) == (NEW, redmine.ids["tanaka"]["id"])


@pytest.mark.parametrize("timeout_seconds", [3.0])
def test_a_time_out_after_the_work_makes_no_second_issue(redmine: Redmine, door: Door, ledger: Ledger) -> None:
    door.lose_next("answer")
    ledger.assess(1)
    ledger.send_all()
    assert ledger.rows() == [None]
    assert "no answer" in str(ledger.row().last_error)
    sent_twice_at_most(redmine, ledger)


WORKER = """
import sys
import msgspec
from datetime import datetime
from pathlib import Path
from typing import Literal
from receiver.delivery.targets.redmine import RedmineIssues
from receiver.settings.tickets import RedmineTicket
from tests.delivery.test_dispatcher import Desk

desk = Desk(Path(sys.argv[1]))
desk.dispatcher(RedmineIssues(msgspec.json.decode(sys.argv[2], type=RedmineTicket), 60), holder="killed").send_next()
"""


@pytest.mark.parametrize("lost", ["request", "answer"], ids=["killed before the work", "killed after the work"])
def test_killed_between_call_and_record_a_worker_leaves_one_issue(
    redmine: Redmine, door: Door, ledger: Ledger, tmp_path: Path, lost: Literal["request", "answer"]
) -> None:
    ledger.assess(1)
    door.lose_next(lost)
    command = [sys.executable, "-c", WORKER, str(tmp_path), msgspec.json.encode(ledger.settings).decode()]
    with subprocess.Popen(command) as worker:
        try:
            while not door.reached.wait(0.1):
                assert worker.poll() is None
        finally:
            worker.kill()
    assert redmine.made() == (0 if lost == "request" else 1)
    ledger.send_all()
    assert ledger.row().state == "claimed", "nobody takes it while the claim may be alive"
    ledger.now += deliveries.CLAIM
    sent_twice_at_most(redmine, ledger)


def sent_twice_at_most(redmine: Redmine, ledger: Ledger) -> None:
    """From here on all goes well: in the end there is one issue, and the ledger has it."""
    ledger.now += timedelta(seconds=2)
    ledger.send_all()
    ledger.now += UNSURE
    ledger.send_all()
    assert ledger.row().state == "sent"
    (id_,) = ledger.rows()
    assert redmine.made() == 1
    assert ledger.target.find("inc-1") == [id_]
