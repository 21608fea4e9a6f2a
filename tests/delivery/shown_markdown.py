"""What a person sees of Markdown in a tracker: without comments, escapes and gaps."""

import html
import re


def shown(markdown: str) -> str:
    bare = re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL)
    bare = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", re.sub(r"</?span>", "", bare))
    return html.unescape(bare).replace("\u200b", "").replace("\r\n", "\n")


def with_marks_gone(markdown: str) -> str:
    return re.sub(r"<!--.*?-->", "", markdown)
