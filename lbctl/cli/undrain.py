"""`lbctl undrain`: a node may announce again."""

from __future__ import annotations

from typing import Annotated

import typer

from lbctl.cli.options import Output, OutputOption, Socket, Via, is_node_name
from lbctl.cli.speaker_orders import give, speaker

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def undrain(
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="The node; or --self.", show_default=False)
    ] = None,
    own: Annotated[bool, typer.Option("--self", help="The node of the speaker that is asked.")] = False,
    via: Via = None,
    socket: Socket = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Let a drained node announce again.

    What is wanted there more than where it is goes back after a minute; the
    rest stays, unless `lbctl rebalance` spreads it.

    \b
    Exit status: 0 it may, or might already; 1 refused; 2 no speaker could be
    asked.

    \b
    Examples:
      lbctl undrain node2
      lbctl undrain --self
    """
    if own == (node is not None):
        raise typer.BadParameter("name a node, or --self, and not both", param_hint="NODE")
    if node is not None and not is_node_name(node):
        raise typer.BadParameter(f"{node!r} is not a node's name", param_hint="NODE")
    return give("undrain", speaker(via, socket), "/v1/undrain", {"node": node or ""}, output)
