"""Findings one a line: for grep and editors, and as GitHub Actions takes them to show them beside a change."""

from __future__ import annotations

from lbctl.cli.diagnostics import literal
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def concise(diagnostic: Diagnostic) -> str:
    """`file:line:column: severity[CODE]: message`, the other places behind it in parentheses."""
    others = "; ".join(f"{label.message}: {label.span}" for label in diagnostic.labels)
    message = f"{diagnostic.message} ({others})" if others else diagnostic.message
    return literal(f"{diagnostic.span}: {diagnostic.severity}[{diagnostic.code}]: {message}")


def github(diagnostic: Diagnostic) -> str:
    """A workflow command of GitHub Actions."""
    span = diagnostic.span
    properties = {"file": literal(span.file), "line": str(span.line)}
    # A column may only be given where the line is one, and there is none in what is about a file.
    if span.line == span.end_line and not diagnostic.of_file:
        properties |= {"col": str(span.column), "endColumn": str(max(span.column, span.end_column - 1))}
    properties |= {"endLine": str(span.end_line), "title": f"{diagnostic.code}: {CODES[diagnostic.code].title}"}
    lines = [diagnostic.message, *(f"{label.span}: {label.message}" for label in diagnostic.labels)]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    named = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{_COMMANDS[diagnostic.severity]} {named}::{_message(chr(10).join(map(literal, lines)))}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
