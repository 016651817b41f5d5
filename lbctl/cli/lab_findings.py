"""What is wrong with manifests that a lab was given: said at once, not only in its controller's log."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from lbctl.cli.diagnostics import human, shown_lines
from lbctl.cli.exit_status import ExitStatus
from lbctl.config.diagnostic import Severity
from lbctl.config.reader import Reader


def tell(folder: Path, applied: Collection[str]) -> ExitStatus:
    """Prints the findings in files just applied to `folder`, which is read whole, since they may contradict others."""
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    diagnostics = [found for found in Reader().read(contents).diagnostics if found.span.file in applied]

    lines = shown_lines(contents)
    for found in diagnostics:
        if found.severity is not Severity.NOTE:
            print(human(found, lines) + "\n", file=sys.stderr)
    errors = sum(found.severity is Severity.ERROR for found in diagnostics)
    if not errors:
        return ExitStatus.OK
    print("The controller keeps to what was in force before, where something is wrong.", file=sys.stderr)
    return ExitStatus.FOUND
