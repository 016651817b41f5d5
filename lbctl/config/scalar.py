"""What an unquoted scalar means: the core schema of YAML 1.2 (section 10.3.2), not the one of YAML 1.1.

So `on`, `yes` and `64512:10` are text, and `0777` is the number 777.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_DECIMAL = re.compile(r"[-+]?[0-9]+\Z")
_OTHER_NUMBER = re.compile(
    r"(?:(?P<octal>0o[0-7]+)|(?P<hexadecimal>0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<infinity>[-+]?\.(?:inf|Inf|INF))|(?P<nan>\.(?:nan|NaN|NAN)))\Z"
)
_MOST_DIGITS = 400
"""A longer run of digits stays text: no field takes such a number, and turning it into one costs quadratic time."""


def resolve(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar."""
    first = text[:1]
    if first.isalpha() or first in ("", "~"):
        return _WORDS.get(text, text)
    if first not in "0123456789-+." or len(text) > _MOST_DIGITS:
        return text
    if _DECIMAL.match(text):
        return int(text)
    if not (found := _OTHER_NUMBER.match(text)):
        return text
    match found.lastgroup:
        case "octal":
            return int(text[2:], 8)
        case "hexadecimal":
            return int(text[2:], 16)
        case "infinity":
            return float("-inf" if text.startswith("-") else "inf")
        case "nan":
            return float("nan")
        case _:
            return float(text)
