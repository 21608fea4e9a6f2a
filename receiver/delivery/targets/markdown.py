"""Text as Markdown that shows it as it is: in files, and in trackers (GitHub, GitLab), where `@name`, `#1` and `/close` do things.

A tracker acts on names and numbers after Markdown's own escapes are gone, so a backslash does not stop it: what stands there is
parted by a character of no width (as Renovate does).
"""

import re

from receiver.delivery.targets.plain_text import lines

_BULLETS = ("- ", "* ")
_NO_WIDTH = "\u200b"
_GAP = "&#8203;"  # the same as an entity, which an editor shows

_REFERENCE = (
    r"[@~%](?=[A-Za-z0-9_.\"{-])"  # persons and groups; labels, milestones and placeholders of GitLab
    r"|[#!&$](?=\d)"  # issues; merge requests, epics and snippets of GitLab
    r"|(?<![A-Za-z0-9])(?:GH|GL)-(?=\d)"
    r"|:(?=(?:[\w+-]*[a-z+-][\w+-]*|100|1234):)"  # :emoji:, and no time of day
    r"|\[(?=[a-z_]+:)"  # [work_item:1]
    r"|(?<![A-Za-z0-9])(?=[0-9]*[a-fA-F])[0-9a-fA-F]{7,40}(?![A-Za-z0-9])"  # commits; figures are left alone
)
_REFERENCES = re.compile(_REFERENCE)
_LINKS_AND_REFERENCES = re.compile(rf"(?P<link>(?i:https?://|www\.)[A-Za-z0-9./:_?=&%+,-]+)|(?:{_REFERENCE})")
_REFERRING = re.compile(
    r"/(?:issues?|pulls?|commits?|compare|discussions|merge_requests|work_items|epics|snippets|milestones)/", re.I
)
"""An address of one of these in a tracker is shown there, on the other side, as a mention."""

_NOTE = "*この枠内は自動で書き換わります。メモは枠の外にお書きください。 / Rewritten automatically: write notes outside.*"
_BEGIN = "<!-- art58 begin {} -->"
_END = "<!-- art58 end -->"
_ANY_BLOCK = re.compile(r"<!-- art58 begin [A-Za-z0-9._-]+ -->.*?<!-- art58 end -->", re.DOTALL)


def markdown(text: str, most_characters: int) -> str:
    """The lines as Markdown that shows them as they are, each on a line of its own; a bullet at the start stays one."""
    escaped = [escaped_line(line) for line in lines(text, most_characters).split("\n")]
    written = []
    for line, following in zip(escaped, [*escaped[1:], ""], strict=True):
        goes_on = line and following and not following.startswith(_BULLETS)
        if goes_on and line.startswith(_BULLETS):
            written += [line, ""]  # else the line below would belong to the list's last item
        else:
            written.append(f"{line}  " if goes_on else line)
    return "\n".join(written)


def escaped_line(line: str) -> str:
    """`<` as an entity, so that neither HTML nor our own marker can be written; the other signs with a backslash."""
    line = line.strip()
    bullet = line[:2] if line.startswith(_BULLETS) and line[2:].strip() else ""
    line = re.sub(r"&(?=#?\w+;)", "&amp;", line[len(bullet) :].lstrip()).replace("<", "&lt;")
    line = re.sub(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)
    return f"{bullet}\\{line}" if line.startswith(("#", ">", "+", "=", "-")) else f"{bullet}{line}"


def tracker_markdown(text: str, most_characters: int) -> str:
    """As `markdown`, and nobody is called, nothing referred to, and no command given."""
    escaped = _LINKS_AND_REFERENCES.sub(_parted, markdown(text, most_characters))
    # GitHub takes $…$ for mathematics; its documentation says to write the sign so
    escaped = escaped.replace("$", "<span>$</span>")
    # /close at the start of a line is a command to GitLab
    return re.sub(r"^(?=[/:])", r"\\", escaped, flags=re.MULTILINE)


def tracker_line(line: str) -> str:
    """A plain line, such as a title in GitLab, that calls nobody and refers to nothing."""
    line = _without_references(line, _NO_WIDTH)
    return f"{_NO_WIDTH}{line}" if line.startswith("/") else line


def block(key: str, text: str, most_characters: int) -> str:
    """Our part of a description: the text between two marks that are not shown, in no more characters than these."""
    for most in (20_000, 8_000, 2_000, 500, 0):
        made = "\n\n".join([_BEGIN.format(key), tracker_markdown(text, most), _NOTE, _END])
        if len(made) <= most_characters:
            return made
    return f"{_BEGIN.format(key)}\n{_END}"


def has_block(description: str) -> bool:
    """Whether both marks are there still."""
    return _ANY_BLOCK.search(description) is not None


def is_of(key: str, description: str) -> bool:
    """Whether the mark of this key is there."""
    return _BEGIN.format(key) in description


def with_block(description: str, key: str, text: str, most_characters: int) -> str:
    """The description with our part anew, and all around it as it was. Without marks it is left alone."""
    begin = description.find(_BEGIN.format(key))
    end = description.find(_END, begin)
    if begin < 0 or end < 0:
        return description
    above, below = description[:begin], description[end + len(_END) :]
    return above + block(key, text, most_characters - len(above) - len(below)) + below


def comment(text: str, mark: str, most_characters: int) -> str:
    """A comment that carries the mark, which is not shown."""
    return f"{tracker_markdown(text, most_characters)}\n\n{_comment_mark(mark)}"


def is_comment(body: str, mark: str) -> bool:
    """Whether this is the comment with the mark."""
    return _comment_mark(mark) in body


def _comment_mark(mark: str) -> str:
    return f"<!-- art58 comment {mark} -->"


def _parted(found: re.Match[str]) -> str:
    link = found["link"]
    if link is None:
        return _in_parts(found[0], _GAP)
    if not _REFERRING.search(link):
        return link
    start = re.match(r"https?:|www", link, re.IGNORECASE)
    length = start.end() if start else 0
    return link[:length] + _GAP + _without_references(link[length:], _GAP)


def _without_references(text: str, gap: str) -> str:
    return _REFERENCES.sub(lambda found: _in_parts(found[0], gap), text)


def _in_parts(reference: str, gap: str) -> str:
    """No part of a commit's name is left long enough (7) to be one."""
    if len(reference) < 7:
        return reference + gap
    return gap.join(reference[at : at + 6] for at in range(0, len(reference), 6))
