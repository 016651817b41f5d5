"""`lbctl where-is`: which node answers for a VIP, from three sides at once.

The question goes to the wire first and to the daemon while the answers come in, so that the whole costs little more
than the window. What looks like a conflict is looked at a second time, because an address that moves at this very
moment is none.
"""

from __future__ import annotations

import ipaddress
import re
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from lbctl.cli.options import (
    DEFAULT_CONTROLLER_SOCKET,
    DEFAULT_SPEAKER_SOCKET,
    DEFAULT_STATE,
    Output,
    OutputOption,
    PublishedPath,
    StateDir,
    Via,
)
from lbctl.cli.render import as_json, as_yaml
from lbctl.cli.whereabouts import Answer, Judgement, Seen, Verdict, Whereabouts, judge, planned_from, said_from, worst
from lbctl.model.address import IPAddress
from lbctl.net.probe import DEFAULT_WINDOW, Evidence, Probes, Unseen
from lbctl.net.rtnetlink import neighbors
from lbctl.net.status_client import AskError, DaemonAddress, UnixAddress, ask, parse_address

SCHEMA = "lbctl.io/where-is/v1"
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a daemon, or the published file, said about the target; `failures` are those that could not be asked."""

    role: str | None = None
    node: str = ""
    address: str = ""
    local: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def members(self) -> Sequence[Mapping[str, Any]]:
        members: Sequence[Mapping[str, Any]] = self.document.get("view", {}).get("members", ())
        return members

    def vip(self, address: str) -> Mapping[str, Any] | None:
        vips: Sequence[Mapping[str, Any]] = self.document.get("vips", ())
        return next((vip for vip in vips if vip["address"] == address), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole answer: what was told, and each address with its judgement."""

    target: str
    at_unix: float
    told: Told
    vips: tuple[tuple[Whereabouts, Judgement], ...]

    @property
    def verdict(self) -> Verdict:
        if not self.vips and self.told.role is None:
            return Verdict.UNVERIFIED
        return worst(judgement.verdict for _, judgement in self.vips)


@app.command()
def where_is(
    target: Annotated[str, typer.Argument(metavar="VIP|NAMESPACE/NAME", help="An address, or a service.")],
    via: Via = None,
    interface: Annotated[
        str | None,
        typer.Option(
            "--interface", "-i", metavar="NAME", help="Look on this interface, not on the one the routes name."
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0.001, max=60.0, metavar="SECONDS", help="How long to wait for answers.")
    ] = DEFAULT_WINDOW,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on: one line each time it moves.")] = False,
    output: OutputOption = Output.TABLE,
    state: StateDir = DEFAULT_STATE,
    published: PublishedPath = None,
) -> int:
    """Which node answers for a VIP: what is planned, what is said, what is seen, and whether they agree.

    planned: what the plan's functions decide. said: which node claims it in
    its heartbeats, by the speaker on this host (else the controller, else the
    published file, which knows the plan only). seen: every station that
    answers an ARP or NDP question asked from this host now.

    \b
    Exit status: 0 owned, said and seen agree; 1 owned by nobody; 2 conflict;
    3 could not be asked; 64 wrong command line.

    \b
    Examples:
      lbctl where-is 192.168.3.170
      lbctl where-is default/nginx-svc -o wide
      lbctl where-is 192.168.3.170 --via 192.168.3.103 --wait 0.5
      lbctl where-is 192.168.3.170 --watch
    """
    address = _checked(target)
    daemon = _daemon(via)
    published_path = published or state / "published" / "snapshot.json"
    report = look(target, address, daemon, published_path, interface, wait)
    if report.verdict is Verdict.CONFLICT:
        report = look(target, address, daemon, published_path, interface, wait)
    if watch:
        from lbctl.cli.where_watch import follow

        follow(report, daemon, output)
    match output:
        case Output.JSON:
            print(as_json(document(report)))
        case Output.YAML:
            print(as_yaml(document(report)))
        case _:
            from lbctl.cli.where_text import text

            print(text(report, wide=output is Output.WIDE))
    return report.verdict.status


_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def _checked(target: str) -> IPAddress | None:
    """The address, or None for a service's name. Raises BadParameter."""
    try:
        return ipaddress.ip_address(target)
    except ValueError:
        pass
    if not _NAME.fullmatch(target) or not target.strip("0123456789./"):
        raise typer.BadParameter(f"{target!r} is neither an address nor namespace/name", param_hint="target")
    return None


def _daemon(via: str | None) -> DaemonAddress | None:
    try:
        return parse_address(via) if via is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--via") from None


def look(
    target: str,
    address: IPAddress | None,
    daemon: DaemonAddress | None,
    published: Path,
    interface: str | None,
    window: float,
) -> Report:
    """Asks daemon and wire once, and judges."""
    if address is not None:
        with Probes([address], interface=interface) as probes:
            probes.ask()
            told = be_told(target, daemon, published)
            evidence = probes.collect(window)
    else:
        told = be_told(target, daemon, published)
        addresses = [ipaddress.ip_address(vip["address"]) for vip in told.document.get("vips", ())]
        with Probes(addresses, interface=interface) as probes:
            probes.ask()
            evidence = probes.collect(window) if addresses else ()
    vips = [_whereabouts(told, each, window) for each in evidence]
    return Report(target=target, at_unix=time.time(), told=told, vips=tuple((known, judge(known)) for known in vips))


def be_told(target: str, daemon: DaemonAddress | None, published: Path) -> Told:
    """Asks the daemon named, or the speaker here, or the controller here; the published file when none answers."""
    failures: list[str] = []
    here = (UnixAddress(DEFAULT_SPEAKER_SOCKET), UnixAddress(DEFAULT_CONTROLLER_SOCKET))
    for each in (daemon,) if daemon is not None else here:
        try:
            _, answer = ask(each, f"/v1/where?target={urllib.parse.quote(target, safe='')}")
        except AskError as error:
            failures.append(str(error))
            continue
        return Told(
            role=str(answer.get("role", "speaker")),
            node=str(answer.get("node", "")),
            address=str(each),
            local=isinstance(each, UnixAddress),
            document=answer,
            failures=tuple(failures),
        )
    if published.exists():
        from lbctl.cli.published_answers import NotPublished, where

        try:
            answer = where(published, target)
        except NotPublished as error:
            failures.append(str(error))
        else:
            return Told(role="published", address=str(published), document=answer, failures=tuple(failures))
    return Told(failures=tuple(failures))


def _whereabouts(told: Told, evidence: Evidence, window: float) -> Whereabouts:
    asked = told.role in ("speaker", "controller")
    address = str(evidence.address)
    vip = told.vip(address)
    said = tuple(said_from(claim) for claim in (vip or {}).get("said", ())) if asked else None
    return Whereabouts(
        address=address,
        pool=vip["pool"] if vip else None,
        allocation_id=vip["allocation_id"] if vip else None,
        planned=planned_from(vip["planned"]) if vip else None,
        said=said,
        seen=_seen(told, evidence, {claim.node for claim in said or ()}, window),
        liveness={str(member["node"]): str(member["state"]) for member in told.members},
    )


def _seen(told: Told, evidence: Evidence, claimants: set[str], window: float) -> Seen:
    nodes = {str(mac).lower(): str(member["node"]) for member in told.members for mac, _ in member.get("macs", ())}
    hints: dict[str, list[str]] = {}
    if any(sighting.mac not in nodes for sighting in evidence.sightings):
        by_address = {str(each): str(member["node"]) for member in told.members for each in member.get("addresses", ())}
        by_address |= told.document.get("node_addresses", {})
        for neighbor in neighbors():
            if neighbor.address == evidence.address:
                continue
            hints.setdefault(neighbor.mac, []).append(str(neighbor.address))
            if (node := by_address.get(str(neighbor.address))) is not None:
                nodes.setdefault(neighbor.mac, node)
    answers = tuple(
        Answer(
            mac=sighting.mac,
            node=nodes.get(sighting.mac),
            after=sighting.after,
            asked=sighting.asked,
            hint=" ".join(hints.get(sighting.mac, ())),
        )
        for sighting in evidence.sightings
    )
    here = nodes.get(evidence.own_mac or "") or _node_here(told, nodes)
    return Seen(
        interface=evidence.interface,
        window=window,
        answers=answers,
        unseen=evidence.unseen.value if evidence.unseen else None,
        detail=evidence.detail,
        own=here in claimants and evidence.unseen in (None, Unseen.OWN_ADDRESS),
    )


def _node_here(told: Told, nodes: Mapping[str, str]) -> str | None:
    """The node of this host by the speaker's socket; not when its MACs are known, since ours was not one of them."""
    if told.local and told.role == "speaker" and told.node not in nodes.values():
        return told.node
    return None


def document(report: Report) -> dict[str, Any]:
    """The answer as `lbctl.io/where-is/v1`, described in docs/commands.md."""
    told = report.told
    return {
        "schema": SCHEMA,
        "target": report.target,
        "at_unix": report.at_unix,
        "verdict": report.verdict.value,
        "status": int(report.verdict.status),
        "asked": {
            "role": told.role,
            "node": told.node or None,
            "address": told.address or None,
            "failures": list(told.failures),
        },
        "world": told.document.get("world"),
        "services": list(told.document.get("services", ())),
        "vips": [_vip_document(told, known, judgement) for known, judgement in report.vips],
        "error": told.document.get("error"),
    }


def _vip_document(told: Told, known: Whereabouts, judgement: Judgement) -> dict[str, Any]:
    vip = told.vip(known.address) or {}
    seen = known.seen
    return {
        "address": known.address,
        "pool": known.pool,
        "allocation_id": known.allocation_id,
        "verdict": judgement.verdict.value,
        "owner": judgement.owner,
        "findings": [{"finding": finding.value, "message": message} for finding, message in judgement.findings],
        "planned": vip.get("planned"),
        "said": vip.get("said", []) if known.said is not None else None,
        "seen": {
            "interface": seen.interface,
            "window": seen.window,
            "own": seen.own,
            "unseen": {"reason": seen.unseen, "message": seen.detail} if seen.unseen else None,
            "answers": [
                {
                    "mac": answer.mac,
                    "node": answer.node,
                    "after": round(answer.after, 6),
                    "asked": answer.asked,
                    "also": answer.hint or None,
                }
                for answer in seen.answers
            ],
        },
    }
