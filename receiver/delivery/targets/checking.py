"""What checks of targets are made of: a question asked, an address reached, a folder looked at. None of it writes anything."""

import os
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from receiver.delivery.targets import Check, Refused, Unreachable
from receiver.law.provisions import Text

T = TypeVar("T")

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


def asked(what: Text, ask: Callable[[], T], cure: Text | None = None) -> tuple[Check, T | None]:
    """The answer to a question; None where there is none, and then the check says why. `cure` stands in for the usual one."""
    try:
        return Check(what), ask()
    except (Unreachable, Refused) as error:
        text = str(error)
        status = re.search(r"answered ([1-5][0-9]{2})", text)
        if status:
            fault = Text(f"{status[1]}が返りました（{text}）", text)
            usual = _CURES.get(status[1], _SERVER if status[1][0] == "5" else _OTHER)
        elif "no connection" in text or "no answer" in text:
            fault, usual = Text(f"応答がありません（{text}）", text), _NETWORK
        else:
            fault, usual = Text(f"使えません（{text}）", text), _OTHER
        return Check(what, fault, cure or usual), None


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
