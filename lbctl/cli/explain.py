"""`lbctl explain LB0123`: what a code means, a manifest that it is found in, and that manifest mended."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from typer._click.exceptions import UsageError

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.render import WIDTH, Style, as_json, paint, table, terminal_width, wrap

if TYPE_CHECKING:
    from lbctl.config.codes import Code
    from lbctl.config.diagnostic import Diagnostic

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SCHEMA = "lbctl.io/codes/v1"
_WRITTEN = re.compile(r"(?:LB)?0*(\d{1,4})", re.IGNORECASE | re.ASCII)
_WIDEST = 100
_FILE = "example.yaml"
_EFFECT = {
    "error": "keeps what it is about from being used",
    "warning": "probably a mistake",
    "note": "for knowing",
}


class Form(StrEnum):
    HUMAN = "human"
    JSON = "json"


@app.command()
def explain(
    codes: Annotated[
        list[str] | None, typer.Argument(metavar="[CODE]...", help="Codes such as LB0105; without any, all are listed.")
    ] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the answer.")] = Form.HUMAN,
) -> int:
    """What a finding of `lbctl validate` means, an example of it, and the fix.

    \b
    Examples:
      lbctl explain
      lbctl explain LB0105
      lbctl explain lb205 lb207 -o json
    """
    from lbctl.config.codes import CODES

    wanted = [_code(text, CODES) for text in codes or ()]
    if output is Form.JSON:
        shown = wanted or list(CODES.values())
        print(as_json({"schema": SCHEMA, "codes": [as_document(code) for code in shown]}))
    elif not wanted:
        print(listed(CODES.values(), width=terminal_width()))
    else:
        print("\n\n\n".join(text(code, width=terminal_width()) for code in wanted))
    return ExitStatus.OK


def _code(written: str, known: dict[str, Code]) -> Code:
    """The code meant by `written`, in either case, with or without its zeros and letters."""
    if found := _WRITTEN.fullmatch(written.strip()):
        code = known.get(f"LB{int(found[1]):04}")
        if code is not None:
            return code
    raise UsageError(_no_such_code(written, known))


def _no_such_code(written: str, known: dict[str, Code]) -> str:
    from lbctl.config.spelling import nearest

    found = _WRITTEN.fullmatch(written.strip())
    meant = f"LB{int(found[1]):04}" if found else written.strip().upper()
    near = nearest(meant, known)
    said = f"no code {written!r}"
    if near is not None:
        return f"{said}; did you mean {near} ({known[near].title})?"
    words = [code for code in known.values() if written.lower() in code.title] if len(written) > 2 else []
    if words:
        return f"{said}; of {written!r} speak " + ", ".join(f"{code.code} ({code.title})" for code in words[:4])
    return f"{said}; `lbctl explain` lists them all"


def listed(codes: Iterable[Code], *, width: int | None) -> str:
    """All codes, one a line."""
    from lbctl.cli.diagnostics import STYLES

    codes = list(codes)
    return table(
        ("CODE", "SEVERITY", "TITLE"),
        [(code.code, code.severity.value, code.title) for code in codes],
        styles=[(Style.STRONG, STYLES[code.severity], None) for code in codes],
        shrink=[(2,)],
        width=width,
        cut=width is not None,
    )


def text(code: Code, *, width: int | None) -> str:
    """One code in full. Sentences are wrapped at `width`, or at 80 columns where there is none."""
    from lbctl.cli.diagnostics import STYLES, human
    from lbctl.config.secret_lines import ShownLines

    width = min(width or WIDTH, _WIDEST)
    style = STYLES[code.severity]
    rule = f" · MetalLB rule {code.rule}" if code.rule else ""
    lines = [
        f"{paint(code.code, style)}  {paint(code.title, Style.STRONG)}",
        paint(code.severity.value, style) + paint(f" · {_EFFECT[code.severity.value]}{rule}", Style.FAINT),
        "",
        *_paragraph(code.explanation, width),
    ]
    if code.example:
        source = _lines(code.example)
        gutter = len(str(len(source)))
        lines += ["", paint("Example", Style.STRONG)]
        lines += [f"  {paint(f'{n:>{gutter}} |', Style.FAINT)} {line}".rstrip() for n, line in enumerate(source, 1)]
        known = ShownLines("\n".join(source).encode())
        for finding in findings(code):
            shown = human(finding, lambda _: known, width=width - 2)
            lines += ["", *(f"  {line}".rstrip() for line in shown.split("\n"))]
    lines += ["", paint("Fix", Style.STRONG)]
    if code.mended:
        kept = set(_lines(code.example))
        lines += [f"  {line if line in kept else paint(line, Style.GOOD)}" for line in _lines(code.mended)]
    else:
        lines += _paragraph(code.advice, width)
    if code.severity.value != "error":
        lines += ["", paint("If it is meant", Style.STRONG), f"  # lbctl: allow {code.code}"]
        lines += _paragraph("Behind the line or above it; at the head of a document, for all of it.", width)
    return "\n".join(lines)


def as_text(code: Code) -> str:
    """What the code means and what to do, without colour or line width."""
    parts = [code.explanation]
    if code.example:
        parts.append(f"Example:\n\n{_text(code.example)}")
    parts.append(f"Fix:\n\n{_text(code.mended)}" if code.mended else f"Fix: {code.advice}")
    return "\n\n".join(part.rstrip() for part in parts)


def as_markdown(code: Code) -> str:
    parts = [code.explanation]
    if code.example:
        parts.append(f"**Example**\n\n```yaml\n{_text(code.example)}```")
    parts.append(f"**Fix**\n\n```yaml\n{_text(code.mended)}```" if code.mended else f"**Fix**: {code.advice}")
    return "\n\n".join(parts)


def findings(code: Code) -> tuple[Diagnostic, ...]:
    """What is found in the example of `code`."""
    from lbctl.config.reader import Reader

    if not code.example:
        return ()
    return Reader().read({_FILE: code.example.encode("utf-8", "surrogateescape")}).diagnostics


def as_document(code: Code) -> dict[str, object]:
    """One code as plain values, for JSON."""
    from lbctl.cli.diagnostics import as_document as finding

    return {
        "code": code.code,
        "severity": code.severity.value,
        "title": code.title,
        "explanation": code.explanation,
        "rule": code.rule or None,
        "allowable": code.severity.value != "error",
        "example": _text(code.example) or None,
        "findings": [finding(each) for each in findings(code)],
        "fix": _text(code.mended) or None,
        "advice": code.advice or None,
    }


def _text(manifest: str) -> str:
    """A manifest of a code as text, bytes that are none replaced."""
    return manifest.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _lines(manifest: str) -> list[str]:
    from lbctl.cli.diagnostics import literal

    return [literal(line) for line in _text(manifest).removesuffix("\n").split("\n")]


def _paragraph(words: str, width: int) -> list[str]:
    return [f"  {line}" for line in wrap(words, indent=0, width=width - 2)]
