"""What the pages say is so: generated pages fit the code, examples are accepted by those they are for, links lead somewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import requests
import yaml

from docs import generate
from receiver.cli import config, main
from receiver.delivery import given
from receiver.delivery.targets.webhook import TicketWebhook
from receiver.law.estimate import Method
from receiver.law.rulebook import Rulebook, shipped
from receiver.settings import Settings
from receiver.settings.tickets import TicketSettings
from tests.fakes.ticket_webhook import FakeTicketWebhook
from tests.programs import PEERS
from tests.samples import draft

ROOT = Path(__file__).parents[1]
LAW = ROOT / "receiver" / "law"
RULE_FILES = sorted(LAW.rglob("*.yaml"))
RULE_PAGES = {"en": ROOT / "docs" / "reference" / "rules.md", "ja": ROOT / "docs" / "ja" / "rules.md"}
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
TRANSLATIONS = sorted((ROOT / "docs" / "ja").glob("*.md"))
SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

LEAST_CONFIGURATION = """\
external_url: https://art58.example.com
prometheus: {url: http://127.0.0.1:9090}
authentication: {bearer_tokens: [{file: secrets/webhook-token}]}
services:
  - {name: voice, kind: voice, emergency_calls: true, match: ['service="voice"']}
  - {name: data, kind: internet_access, match: ['service="data"']}
"""
"""What the parts of a configuration that stand alone on a page are read with."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The page's code blocks in this language, without the indentation of the list they stand in."""
    found = FENCED.findall(page.read_text(encoding="utf-8"))
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, its, text in found if its == language]


def yaml_blocks_with(*keys: str) -> list[Any]:
    found = [(page, block) for page in PAGES for block in blocks(page, "yaml") if set(keys) <= yaml.safe_load(block).keys()]
    return [pytest.param(block, id=f"{name(page)}-{number}") for number, (page, block) in enumerate(found)]


def anchors(page: Path) -> set[str]:
    """The anchors GitHub gives the page's headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def secret_files(node: object) -> list[str]:
    """Every {file: …} of a configuration."""
    if isinstance(node, list):
        return [file for one in node for file in secret_files(one)]
    if not isinstance(node, dict):
        return []
    return [node["file"]] if set(node) == {"file"} else [file for one in node.values() for file in secret_files(one)]


def test_the_generated_pages_are_what_the_code_says() -> None:
    assert generate.drifted() == [], "run: make docs"


def mappings(node: object) -> list[dict[str, Any]]:
    """Every mapping in a YAML file, the inner ones, too."""
    if isinstance(node, list):
        return [found for one in node for found in mappings(one)]
    if not isinstance(node, dict):
        return []
    return [node, *(found for one in node.values() for found in mappings(one))]


def rule_ids(node: object) -> list[str]:
    """What the rules of a file are called: `id`, `label` and `fact`, and the keys of a mapping of rules."""
    found = []
    for one in mappings(node):
        found += [one[key] for key in ("id", "label", "fact") if key in one] + one.get("facts", [])
        if all(isinstance(rule, dict) and ("article" in rule or "provision" in rule) for rule in one.values()):
            found += list(one)
    return found


@pytest.mark.parametrize("language", RULE_PAGES)
@pytest.mark.parametrize("file", RULE_FILES, ids=name)
def test_every_rule_is_on_the_page_of_rules_of_each_language(file: Path, language: str) -> None:
    rules, page = yaml.safe_load(file.read_text(encoding="utf-8")), RULE_PAGES[language].read_text(encoding="utf-8")
    ids = rule_ids(rules)
    assert ids, "a file of rules whose rules have no names: teach rule_ids"
    assert [id_ for id_ in ids if not any(as_ in page for as_ in (f"`{id_}`", f"| {id_} |", f"| {id_}<br>", f"### {id_}\n"))] == []
    texts = [one[language] for one in mappings(rules) if set(one) == {"ja", "en"}]
    assert [text for text in texts if text not in page] == []
    assert [one["source"] for one in mappings(rules) if "source" in one and one["source"].partition(" ")[0] not in page] == []


@pytest.mark.parametrize("language", RULE_PAGES)
@pytest.mark.parametrize("file", RULE_FILES, ids=name)
def test_every_rule_says_how_sure_we_are_and_when_it_was_checked(file: Path, language: str) -> None:
    rules, lines = yaml.safe_load(file.read_text(encoding="utf-8")), RULE_PAGES[language].read_text(encoding="utf-8").splitlines()
    cited = [one for one in mappings(rules) if "article" in one and "id" not in one]
    for rule in cited:
        days = [str(rule[day]) for day in ("last_checked", "valid_from", "valid_to") if rule.get(day)]
        wanted = [rule["article"][language], f"`{rule['evidence']}`", *days]
        assert any(all(one in line for one in wanted) for line in lines), wanted


@pytest.mark.parametrize("language", RULE_PAGES)
@pytest.mark.parametrize("book", shipped(), ids=lambda book: book.id)
def test_every_threshold_of_every_rulebook_is_in_its_section(book: Rulebook, language: str) -> None:
    section = re.split(
        r"^##+ ", RULE_PAGES[language].read_text(encoding="utf-8").partition(f"### {book.id}\n")[2], flags=re.MULTILINE
    )[0]
    for row in book.rows:
        (line,) = re.findall(rf"^\| {row.row} \|.*", section, re.MULTILINE)
        assert getattr(row.title, language) in line
        for condition in row.conditions:
            spell, number = condition.duration_seconds // 3600, f"{condition.users:,}"
            assert (f"{spell}時間以上かつ{number}人以上" if language == "ja" else f"≥ {spell} h and ≥ {number} users") in line


@pytest.mark.parametrize("language", RULE_PAGES)
def test_every_counting_method_is_on_the_page_of_rules_with_its_formula(language: str) -> None:
    page = RULE_PAGES[language].read_text(encoding="utf-8")
    assert [method for method in get_args(Method) if not re.search(rf"^\| \d\. `{method}`<br>", page, re.MULTILINE)] == []


def test_the_pages_of_rules_say_the_same_in_both_languages() -> None:
    def shape(page: Path) -> list[tuple[str, int]]:
        lines = page.read_text(encoding="utf-8").splitlines()
        return [(match[0], line.count("|")) for line in lines if (match := re.match(r"#+|\||- |\d+\.", line))]

    assert shape(RULE_PAGES["en"]) == shape(RULE_PAGES["ja"])


def test_every_key_of_the_configuration_says_what_it_means() -> None:
    unexplained = [
        line for line in generate.configuration().splitlines() if re.match(r"\| `(?!ja|en)", line) and line.endswith("|  |")
    ]
    assert unexplained == []


def accepted(example: str, folder: Path) -> None:
    """Read it as the receiver does, with the secrets that it names at hand."""
    for file in secret_files(yaml.safe_load(example)):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(SIGNING_SECRET)
    (folder / "config.yaml").write_text(example, encoding="utf-8")
    settings, catalogue, _ = config.load(folder / "config.yaml")
    assert catalogue.services
    assert settings.authentication.bearer_tokens


@pytest.mark.parametrize("example", yaml_blocks_with("prometheus", "services"))
def test_a_configuration_in_the_docs_is_accepted(example: str, tmp_path: Path) -> None:
    accepted(example, tmp_path)


def parts_of_configurations() -> list[Any]:
    """With the page's template, if it has one. Not those that lead to rulebooks and certificates, which have to be there."""
    known = set(Settings.__struct_fields__) - {"rulebooks", "prometheus"}
    found = []
    for page in PAGES:
        template = next(iter(blocks(page, "jinja")), "")
        for part in map(yaml.safe_load, blocks(page, "yaml")):
            if part.keys() <= set(TicketSettings.__struct_fields__):
                part = {"tickets": [{"name": "desk", "kind": "directory", "path": "tickets"} | part]}
            if part.keys() <= known:
                found.append(pytest.param(part, template, id=name(page)))
    return found


@pytest.mark.parametrize(("part", "template"), parts_of_configurations())
def test_a_part_of_a_configuration_in_the_docs_is_accepted_in_its_place(
    part: dict[str, Any], template: str, tmp_path: Path
) -> None:
    for ticket in part.get("tickets", []):
        for file in ticket.get("templates", {}).values():
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(template, encoding="utf-8")
    accepted(yaml.safe_dump(yaml.safe_load(LEAST_CONFIGURATION) | part, allow_unicode=True), tmp_path)


def commands(page: Path) -> list[list[str]]:
    """The words of every call of `art58` on the page."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    calls = [shlex.split(line.partition("<<")[0], comments=True) for line in lines if re.match(r"(\S*/)?art58 ", line)]
    return [words[1:] for words in calls]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_call_of_the_command_on_a_page_is_one_that_it_takes(page: Path) -> None:
    for words in commands(page):
        command: click.Command = main
        rest = words
        while isinstance(command, click.Group) and rest and rest[0] in command.commands:
            command, rest = command.commands[rest[0]], rest[1:]
        assert command is not main or rest[0].startswith("-"), words
        with suppress(click.exceptions.Exit):  # --version
            command.make_context("art58", list(rest))


@pytest.mark.parametrize("page", ["docs/how-to/tickets.md", "docs/ja/tickets.md"])
def test_the_names_that_templates_may_use_are_those_on_the_page(page: str) -> None:
    rows = re.findall(r"^\| (… )?(`\w+`[^|]*)\|", (ROOT / page).read_text(encoding="utf-8").partition("jinja\n")[2], re.MULTILINE)
    shown = [(bool(inner), set(re.findall(r"`(\w+)`", cell))) for inner, cell in rows]
    assert set().union(*(names for inner, names in shown if not inner)) == set(given.KNOWN)
    assert set().union(*(names for inner, names in shown if inner)) == set(given.Said.__struct_fields__)


def test_the_rulebook_in_the_docs_judges_as_the_page_says(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "own-rulebook.md"
    (own,) = [block for block in blocks(page, "yaml") if "rows" in yaml.safe_load(block)]
    (tmp_path / "own-2027.yaml").write_text(own)
    command = blocks(page, "sh")[0].replace("art58 classify", f"{sys.executable} -m receiver.cli classify")
    run = subprocess.run(["bash", "-ec", command], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(a["id"], a["verdict"], a["rulebook"]) for a in answers] == [
        ("old", "periodic", "JP-TBA58-2026"),
        ("new", "major", "OWN-2027"),
    ]


@pytest.mark.parametrize("example", yaml_blocks_with("route"))
def test_an_alertmanager_configuration_in_the_docs_is_accepted(example: str, tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(example)
    run = subprocess.run([PEERS / "amtool", "check-config", tmp_path / "alertmanager.yml"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("example", yaml_blocks_with("groups"))
def test_rules_in_the_docs_are_accepted(example: str, tmp_path: Path) -> None:
    (tmp_path / "docs.rules.yml").write_text(example)
    run = subprocess.run([PEERS / "promtool", "check", "rules", tmp_path / "docs.rules.yml"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_readme_has_a_configuration_and_an_alertmanager_example_in_both_languages() -> None:
    for page in (ROOT / "README.md", ROOT / "README.ja.md"):
        shown = [yaml.safe_load(block).keys() for block in blocks(page, "yaml")]
        assert any("services" in keys for keys in shown)
        assert any("route" in keys for keys in shown)


@pytest.mark.parametrize(
    ("english", "japanese"),
    [
        ("README.md", "README.ja.md"),
        ("docs/tutorial.md", "docs/ja/tutorial.md"),
        *(
            (f"docs/how-to/{page}.md", f"docs/ja/{page}.md")
            for page in ("dead-letters", "drill", "grafana-annotations", "kubernetes", "postgresql", "tickets-to-a-directory")
        ),
    ],
)
def test_both_languages_show_the_same_code(english: str, japanese: str) -> None:
    assert FENCED.findall((ROOT / english).read_text()) == FENCED.findall((ROOT / japanese).read_text())


def other_language(page: Path, called: str) -> Path | None:
    """The page that the line at the top with this word leads to."""
    line = re.search(rf"^\[{called}\]\(([^)#]+)\)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return (page.parent / line[1]).resolve() if line else None


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TRANSLATIONS], ids=name)
def test_a_page_that_names_its_japanese_page_is_named_there(page: Path) -> None:
    japanese = other_language(page, "日本語")
    assert japanese is None or other_language(japanese, "English") == page


@pytest.mark.parametrize("page", [ROOT / "README.ja.md", *TRANSLATIONS], ids=name)
def test_a_japanese_page_names_an_english_one_that_names_it(page: Path) -> None:
    english = other_language(page, "English")
    assert english
    assert other_language(english, "日本語") == page


@pytest.mark.parametrize("page", TRANSLATIONS, ids=name)
def test_a_japanese_page_leads_to_japanese_ones_where_there_are_any(page: Path) -> None:
    english = {other_language(one, "English") for one in TRANSLATIONS} - {other_language(page, "English")}
    links = LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
    assert [link for link in links if (page.parent / link.partition("#")[0]).resolve() in english] == []


def test_every_page_is_on_the_map() -> None:
    index = ROOT / "docs" / "index.md"
    shown = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))}
    assert [name(page) for page in PAGES if page.is_relative_to(index.parent) and not {page, page.parent} & {*shown, index}] == []


@pytest.mark.parametrize("page", ["docs/how-to/tickets-to-a-webhook.md", "docs/ja/tickets-to-a-webhook.md"])
def test_the_verification_shown_for_ticket_webhooks_knows_our_messages_and_no_others(page: str) -> None:
    (snippet,) = blocks(ROOT / page, "python")
    shown: dict[str, Any] = {}
    exec(snippet, shown)  # noqa: S102 - our own page
    with FakeTicketWebhook(SIGNING_SECRET) as desk:
        sent: list[requests.PreparedRequest] = []
        send = requests.Session.send

        def keep(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            sent.append(request)
            return send(session, request, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(requests.Session, "send", keep)
            TicketWebhook("itsm", desk.hook_url, SIGNING_SECRET, 5, lambda: datetime.now(UTC)).create(draft())
    body = sent[0].body
    assert isinstance(body, bytes)
    headers = {key.lower(): value for key, value in sent[0].headers.items()}
    assert shown["incoming"](body, headers)["type"] == "art58.incident.opened"
    assert shown["incoming"](body + b" ", headers) is None
    assert shown["incoming"](body, headers | {"webhook-signature": "none"}) is None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []
