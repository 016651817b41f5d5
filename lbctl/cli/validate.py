"""`lbctl validate PATH...`: reads manifests as the controller would and says all that is wrong with them."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbctl.cli.exit_status import ExitStatus

if TYPE_CHECKING:
    from lbctl.cli.manifest_files import ManifestFiles
    from lbctl.config.diagnostic import Diagnostic

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SCHEMA = "lbctl.io/diagnostics/v1"
_UNREADABLE = "LB0010"


class Form(StrEnum):
    HUMAN = "human"
    CONCISE = "concise"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


@app.command()
def validate(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", readable=False, help="Files and folders, read together; - is stdin."),
    ],
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the findings.")] = Form.HUMAN,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as findings too.")] = False,
    show_allowed: Annotated[
        bool, typer.Option("--show-allowed", help="Print findings that comments allow, too.")
    ] = False,
) -> int:
    """Check manifests: every finding at once, with its line and what to do.

    Reads *.yaml, *.yml and *.json of folders, all that lies below them. Objects
    are checked against each other too, so give everything that belongs together.
    `lbctl explain CODE` says more of a finding; a comment in the manifest,
    # lbctl: allow CODE, silences a warning or a note there.

    \b
    Exit status: 0 no errors; 1 errors (with --strict also warnings);
    2 a path cannot be read.

    \b
    Examples:
      lbctl validate /etc/lbctl
      lbctl validate layer2.yaml nginx.yaml -o concise
      lbctl validate --strict -o github manifests/
      kubectl get svc,ipaddresspools -A -o yaml | lbctl validate -
    """
    # Everything below costs 60 ms to import; --help and typing errors need none of it.
    import gc

    from lbctl.cli.manifest_files import read_manifests
    from lbctl.cli.progress import Progress
    from lbctl.config.diagnostic import Severity
    from lbctl.config.reader import Reader

    gc.disable()  # nothing here outlives the command
    files = read_manifests(paths)
    contents, found = files.contents, _found_of(files)
    with Progress("checking", sum(map(len, contents.values()))) as progress:
        reading = Reader().read(contents, progress.advance)
    diagnostics = tuple(sorted((*found, *reading.diagnostics), key=lambda diagnostic: diagnostic.order))
    readable = not files.unread
    told = Told(diagnostics, reading.allowed, contents, reading.count, show_allowed, readable)
    # A stream that cannot show a character gets its escape, not our traceback.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    show(told, output)
    if not readable:
        return ExitStatus.UNAVAILABLE
    bad = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    return ExitStatus.FOUND if any(diagnostic.severity in bad for diagnostic in diagnostics) else ExitStatus.OK


@dataclass(frozen=True, slots=True)
class Told:
    """All there is to print: findings in order, those that comments allow, the files by name, how many objects.

    Not `complete`: something could not be read.
    """

    diagnostics: tuple[Diagnostic, ...]
    allowed: tuple[Diagnostic, ...]
    contents: Mapping[str, bytes]
    objects: int
    show_allowed: bool = False
    complete: bool = True

    @property
    def in_order(self) -> list[tuple[Diagnostic, bool]]:
        """The findings to print, and whether each is allowed."""
        shown = [(each, False) for each in self.diagnostics]
        if self.show_allowed:
            shown += [(each, True) for each in self.allowed]
        return sorted(shown, key=lambda pair: pair[0].order)


def _found_of(files: ManifestFiles) -> list[Diagnostic]:
    """What cannot be read, or holds nothing."""
    from lbctl.config.reader import whole_file

    found = [whole_file(each.name, _UNREADABLE, f"cannot be read: {each.why}") for each in files.unread]
    found += [whole_file(name, "LB0009", "no *.yaml, *.yml or *.json in this folder") for name in files.empty]
    return found


def show(told: Told, form: Form) -> None:
    """Prints it all."""
    match form:
        case Form.HUMAN:
            _print_human(told)
        case Form.CONCISE | Form.GITHUB:
            _print_lines(told, form)
        case Form.JSON:
            _print_json(told)
        case Form.SARIF:
            _print_sarif(told)


def _print_human(told: Told) -> None:
    from lbctl.cli.diagnostics import human, shown_lines
    from lbctl.cli.render import Style, paint, terminal_width
    from lbctl.config.diagnostic import Severity

    width = terminal_width()
    lines = shown_lines(told.contents)
    for diagnostic, allowed in told.in_order:
        print(human(diagnostic, lines, width=width, allowed=allowed) + "\n")
    print(_summary(told))
    if width is not None and told.diagnostics:
        worst = min(told.diagnostics, key=lambda each: list(Severity).index(each.severity))
        print(paint(f"lbctl explain {worst.code} says more", Style.FAINT))


def _summary(told: Told) -> str:
    from lbctl.cli.diagnostics import summary

    return summary(told.diagnostics, len(told.contents), told.objects, allowed=len(told.allowed))


def _print_lines(told: Told, form: Form) -> None:
    """One line a finding on stdout, for programs; the sum for the person who watches, on stderr."""
    from lbctl.cli.finding_lines import concise, github

    if form is Form.CONCISE:
        for diagnostic, allowed in told.in_order:
            print(concise(diagnostic) + (" (allowed)" if allowed else ""))
    else:
        for diagnostic in told.diagnostics:
            print(github(diagnostic))
    sys.stdout.flush()
    print(_summary(told), file=sys.stderr)


def _print_json(told: Told) -> None:
    import json

    from lbctl.cli.diagnostics import as_document
    from lbctl.config.diagnostic import Severity

    counts = {f"{severity}s": sum(d.severity is severity for d in told.diagnostics) for severity in Severity}
    document = {
        "schema": SCHEMA,
        "files": len(told.contents),
        "objects": told.objects,
        **counts,
        "left_out": sum(diagnostic.left_out for diagnostic in told.diagnostics),
        "diagnostics": [as_document(diagnostic) for diagnostic in told.diagnostics],
        "allowed": [as_document(diagnostic) for diagnostic in told.allowed],
    }
    print(json.dumps(document, indent=2))


def _print_sarif(told: Told) -> None:
    import json

    from lbctl.cli.sarif import document

    print(json.dumps(document(told.diagnostics, told.allowed, complete=told.complete), indent=2))
