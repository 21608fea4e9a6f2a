"""Whether equipment works now, as its own series tells: asked before a recovery is believed.

When Prometheus dies, Alertmanager says "resolved" as soon as the alert has expired: that is ignorance, and ignorance never closes.
"""

import math
from collections import defaultdict

import msgspec

from receiver.catalogue import Catalogue
from receiver.catalogue.inputs import EQUIPMENT_UP
from receiver.observation.prometheus import Prometheus, QueryFailed, any_of


class Seen(msgspec.Struct, frozen=True):
    """Equipment by name, True while it works; or why it could not be asked."""

    up: dict[str, bool] = {}
    problem: str | None = None


def observe(prometheus: Prometheus, catalogue: Catalogue, hit: dict[str, set[str | None]]) -> dict[str, Seen]:
    """Ask for the equipment in `hit` (by service). Never raises: a failure is an answer. One query per distinct expression."""
    named: dict[str, set[str]] = defaultdict(set)
    for name, equipment in hit.items():
        named[catalogue.by_name[name].equipment_label] |= {unit for unit in equipment if unit is not None}
    questions = {}
    for name in hit:
        service = catalogue.by_name[name]
        label = service.equipment_label
        questions[name] = service.users.equipment_up or f"{EQUIPMENT_UP}{{{label}=~{any_of(named[label])}}}", label
    answers = {question: _seen(prometheus, *question) for question in sorted(set(questions.values()))}
    return {name: answers[question] for name, question in questions.items()}


def _seen(prometheus: Prometheus, query: str, label: str) -> Seen:
    try:
        samples = prometheus.instant(query)
    except QueryFailed as error:
        return Seen(problem=str(error))
    up: dict[str, bool] = {}
    for sample in samples:
        # several series of one equipment: it works where all of them say so
        works = math.isfinite(sample.value) and sample.value > 0
        equipment = sample.labels.get(label, "")
        up[equipment] = up.get(equipment, True) and works
    return Seen(up)
