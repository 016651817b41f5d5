"""MetalLB 3.2.1, 3.2.2 and 3.3: addresses and pools asked for by name, and which addresses a pool may give.

spec.loadBalancerIP and the annotation loadBalancerIPs come out of the reader as one field, so a row holds for both.
"""

from __future__ import annotations

import pytest

from tests.plan.scenario import Case, Scenario, cases

TABLE = """
== 3.2.1 one address asked for, lower ones free
pool a 192.0.2.0/30
put x ip=192.0.2.3
x has 192.0.2.3 from a
x by requested_address

== 3.2.1 the first address of a pool
pool a 192.0.2.0/30
put x ip=192.0.2.0
x has 192.0.2.0

== 3.2.1 an address of the second range of a pool
pool a 192.0.2.0/30 198.51.100.7-198.51.100.9
put x ip=198.51.100.8
x has 198.51.100.8 from a

== 3.2.1 an IPv6 address
pool a 2001:db8::/64
put x v6 ip=2001:db8::beef
x has 2001:db8::beef

== 3.2.1 one of each family, of one pool
pool a 192.0.2.0/30 2001:db8::/126
put x v4v6 ip=192.0.2.1,2001:db8::2
x has 192.0.2.1,2001:db8::2 from a

== 3.2.1 one of each family, IPv6 written first
pool a 192.0.2.0/30 2001:db8::/126
put x v6v4 ip=2001:db8::2,192.0.2.1
x has 192.0.2.1,2001:db8::2 from a

== 3.2.1 RequireDualStack and one of each family
pool a 192.0.2.0/30 2001:db8::/126
put x require ip=192.0.2.1,2001:db8::2
x has 192.0.2.1,2001:db8::2

== 3.2.1 PreferDualStack and one of each family
pool a 192.0.2.0/30 2001:db8::/126
put x prefer ip=192.0.2.1,2001:db8::2
x has 192.0.2.1,2001:db8::2

== 3.2.1 PreferDualStack and one address: that one and no second
# MetalLB refuses it (the families must be equal); an address asked for by name is given here.
pool a 192.0.2.0/30 2001:db8::/126
put x prefer ip=192.0.2.1
x has 192.0.2.1

== 3.2.1 PreferDualStack and one IPv6 address: that one
pool a 192.0.2.0/30 2001:db8::/126
put x prefer ip=2001:db8::3
x has 2001:db8::3

== 3.2.1 autoAssign false does not matter to who asks for an address
pool a 192.0.2.0/30 manual
put x ip=192.0.2.1 + y
x has 192.0.2.1
y waits a: pool_not_auto_assign

== 3.2.1 an address of a pool pinned to the service's namespace
pool a 192.0.2.0/30 for=tenant
put tenant/x ip=192.0.2.2
tenant/x has 192.0.2.2

== 3.2.1 asked for and never given: an address in no pool
pool a 192.0.2.0/30
put x ip=198.51.100.1
x waits 198.51.100.1: address_in_no_pool

== 3.2.1 the address right before a pool
pool a 192.0.2.4/30
put x ip=192.0.2.3
x waits 192.0.2.3: address_in_no_pool

== 3.2.1 the address right after a pool
pool a 192.0.2.4/30
put x ip=192.0.2.8
x waits 192.0.2.8: address_in_no_pool

== 3.2.1 the gap between two ranges of a pool
pool a 192.0.2.0-192.0.2.3 192.0.2.5-192.0.2.6
put x ip=192.0.2.4
x waits 192.0.2.4: address_in_no_pool

== 3.2.1 who asked for an address in no pool gets it when a pool comes to have it
pool a 192.0.2.0/30
put x ip=198.51.100.1
pool b 198.51.100.0/30
x has 198.51.100.1 from b

== 3.2.1 both addresses in no pool: each is named
pool a 192.0.2.0/30
put x v4v6 ip=198.51.100.1,2001:db8::1
x waits 198.51.100.1: address_in_no_pool; 2001:db8::1: address_in_no_pool

== 3.2.1 one of two addresses in no pool: that one is named
pool a 192.0.2.0/30
put x v4v6 ip=192.0.2.1,2001:db8::1
x waits 2001:db8::1: address_in_no_pool

== 3.2.1 two addresses of two pools
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x v4v6 ip=192.0.2.1,2001:db8::1
x waits 192.0.2.1 and 2001:db8::1: addresses_in_different_pools

== 3.2.1 an IPv6 address for an IPv4 service
pool a 192.0.2.0/30 2001:db8::/126
put x ip=2001:db8::1
x waits 2001:db8::1: address_wrong_family

== 3.2.1 an IPv4 address for an IPv6 service
pool a 192.0.2.0/30 2001:db8::/126
put x v6 ip=192.0.2.1
x waits 192.0.2.1: address_wrong_family

== 3.2.1 an IPv6 address for a service whose cluster IP is IPv4
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1 ip=2001:db8::1
x waits 2001:db8::1: address_wrong_family

== 3.2.1 two addresses for a service of one family
pool a 192.0.2.0/30 2001:db8::/126
put x ip=192.0.2.1,2001:db8::1
x waits 192.0.2.1 and 2001:db8::1: address_wrong_family

== 3.2.1 one address for a service of two families
pool a 192.0.2.0/30 2001:db8::/126
put x v4v6 ip=192.0.2.1
x waits 192.0.2.1: address_wrong_family

== 3.2.1 one address for RequireDualStack
pool a 192.0.2.0/30 2001:db8::/126
put x require ip=192.0.2.1
x waits 192.0.2.1: address_wrong_family

== 3.2.1 two addresses of one family
pool a 192.0.2.0/30
put x ip=192.0.2.1,192.0.2.2
x waits 192.0.2.1 and 192.0.2.2: address_wrong_family

== 3.2.1 two addresses of one family for a service of two
pool a 192.0.2.0/30 2001:db8::/126
put x v4v6 ip=192.0.2.1,192.0.2.2
x waits 192.0.2.1 and 192.0.2.2: address_wrong_family

== 3.2.1 an address that is taken
pool a 192.0.2.0/30
put holder
put x ip=192.0.2.0
x waits 192.0.2.0: address_taken

== 3.2.1 both addresses taken: each is named
pool a 192.0.2.0/30 2001:db8::/126
put holder v4v6
put x v4v6 ip=192.0.2.0,2001:db8::
x waits 192.0.2.0: address_taken; 2001:db8::: address_taken

== 3.2.1 one of two addresses taken: nothing is given, and that one is named
pool a 192.0.2.0/30 2001:db8::/126
put holder v6
put x v4v6 ip=192.0.2.0,2001:db8::
x waits 2001:db8::: address_taken
put y
y has 192.0.2.0

== 3.2.1 who asked for an address that is taken gets it when it is free
pool a 192.0.2.0/30
put holder
put x ip=192.0.2.0
delete holder
x has 192.0.2.0

== 3.2.1 two ask for one address: the older one has it
pool a 192.0.2.0/30
put x ip=192.0.2.1 created=20 + y ip=192.0.2.1 created=10
y has 192.0.2.1
x waits 192.0.2.1: address_taken

== 3.2.1 an older service without a wish may take the address that a younger one asks for
# What was not reserved is first come, first served, in the order of service.
pool a 192.0.2.0/30
put x ip=192.0.2.0 created=20 + y created=10
y has 192.0.2.0
x waits 192.0.2.0: address_taken

== 3.2.1 an address of a pool that is pinned to others: the pool is named
pool a 192.0.2.0/30 for=tenant
put x ip=192.0.2.1
x waits a: pool_not_compatible

== 3.2.1 an address of a pool whose service selectors match others
pool a 192.0.2.0/30 for-services=app:web
put x ip=192.0.2.1 labels=app:mail
x waits a: pool_not_compatible

== 3.2.1 an address of a pool whose service selectors match
pool a 192.0.2.0/30 for-services=app:web
put x ip=192.0.2.1 labels=app:web
x has 192.0.2.1

== 3.2.1 address and pool asked for, and they agree
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x ip=198.51.100.1 pool=b
x has 198.51.100.1 from b

== 3.2.1 address and pool asked for, and they do not
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x ip=198.51.100.1 pool=a
x waits 198.51.100.1: address_not_in_requested_pool

== 3.2.1 address and pool asked for, and there is no such pool
pool a 192.0.2.0/30
put x ip=192.0.2.1 pool=nowhere
x waits 192.0.2.1: address_not_in_requested_pool

== 3.2.1 two addresses and a pool, and they do not agree
pool a 192.0.2.0/30 2001:db8::/126
pool b 198.51.100.0/30
put x v4v6 ip=192.0.2.1,2001:db8::1 pool=b
x waits 192.0.2.1 and 2001:db8::1: address_not_in_requested_pool

== 3.2.1 a buggy address: .0
pool a 192.0.2.0/24 buggy
put x ip=192.0.2.0
x waits 192.0.2.0: address_buggy

== 3.2.1 a buggy address: .255
pool a 192.0.2.0/24 buggy
put x ip=192.0.2.255
x waits 192.0.2.255: address_buggy

== 3.2.1 the same address in a pool that does not avoid it
pool a 192.0.2.0/24
put x ip=192.0.2.255
x has 192.0.2.255

== 3.2.1 an address that ends in 255 of the second byte is not buggy
pool a 192.0.0.0/16 buggy
put x ip=192.0.255.1
x has 192.0.255.1

== 3.2.1 IPv6 addresses that end in 00 and ff are not buggy
pool a 2001:db8::/64 buggy
put x v6 ip=2001:db8::ff00 + y v6 ip=2001:db8::ff
x has 2001:db8::ff00
y has 2001:db8::ff

== 3.2.1 from any address to one by name
pool a 192.0.2.0/30
put x
put x ip=192.0.2.3
x lost requested_address_changed
x has 192.0.2.3

== 3.2.1 from one address by name to two, and the first is kept though an older service waits for it
pool a 192.0.2.1/32 2001:db8::/126
put x ip=192.0.2.1 created=20
put old created=10
put x v4v6 ip=192.0.2.1,2001:db8::2 created=20
x has 192.0.2.1,2001:db8::2
old waits a: pool_exhausted

== 3.2.1 from two addresses by name to one of them, though an older service waits for it
pool a 192.0.2.1/32 2001:db8::/126
put x prefer ip=192.0.2.1,2001:db8::2 created=20
put old created=10
put x prefer ip=192.0.2.1 created=20
x has 192.0.2.1
old waits a: pool_exhausted

== 3.2.1 from two addresses to one by name of the two
pool a 192.0.2.0/30 2001:db8::/126
put x v4v6
put x ip=192.0.2.0
x has 192.0.2.0

== 3.2.1 one of two requested addresses changes: the other is kept
pool a 192.0.2.1/32 2001:db8::/126
put x v4v6 ip=192.0.2.1,2001:db8::2 created=20
put old created=10
put x v4v6 ip=192.0.2.1,2001:db8::3 created=20
x has 192.0.2.1,2001:db8::3
old waits a: pool_exhausted

== 3.2.1 two who hold half of what they ask for want one address: the older one has it, the other loses its half
pool a 192.0.2.0/30 2001:db8::/126
put x v4v6 ip=192.0.2.1,2001:db8::1 created=20 + y v4v6 ip=192.0.2.2,2001:db8::2 created=10
put x v4v6 ip=192.0.2.1,2001:db8::3 created=20 + y v4v6 ip=192.0.2.2,2001:db8::3 created=10
y has 192.0.2.2,2001:db8::3
x waits 2001:db8::3: address_taken

== 3.2.1 an address by name, before one that would do for a second family
pool a 192.0.2.0/30
put x prefer created=1
put y ip=192.0.2.1 v4 created=2
pool a 192.0.2.0/30 2001:db8::/126
x has 192.0.2.0,2001:db8::
put x v4 created=1
put x prefer created=1 + y v4v6 ip=192.0.2.1,2001:db8:: created=2
y has 192.0.2.1,2001:db8::
x has 192.0.2.0,2001:db8::1

== 3.2.2 a pool asked for
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x pool=b
x has 198.51.100.0 from b
x by requested_pool

== 3.2.2 a pool asked for with autoAssign false (L2-13..16)
pool a 192.0.2.0/30
pool b 198.51.100.0/30 manual
put x pool=b
x has 198.51.100.0 from b

== 3.2.2 an IPv6 pool asked for with autoAssign false (L2-13..16)
pool a 2001:db8::/126
pool b 2001:db8:1::/126 manual
put x v6 pool=b
x has 2001:db8:1:: from b

== 3.2.2 a pool asked for that is pinned to the namespace
pool a 192.0.2.0/30
pool b 198.51.100.0/30 for=tenant
put tenant/x pool=b
tenant/x has 198.51.100.0 from b

== 3.2.2 a pool asked for that is pinned to others
pool a 192.0.2.0/30
pool b 198.51.100.0/30 for=tenant
put x pool=b
x waits b: pool_not_compatible

== 3.2.2 a pool asked for whose service selectors match others
pool b 198.51.100.0/30 for-services=app:web
put x pool=b
x waits b: pool_not_compatible

== 3.2.2 a pool asked for that is not there
pool a 192.0.2.0/30
put x pool=nowhere
x waits nowhere: unknown_pool

== 3.2.2 a pool asked for that comes later
pool a 192.0.2.0/30
put x pool=b
pool b 198.51.100.0/30
x has 198.51.100.0 from b

== 3.2.2 a pool asked for that is full, though another is not
pool a 192.0.2.0/30
pool b 198.51.100.0/32
put holder pool=b
put x pool=b
x waits b: pool_exhausted

== 3.2.2 a pool asked for without the family
pool a 192.0.2.0/30
put x v6 pool=a
x waits a: pool_lacks_family

== 3.2.2 D8 an IPv4 service and a pool with only IPv6 left in it: it is said what is lacking
pool a 192.0.2.0/32 2001:db8::/126
put holder
put x pool=a
x waits a: pool_exhausted

== 3.2.2 D8 an IPv4 service and a pool that lost its IPv4 addresses: nothing is given, and it is said why
pool a 192.0.2.0/30 2001:db8::/126
put x pool=a
pool a 2001:db8::/126
x lost address_in_no_pool
x waits a: pool_lacks_family

== 3.2.2 D8 two families of a pool that has one
pool a 192.0.2.0/30
put x v4v6 pool=a
x waits a: pool_lacks_family

== 3.2.2 D8 a pool that lacks a family is named for that, also when the other family is used up
pool a 2001:db8::/128
put holder v6
put x v6v4 pool=a
x waits a: pool_lacks_family

== 3.2.2 two families of the pool asked for
pool a 192.0.2.0/30 2001:db8::/126
pool b 198.51.100.0/30 2001:db8:1::/126
put x v4v6 pool=b
x has 198.51.100.0,2001:db8:1:: from b

== 3.2.2 PreferDualStack and a pool asked for of one family
pool a 192.0.2.0/30 2001:db8::/126
pool b 198.51.100.0/30
put x prefer pool=b
x has 198.51.100.0 from b lacking b: pool_lacks_family

== 3.2.2 a sharing key and a pool asked for
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x share=k pool=b ports=80
put y share=k pool=b ports=81
x has 198.51.100.0
y has 198.51.100.0

== 3.2.2 a pool asked for is used lowest address first
pool b 198.51.100.0/30
put x pool=b
put y pool=b
delete x
put z pool=b
z has 198.51.100.0

== 3.3 addresses ascend from the first
pool a 192.0.2.0/30
put w
put x
put y
put z
w has 192.0.2.0
x has 192.0.2.1
y has 192.0.2.2
z has 192.0.2.3

== 3.3 the fifth of four waits
pool a 192.0.2.0/30
put v + w + x + y
put z
z waits a: pool_exhausted

== 3.3 ranges in the order they are written, not in that of their numbers
pool a 192.0.2.200-192.0.2.200 192.0.2.10-192.0.2.11
put x
put y
put z
x has 192.0.2.200
y has 192.0.2.10
z has 192.0.2.11

== 3.3 IPv6 ranges in the order they are written
pool a 2001:db8::f/128 2001:db8::1/128
put x v6
put y v6
x has 2001:db8::f
y has 2001:db8::1

== 3.3 the families of a mixed pool have their own order
pool a 2001:db8::/126 192.0.2.0/30
put x + y v6
x has 192.0.2.0
y has 2001:db8::

== 3.3 a freed lower address is used first, at once where nothing cools (#778)
pool a 192.0.2.0/30
put x
put y
put z
delete x
put w
w has 192.0.2.0

== 3.3 a pool of one address
pool a 192.0.2.7/32
put x
x has 192.0.2.7

== 3.3 avoidBuggyIPs leaves out .0 at the start of a pool
pool a 192.0.2.0/30 buggy
put x
x has 192.0.2.1

== 3.3 avoidBuggyIPs leaves out .255 and .0 in the middle of a range
pool a 192.0.2.254-192.0.3.1 buggy
put x
put y
put z
x has 192.0.2.254
y has 192.0.3.1
z waits a: pool_exhausted

== 3.3 avoidBuggyIPs and a pool of buggy addresses only
pool a 192.0.2.0/32 192.0.2.255/32 buggy
put x
x waits a: pool_exhausted

== 3.3 without avoidBuggyIPs .255 and .0 are addresses like others
pool a 192.0.2.255-192.0.3.0
put x
put y
x has 192.0.2.255
y has 192.0.3.0

== 3.3 avoidBuggyIPs says nothing about IPv6
pool a 2001:db8::ff/128 2001:db8::100/128 buggy
put x v6
put y v6
x has 2001:db8::ff
y has 2001:db8::100

== 3.3 avoidBuggyIPs in a pool of both families
pool a 192.0.2.0/30 2001:db8::/126 buggy
put x v4v6
x has 192.0.2.1,2001:db8::

== 3.3 avoidBuggyIPs of one pool says nothing about another
pool a 192.0.2.0/32 buggy
pool b 192.0.2.255/32
put x
x has 192.0.2.255 from b

== 3.3 a /24 with avoidBuggyIPs ends at .254
pool a 192.0.2.252/30 buggy
put x + y + z
x has 192.0.2.252
z has 192.0.2.254
put w
w waits a: pool_exhausted
"""


@pytest.mark.parametrize("case", cases(TABLE), ids=lambda case: case.heading)
def test_rule(case: Case) -> None:
    Scenario().run(case)
