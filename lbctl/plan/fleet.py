"""The speakers as an election sees them: who lives, who is to be given something, who is on the way out."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.model.member import Liveness
from lbctl.model.snapshot import View
from lbctl.plan.claims import living

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Sets of node names, as of a view.

    `drained` nodes may not announce, by order; `draining` ones are about to end and hand over what they hold;
    `held_down` ones came and went too often. `fit` are the living ones that are neither drained nor draining, `steady`
    those of them that are not held down.
    """

    alive: frozenset[str] = _NOBODY
    drained: frozenset[str] = _NOBODY
    draining: frozenset[str] = _NOBODY
    held_down: frozenset[str] = _NOBODY
    fit: frozenset[str] = _NOBODY
    steady: frozenset[str] = _NOBODY

    def choices(self, order: tuple[str, ...]) -> list[str]:
        """Of `order` those that may be given a group: the steady ones, else all that are fit, else all that live."""
        for some in (self.steady, self.fit, self.alive):
            if found := [node for node in order if node in some]:
                return found
        return []


def fleet_of(view: View) -> Fleet:
    """The fleet as of `view.seen_unix`, at which hold-downs have ended or not."""
    alive = living(view)
    drained = frozenset(view.drains) if view.drains else _NOBODY
    draining = frozenset(node for node in alive if view.members[node].state is Liveness.DRAINING)
    held_down = frozenset(node for node in alive if view.members[node].held_until_unix > view.seen_unix)
    fit = alive - drained - draining
    return Fleet(alive=alive, drained=drained, draining=draining, held_down=held_down, fit=fit, steady=fit - held_down)
