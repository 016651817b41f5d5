"""LB05: codes of findings about services."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code
from lbctl.config.codes.example import COVER, pool, service, together

SERVICES: tuple[Code, ...] = (
    Code(
        "LB0501",
        ERROR,
        "port given twice",
        "Two ports of a service have the same number and protocol, or the same name.",
        example=service(ports="ports:\n- {name: http, port: 80}\n- {name: web, port: 80}"),
        fix=service(ports="ports:\n- {name: http, port: 80}\n- {name: https, port: 443}"),
    ),
    Code(
        "LB0502",
        ERROR,
        "ports without names",
        "A service with several ports names each of them; endpoints are joined to ports by that name.",
        example=service(ports="ports:\n- {name: http, port: 80}\n- {port: 443}"),
        fix=service(ports="ports:\n- {name: http, port: 80}\n- {name: https, port: 443}"),
    ),
    Code(
        "LB0503",
        ERROR,
        "service without ports",
        "A load balancer forwards ports; a service of type LoadBalancer that has none can do nothing.",
        example=service(ports="ports: []"),
        fix=service(),
    ),
    Code(
        "LB0504",
        ERROR,
        "addresses requested twice",
        "A service asks for addresses by spec.loadBalancerIP or by the annotation metallb.io/loadBalancerIPs, not "
        "by both.",
        example=service("loadBalancerIP: 192.0.2.7", annotation="metallb.io/loadBalancerIPs: 192.0.2.7"),
        fix=service(annotation="metallb.io/loadBalancerIPs: 192.0.2.7"),
    ),
    Code(
        "LB0505",
        ERROR,
        "invalid address request",
        "The annotation loadBalancerIPs takes one address, or one of each family, separated by a comma.",
        example=service(annotation="metallb.io/loadBalancerIPs: 192.0.2.7,192.0.2.8"),
        fix=service(annotation="metallb.io/loadBalancerIPs: 192.0.2.7,2001:db8::7"),
    ),
    Code(
        "LB0506",
        WARNING,
        "service names a missing pool",
        "The annotation address-pool names no pool here. The service waits until there is one.",
        example=together(pool(), COVER, service(annotation="metallb.io/address-pool: frist")),
        fix=together(pool(), COVER, service(annotation="metallb.io/address-pool: first")),
    ),
    Code(
        "LB0507",
        WARNING,
        "requested address in no pool",
        "No pool here holds the address that the service asks for. The service waits until one does.",
        example=together(pool(), COVER, service(annotation="metallb.io/loadBalancerIPs: 198.51.100.7")),
        fix=together(pool(), COVER, service(annotation="metallb.io/loadBalancerIPs: 192.0.2.7")),
    ),
    Code(
        "LB0508",
        NOTE,
        "old annotation prefix",
        "Annotations under metallb.universe.tf/ are still read; the prefix is metallb.io/ now, which wins where "
        "both are given.",
        example=service(annotation="metallb.universe.tf/allow-shared-ip: dns"),
        fix=service(annotation="metallb.io/allow-shared-ip: dns"),
    ),
    Code(
        "LB0509",
        WARNING,
        "unknown annotation",
        "The prefix belongs to the load balancer, but it knows no annotation of this name; usually it is misspelt.",
        example=service(annotation="metallb.io/allow-shared-ips: dns"),
        fix=service(annotation="metallb.io/allow-shared-ip: dns"),
    ),
    Code(
        "LB0510",
        ERROR,
        "pools named twice",
        "metallb.io/address-pool names the one pool that all addresses of a service come from; lbctl.io/address-pools "
        "names several, so that each family may come from another. Only one of the two can be followed.",
        example=service(annotation="metallb.io/address-pool: first\n    lbctl.io/address-pools: first,second"),
        fix=service(annotation="lbctl.io/address-pools: first,second"),
    ),
)
