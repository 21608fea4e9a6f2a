"""What a backtest found: each incident with every change of its verdicts, and the sums; as JSON, as CSV, as a table for people."""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from receiver.law.provisions import JST, Text
from receiver.law.verdict import Verdict
from receiver.law.wording import VERDICTS
from receiver.model import Assessment, Incident, IncidentState
from receiver.operations.backtest import Past
from receiver.storage import incidents as store
from receiver.storage.database import Database

NOTICE = Text(
    "法的な結論ではない。該当する可能性を示すもので、判断は人が行う",
    "no legal conclusion: it says what may apply, a person decides",
)

_ALL = 10**9
_T = TypeVar("_T", bound=msgspec.Struct)
_GRAVITY = (Verdict.NONE, Verdict.PERIODIC, Verdict.NEAR_MISS, Verdict.INDETERMINATE, Verdict.MAJOR)


class Change(msgspec.Struct, frozen=True):
    """A verdict on a service from this moment on. `users` is what a report would name; None: nothing was known."""

    at: datetime
    verdict: Verdict
    at_least: Verdict
    at_most: Verdict
    users: int | None
    measured: bool
    method: str
    rulebook: str
    duration_seconds: int
    candidate: bool
    major_since: datetime | None
    major_expected_at: datetime | None


class Impact(msgspec.Struct, frozen=True):
    """What an incident did to a service, in the end and on the way there."""

    service: str
    verdict: Verdict
    users: int | None
    measured: bool
    method: str
    rulebook: str
    restored_at: datetime | None
    changes: tuple[Change, ...]


class Judged(msgspec.Struct, frozen=True):
    """One incident. `joined_to`: it turned out to be part of that one, and counts there."""

    id: str
    equipment: tuple[str, ...]
    state: IncidentState
    opened_at: datetime
    started_at: datetime
    start_basis: str
    restored_at: datetime | None
    joined_to: str | None
    impacts: tuple[Impact, ...]

    @property
    def verdict(self) -> Verdict:
        """The gravest of its last ones."""
        return max((impact.verdict for impact in self.impacts), key=_GRAVITY.index, default=Verdict.NONE)


class Totals(msgspec.Struct, frozen=True):
    """`verdicts`: incidents by the gravest of their last verdicts. `candidates`: those for which a ticket would have been made
    before they were major, or that never were.
    """

    incidents: int
    verdicts: dict[str, int]
    candidates: int
    changes: int
    notifications: int
    ticks: int


class Report(msgspec.Struct, frozen=True):
    """`rulebooks` are those that judged something. All times are of Japan, with their offset."""

    since: datetime
    until: datetime
    step_seconds: float
    rulebooks: tuple[str, ...]
    totals: Totals
    incidents: tuple[Judged, ...]
    notice: Text = NOTICE


def report(database: Database, past: Past, ticks: int) -> Report:
    """What is in the store of a backtest, the earliest failure first."""
    with database.read() as connection:
        found = store.listed(connection, ("open", "recovering", "restored", "closed"), limit=_ALL)
        judged = [_judged(incident, store.history(connection, incident.id)) for incident in found]
    judged.sort(key=lambda one: (one.started_at, one.id))
    standing = [one for one in judged if one.joined_to is None]
    totals = Totals(
        incidents=len(standing),
        verdicts={verdict.value: sum(one.verdict == verdict for one in standing) for verdict in reversed(_GRAVITY)},
        candidates=sum(any(change.candidate for impact in one.impacts for change in impact.changes) for one in standing),
        changes=sum(len(impact.changes) for one in standing for impact in one.impacts),
        notifications=len(past.told),
        ticks=ticks,
    )
    used = {change.rulebook for one in judged for impact in one.impacts for change in impact.changes}
    return _in_japan(Report(past.since, past.until, past.step.total_seconds(), tuple(sorted(used)), totals, tuple(judged)))


def _in_japan(one: _T) -> _T:
    """With its times in the zone in which an operator reads them."""
    its = {name: getattr(one, name) for name in one.__struct_fields__}
    return msgspec.structs.replace(one, **{name: at.astimezone(JST) for name, at in its.items() if isinstance(at, datetime)})


def _judged(incident: Incident, assessments: list[Assessment]) -> Judged:
    by_service: dict[str, list[Assessment]] = {}
    for one in assessments:
        by_service.setdefault(one.service, []).append(one)
    judged = Judged(
        id=incident.id,
        equipment=incident.units or ((incident.equipment,) if incident.equipment else ()),
        state=incident.state,
        opened_at=incident.opened_at,
        started_at=incident.failure_started_at,
        start_basis=incident.start_basis,
        restored_at=incident.restored_at,
        joined_to=incident.joined_to,
        impacts=tuple(_impact(service, its) for service, its in by_service.items()),
    )
    return _in_japan(judged)


def _impact(service: str, assessments: Sequence[Assessment]) -> Impact:
    changes = [
        _change(one)
        for before, one in zip([None, *assessments], assessments, strict=False)
        if before is None or _verdict(one) != _verdict(before)
    ]
    last = assessments[-1]
    users, measured = last.affected_users, last.measured
    return _in_japan(Impact(service, last.verdict, users, measured, last.method, last.rulebook, last.restored_at, tuple(changes)))


def _verdict(one: Assessment) -> tuple[object, ...]:
    return one.verdict, one.at_least, one.at_most, one.candidate, one.rulebook


def _change(one: Assessment) -> Change:
    change = Change(
        at=one.assessed_at,
        verdict=one.verdict,
        at_least=one.at_least,
        at_most=one.at_most,
        users=one.affected_users,
        measured=one.measured,
        method=one.method,
        rulebook=one.rulebook,
        duration_seconds=int(one.duration.total_seconds()),
        candidate=one.candidate,
        major_since=one.major_since,
        major_expected_at=one.major_expected_at,
    )
    return _in_japan(change)


# --- for machines ---------------------------------------------------------------------------------------------------------------

COLUMNS = (
    *("incident", "service", "equipment", "state", "opened_at", "started_at", "restored_at", "joined_to", "changed_at", "verdict"),
    *("at_least", "at_most", "users", "measured", "method", "rulebook", "duration_seconds", "candidate", "major_since"),
    "major_expected_at",
)


def as_csv(found: Report) -> str:
    """A line for each change of a verdict."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found.incidents:
        for impact in one.impacts:
            head = [one.id, impact.service, " ".join(one.equipment), one.state, one.opened_at, one.started_at]
            for change in impact.changes:
                row = [*head, impact.restored_at, one.joined_to, *(getattr(change, name) for name in change.__struct_fields__)]
                writer.writerow(map(_cell, row))
    return sink.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else value.value if isinstance(value, Verdict) else _plain(str(value))
    # names come from alerts: a spreadsheet would take these for formulas
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


# --- for people -----------------------------------------------------------------------------------------------------------------


def in_words(found: Report) -> str:
    """A table of the changes, with the sums below it."""
    heads = [
        *("障害発生 / failed (JST)", "復旧 / restored (JST)", "事故 / incident", "設備 / equipment", "役務 / service"),
        *("判定時刻 / judged (JST)", "判定 / verdict", "利用者 / users", "方法 / method", "規定 / rulebook"),
    ]
    rows = [row for one in found.incidents if one.joined_to is None for impact in one.impacts for row in _rows(one, impact)]
    totals = found.totals
    sums = [
        f"{_clock(found.since)} – {_clock(found.until)} JST, {found.step_seconds:g} s",
        f"事故 / incidents: {totals.incidents}, 判定の変化 / changes of verdict: {totals.changes}",
        f"起票候補 / candidates (*): {totals.candidates}",
        *(
            f"  {number:>6,}  {VERDICTS[Verdict(name)].ja} / {VERDICTS[Verdict(name)].en}"
            for name, number in totals.verdicts.items()
        ),
        f"規定 / rulebooks: {', '.join(found.rulebooks)}",
        f"{found.notice.ja} / {found.notice.en}",
    ]
    return "\n".join([*(_table(heads, rows) if rows else []), *([""] if rows else []), *sums])


def _rows(one: Judged, impact: Impact) -> list[list[str]]:
    found: list[list[str]] = []
    for change in impact.changes:
        head = [_clock(one.started_at), _clock(impact.restored_at), one.id, _short(one.equipment), _plain(impact.service)]
        users = "" if change.users is None else f"{'' if change.measured else '≤ '}{change.users:,}"
        found.append([*(head if not found else [""] * 5), _clock(change.at), _said(change), users, change.method, change.rulebook])
    return found


def _said(change: Change) -> str:
    range_ = f" ({change.at_least.value}–{change.at_most.value})" if change.verdict == Verdict.INDETERMINATE else ""
    return f"{change.verdict.value}{range_}{' *' if change.candidate else ''}"


def _short(equipment: tuple[str, ...]) -> str:
    more = f" +{len(equipment) - 1}" if len(equipment) > 1 else ""
    return f"{_plain(equipment[0])[:40]}{more}" if equipment else "–"


def _clock(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "–"


def _plain(text: str) -> str:
    """Labels of others, fit for a terminal and a cell."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+", " ", text)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(_width, column)) for column in zip(heads, *rows, strict=True)]
    lines = [[text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True)] for row in (heads, *rows)]
    return ["  ".join(line).rstrip() for line in lines]


def _width(text: str) -> int:
    """Of a terminal: Japanese letters take two places."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
