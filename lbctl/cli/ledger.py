"""`lbctl ledger`: the whole ledger as text and back, and whether it holds together."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.options import DEFAULT_STATE, StateDir

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """Write the ledger as text, read it back, and check it.

    \b
    Examples:
      lbctl ledger check
      lbctl ledger export > ledger.jsonl
      lbctl ledger import ledger.jsonl --state /var/lib/lbctl
    """


@app.command()
def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Else it goes to stdout.", show_default=False)
    ] = None,
    state: StateDir = DEFAULT_STATE,
) -> None:
    """Write the whole ledger as text (lbctl.io/ledger/v1), also while a controller runs.

    \b
    Examples:
      lbctl ledger export > ledger.jsonl
      lbctl ledger export backup/ledger.jsonl
    """
    from lbctl.controller.errors import StateError
    from lbctl.controller.ledger_reader import reading
    from lbctl.controller.ledger_text import exported

    try:
        with reading(state / "controller") as connection:
            lines = exported(connection)
            if file is None:
                sys.stdout.flush()
                for line in lines:
                    sys.stdout.write(line.decode())
            else:
                _write(file, lines)
    except StateError as error:
        _fail("export", str(error))
    except OSError as error:
        if file is None:
            raise
        _fail("export", f"cannot write {file}: {error.strerror or error}")


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export; - for stdin.", show_default=False)],
    state: StateDir = DEFAULT_STATE,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a ledger that is not empty; a copy of it is kept.")
    ] = False,
) -> None:
    """Read an export into the ledger of a state folder where no controller runs.

    All of it or nothing: text that was cut off, changed, or that makes no sense
    leaves the ledger as it was.

    \b
    Examples:
      lbctl ledger import ledger.jsonl --state /var/lib/lbctl
      lbctl ledger import ledger.jsonl --replace
    """
    from lbctl.controller.errors import StateError, StateTrouble
    from lbctl.controller.ledger_import import ImportRefused, import_ledger
    from lbctl.controller.lock import StateLock

    folder = state / "controller"
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines, StateLock(folder):
            imported = import_ledger(folder, lines, replace=replace)
    except (StateError, ImportRefused) as error:
        busy = isinstance(error, StateError) and error.trouble is StateTrouble.IN_USE
        _fail("import", f"a controller runs with {state}; stop it first" if busy else str(error))
    except OSError as error:
        _fail("import", f"{file}: {error.strerror or error}")
    kept = f"; the one before is kept as {imported.copy}" if imported.copy is not None else ""
    print(f"{imported.rows} rows, {imported.allocations} allocations{kept}")


@app.command()
def check(state: StateDir = DEFAULT_STATE) -> None:
    """Check that the file is whole, that no address had two holders, and that the rows tell what the ledger says.

    \b
    Exit status: 0 all is well; 1 something is wrong; 2 it cannot be read.

    \b
    Example:
      lbctl ledger check --state /var/lib/lbctl
    """
    from lbctl.controller.errors import StateError
    from lbctl.controller.ledger_reader import reading
    from lbctl.controller.ledger_replay import check as findings_of
    from lbctl.controller.ledger_rows import read

    try:
        with reading(state / "controller") as connection:
            findings = findings_of(connection)
            counts = "" if findings else _counts(read(connection))
    except StateError as error:
        _fail("check", str(error))
    for finding in findings:
        print(finding)
    if findings:
        raise typer.Exit(ExitStatus.FOUND)
    print(f"All is well: {counts}.")


def _write(file: Path, lines: Iterable[bytes]) -> None:
    """All of it under that name, on the disk, or what was there before."""
    if file.exists() and not file.is_file():
        # A pipe, /dev/stdout: there is nothing to put in its place.
        with file.open("wb") as out:
            out.writelines(lines)
        return
    target = file.resolve()
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as out:
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _counts(state: object) -> str:
    from lbctl.controller.records import LedgerState

    assert isinstance(state, LedgerState)
    remembered = state.remembered
    return (
        f"{len(state.allocations)} allocations, {len(remembered.reserved)} reserved, "
        f"{len(remembered.quarantined)} in quarantine, {state.next_grant - 1} grants ever"
    )


def _fail(command: str, message: str) -> None:
    print(f"lbctl ledger {command}: {message}", file=sys.stderr)
    raise typer.Exit(ExitStatus.UNAVAILABLE)
