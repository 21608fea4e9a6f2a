"""How an incident stands, in Japanese and English: the same words in tickets and on pages."""

import re
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

from receiver.law.provisions import Text
from receiver.law.wording import clock_time
from receiver.model import Alert, Incident, IncidentState, Learnt, Link, Source, StartBasis
from receiver.stated import Stated

STATES: dict[IncidentState, Text] = {
    "open": Text("発生中", "ongoing"),
    "recovering": Text("復旧確認中", "recovering"),
    "restored": Text("復旧", "restored"),
    "closed": Text("終結", "closed"),
}
START_BASES: dict[StartBasis, Text] = {
    "equipment_series": Text("設備の計測値による", "from the equipment's own series"),
    "alerts_for_state": Text("アラート条件の成立時刻による", "from when the alert's condition began to hold"),
    "starts_at": Text("アラートの発火時刻による", "from when the alert fired"),
    "person": Text("人の申告による", "as a person stated"),
}
LEARNT: dict[Learnt, Text] = {
    "webhook": Text("通知を受信", "told by webhook"),
    "alertmanager_api": Text("AlertmanagerのAPIで発見", "found at Alertmanager's API"),
    "rule_series": Text("ルールの時系列（ALERTS）で発見", "found in the rules' own series (ALERTS)"),
    "act": Text("人の申告", "stated by a person"),
}

DRILL, DRILL_OVER = Text("訓練", "drill"), Text("訓練終了", "drill over")
DISMISSED, PLANNED = Text("誤報として取下げ", "dismissed as a false alarm"), Text("計画された工事", "planned work")
_PART_OF = Text("{0}に統合", "now part of {0}")

WITHDRAWN, NO_SERVICE = Text("判定取下げ", "verdicts withdrawn"), Text("影響を受ける役務なし", "no service is hit")
ALL_WITHDRAWN = Text(
    "現在の情報では、この障害はカタログのどの役務にも影響していない。以前の判定はすべて取り下げた"
    "（別の障害によるもの、又はカタログの変更による）",
    "By what is known now it hits no service of the catalogue: all verdicts on it were withdrawn "
    "(another failure hit the services, or the catalogue was changed)",
)
"""Of an incident that was assessed, and none of its assessments stands any more."""

DETAILS, CONTINUES, LINKS = Text("詳細", "Details"), Text("前のチケット", "Goes on from"), Text("リンク", "Links")
NOT_USABLE = Text("ひな形を使えなかった: {0}", "A template could not be used: {0}")
"""What is wrong with it goes into the braces."""

_SILENCE = Text("サイレンス（通知の停止）", "Silence it")
_LINKS: dict[str, Text] = {
    "__dashboard_url__": Text("Grafanaのダッシュボード", "Grafana dashboard"),
    "__panel_url__": Text("Grafanaのパネル", "Grafana panel"),
    "__silence_url__": _SILENCE,
}
_RULES: dict[Source, Text] = {
    "alertmanager": Text("アラートの条件（Prometheus）", "Alert's expression in Prometheus"),
    "grafana": Text("アラートルール（Grafana）", "Alert rule in Grafana"),
}
LINK_NAMES = frozenset(
    name for what in (DETAILS, *_LINKS.values(), *_RULES.values()) for name in (what.ja, what.en, f"{what.ja} / {what.en}")
)
"""What our own links may be called, in each choice of languages."""

LINKS_OF_A_KIND = 3
"""All alerts of an incident may have links of their own; those of the first of them lead far enough."""
# no blank, quote or bracket ends it early, wherever it is shown
_ADDRESS = re.compile(r"https?://[!-~]{1,1500}")
_UNFIT = set("\"'<>`\\^{|}")

CONTINUED = "この障害は {0} に続きます。 / It goes on in {0}."
DOUBLE = "{0} と重複しています（応答のなかった呼出しによる）。 / A double of {0}, made by a call that gave no answer."
DOUBLED = "重複するチケット: {0} / There is a double of this: {0}"
"""Comments on a ticket about another one, whose id goes into the braces."""


def marks(incident: Incident, stated: Stated) -> tuple[Text, ...]:
    """What has to stand before all else that is said of it."""
    found, over = [], is_drill_over(incident, stated)
    if stated.drill:
        found.append(DRILL_OVER if over else DRILL)
    if incident.dismissed and not over:
        found.append(DISMISSED)
    if whole := incident.joined_to:
        found.append(Text(_PART_OF.ja.format(whole), _PART_OF.en.format(whole)))
    return tuple(found)


def mark_of(en: str) -> Text | None:
    """The mark that is called so in English; None if there is none such."""
    before = _PART_OF.en.format("")
    if en.startswith(before):
        return Text(_PART_OF.ja.format(en.removeprefix(before)), en)
    return next((mark for mark in (DRILL, DRILL_OVER, DISMISSED, PLANNED) if mark.en == en), None)


def is_drill_over(incident: Incident, stated: Stated) -> bool:
    """Whether it was but a drill, of which nothing goes on: however that was said, nothing needs to be done."""
    return stated.drill and (incident.dismissed or incident.state in ("restored", "closed"))


def notes(incident: Incident, alerts: list[Alert], stated: Stated, parts: Iterable[str] = ()) -> tuple[Text, ...]:
    """What a person should know of how the incident is followed, in whole sentences. `parts` are those that became part of it."""
    found = []
    if stated.drill:
        found.append(
            Text(
                "訓練であるとの申告がある。以下は訓練として算定したもの",
                "By a person's word a drill: all below was computed for it",
            )
        )
    if whole := incident.joined_to:
        found.append(
            Text(f"この障害は{whole}の一部となった。判定は{whole}を見ること", f"It is now part of {whole}: see the verdict there")
        )
    if listed := ", ".join(parts):
        found.append(Text(f"この障害の一部となったもの: {listed}", f"Became part of it: {listed}"))
    found += _followed(incident, alerts, stated)
    ways = sorted({alert.learnt for alert in alerts} - {"webhook"})
    if ways:
        ja, en = "、".join(LEARNT[way].ja for way in ways), ", ".join(LEARNT[way].en for way in ways)
        found.append(Text(f"通知によらず把握したアラートを含む: {ja}", f"It has alerts learnt otherwise than by webhook: {en}"))
    return tuple(found)


def links(alerts: Iterable[Alert]) -> tuple[Link, ...]:
    """Where to look on: what the senders of the alerts name, each place once. What is no plain web address is left out."""
    found: dict[str, list[Link]] = {}
    for alert in alerts:
        named = [(what, alert.annotations.get(name, "")) for name, what in _LINKS.items()]
        if rule := _RULES.get(alert.source):
            named.append((rule, alert.generator_url))
        for what, url in named:
            same = found.setdefault(what.en, [])
            if len(same) == LINKS_OF_A_KIND:
                continue
            lacks_labels = what is _SILENCE and alert.source == "alertmanager" and url.endswith(_OF_LABELS)
            link = Link(what, url + _matchers(alert.labels) if lacks_labels else url)
            if _ADDRESS.fullmatch(link.url) and not set(link.url) & _UNFIT and link not in same:
                same.append(link)
    return tuple(link for same in found.values() for link in same)


_OF_LABELS = "/#/silences/new?filter="
"""Ends the address at which Alertmanager makes a silence for the labels that follow."""


def _matchers(labels: dict[str, str]) -> str:
    """As Alertmanager writes them in an address: values are quoted, with a backslash before quotes and backslashes."""
    escaped = {name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in labels.items()}
    return quote("{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}")


def _followed(incident: Incident, alerts: list[Alert], stated: Stated) -> list[Text]:
    """Who tells whether it goes on, and what it waits for."""
    if incident.unwatched_since and incident.state in ("open", "recovering"):
        since = clock_time(incident.unwatched_since)
        return [
            Text(
                f"{since}から、続いているかどうかを知らせるものがない（ルールの削除、Prometheusの消失又はAlertmanagerの沈黙）。"
                "設備を確認し、復旧していればその時刻を申告すること（art58 act times）",
                f"Since {since} nobody tells whether it goes on (rule deleted, Prometheus vanished, Alertmanager silent). "
                "Look at the equipment, and state when it was restored if it was (art58 act times)",
            )
        ]
    if incident.state == "open" and stated.is_going_on:
        return [Text("復旧していないとの申告により発生中とする", "It stays open because a person says that it is not over")]
    if incident.state == "open" and alerts and all(_is_over(alert) for alert in alerts):
        return [
            Text(
                "アラートはすべて解消したが、復旧を確認できないため発生中とする"
                "（Prometheusが応答しない、設備の計測値が正常に戻らない、又はルールがない）",
                "All alerts are resolved, but it stays open: the recovery is not confirmed (Prometheus does not answer, the "
                "equipment's own series does not show it working, or the rule is gone)",
            )
        ]
    if incident.state == "restored":
        return [
            Text(
                "復旧は確定した。人が確認し、終結を申告するまで残る（art58 act close）",
                "The recovery has held. It stays until a person has looked at it and states that it is closed (art58 act close)",
            )
        ]
    return []


def by_alerts(incident: Incident, alerts: list[Alert], stated: Stated) -> tuple[Text | None, Text | None]:
    """Start and end as the alerts tell them, each where a person stated another."""
    if not alerts:
        return None, None
    since, until = min(alert.starts_at for alert in alerts), [alert.ends_at for alert in alerts if alert.ends_at]
    started = stated.started_at and since != incident.failure_started_at
    ended = stated.restored_at and len(until) == len(alerts) and max(until) != incident.restored_at
    return _alerts_say(since) if started else None, _alerts_say(max(until)) if ended else None


def _alerts_say(at: datetime) -> Text:
    return Text(f"アラートでは{clock_time(at)}", f"by the alerts {clock_time(at)}")


def _is_over(alert: Alert) -> bool:
    """Whether it was not said to fire after it was said to be over."""
    if alert.ends_at is None:
        return False
    said = max(alert.ends_at, alert.resolved_at or alert.ends_at)
    return alert.fired_at is None or alert.fired_at <= said
