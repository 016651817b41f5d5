"""What the kernel must allow before a packet to a VIP can be sent on to a backend, and what may stand in the way."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from lbctl.model.address import Family
from lbctl.net.netlink import ROUTE, Netlink, attributes
from lbctl.plan.proxy_ruleset import Network

PROC = Path("/proc")
_SWITCH = {Family.IPV4: "net/ipv4/ip_forward", Family.IPV6: "net/ipv6/conf/all/forwarding"}
_RTM_GETADDR = 22
_IFADDRMSG = struct.Struct("=BBBBI")
_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
"""Interface names that can be written into a rule as they are; the kernel would allow quotes and stars too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlChange:
    """One kernel setting that was changed, named as sysctl(8) names it."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What was changed, and what stands in the way still: one sentence each, with what to do."""

    changes: tuple[SysctlChange, ...] = ()
    warnings: tuple[str, ...] = ()


def enable(families: Collection[Family], proc: Path = PROC) -> Forwarding:
    """Turns forwarding on for these families where it is off. Never raises.

    An interface that takes its address or default route from router advertisements stops doing so once the host
    forwards (accept_ra 1), and loses what it had; 2 means "even then", and is set before.
    """
    changes: list[SysctlChange] = []
    warnings: list[str] = []
    for family in sorted(families):
        switch = proc / "sys" / _SWITCH[family]
        try:
            if switch.read_text().strip() == "1":
                continue
            if family is Family.IPV6:
                for setting in sorted((proc / "sys/net/ipv6/conf").glob("*/accept_ra")):
                    # `all` is not looked at by anything; `default` is what interfaces made later start with.
                    if setting.parent.name not in ("all", "lo") and setting.read_text().strip() == "1":
                        changes.append(_set(setting, "2", proc))
            changes.append(_set(switch, "1", proc))
        except FileNotFoundError:
            warnings.append(f"this kernel has no {family}: VIPs of that family are not served by this node")
        except OSError as error:
            name = _SWITCH[family].replace("/", ".")
            warnings.append(
                f"cannot turn on {name} ({error.strerror}), without which nothing reaches a backend on another host:"
                f" run `sysctl -w {name}=1` on the node"
            )
    return Forwarding(tuple(changes), tuple(warnings))


def reverse_path_warnings(interfaces: Collection[str], proc: Path = PROC) -> tuple[str, ...]:
    """On which of these interfaces, where packets to VIPs arrive, a strict reverse path filter will drop clients.

    Strict (1) drops what arrives on another interface than the one that leads back to its sender. So on an interface
    without the default route every client from beyond its own subnet is lost, without a trace but a counter.
    """
    conf = proc / "sys/net/ipv4/conf"
    defaults = _default_routes(proc) if interfaces else frozenset()
    if not defaults:
        return ()
    warnings = []
    for name in sorted(set(interfaces) - defaults):
        # The kernel uses the greater of the two; loose (2) is greater than strict (1).
        if max(_number(conf / "all/rp_filter"), _number(conf / name / "rp_filter")) == 1:
            warnings.append(
                f"reverse path filter is strict on {name}, and the default route leaves by"
                f" {', '.join(sorted(defaults))}: clients from beyond {name}'s own subnets are dropped;"
                f" set net.ipv4.conf.{name}.rp_filter=2"
            )
    return tuple(warnings)


def connected() -> frozenset[tuple[str, Network]]:
    """The subnets on this node's interfaces: hosts there talk to each other past this node. Raises OSError."""
    found: set[tuple[str, Network]] = set()
    names: dict[int, str] = {}
    with Netlink(ROUTE) as netlink:
        for body in netlink.request(_RTM_GETADDR, _IFADDRMSG.pack(0, 0, 0, 0, 0), dump=True):
            _, length, _, _, index = _IFADDRMSG.unpack_from(body)
            if index not in names:
                names[index] = _name(index)
            # On a point-to-point link IFA_ADDRESS is the other end, so this is the subnet in either case.
            packed = next((bytes(value) for kind, value in attributes(body[_IFADDRMSG.size :]) if kind == 1), b"")
            if network := _subnet(packed, length):
                found.add((names[index], network))
    return frozenset((name, network) for name, network in found if name != "lo" and _NAME.fullmatch(name))


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def _subnet(packed: bytes, length: int) -> Network | None:
    """None where no two hosts fit in, or for addresses that mean another host on each wire."""
    if len(packed) == 4 and length < 32:
        return IPv4Network((packed, length), strict=False)
    if len(packed) == 16 and length < 128:
        network = IPv6Network((packed, length), strict=False)
        return None if network.is_link_local else network
    return None


def _set(setting: Path, value: str, proc: Path) -> SysctlChange:
    before = setting.read_text().strip()
    setting.write_text(value)
    return SysctlChange(name=".".join(setting.relative_to(proc / "sys").parts), before=before, after=value)


def _number(setting: Path) -> int:
    try:
        return int(setting.read_text())
    except (OSError, ValueError):
        return 0


def _default_routes(proc: Path) -> frozenset[str]:
    """The interfaces that IPv4 default routes leave by."""
    found = set()
    try:
        # Of this thread, not of the process: a thread may stand in another network namespace.
        with (proc / "thread-self/net/route").open() as lines:
            next(lines, None)
            for line in lines:
                words = line.split()
                # The list begins with 0.0.0.0 and may be long: a router's whole table.
                if words[1] != "00000000":
                    break
                if words[7] == "00000000":
                    found.add(words[0])
    except OSError:
        pass
    return frozenset(found)
