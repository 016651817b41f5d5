"""Reservations and quarantines that come and go, for tests that write batch after batch."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import strategies as st

from lbctl.controller.kept import AddressChanges, ClearCause, Cleared, Unreserved
from lbctl.controller.records import LedgerState
from lbctl.model.address import IPAddress
from lbctl.model.reservation import Quarantine, Reservation
from tests.plan.allocation_worlds import key


def reservation(name: str, *addresses: str, at: float = 1.0, by: str = "ada", pool: str = "p") -> Reservation:
    return Reservation(service=key(name), addresses=tuple(map(ip_address, addresses)), pool=pool, since_unix=at, by=by)


def quarantine(address: str, *, at: float = 1.0, mac: str = "02:00:00:00:00:07", node: str = "n1") -> Quarantine:
    return Quarantine(address=ip_address(address), mac=mac, node=node, interface="eth1", since_unix=at)


def changes(
    state: LedgerState, at: float, *, reserve: dict[str, str], quarantined: set[str] | frozenset[str]
) -> AddressChanges:
    """What makes these reservations (name to addresses) and these quarantines out of those in the state."""
    reserved, held = state.remembered.reserved, state.remembered.quarantined
    wanted = {key(name): tuple(map(ip_address, texts.split())) for name, texts in reserve.items()}
    other = [item for name, item in reserved.items() if wanted.get(name) != item.addresses]
    addresses: set[IPAddress] = {ip_address(text) for text in quarantined}
    return AddressChanges(
        unreserved=tuple(Unreserved(reservation=item, by="bob") for item in other),
        reserved=tuple(
            Reservation(
                service=name,
                addresses=found,
                pool="p",
                second_pool="q" if len(found) > 1 else "",
                since_unix=at,
                by="ada",
            )
            for name, found in wanted.items()
            if name not in reserved or reserved[name] in other
        ),
        cleared=tuple(
            Cleared(quarantine=item, cause=ClearCause.OPERATOR, by="bob")
            for address, item in held.items()
            if address not in addresses
        ),
        quarantined=tuple(
            quarantine(str(address), at=at) for address in sorted(addresses, key=int) if address not in held
        ),
    )


_ADDRESSES = [f"192.0.2.{number}" for number in range(8)]


@st.composite
def wishes(draw: st.DrawFn) -> tuple[dict[str, str], frozenset[str]]:
    """Reservations of different addresses, and quarantines."""
    names = draw(st.lists(st.sampled_from("abxyz"), max_size=3, unique=True))
    addresses = draw(st.permutations(_ADDRESSES))
    return dict(zip(names, addresses, strict=False)), frozenset(draw(st.sets(st.sampled_from(_ADDRESSES), max_size=3)))
