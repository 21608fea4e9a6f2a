"""What an annotation says, whichever of Grafana's two APIs it is told by: times, text as HTML, short tags, and a seal.

An incident has two: a point while it lasts and a region when it is over; and, from the moment it became certain that it may be
major, a point at that moment. Where a verdict falls again the point stays, marked `withdrawn`: persons may have linked to it.
"""

import hashlib
import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from receiver.delivery.targets import Draft, Missing, Refused
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.plain_text import head_and_rest, lines, one_line, whole_lines
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.law.wording import VERDICTS, clock_time
from receiver.model import Statement

MOST_TAGS_BYTES = 500
"""[annotations] tags_length by default, counted over the JSON of all tags."""

_MOST_TITLE = 200
_MOST_TEXT = 600  # of one language: it is shown in a small box beside the pointer
_MOST_TAG = 100  # key and value have 100 characters each in Grafana's database
_MARK = "a58:"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_SEAL = re.compile(r'#a58-([0-9a-f]{12})(?=">)')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(msgspec.Struct, frozen=True):
    """Where annotations stand: a dashboard and a panel of it, or the whole organisation. `services`: only these; none: all."""

    dashboard_uid: str | None = None
    panel_id: int | None = None
    services: tuple[str, ...] = ()

    def has(self, dashboard_uid: str | None, panel_id: int | None) -> bool:
        """Whether one that stands there is of this place: another place has one with the same tags."""
        return (dashboard_uid or None, panel_id or None) == (self.dashboard_uid or None, self.panel_id or None)


def fields(name: str, draft: Draft, place: Place) -> dict[str, Any]:
    """Text, tags and both ends: a start that is learnt later moves the point, an incident opened again is a point again."""
    statement = draft.statement
    if draft.key == f"{statement.key}.major":
        return _major(name, draft, place)
    start = milliseconds(statement.started_at)
    end = milliseconds(statement.restored_at or statement.started_at) if statement.resolved else start
    said = [(statement.title.ja, head_and_rest(statement.text.ja)[0]), (statement.title.en, head_and_rest(statement.text.en)[0])]
    return _sealed(said, statement.url, _short([key_tag(name, draft.key), *_by_weight(statement.tags)])) | {
        "time": start,
        "timeEnd": end,
    }


def _major(name: str, draft: Draft, place: Place) -> dict[str, Any]:
    """The moment from which the measured facts meet the threshold; without times where that does not hold any more."""
    statement = draft.statement
    since = min(
        (
            one.major_since
            for one in statement.assessments
            if one.verdict == Verdict.MAJOR and one.major_since and (not place.services or one.service in place.services)
        ),
        default=None,
    )
    if since is None or "dismissed" in statement.tags:
        said = (
            Text("取り消し: ", "Withdrawn: "),
            Text("その後の情報により、この時点を保てない", "Later facts do not bear this moment out"),
        )
        verdict = "withdrawn"
    else:
        said = Text("この時点から", "From this moment: "), Text(clock_time(since), clock_time(since))
        verdict = f"verdict:{Verdict.MAJOR.value}"
    own = {f"{_MARK}{statement.key}", "art58"}  # by the incident's own tag the other one is found
    others = [tag for tag in statement.tags if tag not in own and not tag.startswith("verdict:")]
    tags = _short([key_tag(name, draft.key), verdict, "art58", *_by_weight(others)])
    heading, text = said
    if "drill" in statement.tags and statement.resolved:
        heading, text = Text("訓練終了: ", "Drill over: "), Text("この時点は訓練のもの", "This moment was but a drill's")
    major = VERDICTS[Verdict.MAJOR]
    both = [
        (heading.ja + major.ja, f"{text.ja}\n{statement.title.ja}"),
        (heading.en + major.en, f"{text.en}\n{statement.title.en}"),
    ]
    times = {} if verdict == "withdrawn" or since is None else {"time": milliseconds(since), "timeEnd": milliseconds(since)}
    return _sealed(both, statement.url, tags) | times


def times_of(found: dict[str, Any], statement: Statement) -> dict[str, Any]:
    """The fields with times in any case, for what is to be made."""
    start = milliseconds(statement.started_at)
    return {"time": start, "timeEnd": start} | found


def key_tag(name: str, key: str) -> str:
    """The tag by which an annotation is found. Raises Refused."""
    if not _KEY.fullmatch(key):
        raise Refused(f"{name}: {one_line(key, 40)!r} cannot be an incident's tag")
    return f"{_MARK}{key}"


def key_of(tags: Sequence[str]) -> str | None:
    """The key that the tags name."""
    return next((tag.removeprefix(_MARK) for tag in tags if tag.startswith(_MARK)), None)


def fitted(tags: Sequence[str], ours: Sequence[str]) -> list[str] | None:
    """The merged tags within what Grafana takes: ours go first, the last of them before the others; key and verdict, and what is
    of persons, never. None: it cannot be done, and what stands there must stay as it is.
    """
    kept = list(tags)
    for tag in reversed(ours):
        if _size(kept) <= MOST_TAGS_BYTES:
            break
        if tag in kept and not tag.startswith((_MARK, "verdict:")) and tag != "withdrawn":
            kept.remove(tag)
    return kept if _size(kept) <= MOST_TAGS_BYTES else None


def is_untouched(text: str, tags: Sequence[str]) -> bool:
    """Whether text and tags are as we wrote them: the seal in the link of the text says so. The order of tags is Grafana's."""
    found = _SEAL.search(text)
    return bool(found and found[1] == _seal(_SEAL.sub("", text, count=1), tags))


def check_dashboard(name: str, api: Api, place: Place) -> None:
    """An unknown dashboard is no error to Grafana: it would make the annotation one of the whole organisation. Raises Refused."""
    if not place.dashboard_uid:
        return
    try:
        api.call("GET", f"/api/dashboards/uid/{place.dashboard_uid}", dict[str, msgspec.Raw])
    except Missing:
        raise Refused(
            f"{name}: there is no dashboard {one_line(place.dashboard_uid, 60)!r} in this organisation. Check dashboard_uid, or "
            "leave it out for an annotation of the whole organisation"
        ) from None


def milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _by_weight(tags: Sequence[str]) -> list[str]:
    """What is left out first, where there is no room, last: services may be many."""
    return sorted(tags, key=lambda tag: tag.startswith("service:"))


def _short(tags: list[str]) -> list[str]:
    """The tags from the front that Grafana has room for; it would cut a second colon and what follows it."""
    kept: dict[str, None] = {}
    for tag in tags:
        before, colon, value = one_line(tag, _MOST_TAG).partition(":")
        short = f"{before}{colon}{value.replace(':', '_')}"
        if short and _size([*kept, short]) > MOST_TAGS_BYTES:
            break
        kept[short] = None
    return [tag for tag in kept if tag]


def _size(tags: Sequence[str]) -> int:
    return len(msgspec.json.encode(list(tags)))


def _sealed(said: list[tuple[str, str]], url: str, tags: list[str]) -> dict[str, Any]:
    base = _text(said, url)
    link = f'href="{html.escape(url)}'
    return {"text": base.replace(link, f"{link}#a58-{_seal(base, tags)}", 1), "tags": tags}


def _seal(text: str, tags: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([text, *sorted(tags)]).encode(errors="replace")).hexdigest()[:12]


def _text(said: list[tuple[str, str]], url: str) -> str:
    """HTML, for Grafana shows it as such: our own few elements around escaped text."""
    parts = [
        part
        for title, text in said
        for part in (f"<b>{_escaped(one_line(title, _MOST_TITLE))}</b>", _escaped(whole_lines(lines(text, len(text)), _MOST_TEXT)))
    ]
    if url.startswith(("http://", "https://")):
        parts.append(f'<a href="{html.escape(url)}">{_escaped(url)}</a>')
    return "<br>".join(part for part in parts if part)


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>")
