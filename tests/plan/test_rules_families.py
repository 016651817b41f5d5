"""MetalLB 3.5 and AS-13 to AS-19: one family, two, or one of two; and every change between them."""

from __future__ import annotations

import pytest

from tests.plan.scenario import Case, Scenario, cases

TABLE = """
== 3.5 nothing said: IPv4
pool a 192.0.2.0/30 2001:db8::/126
put x
x has 192.0.2.0

== 3.5 ipFamilies IPv4
pool a 192.0.2.0/30 2001:db8::/126
put x v4
x has 192.0.2.0

== 3.5 ipFamilies IPv6
pool a 192.0.2.0/30 2001:db8::/126
put x v6
x has 2001:db8::

== 3.5 ipFamilies of both, without a policy: both
pool a 192.0.2.0/30 2001:db8::/126
put x v4v6
x has 192.0.2.0,2001:db8::

== 3.5 ipFamilies of both, IPv6 first: both, and IPv4 is written first
pool a 192.0.2.0/30 2001:db8::/126
put x v6v4
x has 192.0.2.0,2001:db8::

== 3.5 SingleStack and both ipFamilies: the first
pool a 192.0.2.0/30 2001:db8::/126
put x v6v4 single
x has 2001:db8::

== 3.5 one IPv4 cluster IP
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1
x has 192.0.2.0

== 3.5 one IPv6 cluster IP
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=fd96::1
x has 2001:db8::

== 3.5 two cluster IPs
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1,fd96::1
x has 192.0.2.0,2001:db8::

== 3.5 two cluster IPs and RequireDualStack
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1,fd96::1 require
x has 192.0.2.0,2001:db8::

== 3.5 two cluster IPs and PreferDualStack
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1,fd96::1 prefer
x has 192.0.2.0,2001:db8::

== 3.5 one cluster IP and PreferDualStack: only that family, and nothing is lacking
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=fd96::1 prefer
x has 2001:db8::

== 3.5 two cluster IPs and SingleStack: the first of ipFamilies
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1,fd96::1 single v6
x has 2001:db8::

== 3.5 RequireDualStack: nothing where the pool has one family
pool a 192.0.2.0/30
put x require
x waits a: pool_lacks_family

== 3.5 RequireDualStack: nothing where one family is used up, and then both at once
pool a 192.0.2.0/30 2001:db8::/128
put w v6
put x require
x waits a: pool_exhausted
delete w
x has 192.0.2.0,2001:db8::

== 3.5 PreferDualStack: the pool with both first, though it is the last by name (AS-13)
pool a 192.0.2.0/30
pool b 2001:db8:1::/126
pool c 198.51.100.0/30 2001:db8::/126
put x prefer
x has 198.51.100.0,2001:db8:: from c

== 3.5 PreferDualStack: IPv4 where there is no pool with both (AS-14)
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x prefer
x has 192.0.2.0 from a lacking a: pool_lacks_family

== 3.5 PreferDualStack: IPv4 also when the IPv6 pool is the first by name
pool a 2001:db8::/126
pool b 192.0.2.0/30
put x prefer
x has 192.0.2.0 from b lacking b: pool_lacks_family

== 3.5 PreferDualStack with IPv6 first: IPv6 (AS-15)
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x prefer v6v4
x has 2001:db8:: from b lacking b: pool_lacks_family

== 3.5 PreferDualStack with IPv6 first among cluster IPs
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x prefer v6v4 cluster=fd96::1,10.96.0.1
x has 2001:db8:: from b lacking b: pool_lacks_family

== 3.5 PreferDualStack settles for the other family where its own is nowhere
pool b 2001:db8::/126
put x prefer
x has 2001:db8:: lacking b: pool_lacks_family

== 3.5 PreferDualStack settles for the other family where its own is used up
pool a 192.0.2.0/32
pool b 2001:db8::/126
put w
put x prefer
x has 2001:db8:: lacking b: pool_lacks_family

== 3.5 PreferDualStack where one family of the only pool is used up
pool a 192.0.2.0/30 2001:db8::/128
put w v6
put x prefer
x has 192.0.2.0 lacking a: pool_exhausted

== 3.5 PreferDualStack gains the second address when it is free again
pool a 192.0.2.0/30 2001:db8::/128
put w v6
put x prefer
delete w
x has 192.0.2.0,2001:db8::
x by second_family

== 3.5 PreferDualStack gains the second address when its pool becomes dual (AS-16)
pool a 192.0.2.0/30
put w
put x prefer
pool a 192.0.2.0/30 2001:db8::/126
x has 192.0.2.1,2001:db8:: from a

== 3.5 PreferDualStack gains IPv4 when it began with IPv6
pool a 2001:db8::/126
put x prefer
pool a 2001:db8::/126 192.0.2.0/30
x has 192.0.2.0,2001:db8:: from a

== 3.5 PreferDualStack does not jump to a pool with both (AS-18)
pool a 192.0.2.0/30
put x prefer
pool b 198.51.100.0/30 2001:db8::/126
x kept
x has 192.0.2.0 from a lacking a: pool_lacks_family

== 3.5 the second address goes to who holds the first, before older ones who wait
pool a 192.0.2.0/30
put x prefer created=20
put w v6 created=10
w waits a: pool_lacks_family
pool a 192.0.2.0/30 2001:db8::/128
x has 192.0.2.0,2001:db8::
w waits a: pool_exhausted

== 3.5 the pool of both becomes one of IPv4: another with both is chosen (AS-19)
pool a 192.0.2.0/30 2001:db8::/126
put x prefer
pool a 192.0.2.0/30
pool b 198.51.100.0/30 2001:db8:1::/126
x has 198.51.100.0,2001:db8:1:: from b

== 3.5 the pool of both becomes one of IPv4, and there is no other: the IPv4 address stays
# MetalLB clears both and takes the lowest that is free; a running service keeps what still fits.
pool a 192.0.2.0/30 2001:db8::/126
put w
put x prefer
delete w
pool a 192.0.2.0/30
x has 192.0.2.1 from a lacking a: pool_lacks_family

== 3.5 the pool of both becomes one of IPv6, and there is no other: the IPv6 address stays
pool a 192.0.2.0/30 2001:db8::/126
put w v6
put x prefer
delete w
pool a 2001:db8::/126
x has 2001:db8::1 from a lacking a: pool_lacks_family

== 3.5 the same for who asked for the pool by name
pool a 192.0.2.0/30 2001:db8::/126
put w
put x prefer pool=a
delete w
pool a 192.0.2.0/30
x has 192.0.2.1 from a lacking a: pool_lacks_family

== 3.5 the same in a pool that is no longer automatic
pool a 192.0.2.0/30 2001:db8::/126
pool b 198.51.100.0/30
put w
put x prefer
delete w
pool a 192.0.2.0/30 manual
x has 192.0.2.1 from a lacking a: pool_lacks_family

== 3.5 the same where a better pool has the family too
pool a 192.0.2.0/30 2001:db8::/126
put w
put x prefer
delete w
pool a 192.0.2.0/30
pool b 198.51.100.0/30 priority=1
x has 192.0.2.1 from a lacking a: pool_lacks_family

== 3.5 the same where an older service waits for the address
pool a 192.0.2.0/32 2001:db8::/126
put x prefer created=20
put old created=10
pool a 192.0.2.0/32
x has 192.0.2.0 lacking a: pool_lacks_family
old waits a: pool_exhausted

== 3.5 a pool split by family: PreferDualStack keeps both
pool a 192.0.2.0/30 2001:db8::/126
put w v4v6
put x prefer v6v4
delete w
pool a 192.0.2.0/30
pool b 2001:db8::/126
x kept
x has 192.0.2.1,2001:db8::1 from a,b

== 3.5 a pool split by family: who needs both keeps both
# MetalLB clears both. Two pools give no pair to a newcomer, but a running service loses nothing by a split.
pool a 192.0.2.0/30 2001:db8::/126
put x v4v6
pool a 192.0.2.0/30
pool b 2001:db8::/126
x kept
x has 192.0.2.0,2001:db8:: from a,b
put y v4v6
y waits a: pool_lacks_family; b: pool_lacks_family

== 3.5 RequireDualStack when its pool loses a family: another pool with both
pool a 192.0.2.0/30 2001:db8::/126
pool b 198.51.100.0/30 2001:db8:1::/126
put x require
pool a 192.0.2.0/30
x lost address_in_no_pool
x has 198.51.100.0,2001:db8:1:: from b

== 3.5 RequireDualStack when its pool loses a family: nothing where there is no other
pool a 192.0.2.0/30 2001:db8::/126
put x require
pool a 192.0.2.0/30
x lost address_in_no_pool
x waits a: pool_lacks_family

== 3.5 from SingleStack to PreferDualStack: the second is added
pool a 192.0.2.0/30 2001:db8::/126
put w
put x
put x prefer
x has 192.0.2.1,2001:db8::
x by second_family

== 3.5 from SingleStack to PreferDualStack in a pool of one family: nothing moves (AS-17)
pool a 192.0.2.0/30
pool b 198.51.100.0/30 2001:db8::/126
put x
put x prefer
x kept
x has 192.0.2.0 from a lacking a: pool_lacks_family

== 3.5 from SingleStack to RequireDualStack: the second is added
pool a 192.0.2.0/30 2001:db8::/126
put w
put x
put x require
x has 192.0.2.1,2001:db8::
x by second_family

== 3.5 from SingleStack to RequireDualStack in a pool of one family: a pool with both
pool a 192.0.2.0/30
pool b 198.51.100.0/30 2001:db8::/126
put x
put x require
x lost families_changed
x has 198.51.100.0,2001:db8:: from b

== 3.5 from SingleStack to RequireDualStack where there is no pool with both: nothing, as the word says
pool a 192.0.2.0/30
put x
put x require
x lost families_changed
x waits a: pool_lacks_family

== 3.5 from PreferDualStack with one address to RequireDualStack: a pool with both (AS-17)
pool a 192.0.2.0/30
put x prefer
pool b 198.51.100.0/30 2001:db8::/126
put x require
x has 198.51.100.0,2001:db8:: from b

== 3.5 from PreferDualStack with both addresses to RequireDualStack: nothing moves
pool a 192.0.2.0/30 2001:db8::/126
put x prefer
put x require
x kept
x has 192.0.2.0,2001:db8::

== 3.5 from RequireDualStack to PreferDualStack: nothing moves
pool a 192.0.2.0/30 2001:db8::/126
put x require
put x prefer
x kept
x has 192.0.2.0,2001:db8::

== 3.5 from both to SingleStack IPv4: the IPv6 address is given back
pool a 192.0.2.0/30 2001:db8::/128
put x require
put w v6
put x single
x has 192.0.2.0
x by family_dropped
w has 2001:db8::

== 3.5 from both to SingleStack IPv6: the IPv4 address is given back
pool a 192.0.2.0/32 2001:db8::/128
put x require
put w
put x single v6
x has 2001:db8::
x by family_dropped
w has 192.0.2.0

== 3.5 from two cluster IPs to one
pool a 192.0.2.0/30 2001:db8::/126
put x cluster=10.96.0.1,fd96::1 prefer
put x cluster=fd96::1 prefer
x has 2001:db8::
x by family_dropped

== 3.5 from IPv4 to IPv6: another address
pool a 192.0.2.0/30 2001:db8::/126
put x
put x v6
x lost families_changed
x has 2001:db8::

== 3.5 from IPv4 to IPv6 where there is none: nothing, rather than an address of the wrong family
pool a 192.0.2.0/30
put x
put x v6
x lost families_changed
x waits a: pool_lacks_family

== 3.5 who holds half by PreferDualStack and turns to the half it has keeps it
pool a 192.0.2.0/30
put w
put x prefer
put x
x kept
x has 192.0.2.1

== 3.5 who holds half by PreferDualStack and turns to the other half
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x prefer
put x v6
x has 2001:db8:: from b

== 3.5 PreferDualStack and the order of families turned round: both are kept
pool a 192.0.2.0/30 2001:db8::/126
put x prefer v4v6
put x prefer v6v4
x kept

== 3.5 PreferDualStack with one address and the order turned round: it keeps that one
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x prefer v4v6
put x prefer v6v4
x kept
x has 192.0.2.0 from a lacking a: pool_lacks_family

== 3.5 a pinned pool of one family before an open pool of both: within a list both are looked for first
# MetalLB looks for both in one list of pools, then for one in it, then goes on to the next list; so do we.
pool a 192.0.2.0/30 for=default
pool b 198.51.100.0/30 2001:db8::/126
put x prefer
x has 192.0.2.0 from a lacking a: pool_lacks_family

== 3.5 pinned pools of one family and of both
pool a 192.0.2.0/30 for=default priority=1
pool b 198.51.100.0/30 2001:db8::/126 for=default priority=2
put x prefer
x has 198.51.100.0,2001:db8:: from b

== 3.5 two families and the lowest of each, whatever their numbers
pool a 192.0.2.0/30 2001:db8::/126
put u
put v
put w v6
put x v4v6
x has 192.0.2.2,2001:db8::1
"""


@pytest.mark.parametrize("case", cases(TABLE), ids=lambda case: case.heading)
def test_rule(case: Case) -> None:
    Scenario().run(case)
