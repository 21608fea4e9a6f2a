"""What a real Prometheus tells of a time in which nobody asked how many users were hit."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import UserInputs
from receiver.law.provisions import JST
from receiver.observation import users_past
from receiver.observation.prometheus import Prometheus, quoted
from receiver.observation.users_past import LEFT_FOR_LATER, Past, Wanted, look_back
from tests import backfilled

pytestmark = pytest.mark.live_prometheus

T0 = datetime(2025, 10, 22, 12, 0, tzinfo=JST)
NOW = T0 + timedelta(minutes=80)
HOSTILE = 'x"}) or vector(1) #\\ \n.*|core-1'
UNABLE = frozenset({"unable"})


def service(name: str, label: str = "equipment", **users: Any) -> Service:
    return Service(name=name, kind="voice", match=(f'service="{name}"',), equipment_label=label, users=UserInputs(**users))


CATALOGUE = Catalogue(
    (
        service("voice"),
        service("data"),
        service("own", "box", unable="sum by (box) (own_users)  # all ports"),
        service("pooled", "box", unable="sum(own_users)"),
        service("wrong", unable="sum("),
    )
)


def history() -> str:
    """Each minute from 12:00 on; core-1 is down up to 13:10, and most are hit at 12:30."""
    found: dict[str, list[str]] = {}
    for minute in range(-10, 90):
        hit = max(0, 70_000 - 1_000 * abs(30 - minute)) if 0 <= minute < 70 else 0
        its: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {
            ("art58:users_unable", (("service", "data"), ("equipment", "core-1"))): hit / 10,
            ("own_users", (("box", "a"), ("port", "1"))): hit,
            ("own_users", (("box", "a"), ("port", "2"))): 1,
            ("own_users", (("box", "b"), ("port", "1"))): 7,
        }
        for prefecture in ("tokyo", "chiba"):
            its["art58:users_unable", (("service", "voice"), ("equipment", "core-1"), ("prefecture", prefecture))] = hit
        its["art58:users_unable", (("service", "voice"), ("equipment", HOSTILE))] = 3
        its["art58:users_under_equipment", (("service", "voice"), ("equipment", "silent"))] = 9
        if not 5 <= minute < 70:
            its["art58:users_unable", (("service", "voice"), ("equipment", "silent"))] = 0
        for (name, labels), value in its.items():
            shown = ",".join(f"{label}={quoted(text)}" for label, text in labels)
            found.setdefault(name, []).append(f"{name}{{{shown}}} {value} {int((T0 + timedelta(minutes=minute)).timestamp())}")
    lines = [line for name, its in found.items() for line in (f"# TYPE {name} gauge", *sorted(its, key=_at))]
    return "\n".join([*lines, "# EOF", ""])


def _at(line: str) -> tuple[str, str]:
    labels, _, at = line.rpartition(" ")
    return labels.rpartition(" ")[0], at


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with backfilled.prometheus(tmp_path_factory.mktemp("past"), history()) as client:
        yield client


def wanted(name: str = "voice", *units: str | None, since: datetime = T0, until: datetime = NOW) -> Wanted:
    return Wanted(name, units or ("core-1",), since, until, UNABLE)


def past(prometheus: Prometheus, one: Wanted, now: datetime = NOW) -> Past:
    return look_back(prometheus, CATALOGUE, [one], now)[one]


def most(found: Past, *units: str | None) -> tuple[int, datetime]:
    told = [
        (reading.users, at) for at, observed in found.moments if (reading := observed.reading("unable", *(units or ("core-1",))))
    ]
    return max(told)


def test_the_moments_are_told_at_which_most_and_fewest_were_hit(real: Prometheus) -> None:
    found = past(real, wanted())
    # several series of one equipment are parts of the same number
    assert most(found) == (140_000, T0 + timedelta(minutes=30))
    assert [at for at, _ in found.moments] == [T0 + timedelta(minutes=30), T0 + timedelta(minutes=70)]
    assert (found.problem, found.unseen) == (None, timedelta())


def test_a_number_of_the_past_says_of_when_it_is(real: Prometheus) -> None:
    (_, observed), *_ = past(real, wanted()).moments
    reading = observed.reading("unable", "core-1")
    assert reading
    assert reading.at == T0 + timedelta(minutes=30)


def test_only_the_time_that_is_asked_for_counts(real: Prometheus) -> None:
    assert most(past(real, wanted(until=T0 + timedelta(minutes=20)))) == (120_000, T0 + timedelta(minutes=20))
    together = [wanted(), wanted("data", since=T0 + timedelta(minutes=50))]
    found = look_back(real, CATALOGUE, together, NOW)
    assert [most(found[one])[0] for one in together] == [140_000, 5_000]


def test_time_of_which_nothing_is_told_is_unseen(real: Prometheus) -> None:
    # the last sample is shown for five minutes
    assert past(real, wanted("voice", "silent")).unseen == timedelta(minutes=60)
    assert past(real, wanted("voice", "nobody")).unseen == timedelta(minutes=79)


def test_the_moment_is_told_at_which_a_series_broke_off(real: Prometheus) -> None:
    found = past(real, wanted("voice", "silent"))
    broken = [at for at, observed in found.moments if observed.reading("unable", "silent") is None]
    assert broken == [T0 + timedelta(minutes=10)]  # the last sample, of 12:04, was shown until then
    assert all(observed.reading("under_equipment", "silent") for _, observed in found.moments)


def test_own_promql_is_asked_for_those_that_are_hit_only(real: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[int] = []
    over = real.over

    def noted(*asked: Any) -> Any:
        found = over(*asked)
        answers.append(len(found))
        return found

    monkeypatch.setattr(real, "over", noted)
    assert most(past(real, wanted("own", "a")), "a") == (70_001, T0 + timedelta(minutes=30))
    assert max(answers) == 1
    assert most(past(real, wanted("pooled", "a")), "a") == (70_008, T0 + timedelta(minutes=30))


def test_a_question_that_fails_is_no_answer_and_takes_none_from_the_others(real: Prometheus) -> None:
    wrong = wanted("wrong")
    found = look_back(real, CATALOGUE, [wrong, wanted()], NOW)
    assert "parse error" in str(found[wrong].problem)
    assert (found[wrong].moments, found[wanted()].problem) == ((), None)


def test_names_are_data_whatever_is_in_them(real: Prometheus) -> None:
    assert most(past(real, wanted("voice", HOSTILE)), HOSTILE)[0] == 3


def test_the_whole_service_is_asked_for_where_no_equipment_is_named(real: Prometheus) -> None:
    assert most(past(real, wanted("voice", None)), None) == (140_003, T0 + timedelta(minutes=30))


def test_long_ago_is_asked_for_in_longer_steps(real: Prometheus) -> None:
    found = past(real, wanted(since=T0 - timedelta(days=3)))
    assert most(found)[0] == 140_000
    assert found.unseen > timedelta(days=2, hours=23)


def test_many_are_asked_for_at_once_and_what_is_too_much_later(real: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [wanted("voice", f"core-{n}") for n in range(200)]
    asked: list[str] = []
    over = real.over
    monkeypatch.setattr(real, "over", lambda query, *others: asked.append(query) or over(query, *others))
    assert most(look_back(real, CATALOGUE, many, NOW)[wanted()])[0] == 140_000
    assert len(asked) == 2  # those of users, and of the equipment itself
    monkeypatch.setattr(users_past, "MOST_TOGETHER", 2 * 81)
    monkeypatch.setattr(users_past, "MOST_QUERIES", 3)
    problems = [each.problem for each in look_back(real, CATALOGUE, many, NOW).values()]
    assert (problems.count(None), problems.count(LEFT_FOR_LATER)) == (4, 196)
