"""What is a failure and what is not: every example of the draft from its words to the verdict, and the list that says so."""

from datetime import date, datetime, timedelta
from typing import get_args

import msgspec
import pytest

from receiver.law import lined_yaml
from receiver.law.causes import Causes, Kind, cause, faults, shipped
from receiver.law.classify import Case, classify
from receiver.law.provisions import JST
from receiver.law.rulebook import Kind as ServiceKind
from receiver.law.rulebook import ServiceFacts, rulebook_named
from receiver.law.rulebook import shipped as rulebooks
from receiver.law.verdict import Circumstances, Effect, Verdict, judge

HUGE, TEN_HOURS = 5_000_000, timedelta(hours=10)
SAID_TO_BE_FAILURES: tuple[Kind, ...] = (
    "hardware",
    "disaster_damage",
    "software",
    "human_error",
    "wrong_routing",
    "cyber_attack",
)


def verdict(
    kind: Kind,
    users: int = HUGE,
    lasted: timedelta = TEN_HOURS,
    effect: Effect = "degradation",
    service: ServiceKind = "internet_access",
) -> Verdict:
    """What is judged, under the table in force, of such a cause's effect on a service."""
    book = rulebook_named("JP-TBA58-2026", rulebooks())
    return judge(ServiceFacts(service), book, lasted, users, users, Circumstances(cause(kind).cause, effect)).verdict


# --- the note on 故障 ---


@pytest.mark.parametrize("kind", SAID_TO_BE_FAILURES)
@pytest.mark.parametrize(
    ("minutes", "users", "expected"), [(60, 100_000, "major"), (59, 100_000, "periodic"), (59, 29_999, "none")]
)
def test_each_kind_of_failure_that_the_note_names_is_major_at_the_thresholds(
    kind: Kind, minutes: int, users: int, expected: str
) -> None:
    assert verdict(kind, users, timedelta(minutes=minutes)) == expected


# --- examples of degradation ---


def test_rerouting_after_a_failure_that_makes_the_service_hard_to_reach_is_major() -> None:
    assert verdict("hardware", 30_000, timedelta(hours=2), "degradation") == "major"


@pytest.mark.parametrize(
    ("minutes", "users", "expected"), [(120, 30_000, "major"), (120, 29_999, "periodic"), (60, 100_000, "major")]
)
def test_a_failure_of_the_wholesale_provider_that_degrades_the_resellers_users_is_major_at_the_thresholds(
    minutes: int, users: int, expected: str
) -> None:
    assert verdict("other_carrier_equipment", users, timedelta(minutes=minutes)) == expected


def test_a_cyber_attack_on_the_equipment_that_degrades_quality_is_major() -> None:
    assert verdict("cyber_attack", 30_000, timedelta(hours=2)) == "major"


def test_a_cloud_that_the_service_is_made_with_counts_as_ones_own() -> None:
    assert verdict("third_party_equipment", 30_000, timedelta(hours=2)) == "major"


# --- examples of no degradation ---


def test_growth_of_the_users_traffic_is_nothing_however_many_and_long() -> None:
    assert verdict("traffic_growth") == "none"


def test_a_service_over_another_carriers_failed_service_is_nothing_but_one_made_with_its_equipment_is_major() -> None:
    assert verdict("underlying_carrier_of_ott", service="internet_related") == "none"
    assert verdict("other_carrier_equipment", service="internet_related") == "major"


# --- what else is known, or only assumed ---


def test_planned_work_is_nothing_within_its_plan_and_a_failure_beyond_it() -> None:
    assert verdict("planned_work_within_plan", effect="stop") == "none"
    assert verdict("planned_work_overrun", 30_000, timedelta(hours=2), "stop") == "major"


@pytest.mark.parametrize("kind", ["power", "building", "ordering_system"])
def test_other_equipment_is_never_major_but_may_be_listed(kind: Kind) -> None:
    assert verdict(kind, effect="stop") == "periodic"


def test_congestion_of_bandwidth_that_we_bought_is_nothing_until_a_person_decides_otherwise() -> None:
    assert verdict("bought_bandwidth_congested") == "none"
    assert cause("bought_bandwidth_congested").a_person_decides


@pytest.mark.parametrize("kind", ["upstream_restriction", "unknown"])
def test_a_restriction_by_the_upstream_carrier_or_an_unknown_cause_is_judged_as_a_failure_and_flagged(kind: Kind) -> None:
    assert verdict(kind, 30_000, timedelta(hours=2)) == "major"
    assert cause(kind).a_person_decides
    occurred_at = datetime(2026, 5, 1, 10, tzinfo=JST)
    case = Case(occurred_at, ServiceFacts("internet_access"), 7_200, 30_000, cause=cause(kind).cause)
    assert "cause_unknown" in classify(case, rulebooks()).flags


# --- the list ---


def test_every_kind_stands_once_with_words_and_a_citation_that_says_something() -> None:
    assert sorted(rule.id for rule in shipped().causes) == sorted(get_args(Kind))
    for kind in get_args(Kind):
        rule = cause(kind)
        assert rule.id == kind
        assert rule.text.ja
        assert rule.text.en
        assert rule.provision.says
        assert rule.provision.last_checked >= date(2026, 11, 21)


def test_what_no_text_names_is_left_to_a_person_and_nothing_else_is() -> None:
    assert {rule.id for rule in shipped().causes if rule.a_person_decides} == {
        rule.id for rule in shipped().causes if rule.provision.evidence == "assumed"
    }


def test_only_what_stands_in_an_ordinance_is_called_read() -> None:
    found = {rule.id: rule.provision for rule in shipped().causes if rule.provision.evidence == "read"}
    assert set(found) == {"other_carrier_equipment", "ordering_system"}
    assert {provision.basis for provision in found.values()} == {"law"}
    assert found["other_carrier_equipment"].as_of(date(2023, 12, 6)).evidence == "assumed"


@pytest.mark.parametrize("kind", [*SAID_TO_BE_FAILURES, "third_party_equipment", "traffic_growth", "underlying_carrier_of_ott"])
def test_what_only_the_draft_says_is_called_draft(kind: Kind) -> None:
    assert cause(kind).provision.evidence == "draft"


def test_a_list_of_ones_own_takes_the_place_of_the_shipped_one() -> None:
    rule = msgspec.structs.replace(cause("power"), cause="telecom_equipment_failure")
    own = Causes(date(2027, 3, 1), (rule, cause("building")))
    assert cause("power", own).cause == "telecom_equipment_failure"
    with pytest.raises(LookupError, match=r"^there is no cause 'hardware': known are power, building$"):
        cause("hardware", own)


def test_a_list_with_a_cause_twice_without_words_or_missing_is_refused_with_its_lines() -> None:
    book = msgspec.json.decode(msgspec.json.encode(shipped()))
    book["causes"][-1] = book["causes"][0]
    del book["causes"][2]["provision"]["says"]
    lines: dict[tuple[str | int, ...], int] = {
        ("causes",): 6,
        ("causes", 2, "provision"): 40,
        ("causes", len(book["causes"]) - 1): 300,
    }
    with pytest.raises(lined_yaml.FaultyFile) as refused:
        lined_yaml.convert(lined_yaml.Document("bad.yaml", book, lines), Causes, faults)
    assert [(fault.line, fault.key, fault.wrong, fault.cure) for fault in refused.value.faults] == [
        (6, "causes", "no cause unknown", "Add it"),
        (40, "causes[2].provision.says", "required key is missing", "Say what stands there"),
        (300, "causes[17]", "hardware is given twice", "Keep one of them"),
    ]


def test_a_kind_or_a_cause_that_does_not_exist_is_refused() -> None:
    book = msgspec.json.decode(msgspec.json.encode(shipped()))
    book["causes"][0]["id"] = "sabotage"
    book["causes"][1]["cause"] = "failure"
    with pytest.raises(lined_yaml.FaultyFile) as refused:
        lined_yaml.convert(lined_yaml.Document("bad.yaml", book, {}), Causes, faults)
    assert [fault.key for fault in refused.value.faults] == ["causes[0].id", "causes[1].cause"]
