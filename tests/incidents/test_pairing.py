"""A series is of the alert that our Prometheus sent for it, and of no other one's."""

from collections.abc import Mapping

import pytest

from receiver.incidents.pairing import Known, Sender
from receiver.observation.rule_series import External, Labels

EAST = {"cluster": "east"}
DOWN = {"alertname": "Down", "service": "voice"}
"""It names no equipment: every region has it."""
OTHERS = [DOWN | {"equipment": str(n)} for n in range(3)]


def series(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def sender(shown: External | None, *sent: Mapping[str, str]) -> Sender:
    """One that has learnt from alerts of OTHERS, each with one of these labels besides."""
    it = Sender()
    it.shown = shown
    pairs = list(zip(OTHERS, sent, strict=False))
    it.learn(map(series, OTHERS), Known({str(n): labels | more for n, (labels, more) in enumerate(pairs)}))
    return it


NOTHING = External({})
OURS = External(EAST)
PAIR = External(EAST | {"replica": "a"})
RENAMED = External(EAST | {"dc": "eu1"}, frozenset({"dc", "team"}))
RENAMED_PAIR = External(EAST | {"dc": "eu1", "replica": "a"}, frozenset({"dc"}))
NO: dict[str, str] = {}
CASES: dict[str, tuple[Sender, dict[str, str], bool]] = {
    "ours": (sender(OURS), EAST, True),
    "another one's": (sender(OURS), {"cluster": "west"}, False),
    "one's that adds more": (sender(OURS), EAST | {"zone": "1"}, False),
    "one's that adds something while ours adds nothing": (sender(NOTHING), {"cluster": "west"}, False),
    "one's that adds nothing": (sender(OURS, EAST), NO, False),
    "ours without what is dropped elsewhere": (sender(PAIR, EAST), EAST, True),
    "not ours without it": (sender(PAIR, EAST), {"cluster": "west"}, False),
    "without what ours has": (sender(PAIR, EAST | {"replica": "a"}, EAST), EAST, False),
    "the partner's": (sender(PAIR, EAST | {"replica": "a"}), EAST | {"replica": "b"}, False),
    "ours with what is set on the way": (sender(RENAMED), EAST | {"dc": "eu", "team": "core"}, True),
    "not ours with it": (sender(RENAMED), {"cluster": "west", "dc": "eu", "team": "core"}, False),
    "ours without what is dropped, and with what is set": (sender(RENAMED_PAIR, EAST | {"dc": "eu"}), EAST | {"dc": "eu"}, True),
    "the only one there is": (sender(None), {"cluster": "west"}, True),
    "one of which there was one alert, which may be anybody's": (sender(None, EAST), {"cluster": "west"}, True),
    "another one than learnt": (sender(None, EAST, EAST), {"cluster": "west"}, False),
    "the one learnt": (sender(None, EAST, EAST, {"cluster": "west"}), EAST, True),
}


@pytest.mark.parametrize("case", CASES)
def test_an_alert_is_of_our_series_or_not(case: str) -> None:
    it, more, is_ours = CASES[case]
    known = Known({"it": DOWN | more})
    it.learn([], known)  # forgets nothing
    assert it.alerts_of(series(DOWN), known)[0] == ["it"] * is_ours


@pytest.mark.parametrize("shown", [None, OURS])
def test_behind_thanos_series_have_the_external_labels_of_their_own_prometheus(shown: External | None) -> None:
    east, west = DOWN | EAST, DOWN | {"cluster": "west"}
    known = Known({"east": east, "west": west})
    it = Sender()
    it.shown = shown
    it.learn([series(east), series(west)], known)
    assert it.alerts_of(series(east), known) == (["east"], [])
    assert it.alerts_of(series(west), known) == (["west"], [])
    assert it.whole(series(west)) == west


@pytest.mark.parametrize("shown", [None, External(NO, frozenset({"cluster"}))], ids=["hidden", "set on the way"])
def test_which_one_of_two_is_ours_is_not_guessed(shown: External | None) -> None:
    known = Known({"east": DOWN | EAST, "west": DOWN | {"cluster": "west"}})
    it = sender(shown)
    it.learn([series(DOWN)], known)
    found, perhaps = it.alerts_of(series(DOWN), known)
    assert found == []
    assert sorted(perhaps) == ["east", "west"]


def test_what_was_found_in_a_series_is_of_it_whatever_was_thought_to_be_its_labels_then() -> None:
    known = Known({"found": DOWN, "sent": DOWN | EAST}, found={"found"})
    assert sorted(sender(OURS).alerts_of(series(DOWN), known)[0]) == ["found", "sent"]
    hidden = Sender()
    hidden.learn([series(DOWN), *map(series, OTHERS)], known)
    assert hidden.alerts_of(series(DOWN), known) == (["found"], ["sent"])
    assert not hidden.is_known, "what it found itself teaches nothing"


def test_alerts_are_found_by_the_labels_of_their_series() -> None:
    alerts = {"a": {"alertname": "X", "node": "1", "cluster": "east"}, "b": {"alertname": "X", "node": "2", "cluster": "east"}}
    known = Known(alerts)
    assert known.around((("alertname", "X"), ("node", "2"))) == ["b"]
    assert sorted(known.around((("alertname", "X"),))) == ["a", "b"]
    assert known.around((("alertname", "X"), ("node", "3"))) == []
