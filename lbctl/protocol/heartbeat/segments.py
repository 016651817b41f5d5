"""The segments a member speaks on, whom it speaks to there, and the packets of a beat built beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lbctl.protocol.heartbeat.detector import Instance, Liveness
from lbctl.protocol.heartbeat.identity import is_address, node_hash, packed_address, segment_tag
from lbctl.protocol.heartbeat.membership import Membership
from lbctl.protocol.heartbeat.packet import Link

Address = tuple[str, int]
"""An address and a port: speakers have the port of the group, observers one of their own."""

DEAD_PACE = 1.0
"""Seconds between beats to a configured node that is not heard, and between discovery beats to the group."""
SAFE_MULTIPLIER = 5
"""Intervals of silence before a takeover in safety mode: an owner's lease has ended one before."""
MISSED = 10.0
"""Seconds for which a node that fell silent still gets every beat: most come back soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One link to speak on, with my own `address` there. `tag`: a name of the network that is alike on every node.

    `local` is the loopback interface, for the observers on this very host: what goes to an own address never passes the
    link that other members are heard on.
    """

    ifindex: int
    name: str
    address: str
    usable: bool = True
    mac: str = ""
    tag: str = ""
    local: bool = False


LOOPBACK = Segment(ifindex=1, name="lo", address="127.0.0.1", local=True)
"""Speakers listen here for observers, observers call here for the speaker of their host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Who I am and how I speak; `interval` in seconds, `keys` (id, secret), the first of them signs.

    `safety`: only a majority of the configured speakers owns anything, and silence is a verdict after five intervals at
    the earliest. `start_wait`: seconds to wait, at most, for all configured speakers before the first claim. `witness`:
    an even split has one side that may own, unless its witness (a gateway) is silent too.
    """

    cluster: str
    node: str
    incarnation: int
    interval: float = 0.05
    multiplier: int = 3
    port: int = 7966
    group4: str = "239.255.76.66"
    group6: str = "ff02::4c42"
    keys: tuple[tuple[int, bytes], ...] = ()
    observer: bool = False
    safety: bool = False
    start_wait: float = 10.0
    witness: bool = False

    def __post_init__(self) -> None:
        if self.safety:
            object.__setattr__(self, "multiplier", max(self.multiplier, SAFE_MULTIPLIER))

    @property
    def detection(self) -> float:
        return self.interval * self.multiplier


class Lane:
    """One usable segment with what is sent on it. Raises ValueError when its address or MAC is none."""

    def __init__(self, segment: Segment, settings: Settings) -> None:
        self.segment = segment
        self.tag = segment_tag(segment.tag)
        self.source = packed_address(segment.address)
        self.link = Link(bytes.fromhex(segment.mac.replace(":", "")), segment.name, segment.address)
        self.group = settings.group6 if ":" in segment.address else settings.group4
        self.bodies: list[bytes] = []

    def reaches(self, address: str) -> bool:
        """Whether an address is of this lane's family and not my own."""
        segment = self.segment
        return not segment.local and (":" in address) == (":" in segment.address) and address != segment.address


class Audience:
    """Whom to speak to on each lane: everybody heard there, and for ever every configured node."""

    def __init__(self, membership: Membership, port: int) -> None:
        self._membership = membership
        self._port = port
        self._configured: dict[int, tuple[str, ...]] = {}

    def configure(self, peers: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
        """Every configured or remembered node but me, with its addresses; returns the texts that are no addresses."""
        others = [(name, list(addresses)) for name, addresses in peers if node_hash(name) != self._membership.me[0]]
        self._membership.peers = {node_hash(name): name for name, _ in others}
        self._configured = {
            node_hash(name): tuple(text for text in addresses if is_address(text)) for name, addresses in others
        }
        return [text for _, addresses in others for text in addresses if not is_address(text)]

    def names(self) -> dict[str, str]:
        """The configured nodes by address."""
        peers = self._membership.peers
        return {address: peers[node] for node, addresses in self._configured.items() for address in addresses}

    def all_met(self) -> bool:
        """Whether every configured node is heard both ways, by its name or from one of its addresses."""
        counting = {voter.node for voter in self._membership.voters()}
        if self._configured.keys() <= counting:
            return True
        sources = {ear.address[0] for voter in self._membership.voters() for ear in voter.ears.values()}
        return all(
            node in counting or not sources.isdisjoint(addresses) for node, addresses in self._configured.items()
        )

    def heard(self, lane: Lane, now: float) -> list[Address]:
        """The addresses that get every beat."""
        return list(dict.fromkeys(self._heard(lane.segment.ifindex, now)))

    def silent(self, lane: Lane, now: float) -> list[Address]:
        """The configured addresses that get one beat a second, because nothing is heard from there."""
        heard = {address for address, _ in self._heard(lane.segment.ifindex, now)}
        if lane.segment.local:
            return [] if heard or self._membership.votes else [(lane.segment.address, self._port)]
        present = self._membership.current
        found: dict[str, None] = {}
        for node, addresses in self._configured.items():
            instance = present.get(node)
            ear = instance.ears.get(lane.segment.ifindex) if instance is not None else None
            if ear is None or ear.deadline <= now:
                found.update((address, None) for address in addresses if lane.reaches(address) and address not in heard)
        return [(address, self._port) for address in found]

    def route(self, instance: Instance, now: float, lanes: dict[int, Lane]) -> tuple[Lane, Address] | None:
        """One lane and address by which an instance may be reached, preferably where it is heard and hears me.

        One that is silent may still hear: were we deaf, the others must learn what we wrongly claim.
        """
        if instance.state is Liveness.LEFT:
            return None
        reachable = [via for via, ear in instance.ears.items() if via in lanes and ear.deadline > now - MISSED]
        if not reachable:
            return None
        ears = instance.ears
        via = max(reachable, key=lambda via: (ears[via].deadline > now, ears[via].lists_me, ears[via].deadline))
        return lanes[via], ears[via].address

    def _heard(self, via: int, now: float) -> Iterator[Address]:
        for instance in self._membership.instances.values():
            ear = instance.ears.get(via)
            if ear is None or instance.state is Liveness.LEFT:
                continue
            if ear.deadline > now - MISSED:
                yield ear.address
