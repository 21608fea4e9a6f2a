"""What notifications say of one alert becomes the same stretches in whatever order, and however often, they come."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from receiver.incidents.fold import ended_at, fold
from receiver.model import Alert, AlertEvent

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def event(starts: float, ends: float | None = None) -> AlertEvent:
    """Minutes after T0."""
    end = None if ends is None else T0 + timedelta(minutes=ends)
    return AlertEvent("alertmanager", "f1", {"alertname": "Down"}, {}, T0 + timedelta(minutes=starts), end)


def stretches(*events: AlertEvent) -> list[tuple[float, float | None]]:
    """The stretches in which the alert fired, in minutes after T0: sightings that overlap are one."""
    sightings: dict[datetime, Alert] = {}
    for one in events:
        said_at = one.ends_at or one.starts_at  # as soon as it is so
        sightings[one.starts_at] = fold(one, said_at, sightings.get(one.starts_at))
    minutes = timedelta(minutes=1)
    found: list[tuple[float, float | None]] = []
    for sighting in sorted(sightings.values(), key=lambda s: s.starts_at):
        end = ended_at(sighting, sightings.values())
        if found and (found[-1][1] is None or (sighting.starts_at - T0) / minutes <= found[-1][1]):
            continue
        found.append(((sighting.starts_at - T0) / minutes, end and (end - T0) / minutes))
    return found


def test_firing_then_resolved_is_one_stretch() -> None:
    assert stretches(event(0), event(0, 10)) == [(0, 10)]


def test_a_resolved_alert_that_comes_again_changes_nothing() -> None:
    assert stretches(event(0), event(0, 10), event(0, 10), event(0, 10)) == [(0, 10)]


def test_twins_with_different_starts_are_one_stretch_from_the_earlier_start() -> None:
    assert stretches(event(0.5), event(0)) == stretches(event(0), event(0.5)) == [(0, None)]


def test_one_twin_that_says_resolved_speaks_for_both() -> None:
    assert stretches(event(0), event(0.5), event(0.5, 10)) == stretches(event(0), event(0.5), event(0, 10)) == [(0, 10)]


def test_resolved_before_firing_is_over() -> None:
    assert stretches(event(0, 10), event(0)) == [(0, 10)]


def test_firing_again_after_the_end_is_a_new_stretch() -> None:
    assert stretches(event(0), event(0, 10), event(15)) == [(0, 10), (15, None)]


def test_a_late_resolved_of_the_first_stretch_does_not_end_the_second() -> None:
    assert stretches(event(15), event(0), event(0, 10)) == [(0, 10), (15, None)]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_any_order_ends_in_the_same_stretches(order: tuple[int, ...]) -> None:
    events = [event(0), event(0, 10), event(15), event(15, 20)]
    assert stretches(*(events[i] for i in order)) == [(0, 10), (15, 20)]


def said(minute: float, one: AlertEvent, known: Alert | None = None) -> Alert:
    return fold(one, T0 + timedelta(minutes=minute), known)


def test_what_is_said_to_fire_clearly_after_its_end_fires() -> None:
    """Two Prometheis feed one Alertmanager: one resolves the alert, the other still sends it, and its start stays the same."""
    resolved = said(10, event(0, 10), said(0, event(0)))
    assert ended_at(resolved, [resolved]) == T0 + timedelta(minutes=10)
    late_twin = said(10.5, event(0), resolved)
    assert ended_at(late_twin, [late_twin]) == T0 + timedelta(minutes=10)
    still_firing = said(12, event(0), resolved)
    assert ended_at(still_firing, [still_firing]) is None
    over = said(20, event(0, 20), still_firing)
    assert ended_at(over, [over]) == T0 + timedelta(minutes=20)


def test_a_notification_that_was_long_under_way_is_set_right_by_the_next_resolved() -> None:
    delayed = said(14, event(0), said(10, event(0, 10)))
    again = said(15, event(0, 10), delayed)
    assert ended_at(again, [again]) == T0 + timedelta(minutes=10)
