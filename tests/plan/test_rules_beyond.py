"""What MetalLB does not have: excluded ranges, cooling, least recently used, reservations, quarantine, two pools.

The last table has what is counted among MetalLB's defects (section 10) and cannot happen here.
"""

from __future__ import annotations

import pytest

from tests.plan.scenario import Case, Scenario, cases

TABLE = """
== excluded: an address at the start of the pool
pool a 192.0.2.0/30 exclude=192.0.2.0/32
put x
x has 192.0.2.1

== excluded: a range in the middle
pool a 192.0.2.0/29 exclude=192.0.2.1-192.0.2.5
put x
put y
x has 192.0.2.0
y has 192.0.2.6

== excluded: several ranges
pool a 192.0.2.0/29 exclude=192.0.2.0/32,192.0.2.2-192.0.2.6
put x
put y
put z
x has 192.0.2.1
y has 192.0.2.7
z waits a: pool_exhausted

== excluded: an IPv6 network
pool a 2001:db8::/120 exclude=2001:db8::/124
put x v6
x has 2001:db8::10

== excluded: who asks for it is told
pool a 192.0.2.0/30 exclude=192.0.2.1/32
put x ip=192.0.2.1
x waits 192.0.2.1: excluded

== excluded: the whole pool
pool a 192.0.2.0/30 exclude=192.0.2.0/30
put x
x waits a: pool_exhausted

== excluded: and not beyond it
pool a 192.0.2.0/30 exclude=192.0.0.0/16
pool b 198.51.100.0/30
put x
x has 198.51.100.0 from b

== excluded: a running service keeps an address that comes to be excluded
pool a 192.0.2.0/30
put x
pool a 192.0.2.0/30 exclude=192.0.2.0/32
x kept
delete x
put y
y has 192.0.2.1

== excluded: it may still be shared with nobody new
pool a 192.0.2.0/30
put x share=k ports=80
pool a 192.0.2.0/30 exclude=192.0.2.0/32
put y share=k ports=81
y has 192.0.2.1

== excluded: no longer excluded, it is used
pool a 192.0.2.0/30 exclude=192.0.2.0/31
put x
pool a 192.0.2.0/30
x kept
put y
y has 192.0.2.0

== excluded and buggy: the address is named as excluded
pool a 192.0.2.0/24 buggy exclude=192.0.2.0/32
put x ip=192.0.2.0
x waits 192.0.2.0: excluded

== cooling: an address that was just freed is the last choice (#778)
pool a 192.0.2.0/30 cooling=60
put x
put y
delete x
put z
z has 192.0.2.2

== cooling: and is given where there is no other
pool a 192.0.2.0/31 cooling=60
put x
put y
delete x
put z
z has 192.0.2.0

== cooling: it is first choice again when the time is over
pool a 192.0.2.0/30 cooling=60
put x
put y
delete x
wait 60
put z
z has 192.0.2.0

== cooling: of several the one that was freed the longest ago
pool a 192.0.2.0/31 cooling=60
put x
put y
delete y
wait 5
delete x
put z
z has 192.0.2.1

== cooling: who asks for it gets it
pool a 192.0.2.0/30 cooling=60
put x
delete x
put y ip=192.0.2.0
y has 192.0.2.0

== cooling: whoever freed it gets it back
pool a 192.0.2.0/30 cooling=60
put w
put x
put x type=ClusterIP
put x
x has 192.0.2.1
x by returned

== cooling: also when it gave up another one since, in a pool that is tried before
pool a 192.0.2.0/30 2001:db8::/126 cooling=0
pool b 198.51.100.0/30 cooling=60
put w pool=b
put x pool=b
put x pool=a v6
put x
x has 198.51.100.1 from b
x by returned

== cooling: and not after the time is over
pool a 192.0.2.0/30 cooling=60
put w
put x
delete w
put x type=ClusterIP
wait 60
put x
x has 192.0.2.0

== cooling: nor when somebody has it
pool a 192.0.2.0/30 cooling=60
put x
put x type=ClusterIP
put y ip=192.0.2.0
put x
x has 192.0.2.1

== cooling: the pools are tried in their order all the same
pool a 192.0.2.0/32 cooling=60
pool b 198.51.100.0/30 cooling=60
put x
delete x
put y
y has 192.0.2.0 from a

== cooling: an address freed in this very plan cools already
pool a 192.0.2.0/31 cooling=60
put x
put x type=ClusterIP + y
y has 192.0.2.1

== cooling: an address that somebody still shares does not cool
pool a 192.0.2.0/31 cooling=60
put x share=k ports=80
put y share=k ports=81
delete x
put z share=k ports=80
z has 192.0.2.0

== cooling: 0 is none
pool a 192.0.2.0/30 cooling=0
put x
put y
delete x
put z
z has 192.0.2.0

== cooling: each pool has its own time
pool a 192.0.2.0/31 cooling=10
pool b 198.51.100.0/31 cooling=100
put u pool=a + v pool=b
delete u v
wait 50
put w pool=a
put x pool=b
w has 192.0.2.0
x has 198.51.100.1

== cooling: the time of a pool is made longer while an address cools
pool a 192.0.2.0/31 cooling=10
put x
delete x
wait 20
pool a 192.0.2.0/31 cooling=60
put y
y has 192.0.2.1

== cooling: IPv6
pool a 2001:db8::/126 cooling=60
put x v6
delete x
put y v6
y has 2001:db8::1

== cooling: a restart does not make it warm
pool a 192.0.2.0/30 cooling=60
put x
delete x
restart
put y
y has 192.0.2.1

== least recently used: never used ones first, in order
pool a 192.0.2.0/30 lru
put x
delete x
put y
delete y
put z
z has 192.0.2.2

== least recently used: then the one that was freed the longest ago
pool a 192.0.2.0/31 lru
put x
put y
delete y
delete x
put z
z has 192.0.2.1

== least recently used: however long ago
pool a 192.0.2.0/31 lru
put x
put y
delete y
delete x
wait 100000
put z
z has 192.0.2.1

== least recently used: all of the pool in turn
pool a 192.0.2.0/30 lru
put a
delete a
put b
delete b
put c
delete c
put d
delete d
put e
e has 192.0.2.0

== reserved: before the service exists, and then it is its own
pool a 192.0.2.0/30
reserve x 192.0.2.0
put y
y has 192.0.2.1
put x
x has 192.0.2.0
x by reserved

== reserved: who asks for it is told
pool a 192.0.2.0/30
reserve x 192.0.2.0
put y ip=192.0.2.0
y waits 192.0.2.0: reserved_for_another

== reserved: the only address of a pool
pool a 192.0.2.0/32
reserve x 192.0.2.0
put y
y waits a: pool_exhausted
unreserve x
y has 192.0.2.0

== reserved: it stays reserved when the service is gone
pool a 192.0.2.0/30
reserve x 192.0.2.0
put x
delete x
put y
y has 192.0.2.1
put x
x has 192.0.2.0

== reserved: a running service is not moved to what is reserved for it
pool a 192.0.2.0/30
put x
reserve x 192.0.2.3
x kept
x has 192.0.2.0

== reserved: one of each family
pool a 192.0.2.0/30 2001:db8::/126
reserve x 192.0.2.2,2001:db8::2
put y v4v6
put x v4v6
y has 192.0.2.0,2001:db8::
x has 192.0.2.2,2001:db8::2

== reserved: one family, and the other from the same pool
pool a 192.0.2.0/30 2001:db8::/126
reserve x 192.0.2.2
put x v4v6
x has 192.0.2.2,2001:db8::

== reserved: the second family, when its pool comes to have it
pool a 192.0.2.0/30
put x prefer
reserve x 2001:db8::2
x has 192.0.2.0 lacking a: pool_lacks_family
pool a 192.0.2.0/30 2001:db8::/126
x has 192.0.2.0,2001:db8::2
x by second_family

== reserved: only of the family it does not have
pool a 192.0.2.0/30 2001:db8::/126
reserve x 2001:db8::2
put x
x has 192.0.2.0

== reserved: autoAssign does not matter
pool a 192.0.2.0/30 manual
reserve x 192.0.2.1
put x
x has 192.0.2.1

== reserved: an address of a pool that is pinned to others
pool a 192.0.2.0/30 for=tenant
reserve x 192.0.2.1
put x
x waits a: pool_not_compatible

== reserved: an address in no pool
pool a 192.0.2.0/30
reserve x 198.51.100.1 a
put x
x waits 198.51.100.1: address_in_no_pool

== reserved: the service asks for another address by name
pool a 192.0.2.0/30
reserve x 192.0.2.1
put x ip=192.0.2.3
x has 192.0.2.3

== reserved: the service asks for another pool
pool a 192.0.2.0/30
pool b 198.51.100.0/30
reserve x 192.0.2.1
put x pool=b
x has 198.51.100.0 from b

== reserved: one of each family, of which one is of the pool it asks for
pool a 192.0.2.0/30
pool b 198.51.100.0/30 2001:db8::/126
reserve x 192.0.2.2,2001:db8::2
put x v4v6 pool=b
x has 198.51.100.0,2001:db8::2 from b

== reserved: by name, so another of that name in another namespace has nothing of it
pool a 192.0.2.0/30
reserve red/x 192.0.2.0
put blue/x
blue/x has 192.0.2.1

== reserved: one family, and the other from pools of which one is not there
pool a 192.0.2.0/30
reserve x 192.0.2.1
put x v4v6 pools=a,nowhere
x waits a: pool_lacks_family; nowhere: unknown_pool

== reserved: one family, and the other from pools of which one is pinned to others
pool a 192.0.2.0/30
pool b 2001:db8::/126 for=tenant
reserve x 192.0.2.1
put x v4v6 pools=a,b
x waits a: pool_lacks_family; b: pool_not_compatible

== reserved: an address that is held: it comes to the other when it is free
pool a 192.0.2.0/30
put y
reserve x 192.0.2.0
y kept
put x
x waits 192.0.2.0: address_taken
delete y
x has 192.0.2.0

== reserved: also to share it one has to be the one
pool a 192.0.2.0/30
reserve x 192.0.2.0
put x share=k ports=80
put y share=k ports=81
y has 192.0.2.1

== quarantine: nobody new is given the address
pool a 192.0.2.0/30
quarantine 192.0.2.0
put x
x has 192.0.2.1

== quarantine: who asks for it is told
pool a 192.0.2.0/30
quarantine 192.0.2.0
put x ip=192.0.2.0
x waits 192.0.2.0: quarantined

== quarantine: the only address
pool a 192.0.2.0/32
quarantine 192.0.2.0
put x
x waits a: pool_exhausted
clear 192.0.2.0
x has 192.0.2.0

== quarantine: a running service keeps it (on-conflict: quarantine)
pool a 192.0.2.0/30
put x
quarantine 192.0.2.0
x kept
x has 192.0.2.0

== quarantine: it is given another where the pool says so (on-conflict: reallocate)
pool a 192.0.2.0/30 reallocate
put x
quarantine 192.0.2.0
x lost address_conflict
x has 192.0.2.1

== quarantine: it is given another where the service says so
pool a 192.0.2.0/30
put x conflict=reallocate
quarantine 192.0.2.0
x lost address_conflict
x has 192.0.2.1

== quarantine: the service has the last word
pool a 192.0.2.0/30 reallocate
put x conflict=quarantine
quarantine 192.0.2.0
x kept

== quarantine: where there is no other it keeps it, and that is said
pool a 192.0.2.0/32 reallocate
put x
quarantine 192.0.2.0
x kept
x has 192.0.2.0 lacking 192.0.2.0: quarantined; a: pool_exhausted

== quarantine: and it goes when there is another
pool a 192.0.2.0/32 reallocate
put x
quarantine 192.0.2.0
pool a 192.0.2.0/31 reallocate
x lost address_conflict
x has 192.0.2.1

== quarantine: an address asked for by name is not exchanged
pool a 192.0.2.0/30 reallocate
put x ip=192.0.2.0
quarantine 192.0.2.0
x kept

== quarantine: nor one that is reserved for the service
pool a 192.0.2.0/30 reallocate
reserve x 192.0.2.0
put x
quarantine 192.0.2.0
x kept

== quarantine: of two families only the one in conflict is exchanged
pool a 192.0.2.0/30 2001:db8::/126 reallocate
put w
put x v4v6
delete w
quarantine 2001:db8::
x has 192.0.2.1,2001:db8::1

== quarantine: sharers of the address who would rather go
pool a 192.0.2.0/30 reallocate
put x share=k ports=80
put y share=k ports=81
quarantine 192.0.2.0
x has 192.0.2.1
y has 192.0.2.1

== quarantine: nobody joins a sharer who stays
pool a 192.0.2.0/30
put x share=k ports=80
quarantine 192.0.2.0
put y share=k ports=81
y has 192.0.2.1

== quarantine: cleared, the address is like any other
pool a 192.0.2.0/30
quarantine 192.0.2.0
put x
clear 192.0.2.0
x kept
put y
y has 192.0.2.0

== two pools: each family from the first that has it
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x v4v6 pools=a,b
x has 192.0.2.0,2001:db8:: from a,b
x by requested_pool

== two pools: the order does not matter where each has one family
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x v4v6 pools=b,a
x has 192.0.2.0,2001:db8:: from a,b

== two pools: the first one has both
pool a 192.0.2.0/30 2001:db8::/126
pool b 198.51.100.0/30 2001:db8:1::/126
put x v4v6 pools=b,a
x has 198.51.100.0,2001:db8:1:: from b

== two pools: what is used up in the first comes from the second
pool a 192.0.2.0/30 2001:db8::/128
pool b 198.51.100.0/30 2001:db8:1::/126
put w v6
put x v4v6 pools=a,b
x has 192.0.2.0,2001:db8:1:: from a,b

== two pools: one family from the first that has it
pool a 2001:db8::/126
pool b 198.51.100.0/30
put x pools=a,b
x has 198.51.100.0 from b

== two pools: autoAssign does not matter
pool a 192.0.2.0/30 manual
pool b 2001:db8::/126 manual
put x v4v6 pools=a,b
x has 192.0.2.0,2001:db8:: from a,b

== two pools: RequireDualStack and one of them used up
pool a 192.0.2.0/30
pool b 2001:db8::/128
put w v6
put x require pools=a,b
x waits a: pool_lacks_family; b: pool_exhausted

== two pools: PreferDualStack and one of them used up, until it is not
pool a 192.0.2.0/30
pool b 2001:db8::/128
put w v6
put x prefer pools=a,b
x has 192.0.2.0 from a lacking a: pool_lacks_family; b: pool_exhausted
delete w
x has 192.0.2.0,2001:db8:: from a,b

== two pools: one that is not there
pool a 192.0.2.0/30
put x v4v6 pools=a,nowhere
x waits a: pool_lacks_family; nowhere: unknown_pool

== two pools: one that is pinned to others
pool a 192.0.2.0/30
pool b 2001:db8::/126 for=tenant
put x v4v6 pools=a,b
x waits a: pool_lacks_family; b: pool_not_compatible

== two pools: an address of each by name
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x v4v6 pools=a,b ip=192.0.2.2,2001:db8::2
x has 192.0.2.2,2001:db8::2 from a,b

== two pools: an address by name that is in neither
pool a 192.0.2.0/30
pool b 2001:db8::/126
pool c 198.51.100.0/30
put x v4v6 pools=a,b ip=198.51.100.2,2001:db8::2
x waits 198.51.100.2: address_not_in_requested_pool

== two pools: what is held in another pool is given up
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x pool=b
put x pools=a
x lost requested_pool_changed
x has 192.0.2.0 from a

== two pools: what is held in one of them is kept
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x pool=b
put x pools=a,b
x kept

== two pools: the annotation taken away takes nothing away
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x v4v6 pools=a,b
put x v4v6
x kept

== two pools: one of them is renamed
pool a 192.0.2.0/30
pool b 2001:db8::/126
put x v4v6 pools=a,b,c
no pool b
pool c 2001:db8::/126
x kept
x has 192.0.2.0,2001:db8:: from a,c

== D9 the same worlds give the same addresses, whatever the order in which things came
pool b 198.51.100.0/32 priority=1
pool a 192.0.2.0/32 priority=1
put z created=1 + y created=1
y has 192.0.2.0 from a
z has 198.51.100.0 from b

== D8 what is refused says what was tried, never that an address is not allowed
pool a 2001:db8::/126
pool b 192.0.2.0/32
put holder
put x
x waits a: pool_lacks_family; b: pool_exhausted
"""


@pytest.mark.parametrize("case", cases(TABLE), ids=lambda case: case.heading)
def test_rule(case: Case) -> None:
    Scenario().run(case)
