"""The dry run: what would be sent of an incident to each target now, told by the ledger alone. Nobody is called.

What the other side would say is unknown here: a person may have changed, closed or deleted the thing there since.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from receiver.delivery.follow import Policy, without
from receiver.delivery.merge import merge
from receiver.delivery.plan import Object, Route, newest_objects, row_of, turn
from receiver.delivery.targets import Target
from receiver.law.near_miss import NearMiss
from receiver.law.provisions import Text
from receiver.model import Assessment, Delivery, Incident, Statement

Step = Literal["create", "update", "close", "reopen", "comment"]


class Preview(msgspec.Struct, frozen=True):
    """What one target would be sent, in which steps; none: nothing, `why` says why not, and `title` and `text` what it would say.

    `title`, `text` and `fields` are all of what it is to be, `changes` the fields that differ from what we wrote last, `theirs`
    those that persons have taken over. `comment` is what one would say, if there is one.
    """

    target: str
    object: str
    remote_id: str | None
    steps: tuple[Step, ...]
    why: Text
    title: str = ""
    text: str = ""
    fields: dict[str, Any] = {}
    changes: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    comment: str | None = None


_NOT_DUE = Text(
    "この事故はまだ（または今は）この送付先の対象ではない",
    "nothing is due there: not major and no candidate, or not one of its services",
)
_LATER = Text(
    "予測時刻が近づくか、静穏時間が終わるまで待っている", "it waits: for the forecast time to come near, or for quiet hours to end"
)
_NEW = Text("台帳にまだない", "not in the ledger yet")
_UNKNOWN = Text(
    "以前の作成の結果が不明：先に探し、あればそれを更新する",
    "what came of an earlier creation is unknown: it is sought first, and updated if found",
)
_SUCCESSOR = Text(
    "前のものは閉じて時間がたった：続きを新しく作る", "the former one was closed too long ago: a new one goes on from it"
)
_GONE = Text("相手側で人が削除した：作り直さない", "a person deleted it there: it is not made again")
_SAID = Text("最新の内容を送付済み", "the newest was sent")
_NEWS = Text("前回の送付から変化あり", "there is news since it was last sent")
_CHECKED = Text("二重に作られていないか、もう一度確かめる", "it is looked at once more, as it may be there twice")


def preview(
    incident: Incident,
    latest: list[Assessment],
    near: NearMiss | None,
    statement: Statement,
    rows: list[Delivery],
    targets: list[tuple[Route, Target]],
    now: datetime,
) -> Iterator[Preview]:
    """In the order of the configuration. `rows` is the incident's part of the ledger."""
    followed, by_key = newest_objects(rows), {(row.target, row.object): row for row in rows}
    for route, target in targets:
        for object_ in route.objects:
            known = followed.get((incident.id, route.target, object_))
            when = turn(route, object_, incident, latest, near, now, exists=known is not None)
            row = by_key[route.target, known] if known else _new(incident.id, route.target, object_, statement, now)
            if when == "now":
                yield _of_row(row, route, target, statement, now)
            else:
                # without its fields: those of an annotation that is not due would say that it is withdrawn
                said, why = route.content.draft(row, statement), _LATER if when == "later" else _NOT_DUE
                yield Preview(route.target, row.object, row.remote_id, (), why, title=said.title, text=said.text)


def _new(incident_id: str, target: str, object_: Object, statement: Statement, now: datetime) -> Delivery:
    return row_of(incident_id, target, object_, statement.number, now)


def _of_row(row: Delivery, route: Route, target: Target, statement: Statement, now: datetime) -> Preview:
    steps, why = _steps(row, target, statement, route.policy, now)
    if steps and steps[0] == "create" and row.remote_id:
        row = row.next
    wanted = route.content.draft(row, statement)
    wanted = without(wanted, row.remembered.lacking)
    fields = dict(target.fields(wanted))
    merged = merge(fields, row.remembered.written, row.remembered)
    return Preview(
        target=row.target,
        object=row.object,
        remote_id=row.remote_id,
        steps=steps,
        why=why,
        title=wanted.title,
        text=wanted.text,
        fields=fields,
        changes=tuple(merged.write) if steps else (),
        theirs=merged.theirs,
        comment=wanted.note if "comment" in steps else None,
    )


def _steps(row: Delivery, target: Target, statement: Statement, policy: Policy, now: datetime) -> tuple[tuple[Step, ...], Text]:
    """As `follow.Follower` would go, if the other side has what we left there."""
    memory = row.remembered
    closes = statement.resolved and policy.close_when_over and memory.closed_at is None
    if memory.gone:
        return (), _GONE
    if row.remote_id is None:
        return (("create", "close") if closes else ("create",)), _UNKNOWN if row.creating_since else _NEW
    if memory.number >= statement.number and not memory.telling:
        return (), _CHECKED if memory.unsure_until else _SAID
    goes_on = not statement.resolved and memory.closed_at is not None
    if goes_on and memory.was_over and memory.closed_at and now - memory.closed_at > policy.reopen_within:
        return ("create",), _SUCCESSOR
    steps: list[Step] = ["reopen"] if goes_on else []
    steps += ["update"]
    steps += ["close"] if closes else []
    if target.comments and memory.milestone != statement.milestone:
        steps += ["comment"]
    return tuple(steps), _NEWS
