"""Connection tracking entries of our virtual ports: which there are, and forgetting the stale ones.

Asked of the kernel directly (netlink, subsystem ctnetlink). A kernel since 5.8 filters by itself; an older one sends
all, and what was not asked for is left out here.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from lbctl.model.address import IPAddress
from lbctl.model.service import Transport
from lbctl.net.netlink import NETFILTER, Netlink, attribute, attributes
from lbctl.plan.proxy_ruleset import Frontend

_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_TUPLE_ORIG, _TUPLE_REPLY, _PROTOINFO, _ID, _ZONE, _FILTER = 1, 2, 4, 12, 18, 25
_PROTOINFO_TCP, _TCP_STATE = 1, 1
_TCP_OPEN = frozenset({2, 3, 4, 5})
"""SYN_RECV, ESTABLISHED, FIN_WAIT and CLOSE_WAIT of the kernel's enum: one end at least may still send."""
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_V4_SRC, _IP_V4_DST, _IP_V6_SRC, _IP_V6_DST = 1, 2, 3, 4
_PROTO_NUM, _PROTO_SRC_PORT, _PROTO_DST_PORT = 1, 2, 3
_FILTER_ORIG_FLAGS, _FILTER_REPLY_FLAGS = 1, 2
_BY_DESTINATION, _BY_PROTOCOL, _BY_PORT = 1 << 1, 1 << 3, 1 << 5
_PORT = struct.Struct("!H")
_FLAGS = struct.Struct("=I")
_FAMILIES = {4: 2, 6: 10}
_NFGENMSG = struct.Struct("!BBH")
_NUMBERS = {Transport.TCP: 6, Transport.UDP: 17, Transport.SCTP: 132}
_NAMES = {number: transport for transport, number in _NUMBERS.items()}
_ONE_BY_ONE = 8
"""Up to so many ports each is asked for alone; beyond, one walk for all of a family."""


class Flow(NamedTuple):
    """One tracked flow: where its client sends to, and where the answers come from (the backend, once translated)."""

    frontend: Frontend
    client: tuple[IPAddress, int]
    backend: tuple[IPAddress, int]
    key: bytes
    """What the kernel knows it by, as the body of a request."""
    is_open: bool = True
    """False for a TCP connection that is opening, or that both ends have closed."""


def flows(netlink: Netlink, version: int, transport: Transport, only: Frontend | None = None) -> Iterator[Flow]:
    """The flows of one family and protocol, or those to one virtual port. Raises OSError."""
    asked = attribute(_PROTO_NUM, bytes((_NUMBERS[transport],)))
    by, address = _BY_PROTOCOL, b""
    if only is not None:
        asked += attribute(_PROTO_DST_PORT, _PORT.pack(only.port))
        by |= _BY_PORT | _BY_DESTINATION
        destination = attribute(_IP_V4_DST if version == 4 else _IP_V6_DST, only.address.packed)
        address = attribute(_TUPLE_IP, destination, nested=True)
    wanted = attribute(_TUPLE_ORIG, address + attribute(_TUPLE_PROTO, asked, nested=True), nested=True)
    wanted += attribute(
        _FILTER,
        attribute(_FILTER_ORIG_FLAGS, _FLAGS.pack(by)) + attribute(_FILTER_REPLY_FLAGS, _FLAGS.pack(0)),
        nested=True,
    )
    for body in netlink.request(_GET, _NFGENMSG.pack(_FAMILIES[version], 0, 0) + wanted, dump=True):
        flow = _flow(body[_NFGENMSG.size :])
        if flow is not None and flow.frontend.transport is transport and only in (None, flow.frontend):
            yield flow


def forget(netlink: Netlink, flow: Flow) -> bool:
    """Removes one entry; False when it was gone already. Raises OSError."""
    family = _FAMILIES[flow.frontend.address.version]
    try:
        for _ in netlink.request(_DELETE, _NFGENMSG.pack(family, 0, 0) + flow.key):
            pass
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True


def forget_stale(stale: Mapping[Frontend, Collection[tuple[IPAddress, int]]]) -> int:
    """Removes the flows to these ports whose backend is not among those that may keep theirs; returns how many.

    So a client that goes on sending is looked at anew and finds a living backend. Raises OSError.
    """
    if not stale:
        return 0
    removed = 0
    with Netlink(NETFILTER) as netlink:
        asked: list[tuple[int, Transport, Frontend | None]]
        if len(stale) <= _ONE_BY_ONE:
            asked = [(one.address.version, one.transport, one) for one in stale]
        else:
            asked = [(*kind, None) for kind in sorted({(one.address.version, one.transport) for one in stale})]
        for version, transport, only in asked:
            # The walk is finished before anything is removed under its feet.
            for flow in list(flows(netlink, version, transport, only)):
                may_stay = stale.get(flow.frontend)
                if may_stay is not None and flow.backend not in may_stay:
                    removed += forget(netlink, flow)
    return removed


def count(vips: Collection[IPAddress]) -> int:
    """How many TCP and UDP flows go to these addresses now. Raises OSError."""
    with Netlink(NETFILTER) as netlink:
        return sum(
            flow.frontend.address in vips
            for version in sorted({vip.version for vip in vips})
            for transport in (Transport.TCP, Transport.UDP)
            for flow in flows(netlink, version, transport)
        )


def connections(vips: Collection[IPAddress]) -> int:
    """How many TCP connections to these addresses are open here now. Raises OSError."""
    with Netlink(NETFILTER) as netlink:
        return sum(
            flow.frontend.address in vips and flow.is_open
            for version in sorted({vip.version for vip in vips})
            for flow in flows(netlink, version, Transport.TCP)
        )


def _flow(body: memoryview) -> Flow | None:
    original = reply = None
    key = b""
    is_open = True
    for kind, payload in attributes(body):
        if kind in (_TUPLE_ORIG, _TUPLE_REPLY):
            found = _tuple(payload)
            if kind == _TUPLE_ORIG:
                original = found
                key += attribute(kind, bytes(payload), nested=True)
            else:
                reply = found
        elif kind == _PROTOINFO:
            states = [
                value[0]
                for inner, told in attributes(payload)
                if inner == _PROTOINFO_TCP
                for each, value in attributes(told)
                if each == _TCP_STATE
            ]
            is_open = not states or states[0] in _TCP_OPEN
        elif kind in (_ID, _ZONE):
            key += attribute(kind, bytes(payload))
    if original is None or reply is None:
        return None
    source, source_port, destination, destination_port, transport = original
    return Flow(Frontend(destination, transport, destination_port), (source, source_port), reply[:2], key, is_open)


def _tuple(payload: memoryview) -> tuple[IPAddress, int, IPAddress, int, Transport] | None:
    """Source, its port, destination, its port, protocol; None for a protocol without ports."""
    source: IPAddress | None = None
    destination: IPAddress | None = None
    ports = {_PROTO_SRC_PORT: 0, _PROTO_DST_PORT: 0}
    transport: Transport | None = None
    for part, inner in attributes(payload):
        for kind, value in attributes(inner) if part in (_TUPLE_IP, _TUPLE_PROTO) else ():
            if part == _TUPLE_PROTO:
                if kind == _PROTO_NUM:
                    transport = _NAMES.get(value[0])
                elif kind in ports:
                    (ports[kind],) = _PORT.unpack(value)
            elif kind in (_IP_V4_SRC, _IP_V6_SRC):
                source = _address(value)
            elif kind in (_IP_V4_DST, _IP_V6_DST):
                destination = _address(value)
    if source is None or destination is None or transport is None:
        return None
    return source, ports[_PROTO_SRC_PORT], destination, ports[_PROTO_DST_PORT], transport


def _address(packed: memoryview) -> IPAddress:
    return IPv4Address(bytes(packed)) if len(packed) == 4 else IPv6Address(bytes(packed))
