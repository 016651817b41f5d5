"""When a group leaves a well owner for a node that is wanted more: what its services and advertisements say."""

from __future__ import annotations

from lbctl.model.advertisement import Failback
from lbctl.model.snapshot import World
from lbctl.plan.eligible import Eligibility

_CAUTION = (Failback.NEVER, Failback.PREFERRED, Failback.ALWAYS)


def failback_of(found: Eligibility, world: World, speaking: bool = True) -> Failback:
    """The policy of a group: of each service its own, else that of its advertisements; of several the most cautious.

    `speaking` false: no advertisement of the world says anything.
    """
    said: set[Failback] = set()
    for key, demand in found.serving:
        service = world.services.get(key)
        if service is not None and service.load_balancer.failback is not None:
            said.add(service.load_balancer.failback)
        elif speaking:
            said.update(world.l2_advertisements[name].failback or Failback.PREFERRED for name in demand)
        else:
            said.add(Failback.PREFERRED)
    return next((policy for policy in _CAUTION if policy in said), Failback.PREFERRED)
