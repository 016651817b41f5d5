"""MetalLB 3.6, 3.7, AS-03 to AS-06 and the restart: pools change under services that run."""

from __future__ import annotations

import pytest

from tests.plan.scenario import Case, Scenario, cases

TABLE = """
== 3.6 nothing changes: every grant stands
pool a 192.0.2.0/30
put x + y
pool a 192.0.2.0/30
x kept
y kept

== 3.6 a pool grows at its end: every grant stands, and who waits is served
pool a 192.0.2.0/31
put x + y
put z
z waits a: pool_exhausted
pool a 192.0.2.0/30
x kept
z has 192.0.2.2

== 3.6 a pool grows at its start: every grant stands
pool a 192.0.2.2/31
put x
pool a 192.0.2.0/30
x kept
put y
y has 192.0.2.0

== 3.6 a second range: every grant stands
pool a 192.0.2.0/31
put x
pool a 198.51.100.0/31 192.0.2.0/31
x kept
put y
y has 198.51.100.0

== 3.6 a pool shrinks where nobody is: every grant stands
pool a 192.0.2.0/30
put x
pool a 192.0.2.0/31
x kept

== 3.6 a pool shrinks under a service: it moves within the pool
pool a 192.0.2.0/30
put x ip=192.0.2.3
put x
pool a 192.0.2.0/31
x lost address_in_no_pool
x has 192.0.2.0 from a

== 3.6 a pool shrinks under a service: it moves to another pool where its own is full
pool a 192.0.2.0/31
pool b 198.51.100.0/30
put x
put y
pool a 192.0.2.0/32
x kept
y lost address_in_no_pool
y has 198.51.100.0 from b

== 3.6 a pool shrinks under a service, and there is no other address
pool a 192.0.2.0/31
put x
put y
pool a 192.0.2.0/32
y lost address_in_no_pool
y waits a: pool_exhausted

== 3.6 a pool shrinks under IPv6 services
pool a 2001:db8::/126
put x v6 ip=2001:db8::3
put x v6
pool a 2001:db8::/127
x lost address_in_no_pool
x has 2001:db8::

== 3.6 a pool shrinks under an address that was asked for: that wish is not given up
pool a 192.0.2.0/30
put x ip=192.0.2.3
pool a 192.0.2.0/31
x lost address_in_no_pool
x waits 192.0.2.3: address_in_no_pool

== 3.6 and the address is given back to it when the pool grows again
pool a 192.0.2.0/30
put x ip=192.0.2.3
pool a 192.0.2.0/31
pool a 192.0.2.0/30
x has 192.0.2.3

== 3.6 renamed: the very same grant, in the pool of the new name
pool a 192.0.2.0/30
put x
no pool a
pool b 192.0.2.0/30
x kept
x has 192.0.2.0 from b

== 3.6 split in two: the same addresses, each in its pool
pool a 192.0.2.0/30
put x
put y ip=192.0.2.3
pool a 192.0.2.0/31
pool b 192.0.2.2/31
x has 192.0.2.0 from a
y has 192.0.2.3 from b

== 3.6 two pools become one: the same addresses
pool a 192.0.2.0/31
pool b 192.0.2.2/31
put x pool=a
put y pool=b
no pool b
pool a 192.0.2.0/30
x has 192.0.2.0 from a
# The annotation names a pool that is no more: an order that cannot be followed.
y waits b: unknown_pool

== 3.6 two pools become one, and nobody asked for one by name
pool a 192.0.2.0/32
pool b 192.0.2.1/32
put x
put y
no pool b
pool a 192.0.2.0/31
x has 192.0.2.0 from a
y has 192.0.2.1 from a

== 3.6 a range moves from one pool to another: its services move along
pool a 192.0.2.0/30 198.51.100.0/30
pool b 203.0.113.0/30
put x ip=198.51.100.2
put x
pool a 192.0.2.0/30
pool b 203.0.113.0/30 198.51.100.0/30
x has 198.51.100.2 from b

== 3.6 two pools swap their ranges: every service keeps its address
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x pool=a
put x
pool a 198.51.100.0/30
pool b 192.0.2.0/30
x has 192.0.2.0 from b

== 3.6 the ranges of a pool in another order: nothing moves
pool a 192.0.2.0/31 192.0.2.2/31
put x
pool a 192.0.2.2/31 192.0.2.0/31
x kept
put y
y has 192.0.2.2

== 3.6 a CIDR written as a range: nothing moves
pool a 192.0.2.0/30
put x
pool a 192.0.2.0-192.0.2.3
x kept

== 3.6 removed, and there is another pool (AS-06)
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x
no pool a
x lost address_in_no_pool
x has 198.51.100.0 from b

== 3.6 removed, and there is only one of the other family
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x
no pool a
x lost address_in_no_pool
x waits b: pool_lacks_family

== 3.6 removed and put back: the first to be served again is the oldest
pool a 192.0.2.0/31
put x created=20
put y created=10
no pool a
pool b 2001:db8::/126
x waits b: pool_lacks_family
pool a 192.0.2.0/31
y has 192.0.2.0
x has 192.0.2.1

== 3.6 pinned to others: its services leave
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x
pool a 192.0.2.0/30 for=tenant
x lost pool_not_compatible
x has 198.51.100.0 from b

== 3.6 pinned to the namespace of its services: they stay
pool a 192.0.2.0/30
put x + tenant/y
pool a 192.0.2.0/30 for=default
x kept
tenant/y lost pool_not_compatible

== 3.6 pinned by a label its services do not have
pool a 192.0.2.0/30
put x labels=app:web
put y
pool a 192.0.2.0/30 for-services=app:web
x kept
y lost pool_not_compatible
y waits a: pool_not_compatible

== 3.6 the label of a service that let it in is taken off
pool a 192.0.2.0/30 for-services=app:web
put x labels=app:web
put x
x lost pool_not_compatible
x waits a: pool_not_compatible

== 3.6 the label of a namespace that let it in is taken off
namespace red tier:gold
pool a 192.0.2.0/30 for-labels=tier:gold
put red/x
namespace red tier:iron
red/x lost pool_not_compatible
red/x waits a: pool_not_compatible

== 3.6 no longer pinned: nothing moves
pool a 192.0.2.0/30 for=default
put x
pool a 192.0.2.0/30
x kept

== 3.6 autoAssign turned off: nothing moves
pool a 192.0.2.0/30
put x
pool a 192.0.2.0/30 manual
x kept
put y
y waits a: pool_not_auto_assign

== 3.6 avoidBuggyIPs turned on under .0: it moves
pool a 192.0.2.0/30
put x
pool a 192.0.2.0/30 buggy
x lost address_buggy
x has 192.0.2.1

== 3.6 avoidBuggyIPs turned on under .255: it moves
pool a 192.0.2.0/24
put x ip=192.0.2.255
put x
pool a 192.0.2.0/24 buggy
x lost address_buggy
x has 192.0.2.1

== 3.6 avoidBuggyIPs turned on under .255 that was asked for
pool a 192.0.2.0/24
put x ip=192.0.2.255
pool a 192.0.2.0/24 buggy
x lost address_buggy
x waits 192.0.2.255: address_buggy

== 3.6 avoidBuggyIPs turned on under other addresses: nothing moves
pool a 192.0.2.0/30
put w
put x
pool a 192.0.2.0/30 buggy
x kept

== 3.6 avoidBuggyIPs turned off: the lowest is usable again
pool a 192.0.2.0/30 buggy
put x
pool a 192.0.2.0/30
x kept
put y
y has 192.0.2.0

== 3.6 a pool shrinks under services that share: they go together where they can
pool a 192.0.2.0/31
put w ip=192.0.2.0
put x share=k ports=80
put y share=k ports=81
x has 192.0.2.1
pool a 192.0.2.0/32
pool b 198.51.100.0/32
x has 198.51.100.0
y has 198.51.100.0

== 3.6 a pool is renamed under services that share
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
no pool a
pool b 192.0.2.0/30
x kept
y kept
grants are 192.0.2.0*2

== 3.6 an edit of pools and the deletion of a service at once take nothing from others
pool a 192.0.2.0/31
put x
put y
pool a 192.0.2.0/30
delete x
y kept

== 3.7 a deleted service gives its address to the oldest who waits, in the same plan
pool a 192.0.2.7/32
put w
put x created=20 + y created=10
delete w
y has 192.0.2.7
x waits a: pool_exhausted

== 3.7 a service that goes elsewhere gives its address to who waits
pool a 192.0.2.7/32
pool b 198.51.100.0/32 manual
put x
put y
put x pool=b
x has 198.51.100.0 from b
y has 192.0.2.7 from a

== 3.7 a changed sharing key lets in who waits
pool a 192.0.2.7/32
put x share=k ports=80
put y share=l ports=81
y waits a: pool_exhausted
put x share=l ports=80
y has 192.0.2.7

== 3.7 a changed pool lets in who waits
pool a 192.0.2.7/32
put x
put y
pool a 192.0.2.7-192.0.2.8
y has 192.0.2.8

== 3.7 one who gives its address back lets in two who share
pool a 192.0.2.7/32
put w
put x share=k ports=80 + y share=k ports=81
delete w
grants are 192.0.2.7*2

== 3.7 a chain: each goes where the next one was, in one edit
pool a 192.0.2.1-192.0.2.4
put x ip=192.0.2.1 + y ip=192.0.2.2 + z ip=192.0.2.3
put x ip=192.0.2.2 + y ip=192.0.2.3 + z ip=192.0.2.4
x has 192.0.2.2
y has 192.0.2.3
z has 192.0.2.4

== restart: nothing changes (AS-03)
pool a 192.0.2.0/30
put x + y share=k + z v4
restart
x kept
y kept
z kept

== restart: what is held comes before an older one who waits
pool a 192.0.2.7/32
put x created=20
put y created=10
restart
x kept
y waits a: pool_exhausted

== restart: what is held comes before one who asks for it
pool a 192.0.2.0/30
put y ip=192.0.2.0 type=ClusterIP
put x
restart
put y ip=192.0.2.0
x kept
y waits 192.0.2.0: address_taken

== restart: sharers of one address are taken up again together
pool a 192.0.2.0/32
put x share=k ports=80
put y share=k ports=81
restart
x kept
y kept
put z share=k ports=80
z waits a: pool_exhausted

== restart: PreferDualStack with one address keeps it
pool a 192.0.2.0/30
put x prefer
restart
x kept
x has 192.0.2.0 lacking a: pool_lacks_family

== restart: pools changed meanwhile, and addresses that are still in one are kept
pool a 192.0.2.0/30
put x
put y ip=192.0.2.3
put y
restart
pool b 192.0.2.2/31
no pool a
y has 192.0.2.3 from b
x lost address_in_no_pool
x has 192.0.2.2 from b

== restart: who waited goes on waiting for the same reasons
pool a 192.0.2.0/32
pool b 198.51.100.0/30 manual
put x
put y
restart
y waits a: pool_exhausted; b: pool_not_auto_assign

== restart: who changed how it shares meanwhile goes, who did not stays
pool a 192.0.2.0/30
put x share=k ports=80 created=1
put y share=k ports=81 created=2
restart
put x share=l ports=80 created=1
x lost sharing_key_differs
y kept
"""


@pytest.mark.parametrize("case", cases(TABLE), ids=lambda case: case.heading)
def test_rule(case: Case) -> None:
    Scenario().run(case)
