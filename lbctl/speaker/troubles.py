"""What is wrong with the interfaces of a node, in sentences for `lbctl status`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lbctl.model.interface import Interface


def interface_troubles(interfaces: Sequence[Interface], unheard: Collection[str]) -> list[str]:
    """`unheard`: on these the other speakers would not hear this node."""
    found: list[str] = []
    if not interfaces:
        found.append("no interface to announce on")
    elif not any(interface.usable for interface in interfaces):
        found.append("no interface has carrier")
    elif not any(interface.speaking_address is not None for interface in interfaces):
        found.append("no interface has an address: the other speakers cannot hear this node, it answers nothing")
    return found + [
        f"{name} has no IPv4 address, by which the other speakers speak: this node is silent on it; add the address"
        for name in sorted(unheard)
    ]


def safety_troubles(speakers: int) -> list[str]:
    """What safety mode cannot do with so many configured speakers."""
    if speakers != 2:
        return []
    return [
        "safety mode with two speakers: when one of them fails, nobody answers; run a third speaker, "
        "or both with --ownership-mode availability"
    ]
