"""Phrases that would state a legal conclusion: nothing that the product says may hold one."""

import re

from receiver.law.provisions import Text

CONCLUSIONS = {
    "ja": [
        r"該当する(?!可能性)",
        r"該当(?!する)",
        r"重大な事故(である|です|だ)",
        r"報告(義務|が必要|しなければ|を要)",
        r"違反",
    ],
    "en": [
        r"\bis a major accident",
        r"\bapplies\b",
        r"\bmust\b",
        r"\bshall\b",
        r"\bhas to\b",
        r"\bviolat",
        r"(?<!may )\bapply\b",
        r"reportable",
    ],
}


def assert_no_conclusion(text: Text) -> None:
    for language, patterns in CONCLUSIONS.items():
        for pattern in patterns:
            found = re.search(pattern, getattr(text, language))
            assert not found, f"{found[0]!r} in {getattr(text, language)!r}"
