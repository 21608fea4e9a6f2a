"""What changed since a ticket was last told of its incident, as far as its milestone then tells."""

from receiver.delivery.words import STATES
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


def changes(before: str, statement: Statement) -> tuple[Text, ...]:
    """From the milestone `before`; nothing where there was none, and nothing of a part that it does not tell in words of today."""
    then, now = before.split("/"), statement.milestone.split("/")
    return tuple(
        Text(f"{what.ja}: {words[old].ja} → {words[new].ja}", f"{what.en}: {words[old].en} → {words[new].en}")
        for (what, words), old, new in zip(_WORDS, then, now, strict=False)
        if old != new
        and old in words
        and new in words
        # what is major by now is not told to become so no more
        and not (what is _BECOMES and statement.verdict == Verdict.MAJOR)
    )
