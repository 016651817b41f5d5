"""What an interface stands on, down to the ports that have a plug: is there carrier, and which link is behind it.

A VLAN, a macvlan, a bond and a bridge may each keep their own carrier while the cable below is out; a bridge does so as
long as any virtual machine on it has its end up. What announces there is heard by nobody outside, so carrier is
followed to the lower devices, and the one that lacks it is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lbctl.model.interface import InterfaceFlag

_ON_ONE = frozenset({"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"})
"""Kinds of device that stand on the one that IFLA_LINK names (elsewhere it means a peer)."""
_OF_PORTS = frozenset({"bond", "team"})
_INSIDE = frozenset(
    {"veth", "tun", "dummy", "ifb", "netkit", "vcan", "vxlan", "geneve", "gretap", "ip6gretap", "erspan", "l2tp"}
)
"""Kinds of bridge port that lead to containers, virtual machines and tunnels: their carrier says nothing of a cable."""
_CARRIES = InterfaceFlag.UP | InterfaceFlag.LOWER_UP


@dataclass(frozen=True, slots=True)
class Link:
    """A device as rtnetlink describes it. `lower` is its IFLA_LINK, if that is in this network namespace."""

    index: int
    name: str
    mac: str
    flags: InterfaceFlag
    master: int | None = None
    kind: str | None = None
    lower: int | None = None
    active: int | None = None
    """Of a bond in active-backup mode: the port in use."""
    ups: int = 0
    """How often its carrier came up."""


class Carrier(NamedTuple):
    lacking: str | None
    """The lower devices for want of whose carrier nothing gets out; None = there is a way, or its own is missing."""
    link: str
    """Which ports frames leave by, and how often each came up: another text is another link to the switch."""


def carrier(index: int, links: Mapping[int, Link]) -> Carrier:
    """Carrier of the device `index`, by all devices there are."""
    lacking = _lacking(index, links, ())
    own = links[index].name
    return Carrier(lacking if lacking != own else None, _link(index, links, ()))


def _lacking(index: int, links: Mapping[int, Link], above: tuple[int, ...]) -> str | None:
    link = links.get(index)
    if link is None or index in above:
        return None
    below = _below(link, links)
    if below:
        found = [_lacking(each, links, (*above, index)) for each in below]
        without = [name for name in found if name is not None]
        if len(without) == len(found):
            return ", ".join(without)
    return link.name if link.flags & _CARRIES != _CARRIES else None


def _link(index: int, links: Mapping[int, Link], above: tuple[int, ...]) -> str:
    link = links[index]
    below = [] if index in above else _below(link, links)
    if link.kind in _OF_PORTS:
        # Which port is in use is the bond's own affair, unless it says so.
        below = [link.active] if link.active in below else []
    parts = [_link(each, links, (*above, index)) for each in below if _lacking(each, links, (*above, index)) is None]
    return "+".join(parts) if parts else f"{link.name}:{link.ups}"


def _below(link: Link, links: Mapping[int, Link]) -> list[int]:
    if link.kind in _ON_ONE:
        return [link.lower] if link.lower in links and link.lower is not None else []
    if link.kind in _OF_PORTS:
        return [each.index for each in links.values() if each.master == link.index]
    if link.kind == "bridge":
        return [each.index for each in links.values() if each.master == link.index and each.kind not in _INSIDE]
    return []
