"""Open connections over a planned move: packets that belong to nothing this node knows go to who had the VIP before.

A connection that was opened through the node before is in that node's connection tracking alone. The new owner finds a
TCP packet to the VIP that opens nothing and belongs to nothing it knows, and sends it on as it is to the node before,
which forwards it as ever; answers go from there to the client straight. No entry is made here, so nothing has to end
when the connection does, and a packet costs two look-ups.

Of each family there is one table (`dup` is not for `inet`), with two maps from a VIP to a node's address:
- `holder`: another node has the VIP now. So the way is there before this node takes over, and no packet comes between.
  Not for what a speaker sends here: it would go to and fro between two who know nothing of it.
- `past`: this node has the VIP, or had it, and that node had it before. Those who had it lately are in one line, the
  same one for all, so that a packet comes past each of them once and past none twice. The kernel keeps it for a time,
  by itself, so that connections outlive a restart of the speaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbctl.model.address import Family, IPAddress, family_of

TABLE = "lbctl-moves"
_WORDS = {Family.IPV4: ("ip", "ipv4_addr"), Family.IPV6: ("ip6", "ipv6_addr")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relays:
    """Where packets of unknown connections go, by VIP. `past` with the seconds that are left of each.

    `speakers` are the hardware addresses of the other speakers.
    """

    past: Mapping[IPAddress, tuple[IPAddress, float]] = field(default_factory=dict)
    holder: Mapping[IPAddress, IPAddress] = field(default_factory=dict)
    speakers: frozenset[str] = frozenset()


def name_of(family: Family) -> str:
    """The table of a family, as nft wants it."""
    return f"{_WORDS[family][0]} {TABLE}"


def frame(family: Family, *, picks_up: bool) -> str:
    """The table without what is in its maps, which stays where it is there already.

    `picks_up`: connection tracking takes up connections in their midst (net.netfilter.nf_conntrack_tcp_loose). Where
    it does not, it calls all such packets invalid, else only those that end one. What is invalid for another reason is
    not sent on: the node before might take it for the midst of a connection, and reset that.
    """
    ip, address = _WORDS[family]
    name = name_of(family)
    invalid = "ct state invalid tcp flags & (fin | rst) != 0" if picks_up else "ct state invalid tcp flags & syn == 0"
    return (
        f"add table {name}\n"
        f"add set {name} speakers {{ type ether_addr; }}\n"
        f"add map {name} past {{ type {address} : {address}; flags timeout; }}\n"
        f"add map {name} holder {{ type {address} : {address}; }}\n"
        f"add chain {name} unknown\n"
        f"add chain {name} relay {{ type filter hook prerouting priority -150; policy accept; }}\n"
        f"flush chain {name} relay\n"
        f"flush chain {name} unknown\n"
        f"add rule {name} unknown ether saddr != @speakers dup to {ip} daddr map @holder drop\n"
        f"add rule {name} unknown dup to {ip} daddr map @past drop\n"
        f"add rule {name} relay ct state new tcp flags & syn == 0 jump unknown\n"
        f"add rule {name} relay {invalid} jump unknown\n"
    )


def change(family: Family, old: Relays | None, new: Relays) -> str:
    """From one state to another, "" where there is nothing to do; from None to fill anew whatever is there."""
    lines: list[str] = []
    name = name_of(family)
    if old is None or old.speakers != new.speakers:
        lines.append(f"flush set {name} speakers")
        lines += _added(name, "speakers", sorted(new.speakers))
    if old is None or old.past is not new.past:
        lines.append(f"flush map {name} past")
        found = [(vip, hop, left) for vip, (hop, left) in new.past.items() if family_of(vip) is family]
        lines += _added(name, "past", [f"{vip} timeout {max(1, round(left))}s : {hop}" for vip, hop, left in found])
    before = _of(family, old.holder) if old is not None else {}
    after = _of(family, new.holder)
    if old is None:
        lines.append(f"flush map {name} holder")
    less = [str(vip) for vip, hop in before.items() if after.get(vip) != hop]
    if less:
        lines.append(f"delete element {name} holder {{ {', '.join(less)} }}")
    lines += _added(name, "holder", [f"{vip} : {hop}" for vip, hop in after.items() if before.get(vip) != hop])
    return "\n".join(lines) + "\n" if lines else ""


def _of(family: Family, holder: Mapping[IPAddress, IPAddress]) -> dict[IPAddress, IPAddress]:
    return {vip: hop for vip, hop in holder.items() if family_of(vip) is family}


def _added(name: str, collection: str, elements: Iterable[str]) -> list[str]:
    texts = ", ".join(elements)
    return [f"add element {name} {collection} {{ {texts} }}"] if texts else []
