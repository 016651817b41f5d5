"""The rules of ownership, each to be switched off, to see that the invariants notice.

What is replaced is named here and nowhere else; a name that is gone fails at once, so that a rule is never off in name
only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import Any
from unittest import mock

from lbctl.protocol.heartbeat import claims, membership, ownership
from lbctl.protocol.heartbeat.claims import CopiedClaims
from lbctl.protocol.heartbeat.detector import Instance
from lbctl.protocol.heartbeat.identity import rendezvous
from lbctl.protocol.heartbeat.takeover import Takeover
from lbctl.speaker import pulse, shared_page

_AGES = 1e9


class Rule(Enum):
    """A rule by its number, and what holds without it."""

    A1 = "claims are compared without asking whether a majority stood behind them"
    A2 = "heard is heard: whether the other hears us does not matter"
    A3 = "dead is who more than half of the others do not hear, me not counted, and they need not be mine"
    A6 = "a copy of another's claims is always complete"
    A7 = "nobody is named heir: who takes over is for the plan of each survivor"
    A8 = "wire answers without a lease"


@contextmanager
def without(rule: Rule | None) -> Iterator[None]:
    """While it lasts, nobody keeps a rule."""
    with ExitStack() as stack:
        for owner, name, replacement in _REPLACED[rule] if rule is not None else ():
            stack.enter_context(mock.patch.object(owner, name, replacement))
        yield


def _better(mine: Any, my_node: int, other: Any, other_node: int) -> bool:
    return (mine.epoch, rendezvous(my_node, mine.address)) > (other.epoch, rendezvous(other_node, other.address))


def _heard(self: Instance, now: float) -> bool:
    return bool(self.heard_on(now))


def _hears(self: Instance, node: int, incarnation: int) -> bool:
    return bool(self.hears.get((node, incarnation), 0)) or (node, incarnation) in self.hears


def _majority_of_the_others(self: membership.Membership, instance: Instance) -> bool:
    others = [
        each for each in self.current.values() if each is not instance and each.state.value in ("alive", "suspect")
    ]
    against = sum(
        not each.was_two_way or not each.hears_both_ways(*instance.key) for each in others if each.was_hearing
    )
    return 2 * against > len(others)


def _nothing_vacant(self: Takeover, vacancies: Any) -> None:
    del vacancies


def _lease_without_end(self: pulse.Pulse, until: float) -> None:
    self._leased = until
    shared_page.write_lease(self._page, _AGES)


_REPLACED: dict[Rule, tuple[tuple[Any, str, Any], ...]] = {
    Rule.A1: ((claims, "better", _better), (ownership, "better", _better)),
    Rule.A2: ((Instance, "two_way", _heard), (Instance, "hears_both_ways", _hears)),
    Rule.A3: ((membership.Membership, "_outvoted", _majority_of_the_others),),
    Rule.A6: ((CopiedClaims, "complete", property(lambda self: True)),),
    Rule.A7: ((Takeover, "vacate", _nothing_vacant),),
    Rule.A8: ((pulse.Pulse, "_write_lease", _lease_without_end),),
}
