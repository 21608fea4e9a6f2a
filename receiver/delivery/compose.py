"""What to say of an incident: a finished statement in Japanese and English, the same for every target."""

from collections.abc import Iterable
from datetime import datetime

from receiver.catalogue import Catalogue
from receiver.delivery.targets.plain_text import one_line
from receiver.delivery.words import (
    ALL_WITHDRAWN,
    LEARNT,
    NO_SERVICE,
    PLANNED,
    START_BASES,
    STATES,
    WITHDRAWN,
    by_alerts,
    is_drill_over,
    links,
    marks,
    notes,
)
from receiver.law import deadlines
from receiver.law.near_miss import NearMiss
from receiver.law.provisions import BASES, Text
from receiver.law.verdict import Verdict, gravest
from receiver.law.wording import METHODS, VERDICTS, clock_time, length
from receiver.law.wording import users as users_in_words
from receiver.model import Alert, Assessment, Impacted, Incident, Parts, Statement, matter
from receiver.stated import Stated, in_words, near_miss_of

ALERTS_SHOWN = 20
MOST_OF_A_LABEL = 200
MOST_OF_ALL_LABELS = 300
MOST_OF_EVIDENCE = 1000
"""Characters: what alerts carry is foreign text of any length."""

_REMARK = Text("　※ ", "  - ")
"""Before each remark on a duty, below it."""


def compose(
    incident: Incident,
    latest: list[Assessment],
    alerts: list[Alert],
    catalogue: Catalogue,
    duty_settings: deadlines.Settings,
    external_url: str,
    stated: Stated = Stated(),  # noqa: B008 - frozen
    parts: Iterable[str] = (),
) -> Statement:
    """The statement on the incident as of its latest assessments, which are none if all were withdrawn. `parts` are the incidents
    that became part of it.
    """
    near = near_miss_of(stated, incident.failure_started_at)
    verdict = gravest([*latest, near] if near else latest).verdict
    unmeasured = any(a.candidate and not a.measured for a in latest)
    parts_of_text = _parts(incident, latest, alerts, catalogue, duty_settings, stated, near, parts)
    title = _title(incident, verdict, unmeasured, latest, catalogue)
    if is_drill_over(incident, stated):
        title = _title_of_a_drill_that_is_over(incident, latest, catalogue)
    return Statement(
        key=incident.id,
        number=max((assessment.number for assessment in latest), default=0),
        title=_marked(title, marks(incident, stated)),
        text=_text(_head(parts_of_text, latest, verdict, near, catalogue), parts_of_text),
        verdict=verdict,
        unmeasured=unmeasured,
        tags=(
            "art58",
            f"a58:{incident.id}",
            f"verdict:{verdict.value}",
            *(f"service:{a.service}" for a in latest),
            *(["drill"] if stated.drill else []),
            *(["dismissed"] if incident.dismissed else []),
        ),
        url=f"{external_url.rstrip('/')}/incidents/{incident.id}",
        started_at=incident.failure_started_at,
        restored_at=incident.restored_at,
        resolved=incident.state in ("restored", "closed"),
        assessments=tuple(latest),
        milestone=_milestone(incident, verdict, latest, stated),
        parts=parts_of_text,
    )


def _milestone(incident: Incident, verdict: Verdict, latest: list[Assessment], stated: Stated) -> str:
    """Equal as long as nothing came to pass that those who watch a ticket should be told of."""
    is_candidate, unmeasured = any(a.candidate for a in latest), any(a.candidate and not a.measured for a in latest)
    services = sorted(a.service for a in latest if a.verdict == verdict and not a.withdrawn)
    marked = [mark.en for mark in (*marks(incident, stated), *([PLANNED] if stated.planned else []))]
    listed = f"services={','.join(services)}", f"marks={','.join(marked)}"
    return "/".join([incident.state, verdict.value, f"candidate={is_candidate}", f"unmeasured={unmeasured}", *listed])


def _title(incident: Incident, verdict: Verdict, unmeasured: bool, latest: list[Assessment], catalogue: Catalogue) -> Text:
    """Names the services the verdict is about, not those that were merely hit too; a candidate says when it may become major."""
    state = STATES[incident.state]
    expected, grown = _expected(verdict, latest)
    about = [a for a in latest if (a.candidate if expected else a.verdict == verdict)]
    # a near-miss, or what is open only for its checklist, is about the incident and so about all it hit
    meant = _names(about or latest, catalogue)
    mark = Text("【未計測】", "[unmeasured] ") if unmeasured else Text("", "")
    if expected:
        when = clock_time(expected)
        trend = Text("現在の傾向では", " on the present trend") if expected == grown else Text("", "")
        return Text(
            f"{mark.ja}{trend.ja}{when}に重大な事故の基準に達する可能性（要判断）: {meant.ja}（{state.ja}）",
            f"{mark.en}{meant.en}: may reach the threshold of a major accident (重大な事故) at {when}{trend.en}: "
            f"a person decides ({state.en})",
        )
    judged = VERDICTS[verdict] if latest or verdict != Verdict.NONE else WITHDRAWN
    return Text(f"{mark.ja}{judged.ja}: {meant.ja}（{state.ja}）", f"{mark.en}{meant.en}: {judged.en} ({state.en})")


def _expected(verdict: Verdict, latest: list[Assessment]) -> tuple[datetime | None, datetime | None]:
    """When it may become major, and when on the trend of its users alone; neither once it is."""
    if verdict == Verdict.MAJOR:
        return None, None
    candidates = [a for a in latest if a.candidate]
    grown = min((a.major_on_trend_at for a in candidates if a.major_on_trend_at), default=None)
    return min((moment for a in candidates for moment in (a.major_expected_at, grown) if moment), default=None), grown


def _title_of_a_drill_that_is_over(incident: Incident, latest: list[Assessment], catalogue: Catalogue) -> Text:
    """Without its verdict, which would alarm; the text still has it."""
    called, state = _names(latest, catalogue), STATES[incident.state]
    return Text(f"{called.ja}（{state.ja}）", f"{called.en} ({state.en})")


def _marked(title: Text, before: Iterable[Text]) -> Text:
    found = list(before)
    return Text("".join(f"【{mark.ja}】" for mark in found) + title.ja, "".join(f"[{mark.en}] " for mark in found) + title.en)


def _called(assessment: Assessment, catalogue: Catalogue) -> Text:
    service = catalogue.by_name.get(assessment.service)
    return service.called if service else Text(assessment.service, assessment.service)


def _names(assessments: list[Assessment], catalogue: Catalogue) -> Text:
    called = [_called(a, catalogue) for a in assessments] or [NO_SERVICE]
    return Text("・".join(each.ja for each in called), ", ".join(each.en for each in called))


def _parts(
    incident: Incident,
    latest: list[Assessment],
    alerts: list[Alert],
    catalogue: Catalogue,
    duty_settings: deadlines.Settings,
    stated: Stated,
    near: NearMiss | None,
    parts: Iterable[str],
) -> Parts:
    owed = deadlines.duties(matter(incident, latest, near), duty_settings)
    return Parts(
        state=incident.state,
        candidate=any(a.candidate for a in latest),
        notes=(*notes(incident, alerts, stated, parts), *([] if latest else [ALL_WITHDRAWN])),
        facts=_facts(incident, alerts, stated),
        impacts=tuple(_impact(assessment, catalogue) for assessment in latest),
        near_miss=_near_miss(near, stated) if near else (),
        duties=tuple(line for duty in owed for line in _duty(duty)),
        alerts=tuple(_alert(alert) for alert in alerts[:ALERTS_SHOWN]),
        alerts_left_out=max(len(alerts) - ALERTS_SHOWN, 0),
        links=links(alerts),
        due_on=min((duty.due_on for duty in owed if duty.due_on and duty.basis == "law"), default=None),
    )


def _text(head: Iterable[Text], parts: Parts) -> Text:
    """The head, and below it all other parts, with an empty line before each: so the head ends at the first empty line."""
    shown, rest = len(parts.alerts), parts.alerts_left_out
    alerts = (Text(f"アラート: {shown + rest}件", f"Alerts: {shown + rest}"), *parts.alerts)
    left_out = (Text(f"ほか{rest}件", f"and {rest} more"),) if rest else ()
    others = (*(impact.lines for impact in parts.impacts), parts.near_miss, parts.duties, (*alerts, *left_out))
    lines = [*head, *(line for part in others if part for line in (Text("", ""), *part))]
    return Text("\n".join(line.ja for line in lines), "\n".join(line.en for line in lines))


def _head(
    parts: Parts, latest: list[Assessment], verdict: Verdict, near: NearMiss | None, catalogue: Catalogue
) -> tuple[Text, ...]:
    """What whoever is called has to know at once: how it is followed, the verdicts with users, the threshold, times, deadlines."""
    lines = [*parts.notes, *(_in_short(a, catalogue) for a in latest)]
    if near:
        verdict_of_near = VERDICTS[gravest([near]).verdict]
        lines.append(Text(f"おそれ事態: {verdict_of_near.ja}", f"Near-miss: {verdict_of_near.en}"))
    lines += [threshold] if (threshold := _threshold(verdict, latest)) else []
    due = (line for line in parts.duties if not line.en.startswith(_REMARK.en))
    return (*lines, *parts.facts, *due)


def _in_short(assessment: Assessment, catalogue: Catalogue) -> Text:
    called, verdict, users = _called(assessment, catalogue), VERDICTS[assessment.verdict], _users(assessment)
    return Text(
        f"{called.ja}: {verdict.ja}、影響利用者数 {users.ja}",
        f"{called.en}: {verdict.en}; affected: {users.en}",
    )


def _threshold(verdict: Verdict, latest: list[Assessment]) -> Text | None:
    """When the threshold of a major accident was met, or may be."""
    since = min((a.major_since for a in latest if a.major_since and not a.withdrawn), default=None)
    if verdict == Verdict.MAJOR and since:
        return Text(f"基準に達した時刻: {clock_time(since)}", f"Threshold reached: {clock_time(since)}")
    expected, grown = _expected(verdict, latest)
    if expected is None:
        return None
    how = Text("変化がなければ", "if nothing changes")
    if expected == grown:
        how = Text("現在の傾向では", "on the present trend")
    elif any(a.candidate and not a.measured for a in latest):
        how = Text("未計測のため、早ければ", "unmeasured: at the earliest")
    when = clock_time(expected)
    return Text(f"基準到達の見込み: {when}（{how.ja}）", f"Threshold may be reached: {when} ({how.en})")


def _facts(incident: Incident, alerts: list[Alert], stated: Stated) -> tuple[Text, ...]:
    since, basis = clock_time(incident.failure_started_at), START_BASES["person" if stated.started_at else incident.start_basis]
    other_start, other_end = by_alerts(incident, alerts, stated)
    began = Text(f"故障の発生: {since}（{basis.ja}）", f"Failure began: {since} ({basis.en})")
    lines = [_with(began, other_start)]
    if incident.good_at:
        seen = clock_time(incident.good_at)
        lines.append(Text(f"最後に正常だった計測: {seen}", f"Last seen working: {seen}"))
    if incident.equipment:
        equipment = one_line(incident.equipment, MOST_OF_A_LABEL)
        lines.append(Text(f"設備: {equipment}", f"Equipment: {equipment}"))
    if incident.restored_at:
        end, spell = clock_time(incident.restored_at), length(incident.restored_at - incident.failure_started_at)
        restored = Text(f"復旧: {end}（継続時間 {spell.ja}）", f"Restored: {end} (after {spell.en})")
        lines.append(_with(restored, other_end))
    return tuple(lines)


def _with(line: Text, other: Text | None) -> Text:
    return Text(f"{line.ja}、{other.ja}", f"{line.en}, {other.en}") if other else line


def _impact(assessment: Assessment, catalogue: Catalogue) -> Impacted:
    called, users = _called(assessment, catalogue), _users(assessment)
    verdict, sections = VERDICTS[assessment.verdict], assessment.explanation.sections
    lines = (
        Text(f"■ {called.ja}: {verdict.ja}", f"* {called.en}: {verdict.en}"),
        Text(f"影響利用者数: {users.ja}", f"Affected: {users.en}"),
        *(_evidence(heading, line) for heading, lines in sections for line in lines),
    )
    return Impacted(assessment.service, called, lines)


def _users(assessment: Assessment) -> Text:
    number = users_in_words(assessment.affected_users)
    how = Text("計測", "measured") if assessment.measured else Text("未計測・上限", "unmeasured, upper bound")
    if assessment.method == "stated":
        how = METHODS["stated"]
    return Text(f"{number.ja}（{how.ja}）", f"{number.en} ({how.en})")


def _near_miss(near: NearMiss, stated: Stated) -> tuple[Text, ...]:
    """What the checklist comes to, and who answered it."""
    said = {act.id: act for (fact, _), act in stated.by.items() if fact == "near_miss"}
    heading = Text("■ おそれ事態（第58条の2）", "* Near-miss (おそれ事態, Art. 58-2)")
    return tuple(_evidence(heading, line) for line in (near.explanation, *(in_words(said[id_]) for id_ in sorted(said))))


def _duty(duty: deadlines.Duty) -> list[Text]:
    # where there is no number, what is owed says in its own words how soon
    due, basis = f" {clock_time(duty.due_at)}" if duty.due_at else f" {duty.due_on}" if duty.due_on else "", BASES[duty.basis]
    ja, en = f"{duty.what.ja}（{basis.ja}、要判断）", f"{duty.what.en} ({basis.en}; a person decides)"
    first = Text(f"期限{due}: {ja}", f"Due{due}: {en}")
    return [first, *(Text(f"{_REMARK.ja}{flag.text.ja}", f"{_REMARK.en}{flag.text.en}") for flag in duty.flags)]


def _evidence(heading: Text, line: Text) -> Text:
    # what a query or a fault says is foreign text
    ja, en = one_line(line.ja, MOST_OF_EVIDENCE), one_line(line.en, MOST_OF_EVIDENCE)
    return Text(f"{heading.ja}: {ja}", f"{heading.en}: {en}")


def _alert(alert: Alert) -> Text:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()) if name != "alertname")
    when = clock_time(alert.starts_at) + (f" – {clock_time(alert.ends_at)}" if alert.ends_at else " –")
    line = f"- {one_line(alert.name, MOST_OF_A_LABEL)} {{{one_line(labels, MOST_OF_ALL_LABELS)}}} {when}"
    way = LEARNT[alert.learnt] if alert.learnt != "webhook" else None
    return Text(f"{line}（{way.ja}）", f"{line} ({way.en})") if way else Text(line, line)
