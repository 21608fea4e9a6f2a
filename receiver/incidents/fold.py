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
    sighting = known or Alert(
        source=event.source,
        fingerprint=event.fingerprint,
        starts_at=event.starts_at,
        ends_at=None,
        labels=event.labels,
        annotations=event.annotations,
        generator_url=event.generator_url,
        learnt=event.learnt,
    )
    sighting = msgspec.structs.replace(
        sighting,
        learnt=min(sighting.learnt, event.learnt, key=_HOW.index),
        # the rules' own series have neither
        annotations=sighting.annotations or event.annotations,
        generator_url=sighting.generator_url or event.generator_url,
        inhibited_by=tuple(sorted({*sighting.inhibited_by, *event.inhibited_by})),
    )
    if event.ends_at is None:
        return msgspec.structs.replace(sighting, fired_at=_later(sighting.fired_at, said_at))
    return msgspec.structs.replace(
        sighting, ends_at=_later(sighting.ends_at, event.ends_at), resolved_at=_later(sighting.resolved_at, said_at)
    )


def ended_at(sighting: Alert, sightings: Collection[Alert]) -> datetime | None:
    """When this sighting was over, as all sightings of its alert tell; None while it fires.

    An alert is active or it is not: where a twin, or a later stretch, is known to have ended, this one had ended by then too.
    """
    if _is_over(sighting, sighting):
        return sighting.ends_at
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
