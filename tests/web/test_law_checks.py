"""Rules past their check date: Prometheus is told the day, and every page for people says so, in both languages."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from receiver.law.provisions import JST
from tests.apps import BEARER, App, incident

IN_TIME = datetime(2027, 3, 1, 14, 59, tzinfo=UTC)
TOO_LATE = datetime(2027, 3, 1, 15, 0, tzinfo=UTC)
PAGES = pytest.mark.parametrize("path", ["/incidents/inc-1", "/refused"])


@pytest.fixture
def app(tmp_path: Path) -> App:
    app = App(tmp_path)
    app.keep(incident())
    return app


def page(app: App, path: str, now: datetime) -> str:
    app.clock.now = now
    response = app.client.get(path, headers=BEARER)
    assert response.status_code == 200
    return response.get_data(as_text=True)


def told(app: App, now: datetime) -> dict[str, float]:
    families = text_string_to_metric_families(page(app, "/metrics", now))
    (family,) = [family for family in families if family.name == "art58_law_check_by_timestamp_seconds"]
    return {sample.labels["rules"]: sample.value for sample in family.samples}


def test_prometheus_is_told_when_the_day_ends_before_and_after_it(app: App) -> None:
    end = datetime(2027, 3, 1, 23, 59, 59, tzinfo=JST).timestamp()
    assert set(told(app, IN_TIME)) >= {"near-miss", "deadlines", "guideline", "JP-TBA58-2026"}
    assert set(told(app, IN_TIME).values()) == {end}
    assert told(app, TOO_LATE) == told(app, IN_TIME)


@PAGES
def test_a_page_warns_in_both_languages_of_rules_past_their_day_and_names_them(app: App, path: str) -> None:
    text = page(app, path, TOO_LATE)
    assert "法令の改正を確認する期限を過ぎています" in text
    assert "past the day by which they were to be checked" in text
    for rules in told(app, TOO_LATE):
        assert f"<code>{rules}</code> (2027-03-01)" in text


@PAGES
def test_a_page_warns_of_nothing_before(app: App, path: str) -> None:
    assert "期限を過ぎて" not in page(app, path, IN_TIME)
