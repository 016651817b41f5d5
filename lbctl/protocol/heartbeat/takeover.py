"""What I may announce, and which addresses of a lost owner are mine to take, and when.

Each claim carries two heirs, computed at rest by its owner, because survivors that work them out for themselves, each
with a slightly different past, take an address twice or leave it to nobody. The first heir that lives takes at once;
the second one interval later, unless it hears a claim; whatever is left is for the plan to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PATIENCE = 2.0
"""Seconds after which a vacancy that could not be filled (not synced, paused) is left to the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An address that I may announce; `heirs` are the node hashes that my claim will name."""

    allocation: int
    generation: int
    heirs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """An address whose owner is no longer there, `since` when, and who was named to take it."""

    address: str
    owner: tuple[int, int]
    heirs: tuple[int, ...]
    since: float
    cause: str


class Takeover:
    """The takeover table and the vacancies that concern me. Pure bookkeeping: the machine asks and claims."""

    def __init__(self, me: int, interval: float) -> None:
        self.me = me
        self.interval = interval
        self.prepared: dict[str, Prepared] = {}
        self.vacancies: dict[str, Vacancy] = {}

    def concerns(self, address: str, heirs: tuple[int, ...]) -> bool:
        """Whether I am named to take an address, and may announce it."""
        return self.me in heirs and address in self.prepared

    def vacate(self, vacancy: Vacancy) -> None:
        """Keeps a vacancy that concerns me."""
        self.vacancies[vacancy.address] = vacancy

    def fill(self, address: str) -> None:
        """Somebody claims it, or it is not mine to take any more."""
        self.vacancies.pop(address, None)

    def due_at(self, vacancy: Vacancy, is_alive: Callable[[int], bool]) -> float:
        """When I may take it: at once as the first living heir, one interval later as the next."""
        for heir in vacancy.heirs:
            if heir == self.me:
                return vacancy.since
            if is_alive(heir):
                return vacancy.since + self.interval
        return vacancy.since

    def due(self, now: float, is_alive: Callable[[int], bool], limit: int) -> list[Vacancy]:
        """Up to `limit` vacancies to take now. What waited too long is dropped."""
        found: list[Vacancy] = []
        for vacancy in list(self.vacancies.values()):
            if now - vacancy.since > PATIENCE:
                del self.vacancies[vacancy.address]
            elif len(found) < limit and self.due_at(vacancy, is_alive) <= now:
                found.append(vacancy)
        return found

    def next_due(self, is_alive: Callable[[int], bool]) -> float | None:
        return min((self.due_at(vacancy, is_alive) for vacancy in self.vacancies.values()), default=None)
