"""What work wants claimed and is not claimed yet: what was asked for waits here until it may be made, or is refused.

Work asks again each second while it wants something, so a wish that is not repeated lapses.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

KEEP = 1.2
"""Seconds for which a wish stands after it was last asked for."""


@dataclass(slots=True)
class Wish:
    """An address that work wants claimed; `over`: although a member holds it. `told`: the reason it waits for."""

    address: str
    cause: str
    since: float
    over: bool
    until: float
    told: str | None = None


class Wishes:
    """The wishes by address, and when each is to be looked at next. `patience`: seconds each stands at least."""

    def __init__(self, patience: float) -> None:
        self._keep = max(KEEP, patience)
        self._wishes: dict[str, Wish] = {}
        self._queue: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._wishes)

    def __contains__(self, address: object) -> bool:
        return address in self._wishes

    def ask(self, addresses: Iterable[str], cause: str, now: float, *, over: bool) -> None:
        for address in addresses:
            old = self._wishes.get(address)
            since = old.since if old is not None and old.over is over else now
            self._wishes[address] = Wish(address, cause, since, over, now + self._keep)
            heapq.heappush(self._queue, (now, address))

    def drop(self, address: str) -> None:
        self._wishes.pop(address, None)

    def clear(self) -> None:
        self._wishes.clear()
        self._queue.clear()

    def due(self, now: float, limit: int) -> list[Wish]:
        """Up to `limit` wishes to look at now: each is then dropped, or looked at again `later`."""
        found: list[Wish] = []
        seen: set[str] = set()
        while self._queue and self._queue[0][0] <= now and len(found) < limit:
            _, address = heapq.heappop(self._queue)
            wish = self._wishes.get(address)
            if wish is not None and address not in seen:
                seen.add(address)
                found.append(wish)
        return found

    def later(self, wish: Wish, at: float) -> None:
        heapq.heappush(self._queue, (min(at, wish.until), wish.address))

    def hasten(self, now: float) -> None:
        """Something is different: all are to be looked at."""
        self._queue = [(now, address) for address in self._wishes]

    def next_due(self) -> float | None:
        while self._queue and self._queue[0][1] not in self._wishes:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None
