"""The interfaces of this node: what the kernel says of them (rtnetlink), as it changes, and which of them announce.

Changes come as events; a full dump each minute makes good for events that the kernel dropped (ENOBUFS). The routers are
asked for after each change, one question for an interface and family: the routes of a node may be a million, and their
changes a flood.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.interface import Interface, InterfaceFlag
from lbctl.net.lower_devices import Link, carrier
from lbctl.telemetry.log import event

_logger = logging.getLogger("lbctl.interfaces")
EXCLUDED_PREFIXES = (
    "docker", "cbr", "dummy", "virbr", "lxcbr", "veth", "lo", "cali", "tunl", "flannel", "kube-ipvs", "cni",
    "nodelocaldns", "lxc",
)  # fmt: skip
"""What MetalLB leaves out unless told otherwise (its excludel2.yaml): interfaces of containers and tunnels."""
_EXCLUDED = re.compile("^(" + "|".join(map(re.escape, EXCLUDED_PREFIXES)) + ")")
DUMP_EVERY = 60.0
_GROUPS = 0x1 | 0x10 | 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR."""
_KNOWN_FLAGS = sum(InterfaceFlag)
_NOWHERE_NEAR = {4: "198.18.0.1", 6: "2001:2::1"}
"""Addresses set aside for benchmarks (RFC 2544, RFC 5180): a packet there would leave by the default route."""
_MOST_GATEWAYS = 16
"""Interfaces whose routers are asked for."""
_ROUTES_LATE = 2.0
"""Seconds after a change in which routes may follow it: DHCP and router advertisements set them last."""
_TENTATIVE = 0x40 | 0x08
"""IFA_F_TENTATIVE, IFA_F_DADFAILED: an IPv6 address that must not be spoken from (yet)."""


def select(interfaces: Iterable[Interface], named: Sequence[str] = ()) -> tuple[Interface, ...]:
    """The interfaces to announce on, by index.

    Without names: every broadcast interface that is not excluded by its name, takes part in ARP, and belongs to no
    bond or bridge. With names: exactly those, as far as they exist; a name is the operator's word even for a veth.
    """
    found = sorted(interfaces, key=lambda interface: interface.index)
    if named:
        return tuple(interface for interface in found if interface.name in named)
    return tuple(interface for interface in found if _announces(interface))


def _announces(interface: Interface) -> bool:
    return (
        InterfaceFlag.BROADCAST in interface.flags
        and InterfaceFlag.LOOPBACK not in interface.flags
        and InterfaceFlag.NOARP not in interface.flags
        and interface.master is None
        and not _EXCLUDED.match(interface.name)
    )


class InterfaceTable:
    """What is known of every interface, out of rtnetlink messages in the order they came."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self._addresses: dict[int, dict[IPAddress, int]] = {}

    def replaced_by(self, messages: Iterable[Mapping[str, Any]]) -> InterfaceTable:
        """A new table out of a full dump of links and addresses."""
        table = InterfaceTable()
        for message in messages:
            table.apply(message)
        return table

    def apply(self, message: Mapping[str, Any]) -> None:
        """Takes one message of a dump or an event; others than those of links and addresses change nothing."""
        index = int(message.get("index") or 0)
        match message.get("event"):
            case "RTM_NEWLINK" if message.get("family") != 7:
                elsewhere = message.get("link_netnsid") is not None
                self._links[index] = Link(
                    index=index,
                    name=str(message.get("ifname") or ""),
                    mac=str(message.get("address") or ""),
                    flags=InterfaceFlag(int(message.get("flags") or 0) & _KNOWN_FLAGS),
                    master=message.get("master") or None,
                    kind=message.get("kind"),
                    lower=None if elsewhere else message.get("link") or None,
                    active=message.get("active") or None,
                    ups=int(message.get("carrier_up_count") or 0),
                )
            case "RTM_DELLINK" if message.get("family") != 7:
                # AF_BRIDGE (7): a port left its bridge, the interface itself stays.
                self._links.pop(index, None)
                self._addresses.pop(index, None)
            case "RTM_NEWADDR":
                address = _address(message)
                if address is not None:
                    held = self._addresses.setdefault(index, {})
                    if int(message.get("flags") or 0) & _TENTATIVE and address.version == 6:
                        held.pop(address, None)
                    else:
                        held[address] = int(message.get("prefixlen") or 0)
            case "RTM_DELADDR":
                address = _address(message)
                if address is not None:
                    self._addresses.get(index, {}).pop(address, None)
            case _:
                pass

    def interfaces(self) -> tuple[Interface, ...]:
        """All interfaces, by index; without routers, which these messages do not tell."""
        found: list[Interface] = []
        for index, link in sorted(self._links.items()):
            lacking, text = carrier(index, self._links)
            found.append(
                Interface(
                    index=index,
                    name=link.name,
                    mac=link.mac,
                    flags=link.flags,
                    master=link.master,
                    addresses=tuple(self._addresses.get(index, ())),
                    networks=_networks(self._addresses.get(index, {})),
                    lacking=lacking,
                    link=text,
                )
            )
        return tuple(found)


def _address(message: Mapping[str, Any]) -> IPAddress | None:
    """The own address; on a point-to-point link `address` is the other end."""
    text = message.get("local") or message.get("address")
    with contextlib.suppress(ValueError):
        return ip_address(str(text))
    return None


def _networks(addresses: Mapping[IPAddress, int]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Those that a segment has: an address alone, or link-local, says nothing of it."""
    found = [
        ip_network((address, length), strict=False)
        for address, length in addresses.items()
        if 0 < length < address.max_prefixlen and not address.is_link_local
    ]
    return tuple(dict.fromkeys(found))


async def read_interfaces() -> tuple[Interface, ...]:
    """All interfaces of the current network namespace, once. Raises OSError."""
    from pyroute2 import AsyncIPRoute

    async with AsyncIPRoute() as requests:
        return await _with_gateways(requests, InterfaceTable().replaced_by(await _dump(requests)).interfaces())


async def watch_interfaces(*, dump_every: float = DUMP_EVERY) -> AsyncIterator[tuple[Interface, ...]]:
    """All interfaces, now and after every change. Never ends; what the kernel refuses is logged and tried again."""
    from pyroute2 import AsyncIPRoute

    known: tuple[Interface, ...] | None = None
    while True:
        try:
            async with AsyncIPRoute() as events, AsyncIPRoute() as requests:
                # Subscribe, then dump: an event that is older than the dump is followed by those that are newer.
                await events.bind(groups=_GROUPS)
                async with _queued(events) as queue:
                    while True:
                        table = InterfaceTable().replaced_by(await _dump(requests))
                        async for found in _follow(table, requests, queue, dump_every):
                            if found != known:
                                known = found
                                yield found
        except OSError as error:
            event(_logger, "interfaces_unreadable", level=logging.WARNING, error=str(error))
            await asyncio.sleep(1.0)


async def _follow(
    table: InterfaceTable, requests: Any, queue: asyncio.Queue[Mapping[str, Any] | OSError], duration: float
) -> AsyncIterator[tuple[Interface, ...]]:
    """The interfaces now and after each burst of events, for `duration` seconds.

    What changed is told before the routers are asked for: it may cost addresses, and they are only good to know.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + duration
    found = table.interfaces()
    gateways: dict[int, tuple[IPAddress, ...]] = {}
    ask_at = [loop.time(), loop.time() + _ROUTES_LATE]
    while True:
        if ask_at and loop.time() >= ask_at[0]:
            ask_at.pop(0)
            asked = await _with_gateways(requests, found)
            gateways = {interface.index: interface.gateways for interface in asked}
            yield asked
        wake_at = min([deadline, *ask_at])
        if deadline <= loop.time():
            return
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes at the same moment as an event.
            async with asyncio.timeout_at(wake_at):
                batch = [await queue.get()]
        except TimeoutError:
            continue
        while not queue.empty():
            batch.append(queue.get_nowait())
        for message in batch:
            if isinstance(message, OSError):
                raise message
            table.apply(message)
        if (changed := table.interfaces()) != found:
            found = changed
            yield tuple(replace(each, gateways=gateways.get(each.index, ())) for each in found)
            ask_at = [loop.time(), loop.time() + _ROUTES_LATE]


@contextlib.asynccontextmanager
async def _queued(events: Any) -> AsyncIterator[asyncio.Queue[Mapping[str, Any] | OSError]]:
    """The events of a bound socket in a queue of our own; its end or failure comes as the last item."""
    queue: asyncio.Queue[Mapping[str, Any] | OSError] = asyncio.Queue()

    async def pump() -> None:
        try:
            while True:
                # One call of get() is one batch, not the stream.
                async for message in events.get():
                    queue.put_nowait(_plain(message))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            queue.put_nowait(error if isinstance(error, OSError) else OSError(str(error)))

    task = asyncio.create_task(pump(), name="rtnetlink")
    try:
        yield queue
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _dump(requests: Any) -> list[Mapping[str, Any]]:
    found = [_plain(message) async for message in await requests.link("dump")]
    found += [_plain(message) async for message in await requests.addr("dump")]
    return found


async def _with_gateways(requests: Any, interfaces: tuple[Interface, ...]) -> tuple[Interface, ...]:
    """With the router of each family by which a packet would leave each of the first that can have one."""
    found: list[Interface] = []
    asked = 0
    for interface in interfaces:
        families = {a.version for a in interface.addresses if not (a.version == 6 and a.is_link_local)}
        if not families or asked == _MOST_GATEWAYS or not _may_have_gateway(interface):
            found.append(interface)
            continue
        asked += 1
        gateways = [await _gateway(requests, interface.index, _NOWHERE_NEAR[family]) for family in sorted(families)]
        found.append(replace(interface, gateways=tuple(gateway for gateway in gateways if gateway is not None)))
    return tuple(found)


def _may_have_gateway(interface: Interface) -> bool:
    return InterfaceFlag.BROADCAST in interface.flags and interface.usable


async def _gateway(requests: Any, ifindex: int, destination: str) -> IPAddress | None:
    """None without a route, or where the kernel takes everything for a neighbor."""
    from pyroute2.netlink.exceptions import NetlinkError

    with contextlib.suppress(NetlinkError):
        for route in await requests.route("get", dst=destination, oif=ifindex):
            text = route.get("gateway") or (route.get("via") or {}).get("addr")
            if text and route.get("oif") == ifindex:
                return ip_address(str(text))
    return None


_FIELDS = ("index", "family", "flags", "ifname", "address", "local", "master", "link", "link_netnsid")


def _plain(message: Any) -> Mapping[str, Any]:
    """The few fields we read of a message, so that the rest of it is not kept."""
    plain = {name: message.get(name) for name in _FIELDS}
    plain["event"] = message.get("event") or message["header"].get("event")
    if plain["event"] == "RTM_NEWLINK":
        plain["carrier_up_count"] = message.get("carrier_up_count")
        plain["kind"] = message.get(("linkinfo", "kind"))
        plain["active"] = message.get(("linkinfo", "data", "bond_active_slave"))
    return MappingProxyType(plain)
