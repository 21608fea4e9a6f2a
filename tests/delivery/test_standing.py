"""How a row of the ledger is called on pages and in the terminal."""

from typing import get_args, get_type_hints

from receiver.delivery import standing
from receiver.delivery.plan import Object
from receiver.model import Delivery


def test_every_state_and_every_kind_of_thing_has_words_in_japanese() -> None:
    states = get_args(get_type_hints(Delivery)["state"])
    assert set(standing.STATES) == set(states)
    for object_ in get_args(Object):
        assert not standing.called(object_).ja.isascii()


def test_a_ticket_that_goes_on_from_another_is_told_from_it() -> None:
    called = standing.called("ticket.2")
    assert (called.ja, called.en) == ("チケット（2件目）", "ticket 2")
