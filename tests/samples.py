"""Ready-made values for tests: an outage of mobile voice that may be a major accident. Name only what the test is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from receiver.delivery import content
from receiver.delivery.targets import Change, Draft, Seen, Target
from receiver.law.counting import Affected, Count
from receiver.law.explanation import Explanation
from receiver.law.provisions import Flag, Text
from receiver.law.rulebook import Condition
from receiver.law.verdict import Verdict
from receiver.law.wording import VERDICTS
from receiver.model import Assessment, Delivery, Statement

STARTED_AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
ASSESSED_AT = STARTED_AT + timedelta(minutes=65)
RESTORED_AT = STARTED_AT + timedelta(minutes=90)


def saying(text: Text) -> Explanation:
    """An explanation with this text in each of its parts that a target may show."""
    return Explanation(VERDICTS[Verdict.MAJOR], text, (text,), (text,), (Flag("sample", text),), (text,), ())


def assessment(**changes: Any) -> Assessment:
    """Voice, out for 65 minutes, 42,000 users measured: major. Another verdict brings its bounds with it."""
    verdict = Verdict(changes.get("verdict", Verdict.MAJOR))
    is_open = verdict == Verdict.INDETERMINATE
    bounds = {"at_least": Verdict.NONE, "at_most": Verdict.MAJOR} if is_open else {"at_least": verdict, "at_most": verdict}
    count = Count(42_000, "direct", 'sum(art58:users_unable{service="voice"})', ASSESSED_AT, "line")
    sample = Assessment(
        incident_id="inc-1",
        number=3,
        service="voice",
        assessed_at=ASSESSED_AT,
        state="open",
        failure_started_at=STARTED_AT,
        restored_at=None,
        duration=timedelta(minutes=65),
        verdict=Verdict.MAJOR,
        at_least=Verdict.MAJOR,
        at_most=Verdict.MAJOR,
        rulebook="JP-TBA58-2026",
        row=1,
        condition=Condition(duration_seconds=3600, users=30_000),
        margin_seconds=300,
        margin_users=12_000,
        affected=Affected(kept=(count,), bound=90_000),
        affected_users=42_000,
        method="direct",
        measured=True,
        major_since=STARTED_AT + timedelta(hours=1),
        major_expected_at=STARTED_AT + timedelta(hours=1),
        candidate=False,
        explanation=saying(
            Text(
                ja="1時間以上かつ3万以上: 65分、42,000人。重大な事故に該当する可能性（要判断）",
                en="1 h and 30,000 users: 65 min, 42,000. May apply: a person decides",
            )
        ),
    )
    return msgspec.structs.replace(sample, **bounds | changes)


def statement(**changes: Any) -> Statement:
    """What is said of the incident of `assessment()`."""
    sample = Statement(
        key="inc-1",
        number=3,
        title=Text(ja="重大な事故に該当する可能性（要判断）: 携帯電話（音声）", en="May be a major accident: mobile voice"),
        text=Text(
            ja="影響利用者数: 42,000人（実測）\n継続時間: 65分\n- 設備: mme-1", en="Users hit: 42,000 (measured)\nFor: 65 min"
        ),
        verdict=Verdict.MAJOR,
        unmeasured=False,
        tags=("art58", "a58:inc-1", "verdict:major", "service:voice"),
        url="http://127.0.0.1:9158/incidents/inc-1",
        started_at=STARTED_AT,
        restored_at=None,
        resolved=False,
        assessments=(assessment(),),
        milestone="open/major",
    )
    return msgspec.structs.replace(sample, **changes)


def draft(**changes: Any) -> Draft:
    """`statement(**changes)` as a target is given it; `key`, `fields`, `note` and `continues` are the draft's own."""
    own = {name: changes.pop(name) for name in ("fields", "note", "continues") if name in changes}
    said = statement(**changes)
    row = Delivery(said.key, "desk", "ticket", said.number, 0, "owed", 0, ASSESSED_AT)
    return msgspec.structs.replace(content.draft(row, said), **own)


def say(target: Target, remote_id: str, wanted: Draft) -> str:
    """Have the target show the draft in what it made before, as if nobody had touched it meanwhile."""
    seen = target.read(remote_id) if target.reads else Seen({})
    assert seen is not None
    return target.write(remote_id, wanted, Change(target.fields(wanted)), seen)
