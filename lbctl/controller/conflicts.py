"""What the speakers' probes found, to what is quarantined and what no longer is. Pure.

A conflict wins over any number of speakers that found nobody: they may be on other segments, or have asked earlier. It
does not win over a speaker that announces the address: what runs is not stopped by what another one sees.
"""

from __future__ import annotations

from collections.abc import Mapping

from lbctl.controller.kept import NO_CHANGES, AddressChanges, ClearCause, Cleared
from lbctl.controller.records import LedgerState
from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.member import Liveness, Member, Role
from lbctl.model.reservation import Quarantine

_NO_CLAIMS: Mapping[str, Mapping[IPAddress, Claim]] = {}
_HEARD = (Liveness.ALIVE, Liveness.DRAINING, Liveness.SUSPECT)


def quarantine_changes(
    state: LedgerState,
    members: Mapping[str, Member],
    now_unix: float,
    claims: Mapping[str, Mapping[IPAddress, Claim]] = _NO_CLAIMS,
) -> AddressChanges:
    """Addresses in use for which a foreign machine answers are quarantined; one that nobody answers for is cleared.

    Of an address that is quarantined already the first finding stands, whoever else answers there. `claims`: each
    node's own word, as in a View.
    """
    if not any(member.conflicts for member in members.values()):
        return NO_CHANGES
    before = state.remembered.quarantined
    ours = {mac.lower() for member in members.values() for mac, _ in member.macs}
    heard = [name for name, member in sorted(members.items()) if member.role is Role.SPEAKER and member.state in _HEARD]
    found: dict[IPAddress, Quarantine] = {}
    clean: dict[IPAddress, str] = {}
    for name in heard:
        for conflict in members[name].conflicts:
            address, mac = conflict.address, conflict.mac.lower()
            if not mac:
                clean.setdefault(address, name)
            elif mac in ours or any(address in claims.get(node, ()) for node in heard):
                continue
            elif address in state.users or address in before:
                found.setdefault(
                    address,
                    Quarantine(address=address, mac=mac, node=name, interface=conflict.interface, since_unix=now_unix),
                )
    return AddressChanges(
        cleared=tuple(
            Cleared(quarantine=before[address], cause=ClearCause.CLEAN, by=node)
            for address, node in clean.items()
            if address in before and address not in found
        ),
        quarantined=tuple(item for address, item in found.items() if address not in before),
    )
