"""Alertmanager's matchers: `name = "value"` with =, !=, =~ and !~. An absent label counts as empty, patterns are anchored."""

import re

import msgspec

_FORM = re.compile(
    r"""\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<op>=~|!~|!=|=)\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"{},]*))\s*"""
)
_POSIX_CLASS = re.compile(r"\[:\^?[a-z]+:\]")
_ESCAPES = {r"\"": '"', r"\\": "\\", r"\n": "\n"}


class BadMatcher(ValueError):
    """A text that is no matcher, or whose pattern is no regular expression."""


class Matcher(msgspec.Struct, frozen=True):
    """One condition on one label."""

    name: str
    op: str
    value: str

    def fits(self, labels: dict[str, str]) -> bool:
        text = labels.get(self.name, "")
        # ASCII: \d, \w and \s mean in Go what they mean there. re keeps compiled patterns in its own cache
        same = re.fullmatch(self.value, text, re.ASCII) is not None if self.op.endswith("~") else text == self.value
        return same != self.op.startswith("!")


def parse(text: str) -> Matcher:
    """The matcher written in `text`. Raises BadMatcher."""
    form = _FORM.fullmatch(text)
    if not form:
        raise BadMatcher(f"{text!r} is no matcher")
    value = re.sub(r"\\.", lambda m: _ESCAPES.get(m[0], m[0]), form["bare"] if form["quoted"] is None else form["quoted"])
    if form["op"].endswith("~"):
        if _POSIX_CLASS.search(value):  # Python would take it for a set of these characters
            raise BadMatcher(f"the pattern in {text!r} has a class like [:alpha:]: write it as [A-Za-z]")
        try:
            re.compile(value, re.ASCII)
        except (re.error, ValueError, OverflowError, RecursionError) as error:
            raise BadMatcher(f"the pattern in {text!r} is no regular expression ({error})") from None
    return Matcher(form["name"], form["op"], value)
