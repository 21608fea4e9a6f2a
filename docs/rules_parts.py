"""How the page of all rules says what every rule has: days, source, how sure we are; in the language of the page."""

import re
from datetime import date
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from receiver.law.provisions import BASES, Provision, Text

_OF_EGOV = re.compile(r"^https://laws\.e-gov\.go\.jp/.*/(\d{4})(\d\d)(\d\d)_\w+$")


class Say(msgspec.Struct, frozen=True):
    """Picks the language of the page; `law` keeps the Japanese term, which is the legal one, beside the English.

    `documents` are the sources without an address that the page has named so far: their places are their numbers.
    """

    language: Literal["ja", "en"]
    documents: list[str] = msgspec.field(default_factory=list)

    def __call__(self, text: Text) -> str:
        return text.ja if self.language == "ja" else text.en

    def of(self, ja: str, en: str) -> str:
        return self(Text(ja, en))

    def law(self, text: Text, between: str = "<br>") -> str:
        return text.ja if self.language == "ja" else f"{text.en}{between}{text.ja}"

    def one_of(self, ja: tuple[str, ...], en: tuple[str, ...]) -> tuple[str, ...]:
        return ja if self.language == "ja" else en


def span(first: date | None, last: date | None, say: Say) -> str:
    if first and last:
        return f"{first} – {last}"
    if first:
        return say.of(f"{first}から", f"from {first}")
    return say.of(f"{last}まで", f"until {last}") if last else say.of("限定なし", "open")


def source(source: str, say: Say) -> str:
    """A link that says which text it is; what is no address is named among the documents at the end."""
    if not source.startswith("http"):
        if source not in say.documents:
            say.documents.append(source)
        number = say.documents.index(source) + 1
        return say.of(f"[文書{number}](#出典の文書)", f"[document {number}](#documents)")
    address, _, where = source.partition(" ")
    text = _OF_EGOV.match(address)
    label = say.of("e-Gov {}の条文", "e-Gov, text of {}").format("-".join(text.groups())) if text else urlsplit(address).netloc
    return f"[{label}]({address}) {where}".rstrip()


def sure(provision: Provision, say: Say) -> str:
    lines = [
        f"`{provision.evidence}`",
        say(BASES[provision.basis]),
        say.of(f"確認 {provision.last_checked}", f"checked {provision.last_checked}"),
    ]
    if provision.read_from:
        day = provision.read_from
        lines.insert(1, say.of(f"（{day}より前は`assumed`）", f"(before {day} `assumed`)"))
    return "<br>".join(lines)


def where_and_when(provision: Provision, say: Say) -> tuple[str, str, str]:
    where = f"{say.law(provision.article)}<br>{source(provision.source, say)}"
    return where, span(provision.valid_from, provision.valid_to, say), sure(provision, say)
