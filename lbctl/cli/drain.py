"""`lbctl drain`: moves everything away from a node, before work on it; `--stop` ends its speaker after that."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.options import Output, OutputOption, Socket, Via, is_node_name
from lbctl.cli.speaker_orders import NotGiven, order, say, speaker
from lbctl.net.status_client import AskError, DaemonAddress, ask

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_LOOK_EVERY = 1.0
_STOP_TIME = 5.0


@app.command()
def drain(
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="The node; or --self.", show_default=False)
    ] = None,
    own: Annotated[bool, typer.Option("--self", help="The node of the speaker that is asked.")] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="Then wait until no connection uses it, and stop its speaker.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also when an address has no other node that could announce it.")
    ] = False,
    flow_time: Annotated[
        float,
        typer.Option(
            "--flow-time", metavar="SECONDS", min=0, max=86400, help="How long --stop waits for open connections."
        ),
    ] = 600.0,
    via: Via = None,
    socket: Socket = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Move everything away from a node, and nothing back, until `lbctl undrain`.

    No packet is lost, open connections live on, and no controller is needed.
    It stays drained over restarts. Refused where it would leave an address
    without any node.

    \b
    Exit status: 0 nothing is left on it; 1 refused, or something is left; 2 no
    speaker could be asked.

    \b
    Examples:
      lbctl drain node2
      lbctl drain --self --stop
      lbctl drain --self --stop --flow-time 60
    """
    if own == (node is not None):
        raise typer.BadParameter("name a node, or --self, and not both", param_hint="NODE")
    if node is not None and not is_node_name(node):
        raise typer.BadParameter(f"{node!r} is not a node's name", param_hint="NODE")
    if stop and not own:
        raise typer.BadParameter("a speaker is stopped on its own node: --self --stop", param_hint="--stop")
    daemon = speaker(via, socket)
    try:
        asked = {"node": node or "", **({"force": "1"} if force else {})}
        answer = order(daemon, "/v1/drain", asked)
        status = say("drain", answer, output)
        if not stop or answer["result"] == "refused":
            return status
        return _stop(daemon, answer["node"], flow_time) or status
    except NotGiven as error:
        print(f"lbctl drain: {error}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE


def _stop(daemon: DaemonAddress, node: str, flow_time: float) -> int:
    until, said = time.monotonic() + flow_time, None
    while (flows := order(daemon, "/v1/flows", {})["flows"]) and time.monotonic() < until:
        if flows != said:
            left = max(0, round(until - time.monotonic()))
            print(f"waiting for {_connections(flows)} through {node}, {left} s at most", file=sys.stderr)
            said = flows
        time.sleep(min(_LOOK_EVERY, max(0.0, until - time.monotonic())))
    order(daemon, "/v1/stop", {})
    if flows:
        print(f"lbctl drain: {_connections(flows)} still went through {node}", file=sys.stderr)
    gone_until = time.monotonic() + _STOP_TIME
    while time.monotonic() < gone_until:
        try:
            ask(daemon, "/v1/status")
        except AskError:
            print(f"the speaker of {node} has stopped; `lbctl undrain {node}` once it may announce again")
            return ExitStatus.FOUND if flows else ExitStatus.OK
        time.sleep(0.05)
    print(f"lbctl drain: the speaker of {node} still runs after {_STOP_TIME:.0f} s", file=sys.stderr)
    return ExitStatus.FOUND


def _connections(flows: int) -> str:
    return "1 open connection" if flows == 1 else f"{flows} open connections"
