"""`lbctl diff NEW... --against CURRENT | --state DIR`: what another configuration would change, before it does."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lbctl.cli.exit_status import ExitStatus

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Form(StrEnum):
    HUMAN = "human"
    JSON = "json"


@app.command()
def diff(
    new: Annotated[
        list[Path],
        typer.Argument(
            metavar="NEW...", readable=False, help="The configuration to be: files and folders; - is stdin."
        ),
    ],
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against",
            metavar="PATH",
            help="The configuration in force: a file or folder; may be given more than once.",
            show_default=False,
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="DIR",
            help="The controller's folder: who holds which address, and without --against the configuration too.",
            show_default=False,
        ),
    ] = None,
    patch: Annotated[
        bool, typer.Option("--patch", help="NEW is put over what is in force; what it does not name stays.")
    ] = False,
    socket: Annotated[
        Path | None,
        typer.Option(
            "--socket",
            metavar="PATH",
            help="Ask the daemon at this status socket who announces what now.",
            show_default=False,
        ),
    ] = None,
    lb_class: Annotated[
        str,
        typer.Option(
            "--lb-class",
            metavar="CLASS",
            help="The loadBalancerClass that the controller was started with.",
            show_default=False,
        ),
    ] = "",
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the answer.")] = Form.HUMAN,
) -> int:
    """Say what a configuration would change, before it does: addresses,
    announcing nodes, BGP sessions and prefixes, each with its reason.

    NEW is all that would be in force. Where it has no Service (or no
    EndpointSlice, Node, Namespace) at all, those in force stay. Nothing is
    written anywhere, and no daemon is asked but with --socket.

    \b
    Exit status: 0 nothing would change; 1 something would; 2 cannot tell,
    as when NEW has errors and nothing else would change.

    \b
    Examples:
      lbctl diff new/ --state /var/lib/lbctl
      lbctl diff pool.yaml --patch --state /var/lib/lbctl
      lbctl diff new/ --against /etc/lbctl -o json
      lbctl diff new/ --state /var/lib/lbctl --socket /run/lbctl/controller.sock
    """
    import gc
    import time
    from dataclasses import replace

    from lbctl.cli.diff_document import document
    from lbctl.cli.diff_inputs import gather, supposed
    from lbctl.cli.diff_manifests import CannotTell
    from lbctl.cli.diff_report import human
    from lbctl.cli.render import as_json, terminal_width
    from lbctl.plan.diff import diff as compare

    if not against and state is None:
        raise typer.BadParameter("say what is in force: --against PATH, or --state DIR of the controller")
    gc.disable()  # nothing here outlives the command
    try:
        inputs = gather(new, against or [], state, patch=patch, socket=socket)
    except CannotTell as error:
        print(f"lbctl diff: {error}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
    told = compare(
        inputs.current,
        inputs.new,
        inputs.remembered,
        now_unix=time.time(),
        secrets=inputs.secrets,
        owners=inputs.owners,
        load_balancer_class=lb_class or None,
    )
    inputs = replace(inputs, notes=(*inputs.notes, *supposed(told)))
    if told:
        status = ExitStatus.FOUND
    else:
        # What is wrong in NEW is left out of the comparison, so that "nothing" cannot be said of it.
        status = ExitStatus.UNAVAILABLE if inputs.manifests.errors else ExitStatus.OK
    if output is Form.JSON:
        print(as_json(document(told, inputs, status)))
    else:
        print(human(told, inputs, width=terminal_width()))
    return status
