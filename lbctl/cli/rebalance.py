"""`lbctl rebalance`: spreads the VIPs evenly over the nodes, now."""

from __future__ import annotations

import typer

from lbctl.cli.options import Output, OutputOption, Socket, Via
from lbctl.cli.speaker_orders import give, speaker

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def rebalance(via: Via = None, socket: Socket = None, output: OutputOption = Output.TABLE) -> int:
    """Spread the VIPs evenly over the nodes, a group a second, without losing a packet.

    By itself lbctl does so only when one node has had more than twice what
    another has for about a minute. What is pinned, or wanted where it is, stays.

    \b
    Exit status: 0 it has begun; 2 no speaker could be asked.

    \b
    Examples:
      lbctl rebalance
    """
    return give("rebalance", speaker(via, socket), "/v1/rebalance", {}, output)
