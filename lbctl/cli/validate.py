"""`lbctl validate PATH...`: reads manifests as the controller would and says all that is wrong with them."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbctl.cli.exit_status import ExitStatus

if TYPE_CHECKING:
    from lbctl.config.diagnostic import Diagnostic

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SCHEMA = "lbctl.io/diagnostics/v1"
_STDIN = "-"
_UNREADABLE = "LB0010"
_STDIN_NAME = "<stdin>"


class Form(StrEnum):
    HUMAN = "human"
    JSON = "json"


@app.command()
def validate(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", readable=False, help="Files and folders, read together; - is stdin."),
    ],
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the findings.")] = Form.HUMAN,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as findings too.")] = False,
) -> int:
    """Check manifests: every finding at once, with its line and what to do.

    Reads *.yaml, *.yml and *.json of folders, all that lies below them. Objects
    are checked against each other too, so give everything that belongs together.

    \b
    Exit status: 0 no errors; 1 errors (with --strict also warnings);
    2 a path cannot be read.

    \b
    Examples:
      lbctl validate /etc/lbctl
      lbctl validate layer2.yaml nginx.yaml -o json
      kubectl get svc,ipaddresspools -A -o yaml | lbctl validate -
    """
    # Everything below costs 60 ms to import; --help and typing errors need none of it.
    import gc

    from lbctl.config.diagnostic import Severity
    from lbctl.config.reader import Reader

    gc.disable()  # nothing here outlives the command
    contents, found = _read(paths)
    reading = Reader().read(contents)
    diagnostics = (*found, *reading.diagnostics)
    if output is Form.JSON:
        _print_json(diagnostics, files=len(contents), objects=reading.count)
    else:
        _print_human(diagnostics, contents, objects=reading.count)
    if any(diagnostic.code == _UNREADABLE for diagnostic in found):
        return ExitStatus.UNAVAILABLE
    bad = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    return ExitStatus.FOUND if any(diagnostic.severity in bad for diagnostic in diagnostics) else ExitStatus.OK


def _read(paths: Sequence[Path]) -> tuple[dict[str, bytes], list[Diagnostic]]:
    """The manifests below `paths` by the name to show, and what cannot be read or holds nothing."""
    from lbctl.config.reader import whole_file
    from lbctl.sources.tree import list_manifests

    contents: dict[str, bytes] = {}
    found: list[Diagnostic] = []
    named = [path for path in paths if str(path) != _STDIN]
    if len(named) < len(paths):
        contents[_STDIN_NAME] = sys.stdin.buffer.read()
    listing = list_manifests(named)
    found += [whole_file(_shown(each.path), _UNREADABLE, f"cannot be read: {each.why}") for each in listing.unreadable]
    for path in listing.files:
        try:
            contents[_shown(path)] = Path(path).read_bytes()
        except OSError as error:
            found.append(whole_file(_shown(path), _UNREADABLE, f"cannot be read: {error.strerror or error}"))
    empty = [folder for folder, below in listing.below.items() if not below]
    if not any(each.path in empty for each in listing.unreadable):
        found += [whole_file(_shown(path), "LB0009", "no *.yaml, *.yml or *.json in this folder") for path in empty]
    return contents, found


def _shown(path: str) -> str:
    """As short as it is clear: relative to where we are, if it lies below."""
    here = str(Path.cwd())
    return path.removeprefix(here + "/") if here != "/" else path


def _print_human(diagnostics: Sequence[Diagnostic], contents: Mapping[str, bytes], *, objects: int) -> None:
    from lbctl.cli.diagnostics import human, summary
    from lbctl.cli.render import terminal_width

    width = terminal_width()
    cache: dict[str, list[str]] = {}

    def lines(file: str) -> list[str]:
        if file not in cache:
            text = contents.get(file, b"").decode("utf-8", errors="replace").removeprefix("\ufeff")
            cache[file] = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return cache[file]

    # A terminal that cannot show a character gets its escape, not our traceback.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for diagnostic in diagnostics:
        print(human(diagnostic, lines, width=width) + "\n")
    print(summary(diagnostics, len(contents), objects))


def _print_json(diagnostics: Sequence[Diagnostic], *, files: int, objects: int) -> None:
    import json

    from lbctl.cli.diagnostics import as_document
    from lbctl.config.diagnostic import Severity

    counts = {f"{severity}s": sum(d.severity is severity for d in diagnostics) for severity in Severity}
    document = {
        "schema": SCHEMA,
        "files": files,
        "objects": objects,
        **counts,
        "diagnostics": [as_document(diagnostic) for diagnostic in diagnostics],
    }
    print(json.dumps(document, indent=2))
