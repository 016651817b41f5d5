"""What I may announce, and which addresses of a lost owner are mine to take, and when.

Each claim carries two heirs, computed at rest by its owner, because survivors that work them out for themselves, each
with a slightly different past, take an address twice or leave it to nobody. The first heir that lives takes at once;
the second one interval later, unless it hears a claim; then, a detection time later, whoever else may announce it, in
rendezvous order and an interval apart; at once when no heir lives. What is still left is for the plan to decide.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lbctl.protocol.heartbeat.identity import rendezvous

PATIENCE = 2.0
"""Seconds after which a vacancy that could not be filled (not synced, paused) is left to the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An address that I may announce; `heirs` are the node hashes that my claim will name."""

    allocation: int
    generation: int
    heirs: tuple[int, ...]


class Vacancy(NamedTuple):
    """An address whose owner is no longer there, `since` when, and who was named to take it."""

    address: str
    owner: tuple[int, int]
    heirs: tuple[int, ...]
    since: float
    cause: str


class Takeover:
    """The takeover table and the vacancies I may have to fill. Pure bookkeeping: the machine asks and claims.

    `is_alive` tells whether a node may inherit, `living` all such nodes but me.
    """

    def __init__(
        self,
        me: int,
        interval: float,
        detection: float,
        is_alive: Callable[[int], bool] = lambda _: False,
        living: Callable[[], Iterator[int]] = lambda: iter(()),
    ) -> None:
        self.me = me
        self.interval = interval
        self.detection = detection
        self.prepared: dict[str, Prepared] = {}
        self.vacancies: dict[str, Vacancy] = {}
        self._is_alive = is_alive
        self._living = living
        self._queue: list[tuple[float, str, bool]] = []
        self._others: tuple[int, ...] = ()

    def vacate(self, vacancies: Iterable[Vacancy]) -> None:
        """Keeps vacancies that I may fill."""
        for vacancy in vacancies:
            self.vacancies[vacancy.address] = vacancy
        self.reorder(anyhow=True)

    def fill(self, address: str) -> None:
        """Somebody claims it, or it is not mine to take any more."""
        self.vacancies.pop(address, None)

    def reorder(self, *, anyhow: bool = False) -> None:
        """Others may inherit than before, or something else is different: every vacancy may be due at another time."""
        others = tuple(self._living()) if self.vacancies else ()
        if anyhow or others != self._others:
            self._others = others
            before = self._living_heirs_before_me({vacancy.heirs for vacancy in self.vacancies.values()})
            self._queue = [self._entry(vacancy, *before[vacancy.heirs]) for vacancy in self.vacancies.values()]
            heapq.heapify(self._queue)

    def due(self, now: float, limit: int) -> list[Vacancy]:
        """Up to `limit` vacancies to take now: each is then filled, or given again `later`. Old ones are dropped."""
        found: list[Vacancy] = []
        while self._queue and self._queue[0][0] <= now and len(found) < limit:
            at, address, ranked = heapq.heappop(self._queue)
            vacancy = self.vacancies.get(address)
            if vacancy is None:
                continue
            if now - vacancy.since > PATIENCE:
                del self.vacancies[address]
            elif not ranked and (rank := self._rank(vacancy)):
                heapq.heappush(self._queue, (at + rank * self.interval, address, True))
            else:
                found.append(vacancy)
        return found

    def later(self, address: str, at: float) -> None:
        """A vacancy that `due` gave is to be given again at a moment."""
        heapq.heappush(self._queue, (at, address, True))

    def next_due(self) -> float | None:
        while self._queue and self._queue[0][1] not in self.vacancies:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def turn(self, vacancy: Vacancy) -> int:
        """How many living nodes have the right before me."""
        before, is_heir = self._living_heirs_before_me({vacancy.heirs})[vacancy.heirs]
        return before if is_heir else before + self._rank(vacancy)

    def _entry(self, vacancy: Vacancy, before: int, is_heir: bool) -> tuple[float, str, bool]:
        """When I may take it: at once as the first living heir, one interval later as the next, the others after."""
        if is_heir:
            return vacancy.since + before * self.interval, vacancy.address, True
        # Where I stand among the others is worked out when it matters, which is seldom.
        return vacancy.since + (self.detection if before else 0.0), vacancy.address, False

    def _living_heirs_before_me(self, lists: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, bool]]:
        """For each list of heirs: how many living ones come before me, and whether I am one of them."""
        found = {}
        for heirs in lists:
            at = heirs.index(self.me) if self.me in heirs else len(heirs)
            found[heirs] = sum(self._is_alive(heir) for heir in heirs[:at]), at < len(heirs)
        return found

    def _rank(self, vacancy: Vacancy) -> int:
        """How many living nodes that are no heirs come before me."""
        own = rendezvous(self.me, vacancy.address)
        others = (node for node in self._living() if node not in vacancy.heirs)
        return sum(rendezvous(node, vacancy.address) > own for node in others)
