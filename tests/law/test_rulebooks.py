"""The rulebooks that are shipped say what the ordinance says, and an accident gets the one of its day and the row of its service.

The tables here are typed from the text of 電気通信事業法施行規則 第58条第2項第1号, not taken from the files under test.
"""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from receiver.law.provisions import JST, Basis, Evidence, Provision, Text
from receiver.law.rulebook import Condition, NoRulebook, Row, Rulebook, ServiceFacts, rulebook_named, rulebook_on, shipped
from receiver.law.verdict import Verdict, judge

HOUR = 3600
LPWA = ("cellular_lpwa", "unlicensed_lpwa")
INTERNET_RELATED = ("email", "messaging", "internet_related")

# row: (kinds, emergency calls, charged, monthly users of the previous fiscal year, conditions as (seconds, users))
TABLES: dict[str, dict[int, tuple[tuple[str, ...], bool | None, bool | None, int | None, list[tuple[int, int]]]]] = {
    "JP-TBA58-2004": {1: ((), None, None, None, [(2 * HOUR, 30_000)])},
    "JP-TBA58-2008": {1: ((), None, None, None, [(2 * HOUR, 30_000)])},
    "JP-TBA58-2015": {
        1: (("voice",), True, None, None, [(1 * HOUR, 30_000)]),
        2: (("voice",), False, None, None, [(2 * HOUR, 30_000), (1 * HOUR, 100_000)]),
        3: (INTERNET_RELATED, None, False, None, [(24 * HOUR, 100_000), (12 * HOUR, 1_000_000)]),
        4: ((), None, None, None, [(2 * HOUR, 30_000), (1 * HOUR, 1_000_000)]),
    },
    "JP-TBA58-2019": {
        1: (("voice",), True, None, None, [(1 * HOUR, 30_000)]),
        2: (("voice",), False, None, None, [(2 * HOUR, 30_000), (1 * HOUR, 100_000)]),
        3: (LPWA, None, None, None, [(12 * HOUR, 30_000), (2 * HOUR, 1_000_000)]),
        4: (INTERNET_RELATED, None, False, None, [(24 * HOUR, 100_000), (12 * HOUR, 1_000_000)]),
        5: ((), None, None, None, [(2 * HOUR, 30_000), (1 * HOUR, 1_000_000)]),
    },
    "JP-TBA58-2026": {
        1: (("voice",), True, None, None, [(1 * HOUR, 30_000)]),
        2: (("voice",), False, None, None, [(2 * HOUR, 30_000), (1 * HOUR, 100_000)]),
        3: (LPWA, None, None, None, [(12 * HOUR, 30_000), (2 * HOUR, 1_000_000)]),
        4: (("email", "messaging"), None, False, 10_000_000, [(4 * HOUR, 100_000), (2 * HOUR, 1_000_000)]),
        5: (INTERNET_RELATED, None, False, None, [(24 * HOUR, 100_000), (12 * HOUR, 1_000_000)]),
        6: (("internet_access",), None, None, None, [(2 * HOUR, 30_000), (1 * HOUR, 100_000)]),
        7: ((), None, None, None, [(2 * HOUR, 30_000), (1 * HOUR, 1_000_000)]),
    },
}

TABLES["JP-TBA58-DRAFT-2023-04"] = TABLES["JP-TBA58-2019"]

# a service of each row
EXAMPLES = {
    "JP-TBA58-2004": {1: ServiceFacts("voice", emergency_calls=True)},
    "JP-TBA58-2008": {1: ServiceFacts("internet_access")},
    "JP-TBA58-2015": {
        1: ServiceFacts("voice", emergency_calls=True),
        2: ServiceFacts("voice", emergency_calls=False),
        3: ServiceFacts("internet_related", charged=False),
        4: ServiceFacts("cellular_lpwa"),
    },
    "JP-TBA58-2019": {
        1: ServiceFacts("voice", emergency_calls=True),
        2: ServiceFacts("voice", emergency_calls=False),
        3: ServiceFacts("cellular_lpwa"),
        4: ServiceFacts("internet_related", charged=False),
        5: ServiceFacts("internet_access"),
    },
    "JP-TBA58-2026": {
        1: ServiceFacts("voice", emergency_calls=True),
        2: ServiceFacts("voice", emergency_calls=False),
        3: ServiceFacts("unlicensed_lpwa"),
        4: ServiceFacts("email", charged=False, monthly_users_previous_fy=12_000_000),
        5: ServiceFacts("email", charged=False, monthly_users_previous_fy=9_900_000),
        6: ServiceFacts("internet_access"),
        7: ServiceFacts("other"),
    },
}

EXAMPLES["JP-TBA58-DRAFT-2023-04"] = EXAMPLES["JP-TBA58-2019"]

BOOKS = {book.id: book for book in shipped()}
EVERY_ROW = [pytest.param(book, row, id=f"{book.id}-row-{row.row}") for book in shipped() for row in book.rows]
EVERY_THRESHOLD = [
    pytest.param(book, row, condition, id=f"{book.id}-row-{row.row}-{condition.duration_seconds}s-{condition.users}")
    for book in shipped()
    for row in book.rows
    for condition in row.conditions
]


def test_all_tables_are_shipped_the_older_first_and_the_draft_last() -> None:
    assert [book.id for book in shipped()] == list(TABLES)


@pytest.mark.parametrize("book", shipped(), ids=lambda book: book.id)
def test_the_table_is_the_one_of_the_ordinance(book: Rulebook) -> None:
    table = {
        row.row: (
            row.kinds,
            row.emergency_calls,
            row.charged,
            row.monthly_users_previous_fy_at_least,
            [(condition.duration_seconds, condition.users) for condition in row.conditions],
        )
        for row in book.rows
    }
    assert table == TABLES[book.id]


@pytest.mark.parametrize("book", shipped(), ids=lambda book: book.id)
def test_rows_stand_in_the_order_of_the_table_because_the_first_that_fits_has_the_service(book: Rulebook) -> None:
    assert [row.row for row in book.rows] == sorted(TABLES[book.id])


@pytest.mark.parametrize("book", shipped(), ids=lambda book: book.id)
def test_the_periodic_report_is_asked_for_from_two_hours_or_30000_users_on(book: Rulebook) -> None:
    assert (book.periodic.duration_seconds, book.periodic.users) == (7200, 30_000)


def test_no_day_is_left_out_between_the_rulebooks_and_the_last_one_has_no_end() -> None:
    in_force = [book for book in shipped() if book.status == "in_force"]
    assert [book.valid_to and book.valid_to + timedelta(days=1) for book in in_force] == [
        *(book.valid_from for book in in_force[1:]),
        None,
    ]
    assert (in_force[0].valid_from, in_force[-1].valid_from) == (None, date(2026, 4, 1))


def test_the_draft_is_for_no_day_and_only_asked_for_by_name() -> None:
    draft = rulebook_named("JP-TBA58-DRAFT-2023-04", shipped())
    assert (draft.status, draft.evidence, draft.apart) == ("draft_not_enacted", "draft", True)
    assert not any(draft.covers(day) for day in (date(1990, 1, 1), date(2023, 4, 5), date(2026, 11, 21)))
    with pytest.raises(NoRulebook, match=r"^there is no rulebook 'JP-X': known are JP-TBA58-2026, JP-TBA58-DRAFT-2023-04$"):
        rulebook_named("JP-X", shipped()[-2:])


@pytest.mark.parametrize(
    ("book", "law"),
    [("JP-TBA58-2019", "360M50001000025/20260130_508M60000008010"), ("JP-TBA58-2026", "360M50001000025/20260401_508M60000008021")],
)
def test_every_rulebook_cites_the_text_it_was_read_from(book: str, law: str) -> None:
    cited = BOOKS[book]
    assert cited.article.ja == "電気通信事業法施行規則 第58条第2項第1号"
    assert cited.source == f"https://laws.e-gov.go.jp/law/{law}"
    assert cited.evidence == "read"
    assert cited.last_checked >= date(2026, 4, 1)
    assert cited.title.ja
    assert cited.title.en


@pytest.mark.parametrize("book", [BOOKS["JP-TBA58-2019"], BOOKS["JP-TBA58-2026"]], ids=lambda book: book.id)
def test_the_periodic_report_is_cited(book: Rulebook) -> None:
    assert book.periodic.article.ja == "電気通信事業報告規則 第7条の3"
    assert book.periodic.source.startswith("https://laws.e-gov.go.jp/law/363M50001000046/")
    assert book.periodic.evidence == "read"


@pytest.mark.parametrize(
    ("book", "ja", "en", "evidence", "basis", "days"),
    [
        (
            BOOKS["JP-TBA58-2026"],
            "電気通信事業法施行規則 第58条第2項第1号の表の2の項",
            "Ordinance Art. 58(2)(i), table, row 2",
            "read",
            "law",
            (date(2026, 4, 1), None, None),
        ),
        (
            BOOKS["JP-TBA58-2019"],
            "電気通信事業法施行規則 第58条第2項第1号の表の2の項",
            "Ordinance Art. 58(2)(i), table, row 2",
            "read",
            "law",
            (date(2019, 4, 1), date(2026, 3, 31), date(2023, 12, 7)),
        ),
        (
            BOOKS["JP-TBA58-DRAFT-2023-04"],
            "デジタル化の進展に対応した事故報告制度に係る技術的条件 論点整理（案）の表の2の項",
            "draft of 2023-04-05 (論点整理（案）), table, row 2",
            "draft",
            "proposal",
            (None, None, date(2023, 12, 7)),
        ),
    ],
    ids=lambda book: book.id if isinstance(book, Rulebook) else "",
)
def test_a_row_is_cited_with_its_table_and_the_days_of_it(
    book: Rulebook, ja: str, en: str, evidence: Evidence, basis: Basis, days: tuple[date | None, ...]
) -> None:
    cited = Provision(Text(ja, en), book.source, evidence, basis, date(2026, 11, 21), None, *days)
    assert book.citation(book.rows[1]) == cited
    two_rows = msgspec.structs.replace(book, rows=book.rows[:2])
    assert two_rows.citation(book.rows[1]) == cited


def test_a_single_row_is_cited_as_the_article_for_it_is_no_table() -> None:
    book = BOOKS["JP-TBA58-2008"]
    assert book.citation(book.rows[0]).article == Text("電気通信事業法施行規則 第58条", "Ordinance Art. 58")


@pytest.mark.parametrize("name", ["JP-TBA58-2019", "JP-TBA58-DRAFT-2023-04"])
def test_the_periodic_report_and_clause_2_are_law_whatever_the_table_is(name: str) -> None:
    book = BOOKS[name]
    assert book.citation_of(book.periodic) == Provision(
        Text("電気通信事業報告規則 第7条の3", "Reporting Rules Art. 7-3"),
        "https://laws.e-gov.go.jp/law/363M50001000046/20260527_508M60000008070",
        "read",
        "law",
        date(2026, 11, 21),
        read_from=date(2025, 4, 1),
    )
    assert book.clause_2
    assert book.citation_of(book.clause_2) == Provision(
        Text("電気通信事業法施行規則 第58条第2項第2号", "Ordinance Art. 58(2)(ii)"),
        "https://laws.e-gov.go.jp/law/360M50001000025/20260130_508M60000008010",
        "read",
        "law",
        date(2026, 11, 21),
        read_from=date(2023, 12, 7),
    )


@pytest.mark.parametrize(("book", "row"), EVERY_ROW)
def test_every_row_is_called_something_in_both_languages(book: Rulebook, row: Row) -> None:
    assert row.title.ja
    assert row.title.en
    assert row.title.ja != row.title.en


@pytest.mark.parametrize(("book", "row", "condition"), EVERY_THRESHOLD)
@pytest.mark.parametrize("seconds", [-1, 0, 1])
@pytest.mark.parametrize("people", [-1, 0, 1])
def test_a_threshold_is_reached_at_its_number_and_not_one_below(
    book: Rulebook, row: Row, condition: Condition, seconds: int, people: int
) -> None:
    duration, users = condition.duration_seconds + seconds, condition.users + people
    *_, conditions = TABLES[book.id][row.row]
    if any(duration >= least_seconds and users >= least_users for least_seconds, least_users in conditions):
        expected = Verdict.MAJOR
    elif duration >= 7200 or users >= 30_000:
        expected = Verdict.PERIODIC
    else:
        expected = Verdict.NONE
    judgement = judge(EXAMPLES[book.id][row.row], book, timedelta(seconds=duration), users, users)
    assert (judgement.rulebook, judgement.row, judgement.verdict) == (book.id, row.row, expected)


@pytest.mark.parametrize(
    ("occurred_at", "book"),
    [
        ("1999-01-01T00:00:00+09:00", "JP-TBA58-2004"),
        ("2008-03-31T23:59:59+09:00", "JP-TBA58-2004"),
        ("2008-04-01T00:00:00+09:00", "JP-TBA58-2008"),
        ("2015-03-31T14:59:59+00:00", "JP-TBA58-2008"),
        ("2015-03-31T15:00:00+00:00", "JP-TBA58-2015"),
        ("2019-03-31T14:59:59+00:00", "JP-TBA58-2015"),
        ("2019-04-01T00:00:00+09:00", "JP-TBA58-2019"),
        ("2019-03-31T15:00:00+00:00", "JP-TBA58-2019"),
        ("2026-03-31T23:59:59+09:00", "JP-TBA58-2019"),
        ("2026-03-31T23:59:59.999999+09:00", "JP-TBA58-2019"),
        ("2026-03-31T14:59:59+00:00", "JP-TBA58-2019"),
        ("2026-04-01T00:00:00+09:00", "JP-TBA58-2026"),
        ("2026-03-31T15:00:00+00:00", "JP-TBA58-2026"),
        ("2026-03-31T08:00:00-07:00", "JP-TBA58-2026"),
        ("2040-01-01T00:00:00+09:00", "JP-TBA58-2026"),
    ],
)
def test_the_day_of_occurrence_is_a_day_in_japan(occurred_at: str, book: str) -> None:
    assert rulebook_on(datetime.fromisoformat(occurred_at), shipped()).id == book


def test_an_accident_that_no_rulebook_covers_is_not_judged_by_another() -> None:
    with pytest.raises(NoRulebook, match="no rulebook covers 2019-03-31"):
        rulebook_on(datetime(2019, 3, 31, 12, tzinfo=JST), (BOOKS["JP-TBA58-2019"], BOOKS["JP-TBA58-DRAFT-2023-04"]))


def test_japan_is_nine_hours_ahead() -> None:
    assert datetime(2026, 7, 1, tzinfo=JST) == datetime(2026, 6, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("facts", "row_2019", "row_2026"),
    [
        pytest.param(ServiceFacts("voice", emergency_calls=True, charged=True), 1, 1, id="mobile voice"),
        pytest.param(ServiceFacts("voice", emergency_calls=True, charged=False), 1, 1, id="free voice with emergency calls"),
        pytest.param(ServiceFacts("voice", emergency_calls=False, charged=True), 2, 2, id="050 telephone"),
        pytest.param(ServiceFacts("voice", emergency_calls=False, charged=False), 2, 2, id="free voice app"),
        pytest.param(ServiceFacts("voice", False, False, 50_000_000), 2, 2, id="free voice app with many users"),
        pytest.param(ServiceFacts("cellular_lpwa", charged=True), 3, 3, id="LTE-M"),
        pytest.param(ServiceFacts("unlicensed_lpwa", charged=True), 3, 3, id="LoRa"),
        pytest.param(ServiceFacts("unlicensed_lpwa", charged=False), 3, 3, id="free LoRa"),
        pytest.param(ServiceFacts("email", None, False, 10_000_000), 4, 4, id="free mail, ten million"),
        pytest.param(ServiceFacts("email", None, False, 9_999_999), 4, 5, id="free mail, one less"),
        pytest.param(ServiceFacts("messaging", None, False, 10_000_000), 4, 4, id="free messenger, ten million"),
        pytest.param(ServiceFacts("messaging", None, False, 9_999_999), 4, 5, id="free messenger, one less"),
        pytest.param(ServiceFacts("email", None, False, 0), 4, 5, id="free mail that nobody used"),
        pytest.param(ServiceFacts("email", None, True, 12_000_000), 5, 7, id="paid mail"),
        pytest.param(ServiceFacts("messaging", None, True), 5, 7, id="paid messenger"),
        pytest.param(ServiceFacts("internet_related", None, False), 4, 5, id="free SNS"),
        pytest.param(ServiceFacts("internet_related", None, False, 90_000_000), 4, 5, id="free SNS is never in row 4 of 2026"),
        pytest.param(ServiceFacts("internet_related", None, True), 5, 7, id="paid web conference chat"),
        pytest.param(ServiceFacts("internet_access", charged=True), 5, 6, id="mobile data"),
        pytest.param(ServiceFacts("internet_access", charged=False), 5, 6, id="free public Wi-Fi"),
        pytest.param(ServiceFacts("other", charged=True), 5, 7, id="IP-VPN"),
        pytest.param(ServiceFacts("other", charged=False), 5, 7, id="other, free"),
    ],
)
def test_the_facts_of_a_service_decide_its_row(facts: ServiceFacts, row_2019: int, row_2026: int) -> None:
    assert BOOKS["JP-TBA58-2019"].row_of(facts).row == row_2019
    assert BOOKS["JP-TBA58-2026"].row_of(facts).row == row_2026


@pytest.mark.parametrize(
    ("facts", "row_2019", "row_2026"),
    [
        pytest.param(ServiceFacts("voice"), 1, 1, id="emergency calls or not"),
        pytest.param(ServiceFacts("email", charged=False), 4, 4, id="free mail with ten million users or fewer"),
        pytest.param(
            ServiceFacts("messaging", charged=None, monthly_users_previous_fy=12_000_000), 5, 7, id="free or paid messenger"
        ),
        pytest.param(ServiceFacts("email"), 5, 7, id="nothing known of the mail"),
        pytest.param(ServiceFacts("internet_related"), 5, 7, id="free or paid SNS"),
    ],
)
def test_a_fact_that_nobody_stated_gives_the_stricter_row(facts: ServiceFacts, row_2019: int, row_2026: int) -> None:
    assert BOOKS["JP-TBA58-2019"].row_of(facts).row == row_2019
    assert BOOKS["JP-TBA58-2026"].row_of(facts).row == row_2026


@pytest.mark.parametrize(
    ("row", "facts", "takes"),
    [
        (1, ServiceFacts("voice", emergency_calls=True), True),
        (1, ServiceFacts("voice", emergency_calls=False), False),
        (1, ServiceFacts("voice"), None),
        (1, ServiceFacts("other", emergency_calls=True), False),
        (5, ServiceFacts("email", charged=False), True),
        (5, ServiceFacts("email", charged=True), False),
        (5, ServiceFacts("email"), None),
        (4, ServiceFacts("email", None, False, 10_000_000), True),
        (4, ServiceFacts("email", None, False, 9_999_999), False),
        (4, ServiceFacts("email", None, False), None),
        (4, ServiceFacts("email", None, None, 10_000_000), None),
        (4, ServiceFacts("email", None, None, 9_999_999), False),
        (4, ServiceFacts("email", None, True), False),
        (7, ServiceFacts("email"), True),
    ],
)
def test_a_row_takes_a_service_or_not_or_it_hangs_on_what_nobody_stated(row: int, facts: ServiceFacts, takes: bool | None) -> None:
    assert BOOKS["JP-TBA58-2026"].rows[row - 1].takes(facts) is takes


@pytest.mark.parametrize(
    ("mine", "theirs", "strict"),
    [
        (1, 1, True),
        (1, 2, True),
        (2, 1, False),  # 1 h needs more users
        (2, 7, True),
        (7, 2, False),
        (4, 5, True),
        (5, 4, False),  # the same users, but longer
        (3, 5, True),
        (5, 3, False),
    ],
)
def test_a_row_is_as_strict_as_another_if_nothing_reaches_that_one_alone(mine: int, theirs: int, strict: bool) -> None:
    rows = BOOKS["JP-TBA58-2026"].rows
    assert rows[mine - 1].is_as_strict_as(rows[theirs - 1]) is strict
