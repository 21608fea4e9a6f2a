"""How a row of the ledger stands, in Japanese and English: the same words on pages and in the terminal."""

from receiver.law.provisions import Text
from receiver.model import Delivery

STATES: dict[str, Text] = {
    "dead": Text("不達", "dead"),
    "owed": Text("未送付", "owed"),
    "claimed": Text("送付中", "claimed"),
    "unsure": Text("再確認待ち", "unsure"),
    "sent": Text("送付済み", "sent"),
}
SENT_WITHOUT_FIELDS = Text("送付済み（設定した項目なし）", "sent without its mapped fields")
_OBJECTS: dict[str, Text] = {
    "ticket": Text("チケット", "ticket"),
    "annotation": Text("アノテーション", "annotation"),
    "annotation.major": Text("アノテーション（重大な事故）", "annotation (major)"),
}


def state(row: Delivery) -> Text:
    """Its state; where the other side took it only without the fields that the operator mapped, this says so."""
    return SENT_WITHOUT_FIELDS if lacks_fields(row) else STATES[row.state]


def lacks_fields(row: Delivery) -> bool:
    """Whether it is there, but without the fields that the operator mapped."""
    return row.state in ("sent", "unsure") and bool(row.remembered.lacking)


def error(row: Delivery) -> str:
    """What the other side said last that it does not take; empty where it took all."""
    return row.last_error or ("; ".join(dict.fromkeys(row.remembered.lacking.values())) if lacks_fields(row) else "")


def has_next(row: Delivery) -> bool:
    """Whether it is tried again by itself, or looked at once more."""
    return row.state in ("owed", "unsure")


def called(object_: str) -> Text:
    """What is made there; "ticket.2" is the second ticket of its incident."""
    if known := _OBJECTS.get(object_):
        return known
    name, _, number = object_.rpartition(".")
    of = _OBJECTS.get(name, Text(name, name))
    return Text(f"{of.ja}（{number}件目）", f"{of.en} {number}")
