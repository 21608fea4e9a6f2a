"""What checks of targets are made of: a question asked, an address reached, a folder looked at. None of it writes anything.

What a system is asked stands in its own module, `jira_checks` for `jira` and so on, with what was read of it and what was not
confirmed. A question that only administrators may ask, or that needs a ticket, is not asked: what it is about may still be wrong.
"""

import os
import re
import socket
import ssl
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from receiver.delivery.targets import Check, Missing, Refused, Target, Unreachable
from receiver.delivery.targets.http import Api
from receiver.law.provisions import Text

T = TypeVar("T")

UNKNOWN_KEY = "art58-doctor"
"""No incident has this id: it is looked for, and not found."""

SEARCH = Text("チケットの検索（アドレスと認証を含む）", "tickets can be sought (address and secret included)")
PROJECT = Text("プロジェクトとその状態", "the project is there and in use")
RIGHTS = Text("チケットを作成・更新する権限", "the right to make and change tickets")
FIELDS = Text("設定した項目が存在する", "the configured fields are there")
STATUSES = Text("設定した状態が存在する", "the configured statuses are there")
PEOPLE = Text("設定した担当者が存在する", "the configured assignees are there")
MILESTONE = Text("設定したマイルストーンが存在する", "the configured milestone is there")
KINDS = Text("設定した種別が存在する", "the configured kind of ticket is there")

_ADDRESS = Text("アドレスに接続できる", "its address can be connected to")
_FOLDER = Text("フォルダーに書き込める", "its folder can be written")

_CURES = {
    "401": Text("設定の秘密情報（トークン、キー）を確認してください", "Check the secret in the configuration"),
    "403": Text("トークンの利用者に権限を与えてください", "Give the secret's user the right to do this"),
    "404": Text(
        "設定のアドレスと名前、見る権限を確認してください",
        "Check address and names in the configuration, and the right to see them",
    ),
    "429": Text("しばらく待って、もう一度実行してください", "Wait a while, and ask again"),
}
_SERVER = Text("相手側の復旧を待って、もう一度実行してください", "Wait until the other side works again, and ask again")
_NETWORK = Text(
    "アドレス、DNS、ファイアウォール、プロキシ、証明書を確認してください",
    "Check the address, DNS, firewalls, the proxy and certificates",
)
_OTHER = Text("設定を確認してください", "Check the configuration")


def asked(what: Text, ask: Callable[[], T]) -> tuple[Check, T | None]:
    """The answer to a question; None where there is none, and then the check says why."""
    try:
        return Check(what), ask()
    except (Unreachable, Refused) as error:
        text = str(error)
        status = re.search(r"answered ([1-5][0-9]{2})", text)
        if status:
            fault = Text(f"{status[1]}が返りました（{text}）", text)
            cure = _CURES.get(status[1], _SERVER if status[1][0] == "5" else _OTHER)
        elif "no connection" in text or "no answer" in text:
            fault, cure = Text(f"応答がありません（{text}）", text), _NETWORK
        else:
            fault, cure = Text(f"使えません（{text}）", text), _OTHER
        return Check(what, fault, cure), None


def reachable(url: str, timeout_seconds: float, what: Text = _ADDRESS) -> Check:
    """By TCP, and TLS where it is https; by the proxy's address where one is set for it."""
    proxy = select_proxy(url, get_environ_proxies(url))
    parts = urlsplit(proxy or url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{parts.hostname}:{port}"
    try:
        with socket.create_connection((parts.hostname or "", port), timeout_seconds) as connection:
            if parts.scheme == "https":
                trusted = os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
                is_folder = Path(trusted).is_dir()
                context = ssl.create_default_context(cafile=None if is_folder else trusted, capath=trusted if is_folder else None)
                context.wrap_socket(connection, server_hostname=parts.hostname).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "verify_message", "") or getattr(error, "strerror", None) or type(error).__name__
        return Check(what, Text(f"{where}に接続できません（{why}）", f"no connection to {where} ({why})"), _NETWORK)
    return Check(what)


def folder(path: Path) -> Check:
    """Whether files can be made in the folder, or it can be made itself. `os.access` asks, and makes none."""
    there = next((place for place in (path, *path.parents) if place.exists()), path)
    cure = Text(
        "フォルダーの所有者と権限を確認してください（art58 を実行する利用者が書き込めること）",
        "Check its owner and permissions: the user who runs art58 must be able to write there",
    )
    if not there.is_dir():
        return Check(_FOLDER, Text(f"{there}はフォルダーではありません", f"{there} is no folder"), cure)
    if not os.access(there, os.W_OK | os.X_OK):
        return Check(_FOLDER, Text(f"{there}に書き込めません", f"{there} cannot be written"), cure)
    return Check(_FOLDER)


class Reader:
    """Asks with the target's own secret, and can do nothing else."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def get(self, path: str, type_: type[T], **params: str) -> T:
        return self._api.call("GET", path, type_, params=params)


def search(target: Target) -> Check:
    """Whether tickets are found by their key, and only those: a filter that a system does not know lists everything."""
    check, found = asked(SEARCH, lambda: target.find(UNKNOWN_KEY))
    if not found:
        return check
    wrong = Text(
        f"存在しない番号で{len(found)}件見つかります", f"{len(found)} ticket(s) are found by an id that none has: {found[0]}"
    )
    return Check(SEARCH, wrong, Text("検索に使う項目の設定を確認してください", "Check the field by which tickets are found"))


def there(what: Text, name: str, ask: Callable[[], object], cure: Text | None = None) -> Check:
    """One of which the other side says 404 if it is not there."""

    def told() -> bool:
        try:
            ask()
        except Missing:
            return False
        return True

    check, is_there = asked(what, told)
    return Check(what, Text(f"ありません: {name}", f"there is no {name}"), cure or _OTHER) if is_there is False else check


def in_use(check: Check, *, is_archived: bool, has_no_issues: bool = False) -> Check:
    if is_archived:
        wrong = Text("アーカイブ済み（または終了）です", "it is archived or closed")
        return Check(PROJECT, wrong, Text("別のプロジェクトを設定するか、元に戻してください", "Open it again, or name another one"))
    if has_no_issues:
        wrong = Text("課題（issue）の機能が無効です", "issues are switched off there")
        return Check(PROJECT, wrong, Text("プロジェクトの設定で有効にしてください", "Switch them on in its settings"))
    return check


def rights(lacking: Iterable[str], what: Text = RIGHTS) -> Check:
    """By the names of the rights that the secret's user lacks."""
    names = ", ".join(lacking)
    if not names:
        return Check(what)
    return Check(
        what, Text(f"不足: {names}", f"lacking: {names}"), Text("利用者に権限を与えてください", "Give the user this right")
    )


def configured(what: Text, wanted: Iterable[Any], known: Collection[Any], setting: str) -> Check:
    """Whether all that the configuration names is among what is known there."""
    lacking = ", ".join(str(one) for one in wanted if one not in known)
    if not lacking:
        return Check(what)
    cure = Text(f"設定 {setting} か、相手側の設定を直してください", f"Correct {setting} in the configuration, or add it there")
    return Check(what, Text(f"ありません: {lacking}", f"not there: {lacking}"), cure)


def warned(check: Check) -> Check:
    """The same as a warning: what it is about may be right all the same."""
    return msgspec.structs.replace(check, is_warning=True)


def is_template(value: Any) -> bool:
    """What comes out of a template is not known before there is an incident."""
    return isinstance(value, str) and "{" in value


def fixed(value: Any) -> list[Any]:
    """The values given for a field, one or several, but for templates."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if one is not None and not is_template(one)]
