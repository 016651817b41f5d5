"""MetalLB 3.4: who may be on one address together."""

from __future__ import annotations

import pytest

from tests.plan.scenario import Case, Scenario, cases

TABLE = """
== 3.4 same key, other port
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=k ports=81 ip=192.0.2.1
y has 192.0.2.1
grants are 192.0.2.1*2

== 3.4 same key, same port number, other protocol: tcp/53 with udp/53
pool a 192.0.2.0/30
put x share=dns ports=53 ip=192.0.2.1
put y share=dns ports=53/UDP ip=192.0.2.1
y has 192.0.2.1
grants are 192.0.2.1*2

== 3.4 TCP, UDP and SCTP of one port on one address
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=k ports=80/UDP ip=192.0.2.1
put z share=k ports=80/SCTP ip=192.0.2.1
grants are 192.0.2.1*3

== 3.4 same key, same port
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=k ports=80 ip=192.0.2.1
y waits 192.0.2.1: sharing_port_in_use

== 3.4 one of several ports in common
pool a 192.0.2.0/30
put x share=k ports=80,443 ip=192.0.2.1
put y share=k ports=8080,443 ip=192.0.2.1
y waits 192.0.2.1: sharing_port_in_use

== 3.4 one UDP port of several in common
pool a 192.0.2.0/30
put x share=k ports=53,53/UDP ip=192.0.2.1
put y share=k ports=80,53/UDP ip=192.0.2.1
y waits 192.0.2.1: sharing_port_in_use

== 3.4 the one SCTP port in common
pool a 192.0.2.0/30
put x share=k ports=36412/SCTP ip=192.0.2.1
put y share=k ports=36412/SCTP ip=192.0.2.1
y waits 192.0.2.1: sharing_port_in_use

== 3.4 the comer has no key
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y ports=81 ip=192.0.2.1
y waits 192.0.2.1: address_taken

== 3.4 the holder has no key
pool a 192.0.2.0/30
put x ports=80 ip=192.0.2.1
put y share=k ports=81 ip=192.0.2.1
y waits 192.0.2.1: sharing_not_allowed

== 3.4 neither has a key
pool a 192.0.2.0/30
put x ports=80 ip=192.0.2.1
put y ports=81 ip=192.0.2.1
y waits 192.0.2.1: address_taken

== 3.4 an empty key is no key
pool a 192.0.2.0/30
put x share= ports=80 ip=192.0.2.1
put y share= ports=81 ip=192.0.2.1
y waits 192.0.2.1: address_taken

== 3.4 other keys
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=l ports=81 ip=192.0.2.1
y waits 192.0.2.1: sharing_key_differs

== 3.4 keys are compared letter by letter
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=K ports=81 ip=192.0.2.1
y waits 192.0.2.1: sharing_key_differs

== 3.4 the key is asked about before the ports
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=l ports=80 ip=192.0.2.1
y waits 192.0.2.1: sharing_key_differs

== 3.4 Cluster and Local
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=k ports=81 ip=192.0.2.1 local select=app:x
y waits 192.0.2.1: sharing_backends_differ

== 3.4 Local and Cluster
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1 local select=app:x
put y share=k ports=81 ip=192.0.2.1 select=app:x
y waits 192.0.2.1: sharing_backends_differ

== 3.4 Local and Local, same selector
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1 local select=app:x
put y share=k ports=81 ip=192.0.2.1 local select=app:x
y has 192.0.2.1

== 3.4 Local and Local, selectors of the same pairs in another order
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1 local select=app:x,tier:web
put y share=k ports=81 ip=192.0.2.1 local select=tier:web,app:x
y has 192.0.2.1

== 3.4 Local and Local, other selectors
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1 local select=app:x
put y share=k ports=81 ip=192.0.2.1 local select=app:y
y waits 192.0.2.1: sharing_backends_differ

== 3.4 Local and Local, one selector within the other
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1 local select=app:x
put y share=k ports=81 ip=192.0.2.1 local select=app:x,tier:web
y waits 192.0.2.1: sharing_backends_differ

== 3.4 Local and Local without selectors
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1 local
put y share=k ports=81 ip=192.0.2.1 local
y has 192.0.2.1

== 3.4 Local without selector and Cluster
# In MetalLB the backends of both are the empty text and they share, though Local is announced elsewhere than Cluster.
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1 local
put y share=k ports=81 ip=192.0.2.1
y waits 192.0.2.1: sharing_backends_differ

== 3.4 Cluster and Cluster, other selectors
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1 select=app:x
put y share=k ports=81 ip=192.0.2.1 select=app:y
y has 192.0.2.1

== 3.4 services of two namespaces
pool a 192.0.2.0/30
put red/x share=k ports=80 ip=192.0.2.1
put blue/x share=k ports=81 ip=192.0.2.1
blue/x has 192.0.2.1

== 3.4 the third must agree with both
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=k ports=81 ip=192.0.2.1
put z share=k ports=82,81 ip=192.0.2.1
z waits 192.0.2.1: sharing_port_in_use

== 3.4 the third who agrees with both
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.1
put y share=k ports=81 ip=192.0.2.1
put z share=k ports=82 ip=192.0.2.1
grants are 192.0.2.1*3

== 3.4 sharing without asking for an address: the lowest usable one
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
x has 192.0.2.0
y has 192.0.2.0

== 3.4 a free lower address is preferred to a shared higher one
pool a 192.0.2.0/30
put x share=k ports=80 ip=192.0.2.2
put y share=k ports=81
y has 192.0.2.0

== 3.4 a shared address is preferred to a free higher one
pool a 192.0.2.0/30
put x share=k ports=80
put z
put y share=k ports=81
y has 192.0.2.0

== 3.4 where the port is in use the next address
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=80
y has 192.0.2.1

== 3.4 where the key differs the next address
pool a 192.0.2.0/30
put x share=k ports=80
put y share=l ports=81
y has 192.0.2.1

== 3.4 a full pool serves who may share
pool a 192.0.2.0/32
put x share=k ports=80
put y share=k ports=81
put z
y has 192.0.2.0
z waits a: pool_exhausted

== 3.4 a full pool is exhausted for who may not share in it
pool a 192.0.2.0/32
put x share=k ports=80
put y share=l ports=81
y waits a: pool_exhausted

== 3.4 one who may not share does not speak for the next of its key
pool a 192.0.2.0/32
put x share=k ports=80
put u share=k ports=80 + v share=k ports=81 + w ports=82
u waits a: pool_exhausted
v has 192.0.2.0
w waits a: pool_exhausted

== 3.4 sharing reaches into the pinned pool before the open one
pool a 192.0.2.0/30
pool b 198.51.100.0/32 for=default
put x share=k ports=80
put y share=k ports=81
y has 198.51.100.0 from b

== 3.4 sharing does not reach into a pool pinned to others
pool b 198.51.100.0/32 for=tenant
put tenant/x share=k ports=80
put y share=k ports=81 ip=198.51.100.0
y waits b: pool_not_compatible

== 3.4 IPv6 addresses are shared alike
pool a 2001:db8::/128
put x v6 share=k ports=80
put y v6 share=k ports=81
put z v6 share=k ports=80
y has 2001:db8::
z waits a: pool_exhausted

== 3.4 two families are shared together
pool a 192.0.2.0/32 2001:db8::/128
put x v4v6 share=k ports=80
put y v4v6 share=k ports=81
y has 192.0.2.0,2001:db8::

== 3.4 one family of two is shared
pool a 192.0.2.0/32 2001:db8::/128
put x v4v6 share=k ports=80
put y v6 share=k ports=81
y has 2001:db8::

== 3.4 two families, the one shared and the other free
pool a 192.0.2.0/32 2001:db8::/126
put x share=k ports=80
put y v4v6 share=k ports=81
y has 192.0.2.0,2001:db8::

== 3.4 the only user changes its key in place
pool a 192.0.2.0/32
put x share=k
put x share=l
x kept
put y share=l ports=81
y has 192.0.2.0

== 3.4 the only user gives up its key in place
pool a 192.0.2.0/32
put x share=k
put x
x kept
put y share=k ports=81
y waits a: pool_exhausted

== 3.4 the only user takes a key in place
pool a 192.0.2.0/32
put x
put y share=k ports=81
y waits a: pool_exhausted
put x share=k
x has 192.0.2.0
y has 192.0.2.0

== 3.4 the only user goes from Cluster to Local in place (AS-04)
pool a 192.0.2.0/32
put x share=k
put y share=k ports=81 local
y waits a: pool_exhausted
put x share=k local
y has 192.0.2.0

== 3.4 one of two users changes its key: it goes, whoever is older
pool a 192.0.2.0/30
put x share=k ports=80 created=1
put y share=k ports=81 created=2
put x share=l ports=80 created=1
x lost sharing_key_differs
x has 192.0.2.1
y has 192.0.2.0

== 3.4 the younger of two users changes its key: it goes
pool a 192.0.2.0/30
put x share=k ports=80 created=1
put y share=k ports=81 created=2
put y share=l ports=81 created=2
y lost sharing_key_differs
y has 192.0.2.1
x has 192.0.2.0

== 3.4 one of two users gives up its key: it goes
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
put x ports=80
x lost address_taken
x has 192.0.2.1

== 3.4 one of two users turns to Local: it goes
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
put y share=k ports=81 local
y lost sharing_backends_differ
y has 192.0.2.1

== 3.4 one of two users takes the other's port: it goes
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
put x share=k ports=80,81
x lost sharing_port_in_use
x has 192.0.2.1
y has 192.0.2.0

== 3.4 one of two users changes to a port that is free: it stays
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
put y share=k ports=8081
y kept
y has 192.0.2.0

== 3.4 both users change to the same new key in one edit: both stay
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
put x share=l ports=80 + y share=l ports=81
x kept
y kept
grants are 192.0.2.0*2

== 3.4 two users swap their ports in one edit: both stay
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
put x share=k ports=81 + y share=k ports=80
x kept
y kept

== 3.4 two users change apart in one edit: the older one stays
pool a 192.0.2.0/30
put x share=k ports=80 created=2
put y share=k ports=81 created=1
put x share=l ports=80 created=2 + y share=m ports=81 created=1
y has 192.0.2.0
x lost sharing_key_differs
x has 192.0.2.1

== 3.4 who goes and has nowhere to go is told
pool a 192.0.2.0/32
put x share=k ports=80
put y share=k ports=81
put y share=l ports=81
y waits a: pool_exhausted

== 3.4 who gave up its port leaves it to who waits for it
pool a 192.0.2.0/32
put x share=k ports=80
put y share=k ports=80
y waits a: pool_exhausted
put x share=k ports=81
y has 192.0.2.0

== 3.4 an address is free when the last of its users left, not before
pool a 192.0.2.0/32
put x share=k ports=80
put y share=k ports=81
put z
delete x
z waits a: pool_exhausted
delete y
z has 192.0.2.0

== 3.4 deleting one of two users changes nothing for the other
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
delete x
y kept
y has 192.0.2.0

== 3.4 many services of two ports on four addresses
pool a 192.0.2.0/30
put s1 share=k ports=1 + s2 share=k ports=2 + s3 share=k ports=1 + s4 share=k ports=2
put s5 share=k ports=1 + s6 share=k ports=1
grants are 192.0.2.0*2 192.0.2.1*2 192.0.2.2*1 192.0.2.3*1

== 3.4 several keys side by side
pool a 192.0.2.0/30
put u share=k ports=1 + v share=l ports=1 + w share=k ports=2 + x share=l ports=2 + y share=k ports=1
grants are 192.0.2.0*2 192.0.2.1*2 192.0.2.2*1

== 3.4 targetPort and nodePort do not matter, the port does
pool a 192.0.2.0/32
put x share=k ports=80
put y share=k ports=8080
grants are 192.0.2.0*2
"""


@pytest.mark.parametrize("case", cases(TABLE), ids=lambda case: case.heading)
def test_rule(case: Case) -> None:
    Scenario().run(case)
