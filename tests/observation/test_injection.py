"""No label value of an alert changes what a question means: the real Prometheus gives the series of just that value."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import UNABLE, UNDER_EQUIPMENT
from receiver.model import Alert
from receiver.observation import equipment, users
from receiver.observation.failure_start import Asked
from receiver.observation.prometheus import Prometheus, quoted
from tests import backfilled
from tests.observation.starts import find_starts

NOW = int(time.time()) // 15 * 15
# other tests may run for long before these: what is of now then is still to be seen
LOOKBACK = "--query.lookback-delta=2h"
HOSTILE = {
    "double quotes": '"',
    "single quotes": "'",
    "a backtick": "`",
    "braces": "{}",
    "a brace that ends": '"}',
    "or vector(1)": '"} or vector(1) #',
    "or vector(1) after a parenthesis": '"}) or vector(1) #',
    "a backslash": "\\",
    "a backslash at the end": "core-1\\",
    "backslashes before a quote": '\\\\"',
    "an escape": "\\n\\x22\\u0022",
    "the end of a quotation in RE2": "\\Qcore-1\\E",
    "a newline": "core-1\ncore-2",
    "a carriage return and a tab": "\r\t",
    "a control character": "\x01\x7f",
    "a pattern for all": ".*",
    "alternatives": "core-1|core-2",
    "an empty alternative": "core-1|",
    "character classes": "[a-z]+\\d{1,3}(?i)^$",
    "a comment": "core-1 # ",
    "a range": "core-1[1h]",
    "a template": "{{ .Value }} $1 %s ${x}",
    "an emoji": "📡",
    "emoji that belong together": "\U0001f469\u200d\U0001f527",
    "right to left": "\u202eשלום مرحبا\u202c",
    "letters that look alike": "\u0441\u043ere-1",
    "a letter without width": "core-1\u200b",
    "composed and not": "か\u3099が",
    "10 kB": '"}) or vector(1) # ' * 550,
}
PLAIN = ["core-1", "core-2", "x"]
VALUES = [*PLAIN, *HOSTILE.values()]
START = datetime.fromtimestamp(NOW - 600, UTC)

OWN = Service(name="data", kind="internet_access", match=('service="data"',))
VOICE = Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',))
CATALOGUE = Catalogue((OWN, VOICE))


def number_of(value: str) -> int:
    """Each value has its own number of users, so that nobody else's can stand in for it."""
    return 1000 + VALUES.index(value)


def history() -> str:
    """Every value as equipment (down for 10 minutes) and as the label of an alert."""
    lines = []
    for name in (UNABLE, UNDER_EQUIPMENT):
        lines.append(f"# TYPE {name} gauge")
        for service in ("data", "voice"):
            labels = {value: f"service={quoted(service)},equipment={quoted(value)}" for value in VALUES}
            lines += [f"{name}{{{labels[value]}}} {number_of(value)} {NOW}" for value in VALUES]
    lines.append("# TYPE art58:equipment_up gauge")
    for value in VALUES:
        # every second one works again
        until = NOW + 1 if number_of(value) % 2 else NOW
        up = [(at, 0 if NOW - 600 <= at < until else 1) for at in range(NOW - 1200, NOW + 1, 15)]
        lines += [f"art58:equipment_up{{equipment={quoted(value)}}} {state} {at}" for at, state in up]
    lines.append("# TYPE ALERTS_FOR_STATE gauge")
    for value in VALUES:
        since = NOW - 5000 - number_of(value)
        lines.append(f"ALERTS_FOR_STATE{{alertname={quoted(value)},cell={quoted(value)}}} {since} {NOW}")
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with backfilled.prometheus(tmp_path_factory.mktemp("history"), history(), LOOKBACK) as client:
        yield client


@pytest.mark.parametrize("kind", HOSTILE)
def test_users_are_those_of_that_equipment_alone(real: Prometheus, kind: str) -> None:
    value = HOSTILE[kind]
    observed = users.observe(real, CATALOGUE, {"data": {value}, "voice": {value}})
    for name in ("data", "voice"):
        for answer in (observed[name].answers["unable"], observed[name].answers["under_equipment"]):
            assert answer.problem is None
            assert {it: reading.users for it, reading in answer.by_equipment.items()} == {value: number_of(value)}
            # what is shown as the question for this number asks for just this number
            (sample,) = real.instant(answer.by_equipment[value].query)
            assert (sample.labels["equipment"], sample.value) == (value, number_of(value))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_recovery_is_confirmed_by_that_equipment_alone(real: Prometheus, kind: str) -> None:
    value = HOSTILE[kind]
    assert equipment.observe(real, CATALOGUE, {"data": {value}})["data"] == equipment.Seen({value: number_of(value) % 2 == 0})


def asked(value: str, since: datetime, **labels: str) -> Asked:
    alert = Alert("alertmanager", "f", since, None, labels, {}, "")
    return Asked(value, value, "equipment", None, (alert,))


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_start_is_that_of_that_equipment_and_that_alert_alone(real: Prometheus, kind: str) -> None:
    value, known = HOSTILE[kind], datetime.fromtimestamp(NOW - 300, UTC)
    by_series = find_starts(real, [asked(value, known, alertname="Down", equipment=value)], known)[value]
    assert (by_series.at, by_series.basis) == (START, "equipment_series")
    labels = {"alertname": value, "cell": value, "cluster": "c"}
    by_alert = find_starts(real, [asked("none such", known, **labels)], known)["none such"]
    assert (by_alert.at.timestamp(), by_alert.basis) == (NOW - 5000 - number_of(value), "alerts_for_state")


def test_all_of_them_at_once_are_each_their_own(real: Prometheus) -> None:
    hit: dict[str, set[str | None]] = {"data": set(HOSTILE.values()), "voice": set(HOSTILE.values())}
    for observed in users.observe(real, CATALOGUE, hit).values():
        found = {it: reading.users for it, reading in observed.answers["unable"].by_equipment.items()}
        assert found == {value: number_of(value) for value in HOSTILE.values()}
    assert set(equipment.observe(real, CATALOGUE, hit)["voice"].up) == set(HOSTILE.values())
    known = datetime.fromtimestamp(NOW - 300, UTC)
    starts = find_starts(real, [asked(value, known, alertname="Down") for value in HOSTILE.values()], known)
    assert {it: start.at for it, start in starts.items()} == dict.fromkeys(HOSTILE.values(), START)


@pytest.mark.parametrize("kind", HOSTILE)
def test_equipment_that_no_series_has_gets_none_of_the_others(real: Prometheus, kind: str) -> None:
    value = f"{HOSTILE[kind]}no such equipment"
    observed = users.observe(real, CATALOGUE, {"data": {value}})["data"]
    assert (
        observed.answers["unable"].problem,
        observed.answers["unable"].by_equipment,
        observed.answers["unable"].reading(value),
    ) == (None, {}, None)
    assert equipment.observe(real, CATALOGUE, {"data": {value}})["data"] == equipment.Seen({})


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_service_is_asked_for_by_the_name_in_the_catalogue_whatever_the_alert_calls_it(real: Prometheus, kind: str) -> None:
    labels = {"service": HOSTILE[kind], "job": HOSTILE[kind]}
    assert CATALOGUE.services_of(labels) == []
    lenient = Catalogue((msgspec.structs.replace(OWN, match=('service!=""',)),))
    (service,) = lenient.services_of(labels)
    answer = users.observe(real, lenient, {service.name: {"x"}})["data"].answers["unable"]
    assert {it: reading.users for it, reading in answer.by_equipment.items()} == {"x": number_of("x")}
