"""Which address families a service wants (MetalLB sections 2.2 and 3.5)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from lbctl.model.address import Family
from lbctl.model.service import FamilyPolicy, FamilySpec
from lbctl.plan.reason import Reason


class FamilyWish(NamedTuple):
    """The families in order of preference. `partial`: one of two is better than none (PreferDualStack)."""

    families: tuple[Family, ...]
    partial: bool = False

    @property
    def dual(self) -> bool:
        return len(self.families) == 2


_NO_CLUSTER_IP = (Reason.NO_CLUSTER_IP, "it is headless")


def _other(family: Family) -> Family:
    return Family.IPV6 if family is Family.IPV4 else Family.IPV4


def family_wish(spec: FamilySpec) -> FamilyWish | tuple[Reason, str]:
    """The wish, or why there is none.

    Cluster IPs decide where there are any, because behind a family without one nobody forwards; else `ipFamilies`; else
    IPv4. Without cluster IPs nothing shows which families the cluster has, so a dual-stack policy stands for both.
    """
    return _from_cluster_ips(spec) if spec.cluster_ips else _from_families(spec.ip_families, spec.policy)


@lru_cache(maxsize=64)
def _from_families(asked: tuple[Family, ...], policy: FamilyPolicy | None) -> FamilyWish:
    families = tuple(dict.fromkeys(asked)) or (Family.IPV4,)
    match policy:
        case FamilyPolicy.SINGLE:
            return FamilyWish(families[:1])
        case FamilyPolicy.PREFER | FamilyPolicy.REQUIRE:
            return FamilyWish((families[0], _other(families[0])), partial=policy is FamilyPolicy.PREFER)
        case None:
            return FamilyWish(families)


def _from_cluster_ips(spec: FamilySpec) -> FamilyWish | tuple[Reason, str]:
    if any(text in ("", "None") for text in spec.cluster_ips):
        return _NO_CLUSTER_IP
    present = {Family.IPV6 if ":" in text else Family.IPV4 for text in spec.cluster_ips}
    first = spec.ip_families[0] if spec.ip_families and spec.ip_families[0] in present else min(present)
    if len(present) == 1:
        if spec.policy is FamilyPolicy.REQUIRE:
            return Reason.NOT_ENOUGH_FAMILIES, f"RequireDualStack, and its only cluster IP is {first.value}"
        return FamilyWish((first,))
    if spec.policy is FamilyPolicy.SINGLE:
        return FamilyWish((first,))
    return FamilyWish((first, _other(first)), partial=spec.policy is FamilyPolicy.PREFER)
