"""EndpointSlices: that their services exist."""

from __future__ import annotations

from collections.abc import Iterator

from lbctl.config.checks.finding import Finding, Place, Secrets, near
from lbctl.config.endpoint import SERVICE_LABEL
from lbctl.model.snapshot import World


def slices_belong_to_services(world: World, secrets: Secrets) -> Iterator[Finding]:
    services = world.services
    if not services:
        return
    missing = [made for made in world.slices.values() if made.service is not None and made.service not in services]
    for made in missing:
        assert made.service is not None
        names = (name for space, name in services if space == made.key.namespace)
        yield Finding(
            code="LB0605",
            subject=Place("slices", made.key, ("metadata", "labels", SERVICE_LABEL)),
            message=f"there is no service {made.service} here",
            help=near(made.service.name, names, missing),
            missing=(Place("services", made.service),),
        )
