"""`# lbctl: allow LB0207`: a comment that silences a finding where it is meant so.

On the line of the finding or on the line above it the comment speaks of that line; at the head of a document, before
any of its content, of the whole document. Errors cannot be silenced: what they are about is not used, said or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Severity, Span
from lbctl.config.spelling import nearest

if TYPE_CHECKING:
    from lbctl.config.comment import Comment

MARK = "lbctl:"
"""What every such comment contains; text without it needs no scan."""

_COMMENT = re.compile(r"#+[ \t]*lbctl:[ \t]*(?P<verb>[A-Za-z]+)\b[ \t:]*(?P<codes>.*)")
_CODE = re.compile(r"LB[0-9]+\b[ \t]*,?[ \t]*", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,4}(?=[ \t,]|\Z)[ \t]*,?[ \t]*")
_LISTED = re.compile(r"[^\s,]+[ \t]*(?:,[ \t]*|\Z)")
_LISTED_CODE = re.compile(r"(?=[^\s,]*[0-9])" + _LISTED.pattern)
_WORD = re.compile(r"[^\s,]+")
_VERBS = ("allow", "ignore", "disable", "silence", "permit", "suppress", "skip")
_HELP = "write # lbctl: allow LB0207, then, if you like, why"


class Allow(NamedTuple):
    """One code that a comment allows: in one line (from 1) of the document, or with None in all of it.

    `sensitive`: the line of the comment must not be shown.
    """

    code: str
    line: int | None
    span: Span
    sensitive: bool = False

    def silences(self, finding: Diagnostic) -> bool:
        """Whether it speaks of `finding`, whose lines count as ours do."""
        if finding.code != self.code or finding.severity is Severity.ERROR:
            return False
        return self.line is None or finding.span.line <= self.line <= finding.span.end_line


class Allows(NamedTuple):
    """The comments of one document, and what is wrong with them."""

    allows: tuple[Allow, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


NONE = Allows()


def allows_in(text: str) -> Allows:
    """Looks at the comments of one document."""
    if MARK not in text:
        return NONE
    from lbctl.config.comment import comments  # most manifests have none that matter

    allows: list[Allow] = []
    said: list[Diagnostic] = []
    found = list(comments(text))
    alone = {comment.line for comment in found if comment.alone}
    for comment in found:
        if match := _COMMENT.match(comment.text):
            _read(comment, match, _line_meant(comment, alone), allows, said)
    return Allows(tuple(allows), tuple(said))


def divide(findings: Iterable[Diagnostic], allows: tuple[Allow, ...]) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """The findings that remain, and those that `allows` silence."""
    remain: list[Diagnostic] = []
    silenced: list[Diagnostic] = []
    by_code: dict[str, dict[int | None, Allow]] = {}
    for allow in allows:
        by_code.setdefault(allow.code, {})[allow.line] = allow
    for finding in findings:
        candidates = by_code.get(finding.code, {}).values()
        (silenced if any(allow.silences(finding) for allow in candidates) else remain).append(finding)
    return remain, silenced


def of_no_use(allow: Allow) -> Diagnostic:
    """What to say of a comment that silences nothing."""
    where = (
        "in this document" if allow.line is None else "on this line" if allow.line == allow.span.line else "below it"
    )
    help = "remove it" if allow.line is None else "remove it, or put it on the line of the finding or right above it"
    said = _said("LB0011", allow.span, f"{allow.code} is not found {where}", help)
    return replace(said, sensitive=allow.sensitive)


def _line_meant(comment: Comment, alone: set[int]) -> int | None:
    """The line that a comment speaks of: its own or, below the last of comments on end, the next; None for all."""
    if comment.head:
        return None
    line = comment.line
    while line in alone:
        line += 1
    return line


def _read(
    comment: Comment, match: re.Match[str], line: int | None, allows: list[Allow], said: list[Diagnostic]
) -> None:
    verb, codes = match["verb"], match["codes"]
    at = match.start("codes")
    if verb != "allow":
        # A sentence that happens to begin so is nobody's concern.
        if verb.lower() in _VERBS or nearest(verb, ("allow",)):
            said.append(_said("LB0013", _span(comment, match.span("verb")), f'"{verb}" does nothing here', _HELP))
        return
    any_code = False
    while code := _CODE.match(comment.text, at) or _meant(comment.text, at, any_code):
        any_code = True
        at = code.end()
        word = code.group().rstrip(" \t,")
        span = _span(comment, (code.start(), code.start() + len(word)))
        if _CODE.fullmatch(word):
            _take(word, span, line, allows, said)
        else:
            known = f"LB{int(word):04}" if word.isdecimal() else ""
            help = f"write {known}" if known in CODES else _HELP
            said.append(_said("LB0013", span, f'"{word}" is not a code', help))
    if not any_code:
        word_found = _WORD.match(codes)
        place = (at, at + len(word_found.group())) if word_found else match.span("verb")
        message = f'"{word_found.group()}" is not a code' if word_found else "no code is allowed by this comment"
        said.append(_said("LB0013", _span(comment, place), message, _HELP))


def _meant(text: str, at: int, any_code: bool) -> re.Match[str] | None:
    """What stands where a code would, and was meant as one: a number alone, or a word of a list with commas."""
    listed = any_code and text[:at].rstrip(" \t").endswith(",")
    if any_code and not listed:
        return None
    # Behind codes, words without a digit may just as well be why.
    return _NUMBER.match(text, at) or (_LISTED_CODE if any_code else _LISTED).match(text, at)


def _take(word: str, span: Span, line: int | None, allows: list[Allow], said: list[Diagnostic]) -> None:
    known = CODES.get(f"LB{int(word[2:]):04}") if len(word) < 10 else None
    if known is None:
        near = nearest(word.upper(), CODES)
        help = f"did you mean {near}: {CODES[near].title}?" if near else "`lbctl explain` lists all codes"
        said.append(_said("LB0013", span, f"there is no code {word}", help))
    elif known.severity is Severity.ERROR:
        message = f"{known.code} is an error, and errors cannot be allowed"
        said.append(_said("LB0012", span, message, f"mend what it is about; `lbctl explain {known.code}` says how"))
    else:
        allows.append(Allow(known.code, line, span))


def _span(comment: Comment, place: tuple[int, int]) -> Span:
    start, end = (comment.column + offset for offset in place)
    return Span("", comment.line, start, comment.line, end)


def _said(code: str, span: Span, message: str, help: str) -> Diagnostic:
    return Diagnostic(code=code, severity=CODES[code].severity, message=message, span=span, help=help)
