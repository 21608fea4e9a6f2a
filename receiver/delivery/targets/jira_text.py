"""Our words in Jira's two forms of rich text: documents of nodes (ADF) on Jira Cloud, wiki markup on Jira Data Center.

In both, our part of a description is one panel that names the incident's key in its first line or title. Both editors keep a panel
as one thing, nobody can write its end by chance, and what stands around it is persons' and goes through untouched.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from receiver.delivery.targets.plain_text import lines

T = TypeVar("T")

MOST_CHARACTERS = 32_767
"""Of a description or a comment: jira.text.field.character.limit by default."""

_TRIES = (20_000, 10_000, 5_000, 2_000, 500, 100)
"""So much of our text is tried, until it fits beside what persons wrote."""

_MOST_COMMENT = 5_000
_NOTE = "この枠内は自動で書き換わります。メモは枠の外にお書きください。 / Rewritten automatically: write notes outside this panel."
_NAMED = r"art58 [A-Za-z0-9._-]+"


class RichText(Protocol):
    """A form of rich text. Descriptions and comments are JSON values, None where there is none."""

    def has_block(self, description: Any) -> bool:
        """Whether our panel is there."""

    def described(self, there: Any, key: str, text: str, url: str) -> Any:
        """The description with our panel made anew in its place; below what stands there if there is none yet."""

    def comment(self, text: str, mark: str, url: str) -> Any:
        """A comment whose last line is the mark."""

    def is_marked(self, comment: Any, mark: str) -> bool:
        """Whether this very mark is its last line."""


class Adf:
    """Atlassian Document Format. Text in a text node stays text: markup, mentions and our panel are nodes of other kinds."""

    def has_block(self, description: Any) -> bool:
        return any(_is_ours(node) for node in _content(description))

    def described(self, there: Any, key: str, text: str, url: str) -> dict[str, Any]:
        nodes = _content(there)
        at = next((number for number, node in enumerate(nodes) if _is_ours(node)), len(nodes))
        # the colour that a person gave it, and what the editor notes there
        attributes = nodes[at].get("attrs") if at < len(nodes) else None

        def with_text(most: int) -> dict[str, Any]:
            parts = [_paragraph([_words(f"art58 {key}", {"type": "strong"})]), *_paragraphs(text, most, url)]
            parts.append(_paragraph([_words(_NOTE, {"type": "em"})]))
            panel = {"type": "panel", "attrs": attributes or {"panelType": "info"}, "content": parts}
            return _document([*nodes[:at], panel, *nodes[at + 1 :]])

        # of the JSON, though what exactly Jira counts is not published: it is never less than the text
        return _fitting(with_text, lambda document: len(msgspec.json.encode(document).decode()))

    def comment(self, text: str, mark: str, url: str) -> dict[str, Any]:
        small = {"type": "subsup", "attrs": {"type": "sub"}}
        return _document([*_paragraphs(text, _MOST_COMMENT, url), _paragraph([_words(mark, small)])])

    def is_marked(self, comment: Any, mark: str) -> bool:
        nodes = _content(comment)
        return bool(nodes) and _shown(nodes[-1]) == mark


class Wiki:
    """Wiki markup, in which every character that could begin markup is escaped."""

    _PANEL = re.compile(rf"(?<!\\)\{{panel:(?:[^}}\n]*\|)?title={_NAMED}(?:\|[^}}\n]*)?\}}.*?\{{panel\}}", re.DOTALL)

    def has_block(self, description: Any) -> bool:
        return bool(self._PANEL.search(description or ""))

    def described(self, there: Any, key: str, text: str, url: str) -> str:
        description = there or ""
        found = self._PANEL.search(description)
        above, below = (description[: found.start()], description[found.end() :]) if found else (description, "")

        def with_text(most: int) -> str:
            return f"{above}{{panel:title=art58 {key}}}\n{_wiki(lines(text, most), url)}\n\n_{_NOTE}_\n{{panel}}{below}"

        return _fitting(with_text, len)

    def comment(self, text: str, mark: str, url: str) -> str:
        return f"{_wiki(lines(text, _MOST_COMMENT), url)}\n\n{_escaped(mark)}"

    def is_marked(self, comment: Any, mark: str) -> bool:
        return str(comment or "").rstrip().rpartition("\n")[2].strip() == _escaped(mark)


def _fitting(with_text: Callable[[int], T], size: Callable[[T], int]) -> T:
    made = with_text(_TRIES[0])
    for most in _TRIES[1:]:
        if size(made) <= MOST_CHARACTERS:
            break
        made = with_text(most)
    return made


def _content(node: Any) -> list[Any]:
    content = node.get("content") if isinstance(node, Mapping) else None
    return content if isinstance(content, list) else []


def _shown(node: Any) -> str:
    """All of a node's text, one after the other."""
    words = str(node.get("text", "")) if isinstance(node, Mapping) else ""
    return words + "".join(_shown(inner) for inner in _content(node))


def _is_ours(node: Any) -> bool:
    if not isinstance(node, Mapping) or node.get("type") != "panel":
        return False
    return bool(re.fullmatch(_NAMED, _shown(next(iter(_content(node)), None)).strip()))


def _document(nodes: list[Any]) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": nodes}


def _paragraph(inline: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "paragraph", "content": inline}


def _words(text: str, *marks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"marks": list(marks)} if marks else {})}


def _paragraphs(text: str, most: int, url: str) -> list[dict[str, Any]]:
    """Blank lines part paragraphs; within one, each line stays a line."""
    made = []
    for part in re.split(r"\n\s*\n", lines(text, most).strip()):
        inline = [node for line in part.split("\n") for node in [{"type": "hardBreak"}, *_linked(line, url)]]
        made += [_paragraph(inline[1:])] if part.strip() else []
    return made


def _linked(line: str, url: str) -> Iterator[dict[str, Any]]:
    """Jira makes no link of an address in a text node. Empty text nodes are against its schema."""
    before, there, after = line.partition(url) if _is_plain(url) else (line, "", "")
    if before:
        yield _words(before)
    if there:
        yield _words(url, {"type": "link", "attrs": {"href": url}})
    if after:
        yield _words(after)


def _is_plain(url: str) -> bool:
    """An address that is one in wiki markup, too."""
    return bool(re.fullmatch(r"https?://[A-Za-z0-9.:/%=&?_-]+", url))


def _wiki(text: str, url: str) -> str:
    """Each line as one that shows it as it is; a bullet at the start stays one, and our own address a link."""
    return "\n".join(_wiki_line(line.strip(), url) for line in text.split("\n"))


def _wiki_line(line: str, url: str) -> str:
    bullet = "- " if line.startswith("- ") and line[2:].strip(" -") else ""
    parts = line[len(bullet) :].split(url) if _is_plain(url) else [line[len(bullet) :]]
    return bullet + url.join(_escaped(part) for part in parts)


def _escaped(text: str) -> str:
    """Two backslashes are a line break to Jira, so that one goes as an entity; so do the signs that no backslash escapes."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    text = re.sub(r"\\|:(?=[DP])|(?<=^h[1-6])\.|(?<=^bq)\.", lambda sign: f"&#{ord(sign[0])};", text)
    # a hyphen between small letters or figures (mme-1) can neither strike out nor name an issue; after a capital it can (OPS-1)
    return re.sub(r"(?<!&)[#*_+?^~|%{}\[\]()!@]|(?<![a-z])-|-(?![a-z0-9])", r"\\\g<0>", text)
