"""`lbctl convert PATH...`: MetalLB's configuration of old, printed as the kinds of today."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lbctl.cli.exit_status import ExitStatus

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def convert(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", readable=False, help="Files and folders with what is old; - is stdin."),
    ],
    namespace: Annotated[
        str,
        typer.Option("--namespace", "-n", metavar="NAME", help="For objects out of text that names none."),
    ] = "metallb-system",
) -> int:
    """Print MetalLB's old configuration as manifests of today.

    Reads the ConfigMap of before 0.13 (or just the text of its key config), and
    the kinds AddressPool and BGPPeer v1beta1 of metallb.io. Manifests go to
    stdout; what has to be said of them to stderr.

    \b
    Exit status: 0 all of it; 1 something could not be converted, and is named;
    2 a path cannot be read, or nothing in it is old.

    \b
    Examples:
      kubectl get configmap -n metallb-system config -o yaml | lbctl convert -
      lbctl convert config.yaml > metallb.yaml && lbctl validate metallb.yaml
    """
    import gc

    from lbctl.cli.diagnostics import human, shown_lines
    from lbctl.cli.manifest_files import read_manifests
    from lbctl.config.convert import convert as converted

    gc.disable()  # nothing here outlives the command
    files = read_manifests(paths)
    if files.unread:
        print(f"lbctl convert: {'; '.join(map(str, files.unread))}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
    made = converted(files.contents, namespace=namespace)

    lines = shown_lines(files.contents)
    sys.stdout.write(made.text)
    sys.stdout.flush()
    for found in made.diagnostics:
        print(human(found, lines) + "\n", file=sys.stderr)
    if not made.count:
        if not made.diagnostics:
            print("lbctl convert: there is nothing to convert here", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
    return ExitStatus.FOUND if made.failed else ExitStatus.OK
