"""What is above the equipment that alerts name: as it was learnt from metrics, else as it is written down."""

from collections.abc import Iterable, Sequence

from receiver.catalogue import Catalogue
from receiver.incidents import correlate
from receiver.model import Alert
from receiver.storage import topology
from receiver.storage.database import Connection

MOST_CAUSES = 10_000
"""Of more it is quicker to look at all that fires."""


def related_causes(connection: Connection, catalogue: Catalogue, alerts: Sequence[Alert]) -> set[str] | None:
    """The causes of which alerts may be one failure with these, by what is above and below their equipment; None: too many."""
    causes = {alert.cause for alert in alerts if alert.cause}
    causes |= {above for above in parents_of(connection, catalogue, alerts).values() if above}
    for label, names in _named(catalogue, alerts).items():
        level = below = names | topology.below(connection, label, names)
        while level := {child for name in level for child in catalogue.children.get(name, ())} - below:
            below = below | level | topology.below(connection, label, level)
            if len(below) > MOST_CAUSES:
                return None
        causes |= {correlate.of_equipment(label, name) for name in below}
    return causes


def parents_of(connection: Connection, catalogue: Catalogue, alerts: Iterable[Alert]) -> correlate.Parents:
    """Of each cause, the cause that the equipment above it would be; None where nothing is above it."""
    parents: dict[str, str | None] = {}
    for label, names in _named(catalogue, alerts).items():
        above: dict[str, str | None] = {}
        level: set[str] = names
        while level:
            learnt = topology.parents(connection, label, level)
            above |= {name: learnt.get(name) or catalogue.parents.get(name) for name in level | learnt.keys()}
            level = {parent for parent in above.values() if parent} - above.keys()
        parents |= {
            correlate.of_equipment(label, child): parent and correlate.of_equipment(label, parent)
            for child, parent in above.items()
        }
    return parents


def _named(catalogue: Catalogue, alerts: Iterable[Alert]) -> dict[str, set[str]]:
    """The equipment that these alerts name, by the label that names it."""
    by_label: dict[str, set[str]] = {}
    for cause in {alert.cause for alert in alerts if alert.cause}:
        if equipment := correlate.equipment_named_by(cause):
            by_label.setdefault(equipment[0], set()).add(equipment[1])
    return by_label
