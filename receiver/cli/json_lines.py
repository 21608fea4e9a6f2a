"""`art58 classify`: JSON Lines in, JSON Lines out."""

from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from receiver.law.classify import Answer, Case, classify
from receiver.law.rulebook import NoRulebook, Rulebook


class Error(msgspec.Struct, frozen=True):
    """A line that could not be judged."""

    line: int
    error: str


def answers(lines: Iterable[bytes], rulebooks: tuple[Rulebook, ...]) -> Iterable[Answer | Error]:
    """An answer for each line that is not blank, in their order; the bad ones do not hold up the good ones."""
    decoder = msgspec.json.Decoder(Case)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield classify(decoder.decode(line), rulebooks)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, NoRulebook) as error:
            yield Error(number, str(error))


def run(source: BinaryIO, sink: BinaryIO, rulebooks: tuple[Rulebook, ...], *, explain: bool) -> bool:
    """Answer every line of `source`; whether all of them could be judged."""
    encoder = msgspec.json.Encoder()
    good = True
    for answer in answers(source, rulebooks):
        good &= isinstance(answer, Answer)
        text = _for_people(answer).encode() if explain else encoder.encode(answer)
        sink.write(text + b"\n")
    return good


def _for_people(answer: Answer | Error) -> str:
    if isinstance(answer, Error):
        return f"line {answer.line}: {answer.error}\n"
    return f"{answer.id}: {answer.verdict.value}\n  {answer.explanation.ja}\n  {answer.explanation.en}\n"
