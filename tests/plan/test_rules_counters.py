"""MetalLB 3.8, AS-20, L2-11 and L2-12: how full the pools are; a shared address counts once."""

from __future__ import annotations

import pytest

from tests.plan.scenario import Case, Scenario, cases

TABLE = """
== 3.8 an empty pool
pool a 192.0.2.0/30
a counts IPv4 size=4 assigned=0 available=4 services=0

== 3.8 one address in use
pool a 192.0.2.0/30
put x
a counts IPv4 size=4 assigned=1 available=3 services=1

== 3.8 a full pool
pool a 192.0.2.0/31
put x + y + z
a counts IPv4 size=2 assigned=2 available=0 services=2

== 3.8 an address freed
pool a 192.0.2.0/30
put x + y
delete x
a counts IPv4 size=4 assigned=1 available=3

== 3.8 a shared address counts once
pool a 192.0.2.0/30
put x share=k ports=80
put y share=k ports=81
a counts IPv4 assigned=1 available=3 services=2
delete x
a counts IPv4 assigned=1 available=3 services=1

== 3.8 the families of a pool are counted apart (AS-20)
pool a 192.0.2.0/30 2001:db8::/125
put x v4v6
put y v6
a counts IPv4 size=4 assigned=1 available=3
a counts IPv6 size=8 assigned=2 available=6 services=2

== 3.8 two pools are counted apart
pool a 192.0.2.0/30
pool b 198.51.100.0/31
put x + y pool=b
a counts IPv4 size=4 assigned=1 available=3
b counts IPv4 size=2 assigned=1 available=1

== 3.8 buggy addresses are not counted: two in a /24
pool a 192.0.2.0/24 buggy
put x
a counts IPv4 size=254 assigned=1 available=253

== 3.8 buggy addresses: sixteen in a /21
pool a 192.0.0.0/21 buggy
a counts IPv4 size=2032 available=2032

== 3.8 buggy addresses: one in a /25, and none within a /24
pool a 192.0.2.0/25 buggy
pool b 192.0.3.16/28 buggy
a counts IPv4 size=127
b counts IPv4 size=16

== 3.8 buggy addresses in a range that is no CIDR
pool a 192.0.2.250-192.0.3.5 buggy
a counts IPv4 size=10

== 3.8 a /64 is counted exactly
# MetalLB says 9223372036854775807 from 62 host bits on.
pool a 2001:db8::/64
put x v6
a counts IPv6 size=18446744073709551616 assigned=1 available=18446744073709551615

== 3.8 several ranges add up
pool a 192.0.2.0/30 198.51.100.7-198.51.100.9
a counts IPv4 size=7 available=7

== 3.8 a moved address is counted where it is now
pool a 192.0.2.0/30
pool b 198.51.100.0/30
put x
put x pool=b
a counts IPv4 assigned=0 available=4
b counts IPv4 assigned=1 available=3

== 3.8 a renamed pool has the same counts
pool a 192.0.2.0/30
put x
no pool a
pool b 192.0.2.0/30
b counts IPv4 size=4 assigned=1 available=3

== 3.8 excluded addresses are not counted
pool a 192.0.2.0/29 exclude=192.0.2.0-192.0.2.3
put x
a counts IPv4 size=4 assigned=1 available=3

== 3.8 an address in use that came to be excluded is in use, and takes nothing from the others
pool a 192.0.2.0/30
put x
pool a 192.0.2.0/30 exclude=192.0.2.0/32
a counts IPv4 size=3 assigned=1 available=3

== 3.8 reserved and in quarantine
pool a 192.0.2.0/29
reserve x 192.0.2.0
quarantine 192.0.2.1
a counts IPv4 size=8 assigned=0 reserved=1 quarantined=1 available=6
put x
a counts IPv4 assigned=1 reserved=0 quarantined=1 available=6

== 3.8 in quarantine and in use
pool a 192.0.2.0/30
put x
quarantine 192.0.2.0
a counts IPv4 assigned=1 quarantined=1 available=3

== 3.8 what cools is available
pool a 192.0.2.0/30 cooling=60
put x
delete x
a counts IPv4 assigned=0 available=4 cooling=1
wait 60
a counts IPv4 assigned=0 available=4 cooling=0
"""


@pytest.mark.parametrize("case", cases(TABLE), ids=lambda case: case.heading)
def test_rule(case: Case) -> None:
    Scenario().run(case)
