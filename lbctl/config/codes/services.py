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
        fix=service("ipFamilyPolicy: RequireDualStack", annotation="metallb.io/loadBalancerIPs: 192.0.2.7,2001:db8::7"),
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
    Code(
        "LB0511",
        WARNING,
        "two services ask for one address",
        "Two services fix the same address, and they do not share it: both need the same "
        "metallb.io/allow-shared-ip, no port in common, and, with externalTrafficPolicy Local, the same selector. "
        "Who came first has the address; the other one waits.",
        example=together(
            service("loadBalancerIP: 192.0.2.7"),
            service("loadBalancerIP: 192.0.2.7").replace("name: web", "name: api"),
        ),
        fix=together(
            service("loadBalancerIP: 192.0.2.7"),
            service("loadBalancerIP: 192.0.2.8").replace("name: web", "name: api"),
        ),
    ),
    Code(
        "LB0512",
        WARNING,
        "pool without the wanted family",
        "The service wants IPv4 or IPv6 or both (by its cluster IPs, else ipFamilies and ipFamilyPolicy), and the pool "
        "that it asks for has no addresses of that kind. It waits until there are some. metallb.io/address-pool takes "
        "one pool for both families, lbctl.io/address-pools several.",
        example=together(
            pool("addresses: ['2001:db8::/64']"), COVER, service(annotation="metallb.io/address-pool: first")
        ),
        fix=together(
            pool("addresses: ['2001:db8::/64']"),
            COVER,
            service("ipFamilies: [IPv6]", annotation="metallb.io/address-pool: first"),
        ),
    ),
    Code(
        "LB0513",
        WARNING,
        "requested address that is not given",
        "The address that the service asks for lies in a pool that gives it to nobody (lbctl.io/exclude, "
        "avoidBuggyIPs), or in another pool than the one it asks for. The service waits.",
        example=together(
            pool(metadata='annotations: {lbctl.io/exclude: "192.0.2.7"}'),
            COVER,
            service(annotation="metallb.io/loadBalancerIPs: 192.0.2.7"),
        ),
        fix=together(
            pool(metadata='annotations: {lbctl.io/exclude: "192.0.2.7"}'),
            COVER,
            service(annotation="metallb.io/loadBalancerIPs: 192.0.2.8"),
        ),
    ),
    Code(
        "LB0514",
        WARNING,
        "pool that is for others",
        "The service asks for a pool whose serviceAllocation names other namespaces or other labels. A pool that is "
        "kept for somebody stays so when it is asked for by name; the service waits.",
        example=together(
            pool("addresses: [192.0.2.0/24]\nserviceAllocation: {namespaces: [shop]}"),
            COVER,
            service(annotation="metallb.io/address-pool: first"),
        ),
        fix=together(
            pool("addresses: [192.0.2.0/24]\nserviceAllocation: {namespaces: [shop, default]}"),
            COVER,
            service(annotation="metallb.io/address-pool: first"),
        ),
    ),
    Code(
        "LB0515",
        WARNING,
        "requested address of another family",
        "The service asks for an IPv6 address and has IPv4 only, or the other way round: by its cluster IPs, else by "
        "ipFamilies and ipFamilyPolicy, else IPv4. Behind an address of a family without a cluster IP nobody forwards. "
        "The service waits.",
        example=service(annotation="metallb.io/loadBalancerIPs: 2001:db8::7"),
        fix=service("ipFamilies: [IPv6]", annotation="metallb.io/loadBalancerIPs: 2001:db8::7"),
    ),
    Code(
        "LB0516",
        WARNING,
        "headless service of type LoadBalancer",
        "clusterIP: None says that the service has no address within the cluster. kube-proxy then forwards nothing, "
        "and no address is given to it; Kubernetes refuses such a service.",
        example=service("clusterIP: None"),
        fix=service(),
    ),
    Code(
        "LB0517",
        WARNING,
        "annotation without effect",
        "The annotations by which a service asks for addresses, pools and sharing count for services of type "
        "LoadBalancer. This one is of another type (ClusterIP, where none is given), and gets no address.",
        example=service(annotation="metallb.io/address-pool: first").replace("type: LoadBalancer", "type: NodePort"),
        fix=service(annotation="metallb.io/address-pool: first"),
    ),
)
