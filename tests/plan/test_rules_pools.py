"""MetalLB 1.1 (P8-P10), 3.2.3, 3.2 and D9, D10: which pools a service may have, and in which order they are tried."""

from __future__ import annotations

import pytest

from tests.plan.scenario import Case, Scenario, cases

TABLE = """
== 3.2.3 one pool
pool a 192.0.2.0/30
put x
x has 192.0.2.0 from a
x by automatic

== 3.2.3 open pools are tried in the order of their names
# MetalLB: the random order of a Go map.
pool b 198.51.100.0/30
pool a 192.0.2.0/30
put x
x has 192.0.2.0 from a

== 3.2.3 the next pool when the first is full
pool a 192.0.2.0/32
pool b 198.51.100.0/30
put x
put y
y has 198.51.100.0 from b

== 3.2.3 the next pool when the first lacks the family
pool a 2001:db8::/126
pool b 198.51.100.0/30
put x
x has 198.51.100.0 from b

== 3.2.3 autoAssign false is passed over
pool a 192.0.2.0/30 manual
pool b 198.51.100.0/30
put x
x has 198.51.100.0 from b

== 3.2.3 only pools with autoAssign false
pool a 192.0.2.0/30 manual
pool b 198.51.100.0/30 manual
put x
x waits a: pool_not_auto_assign; b: pool_not_auto_assign

== 3.2.3 autoAssign false and IPv6
pool a 2001:db8::/126 manual
pool b 2001:db8:1::/126
put x v6
x has 2001:db8:1:: from b

== 3.2.3 autoAssign set to true serves who waits
pool a 192.0.2.0/30 manual
put x
pool a 192.0.2.0/30
x has 192.0.2.0

== 3.2.3 a pinned pool with autoAssign false is passed over
pool a 192.0.2.0/30
pool b 198.51.100.0/30 for=default manual
put x
x has 192.0.2.0 from a

== 3.2.3 every pool that was tried is named with its own reason
pool full 192.0.2.0/32
pool hand 192.0.2.1/32 manual
pool other 192.0.2.2/32 for=tenant
pool six 2001:db8::/126
put holder
put x
x waits full: pool_exhausted; hand: pool_not_auto_assign; other: pool_not_compatible; six: pool_lacks_family

== 3.2.3 all pools full
pool a 192.0.2.0/32
pool b 192.0.2.1/32
put v + w
put x
x waits a: pool_exhausted; b: pool_exhausted

== 3.2.3 a pool pinned to the namespace comes before the open ones (AS-07)
pool a 192.0.2.0/30
pool b 198.51.100.0/30 for=default
put x + other/y
x has 198.51.100.0 from b
x by pinned_pool
other/y has 192.0.2.0 from a

== 3.2.3 when the pinned one is full, the open ones
pool a 192.0.2.0/30
pool b 198.51.100.0/32 for=default
put x
put y
y has 192.0.2.0 from a
y by automatic

== 3.2.3 when the pinned one lacks the family, the open ones
pool a 192.0.2.0/30
pool b 2001:db8::/126 for=default
put x
x has 192.0.2.0 from a

== 3.2.3 priority: the lower number first (AS-08)
pool a 192.0.2.0/30 priority=20
pool b 198.51.100.0/30 priority=10
put x
x has 198.51.100.0 from b

== 3.2.3 priority: 0 comes last
pool a 192.0.2.0/30 priority=0
pool b 198.51.100.0/30 priority=100
put x
x has 198.51.100.0 from b

== 3.2.3 priority: unset is 0
pool a 192.0.2.0/30 for=default
pool b 198.51.100.0/30 priority=7
put x
x has 198.51.100.0 from b

== 3.2.3 priority: one, two, three, then 0, then the open one
pool a 192.0.2.1/32
pool b 192.0.2.2/32 priority=0
pool c 192.0.2.3/32 priority=3
pool d 192.0.2.4/32 priority=2
pool e 192.0.2.5/32 priority=1
put v
put w
put x
put y
put z
v has 192.0.2.5 from e
w has 192.0.2.4 from d
x has 192.0.2.3 from c
y has 192.0.2.2 from b
z has 192.0.2.1 from a

== 3.2.3 D9 equal priorities are tried by name, always
pool c 192.0.2.1/32 priority=5
pool a 192.0.2.2/32 priority=5
pool b 192.0.2.3/32 priority=5
put x
put y
put z
x has 192.0.2.2 from a
y has 192.0.2.3 from b
z has 192.0.2.1 from c

== 3.2.3 D9 when the first of equal priority cannot serve, the second does
pool a 2001:db8::/126 priority=5
pool b 192.0.2.3/32 priority=5
put x
x has 192.0.2.3 from b

== 3.2.3 D9 when the first candidate is held by others, the search goes on
pool a 192.0.2.0/32 priority=1
pool b 192.0.2.1/32 priority=2
put holder ip=192.0.2.0
put x
x has 192.0.2.1 from b

== P8 a pool for one namespace
pool a 192.0.2.0/30 for=tenant
put tenant/x + y
tenant/x has 192.0.2.0
y waits a: pool_not_compatible

== P8 a pool for two namespaces
pool a 192.0.2.0/30 for=red,blue
put red/x + blue/x + green/x
red/x has 192.0.2.1
blue/x has 192.0.2.0
green/x waits a: pool_not_compatible

== P8 a namespace that has no object is known by its name
pool a 192.0.2.0/30 for-labels=kubernetes.io/metadata.name:tenant
put tenant/x + y
tenant/x has 192.0.2.0
y waits a: pool_not_compatible

== P9 namespaceSelectors look at the labels of the namespace (AS-12)
namespace red tier:gold
namespace blue tier:iron
pool a 192.0.2.0/30 for-labels=tier:gold
put red/x + blue/x
red/x has 192.0.2.0
blue/x waits a: pool_not_compatible

== P9 namespaceSelectors are alternatives
namespace red tier:gold
namespace blue tier:iron
namespace green tier:lead
pool a 192.0.2.0/30 for-labels=tier:gold|tier:iron
put red/x + blue/x + green/x
red/x has 192.0.2.1
blue/x has 192.0.2.0
green/x waits a: pool_not_compatible

== P9 all labels of one selector are needed
namespace red tier:gold env:prod
namespace blue tier:gold
pool a 192.0.2.0/30 for-labels=tier:gold,env:prod
put red/x + blue/x
red/x has 192.0.2.0
blue/x waits a: pool_not_compatible

== P9 namespaces and namespaceSelectors add up (AS-09)
namespace blue tier:gold
pool a 192.0.2.0/30 for=red for-labels=tier:gold
put red/x + blue/x + green/x
red/x has 192.0.2.1
blue/x has 192.0.2.0
green/x waits a: pool_not_compatible

== P9 serviceSelectors look at the labels of the service (AS-10)
pool a 192.0.2.0/30 for-services=app:web
put x labels=app:web + y labels=app:mail + z
x has 192.0.2.0
y waits a: pool_not_compatible
z waits a: pool_not_compatible

== P9 serviceSelectors are alternatives
pool a 192.0.2.0/30 for-services=app:web|app:dns
put x labels=app:web + y labels=app:dns + z labels=app:mail
x has 192.0.2.0
y has 192.0.2.1
z waits a: pool_not_compatible

== P9 namespace and serviceSelectors are both needed (AS-11)
pool a 192.0.2.0/30 for=red for-services=app:web
put red/x labels=app:web + red/y + blue/x labels=app:web
red/x has 192.0.2.0
red/y waits a: pool_not_compatible
blue/x waits a: pool_not_compatible

== P9 namespaceSelectors and serviceSelectors are both needed
namespace red tier:gold
pool a 192.0.2.0/30 for-labels=tier:gold for-services=app:web
put red/x labels=app:web + red/y + blue/x labels=app:web
red/x has 192.0.2.0
red/y waits a: pool_not_compatible
blue/x waits a: pool_not_compatible

== P10 serviceAllocation with a priority alone is for everybody, before the open ones
pool a 192.0.2.0/30
pool b 198.51.100.0/30 priority=0
put x + tenant/y
x has 198.51.100.0 from b
tenant/y has 198.51.100.1 from b

== D10 a selector that matches no namespace lets nobody in by itself
pool a 192.0.2.0/30 for-labels=tier:none
put x
x waits a: pool_not_compatible

== D10 nor who asks for the pool
pool a 192.0.2.0/30 for-labels=tier:none
put x pool=a
x waits a: pool_not_compatible

== D10 nor who asks for its address
pool a 192.0.2.0/30 for-labels=tier:none
put x ip=192.0.2.1
x waits a: pool_not_compatible

== D10 nor while the namespaces are not known yet
pool a 192.0.2.0/30 for-labels=tier:gold
put red/x
red/x waits a: pool_not_compatible
namespace red tier:gold
red/x has 192.0.2.0

== 3.2.3 a label put on the namespace opens the pool
namespace red
pool a 192.0.2.0/30 for-labels=tier:gold
put red/x
namespace red tier:gold
red/x has 192.0.2.0

== 3.2.3 a label put on the service opens the pool
pool a 192.0.2.0/30 for-services=app:web
put x
x waits a: pool_not_compatible
put x labels=app:web
x has 192.0.2.0

== 3.2.3 a better pool that comes later moves nobody
pool a 192.0.2.0/30
put x
pool b 198.51.100.0/30 for=default priority=1
x kept
x has 192.0.2.0 from a

== 3.2.3 a better pool that has room again moves nobody
pool a 192.0.2.0/30
pool b 198.51.100.0/32 priority=1
put w
put x
delete w
x kept
x has 192.0.2.0 from a

== 3.2.3 a changed priority moves nobody
pool a 192.0.2.0/30 priority=1
pool b 198.51.100.0/30 priority=2
put x
pool a 192.0.2.0/30 priority=3
x kept
put y
y has 198.51.100.0 from b

== 3.2.3 two families from the first pool that has both
pool a 192.0.2.0/30
pool b 198.51.100.0/30 2001:db8::/126
put x v4v6
x has 198.51.100.0,2001:db8:: from b

== 3.2.3 two families are not put together from two pools
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x v4v6
x waits a: pool_lacks_family; b: pool_lacks_family

== 3.2.3 two families when one of the pool is used up
pool a 192.0.2.0/30 2001:db8::/128
pool b 198.51.100.0/30 2001:db8:1::/126
put w v6
put x v4v6
x has 198.51.100.0,2001:db8:1:: from b

== 3.2.3 two families, and every pool has one of them used up
pool a 192.0.2.0/30 2001:db8::/128
put w v6
put x v4v6
x waits a: pool_exhausted

== 3.2.3 a half that was not given is not used up
pool a 192.0.2.0/32 2001:db8::/128
put w v6
put x v4v6
put y
y has 192.0.2.0
"""


@pytest.mark.parametrize("case", cases(TABLE), ids=lambda case: case.heading)
def test_rule(case: Case) -> None:
    Scenario().run(case)
