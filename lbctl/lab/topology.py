"""What the lab looks like: which hosts there are, their addresses, and what `ip` has to be told to make them.

    client .50 ---+                        +--- n1 .103 --- web1 10.244.1.10
                  +--- 192.168.3.0/24 -----+--- n2 .104 --- web2 10.244.2.10
    controller    |    fd00:3::/64         +--- n3 .105 --- web3 10.244.3.10
          .102 ---+

One Ethernet segment (a bridge in a namespace of its own), the hosts on it, and behind each node a web server in a
namespace of its own that only its node is linked to. The nodes route to each other's pods. Values only: nothing here
touches the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SWITCH = "sw"
BRIDGE = "br0"
CONTROLLER = "controller"
CLIENT = "client"
MAX_NODES = 60
"""More would run into the addresses of the example pool, which begins at 192.168.3.170."""
WEB_PORT = 80

_CONTROLLER_NUMBER = 102
_CLIENT_NUMBER = 50
POD_LINK = "vethpod"
"""The node's end of the link to its pod. Speakers leave interfaces named veth* alone by default."""


class Role(StrEnum):
    SWITCH = "switch"
    CLIENT = "client"
    CONTROLLER = "controller"
    NODE = "node"
    WEB = "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host of the lab. `ipv4` and `ipv6` are empty for the switch, which has no address."""

    name: str
    role: Role
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    number: int = 0
    """Of a node and of the web server behind it: 1, 2, ..."""

    @property
    def on_segment(self) -> bool:
        return self.role in (Role.CLIENT, Role.CONTROLLER, Role.NODE)


def _mac(number: int) -> str:
    """Locally administered, and readable: ...:01:03 is the host .103."""
    return f"02:1b:00:00:{number // 100:02d}:{number % 100:02d}"


def _on_segment(name: str, role: Role, address: int, number: int = 0) -> Host:
    return Host(
        name=name,
        role=role,
        ipv4=f"192.168.3.{address}",
        ipv6=f"fd00:3::{address}",
        mac=_mac(address),
        number=number,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A lab with `nodes` nodes."""

    nodes: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAX_NODES:
            raise ValueError(f"a lab has 1 to {MAX_NODES} nodes, not {self.nodes}")

    @property
    def hosts(self) -> tuple[Host, ...]:
        return (
            Host(name=SWITCH, role=Role.SWITCH),
            _on_segment(CLIENT, Role.CLIENT, _CLIENT_NUMBER),
            _on_segment(CONTROLLER, Role.CONTROLLER, _CONTROLLER_NUMBER),
            *self.node_hosts,
            *self.web_hosts,
        )

    @property
    def node_hosts(self) -> tuple[Host, ...]:
        return tuple(
            _on_segment(f"n{number}", Role.NODE, _CONTROLLER_NUMBER + number, number)
            for number in range(1, self.nodes + 1)
        )

    @property
    def web_hosts(self) -> tuple[Host, ...]:
        return tuple(
            Host(
                name=f"web{number}",
                role=Role.WEB,
                ipv4=f"10.244.{number}.10",
                ipv6=f"fd00:10:244:{number}::10",
                mac=f"02:1b:00:02:44:{number:02d}",
                number=number,
            )
            for number in range(1, self.nodes + 1)
        )

    def host(self, name: str) -> Host:
        """Raises KeyError when there is no such host."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)


def sysctls(host: Host) -> tuple[tuple[str, str], ...]:
    """Kernel settings of a host, set before it has links: path below /proc/sys, and value.

    Loose reverse-path filtering is Debian's default. New namespaces may inherit the machine's.
    """
    settings = [
        ("net/ipv6/conf/all/accept_dad", "0"),
        ("net/ipv6/conf/default/accept_dad", "0"),
        ("net/ipv6/conf/all/accept_ra", "0"),
        ("net/ipv6/conf/default/accept_ra", "0"),
        ("net/ipv6/conf/all/router_solicitations", "0"),
        ("net/ipv6/conf/default/router_solicitations", "0"),
        ("net/ipv4/conf/all/rp_filter", "2"),
        ("net/ipv4/conf/default/rp_filter", "2"),
        ("net/ipv4/conf/all/arp_ignore", "0"),
        ("net/ipv4/conf/all/arp_announce", "0"),
    ]
    match host.role:
        case Role.NODE:
            settings += [("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")]
        case Role.SWITCH:
            # A switch filters nothing; with br_netfilter loaded, Linux would pass every frame through iptables.
            settings += [
                (f"net/bridge/bridge-nf-call-{family}", "0") for family in ("arptables", "iptables", "ip6tables")
            ]
        case _:
            settings += [("net/ipv4/ip_forward", "0"), ("net/ipv6/conf/all/forwarding", "0")]
    return tuple(settings)


def links(topology: Topology, host: Host, netns: dict[str, str]) -> tuple[str, ...]:
    """`ip` lines run in `host` that make links; `netns` maps host names to namespaces. Run for all hosts first."""
    match host.role:
        case Role.SWITCH:
            lines = [f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
            for other in topology.hosts:
                if other.on_segment:
                    lines += [
                        f"link add {other.name} type veth peer name eth0 address {other.mac} netns {netns[other.name]}",
                        f"link set {other.name} master {BRIDGE} up",
                    ]
            return (*lines, f"link set {BRIDGE} up")
        case Role.NODE:
            web = topology.host(f"web{host.number}")
            return (f"link add {POD_LINK} type veth peer name eth0 address {web.mac} netns {netns[web.name]}",)
        case _:
            return ()


def addresses(topology: Topology, host: Host, _: dict[str, str]) -> tuple[str, ...]:
    """`ip` lines run in `host` that bring its interfaces up with addresses and routes; after `links` of all hosts."""
    match host.role:
        case Role.SWITCH:
            return ()
        case Role.WEB:
            gateway4, gateway6 = _pod_gateways(host.number)
            return (
                "link set eth0 up",
                f"addr add {host.ipv4}/24 dev eth0",
                f"addr add {host.ipv6}/64 dev eth0 nodad",
                f"route add default via {gateway4}",
                f"route add ::/0 via {gateway6}",
            )
        case _:
            lines = [
                "link set eth0 up",
                f"addr add {host.ipv4}/24 dev eth0",
                f"addr add {host.ipv6}/64 dev eth0 nodad",
            ]
    if host.role is Role.NODE:
        gateway4, gateway6 = _pod_gateways(host.number)
        lines += [
            f"link set {POD_LINK} up",
            f"addr add {gateway4}/24 dev {POD_LINK}",
            f"addr add {gateway6}/64 dev {POD_LINK} nodad",
        ]
        for other in topology.node_hosts:
            if other != host:
                lines += [
                    f"route add 10.244.{other.number}.0/24 via {other.ipv4} dev eth0",
                    f"route add fd00:10:244:{other.number}::/64 via {other.ipv6} dev eth0",
                ]
    return tuple(lines)


def _pod_gateways(number: int) -> tuple[str, str]:
    return f"10.244.{number}.1", f"fd00:10:244:{number}::1"
