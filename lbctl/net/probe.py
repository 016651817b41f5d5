"""Who answers for an address on this host's own segment: ask by ARP or NDP, collect every station that answers.

    probes = Probes(addresses, interface=None)
    probes.ask()                 # the questions are out
    ...                          # other work; the kernel keeps the answers and when they came
    evidence = probes.collect(0.05)

Raw sockets, because the kernel's own resolver would keep one answer and hide the second, which is the one that
matters. A host never hears its own answer on the wire: an address that this host announces itself is silent from here
when all is well.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

from lbctl.model.address import IPAddress
from lbctl.net.packet_socket import Kind, PacketSocket
from lbctl.net.rtnetlink import RouteKind, interface_addresses, route_to
from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.ethernet import mac_to_text

DEFAULT_WINDOW = 0.05
"""Seconds that answers are waited for. A station on the same segment answers in well under a millisecond; a busy one
in a few."""

_ARPHRD_ETHER = 1
_SIOCGIFFLAGS = 0x8913
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_FRAME = 2048


class Unseen(StrEnum):
    """Why this host could not look."""

    ROUTED = "not_on_this_segment"
    NO_ROUTE = "no_route"
    NO_INTERFACE = "no_such_interface"
    NOT_ETHERNET = "not_ethernet"
    NO_CARRIER = "no_carrier"
    NO_SOURCE = "no_ipv6_on_interface"
    NO_PERMISSION = "needs_cap_net_raw"
    OWN_ADDRESS = "address_on_this_host"
    FAILED = "probe_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A station that said, inside the window, that the address is at `mac`.

    `after` is seconds from the last question before it, by the kernel's clock of arrival; `asked` is false where it
    spoke without being asked by us (a gratuitous announcement, or an answer to somebody else).
    """

    mac: str
    after: float
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of one address. With `unseen` set nothing was asked, and silence means nothing."""

    address: IPAddress
    interface: str | None = None
    own_mac: str | None = None
    sightings: tuple[Sighting, ...] = ()
    unseen: Unseen | None = None
    detail: str = ""


class CannotLook(Exception):
    """Carries the reason why an address cannot be probed from here."""

    def __init__(self, unseen: Unseen, detail: str = "", interface: str | None = None) -> None:
        super().__init__(f"{unseen}: {detail}")
        self.unseen = unseen
        self.detail = detail
        self.interface = interface


class Probe:
    """One address, one socket on one interface. Raises CannotLook from the constructor."""

    def __init__(self, address: IPAddress, *, interface: str | None = None) -> None:
        self.address = address
        ifindex, source = _way_to(address, interface)
        self.interface = socket.if_indextoname(ifindex)
        _check_link(self.interface)
        self._packets = _open(self.interface, ifindex, Kind.ARP if address.version == 4 else Kind.NDP)
        try:
            own = self._packets.sock.getsockname()
            if own[3] != _ARPHRD_ETHER:
                raise CannotLook(Unseen.NOT_ETHERNET, f"{self.interface} has no MAC addresses", self.interface)
            self.mac: bytes = own[4]
            self._question = self._make_question(ifindex, source)
        except BaseException:
            self._packets.close()
            raise
        self._asked_at: list[float] = []
        self._seen: dict[bytes, Sighting] = {}

    def _make_question(self, ifindex: int, source: IPAddress | None) -> bytes:
        if self.address.version == 4:
            if source is None:
                source = next(iter(interface_addresses(ifindex, socket.AF_INET)), None)
            sender = source.packed if source else bytes(4)
            return arp.request(mac=self.mac, sender_ip=sender, target_ip=self.address.packed)
        mine = interface_addresses(ifindex, socket.AF_INET6)
        own = next((each for each in mine if each.is_link_local), None) or next(iter(mine), None)
        if own is None:
            raise CannotLook(Unseen.NO_SOURCE, f"{self.interface} has no IPv6 address to ask from", self.interface)
        return ndp.solicitation(mac=self.mac, source_ip=own.packed, target=self.address.packed)

    def fileno(self) -> int:
        return self._packets.fileno()

    @property
    def heard(self) -> bool:
        return bool(self._seen)

    def ask(self) -> None:
        """Sends the question once. Raises OSError when the interface does not take it."""
        self._asked_at.append(time.time())
        self._packets.send(self._question)

    def receive(self) -> None:
        """Takes what has arrived."""
        while True:
            try:
                frame, ancillary, _, _ = self._packets.sock.recvmsg(_FRAME, 64)
            except BlockingIOError:
                return
            found = self._statement(frame)
            if found is None or found[0] == self.mac:
                continue
            mac, asked = found
            before = self._seen.get(mac)
            if before is None or (asked and not before.asked):
                self._seen[mac] = Sighting(mac=mac_to_text(mac), after=self._after(_arrival(ancillary)), asked=asked)

    def _after(self, at: float) -> float:
        return max(0.0, at - max((asked for asked in self._asked_at if asked <= at), default=at))

    def _statement(self, frame: bytes) -> tuple[bytes, bool] | None:
        """(MAC, in answer to us) when this frame says where the address is."""
        if self.address.version == 4:
            packet = arp.parse(frame)
            if packet is None or packet.sender_ip != self.address.packed:
                return None
            return packet.sender_mac, packet.operation == arp.REPLY and packet.target_mac == self.mac
        message = ndp.parse(frame)
        if not isinstance(message, ndp.NdpMessage) or message.type != ndp.ADVERTISEMENT:
            return None
        if message.target != self.address.packed:
            return None
        return message.link_layer or message.source, message.solicited and message.destination == self.mac

    def evidence(self) -> Evidence:
        return Evidence(
            address=self.address,
            interface=self.interface,
            own_mac=mac_to_text(self.mac),
            sightings=tuple(sorted(self._seen.values(), key=lambda sighting: (sighting.after, sighting.mac))),
        )

    def close(self) -> None:
        self._packets.close()


class Probes:
    """Several addresses asked at once; what cannot be asked becomes evidence that says why."""

    def __init__(self, addresses: Iterable[IPAddress], *, interface: str | None = None) -> None:
        self._open: dict[IPAddress, Probe] = {}
        self._failed: dict[IPAddress, Evidence] = {}
        self._asked_at = 0.0
        self._order = tuple(dict.fromkeys(addresses))
        for address in self._order:
            try:
                self._open[address] = Probe(address, interface=interface)
            except CannotLook as no:
                self._fail(address, no.unseen, no.detail, no.interface)
            except OSError as error:
                self._fail(address, Unseen.FAILED, str(error), interface)

    def _fail(self, address: IPAddress, unseen: Unseen, detail: str, interface: str | None) -> None:
        self._failed[address] = Evidence(address=address, interface=interface, unseen=unseen, detail=detail)

    def ask(self) -> None:
        """Sends every question. The window of `collect` starts here."""
        self._asked_at = time.monotonic()
        self._send(list(self._open.values()))

    def _send(self, probes: list[Probe]) -> None:
        for probe in probes:
            try:
                probe.ask()
            except OSError as error:
                probe.close()
                del self._open[probe.address]
                self._fail(probe.address, Unseen.FAILED, f"{probe.interface}: {error.strerror}", probe.interface)

    def collect(self, window: float = DEFAULT_WINDOW) -> tuple[Evidence, ...]:
        """Waits until `window` seconds after `ask` have passed; who has heard nothing by half of it asks once more."""
        self._listen(self._asked_at + window / 2)
        silent = [probe for probe in self._open.values() if not probe.heard]
        self._send(silent)
        # A second question deserves its half of the window even when the caller came late.
        self._listen(max(self._asked_at + window, time.monotonic() + window / 2 if silent else 0.0))
        return tuple(
            self._open[address].evidence() if address in self._open else self._failed[address]
            for address in self._order
        )

    def _listen(self, until: float) -> None:
        poller = select.poll()
        by_fd = {probe.fileno(): probe for probe in self._open.values()}
        for fd in by_fd:
            poller.register(fd, select.POLLIN)
        for probe in by_fd.values():
            probe.receive()
        while by_fd and (left := until - time.monotonic()) > 0:
            for fd, _ in poller.poll(left * 1000):
                try:
                    by_fd[fd].receive()
                except OSError:
                    # ENETDOWN: the interface went away under us; what was heard stays.
                    poller.unregister(fd)
                    del by_fd[fd]

    def close(self) -> None:
        for probe in self._open.values():
            probe.close()

    def __enter__(self) -> Probes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _way_to(address: IPAddress, interface: str | None) -> tuple[int, IPAddress | None]:
    """(interface index, our address there if the kernel names one). Raises CannotLook."""
    if interface is not None:
        try:
            ifindex = socket.if_nametoindex(interface)
        except OSError:
            raise CannotLook(Unseen.NO_INTERFACE, f"there is no interface {interface} here", interface) from None
        route = route_to(address)
        on_it = route is not None and route.kind is RouteKind.UNICAST and route.ifindex == ifindex
        return ifindex, route.source if route and on_it else None
    route = route_to(address)
    if route is None or route.kind is RouteKind.OTHER:
        raise CannotLook(Unseen.NO_ROUTE, f"this host has no route to {address}")
    if route.kind is RouteKind.LOCAL:
        raise CannotLook(Unseen.OWN_ADDRESS, f"{address} is an address of this host's own kernel")
    name = socket.if_indextoname(route.ifindex)
    if route.gateway is not None:
        raise CannotLook(Unseen.ROUTED, f"this host reaches {address} through {route.gateway} on {name}", name)
    return route.ifindex, route.source


def _check_link(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", interface.encode(), 0)
        with contextlib.suppress(OSError):
            (flags,) = struct.unpack_from("=H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)
            if not flags & _IFF_UP or not flags & _IFF_RUNNING:
                state = "is down" if not flags & _IFF_UP else "has no carrier"
                raise CannotLook(Unseen.NO_CARRIER, f"{interface} {state}", interface)


def _open(interface: str, ifindex: int, kind: Kind) -> PacketSocket:
    try:
        packets = PacketSocket(ifindex, kind)
    except PermissionError:
        raise CannotLook(
            Unseen.NO_PERMISSION, "looking at the wire needs CAP_NET_RAW; run it as root", interface
        ) from None
    packets.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return packets


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            return float(seconds + nanoseconds * 1e-9)
    return time.time()
