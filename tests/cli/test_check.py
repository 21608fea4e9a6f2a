"""`art58 check` takes a configuration whole or names every fault: file, line, key, what is wrong, the cure. Secrets stay secret."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Callable
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from receiver.cli import config, main
from receiver.law.conference import BusinessHours
from receiver.law.rulebook import rulebook_named, shipped
from receiver.settings import Calendar, Secret, TlsSettings
from tests import own_rulebooks

MINIMAL = """\
prometheus:
  url: http://127.0.0.1:9090
authentication:
  bearer_tokens:
    - file: secrets/webhook-token
services:
  - name: voice
    kind: voice
    emergency_calls: true
    match: ['service="voice"']
"""

WHOLE = """\
listen: 127.0.0.1:9158
data_dir: ./data
database_url: null
database_password: null
external_url: http://127.0.0.1:9158
tick_seconds: 15
hold_seconds: 3600
candidate_lead_seconds: 1800
prometheus: {url: http://127.0.0.1:9090, timeout_seconds: 5, bearer_token: {file: secrets/prometheus-token},
  also: [https://mimir.example/prometheus], headers: {X-Scope-OrgID: "42"}}
grafana: {url: http://127.0.0.1:3000, token: {file: secrets/grafana-token}, dashboard_uid: art58, panel_id: 3}
duties:
  first_notice_target_minutes: 60
  designated_institution: true
  quiet_window: {begins: "22:00", ends: "06:00"}
  closed_days: ["2026-12-28"]
tickets:
  - {name: desk, kind: directory, path: ./tickets}
  - {name: itsm, kind: webhook, url: https://itsm.example/hook, secret: {file: secrets/itsm-secret}}
authentication:
  bearer_tokens: [{file: secrets/webhook-token}]
  basic: [{username: alertmanager, password: {env: ART58_BASIC_PASSWORD}}]
services:
  - name: voice
    title: {ja: 携帯電話（音声）, en: Mobile voice}
    kind: voice
    emergency_calls: true
    match: ['service="voice"']
    equipment_label: equipment
    users_total: 24000000
    users:
      unable: sum by (equipment) (voice_attempts_failed)
      under_equipment: sum by (equipment) (voice_subscribers)
      equipment_up: min by (equipment) (up)
      calls_per_person: 2
    quality: {talking_impossible: noisy_calls, all_traffic_down: 0}
    facility: comparable
    installed_by_the_carrier: true
    count_by: direct
  - name: mail
    kind: email
    charged: false
    monthly_users_previous_fy: 12000000
    match: ['service=~"mail|webmail"', 'severity!="info"']
comparable_days:
  weeks: 8
  at_least: 4
  year_end: [12-30, 01-04]
  obon: [08-12, 08-15]
  bridges: false
  skip: ["2026-09-09", "2026-10-10"]
business_hours:
  spans: [{opens: "19:00", closes: "00:00"}, {opens: "08:30", closes: "19:00"}]
  weekdays: [mon, sat]
  holidays_off: false
"""

SECRET = "hunter2-is-my-s3cret"
SIGNING_SECRET = f"whsec_{b64encode(SECRET.encode() * 2).decode()}"
FILES = {"webhook-token": SECRET, "prometheus-token": SECRET, "grafana-token": SECRET, "itsm-secret": SIGNING_SECRET}

Check = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configuration goes, with every secret it names in place."""
    (tmp_path / "secrets").mkdir()
    for name, secret in FILES.items():
        (tmp_path / "secrets" / name).write_text(f"{secret}\n")
    monkeypatch.setenv("ART58_BASIC_PASSWORD", SECRET)
    return tmp_path / "config.yaml"


@pytest.fixture
def check(file: Path) -> Check:
    def run(text: str, *options: str) -> Result:
        file.write_text(text, encoding="utf-8")
        return CliRunner().invoke(main, ["check", str(file), *options])

    return run


def changed(old: str, new: str, text: str = MINIMAL) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def faults_of(result: Result) -> list[dict[str, Any]]:
    answer = json.loads(result.stdout)
    assert answer["ok"] is False
    return answer["faults"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("text", "services"), [(MINIMAL, 1), (WHOLE, 2)], ids=["minimal", "whole"])
def test_a_good_configuration_is_good(check: Check, file: Path, text: str, services: int) -> None:
    result = check(text)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{file}: good, {services} service(s)\n", "")


@pytest.mark.parametrize("text", [MINIMAL, WHOLE], ids=["minimal", "whole"])
def test_a_good_configuration_is_good_for_machines_too(check: Check, text: str) -> None:
    result = check(text, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"ok": True, "faults": []})


SERVICE = "  - name: voice\n    kind: voice\n    emergency_calls: true\n    match: ['service=\"voice\"']\n"
MAIL = "    kind: email\n    charged: false\n    monthly_users_previous_fy: 12000000\n"
FACTS = "    kind: voice\n    emergency_calls: true\n"
MATCH = "match: ['service=\"voice\"']"
URL = "  url: http://127.0.0.1:9090\n"
HTTPS = "  url: https://127.0.0.1:9090\n"
TOKEN = "secrets/webhook-token"
REDMINE = f"""  - name: redmine
    kind: redmine
    url: http://127.0.0.1:3000
    api_key: {{file: {TOKEN}}}
    project: noc
    key_field: 7
    open_status_id: 1
    closed_status_id: 5
"""
FACT = "this fact decides the row and is missing"
GRAFANA = "url: http://127.0.0.1:3000, token: {file: secrets/grafana-token}"

BAD: dict[str, tuple[str, int, str, str, str]] = {
    # the types say it
    "unknown key": (
        changed("emergency_calls", "emergency_call"),
        9,
        "services[0].emergency_call",
        "unknown key",
        "correct its spelling",
    ),
    "unknown section": (MINIMAL + "grafanna: {}\n", 11, "grafanna", "unknown key", "correct its spelling"),
    "missing section": (
        changed("prometheus:\n  url: http://127.0.0.1:9090\n", ""),
        1,
        "prometheus",
        "required key is missing",
        "Add it",
    ),
    "missing key": (
        changed("  url: http://127.0.0.1:9090\n", "  timeout_seconds: 5\n"),
        1,
        "prometheus.url",
        "required key is missing",
        "Add it",
    ),
    "key given twice": (
        MINIMAL + "prometheus: {url: http://b}\n",
        11,
        "prometheus",
        "key given twice (first on line 1)",
        "Keep one of them",
    ),
    "wrong type": (MINIMAL + "tick_seconds: often\n", 11, "tick_seconds", "expected `float`, got `str`", "Correct the value"),
    "too small": (MINIMAL + "tick_seconds: 0\n", 11, "tick_seconds", "expected `float` > 0.0", "Correct the value"),
    "clock time without quotes": (
        MINIMAL + "duties: {quiet_window: {begins: 22:00, ends: '06:00'}}\n",
        11,
        "duties.quiet_window.begins",
        "expected `str`, got `int`",
        "Correct the value",
    ),
    "no clock time": (
        MINIMAL + "duties: {quiet_window: {begins: '24:00', ends: '06:00'}}\n",
        11,
        "duties.quiet_window.begins",
        "matching regex",
        "Correct the value",
    ),
    "quiet window without a length": (
        MINIMAL + "duties: {quiet_window: {begins: '22:00', ends: '22:00'}}\n",
        11,
        "duties.quiet_window.ends",
        "is when the quiet window begins",
        "Give two times",
    ),
    "endless": (
        MINIMAL + "candidate_lead_seconds: .inf\n",
        11,
        "candidate_lead_seconds",
        "expected `float` <= 604800.0",
        "Correct the value",
    ),
    "not a kind of service": (
        changed("kind: voice", "kind: telephone"),
        8,
        "services[0].kind",
        "invalid enum value 'telephone'",
        "Write one of voice, ",
    ),
    "bad service name": (
        changed("name: voice", "name: Voice 1"),
        7,
        "services[0].name",
        "expected `str` matching regex",
        "Correct the value",
    ),
    "no matcher": (changed(MATCH, "match: []"), 10, "services[0].match", "expected `array` of length >= 1", "Correct the value"),
    "negative users": (
        MINIMAL + "    users_total: -1\n",
        11,
        "services[0].users_total",
        "expected `int` >= 0",
        "Correct the value",
    ),
    "no address": (
        changed("http://127.0.0.1:9090", "127.0.0.1:9090"),
        2,
        "prometheus.url",
        "expected `str` matching regex",
        "Correct the value",
    ),
    "password in an address": (
        changed("http://127.0.0.1", "http://admin:pw@127.0.0.1"),
        2,
        "prometheus.url",
        "expected `str` matching regex",
        "Correct the value",
    ),
    **{
        name: (MINIMAL + f"comparable_days:\n  {section}\n", 11 + section.count("\n") + 1, f"comparable_days.{key}", wrong, cure)
        for name, section, key, wrong, cure in (
            ("no week", "weeks: 0", "weeks", "expected `int` >= 1", "Correct the value"),
            ("more than a year back", "weeks: 54", "weeks", "expected `int` <= 53", "Correct the value"),
            ("no day asked for", "at_least: 0", "at_least", "expected `int` >= 1", "Correct the value"),
            (
                "more days than there are",
                "weeks: 4\n  at_least: 5",
                "at_least",
                "is more than 4 week(s) hold",
                "Ask for fewer days",
            ),
            ("a day of no year", 'obon:\n  - "02-28"\n  - "02-31"', "obon[1]", "02-31 is no day of any year", 'like "12-29"'),
            ("New Year on a day of no year", 'year_end: ["11-31", "01-03"]', "year_end[0]", "11-31 is no day", 'like "12-29"'),
            ("no month", 'obon: ["08-01", "13-02"]', "obon[1]", "matching regex", "Correct the value"),
            ("a month-day and a line end", 'obon: ["08-13", "08-16\\n"]', "obon[1]", "matching regex", "Correct the value"),
            ("one end of Obon", "obon: [08-13]", "obon", "expected `array` of length >= 2", "Correct the value"),
            ("three ends of Obon", "obon: [08-13, 08-14, 08-15]", "obon", "expected `array` of length <= 2", "Correct the value"),
            ("Obon the wrong way round", "obon: [08-16, 08-13]", "obon", "is 364 days long", "the first day, then the last"),
            ("New Year the wrong way round", "year_end: [01-03, 12-29]", "year_end", "is 362 days long", "the first day, then"),
            ("no day to skip", "skip:\n  - 2026-09-09\n  - 2026-02-30", "skip[1]", "invalid RFC3339 encoded date", "Correct"),
            ("unknown key of comparable days", "week: 6", "week", "unknown key", "known are weeks, at_least"),
        )
    },
    **{
        name: (MINIMAL + f"business_hours:\n  {section}\n", 11 + section.count("\n") + 1, f"business_hours.{key}", wrong, cure)
        for name, section, key, wrong, cure in (
            ("no span", "spans: []", "spans", "expected `array` of length >= 1", "Correct the value"),
            ("no day worked", "weekdays: []", "weekdays", "expected `array` of length >= 1", "Correct the value"),
            (
                "no day of the week",
                "weekdays: [mon, monday]",
                "weekdays[1]",
                "invalid enum value 'monday'",
                "Write one of mon, tue",
            ),
            (
                "a clock time and a line end",
                'spans: [{opens: "09:00\\n", closes: "17:00"}]',
                "spans[0].opens",
                "matching regex",
                "Correct the value",
            ),
            (
                "digits of another script",
                'spans: [{opens: "09:00", closes: "1７:00"}]',
                "spans[0].closes",
                "matching regex",
                "Correct the value",
            ),
            ("a span over midnight", 'spans: [{opens: "22:00", closes: "06:00"}]', "spans[0].closes", "is not after", "two spans"),
            ("a span without a length", 'spans: [{opens: "09:00", closes: "09:00"}]', "spans[0].closes", "is not after", "later"),
            (
                "spans that overlap",
                'spans:\n  - {opens: "12:00", closes: "13:01"}\n  - {opens: "13:00", closes: "18:00"}',
                "spans[1].opens",
                "is before another span closes (13:01)",
                "do not overlap",
            ),
            (
                "a span to midnight and one in it",
                'spans:\n  - {opens: "20:00", closes: "00:00"}\n  - {opens: "23:00", closes: "23:30"}',
                "spans[1].opens",
                "is before another span closes (24:00)",
                "do not overlap",
            ),
        )
    },
    "one address of the same data twice": (
        changed("  url: http://127.0.0.1:9090\n", "  url: http://127.0.0.1:9090\n  also: [http://b, http://127.0.0.1:9090/]\n"),
        3,
        "prometheus.also[1]",
        "http://127.0.0.1:9090/ is given twice",
        "Give each address once",
    ),
    "token and password": (
        changed(URL, f"{URL}  bearer_token: {{file: {TOKEN}}}\n  basic: {{username: a, password: {{file: {TOKEN}}}}}\n"),
        4,
        "prometheus.basic",
        "stands beside bearer_token",
        "Give one of the two",
    ),
    **{
        f"header {name!r}": (
            changed(URL, f"{URL}  headers:\n    {header}\n"),
            4 + header.count("\n"),
            f"prometheus.headers.{name}",
            wrong,
            cure,
        )
        for name, header, wrong, cure in (
            ("AUTHORIZATION", f"AUTHORIZATION: Bearer {SECRET}", "would be a secret", "Use bearer_token or basic"),
            ("Cookie", f"Cookie: session={SECRET}", "would be a secret", "Use bearer_token or basic"),
            ("Content-Length", "Content-Length: '3'", "is what the receiver sets itself", "Leave it out"),
            ("a b", "a b: c", "is no name of a header", "Write it like X-Scope-OrgID"),
            ("", "'': c", "is no name of a header", "Write it like X-Scope-OrgID"),
            ("X-Empty", "X-Empty: ''", "is empty or has a character that no header carries", "Write printable ASCII"),
            ("X-Two", 'X-Two: "a\\r\\nb: c"', "is empty or has a character that no header carries", "Write printable ASCII"),
            ("X-Ja", "X-Ja: 東京", "is empty or has a character that no header carries", "Write printable ASCII"),
            ("X-A", "x-a: b\n    X-A: b", "is given twice: capitals make no difference", "Keep one of them"),
        )
    },
    "header that is a number": (
        changed(URL, f"{URL}  headers: {{X-Scope-OrgID: 42}}\n"),
        3,
        "prometheus.headers.X-Scope-OrgID",
        "expected `str`, got `int`",
        "Correct the value",
    ),
    "TLS for http": (
        changed(URL, f"{URL}  tls: {{}}\n"),
        3,
        "prometheus.tls",
        "is of no use: no address begins with https",
        "Write https:// or leave tls out",
    ),
    "certificate without its key": (
        changed(URL, f"{HTTPS}  tls: {{cert_file: {TOKEN}}}\n"),
        3,
        "prometheus.tls",
        "has one of cert_file and key_file",
        "Give both or none",
    ),
    "no authority there": (
        changed(URL, f"{HTTPS}  tls: {{ca_file: secrets/gone.pem}}\n"),
        3,
        "prometheus.tls.ca_file",
        "/secrets/gone.pem cannot be used (No such file or directory)",
        "Name a readable PEM file",
    ),
    "an authority that is none": (
        changed(URL, f"{HTTPS}  tls: {{ca_file: {TOKEN}}}\n"),
        3,
        "prometheus.tls.ca_file",
        "/secrets/webhook-token cannot be used (not what TLS takes)",
        "Name a readable PEM file",
    ),
    "an authority with an impossible name": (
        changed(URL, f'{HTTPS}  tls: {{ca_file: "a\\0b"}}\n'),
        3,
        "prometheus.tls.ca_file",
        "cannot be used (impossible name)",
        "Name a readable PEM file",
    ),
    "a certificate that is none": (
        changed(URL, f"{HTTPS}  tls: {{cert_file: {TOKEN}, key_file: {TOKEN}}}\n"),
        3,
        "prometheus.tls.cert_file",
        "cannot be used (not what TLS takes)",
        "a certificate and the key to it, without a passphrase",
    ),
    "unknown kind of ticket": (
        MINIMAL + "tickets:\n  - name: desk\n    kind: fax\n",
        13,
        "tickets[0].kind",
        "invalid value 'fax'",
        "Write one of directory, webhook, jira_cloud",
    ),
    "no kind of ticket": (
        MINIMAL + "tickets:\n  - name: desk\n    path: a\n",
        12,
        "tickets[0]",
        "object missing required field `kind`",
        "Write one of directory, webhook, jira_cloud",
    ),
    "word that is none of those known": (
        MINIMAL + "tickets:\n  - name: desk\n    kind: directory\n    path: a\n    send:\n      verdicts:\n        - majr\n",
        17,
        "tickets[0].send.verdicts[0]",
        "invalid enum value 'majr'",
        "Write one of major, near_miss, periodic",
    ),
    "key of a map that is none of those known": (
        MINIMAL + f"tickets:\n{REDMINE}    priority:\n      majr: 5\n",
        21,
        "tickets[0].priority.majr",
        "invalid enum value 'majr'",
        "Write one of major, candidate, near_miss",
    ),
    "a template that ends too early": (
        MINIMAL + f"tickets:\n{REDMINE}    fields:\n      due_date: '{{{{ due_on'\n",
        21,
        "tickets[0].fields.due_date",
        "expected 'end of print statement'",
        "Correct it; its text is a template",
    ),
    "colon in a user name": (
        changed(
            "  bearer_tokens:\n    - file: secrets/webhook-token\n",
            "  basic:\n  - username: 'a:b'\n    password: {file: secrets/webhook-token}\n",
        ),
        5,
        "authentication.basic[0].username",
        "expected `str` matching regex",
        "Correct the value",
    ),
    "not YAML": (changed("  url: http", "\turl: http"), 2, "", "is not YAML: ", "Check indentation"),
    # only together they say it
    "nobody may come in": (
        changed("authentication:\n  bearer_tokens:\n    - file: secrets/webhook-token\n", "authentication: {}\n"),
        3,
        "authentication",
        "lets nobody in",
        "Give bearer_tokens or basic",
    ),
    "no service": (
        changed("services:\n" + SERVICE, "services: []\n"),
        6,
        "services",
        "no service is described",
        "Describe at least one",
    ),
    "one name for two services": (
        MINIMAL + SERVICE,
        11,
        "services[1].name",
        "'voice' is given twice",
        "Give every service a name of its own",
    ),
    "bad matcher": (changed(MATCH, "match: ['voice']"), 10, "services[0].match[0]", "'voice' is no matcher", "Write it like"),
    "bad pattern": (
        changed(MATCH, "match:\n    - a=b\n    - 'job=~\"(\"'"),
        12,
        "services[0].match[1]",
        "is no regular expression",
        "Write it like",
    ),
    "voice without emergency calls": (
        changed("    emergency_calls: true\n", ""),
        7,
        "services[0].emergency_calls",
        FACT,
        "Say true or false: does it handle 110, 118, 119?",
    ),
    "audio and video of a web conference as something else": (
        changed(MATCH, MATCH + "\n    web_conference: audio_video"),
        8,
        "services[0].kind",
        "this function of a web conference is judged as voice, emergency_calls: false",
        "Write kind: voice, emergency_calls: false",
    ),
    "paid chat of a web conference as voice": (
        changed(MATCH, MATCH + "\n    charged: true\n    web_conference: chat"),
        8,
        "services[0].kind",
        "this function of a web conference is judged as other",
        "Write kind: other",
    ),
    "a method of other services": (
        changed(MATCH, MATCH + "\n    count_by: traffic_difference"),
        11,
        "services[0].count_by",
        "traffic_difference does not count such a service",
        "Write one of emergency_call_loss, emergency_all_under_equipment, direct, call_shortfall",
    ),
    "an installer of nothing": (
        changed(MATCH, MATCH + "\n    installed_by_the_carrier: true"),
        7,
        "services[0].facility",
        "installed_by_the_carrier speaks of a facility, and none is named",
        "Name it, or leave both out",
    ),
    "a yes that is none": (
        changed(MATCH, MATCH + "\n    quality:\n      connects: 0.5"),
        12,
        "services[0].quality.connects",
        "0.5 is neither 0 nor 1",
        "Write 0, 1 or PromQL",
    ),
    "a percentage for a share": (
        changed(MATCH, MATCH + "\n    users:\n      call_loss_ratio: 70"),
        12,
        "services[0].users.call_loss_ratio",
        "70 is more than 1",
        "Write a share (0.7), not a percentage (70)",
    ),
    "a negative number of users": (
        changed(MATCH, MATCH + "\n    users:\n      under_equipment: -1"),
        12,
        "services[0].users.under_equipment",
        "expected",
        "Correct the value",
    ),
    "division by zero": (
        changed(MATCH, MATCH + "\n    users:\n      calls_per_person: 0"),
        12,
        "services[0].users.calls_per_person",
        "0: something is divided by it",
        "Write a number above zero",
    ),
    "a day of more than a day": (
        changed(MATCH, MATCH + "\n    users:\n      business_hours_day: 25"),
        12,
        "services[0].users.business_hours_day",
        "25 hours are more than a day has",
        "Write 24 or less",
    ),
    "equipment under itself": (
        MINIMAL + "equipment:\n  units:\n    - {name: a, parent: a}\n",
        13,
        "equipment.units[0].parent",
        "",
        "",
    ),
    "mail without charge": (
        changed(FACTS, "    kind: email\n"),
        7,
        "services[0].charged",
        FACT,
        "Say true or false: do users pay",
    ),
    "free SNS without charge": (
        changed(FACTS, "    kind: internet_related\n"),
        7,
        "services[0].charged",
        FACT,
        "Say true or false: do users pay",
    ),
    "free mail without users": (
        changed(FACTS, "    kind: email\n    charged: false\n"),
        7,
        "services[0].monthly_users_previous_fy",
        FACT,
        "Give the average monthly users",
    ),
    "free messenger without users": (
        changed(FACTS, "    kind: messaging\n    charged: false\n"),
        7,
        "services[0].monthly_users_previous_fy",
        FACT,
        "Give the average monthly users",
    ),
    "no port": (MINIMAL + "listen: 127.0.0.1\n", 11, "listen", "is no address and port", "Write it like 127.0.0.1:9158"),
    "port too large": (
        MINIMAL + "listen: 127.0.0.1:65536\n",
        11,
        "listen",
        "is no address and port",
        "Write it like 127.0.0.1:9158",
    ),
    "unknown store": (
        MINIMAL + "database_url: mysql://db/art58\n",
        11,
        "database_url",
        "is no address of a store we know",
        "Write sqlite:///",
    ),
    "password in the store": (
        MINIMAL + "database_url: postgresql://art58:pw@db/art58\n",
        11,
        "database_url",
        "holds a password",
        "database_password: {file: …}",
    ),
    "password in the options of the store": (
        MINIMAL + "database_url: postgresql://art58@db/art58?password=pw\n",
        11,
        "database_url",
        "holds a password",
        "database_password: {file: …}",
    ),
    "another driver of the store": (
        MINIMAL + "database_url: postgresql+psycopg://art58@db/art58\n",
        11,
        "database_url",
        "is no address of a store we know",
        "postgresql://user@host/name",
    ),
    "store on no host": (
        MINIMAL + "database_url: postgresql:///art58\n",
        11,
        "database_url",
        "names no host or no database",
        "Write postgresql://user@host/name",
    ),
    "store without a database": (
        MINIMAL + "database_url: postgresql://art58@db\n",
        11,
        "database_url",
        "names no host or no database",
        "Write postgresql://user@host/name",
    ),
    "store at an odd port": (
        MINIMAL + "database_url: postgresql://art58@db:x/art58\n",
        11,
        "database_url",
        "is no address of a database",
        "Write postgresql://user@host/name",
    ),
    "password of a file": (
        MINIMAL + "database_password: {file: secrets/webhook-token}\n",
        11,
        "database_password",
        "is for PostgreSQL only",
        "Leave it out",
    ),
    "store in memory": (
        MINIMAL + "database_url: 'sqlite:///:memory:'\n",
        11,
        "database_url",
        "is no address of a store we know",
        "Write sqlite:///",
    ),
    "store in memory, in short": (
        MINIMAL + "database_url: sqlite://\n",
        11,
        "database_url",
        "is no address of a store we know",
        "Write sqlite:///",
    ),
    "store in memory, by a query": (
        MINIMAL + "database_url: sqlite:///file:art58?mode=memory&uri=true\n",
        11,
        "database_url",
        "is no address of a store we know",
        "Write sqlite:///",
    ),
    "empty store": (MINIMAL + "database_url: ''\n", 11, "database_url", "is no address of a store we know", "or leave it out"),
    "data in a file": (
        MINIMAL + "data_dir: secrets/webhook-token\n",
        11,
        "data_dir",
        "cannot be a folder: ",
        "Name a folder, or where one can be made",
    ),
    "data below a file": (
        MINIMAL + "data_dir: secrets/webhook-token/a/b\n",
        11,
        "data_dir",
        "secrets/webhook-token is none",
        "Name a folder, or where one can be made",
    ),
    "data in an impossible folder": (
        MINIMAL + 'data_dir: "a\\0b"\n',
        11,
        "data_dir",
        "cannot be a folder (impossible name)",
        "Name a folder, or where one can be made",
    ),
    "data in a folder of too long a name": (
        MINIMAL + f"data_dir: {'x' * 300}\n",
        11,
        "data_dir",
        "cannot be a folder (File name too long)",
        "Name a folder, or where one can be made",
    ),
    "one name for two targets": (
        MINIMAL + "tickets:\n- {name: desk, kind: directory, path: a}\n- {name: desk, kind: directory, path: b}\n",
        13,
        "tickets[1].name",
        "'desk' is taken",
        "Give every target a name of its own",
    ),
    "a target named like the annotations": (
        MINIMAL + "tickets: [{name: grafana, kind: directory, path: a}]\n",
        11,
        "tickets[0].name",
        "'grafana' is taken",
        "a name of its own",
    ),
    **{
        f"no service: {key}": (MINIMAL + text, 11, key, "'tv' is no service of the catalogue", "Known are voice")
        for key, text in {
            "tickets[0].send.services[0]": "tickets: [{name: desk, kind: directory, path: a, send: {services: [tv]}}]\n",
            "grafana.places[0].services[1]": f"grafana: {{{GRAFANA}, places: [{{services: [voice, tv]}}]}}\n",
            "grafana[1].places[1].services[0]": (
                f"grafana: [{{{GRAFANA}}}, {{{GRAFANA}, name: b, org_id: 2, "
                "places: [{}, {name: c, dashboard_uid: d, services: [tv]}]}]\n"
            ),
        }.items()
    },
    "rulebook missing": (
        MINIMAL + "rulebooks:\n  - none.yaml\n",
        12,
        "rulebooks[0]",
        "none.yaml cannot be read (No such file or directory)",
        "Check the path",
    ),
    "rulebook is a folder": (
        MINIMAL + "rulebooks: [secrets]\n",
        11,
        "rulebooks[0]",
        "secrets cannot be read (Is a directory)",
        "Check the path",
    ),
    "rulebook of an impossible name": (
        MINIMAL + 'rulebooks: ["a\\0b"]\n',
        11,
        "rulebooks[0]",
        "cannot be read (impossible name)",
        "Check the path",
    ),
    "rulebook without a name": (
        MINIMAL + "rulebooks: ['']\n",
        11,
        "rulebooks[0]",
        "expected `str` of length >= 1",
        "Correct the value",
    ),
    # secrets are not where they should be
    "secret file missing": (
        changed("webhook-token", "no-such-token"),
        5,
        "authentication.bearer_tokens[0]",
        "secrets/no-such-token cannot be read (No such file or directory)",
        "Put the secret there",
    ),
    "secret file is a folder": (
        changed("secrets/webhook-token", "secrets"),
        5,
        "authentication.bearer_tokens[0]",
        "secrets cannot be read (Is a directory)",
        "Put the secret there",
    ),
    "secret file name impossible": (
        changed("secrets/webhook-token", '"a\\0b"'),
        5,
        "authentication.bearer_tokens[0]",
        "cannot be read (not text)",
        "Put the secret there",
    ),
    "secret variable not set": (
        changed("file: secrets/webhook-token", "env: ART58_NOT_SET"),
        5,
        "authentication.bearer_tokens[0]",
        "environment variable ART58_NOT_SET is empty or not set",
        "Put the secret there",
    ),
    "secret in two places": (
        changed("file: secrets/webhook-token", "file: secrets/webhook-token\n      env: HOME"),
        5,
        "authentication.bearer_tokens[0]",
        "name exactly one of file and env",
        "Put the secret there",
    ),
    "secret in no place": (
        changed("file: secrets/webhook-token", "{}"),
        5,
        "authentication.bearer_tokens[0]",
        "name exactly one of file and env",
        "Put the secret there",
    ),
}


@pytest.mark.parametrize(("text", "line", "key", "wrong", "cure"), BAD.values(), ids=BAD)
def test_a_fault_is_named_with_line_key_wrong_and_cure(
    check: Check, file: Path, text: str, line: int, key: str, wrong: str, cure: str
) -> None:
    result = check(text, "--json")
    (fault,) = faults_of(result)
    assert result.exit_code == 1
    assert (fault["file"], fault["line"], fault["key"]) == (str(file), line, key)
    assert wrong in fault["wrong"]
    assert cure in fault["cure"]


@pytest.mark.parametrize(("text", "line", "key"), [bad[:3] for bad in BAD.values()], ids=BAD)
def test_a_fault_is_one_line_for_people(check: Check, file: Path, text: str, line: int, key: str) -> None:
    result = check(text)
    fault, summary = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (1, "")
    assert fault.startswith(f"{file}:{line}: {key or 'file'}: ")
    assert ".. " not in fault
    assert summary == "1 fault(s): the file is refused"


@pytest.mark.parametrize(
    "facts",
    [
        "    kind: internet_related\n    charged: false\n",
        "    kind: internet_related\n    charged: true\n",
        "    kind: email\n    charged: true\n",
        MAIL,
        "    kind: internet_access\n",
        "    kind: cellular_lpwa\n",
        "    kind: other\n",
    ],
)
def test_no_fact_is_asked_for_that_decides_nothing(check: Check, facts: str) -> None:
    assert check(changed(FACTS, facts)).exit_code == 0


def test_every_fault_is_reported_at_once(check: Check) -> None:
    text = changed("kind: voice", "kind: telephone", changed("url", "uri")) + "tick_seconds: -1\n"
    assert [(fault["line"], fault["key"]) for fault in faults_of(check(text, "--json"))] == [
        (1, "prometheus.url"),
        (2, "prometheus.uri"),
        (8, "services[0].kind"),
        (11, "tick_seconds"),
    ]


def test_faults_that_types_cannot_tell_are_reported_at_once_too(check: Check) -> None:
    text = changed("webhook-token", "none", changed("    emergency_calls: true\n", "")) + SERVICE + "listen: here\n"
    assert [(fault["line"], fault["key"]) for fault in faults_of(check(text, "--json"))] == [
        (5, "authentication.bearer_tokens[0]"),
        (7, "services[0].emergency_calls"),
        (10, "services[1].name"),
        (14, "listen"),
    ]


@pytest.mark.parametrize("content", [b"", b" \n\n\t"], ids=["empty", "blank"])
def test_an_empty_secret_file_is_refused(check: Check, file: Path, content: bytes) -> None:
    (file.parent / "secrets" / "webhook-token").write_bytes(content)
    (fault,) = faults_of(check(MINIMAL, "--json"))
    assert fault["key"] == "authentication.bearer_tokens[0]"
    assert fault["wrong"] == f"file {file.parent}/secrets/webhook-token is empty or not set"


def test_a_secret_file_that_is_no_text_is_refused(check: Check, file: Path) -> None:
    (file.parent / "secrets" / "webhook-token").write_bytes(b"\xff\xfe\x00")
    (fault,) = faults_of(check(MINIMAL, "--json"))
    assert fault["wrong"].endswith("cannot be read (not text)")


@pytest.mark.parametrize(
    "content",
    ["ひみつ", f"{SECRET}\u3000", f"{SECRET}\x0bx", f"a\x00{SECRET}", f"\x7f{SECRET}", f"a\tb{SECRET}"],
    ids=["Japanese", "full-width blank", "vertical tab", "NUL", "delete", "tab"],
)
def test_a_secret_that_no_header_carries_is_refused_naming_the_place_and_not_the_content(
    check: Check, file: Path, content: str
) -> None:
    place = file.parent / "secrets" / "webhook-token"
    place.write_bytes(f"{content}\n".encode())
    result = check(MINIMAL, "--json")
    (fault,) = faults_of(result)
    assert fault["key"] == "authentication.bearer_tokens[0]"
    assert fault["wrong"] == f"file {place} holds a control character or one beyond ASCII in its first line"
    assert SECRET not in result.output
    assert content not in result.output


def test_a_secret_variable_with_characters_beyond_ascii_is_refused_too(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART58_BASIC_PASSWORD", "pässword-9x")
    result = check(WHOLE, "--json")
    (fault,) = faults_of(result)
    assert fault["wrong"].startswith("environment variable ART58_BASIC_PASSWORD holds")
    assert "ssword-9x" not in result.output


@pytest.mark.parametrize("content", [f"\ufeff{SECRET}\r\n", f"{SECRET}\r\n#2\r\n", f"\n {SECRET}\t"])
def test_a_secret_file_from_another_editor_is_read(file: Path, content: str) -> None:
    (file.parent / "secrets" / "webhook-token").write_bytes(content.encode())
    file.write_text(MINIMAL)
    settings, *_ = config.load(file)
    assert settings.authentication.bearer_tokens[0].read().reveal() == SECRET


def test_a_signing_secret_that_signs_nothing_is_refused(check: Check, file: Path) -> None:
    (file.parent / "secrets" / "itsm-secret").write_text(SECRET)
    (fault,) = faults_of(check(WHOLE, "--json"))
    assert (fault["line"], fault["key"]) == (19, "tickets[1].secret")
    assert fault["wrong"] == "is no signing secret (whsec_ and base64 of at least 24 bytes)"


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("bearer_token: {file: secrets/prometheus-token}", "prometheus.bearer_token"),
        ("token: {file: secrets/grafana-token}", "grafana.token"),
        ("secret: {file: secrets/itsm-secret}", "tickets[1].secret"),
        ("bearer_tokens: [{file: secrets/webhook-token}]", "authentication.bearer_tokens[0]"),
        ("password: {env: ART58_BASIC_PASSWORD}", "authentication.basic[0].password"),
    ],
)
def test_every_secret_is_looked_for(check: Check, place: str, key: str) -> None:
    elsewhere = place.replace("secrets/", "elsewhere/").replace("ART58_BASIC_PASSWORD", "ART58_NOT_SET")
    (fault,) = faults_of(check(changed(place, elsewhere, WHOLE), "--json"))
    assert fault["key"] == key


INLINE = [
    changed("{file: secrets/prometheus-token}", SECRET, WHOLE),
    changed("{file: secrets/grafana-token}", SECRET, WHOLE),
    changed("{file: secrets/itsm-secret}", f"'whsec_{SECRET}'", WHOLE),
    changed("[{file: secrets/webhook-token}]", f"[{SECRET}]", WHOLE),
    changed("[{file: secrets/webhook-token}]", SECRET, WHOLE),
    changed("{env: ART58_BASIC_PASSWORD}", SECRET, WHOLE),
    changed("{env: ART58_BASIC_PASSWORD}", f"!{SECRET} x", WHOLE),
    changed("{env: ART58_BASIC_PASSWORD}", f"*{SECRET}", WHOLE),
    changed("http://127.0.0.1:9090", f"http://admin:{SECRET}@127.0.0.1:9090", WHOLE),
    changed("https://itsm.example/hook", f"https://itsm.example/hook?key={SECRET}", WHOLE),
    changed("database_url: null", f"database_url: postgresql+psycopg://art58:{SECRET}@db/art58", WHOLE),
    changed("database_url: null", f"database_url: postgresql://art58:{SECRET}@db/art58", WHOLE),
    changed("database_url: null", f"database_url: postgresql://art58:a/{SECRET}@db/art58", WHOLE),
    changed("database_url: null", f"database_url: postgresql://art58@db/art58?sslpassword={SECRET}", WHOLE),
    changed("database_url: null", f"database_url: mysql://art58:{SECRET}@db/art58", WHOLE),
]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["people", "machines"])
@pytest.mark.parametrize("text", INLINE)
def test_a_secret_written_in_the_configuration_is_refused_and_not_repeated(
    check: Check, text: str, options: tuple[str, ...]
) -> None:
    result = check(text, *options)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert SECRET not in result.output


@pytest.mark.parametrize("text", [WHOLE, *(bad[0] for bad in BAD.values())], ids=["whole", *BAD])
def test_what_lies_in_a_secret_file_is_never_shown(check: Check, text: str) -> None:
    output = check(text).output
    assert SECRET not in output
    assert SIGNING_SECRET not in output


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(SECRET)
    assert SECRET not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == SECRET


def test_a_secret_is_the_first_line_of_its_file_without_blanks(file: Path) -> None:
    (file.parent / "secrets" / "webhook-token").write_text("\n  first \nsecond\n")
    file.write_text(MINIMAL)
    settings, *_ = config.load(file)
    assert settings.authentication.bearer_tokens[0].read().reveal() == "first"


def test_relative_paths_are_those_of_the_configuration_file(
    file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(WHOLE)
    monkeypatch.chdir(file.parent)
    settings, *_ = config.load(Path("config.yaml"))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert settings.database == f"sqlite:///{file.parent}/data/art58.db"
    assert [ticket.path for ticket in settings.tickets if ticket.name == "desk"] == [f"{file.parent}/tickets"]  # type: ignore[union-attr]
    assert [grafana.token.read().reveal() for grafana in settings.grafanas] == [SECRET]


@pytest.mark.parametrize(
    ("written", "read"),
    [("sqlite:///sub/my.db", "sqlite:///{base}/sub/my.db"), ("sqlite:////var/lib/art58.db", "sqlite:////var/lib/art58.db")],
)
def test_a_store_of_its_own_is_a_file_beside_the_configuration_or_an_absolute_one(file: Path, written: str, read: str) -> None:
    file.write_text(MINIMAL + f"database_url: {written}\n")
    settings, *_ = config.load(file)
    assert settings.database == read.format(base=file.parent)


def test_a_missing_file_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(tmp_path / "none.yaml")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{tmp_path}/none.yaml:1: file: cannot be read (No such file or directory). Check the path")


def test_without_a_name_the_file_is_config_yaml_here(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(MINIMAL)
    monkeypatch.chdir(file.parent)
    result = CliRunner().invoke(main, ["check"])
    assert (result.exit_code, result.stdout) == (0, "config.yaml: good, 1 service(s)\n")


def test_rulebooks_of_ones_own_are_counted_and_named(check: Check, file: Path) -> None:
    own_rulebooks.write(file.parent)
    result = check(MINIMAL + "rulebooks: [ended.yaml, own.yaml]\n")
    said = f"{file}: good, 1 service(s), changed by your rulebooks: JP-TBA58-2026, OWN\n"
    assert (result.exit_code, result.stdout, result.stderr) == (0, said, "")


def test_rulebooks_of_ones_own_lie_beside_the_configuration_and_add_to_those_shipped(
    check: Check, file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_rulebooks.write(file.parent)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    check(MINIMAL + "rulebooks: [ended.yaml, own.yaml]\n")
    *_, rulebooks = config.load(file)
    assert [book.id for book in rulebooks if book not in shipped()] == ["JP-TBA58-2026", "OWN"]
    assert rulebook_named("JP-TBA58-2019", rulebooks) in shipped()


@pytest.mark.parametrize("command", ["check", "serve", "web", "worker"])
def test_a_faulty_rulebook_is_refused_with_its_own_file_and_line(check: Check, file: Path, command: str) -> None:
    own_rulebooks.write(file.parent)
    faulty = file.parent / "own.yaml"
    faulty.write_text(changed("id: OWN\n", "id: OWN\nvalid_until: 2027-04-01\n", faulty.read_text(encoding="utf-8")))
    file.write_text(MINIMAL + "rulebooks: [ended.yaml, own.yaml]\n", encoding="utf-8")
    result = CliRunner().invoke(main, [command, str(file)] if command == "check" else [command, "--config", str(file)])
    assert result.exit_code == 1
    assert f"{faulty}:2: valid_until: unknown key." in result.stderr


def test_two_rulebooks_for_the_same_day_are_refused(check: Check, file: Path) -> None:
    own_rulebooks.write(file.parent, from_day="2026-04-01")
    (fault,) = faults_of(check(MINIMAL + "rulebooks: [own.yaml]\n", "--json"))
    assert (fault["file"], fault["key"]) == (str(file.parent / "own.yaml"), "valid_from")
    assert "covers days of JP-TBA58-2026, too" in fault["wrong"]


@pytest.mark.parametrize("arguments", [["check", "a.yaml", "b.yaml"], ["check", "--yaml"], ["chek"]])
def test_a_wrong_call_is_told_apart_from_a_wrong_file(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


@pytest.mark.parametrize("command", ["serve", "web", "worker"])
def test_nothing_starts_with_a_faulty_configuration(file: Path, command: str) -> None:
    file.write_text(changed("    emergency_calls: true\n", ""))
    result = CliRunner().invoke(main, [command, "--config", str(file)])
    assert result.exit_code == 1
    assert f"{file}:7: services[0].emergency_calls: {FACT}" in result.stderr
    assert "not started" in result.stderr


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_the_schema_is_a_valid_schema(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("text", [MINIMAL, WHOLE], ids=["minimal", "whole"])
def test_the_schema_accepts_a_good_configuration(schema: dict[str, Any], text: str) -> None:
    assert list(Draft202012Validator(schema).iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "bad",
    [
        "unknown key",
        "unknown section",
        "missing section",
        "missing key",
        "wrong type",
        "too small",
        "endless",
        "not a kind of service",
        "bad service name",
        "no matcher",
        "negative users",
        "no address",
        "password in an address",
        "unknown kind of ticket",
        "colon in a user name",
        "more than a year back",
        "a month-day and a line end",
        "one end of Obon",
        "no day worked",
        "no day of the week",
        "digits of another script",
    ],
)
def test_the_schema_refuses_what_the_types_refuse(schema: dict[str, Any], bad: str) -> None:
    assert list(Draft202012Validator(schema).iter_errors(yaml.safe_load(BAD[bad][0])))


@pytest.mark.parametrize("text", INLINE[:6])
def test_the_schema_refuses_a_secret_written_in_the_configuration(schema: dict[str, Any], text: str) -> None:
    assert list(Draft202012Validator(schema).iter_errors(yaml.safe_load(text)))


def test_the_schema_helps_with_every_key_of_the_top(schema: dict[str, Any]) -> None:
    top = schema["$defs"]["Config"]
    assert top["required"] == ["prometheus", "authentication", "services"]
    assert set(top["properties"]) >= {"listen", "data_dir", "grafana", "tickets"}
    assert top["properties"]["listen"] == {
        "type": "string",
        "description": "address and port to listen on",
        "default": "127.0.0.1:9158",
    }


def test_what_the_deadlines_depend_on_is_read_as_the_law_takes_it(check: Check, file: Path) -> None:
    check(WHOLE)
    settings, *_ = config.load(file)
    duties = settings.duties.of_the_law
    assert (duties.first_notice_target, duties.designated_institution) == (timedelta(hours=1), True)
    assert duties.quiet
    assert (duties.quiet.begins, duties.quiet.ends) == (time(22), time(6))
    assert duties.closed_days == {date(2026, 12, 28)}


def test_comparable_days_are_read_as_they_are_chosen_by(check: Check, file: Path) -> None:
    check(WHOLE)
    settings, *_ = config.load(file)
    assert settings.comparable_days.calendar == Calendar(
        weeks=8,
        at_least=4,
        year_end=("12-30", "01-04"),
        obon=("08-12", "08-15"),
        bridges=False,
        skip=frozenset({date(2026, 9, 9), date(2026, 10, 10)}),
    )


def test_business_hours_are_read_as_the_law_takes_them(check: Check, file: Path) -> None:
    check(WHOLE)
    settings, *_ = config.load(file)
    hours = settings.business_hours.of_the_law(frozenset({date(2026, 11, 3)}))
    assert hours == BusinessHours(
        spans=((time(19), time(0)), (time(8, 30), time(19))),
        weekdays=frozenset({0, 5}),
        holidays=frozenset({date(2026, 11, 3)}),
    )
    assert settings.business_hours.holidays_off is False


def test_without_settings_days_and_hours_are_the_usual_ones(check: Check, file: Path) -> None:
    check(MINIMAL)
    settings, *_ = config.load(file)
    assert settings.comparable_days.calendar == Calendar()
    assert settings.business_hours.holidays_off is True
    assert settings.business_hours.of_the_law(frozenset()) == BusinessHours(
        spans=((time(9), time(12)), (time(13), time(18))), weekdays=frozenset(range(5))
    )


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def test_certificates_that_tls_takes_are_good_and_lie_beside_the_configuration(check: Check, file: Path) -> None:
    secrets = file.parent / "secrets"
    openssl(secrets, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.pem", "-subj", "/CN=a")
    openssl(secrets, "rsa", "-aes256", "-in", "own.key", "-out", "locked.key", "-passout", "pass:geheim")
    tls = "  tls: {ca_file: secrets/own.pem, cert_file: secrets/own.pem, key_file: secrets/own.key}\n"
    assert check(changed(URL, HTTPS + tls)).exit_code == 0
    settings, *_ = config.load(file)
    assert settings.prometheus.tls == TlsSettings(*(str(secrets / name) for name in ("own.pem", "own.pem", "own.key")))
    # one that would ask the terminal for a passphrase
    (fault,) = faults_of(check(changed(URL, HTTPS + tls.replace("own.key", "locked.key")), "--json"))
    assert fault["key"] == "prometheus.tls.cert_file"


def test_a_password_for_prometheus_lies_beside_the_configuration_and_is_looked_for(check: Check, file: Path) -> None:
    basic = "  basic: {username: art58, password: {file: secrets/prometheus-token}}\n"
    assert check(changed(URL, URL + basic)).exit_code == 0
    settings, *_ = config.load(file)
    assert settings.prometheus.basic is not None
    assert settings.prometheus.basic.password.read().reveal() == SECRET
    (fault,) = faults_of(check(changed(URL, URL + basic.replace("prometheus-token", "gone")), "--json"))
    assert fault["key"] == "prometheus.basic.password"
