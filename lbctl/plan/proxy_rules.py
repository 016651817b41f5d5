"""A Ruleset in the words of nftables: what the table `inet lbctl` holds, and what changes from one Ruleset to the next.

A packet costs the same number of look-ups whatever the number of services. VIP.protocol.port is looked up in one map,
which sends it to `pick4/N` where the service has N backends; that draws a slot below N; slot i looks VIP.protocol.port
up in its own map, `slot4/i`, and finds the backend. So a backend that comes or goes changes a few elements of maps, and
nothing of any other service. A service with ClientIP affinity or source ranges has chains of its own.

A commit is not one instant for a packet that is underway: it keeps to the old chains, but finds new elements from then
on, and the unnamed map of an old rule is empty. So that no such packet is refused:
- a chain is in force before anything leads to it (`proxy_table.stages`);
- every draw falls back to the first backend, and every slot to slot 0, for a draw may fail, or hit a slot that is gone;
- who comes back without a backend is looked up once more from the start, among what are then the new elements. A kernel
  before 6.17 needs that for any element that is replaced: a search that a commit overtakes may find neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import collapse_addresses
from typing import NamedTuple

from lbctl.model.address import Family, IPAddress, family_of
from lbctl.plan.proxy_ruleset import Backend, Frontend, Network, Reach, Ruleset, VirtualPort
from lbctl.plan.proxy_table import Chain, Delta, Elements, SetSpec, Table, compare


class _Words(NamedTuple):
    """One family in nftables' spelling; `tag` ends the names of its sets and chains."""

    tag: str
    ip: str
    address: str
    frontend: str


_WORDS = {
    Family.IPV4: _Words("4", "ip", "ipv4_addr", "ip daddr . meta l4proto . th dport"),
    Family.IPV6: _Words("6", "ip6", "ipv6_addr", "ip6 daddr . meta l4proto . th dport"),
}
_LOOKS = 2
"""How often a new connection to a VIP is looked up before it is refused."""
_NEIGHBOR_DISCOVERY = "{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect }"


def table(ruleset: Ruleset) -> Table:
    """The whole table for a ruleset."""
    draft = _Draft()
    draft.base(ruleset)
    draft.members(ruleset.vips, ruleset.local, ruleset.onlink)
    draft.answering(_answering(ruleset.ports.values()))
    for port in ruleset.ports.values():
        draft.port(port)
    return draft.table()


def between(old: Ruleset, new: Ruleset) -> Delta:
    """From the table of one ruleset to the table of another, for little more than the ports that differ."""
    # By identity, which unchanged ports keep: hashing ten thousand addresses takes longer than all the rest.
    known, wanted = set(map(id, old.ports.values())), set(map(id, new.ports.values()))
    gone = [port for port in old.ports.values() if id(port) not in wanted]
    come = [port for port in new.ports.values() if id(port) not in known]
    before, after = _Draft(), _Draft()
    before.base(old)
    after.base(new)
    before.members(old.vips - new.vips, old.local - new.local, old.onlink - new.onlink)
    after.members(new.vips - old.vips, new.local - old.local, new.onlink - old.onlink)
    leaving, arriving = _answering(gone), _answering(come)
    leaving -= _still_answering(leaving - arriving, new.ports.values())
    before.answering(leaving)
    after.answering(arriving)
    for port in gone:
        before.port(port)
    for port in come:
        after.port(port)
    return compare(before.table(), after.table())


def _answering(ports: Iterable[VirtualPort]) -> frozenset[tuple[IPAddress, int]]:
    """Where answers come from."""
    return frozenset((backend.address, backend.port) for port in ports for backend in (*port.backends, *port.serving))


def _still_answering(
    asked: frozenset[tuple[IPAddress, int]], ports: Iterable[VirtualPort]
) -> frozenset[tuple[IPAddress, int]]:
    """Those of `asked` that are behind some other port too."""
    left = {(address.version, int(address), port): (address, port) for address, port in asked}
    if left:
        for one in ports:
            for backend in one.serving if one.serving is one.backends else (*one.backends, *one.serving):
                left.pop((backend.address.version, int(backend.address), backend.port), None)
    return asked.difference(left.values())


class _Draft:
    """A Table while it is written."""

    def __init__(self) -> None:
        self._sets: dict[str, SetSpec] = {}
        self._elements: dict[str, dict[str, str]] = {}
        self._chains: dict[str, Chain] = {}

    def table(self) -> Table:
        elements: dict[str, Elements] = {name: found for name, found in self._elements.items() if found}
        return Table(self._sets, elements, self._chains)

    def base(self, ruleset: Ruleset) -> None:
        """What does not depend on single ports: the hooks, and the draws for each number of backends there is."""
        for words in _WORDS.values():
            self._family(words)
        self._hooks()
        sizes: dict[Family, set[int]] = {family: set() for family in Family}
        for port in ruleset.ports.values():
            if port.affinity_time is None and port.backends:
                sizes[family_of(port.frontend.address)].add(len(port.backends))
        for family, found in sizes.items():
            self._draws(_WORDS[family], found)

    def _family(self, words: _Words) -> None:
        tag, ip, address, frontend = words
        self._sets |= {
            f"vips{tag}": SetSpec((address,)),
            f"local{tag}": SetSpec((address,)),
            f"backends{tag}": SetSpec((address, "inet_service")),
            f"onlink{tag}": SetSpec(("ifname", address), interval=True),
            f"services{tag}": SetSpec((address, "inet_proto", "inet_service"), ("verdict",)),
            f"own{tag}": SetSpec((address, "inet_proto", "inet_service"), ("verdict",)),
        }
        ping = f"{'icmp' if tag == '4' else 'icmpv6'} type echo-request redirect"
        self._chains |= {
            f"serve{tag}": Chain(
                (
                    ping,
                    f"{frontend} vmap @services{tag}",
                    f"{ip} saddr @local{tag} {frontend} vmap @own{tag}",
                )
            ),
            f"serve-own{tag}": Chain((ping, f"{frontend} vmap @services{tag}", f"{frontend} vmap @own{tag}")),
            # What is still addressed to a VIP here was sent on by nobody. An address that this node itself has is not
            # refused, or a pool that overlaps with the nodes would lock their operator out.
            f"refuse{tag}": Chain(
                (
                    "fib daddr type local return",
                    *((f"icmpv6 type {_NEIGHBOR_DISCOVERY} return",) if tag == "6" else ()),
                    "ct state invalid drop",
                    f"meta l4proto {'icmp' if tag == '4' else 'icmpv6'} drop",
                    "meta l4proto tcp reject with tcp reset",
                    "reject",
                )
            ),
            # Answers must come back through this node. They do from endpoints of this node, unless the client is one
            # too, or sits on the endpoint's own wire.
            f"masquerade{tag}": Chain(
                (
                    f"{ip} daddr != @local{tag} masquerade fully-random",
                    f"{ip} saddr @local{tag} masquerade fully-random",
                    f"meta oifname . {ip} saddr @onlink{tag} masquerade fully-random",
                )
            ),
        }

    def _hooks(self) -> None:
        self._chains |= {
            "prerouting": Chain(
                ("ip daddr @vips4 jump serve4", "ip6 daddr @vips6 jump serve6") * _LOOKS,
                "type nat hook prerouting priority -110; policy accept",
            ),
            "output": Chain(
                ("ip daddr @vips4 jump serve-own4", "ip6 daddr @vips6 jump serve-own6") * _LOOKS,
                "type nat hook output priority -110; policy accept",
            ),
            "refuse": Chain(
                (
                    "ip daddr @vips4 goto refuse4",
                    "ip6 daddr @vips6 goto refuse6",
                    # An answer out of the window is not translated back; this node would reset its own endpoint's
                    # connection, or let the client see an address it never spoke to.
                    "ct state invalid ip saddr . tcp sport @backends4 drop",
                    "ct state invalid ip6 saddr . tcp sport @backends6 drop",
                ),
                "type filter hook prerouting priority -90; policy accept",
            ),
            # What connection tracking was kept from is no process's: it is sent on to another node (relay_rules).
            "refuse-own": Chain(
                (
                    "ct state untracked return",
                    "ip daddr @vips4 goto refuse4",
                    "ip6 daddr @vips6 goto refuse6",
                ),
                "type filter hook output priority -90; policy accept",
            ),
            # Neighbor discovery to a VIP is for whoever announces it, never to be routed on.
            "forward": Chain(
                ("ip6 daddr @vips6 meta l4proto icmpv6 drop",),
                "type filter hook forward priority -10; policy accept",
            ),
            "postrouting": Chain(
                (
                    "ct status dnat ct original ip daddr @vips4 jump masquerade4",
                    "ct status dnat ct original ip6 daddr @vips6 jump masquerade6",
                ),
                "type nat hook postrouting priority 90; policy accept",
            ),
        }

    def _draws(self, words: _Words, sizes: set[int]) -> None:
        tag, ip, address, frontend = words
        for slot in range(max(sizes, default=0)):
            name = f"slot{tag}/{slot}"
            self._sets[name] = SetSpec((address, "inet_proto", "inet_service"), (address, "inet_service"))
            self._chains[name] = Chain(
                tuple(
                    f"meta l4proto {{ tcp, udp }} dnat {ip} to {frontend} map @slot{tag}/{tried}"
                    for tried in dict.fromkeys((slot, 0))
                )
            )
        for size in sorted(sizes):
            slots = ", ".join(f"{slot} : goto slot{tag}/{slot}" for slot in range(size))
            self._chains[f"pick{tag}/{size}"] = Chain(
                (f"numgen random mod {size} vmap {{ {slots} }}", f"goto slot{tag}/0")
            )

    def members(
        self, vips: Iterable[IPAddress], local: Iterable[IPAddress], onlink: Iterable[tuple[str, Network]]
    ) -> None:
        for address in vips:
            self._element(f"vips{_tag(address)}", str(address))
        for address in local:
            self._element(f"local{_tag(address)}", str(address))
        for interface, network in onlink:
            self._element(f"onlink{network.version}", f'"{interface}" . {network}')

    def answering(self, backends: Iterable[tuple[IPAddress, int]]) -> None:
        for address, port in backends:
            self._element(f"backends{_tag(address)}", f"{address} . {port}")

    def port(self, port: VirtualPort) -> None:
        """One port of a VIP; nothing where it has no backends, so that it is refused like a closed one."""
        if not port.backends:
            return
        tag = _tag(port.frontend.address)
        key = f"{port.frontend.address} . {port.frontend.transport.lower()} . {port.frontend.port}"
        target = f"pick{tag}/{len(port.backends)}"
        if port.affinity_time is None:
            for slot, backend in enumerate(port.backends):
                self._element(f"slot{tag}/{slot}", key, f"{backend.address} . {backend.port}")
        if port.affinity_time is not None or port.source_ranges is not None:
            target = self._chain_of_its_own(port, target)
        self._element(f"services{tag}" if port.reach is Reach.EVERYONE else f"own{tag}", key, f"goto {target}")

    def _chain_of_its_own(self, port: VirtualPort, pick: str) -> str:
        words = _WORDS[family_of(port.frontend.address)]
        path = f"{_path(port.frontend.address)}/{port.frontend.transport.lower()}/{port.frontend.port}"
        rules: list[str] = []
        if port.source_ranges:
            rules.append(f"{words.ip} saddr != {{ {', '.join(map(str, port.source_ranges))} }} drop")
        elif port.source_ranges is not None:
            rules.append("drop")
        if port.affinity_time is None:
            rules.append(f"goto {pick}")
        else:
            names = [f"{path}/{_path(backend.address)}/{backend.port}" for backend in port.backends]
            for name, backend in zip(names, port.backends, strict=True):
                self._sticky(words, name, port.frontend, backend, port.affinity_time)
            rules.extend(f"{words.ip} saddr @sticky/{name} goto to/{name}" for name in names)
            choices = ", ".join(f"{number} : goto to/{name}" for number, name in enumerate(names))
            rules.extend((f"numgen random mod {len(names)} vmap {{ {choices} }}", f"goto to/{names[0]}"))
        # Another name with affinity: one that led to slots cannot lead there any more once there is none of them.
        name = f"port/{path}" if port.affinity_time is None else f"port/{path}/affinity"
        self._chains[name] = Chain(tuple(rules))
        return name

    def _sticky(self, words: _Words, name: str, frontend: Frontend, backend: Backend, seconds: int) -> None:
        """One backend of a port with affinity: who is sent there is remembered, in a set that goes when it goes."""
        host = f"[{backend.address}]" if words.tag == "6" else str(backend.address)
        self._sets[f"sticky/{name}"] = SetSpec((words.address,), dynamic=True)
        self._chains[f"to/{name}"] = Chain(
            (
                f"update @sticky/{name} {{ {words.ip} saddr timeout {seconds}s }}",
                f"meta l4proto {frontend.transport.lower()} dnat {words.ip} to {host}:{backend.port}",
            )
        )

    def _element(self, name: str, key: str, value: str = "") -> None:
        self._elements.setdefault(name, {})[key] = value


def _tag(address: IPAddress) -> str:
    return "4" if address.version == 4 else "6"


def _path(address: IPAddress) -> str:
    """An address as part of a chain's name, where a colon may not be."""
    return str(address).replace(":", "-")


def disjoint(subnets: Iterable[tuple[str, Network]]) -> frozenset[tuple[str, Network]]:
    """The same subnets without those inside another of the same interface: an interval set refuses overlaps."""
    found: dict[tuple[str, int], list[Network]] = {}
    for interface, network in subnets:
        found.setdefault((interface, network.version), []).append(network)
    result: set[tuple[str, Network]] = set()
    for (interface, version), networks in found.items():
        if version == 4:
            result.update((interface, one) for one in collapse_addresses(n for n in networks if n.version == 4))
        else:
            result.update((interface, one) for one in collapse_addresses(n for n in networks if n.version == 6))
    return frozenset(result)
