"""The interfaces of this node: what the kernel says of them (rtnetlink), as it changes, and which of them announce.

Changes come as events; a full dump each minute makes good for events that the kernel dropped (ENOBUFS).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.interface import Interface, InterfaceFlag
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
        self._links: dict[int, Interface] = {}
        self._addresses: dict[int, dict[IPAddress, None]] = {}

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
                self._links[index] = Interface(
                    index=index,
                    name=str(message.get("ifname") or ""),
                    mac=str(message.get("address") or ""),
                    flags=InterfaceFlag(int(message.get("flags") or 0) & _KNOWN_FLAGS),
                    master=message.get("master") or None,
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
                        held[address] = None
            case "RTM_DELADDR":
                address = _address(message)
                if address is not None:
                    self._addresses.get(index, {}).pop(address, None)
            case _:
                pass

    def interfaces(self) -> tuple[Interface, ...]:
        """All interfaces, by index."""
        return tuple(
            replace(link, addresses=tuple(self._addresses.get(index, ())))
            for index, link in sorted(self._links.items())
        )


def _address(message: Mapping[str, Any]) -> IPAddress | None:
    """The own address; on a point-to-point link `address` is the other end."""
    text = message.get("local") or message.get("address")
    with contextlib.suppress(ValueError):
        return ip_address(str(text))
    return None


async def read_interfaces() -> tuple[Interface, ...]:
    """All interfaces of the current network namespace, once. Raises OSError."""
    from pyroute2 import AsyncIPRoute

    async with AsyncIPRoute() as requests:
        return InterfaceTable().replaced_by(await _dump(requests)).interfaces()


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
                        if (found := table.interfaces()) != known:
                            known = found
                            yield found
                        async for found in _follow(table, queue, dump_every):
                            if found != known:
                                known = found
                                yield found
        except OSError as error:
            event(_logger, "interfaces_unreadable", level=logging.WARNING, error=str(error))
            await asyncio.sleep(1.0)


async def _follow(
    table: InterfaceTable, queue: asyncio.Queue[Mapping[str, Any] | OSError], duration: float
) -> AsyncIterator[tuple[Interface, ...]]:
    """The interfaces after each burst of events, for `duration` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + duration
    while (left := deadline - loop.time()) > 0:
        try:
            batch = [await asyncio.wait_for(queue.get(), left)]
        except TimeoutError:
            return
        while not queue.empty():
            batch.append(queue.get_nowait())
        for message in batch:
            if isinstance(message, OSError):
                raise message
            table.apply(message)
        yield table.interfaces()


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


_FIELDS = ("index", "family", "flags", "ifname", "address", "local", "master")


def _plain(message: Any) -> Mapping[str, Any]:
    """The few fields we read of a message, so that the rest of it is not kept."""
    plain = {name: message.get(name) for name in _FIELDS}
    plain["event"] = message.get("event") or message["header"].get("event")
    return MappingProxyType(plain)
