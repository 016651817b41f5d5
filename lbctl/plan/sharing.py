"""Who may share an address (MetalLB section 3.4), and where the lowest address to share is, without a walk.

Services share when their sharing keys are the same and not empty, their backends are the same, and no two use one port.
Backends count as the same where the traffic policy is Cluster (any node takes it to either), or where it is Local and
the pod selectors are equal (the nodes with endpoints are the same ones).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

from lbctl.model.service import Service, TrafficPolicy
from lbctl.plan.positions import Positions
from lbctl.plan.reason import Reason

PortKey = tuple[str, int]
"""Transport and port number."""
SharingClass = tuple[str, str]
"""Sharing key and backends: only services of one class can ever share."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a service holds addresses. `sharing` is None, and its ports do not matter, where it shares with
    nobody."""

    sharing: SharingClass | None
    ports: frozenset[PortKey]

    @property
    def text(self) -> str:
        """A canonical form for the ledger; empty for who shares with nobody, because then nothing depends on it."""
        if self.sharing is None:
            return ""
        ports = " ".join(f"{protocol}/{port}" for protocol, port in sorted(self.ports))
        return "\n".join((*self.sharing, ports))


ALONE = Terms(None, frozenset())
"""The terms of all who share with nobody."""


def terms_from(text: str) -> Terms:
    """The other way round from `Terms.text`."""
    if not text:
        return ALONE
    key, backends, ports = text.rsplit("\n", 2)
    pairs = (item.split("/") for item in ports.split())
    return Terms((key, backends), frozenset((protocol, int(port)) for protocol, port in pairs))


def terms_of(service: Service) -> Terms:
    key = service.load_balancer.sharing_key
    if not key:
        return ALONE
    return Terms((key, _backends(service)), frozenset((port.protocol.value, port.port) for port in service.ports))


def _backends(service: Service) -> str:
    if service.traffic.external_policy is TrafficPolicy.CLUSTER:
        return ""
    return "Local " + ",".join(f"{key}={value}" for key, value in service.selector)


def refusal_between(holder: Terms, comer: Terms) -> tuple[Reason, str] | None:
    """Why `comer` may not join `holder` on an address; None when it may. The detail names a port, if one is why."""
    if comer.sharing is None:
        return Reason.ADDRESS_TAKEN, ""
    if holder.sharing is None:
        return Reason.SHARING_NOT_ALLOWED, ""
    if holder.sharing[0] != comer.sharing[0]:
        return Reason.SHARING_KEY_DIFFERS, ""
    if holder.sharing[1] != comer.sharing[1]:
        return Reason.SHARING_BACKENDS_DIFFER, ""
    both = holder.ports & comer.ports
    if both:
        protocol, port = min(both)
        return Reason.SHARING_PORT_IN_USE, f"{protocol}/{port}"
    return None


class SharingIndex:
    """The addresses in use by services that share, by class and by the set of ports taken on them.

    A set of ports is a number with a bit for each port, so that "no port in common" is one operation, and addresses
    with the same ports taken stand in one sorted list, so that the lowest one is found by bisection. Filling a pool
    with services of one key would cost a walk over all of them each time otherwise.
    """

    def __init__(self) -> None:
        self._bits: dict[PortKey, int] = {}
        self._on: dict[int, tuple[SharingClass, int]] = {}
        self._classes: dict[SharingClass, dict[int, list[int]]] = {}
        self._closed: set[int] = set()
        """Addresses that nobody is to join; they stand in no list."""

    def _mask(self, ports: frozenset[PortKey]) -> int:
        bits = self._bits
        mask = 0
        for port in ports:
            mask |= 1 << bits.setdefault(port, len(bits))
        return mask

    def admits(self, code: int, terms: Terms) -> bool:
        """Whether all who share the address `code` admit these terms. False when nobody shares it."""
        found = self._on.get(code)
        return found is not None and found[0] == terms.sharing and not found[1] & self._mask(terms.ports)

    def __contains__(self, sharing: SharingClass) -> bool:
        """Whether there is an address that services of the class might join."""
        return sharing in self._classes

    def class_on(self, code: int) -> SharingClass | None:
        """What those share by who share the address."""
        found = self._on.get(code)
        return None if found is None else found[0]

    def first(self, terms: Terms, positions: Positions) -> int | None:
        """The first position in use there whose users all admit these terms."""
        if terms.sharing is None or terms.sharing not in self._classes:
            return None
        mine = self._mask(terms.ports)
        found = (
            _first_of(codes, positions) for taken, codes in self._classes[terms.sharing].items() if not taken & mine
        )
        return min((position for position in found if position is not None), default=None)

    def close(self, code: int) -> None:
        """Nobody is to be led to the address any more, whoever holds it."""
        if code not in self._closed:
            if code in self._on:
                self._unlist(code, *self._on[code])
            self._closed.add(code)

    def open(self, code: int) -> None:
        self._closed.discard(code)
        if code in self._on:
            self._list(code, *self._on[code])

    def add(self, code: int, terms: Terms) -> None:
        """A service with these terms, which are admitted, holds the address now."""
        if terms.sharing is None:
            return
        _, taken = self._on.get(code, (terms.sharing, 0))
        self._move(code, terms.sharing, taken, taken | self._mask(terms.ports))

    def remove(self, code: int, terms: Terms, *, last: bool) -> None:
        """A service with these terms holds the address no more; `last`: it was the only one."""
        if terms.sharing is None:
            return
        _, taken = self._on[code]
        self._move(code, terms.sharing, taken, None if last else taken & ~self._mask(terms.ports))

    def _move(self, code: int, sharing: SharingClass, before: int, after: int | None) -> None:
        if code in self._on:
            self._unlist(code, sharing, before)
        if after is None:
            del self._on[code]
        else:
            self._on[code] = (sharing, after)
            self._list(code, sharing, after)

    def _list(self, code: int, sharing: SharingClass, taken: int) -> None:
        if code not in self._closed:
            insort(self._classes.setdefault(sharing, {}).setdefault(taken, []), code)

    def _unlist(self, code: int, sharing: SharingClass, taken: int) -> None:
        if code in self._closed:
            return
        by_ports = self._classes[sharing]
        codes = by_ports[taken]
        del codes[bisect_left(codes, code)]
        if not codes:
            del by_ports[taken]
            if not by_ports:
                del self._classes[sharing]


def _first_of(codes: list[int], positions: Positions) -> int | None:
    """The least position of sorted addresses. Looks at each of them or at each segment, whichever are fewer."""
    if len(codes) < len(positions.segments):
        found = (positions.position(code) for code in codes)
        return min((position for position in found if position is not None), default=None)
    for offset, first, last in positions.segments:
        at = bisect_left(codes, first)
        if at < len(codes) and codes[at] <= last:
            return offset + codes[at] - first
    return None
