"""What is above equipment that has failed: learnt from metrics before anybody is told of the failure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from receiver.catalogue import Catalogue
from receiver.incidents import correlate
from receiver.incidents.cases import Case
from receiver.incidents.derive import derive_again
from receiver.observation import ancestors
from receiver.observation.history import SLOT
from receiver.observation.prometheus import Prometheus
from receiver.observation.slots import floor
from receiver.storage import incidents as store
from receiver.storage import topology
from receiver.storage.database import Database

LEARNT_ANEW = timedelta(days=1)
"""It is asked again after so long: networks are rebuilt."""


def learn_topology(
    database: Database, prometheus: Prometheus, catalogue: Catalogue, cases: Iterable[Case], hold: timedelta, now: datetime
) -> bool:
    """Ask what is above equipment that is new to us, and tell failures apart anew by it; whether anything may have changed."""
    holders: dict[str, dict[str, set[str]]] = {}
    for case in cases:
        for hit in case.hits:
            for name in hit.named:
                holders.setdefault(hit.service.equipment_label, {}).setdefault(name, set()).add(case.incident.id)
    has_changed = False
    for label, its in holders.items():
        with database.read() as connection:
            unknown = topology.unknown(connection, label, its, floor(now, SLOT) - LEARNT_ANEW)
        found = ancestors.observe(prometheus, label, unknown, catalogue.equipment) if unknown else None
        if found is None or found.problem:
            continue  # it is asked again at the next tick
        with database.write() as connection:
            known = topology.parents(connection, label, unknown)
            topology.learn(connection, label, found.parents, now)
            if any(known.get(child) != parent for child, parent in found.parents.items()):
                # in one transaction: what was learnt is not asked again for a day; and of all that are there by now, as others
                # may have come while Prometheus was asked
                came = store.living_of(connection, (correlate.of_equipment(label, name) for name in {*unknown, *found.parents}))
                derive_again(connection, catalogue, hold, came.union(*(its[name] for name in unknown)), now)
                has_changed = True
    return has_changed
