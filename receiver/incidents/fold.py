"""What notifications say of one alert, folded so that neither order nor repetition matters.

A pair of Alertmanagers sends twice, late and out of order, and resolved alerts come again for a quarter of an hour: what counts
are the alerts' own times, and when a thing was said, never the order in which it was derived.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from receiver.model import Alert, AlertEvent, Learnt

LATE = timedelta(minutes=1)
"""What is said to fire so long after its end, and not said to be over since, fires again: Alertmanager keeps the old startsAt when
one of two Prometheis resolves an alert that the other still sends. Within that time it is a late twin."""


_HOW: tuple[Learnt, ...] = ("act", "webhook", "alertmanager_api", "rule_series")
"""What was sent to us as well need not have been found."""


def fold(event: AlertEvent, said_at: datetime, known: Alert | None) -> Alert:
    """The sighting with this event in it, heard at `said_at`; `known` is the same one (same startsAt) as known so far."""
    fires = event.ends_at is None
    if known is None:
        return Alert(
            source=event.source,
            fingerprint=event.fingerprint,
            starts_at=event.starts_at,
            ends_at=event.ends_at,
            labels=event.labels,
            annotations=event.annotations,
            generator_url=event.generator_url,
            fired_at=said_at if fires else None,
            resolved_at=None if fires else said_at,
            learnt=event.learnt,
            inhibited_by=_together((), event.inhibited_by),
        )
    return msgspec.structs.replace(
        known,
        ends_at=known.ends_at if event.ends_at is None else _later(known.ends_at, event.ends_at),
        fired_at=_later(known.fired_at, said_at) if fires else known.fired_at,
        resolved_at=known.resolved_at if fires else _later(known.resolved_at, said_at),
        learnt=known.learnt if known.learnt == event.learnt else min(known.learnt, event.learnt, key=_HOW.index),
        # the rules' own series have neither
        annotations=known.annotations or event.annotations,
        generator_url=known.generator_url or event.generator_url,
        inhibited_by=_together(known.inhibited_by, event.inhibited_by),
    )


def _together(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*some, *others})) if others else some


def ended_at(sighting: Alert, sightings: Collection[Alert]) -> datetime | None:
    """When this sighting was over, as all sightings of its alert tell; None while it fires.

    An alert is active or it is not: where a twin, or a later stretch, is known to have ended, this one had ended by then too.
    """
    if _is_over(sighting, sighting):
        return sighting.ends_at
    if len(sightings) == 1:
        return None  # itself
    return min(
        (s.ends_at for s in sightings if s.ends_at and s.ends_at >= sighting.starts_at and _is_over(sighting, s)), default=None
    )


def _is_over(sighting: Alert, other: Alert) -> bool:
    """Whether the end of `other` holds for `sighting`: it was not said to fire after that."""
    if other.ends_at is None or other.resolved_at is None:
        return False
    fired_at = sighting.fired_at
    return fired_at is None or fired_at <= other.ends_at + LATE or fired_at <= other.resolved_at


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
