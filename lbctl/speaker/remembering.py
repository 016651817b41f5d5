"""What a running speaker wants to remember over its next restart: epochs, addresses used, speakers met, orders."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.snapshot import View
from lbctl.plan.claims import is_living
from lbctl.speaker.memory import Memory
from lbctl.speaker.owners import Move, Owners


class Remembering:
    """Begins with what `memory` holds, and hands it the newest."""

    def __init__(self, node: str, memory: Memory, now_unix: float) -> None:
        self.epochs = dict(memory.epochs())
        self.used = memory.used()
        self._node = node
        self._memory = memory
        self._peers = memory.peers(now_unix)
        self._owners: Owners | None = None

    @property
    def peers(self) -> Mapping[str, tuple[IPAddress, ...]]:
        """The speakers met before, and where they spoke from."""
        return MappingProxyType({name: addresses for name, (addresses, _) in self._peers.items()})

    def moved(self, move: Move) -> None:
        if move.owner is not None:
            self.epochs[str(move.address)] = max(move.epoch, self.epochs.get(str(move.address), 0))

    def save(self, owners: Owners, view: View | None, orders: Iterable[Any]) -> None:
        """Hands the newest of everything to the memory, which writes it in its own time."""
        if owners is not self._owners:
            self._owners = owners
            if owners.addresses:
                allocated = {str(address) for address in owners.addresses}
                self.epochs = {text: epoch for text, epoch in self.epochs.items() if text in allocated}
                self.used = {a: allocation for a, allocation in self.used.items() if a in owners.addresses}
            for address, claim in owners.held.items():
                text = str(address)
                self.epochs[text] = max(claim.epoch, self.epochs.get(text, 0))
                self.used[address] = claim.allocation_id
        hour = time.time() // 3600 * 3600
        for name, member in view.members.items() if view is not None else ():
            if name != self._node and is_living(member) and member.addresses:
                self._peers[name] = (member.addresses, hour)
        self._memory.save(epochs=self.epochs, peers=self._peers, used=self.used, orders=list(orders))
