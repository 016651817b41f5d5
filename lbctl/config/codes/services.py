"""LB05: codes of findings about services."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code

SERVICES: tuple[Code, ...] = (
    Code(
        "LB0501",
        ERROR,
        "port given twice",
        "Two ports of a service have the same number and protocol, or the same name.",
    ),
    Code(
        "LB0502",
        ERROR,
        "ports without names",
        "A service with several ports names each of them; endpoints are joined to ports by that name.",
    ),
    Code(
        "LB0503",
        ERROR,
        "service without ports",
        "A load balancer forwards ports; a service of type LoadBalancer that has none can do nothing.",
    ),
    Code(
        "LB0504",
        ERROR,
        "addresses requested twice",
        "A service asks for addresses by spec.loadBalancerIP or by the annotation metallb.io/loadBalancerIPs, not "
        "by both.",
    ),
    Code(
        "LB0505",
        ERROR,
        "invalid address request",
        "The annotation loadBalancerIPs takes one address, or one of each family, separated by a comma.",
    ),
    Code(
        "LB0506",
        WARNING,
        "service names a missing pool",
        "The annotation address-pool names no pool here. The service waits until there is one.",
    ),
    Code(
        "LB0507",
        WARNING,
        "requested address in no pool",
        "No pool here holds the address that the service asks for. The service waits until one does.",
    ),
    Code(
        "LB0508",
        NOTE,
        "old annotation prefix",
        "Annotations under metallb.universe.tf/ are still read; the prefix is metallb.io/ now, which wins where "
        "both are given.",
    ),
    Code(
        "LB0509",
        WARNING,
        "unknown annotation",
        "The prefix belongs to the load balancer, but it knows no annotation of this name; usually it is misspelt.",
    ),
)
