"""Where a rule stands, from when until when it holds, and how well that is known.

The YAML files beside this one hold the values of the law other than the tables of Article 58; every value names its provision.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import msgspec

from receiver.law import lined_yaml

JST = timezone(timedelta(hours=9), "JST")
"""Asia/Tokyo; it has had no daylight saving time since 1951, so the law needs no time zone database."""

Evidence = Literal["read", "secondary", "draft", "assumed"]
"""How well a value is proven: the text was read; press or a ministry page; only the draft 論点整理(案); nobody has verified it."""

Basis = Literal["law", "guideline", "practice", "proposal"]


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same statement in Japanese and in English."""

    ja: str
    en: str


EVIDENCE: dict[Evidence, Text] = {
    "read": Text("条文を確認", "text read"),
    "secondary": Text("二次資料による", "from secondary sources"),
    "draft": Text("論点整理(案)（2023年4月5日）による。最終版は未確認", "known from the draft of 2023-04-05 only"),
    "assumed": Text("未確認の仮定", "assumed, not verified"),
}
BASES: dict[Basis, Text] = {
    "law": Text("法令", "law"),
    "guideline": Text("ガイドライン", "guideline"),
    "practice": Text("運用", "practice"),
    "proposal": Text("案", "proposal, never in force"),
}


class Provision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """A citation with the days (Asia/Tokyo, both included) on which it holds; None leaves that side open.

    `article` goes down to the paragraph. `source` is an address or the title of a document, `says` a sentence on what stands there,
    in our words. What is `read` is known to be so from
    `read_from` on; for earlier days the same is assumed.
    """

    article: Text
    source: str
    evidence: Evidence
    basis: Basis
    last_checked: date
    says: Text | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    read_from: date | None = None

    def holds_on(self, day: date) -> bool:
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)

    def overlaps(self, other: "Provision") -> bool:
        """Whether both hold on some day."""
        return self._first() <= other._last() and other._first() <= self._last()

    def as_of(self, day: date) -> "Provision":
        """This provision with the evidence there is for that day."""
        if self.read_from is None or day >= self.read_from:
            return self
        return msgspec.structs.replace(self, evidence="assumed")

    def _first(self) -> date:
        return self.valid_from or date.min

    def _last(self) -> date:
        return self.valid_to or date.max


class GuidelineRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the guideline, its draft and practice, by the rules' names."""

    check_by: date
    rules: dict[str, Provision]


class Flag(msgspec.Struct, frozen=True):
    """Something a person should look at: a stable code, and the same in words."""

    code: str
    text: Text


class NoProvision(LookupError):
    """The rule asked for did not exist, or is not known, on that day."""


class _Cited(Protocol):
    @property
    def provision(self) -> Provision: ...


C = TypeVar("C", bound=_Cited)


def in_force(values: Iterable[C], day: date) -> tuple[C, ...]:
    """Those of the values that hold on the day, in their order."""
    return tuple(value for value in values if value.provision.holds_on(day))


@cache
def guideline_rules() -> GuidelineRules:
    """All of guideline.yaml."""
    return lined_yaml.convert(lined_yaml.read(Path(__file__).parent / "guideline.yaml"), GuidelineRules)


def guideline(rule: str) -> Provision:
    """A rule of the accident guideline, its draft or practice by its name in guideline.yaml."""
    return guideline_rules().rules[rule]


def cite(provision: Provision) -> Text:
    """Article, basis and evidence in words: `電気通信事業法施行規則 第57条第1項（法令、条文を確認）`."""
    article, basis, evidence = provision.article, BASES[provision.basis], EVIDENCE[provision.evidence]
    return Text(f"{article.ja}（{basis.ja}、{evidence.ja}）", f"{article.en} ({basis.en}, {evidence.en})")


def in_japan(moment: datetime, name: str) -> datetime:
    """The moment in Asia/Tokyo, so that neither day nor length depends on how it was noted.

    Raises ValueError, naming it, when it has no time zone.
    """
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{name} has no time zone: {moment.isoformat()}")
    return moment.astimezone(JST)
