"""`art58 classify`: JSON Lines in, JSON Lines out."""

from typing import BinaryIO

import msgspec

from receiver.law.classify import Case, classify, judge_case
from receiver.law.rulebook import NoRulebook, Rulebook


class Error(msgspec.Struct, frozen=True):
    """A line that could not be judged."""

    line: int
    error: str


def run(source: BinaryIO, sink: BinaryIO, rulebooks: tuple[Rulebook, ...], *, explain: bool) -> bool:
    """Answer every line of `source` that is not blank, in their order; whether all of them could be judged.

    The bad ones do not hold up the good ones. With `explain` in words, for people.
    """
    decoder, encoder = msgspec.json.Decoder(Case), msgspec.json.Encoder()
    good = True
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        try:
            case = decoder.decode(line)
            answer = _in_words(case, rulebooks).encode() if explain else encoder.encode(classify(case, rulebooks))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, NoRulebook) as error:
            good = False
            answer = f"line {number}: {error}\n".encode() if explain else encoder.encode(Error(number, str(error)))
        sink.write(answer + b"\n")
    return good


def _in_words(case: Case, rulebooks: tuple[Rulebook, ...]) -> str:
    judged, explanation = judge_case(case, rulebooks)
    name = case.id if isinstance(case.id, int) else msgspec.json.encode(case.id).decode().strip('"')
    lines = [f"{name}: {judged.verdict.value}", f"  {explanation.headline.ja}", f"  {explanation.headline.en}"]
    for heading, texts in explanation.sections:
        lines.append(f"  {heading.ja} / {heading.en}")
        lines += [f"    - {text.ja}\n      {text.en}" for text in texts]
    return "\n".join(lines) + "\n"
