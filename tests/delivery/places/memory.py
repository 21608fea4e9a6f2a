"""The twin in memory."""

from contextlib import ExitStack

from receiver.delivery.targets import Unreachable
from tests.delivery.places import Desk, Shown
from tests.fakes.memory import MemoryTarget


def opened(stack: ExitStack, timeout_seconds: float) -> Desk:
    target = MemoryTarget()
    around: dict[str, tuple[str, str]] = {}

    def shown(id_: str) -> Shown:
        one, (above, below) = target.tickets[id_], around.get(id_, ("", ""))
        ours = one.draft.text if one.block else ""
        return Shown(one.fields["title"], f"{above}{ours}{below}", one.is_open, [text for _, text in one.comments])

    def takes_marks_away(id_: str) -> None:
        target.tickets[id_].block = None

    return Desk(
        target,
        lambda: len(target.tickets),
        shown,
        lambda id_, above, below: around.__setitem__(id_, (above, below)),
        takes_marks_away,
        lambda id_, title: target.tickets[id_].fields.__setitem__("title", title),
        lambda id_: setattr(target.tickets[id_], "is_taken", True),
        lambda id_: setattr(target.tickets[id_], "is_open", False),
        lambda id_: target.tickets.pop(id_) and None,
        lambda: target.fail(Unreachable("no answer"), after_work=True),
        mapped={"priority": "high"},
    )
