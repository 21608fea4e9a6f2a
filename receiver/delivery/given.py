"""What a template is given: a statement's values by their names, and what is said, part by part, in each language."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec

from receiver.delivery.changes import changes
from receiver.delivery.targets.plain_text import head_and_rest, one_line
from receiver.delivery.words import CONTINUES, DETAILS, LINKS, STATES
from receiver.law.provisions import JST, Text
from receiver.law.verdict import Verdict
from receiver.law.wording import VERDICTS
from receiver.model import Delivery, Impacted, Link, Parts, Statement

Language = Literal["ja", "en"]

MOST_OF_A_TITLE = 1000
"""Characters, on one line; each target cuts to what its system takes."""


class Labels(msgspec.Struct, frozen=True):
    """Words of ours that stand before something."""

    details: str
    continues: str
    links: str


class Impact(msgspec.Struct, frozen=True):
    """What a template is given of one service."""

    service: str
    called: str
    lines: tuple[str, ...]


class Listed(tuple[str, ...]):
    """Several texts: one by one in a loop, with commas where they are written out."""

    __slots__ = ()

    def __str__(self) -> str:
        return ", ".join(self)


class Said(msgspec.Struct, frozen=True):
    """What a template is given in one language: all of it as `text`, or part by part. Every line is a line.

    `text` is `head`, which says what one has to know at once, and `grounds`, the arithmetic and all else. `changed` is what changed
    since the last comment.
    """

    title: str
    text: str
    head: tuple[str, ...]
    grounds: str
    changed: tuple[str, ...]
    verdict: str
    state: str
    services: Listed
    notes: tuple[str, ...]
    facts: tuple[str, ...]
    impacts: tuple[Impact, ...]
    near_miss: tuple[str, ...]
    duties: tuple[str, ...]
    alerts: tuple[str, ...]
    labels: Labels


class Place(msgspec.Struct, frozen=True):
    """A link, named in the target's language or both."""

    what: str
    url: str


class Values(msgspec.Struct, frozen=True):
    """All that a template may name. Where something is not known or does not apply it is none, and written out it is empty.

    `users` is the largest number of one service among those that the verdict is about; users of several are never added up.
    """

    incident: str
    key: str
    number: int
    verdict: str
    candidate: bool
    unmeasured: bool
    drill: bool
    dismissed: bool
    state: str
    resolved: bool
    services: Listed
    users: int | None
    measured: bool
    started_at: datetime
    restored_at: datetime | None
    major_since: datetime | None
    major_expected_at: datetime | None
    due_on: date | None
    priority: str | int | None
    tags: Listed
    url: str
    links: tuple[Place, ...]
    continues: str
    alerts_left_out: int
    ja: Said
    en: Said
    languages: tuple[Said, ...]

    @property
    def by_name(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__struct_fields__}


KNOWN = Values.__struct_fields__


def given(delivery: Delivery, statement: Statement, languages: tuple[Language, ...], priority: Mapping[str, str | int]) -> Values:
    """The values for this row of the ledger. `priority` is by verdict, or candidate."""
    parts, latest = statement.parts, statement.assessments
    about = [a for a in latest if a.verdict == statement.verdict and not a.withdrawn] or list(latest)
    most = max((a for a in about if a.affected_users is not None), key=lambda a: a.affected_users or 0, default=None)
    candidate = parts.candidate or any(a.candidate for a in latest)
    changed = changes(delivery.remembered.milestone, statement)
    said = {language: _said_in(language, statement, changed) for language in ("ja", "en")}
    return Values(
        incident=statement.key,
        key=delivery.key,
        number=statement.number,
        verdict=statement.verdict.value,
        candidate=candidate,
        unmeasured=statement.unmeasured,
        drill="drill" in statement.tags,
        dismissed="dismissed" in statement.tags,
        state=parts.state,
        resolved=statement.resolved,
        services=Listed(a.service for a in latest if not a.withdrawn),
        users=most.affected_users if most else None,
        measured=most.measured if most else False,
        started_at=statement.started_at.astimezone(JST),
        restored_at=_in_japan(statement.restored_at),
        major_since=_in_japan(min((a.major_since for a in latest if a.major_since), default=None)),
        major_expected_at=_in_japan(min((a.major_expected_at for a in latest if a.major_expected_at), default=None)),
        due_on=parts.due_on,
        priority=priority.get(_urgency(statement.verdict, candidate)),
        tags=Listed(statement.tags),
        url=statement.url,
        links=tuple(Place(_both(link.what, languages), link.url) for link in parts.links),
        continues=delivery.remembered.continues,
        alerts_left_out=parts.alerts_left_out,
        ja=said["ja"],
        en=said["en"],
        languages=tuple(said[language] for language in languages),
    )


def examples(languages: tuple[Language, ...], priority: Mapping[str, str | int]) -> Iterator[dict[str, Any]]:
    """What templates may be given: once when nearly nothing is known, once when all is."""
    start, line = datetime(2026, 11, 21, 3, 0, tzinfo=UTC), Text("例", "example")
    little = Statement(
        key="inc-1",
        number=1,
        title=line,
        text=line,
        verdict=Verdict.INDETERMINATE,
        unmeasured=True,
        tags=("art58",),
        url="http://127.0.0.1:9158/incidents/inc-1",
        started_at=start,
        restored_at=None,
        resolved=False,
        assessments=(),
        milestone="",
    )
    parts = Parts(
        notes=(line,),
        facts=(line,),
        impacts=(Impacted("voice", line, (line,)),),
        near_miss=(line,),
        duties=(line,),
        alerts=(line,),
        alerts_left_out=1,
        links=(Link(line, "http://127.0.0.1/"),),
        due_on=start.date(),
    )
    row = Delivery("inc-1", "", "ticket", 1, 0, "owed", 0, start)
    yield given(row, little, languages, priority).by_name
    much = given(row, msgspec.structs.replace(little, verdict=Verdict.MAJOR, restored_at=start, parts=parts), languages, priority)
    known = {"services": Listed(["voice", "data"]), "users": 42_000, "measured": True, "continues": "OPS-1"}
    yield much.by_name | known | {"major_since": much.started_at, "major_expected_at": much.started_at}


def _urgency(verdict: Verdict, candidate: bool) -> str:
    return "candidate" if candidate and verdict != Verdict.MAJOR else verdict.value


def _said_in(language: Language, statement: Statement, changed: Iterable[Text]) -> Said:
    def of(text: Text) -> str:
        said: str = getattr(text, language)
        return said

    def each(lines: Iterable[Text]) -> tuple[str, ...]:
        return tuple(map(of, lines))

    parts, hit = statement.parts, {a.service for a in statement.assessments if not a.withdrawn}
    head, grounds = head_and_rest(of(statement.text))
    return Said(
        title=one_line(of(statement.title), MOST_OF_A_TITLE),
        text=of(statement.text),
        head=tuple(head.split("\n")),
        grounds=grounds,
        changed=each(changed),
        verdict=of(VERDICTS[statement.verdict]),
        state=of(STATES[parts.state]),
        services=Listed(of(one.called) for one in parts.impacts if one.service in hit),
        notes=each(parts.notes),
        facts=each(parts.facts),
        impacts=tuple(Impact(one.service, of(one.called), each(one.lines)) for one in parts.impacts),
        near_miss=each(parts.near_miss),
        duties=each(parts.duties),
        alerts=each(parts.alerts),
        labels=Labels(of(DETAILS), of(CONTINUES), of(LINKS)),
    )


def _both(text: Text, languages: Iterable[Language]) -> str:
    return " / ".join(getattr(text, language) for language in languages)


def _in_japan(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(JST)
