"""The webhook bodies of Alertmanager (version "4") and of Grafana (version "1"), decoded alike by intake, to refuse what can never
be right, and by incidents, to derive alerts. Unknown keys are ignored: newer senders add them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from receiver.model import AlertEvent, Learnt, Source

_VERSIONS: dict[Source, str] = {"alertmanager": "4", "grafana": "1"}
# outside of these no alert happened; year 1 is Go's "no time", year 9999 cannot be told in every time zone
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
MOST_ALERTS, MOST_ALERT_BYTES = 100_000, 1024 * 1024
"""No sender has more to say in a body, and of an alert; in memory it becomes many times as large."""
_LONG = 256 * 1024
"""Bytes of a body from which on its alerts are looked at one by one: that takes longer, and a fraction of the memory."""
_NUL, _ESCAPED_NUL = "\0", b"\\u0000"


class Unacceptable(ValueError):
    """A body that can never be right, however often it comes. The text says what is wrong with it, in one short line."""

    def __init__(self, wrong: str) -> None:
        # the sender's own words may be in it, of any length; where they stood comes last
        short = wrong if len(wrong) <= 300 else f"{wrong[:200]} … {wrong[-80:]}"
        super().__init__("".join(letter if letter.isprintable() else "?" for letter in short))


class _Alert(msgspec.Struct, rename="camel", gc=False):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)] | None = None
    annotations: dict[str, str] | None = None
    generator_url: str = msgspec.field(default="", name="generatorURL")
    # Grafana's
    dashboard_url: str = msgspec.field(default="", name="dashboardURL")
    panel_url: str = msgspec.field(default="", name="panelURL")
    silence_url: str = msgspec.field(default="", name="silenceURL")
    fingerprint: Annotated[str, Meta(max_length=128)] = ""
    # no sender gives it: it comes with what we found at Alertmanager's API
    inhibited_by: tuple[Annotated[str, Meta(max_length=128)], ...] = ()


class _Body(msgspec.Struct, rename="camel"):
    version: str
    alerts: list[_Alert]
    # where persons open the sender; Alertmanager's web pages are below it
    external_url: str = msgspec.field(default="", name="externalURL")


class _Outline(msgspec.Struct, rename="camel"):
    """The same with its alerts as they stand there."""

    version: str
    alerts: list[msgspec.Raw]
    external_url: str = msgspec.field(default="", name="externalURL")


_Shape = TypeVar("_Shape", _Body, _Outline)
_BODY, _OUTLINE, _ALERT = msgspec.json.Decoder(_Body), msgspec.json.Decoder(_Outline), msgspec.json.Decoder(_Alert)


def decode(source: Source, body: bytes, learnt: Learnt = "webhook") -> list[AlertEvent]:
    """What the body, which was `learnt` in this way, says of each of its alerts.

    The group's own status is not looked at: it misleads in mixed groups.
    Raises Unacceptable.
    """
    decoded = _decoded(source, body, _BODY)
    _check_all(decoded.alerts, decoded.external_url, body)
    at = decoded.external_url.rstrip("/")
    silences = f"{at}/#/silences/new?filter=" if source == "alertmanager" and at.startswith("http") else ""
    return [_event(source, alert, silences, learnt) for alert in decoded.alerts]


def check(source: Source, body: bytes) -> int:
    """How many alerts the body has. Raises Unacceptable as `decode` does; it is the quicker one, as it builds nothing, and refuses
    what would become too large in memory.
    """
    if len(body) <= _LONG:
        decoded = _decoded(source, body, _BODY)
        _check_all(decoded.alerts, decoded.external_url, body)
        return len(decoded.alerts)
    outline = _decoded(source, body, _OUTLINE)
    if len(outline.alerts) > MOST_ALERTS:
        raise Unacceptable(f"more than {MOST_ALERTS} alerts: let the sender put fewer in a body")
    _check_all(_one_by_one(source, outline.alerts), outline.external_url, body)
    return len(outline.alerts)


def _one_by_one(source: Source, alerts: list[msgspec.Raw]) -> Iterator[_Alert]:
    for number, raw in enumerate(alerts):
        if len(memoryview(raw)) > MOST_ALERT_BYTES:
            raise Unacceptable(f"alerts[{number}] has more than {MOST_ALERT_BYTES} bytes")
        try:
            yield _ALERT.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unacceptable(f"no webhook body of {source}: {error} in alerts[{number}]") from None


def _decoded(source: Source, body: bytes, decoder: msgspec.json.Decoder[_Shape]) -> _Shape:
    try:
        decoded = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unacceptable(f"no webhook body of {source}: {error}") from None
    if decoded.version != _VERSIONS[source]:
        other = next((name for name, version in _VERSIONS.items() if version == decoded.version), None)
        hint = f": is it meant for /webhook/{other}?" if other else ""
        raise Unacceptable(f'version is "{decoded.version}", {source} sends "{_VERSIONS[source]}"{hint}')
    return decoded


def _check_all(alerts: Iterable[_Alert], external_url: str, body: bytes) -> None:
    may_hold_nul = _ESCAPED_NUL in body  # raw, it is no JSON
    for alert in alerts:
        _check(alert)
        if may_hold_nul:
            _check_texts(alert)
    if may_hold_nul and _NUL in external_url:
        raise Unacceptable("externalURL holds a NUL character, which no store keeps in texts")


def _check(alert: _Alert) -> None:
    if not _EARLIEST <= alert.starts_at < _LATEST:
        raise Unacceptable(f"startsAt {alert.starts_at.isoformat()} is no time of an alert")
    if alert.status == "resolved":
        if alert.ends_at is None or alert.ends_at < alert.starts_at:
            raise Unacceptable("a resolved alert ends before it starts, or never: endsAt is missing or earlier than startsAt")
        if alert.ends_at >= _LATEST:
            raise Unacceptable(f"endsAt {alert.ends_at.isoformat()} is no time of an alert")


def _check_texts(alert: _Alert) -> None:
    annotations = alert.annotations or {}
    texts = (*alert.labels, *alert.labels.values(), *annotations, *annotations.values())
    for text in (*texts, alert.fingerprint, alert.generator_url, alert.dashboard_url, alert.panel_url, alert.silence_url):
        if _NUL in text:
            raise Unacceptable("an alert holds a NUL character, which no store keeps in texts")


def _event(source: Source, alert: _Alert, silences: str, learnt: Learnt) -> AlertEvent:
    """`silences` is where Alertmanager makes a silence for the labels that would follow (whoever shows it adds them); Grafana gives
    the whole address itself.
    """
    ends_at = alert.ends_at.astimezone(UTC) if alert.ends_at and alert.status == "resolved" else None
    annotations = alert.annotations or {}
    # Grafana sends no annotations by such names: they are its own, and stay there
    if alert.dashboard_url:
        annotations["__dashboard_url__"] = alert.dashboard_url
    if alert.panel_url:
        annotations["__panel_url__"] = alert.panel_url
    if silence := silences or alert.silence_url:
        annotations["__silence_url__"] = silence
    return AlertEvent(
        source=source,
        fingerprint=alert.fingerprint or _fingerprint(alert.labels),
        labels=alert.labels,
        annotations=annotations,
        # one zone for all: the same instant gives the same incident, whichever offset the sender writes
        starts_at=alert.starts_at.astimezone(UTC),
        ends_at=ends_at,
        generator_url=alert.generator_url,
        learnt=learnt,
        inhibited_by=alert.inhibited_by,
    )


def _fingerprint(labels: dict[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(labels.items()))).hexdigest()[:16]
