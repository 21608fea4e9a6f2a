"""Is all there that the receiver needs? Everything outside is asked, nothing is written, and every fault comes with its cure."""

import shutil
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from receiver.delivery.opening import open_ticket
from receiver.delivery.opening_grafana import open_grafana
from receiver.delivery.targets import Check, checking
from receiver.law import freshness
from receiver.law.provisions import JST, Text
from receiver.law.rulebook import Rulebook
from receiver.law.wording import clock_time
from receiver.model import Clock
from receiver.observation import reach
from receiver.observation.reach import Reached
from receiver.settings import GrafanaSettings, SecretUnreadable, Settings
from receiver.settings.tickets import FollowedTicket, Ticket
from receiver.storage import heartbeat
from receiver.storage.database import Database, StoreUnavailable

MOST_AHEAD, FAR_AHEAD = timedelta(seconds=5), timedelta(seconds=60)
"""Clocks that differ by more are remarked on; by more than the latter, deadlines and starts of failures are wrong by minutes."""

_LEAST_FREE_BYTES = 200 * 1024 * 1024
_SOON = timedelta(days=14)

_ANSWERS = Text("問い合わせに答える", "it answers a query")
_CLOCK = Text("時計が合っている", "its clock agrees with ours")
_WRITABLE = Text("書き込める", "it can be written")
_ROOM = Text("空き容量", "room on its disk")
_TICKS = Text("受信機が動いている", "a receiver is at work on it")
_OPENED = Text("設定から使えるようになる", "it can be opened by its settings")
_NTP = Text("両方の時計をNTPで合わせてください", "Set both clocks by NTP")


class Finding(msgspec.Struct, frozen=True):
    """One check: what it is of, what was asked, and how it is."""

    name: str
    what: Text
    state: Literal["ok", "warning", "failed"]
    fault: Text | None = None
    cure: Text | None = None


def examine(settings: Settings, rulebooks: tuple[Rulebook, ...], clock: Clock) -> Iterator[Finding]:
    """Every check in turn. Never raises: a failure is an answer."""
    yield from _named("store", _store(settings, clock))
    yield from _rules(rulebooks, clock)
    for one in reach.prometheus(settings.prometheus, clock):
        yield from _named(f"prometheus {one.url}", _answered(one, "prometheus"))
    for peer in settings.alertmanagers:
        yield from _named(f"alertmanager {peer.url}", _answered(reach.alertmanager(peer, clock), "alertmanagers"))
    for grafana in settings.grafanas:
        yield from _grafana(grafana, clock)
    for ticket in settings.tickets:
        yield from _named(f"target {ticket.name}", of_ticket(ticket, clock))


def _named(name: str, checks: Iterable[Check]) -> Iterator[Finding]:
    for check in checks:
        state: Literal["ok", "warning", "failed"] = "ok" if check.fault is None else "warning" if check.is_warning else "failed"
        yield Finding(name, check.what, state, check.fault, check.cure)


def _store(settings: Settings, clock: Clock) -> Iterator[Check]:
    path = settings.database_file
    if path and not path.exists():
        check = checking.folder(path.parent)
        yield msgspec.structs.replace(check, what=_WRITABLE)
        if check.fault is None:
            yield Check(_TICKS, Text("保存先がまだありません", "there is no store yet"), _START, is_warning=True)
        return
    database = Database.of(settings, busy_seconds=2)
    try:
        # the right to write is taken, and nothing written
        with database.write() as connection:
            ticked_at = heartbeat.last(connection, "tick")
        with database.inbox.write():
            pass
    except StoreUnavailable as error:
        cure = _OF_FILE if path else _OF_SERVER
        yield Check(_WRITABLE, Text(f"書き込めません（{error}）", str(error)), cure)
        return
    finally:
        database.close()
    yield Check(_WRITABLE)
    if path:
        yield _room(path)
    if ticked_at is None or clock() - ticked_at > max(timedelta(seconds=60), 3 * timedelta(seconds=settings.tick_seconds)):
        last = clock_time(ticked_at) if ticked_at else None
        fault = Text(f"最後の判定: {last or 'なし'}", f"last tick: {last or 'never'}")
        yield Check(_TICKS, fault, _START, is_warning=True)
    else:
        yield Check(_TICKS)


_OF_FILE = Text(
    "ファイルとフォルダーの権限、ディスク、他の利用者を確認してください",
    "Check permissions of the file and its folder, the disk, and who else uses it. From another version: art58 serve",
)
_OF_SERVER = Text(
    "database_url、database_password、PostgreSQLの稼働状況と権限を確認してください。表がまだない場合: art58 serve",
    "Check database_url, database_password, and whether that PostgreSQL runs and grants it. Without tables yet: art58 serve",
)
_START = Text("受信機を起動してください: art58 serve", "Start the receiver: art58 serve")


def _room(path: Path) -> Check:
    free = shutil.disk_usage(path.parent).free
    if free >= _LEAST_FREE_BYTES:
        return Check(_ROOM)
    mib = free // 1024 // 1024
    return Check(
        _ROOM, Text(f"残り{mib:,} MiBです", f"{mib:,} MiB are left"), Text("空きを作ってください", "Make room"), is_warning=True
    )


def _rules(rulebooks: tuple[Rulebook, ...], clock: Clock) -> Iterator[Finding]:
    """By the day on which somebody must look whether the law has changed, and whether one is for today at all."""
    now = clock()
    today = _today(clock)
    covering = Text("今日に適用される規則がある", "a rulebook is in force today")
    in_force = any(book.covers(today) for book in rulebooks)
    none = Text(f"{today}に適用されるものがありません", f"none covers {today}")
    cure = Text("受信機を更新するか、rulebooks に追加してください", "Update the receiver, or add one under rulebooks")
    yield from _named("rulebooks", [Check(covering) if in_force else Check(covering, none, cure)])
    for check in freshness.checks(rulebooks, now):
        what = Text(f"法令の確認期限: {check.check_by}", f"to be checked against the law by {check.check_by}")
        left = check.ends_at - now
        look = Text("改正の有無を確認し、受信機を更新してください", "See whether the law has changed, and update the receiver")
        if left < timedelta():
            yield Finding(f"rules {check.rules}", what, "failed", Text("期限を過ぎています", "that day has passed"), look)
        elif left < _SOON:
            yield Finding(f"rules {check.rules}", what, "warning", Text("期限が近づいています", "that day is near"), look)
        else:
            yield Finding(f"rules {check.rules}", what, "ok")


def _answered(one: Reached, key: str) -> Iterator[Check]:
    if one.problem:
        cure = Text(
            f"動作とアドレス、認証（設定 {key}）を確認してください",
            f"Check that it runs, its address, and what is sent to it: {key}",
        )
        yield Check(_ANSWERS, Text(f"答えません（{one.problem}）", one.problem), cure)
    else:
        yield Check(_ANSWERS)
    if one.ahead is None:
        return
    if abs(one.ahead) <= MOST_AHEAD:
        yield Check(_CLOCK)
        return
    seconds = one.ahead.total_seconds()
    fault = Text(f"こちらより{seconds:+.0f}秒進んでいます", f"it is {seconds:+.0f} s ahead of ours")
    yield Check(_CLOCK, fault, _NTP, is_warning=abs(one.ahead) <= FAR_AHEAD)


def of_ticket(ticket: Ticket, clock: Clock) -> Iterator[Check]:
    """What can be asked of this ticket system, after whether tickets are found there: without that, nothing else matters."""
    try:
        target = open_ticket(ticket, clock)
    except (SecretUnreadable, ValueError) as error:
        yield _unfit(error)
        return
    if isinstance(ticket, FollowedTicket) and target.reads:
        check = checking.search(target)
        yield check
        if check.fault:
            return
    yield from target.checks(_today(clock))


def _grafana(grafana: GrafanaSettings, clock: Clock) -> Iterator[Finding]:
    try:
        targets = open_grafana(grafana)
    except (SecretUnreadable, ValueError) as error:
        yield from _named(f"target {grafana.name}", [_unfit(error)])
        return
    for _, target in targets:
        yield from _named(f"target {target.name}", target.checks(_today(clock)))


def _today(clock: Clock) -> date:
    return clock().astimezone(JST).date()


def _unfit(error: Exception) -> Check:
    return Check(_OPENED, Text(f"使えません（{error}）", str(error)), Text("設定を直してください", "Correct the configuration"))
