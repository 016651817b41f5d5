"""`lbctl move`: sends a VIP to a node and pins it there, until released."""

from __future__ import annotations

from typing import Annotated

import typer

from lbctl.cli.options import Output, OutputOption, Socket, Via, is_node_name
from lbctl.cli.speaker_orders import give, speaker

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def move(
    target: Annotated[str, typer.Argument(metavar="VIP", help="An address, a service, or namespace/name.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="NODE", help="The node that shall have it.", show_default=False)
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="It may be anywhere again.")] = False,
    via: Via = None,
    socket: Socket = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Send a VIP to a node; it stays pinned there until `--release`.

    No packet is lost, open connections live on, and no controller is needed.
    What shares an address with it moves along. Should the node die, another
    one takes the VIP, and it goes back when the node is well again.

    \b
    Exit status: 0 it is there, or released; 1 refused, or not there yet; 2 no
    speaker could be asked.

    \b
    Examples:
      lbctl move 192.168.3.170 --to node2
      lbctl move default/nginx --to node2
      lbctl move 192.168.3.170 --release
    """
    if release == (to is not None):
        raise typer.BadParameter("say where with --to NODE, or --release", param_hint="--to")
    if to is not None and not is_node_name(to):
        raise typer.BadParameter(f"{to!r} is not a node's name", param_hint="--to")
    asked = {"target": target, **({"to": to} if to is not None else {})}
    return give("move", speaker(via, socket), "/v1/move", asked, output)
