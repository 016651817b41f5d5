"""MetalLB 2.2 and 3.1: what becomes of one service, question by question, and which services are ours at all."""

from __future__ import annotations

import pytest

from tests.plan.scenario import Case, Scenario, cases

TABLE = """
== 3.1.1 a service of type ClusterIP gets nothing and does not wait
pool a 192.0.2.0/30
put x type=ClusterIP
x has nothing

== 3.1.1 a service of type NodePort gets nothing and does not wait
pool a 192.0.2.0/30
put x type=NodePort
x has nothing

== 3.1.1 a service of type ExternalName gets nothing and does not wait
pool a 192.0.2.0/30
put x type=ExternalName
x has nothing

== 3.1.1 from LoadBalancer to ClusterIP the address is given back (AS-01)
pool a 192.0.2.0/30
put x
put x type=ClusterIP
x lost not_load_balancer
x has nothing

== 3.1.1 from LoadBalancer to NodePort the address is given back
pool a 192.0.2.0/30
put x
put x type=NodePort
x lost not_load_balancer
x has nothing

== 3.1.1 from LoadBalancer to ExternalName the address is given back
pool a 192.0.2.0/30
put x
put x type=ExternalName
x lost not_load_balancer
x has nothing

== 3.1.1 whoever waits gets the address of a service that became ClusterIP (AS-01)
pool a 192.0.2.7/32
put x
put y
y waits a: pool_exhausted
put x type=ClusterIP
y has 192.0.2.7 from a

== 3.1.1 whoever waits gets the address of a service that is deleted (AS-02)
pool a 192.0.2.7/32
put x
put y
delete x
y has 192.0.2.7 from a

== 3.1.1 back from ClusterIP to LoadBalancer is a new request behind those that hold
pool a 192.0.2.7/32
put x
put y
put x type=ClusterIP
put x
y has 192.0.2.7
x waits a: pool_exhausted

== 3.1.1 type, address and pool may change in one edit
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x type=ClusterIP
put x ip=198.51.100.2 pool=b
x has 198.51.100.2 from b

== 3.1.2 without any pool there is one reason: no pools
put x
x waits default/x: no_pools

== 3.1.2 without any pool that is also the reason for who asks for an address
put x ip=192.0.2.1
x waits default/x: no_pools

== 3.1.2 without any pool that is also the reason for who asks for a pool
put x pool=a
x waits default/x: no_pools

== 3.1.2 all pools removed take all addresses away (AS-05)
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x + y pool=b
no pool a
no pool b
x lost address_in_no_pool
y lost address_in_no_pool
x waits default/x: no_pools
y waits default/y: no_pools

== 3.1.2 the first pool after none serves all who wait
put x + y
pool a 192.0.2.0/30
x has 192.0.2.0
y has 192.0.2.1

== 3.1.2 D21 without pools a service of another class is not ours, so nothing of it is looked at
put x class=example.com/other
x waits default/x: other_load_balancer_class

== 3.1.3 a headless service gets nothing, and is told why
pool a 192.0.2.0/30
put x cluster=None
x waits default/x: no_cluster_ip

== 3.1.3 clusterIP None takes the address away
pool a 192.0.2.0/30
put x cluster=10.96.0.1
x has 192.0.2.0
put x cluster=None
x lost no_cluster_ip
x waits default/x: no_cluster_ip

== 3.1.3 a headless service is not served by asking for an address
pool a 192.0.2.0/30
put x cluster=None ip=192.0.2.1
x waits default/x: no_cluster_ip

== 3.1.3 outside Kubernetes there are no cluster IPs: without the field nothing is amiss
# MetalLB clears a service without clusterIP; here an absent field says nothing, and only None says headless.
pool a 192.0.2.0/30
put x
x has 192.0.2.0

== 3.1.5 RequireDualStack with one cluster IP is refused, whatever the pools have
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1 require
x waits default/x: not_enough_families

== 3.1.5 RequireDualStack with one IPv6 cluster IP is refused
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=fd96::1 require
x waits default/x: not_enough_families

== 3.1.5 RequireDualStack is served as soon as the second cluster IP is there
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1 require
put x cluster=10.96.0.1,fd96::1 require
x has 192.0.2.0,2001:db8:: from a

== 3.1.5 RequireDualStack that loses its second cluster IP loses both addresses
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1,fd96::1 require
put x cluster=10.96.0.1 require
x lost not_enough_families
x waits default/x: not_enough_families

== 3.1.6 an address of the other family than the cluster IP is cleared, and one of the right family given
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1
put x cluster=fd96::1
x lost families_changed
x has 2001:db8::

== 3.1.6 from IPv6 to IPv4
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=fd96::1
put x cluster=10.96.0.1
x lost families_changed
x has 192.0.2.0

== 3.1.6 PreferDualStack on two cluster IPs may hold one address
pool a 192.0.2.0/30
put x cluster=10.96.0.1,fd96::1 prefer
x has 192.0.2.0 lacking a: pool_lacks_family

== 3.1.7 what is held is kept, look after look
pool a 192.0.2.0/30
put x + y
put z
x kept
y kept

== 3.1.7 an edit that changes no rule changes no grant
pool a 192.0.2.0/30
put x labels=app:web
put x labels=app:mail created=5
x kept
x has 192.0.2.0

== 3.1.7 an edit of the ports of who shares with nobody changes no grant
pool a 192.0.2.0/30
put x ports=80
put x ports=81,82/UDP
x kept
x has 192.0.2.0

== 3.1.7 an address that a pool edit puts out of every pool is cleared
pool a 192.0.2.0/30
put x ip=192.0.2.3
put x
pool a 192.0.2.0/31
x lost address_in_no_pool
x has 192.0.2.0

== 3.1.7 a running service's address cannot be stolen by asking for it
pool a 192.0.2.0/30
put x
put y ip=192.0.2.0
x kept
y waits 192.0.2.0: address_taken

== 3.1.7 not by an older service either
pool a 192.0.2.0/30
put x created=100
put y created=1 ip=192.0.2.0
x kept
y waits 192.0.2.0: address_taken

== 3.1.7 nor by one that is put together with the edit of the holder
pool a 192.0.2.0/30
put x
put x labels=a:b + a-first created=1 ip=192.0.2.0
x kept
a-first waits 192.0.2.0: address_taken

== 3.1.8 another pool by annotation moves the service
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x
put x pool=b
x lost requested_pool_changed
x has 198.51.100.0 from b
x by requested_pool

== 3.1.8 the pool it is in by annotation changes nothing
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put w + x
put x pool=a
x kept
x has 192.0.2.1

== 3.1.8 taking the annotation away changes nothing
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x pool=b
put x
x kept
x has 198.51.100.0 from b

== 3.1.8 a pool that is full by annotation takes the address away all the same
# So does MetalLB: the annotation is an order. The reason names the pool.
pool a 192.0.2.0/30
pool b 198.51.100.0/32
put holder pool=b
put x
put x pool=b
x lost requested_pool_changed
x waits b: pool_exhausted

== 3.1.8 a pool that is not there by annotation
pool a 192.0.2.0/30
put x
put x pool=nowhere
x lost requested_pool_changed
x waits nowhere: unknown_pool

== 3.1.8 and back to the first pool, with the address it had
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x pool=a
put x pool=b
put x pool=a
x has 192.0.2.0 from a

== 3.1.9 another requested address moves the service
pool a 192.0.2.0/30
put x ip=192.0.2.1
put x ip=192.0.2.2
x lost requested_address_changed
x has 192.0.2.2

== 3.1.9 what it holds asked for by name changes nothing
pool a 192.0.2.0/30
put w + x
put x ip=192.0.2.1
x kept

== 3.1.9 the same two addresses in the other order are the same
pool a 192.0.2.0/30 2001:db8::/126
put x v4v6 ip=192.0.2.1,2001:db8::1
put x v4v6 ip=2001:db8::1,192.0.2.1
x kept
x has 192.0.2.1,2001:db8::1

== 3.1.9 no longer asking changes nothing
pool a 192.0.2.0/30
put x ip=192.0.2.2
put x
x kept
x has 192.0.2.2

== 3.1.9 another requested address that is taken: the old one is given back, and the reason says who
pool a 192.0.2.0/30
put y ip=192.0.2.2
put x ip=192.0.2.1
put x ip=192.0.2.2
x lost requested_address_changed
x waits 192.0.2.2: address_taken

== 3.1.9 two services swap by asking for each other's address, in one edit
pool a 192.0.2.0/30
put x ip=192.0.2.1 + y ip=192.0.2.2
put x ip=192.0.2.2 + y ip=192.0.2.1
x has 192.0.2.2
y has 192.0.2.1

== 3.1.9 a request whose address does not fit the service's family takes the address away
pool a 192.0.2.0/30 2001:db8::/126
put x
put x ip=2001:db8::1
x lost requested_address_changed
x waits 2001:db8::1: address_wrong_family

== 3.1.10 one address and PreferDualStack: the other family from the same pool is added
pool a 192.0.2.0/30
put x prefer
pool a 192.0.2.0/30 2001:db8::/126
x has 192.0.2.0,2001:db8:: from a
x by second_family

== 3.1.10 and not from another one
pool a 192.0.2.0/30
put x prefer
pool b 2001:db8::/126
x kept
x has 192.0.2.0 lacking a: pool_lacks_family

== 3.1.11 no address: it is allocated
pool a 192.0.2.0/30
put x
x has 192.0.2.0 from a
x by automatic

== 3.1.11 what failed is tried again whenever something is freed, without anybody touching the service
pool a 192.0.2.7/32
put w + x + y
x waits a: pool_exhausted
delete w
x has 192.0.2.7
y waits a: pool_exhausted
delete x
y has 192.0.2.7

== 2.2 loadBalancerClass: none set here, none on the service: ours (TestLBClass)
pool a 192.0.2.0/30
put x
x has 192.0.2.0

== 2.2 loadBalancerClass: none set here, one on the service: not ours (L2-26)
pool a 192.0.2.0/30
put x class=example.com/other
x waits default/x: other_load_balancer_class

== 2.2 loadBalancerClass: a class that is put on a running service takes the address away
pool a 192.0.2.7/32
put x
put y
put x class=example.com/other
x lost other_load_balancer_class
y has 192.0.2.7

== 2.2 loadBalancerClass: one that is taken off gives one
pool a 192.0.2.7/32
put x class=example.com/other
put x
x has 192.0.2.7

== 2.2 loadBalancerClass: ours set and the same on the service: ours (TestLBClass)
class example.com/mine
pool a 192.0.2.0/30
put x class=example.com/mine
x has 192.0.2.0

== 2.2 loadBalancerClass: ours set and another on the service: not ours (TestLBClass)
class example.com/mine
pool a 192.0.2.0/30
put x class=example.com/other
x waits default/x: other_load_balancer_class

== 2.2 loadBalancerClass: ours set and none on the service: not ours (TestLBClass)
class example.com/mine
pool a 192.0.2.0/30
put x
x waits default/x: other_load_balancer_class

== 2.2 loadBalancerClass: it is compared letter by letter
class example.com/mine
pool a 192.0.2.0/30
put x class=example.com/Mine
x waits default/x: other_load_balancer_class

== 2.2 loadBalancerClass: our own class changes, and so does who is ours
pool a 192.0.2.7/32
put x + y class=example.com/mine
x has 192.0.2.7
class example.com/mine
restart
x lost other_load_balancer_class
y has 192.0.2.7

== 2.2 one cluster IP decides against ipFamilies
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=fd96::1 v4
x has 2001:db8::

== 2.2 the order of service: creationTimestamp
pool a 192.0.2.7/32
put x created=200 + y created=100
y has 192.0.2.7
x waits a: pool_exhausted

== 2.2 the order of service: when first seen, where there is no timestamp
put y
put x
pool a 192.0.2.7/32
y has 192.0.2.7
x waits a: pool_exhausted

== 2.2 the order of service: namespace and name between equals
pool a 192.0.2.7/32
put b/a created=1 + a/z created=1 + a/y created=1
a/y has 192.0.2.7
a/z waits a: pool_exhausted
b/a waits a: pool_exhausted
"""


@pytest.mark.parametrize("case", cases(TABLE), ids=lambda case: case.heading)
def test_rule(case: Case) -> None:
    Scenario().run(case)
