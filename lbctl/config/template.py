"""Placeholders of templates that nobody has filled in: Helm's `{{ .Values.x }}`, the shell's and envsubst's `${X}`.

The parser sees in them what they happen to look like in YAML, and says so. What helps is to be told what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Severity, Span

_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\$\{[A-Za-z_][^}\n]*\}|\{%.*?%\}")
_HELP = "fill the template in first (helm template, envsubst), and check what comes out"


def name_placeholders(diagnostics: Iterable[Diagnostic], text: str) -> tuple[Diagnostic, ...]:
    """The findings in `text`, where the errors in a line with a placeholder are one that says what it is."""
    out: list[Diagnostic] = []
    lines = text.split("\n")
    said: set[int] = set()
    for diagnostic in diagnostics:
        number = diagnostic.span.line
        line = lines[number - 1] if number <= len(lines) else ""
        found = _PLACEHOLDER.search(line) if diagnostic.severity is Severity.ERROR else None
        if found is None:
            out.append(diagnostic)
        elif number not in said:
            said.add(number)
            what = "a placeholder" if diagnostic.sensitive else found.group()
            span = Span("", number, found.start() + 1, number, found.end() + 1)
            code = CODES["LB0014"]
            message = f"{what} is not filled in"
            out.append(
                replace(
                    diagnostic,
                    code=code.code,
                    severity=code.severity,
                    message=message,
                    span=span,
                    help=_HELP,
                    labels=(),
                )
            )
    return tuple(out)
