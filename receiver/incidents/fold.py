"""What notifications say of one alert, folded so that neither order nor repetition matters.

A pair of Alertmanagers sends twice, late and out of order, and resolved alerts come again for a quarter of an hour: what counts
are the alerts' own times, never their arrival.
"""

from collections.abc import Collection
from datetime import datetime

import msgspec

from receiver.model import Alert, AlertEvent


def fold(event: AlertEvent, known: Alert | None) -> Alert:
    """The sighting with this event in it; `known` is the same one (same startsAt) as known so far.

    Once it has ended it does not fire again: what fires again has a later startsAt. Of two ends the later stands.
    """
    if known is None:
        return Alert(
            source=event.source,
            fingerprint=event.fingerprint,
            starts_at=event.starts_at,
            ends_at=event.ends_at,
            labels=event.labels,
            annotations=event.annotations,
            generator_url=event.generator_url,
        )
    ends = [end for end in (known.ends_at, event.ends_at) if end is not None]
    return msgspec.structs.replace(known, ends_at=max(ends, default=None))


def ended_at(sighting: Alert, sightings: Collection[Alert]) -> datetime | None:
    """When this sighting was over, as all sightings of its alert tell; None while it fires.

    An alert is active or it is not: where a twin, or a later stretch, is known to have ended, this one had ended by then too.
    """
    if sighting.ends_at is not None:
        return sighting.ends_at
    return min((s.ends_at for s in sightings if s.ends_at is not None and s.ends_at >= sighting.starts_at), default=None)


def same_stretch(sighting: Alert, sightings: Collection[Alert]) -> Alert | None:
    """Another sighting of the same alert that overlaps this one in time: its twin."""
    end = ended_at(sighting, sightings)
    for other in sightings:
        other_end = ended_at(other, sightings)
        begins_within = other_end is None or sighting.starts_at <= other_end
        ends_within = end is None or end >= other.starts_at
        if other.starts_at != sighting.starts_at and begins_within and ends_within:
            return other
    return None
