"""What changed since a ticket was last told of its incident, as far as its milestone then tells."""

from receiver.delivery.words import STATES, mark_of
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.law.wording import VERDICTS
from receiver.model import Statement

_STATES = {str(state): text for state, text in STATES.items()}
_VERDICTS = {verdict.value: text for verdict, text in VERDICTS.items()}
_HAS = {True: Text("あり", "yes"), False: Text("なし", "no")}
_CANDIDATE = {f"candidate={has}": text for has, text in _HAS.items()}
_UNMEASURED = {f"unmeasured={has}": text for has, text in _HAS.items()}
_BECOMES = Text("重大な事故となる見込み", "May yet become major")
_WORDS = (
    (Text("状態", "State"), _STATES),
    (Text("判定", "Verdict"), _VERDICTS),
    (_BECOMES, _CANDIDATE),
    (Text("未計測の役務", "Services not measured"), _UNMEASURED),
)
"""In the order in which a milestone begins."""
_ALSO = Text("この判定に加わった役務", "Services with this verdict, added")
_NO_MORE = Text("この判定から外れた役務", "Services with this verdict, gone")
_MARKS, _UNMARKED = Text("注記", "Marks"), Text("なし", "none")


def changes(before: str, statement: Statement) -> tuple[Text, ...]:
    """From the milestone `before`; nothing where there was none, and nothing of a part that it does not tell in words of today."""
    then, now = before.split("/"), statement.milestone.split("/")
    return (*_of_words(then, now, statement), *_of_services(then, now, statement), *_of_marks(then, now))


def _of_words(then: list[str], now: list[str], statement: Statement) -> tuple[Text, ...]:
    return tuple(
        Text(f"{what.ja}: {words[old].ja} → {words[new].ja}", f"{what.en}: {words[old].en} → {words[new].en}")
        for (what, words), old, new in zip(_WORDS, then, now, strict=False)
        if old != new
        and old in words
        and new in words
        # what is major by now is not told to become so no more
        and not (what is _BECOMES and statement.verdict == Verdict.MAJOR)
    )


def _of_services(then: list[str], now: list[str], statement: Statement) -> tuple[Text, ...]:
    """Only where the verdict is the same: those of another verdict are other services, and the title names them."""
    before, after = _listed(then, "services="), _listed(now, "services=")
    if before is None or after is None or then[1:2] != now[1:2]:
        return ()
    # a service that the incident does not hit any more is known by its name alone
    called = {one.service: one.called for one in statement.parts.impacts}
    both = (_ALSO, [name for name in after if name not in before]), (_NO_MORE, [name for name in before if name not in after])
    return tuple(_line(what, [called.get(name, Text(name, name)) for name in names]) for what, names in both if names)


def _of_marks(then: list[str], now: list[str]) -> tuple[Text, ...]:
    before, after = _listed(then, "marks="), _listed(now, "marks=")
    if before is None or after is None:
        return ()
    old, new = (_joined([mark for each in listed if (mark := mark_of(each))] or [_UNMARKED]) for listed in (before, after))
    if old == new:
        return ()
    return (Text(f"{_MARKS.ja}: {old.ja} → {new.ja}", f"{_MARKS.en}: {old.en} → {new.en}"),)


def _listed(milestone: list[str], name: str) -> list[str] | None:
    """What the part of this name lists; None where there is no such part."""
    part = next((part for part in milestone if part.startswith(name)), None)
    return None if part is None else [each for each in part.removeprefix(name).split(",") if each]


def _line(what: Text, called: list[Text]) -> Text:
    names = _joined(called)
    return Text(f"{what.ja}: {names.ja}", f"{what.en}: {names.en}")


def _joined(texts: list[Text]) -> Text:
    return Text("・".join(each.ja for each in texts), ", ".join(each.en for each in texts))
