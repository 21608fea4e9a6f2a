"""Every method of every kind of service counts on the real Prometheus, and gives the number that was calculated by hand."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import UserInputs
from receiver.catalogue.topology import Declared, DeclaredUnit
from receiver.cli.live import list_methods
from receiver.incidents.ask import Impact, Observer
from receiver.incidents.count import count
from receiver.law.counting import Affected, Count
from receiver.law.estimate import Method
from receiver.law.fallback import METHODS_OF
from receiver.law.provisions import JST
from receiver.model import Incident
from receiver.observation.comparable_days import business_hours_of
from receiver.observation.prometheus import Prometheus
from receiver.settings import BusinessHourSettings, Calendar
from tests import backfilled

pytestmark = pytest.mark.live_prometheus

NOW = int(time.time())
# a Wednesday: it is compared with the six before it
BEGAN = datetime(2026, 11, 11, 10, 0, tzinfo=JST)
WEDNESDAYS = [date(2026, 11, 4), date(2026, 10, 28), date(2026, 10, 21), date(2026, 10, 14), date(2026, 10, 7), date(2026, 9, 30)]
GB = 10**9


def service(name: str, kind: str, **facts: object) -> Service:
    return Service(name=name, kind=kind, match=(f'service="{name}"',), **facts)  # type: ignore[arg-type]


DATA = service("data", "internet_access", charged=True)
KNOWN = service("known", "internet_access", charged=True, users=UserInputs(bytes_per_user_hour=GB / 50))
LPWA = service("lpwa", "cellular_lpwa")
MAIL = service("mail", "email", charged=True)
VOICE = service("voice", "voice", emergency_calls=True)
PHONE = service("phone", "voice", emergency_calls=False)
MEETINGS = service("meetings", "voice", emergency_calls=False, web_conference="audio_video")
OWN = service(
    "own",
    "internet_access",
    charged=True,
    equipment_label="box",
    count_by="traffic_difference",
    users=UserInputs(traffic='sum by (box) (own_octets{direction="in"})', under_equipment=400_000),
)
CATALOGUE = Catalogue(
    (DATA, KNOWN, LPWA, MAIL, VOICE, PHONE, MEETINGS, OWN),
    Declared((DeclaredUnit(name="small", users={"data": 120}), DeclaredUnit(name="smaller", parent="small", users={"data": 20}))),
)

# gauges of now: series, service, equipment, value
GAUGES: list[tuple[str, str, str, float]] = [
    ("users_unable", "data", "direct", 30_000),
    ("users_under_equipment", "data", "direct", 80_000),
    ("users_under_equipment", "data", "be-3", 400_000),
    ("users_under_equipment", "data", "be-2", 400_000),
    ("users_under_equipment", "known", "be-1", 400_000),
    ("users_under_equipment", "data", "redundant", 50_000),
    ("users_saved", "data", "redundant", 20_000),
    ("users_stopped", "data", "two-kinds", 20_000),
    ("users_degraded", "data", "two-kinds", 15_000),
    ("users_under_equipment", "data", "two-kinds", 32_000),
    # BE-4: two units of one cause
    *(("users_under_equipment", "data", unit, users) for unit, users in (("d-1", 20_000), ("d-2", 15_000))),
    *(("users_under_equipment", "data", unit, users) for unit, users in (("n-1", 20_000), ("n-2", 15_000))),
    ("users_unable", "lpwa", "gateway-1", 31_000),
    ("users_under_equipment", "lpwa", "gateway-2", 45_000),
    ("users_unable", "mail", "store-1", 12_345),
    ("users_under_equipment", "mail", "store-2", 60_000),
    # EV-1 to EV-5
    *(("users_under_equipment", "voice", f"ev-{n}", 50_000) for n in range(1, 6)),
    *(("call_loss_ratio", "voice", f"ev-{n}", lost) for n, lost in ((2, 0.7), (3, 0.6), (4, 0.5))),
    # certainly no emergency call was affected
    *(("emergency_calls_affected", "voice", equipment, 0) for equipment in ("spared", "kddi", "okinawa", "spared-under")),
    ("users_unable", "voice", "spared", 3),
    ("users_under_equipment", "voice", "spared-under", 7_000),
    # KDDI's formula of 2022, and its other one
    *((f"{name}", s, "kddi", value) for s in ("voice", "phone") for name, value in (("calls_usual", 10e6), ("calls", 6e6))),
    *(("calls_per_person", s, "kddi", 2) for s in ("voice", "phone")),
    *(("registrations_usual", s, "okinawa", 400_000) for s in ("voice", "phone")),
    *(("registrations", s, "okinawa", 300_000) for s in ("voice", "phone")),
    ("users_unable", "phone", "direct", 11),
    ("users_under_equipment", "phone", "under", 22),
    # WC-1 to WC-5
    *(
        (name, "meetings", f"wc-{n}", value)
        for n, hosts, each, length in (
            (1, 1_000_000, 20, 0.75),
            (2, 1_000_000, 20, 0.75),
            (3, 1_000_000, 20, 0.75),
            (4, 500_000, 10, 1),
            (5, 200_000, 10, 1),
        )
        for name, value in (
            ("monthly_hosts", hosts),
            ("meetings_per_host_month", each),
            ("meeting_hours", length),
            ("business_days_month", 20),
            ("business_hours_day", 8),
        )
    ),
    ("users_unable", "meetings", "direct", 44),
    ("users_under_equipment", "meetings", "licences", 5_500),
]
UNITS = {"lpwa": "device", "mail": "account", "meetings": "account"}
UP = {"ev-1": 0, "ev-2": 1, "ev-3": 1, "ev-4": 1, "ev-5": 1, "spared": 0, "site-d": 0, "site-n": 0, "n-1": 0, "n-2": 0}
PARENTS = {"d-1": "site-d", "d-2": "site-d", "n-1": "site-n", "n-2": "n-1"}

USUAL, HIT = (900 * GB, 1_000 * GB, 1_100 * GB), (450 * GB, 400 * GB, 880 * GB)


def history() -> str:
    """OpenMetrics: what holds now, and the traffic of the accident's three hours and of the same hours on the Wednesdays before."""
    found: dict[str, list[str]] = {}
    for name, of, equipment, value in GAUGES:
        unit = f',unit="{UNITS.get(of, "line")}"' if name.startswith("users_") else ""
        found.setdefault(f"art58:{name}", []).append(f'{{service="{of}",equipment="{equipment}"{unit}}} {value} {NOW}')
    found["art58:equipment_up"] = [f'{{equipment="{equipment}"}} {up} {NOW}' for equipment, up in UP.items()]
    found["art58:equipment_parent"] = [f'{{equipment="{it}",parent="{above}"}} 1 {NOW}' for it, above in PARENTS.items()]
    days = [(0, HIT), *(((BEGAN.date() - day).days, USUAL) for day in WEDNESDAYS)]
    points = [
        (int((BEGAN - timedelta(days=back) + timedelta(hours=hour, minutes=5 * slot, seconds=1)).timestamp()), rates[hour])
        for back, rates in sorted(days, reverse=True)
        for hour in range(3)
        for slot in range(12)
    ]
    found["art58:traffic_bytes_per_hour"] = [
        f'{{service="{of}",equipment="{equipment}"}} {rate} {at}'
        for of, equipment in (("known", "be-1"), ("data", "be-2"))
        for at, rate in points
    ]
    # the same rate all the time: a subquery of Prometheus 2 also takes the moment at which its stretch begins
    found["own_octets"] = [
        f'{{box="b-1",direction="{way}",port="{port}"}} {(500 if at < BEGAN.timestamp() else 200) * GB} {at}'
        for way in ("in", "out")
        for port in "12"
        for at, _ in points
    ]
    lines = [line for name, its in found.items() for line in (f"# TYPE {name} gauge", *(f"{name}{each}" for each in its))]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with backfilled.prometheus(
        tmp_path_factory.mktemp("methods"), history(), "--query.lookback-delta=2h", "--storage.tsdb.retention.time=100y"
    ) as client:
        yield client


def counted(
    real: Prometheus, of: Service, equipment: str, lasted: timedelta | None = None, running: timedelta | None = None
) -> Affected:
    """The users of a failure that is there now, that was over after so long, or that runs for so long."""
    restored_at = None if lasted is None else BEGAN + lasted
    began, now = (BEGAN if lasted or running else datetime.now(UTC) - timedelta(minutes=1)), datetime.now(UTC)
    now = BEGAN + running if running else now
    incident = Incident("inc-1", "c", equipment, "open", began, began, "equipment_series", restored_at=restored_at)
    impact = Impact(incident, of, restored_at, Affected())
    told = Observer(real, CATALOGUE, Calendar()).ask([impact], dict, now)[impact.key]
    hours = business_hours_of(BusinessHourSettings(), began, restored_at or now) if of.web_conference else None
    return count(incident, of, told, Affected(), now, restored_at=restored_at, open_hours=hours)


HOUR = timedelta(hours=1)
LIVE: list[tuple[Service, str, timedelta | None, Method, int]] = [
    (DATA, "direct", None, "direct", 30_000),
    (KNOWN, "be-1", 3 * HOUR, "traffic_difference", 63_500),
    (DATA, "be-2", 3 * HOUR, "traffic_difference", 508_000),
    (OWN, "b-1", 3 * HOUR, "traffic_difference", 720_000),
    (DATA, "be-3", None, "all_under_equipment", 400_000),
    (DATA, "site-d", None, "all_under_equipment", 35_000),
    (DATA, "site-n", None, "all_under_equipment", 20_000),
    (DATA, "redundant", None, "all_under_equipment", 30_000),
    (DATA, "small", None, "all_under_equipment", 120),
    (LPWA, "gateway-1", None, "direct", 31_000),
    (LPWA, "gateway-2", None, "all_under_equipment", 45_000),
    (MAIL, "store-1", None, "direct", 12_345),
    (MAIL, "store-2", None, "all_under_equipment", 60_000),
    (VOICE, "ev-1", None, "emergency_all_under_equipment", 50_000),
    (VOICE, "ev-2", None, "emergency_call_loss", 35_000),
    (VOICE, "ev-3", None, "emergency_call_loss", 30_000),
    (VOICE, "ev-4", None, "emergency_call_loss", 25_000),
    (VOICE, "ev-5", None, "emergency_all_under_equipment", 50_000),
    (VOICE, "spared", None, "direct", 3),
    (VOICE, "kddi", None, "call_shortfall", 2_000_000),
    (VOICE, "okinawa", None, "missing_registrations", 100_000),
    (VOICE, "spared-under", None, "all_under_equipment", 7_000),
    (PHONE, "direct", None, "direct", 11),
    (PHONE, "kddi", None, "call_shortfall", 2_000_000),
    (PHONE, "okinawa", None, "missing_registrations", 100_000),
    (PHONE, "under", None, "all_under_equipment", 22),
    (MEETINGS, "direct", None, "direct", 44),
    (MEETINGS, "wc-1", 1 * HOUR, "conference_probability", 93_750),
    (MEETINGS, "wc-2", 2 * HOUR, "conference_probability", 178_710),
    (MEETINGS, "wc-4", 2 * HOUR, "conference_probability", 60_546),
    (MEETINGS, "wc-5", 1.5 * HOUR, "conference_probability", 18_453),
    (MEETINGS, "licences", None, "host_entitled_accounts", 5_500),
]


@pytest.mark.parametrize(("of", "equipment", "lasted", "method", "users"), LIVE, ids=lambda it: getattr(it, "name", str(it)))
def test_every_method_counts_from_its_series(
    real: Prometheus, of: Service, equipment: str, lasted: timedelta | None, method: Method, users: int
) -> None:
    affected = counted(real, of, equipment, lasted)
    assert affected.problem is None
    assert affected.count
    assert (affected.count.method, affected.count.users) == (method, users)
    assert affected.count.query


def test_every_method_of_every_kind_of_service_is_tried_here() -> None:
    every = {(family, method) for family, methods in METHODS_OF.items() for method in methods}
    assert {(of.family, method) for of, _, _, method, _ in LIVE} == every
    assert {entry["method"] for entry in list_methods()} == {method for _, method in every}


def number(affected: Affected) -> Count:
    assert affected.problem is None
    assert affected.count
    return affected.count


def test_three_hours_of_meetings_end_at_noon_for_business(real: Prometheus) -> None:
    """WC-3 has n = 3. From 10:00 to 13:00 there are two business hours before lunch: that is WC-2, and WC-3 the other reading."""
    of_meetings = number(counted(real, MEETINGS, "wc-3", 3 * HOUR))
    assert (of_meetings.users, of_meetings.other_readings[0].users) == (178_710, 255_706)


def test_missing_traffic_says_which_days_it_was_compared_with_and_what_else_it_may_mean(real: Prometheus) -> None:
    found = number(counted(real, KNOWN, "be-1", 3 * HOUR))
    evidence = " ".join(each.en for each in found.evidence)
    assert all(str(day) in evidence for day in WEDNESDAYS)
    assert found.formula
    assert "1,270,000,000,000 ÷ 20,000,000 = 63,500" in found.formula.en
    # BE-1b: without × D; nothing is ever multiplied by D twice (BE-1c)
    assert {each.users for each in found.other_readings} == {21_166}
    assert [why.en.split(":")[0] for why in found.passed_over] == ["users who tried and could not use it"]


def test_where_the_traffic_of_a_user_is_derived_the_estimate_may_pass_all_users_and_says_so(real: Prometheus) -> None:
    found = number(counted(real, DATA, "be-2", 3 * HOUR))
    assert [each.users for each in found.other_readings] == [400_000, 169_333]
    assert found.formula
    assert "3,000,000,000,000 ÷ (400,000 × 3) = 2,500,000" in found.formula.en


def test_ten_minutes_later_the_last_part_of_an_hour_counts_as_such(real: Prometheus) -> None:
    """2 h 10 min: 450 + 600 + 1/6 of 220 GB are missing."""
    found = number(counted(real, KNOWN, "be-1", 2 * HOUR + timedelta(minutes=10)))
    assert found.users == int(Fraction(450 * GB + 600 * GB + Fraction(220 * GB, 6)) / (GB // 50))


def test_while_it_runs_whole_slots_of_five_minutes_count(real: Prometheus) -> None:
    at = [number(counted(real, KNOWN, "be-1", running=3 * HOUR - timedelta(seconds=seconds))) for seconds in (0, 1, 299, 300, 301)]
    assert [found.users for found in at] == [
        63_500,
        *[int(Fraction(1270 * GB - Fraction(220 * GB, 12)) / (GB // 50))] * 3,
        at[4].users,
    ]
    assert at[4].users < at[3].users
    assert at[0].at == BEGAN + 3 * HOUR


def test_each_kind_of_user_is_kept_apart(real: Prometheus) -> None:
    found = number(counted(real, DATA, "two-kinds"))
    # the larger kind at least; both, but no more than all under it, at most
    assert (found.stopped, found.degraded, found.users, found.most) == (20_000, 15_000, 20_000, 32_000)


@pytest.mark.parametrize(
    ("of", "equipment", "unit"), [(LPWA, "gateway-1", "device"), (MAIL, "store-2", "account"), (DATA, "direct", "line")]
)
def test_the_unit_of_a_user_is_that_of_the_series(real: Prometheus, of: Service, equipment: str, unit: str) -> None:
    assert number(counted(real, of, equipment)).unit == unit


def test_the_method_of_the_catalogue_comes_first_and_the_others_say_so(real: Prometheus) -> None:
    found = number(counted(real, OWN, "b-1", 3 * HOUR))
    assert [why.en for why in found.passed_over] == ["users who tried and could not use it: not used, by count_by of the catalogue"]
    assert "400000 (under_equipment of own in the catalogue)" in found.query
