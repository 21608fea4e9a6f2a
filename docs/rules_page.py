"""The page of every rule, its source and how sure we are, from the data that the receiver judges by; the same in two languages."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from typing import Literal

from docs import rules_text as words
from docs.counting_examples import KINDS as COUNTED
from docs.counting_examples import SAME_CAUSE
from docs.markdown import bullets, page, table
from docs.rules_parts import Say, source, span, sure, where_and_when
from receiver.law import causes, near_miss, questions
from receiver.law.estimate import Estimate
from receiver.law.provisions import EVIDENCE, Provision, Text, deadlines, guideline_rules
from receiver.law.provisions.deadlines import Rule
from receiver.law.rulebook import Clause2, Periodic, Row, Rulebook, shipped
from receiver.law.wording import CAUSES, KINDS, METHODS, users

DURATION = ("start_and_end", "improvement", "sla_met", "announced")


def rules(language: Literal["ja", "en"]) -> str:
    say = Say(language)
    sections: list[tuple[Text, Callable[[Say], list[str]]]] = [
        (Text("読み方", "How to read this page"), _how_to_read),
        (Text("規則のファイル", "Files of rules"), _files),
        (Text("重大な事故と定期報告の基準", "Thresholds of major accidents and of the periodic report"), _rulebooks),
        (Text("影響利用者数の算定", "Counting affected users"), _counting),
        (Text("継続時間", "Duration"), _duration),
        (Text("義務と期限", "Duties and deadlines"), _duties),
        (Text("おそれ事態の点検表", "Checklist of near-misses"), _near_miss),
        (Text("原因、停止、品質の低下", "Causes, stops, lowered quality"), _effects),
        (Text("推測せずに尋ねる事項", "Open questions: asked, never guessed"), _questions),
        (Text("あえて置いていない規則", "What is deliberately not there"), _absent),
        (Text("出典の文書", "Documents"), _documents),
    ]
    parts = [say(words.OTHER_LANGUAGE)]
    for title, section in sections:
        parts += [f"## {say(title)}", *section(say)]
    return page(say(words.TITLE), *parts)


def _how_to_read(say: Say) -> list[str]:
    return [
        say(words.HOW_TO_READ),
        table(
            (say.of("印", "Mark"), say.of("意味", "Meaning")),
            [(f"`{mark}`", say(meaning)) for mark, meaning in words.MARKS.items()],
        ),
        say(words.BASIS),
        say(words.NAMES),
    ]


def _files(say: Say) -> list[str]:
    head = say.one_of(
        ("ファイル・規則", "期間", "根拠", "最終確認", "次の確認"),
        ("File or rulebook", "In force", "Evidence", "Last checked", "Check by"),
    )
    rows: list[tuple[str, ...]] = [
        (
            f"[{book.id}](#{book.id.lower()})<br>{say(book.title)}",
            _book_days(book, say),
            f"`{book.evidence}`",
            str(book.last_checked),
            str(book.check_by or "–"),
        )
        for book in _books()
    ]
    duties, checklist, known = deadlines.shipped(), near_miss.shipped(), guideline_rules()
    items = (checklist.not_when_major, *checklist.class_1, *checklist.exclusions, *checklist.class_2)
    points = [item.provision for item in items] + [case.provision for case in checklist.cases]
    files = {
        "guideline.yaml": (known.rules.values(), known.check_by),
        "deadlines.yaml": ([*(rule.provision for rule in duties.duties), duties.first_day.provision], duties.check_by),
        "near-miss.yaml": (points, checklist.check_by),
        "causes.yaml": ([rule.provision for rule in causes.shipped().causes], causes.shipped().check_by),
        "questions.yaml": ([one.provision for one in questions.shipped().questions.values()], questions.shipped().check_by),
    }
    rows += [_file(name, list(provisions), check_by, say) for name, (provisions, check_by) in files.items()]
    return [table(head, rows), say(words.FILES)]


def _file(name: str, provisions: list[Provision], check_by: date, say: Say) -> tuple[str, ...]:
    found = Counter(provision.evidence for provision in provisions)
    evidence = "<br>".join(f"`{mark}` {found[mark]}" for mark in words.MARKS if found[mark])
    oldest = min(provision.last_checked for provision in provisions)
    return f"`{name}`", say.of("規則ごと", "each rule its own"), evidence, str(oldest), str(check_by)


def _rulebooks(say: Say) -> list[str]:
    parts = [say(words.RULEBOOKS)]
    for book in _books():
        head = say.one_of(("項", "役務", "条件（いずれか）", "条文"), ("Row", "Service", "Conditions (one is enough)", "Article"))
        rows = [(str(row.row), _service(row, say), _conditions(row, say), say.law(book.citation(row).article)) for row in book.rows]
        parts += [f"### {book.id}", _facts(book, say), table(head, rows)]
    return parts


def _books() -> list[Rulebook]:
    newest_first = sorted(shipped(), key=lambda book: book.valid_to or date.max, reverse=True)
    return sorted(newest_first, key=lambda book: book.status != "in_force")


def _facts(book: Rulebook, say: Say) -> str:
    facts = {
        Text("名称", "Title"): say(book.title),
        Text("期間", "In force"): _book_days(book, say),
        Text("条文", "Article"): say.law(book.article, " · "),
        Text("出典", "Source"): source(book.source, say),
        Text("根拠の種類", "Evidence"): f"`{book.evidence}` ({say(EVIDENCE[book.evidence])})",
        Text("最終確認", "Last checked"): str(book.last_checked),
        Text("次の確認", "Check by"): str(book.check_by or "–"),
        Text("停止と品質の低下", "Stops and lowered quality"): say(_effect(book)),
        Text("衛星・海底ケーブル等", "Satellites, submarine cables and the like"): _clause_2(book, say),
        Text("定期報告", "Periodic report"): _periodic(book, say),
    }
    return bullets([f"**{say(name)}**: {said}" for name, said in facts.items()])


def _effect(book: Rulebook) -> Text:
    if book.stop_only:
        return Text("停止だけを数える", "only stops count")
    if book.apart:
        return Text("それぞれ別に判定し、足し合わせない", "judged apart, never added up")
    return Text("同じ表で判定する（両方あれば利用者の和集合）", "one table for both (their users' union, where there are both)")


def _clause_2(book: Rulebook, say: Say) -> str:
    if book.clause_2 is None:
        return say.of("規定なし", "no such rule")
    spell = _hours(book.clause_2.duration_seconds)
    said = Text(
        f"自ら設置した人工衛星・海底ケーブル・これらに準ずる設備を用いるすべての通信が{spell.ja}以上不能。利用者数は問わない",
        "all communications through a satellite, submarine cable or comparable facility that the carrier installed impossible for "
        f"≥ {spell.en}, whatever the number of users",
    )
    return f"{say(said)} ({_cited(book.clause_2, say)})"


def _periodic(book: Rulebook, say: Say) -> str:
    spell, number = _hours(book.periodic.duration_seconds), users(book.periodic.users)
    said = Text(f"{number.ja}以上、または{spell.ja}以上", f"≥ {number.en}, or ≥ {spell.en}")
    return f"{say(said)} ({_cited(book.periodic, say)})"


def _cited(rule: Periodic | Clause2, say: Say) -> str:
    checked = say.of(f"確認 {rule.last_checked}", f"checked {rule.last_checked}")
    return f"{say.law(rule.article, ' · ')}, {source(rule.source, say)}, `{rule.evidence}`, {checked}"


def _book_days(book: Rulebook, say: Say) -> str:
    if book.status != "in_force":
        return say.of("施行されていない。名前を指定したときだけ使う", "never in force, used only when asked for by name")
    certain = ""
    if book.certain_from:
        certain = say.of(f"、{book.certain_from}から確実", f", certain from {book.certain_from} on")
    return f"{span(book.valid_from, book.valid_to, say)} (`{book.valid_days}`{certain})"


def _service(row: Row, say: Say) -> str:
    asks = [" / ".join(say(KINDS[kind]) for kind in row.kinds)] if row.kinds else []
    if row.emergency_calls is not None:
        asks.append(f"`emergency_calls: {str(row.emergency_calls).lower()}`")
    if row.charged is not None:
        asks.append(f"`charged: {str(row.charged).lower()}`")
    if row.monthly_users_previous_fy_at_least is not None:
        asks.append(f"`monthly_users_previous_fy` ≥ {row.monthly_users_previous_fy_at_least:,}")
    return say.law(row.title) + (f"<br>({', '.join(asks)})" if asks else "")


def _conditions(row: Row, say: Say) -> str:
    said = []
    for condition in row.conditions:
        spell, number = _hours(condition.duration_seconds), users(condition.users)
        said.append(say.of(f"{spell.ja}以上かつ{number.ja}以上", f"≥ {spell.en} and ≥ {number.en}"))
    return "<br>".join(said)


def _hours(seconds: int) -> Text:
    return Text(f"{seconds / 3600:g}時間", f"{seconds / 3600:g} h")


def _counting(say: Say) -> list[str]:
    parts = [say(words.COUNTING), bullets([say(note) for note in words.COUNTING_NOTES])]
    for kind in COUNTED:
        head = say.one_of(("方法", "式", "使わないとき", "根拠"), ("Method", "Formula", "Passed over when", "Basis"))
        rows = [
            (
                f"{number}. `{method}`<br>{say(METHODS[method])}",
                say(words.FORMULAS[method]),
                "<br>".join(map(say, why)),
                _rule_and_mark(kind.examples[method].citation, "<br>"),
            )
            for number, (method, why) in enumerate(kind.passed_over.items(), 1)
        ]
        examples = [f"`{method}`: {_example(kind.examples[method], say)}" for method in kind.passed_over]
        parts += [f"### {say(kind.title)}", table(head, rows)]
        parts += [bullets([say(note)[0].upper() + say(note)[1:] for note in kind.notes])] if kind.notes else []
        parts += [say.of("例：", "Examples:"), bullets(examples)]
    example = f"{say.of('例：', 'Example: ')}{say(SAME_CAUSE.formula)} ({_rule_and_mark(SAME_CAUSE.citation)})"
    title = say.of("同じ原因で故障した複数の設備", "Several units that failed for one cause")
    parts += [f"### {title}", say(words.SAME_CAUSE), example]
    return [*parts, f"### {say.of('根拠とする文書', 'What these rest on')}", _guideline(_counted_by(), say)]


def _example(example: Estimate, say: Say) -> str:
    others = "; ".join(f"{say(users(other.users))} ({say(other.reading)})" for other in example.other_readings)
    return say(example.formula) + (say.of(f"他の読み方: {others}", f" Other readings: {others}") if others else "")


def _rule_and_mark(citation: Provision, between: str = ", ") -> str:
    return f"`{_name(citation)}`{between}`{citation.evidence}`"


def _name(citation: Provision) -> str:
    return next(name for name, rule in guideline_rules().rules.items() if rule == citation)


def _counted_by() -> list[str]:
    cited = [example.citation for kind in COUNTED for example in kind.examples.values()] + [SAME_CAUSE.citation]
    names = {_name(citation) for citation in cited}
    return [name for name in guideline_rules().rules if name in names]


def _guideline(names: Iterable[str], say: Say) -> str:
    head = say.one_of(("規則", "内容", "文書と出典", "確かさ"), ("Rule", "What it says", "Article and source", "How sure"))
    rows = []
    for name in names:
        rule = guideline_rules().rules[name]
        says = say(rule.says) if rule.says else "–"
        rows.append((f"`{name}`", says, f"{say.law(rule.article)}<br>{source(rule.source, say)}", sure(rule, say)))
    return table(head, rows)


def _duration(say: Say) -> list[str]:
    return [say(words.DURATION), _guideline(DURATION, say)]


def _duties(say: Say) -> list[str]:
    head = say.one_of(
        ("義務", "宛先、様式", "期限", "条文と出典", "期間", "確かさ"),
        ("Duty", "To, form", "By when", "Article and source", "In force", "How sure"),
    )
    book = deadlines.shipped()
    rows = [
        (
            f"`{rule.id}`<br>{say(rule.what)}",
            f"{say(rule.to)}<br>{rule.form or '–'}",
            _by_when(rule, say),
            *where_and_when(rule.provision, say),
        )
        for rule in book.duties
    ]
    first = book.first_day
    rows.append((f"`first_day`<br>{say(first.text)}", "–", "–", *where_and_when(first.provision, say)))
    return [say(words.DUTIES), table(head, rows)]


def _by_when(rule: Rule, say: Say) -> str:
    if rule.days is not None:
        return say.of(f"{rule.days}日（初日不算入）", f"{rule.days} days, first day not counted")
    if rule.months is not None:
        ends = ", ".join(map(str, rule.period_end_months))
        return say.of(
            f"期間（{ends}月末まで）の経過後{rule.months}か月",
            f"{rule.months} months after the period (which ends with month {ends})",
        )
    if rule.minutes is not None:
        return say.of(f"{rule.minutes}分", f"{rule.minutes} minutes")
    return say.of("数値の定めなし", "no number is named")


def _near_miss(say: Say) -> list[str]:
    checklist = near_miss.shipped()
    question = {one.fact: f"`{one.fact}`<br>{say(one.text)}" for one in checklist.questions}
    points: list[tuple[str, tuple[near_miss.Fact, ...], Provision]] = [
        (item.label, (item.fact,), item.provision) for item in (checklist.not_when_major, *checklist.class_1)
    ]
    points += [(case.label, case.facts, case.provision) for case in checklist.cases]
    for item in (*checklist.exclusions, *checklist.class_2):
        spared = "".join(say.of(f"<br>（ホ({n})を除く）", f"<br>(not for ホ({n}))") for n in item.spares_cases)
        points.append((item.label + spared, (item.fact,), item.provision))
    head = say.one_of(
        ("条項", "質問", "条文と出典", "期間", "確かさ"), ("Point", "Question", "Article and source", "In force", "How sure")
    )
    rows = [
        (label, say.of("<br>かつ<br>", "<br>and<br>").join(question[fact] for fact in facts), *where_and_when(provision, say))
        for label, facts, provision in points
    ]
    return [say(words.NEAR_MISS), table(head, rows)]


def _effects(say: Say) -> list[str]:
    elsewhere = {*_counted_by(), *DURATION}
    head = say.one_of(
        ("原因", "判定での扱い", "内容", "文書と出典", "確かさ"),
        ("Cause", "Judged as", "What it says", "Article and source", "How sure"),
    )
    rows = []
    for rule in causes.shipped().causes:
        judged = f"{say(CAUSES[rule.cause])}<br>`{rule.cause}`"
        if rule.a_person_decides:
            judged += say.of("<br>**要判断**", "<br>**a person decides**")
        where, _, sure = where_and_when(rule.provision, say)
        says = say(rule.provision.says) if rule.provision.says else "–"
        rows.append((f"`{rule.id}`<br>{say(rule.text)}", judged, says, where, sure))
    others = [name for name in guideline_rules().rules if name not in elsewhere]
    return [say(words.EFFECTS), table(head, rows), *([_guideline(others, say)] if others else [])]


def _questions(say: Say) -> list[str]:
    head = say.one_of(
        ("問い", "答えが出るまでの扱い", "文書と出典", "確かさ"),
        ("Question", "Until it is answered", "Article and source", "How sure"),
    )
    rows = []
    for name, question in questions.shipped().questions.items():
        where, _, sure = where_and_when(question.provision, say)
        rows.append((f"`{name}`<br>{say(question.text)}", say(question.taken), where, sure))
    return [say(words.QUESTIONS), table(head, rows)]


def _absent(say: Say) -> list[str]:
    return [bullets([say(one) for one in words.ABSENT])]


def _documents(say: Say) -> list[str]:
    return [say(words.DOCUMENTS), "\n".join(f"{number}. {title}" for number, title in enumerate(say.documents, 1))]
