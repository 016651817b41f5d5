"""Findings as SARIF 2.1.0 (OASIS), which code hosts and editors read. Pure: values in, a document out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from lbctl import __version__
from lbctl.cli.explain import as_markdown, as_text
from lbctl.config.codes import CODES, Code
from lbctl.config.diagnostic import Diagnostic, Label, Severity, Span

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_MOST = 5000
"""Results of a run, of findings and of allowed ones each: GitHub refuses a run of more than 25,000 and shows 5,000.
Errors come before the rest."""


def document(
    diagnostics: Sequence[Diagnostic], allowed: Sequence[Diagnostic] = (), *, complete: bool = True
) -> Mapping[str, object]:
    """One run. `allowed` findings are results that comments suppress; not `complete`: something could not be read."""
    names = sorted({diagnostic.code for diagnostic in (*diagnostics, *allowed)})
    index = {name: number for number, name in enumerate(names)}
    first = sorted(diagnostics, key=lambda each: each.severity is not Severity.ERROR)[:_MOST]
    results = [_result(each, index) for each in sorted(first, key=lambda each: each.order)]
    results += [{**_result(each, index), "suppressions": [{"kind": "inSource"}]} for each in allowed[:_MOST]]
    invocation: dict[str, object] = {"executionSuccessful": complete}
    untold = sum(each.left_out for each in diagnostics)
    if left := len(diagnostics) + len(allowed) - len(results) + untold:
        message = f"{left:,} more findings are left out here; mend these first"
        invocation["toolExecutionNotifications"] = [{"level": "note", "message": {"text": message}}]
    driver = {"name": "lbctl", "semanticVersion": __version__, "rules": [_rule(CODES[name]) for name in names]}
    run = {
        "tool": {"driver": driver},
        # Columns count characters, not the halves that UTF-16 would make of some.
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: Code) -> dict[str, object]:
    return {
        "id": code.code,
        "shortDescription": {"text": code.title},
        "fullDescription": {"text": code.explanation},
        "help": {"text": as_text(code), "markdown": as_markdown(code)},
        "defaultConfiguration": {"level": code.severity.value},
    }


def _result(diagnostic: Diagnostic, index: Mapping[str, int]) -> dict[str, object]:
    message = f"{diagnostic.message}; {diagnostic.help}" if diagnostic.help else diagnostic.message
    result: dict[str, object] = {
        "ruleId": diagnostic.code,
        "ruleIndex": index[diagnostic.code],
        "level": diagnostic.severity.value,
        "message": {"text": message},
        "locations": [_location(diagnostic.span, of_file=diagnostic.of_file)],
    }
    if diagnostic.labels:
        result["relatedLocations"] = list(_related(diagnostic.labels))
    return result


def _related(labels: Iterable[Label]) -> Iterable[dict[str, object]]:
    for number, label in enumerate(labels, 1):
        yield {"id": number, **_location(label.span), "message": {"text": label.message}}


def _location(span: Span, *, of_file: bool = False) -> dict[str, object]:
    region = {"startLine": span.line}
    if not of_file:
        region |= {"startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column}
    return {"physicalLocation": {"artifactLocation": {"uri": uri(span.file)}, "region": region}}


def uri(file: str) -> str:
    """A file's name as a URI, relative where the name is (RFC 3986 section 4.2; a colon is escaped)."""
    quoted = quote(os.fsencode(file))
    return f"file://{quoted}" if quoted.startswith("/") else quoted
