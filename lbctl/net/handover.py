"""The tables of `plan.relay_rules` in the kernel: made, filled, read back after a restart, left behind at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec

from lbctl.model.address import Family, IPAddress
from lbctl.net.nftables import Nft, ProxyError
from lbctl.plan.relay_rules import Relays, change, frame, name_of

LOOSE = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_loose")


class Handover:
    """Brings the kernel to the Relays it was given last. Used by one task of one loop."""

    def __init__(self, nft: Nft | None = None) -> None:
        self._nft = nft or Nft()
        self._in_force: Relays | None = None
        self._framed = False
        self._ended = False
        self._lock = asyncio.Lock()

    async def restore(self) -> dict[IPAddress, tuple[IPAddress, float]]:
        """What an earlier speaker of this node left in `past`, with the seconds that are left. Raises ProxyError."""
        found: dict[IPAddress, tuple[IPAddress, float]] = {}
        for family in Family:
            try:
                output = await self._nft.run(["-j", "list", "map", *name_of(family).split(), "past"])
            except ProxyError:
                continue  # there is none; should it be for another reason, loading says so
            found |= await asyncio.to_thread(_past, output)
        return found

    async def apply(self, relays: Relays) -> None:
        """One transaction, for what differs. Raises ProxyError; the next call then fills everything anew."""
        async with self._lock:
            if not self._ended:
                await self._bring(relays)

    async def _bring(self, relays: Relays) -> None:
        before, self._in_force = self._in_force, None
        text = "".join(change(family, before, relays) for family in Family)
        if not self._framed:
            picks_up = await asyncio.to_thread(_picks_up)
            text = "".join(frame(family, picks_up=picks_up) for family in Family) + text
        if text:
            self._framed = False
            await self._nft.load(text)
            self._framed = True
        self._in_force = relays

    async def end(self, past: Mapping[IPAddress, tuple[IPAddress, float]]) -> None:
        """This node owns nothing any more. What went on to another still does, each for its time. Raises ProxyError.

        After that, `apply` does nothing.
        """
        async with self._lock:
            self._ended = True
            if past:
                await self._bring(Relays(past=dict(past)))
                return
            names = [name_of(family) for family in Family]
            await self._nft.load("".join(f"add table {name}\ndelete table {name}\n" for name in names))


def _picks_up() -> bool:
    try:
        return LOOSE.read_text().strip() != "0"
    except OSError:
        return True


def _past(output: bytes) -> dict[IPAddress, tuple[IPAddress, float]]:
    """The elements of a listed map; what is not of ours is passed over."""
    found: dict[IPAddress, tuple[IPAddress, float]] = {}
    try:
        listed: list[dict[str, Any]] = msgspec.json.decode(output)["nftables"]
        for entry in listed:
            for element, hop in entry.get("map", {}).get("elem", ()):
                told = element["elem"]
                found[ip_address(told["val"])] = ip_address(hop), float(told["expires"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        return {}
    return found
