"""Addresses that no machine can have, in pools as an operator writes them: nobody is given one."""

from __future__ import annotations

import pytest

from lbctl.config.reader import Reader
from lbctl.model.service import ServiceKey
from lbctl.plan.allocate import Remembered, allocate
from lbctl.plan.reason import Reason
from tests.config.manifests import COVER, pool

SERVICE = """---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: d, annotations: {{metallb.io/loadBalancerIPs: "{asked}"}}}}
spec: {{type: LoadBalancer, ipFamilies: [{family}], ports: [{{port: 80}}]}}
"""


@pytest.mark.parametrize(
    ("addresses", "first", "asked"),
    [
        ("223.255.255.255-224.0.0.3", "223.255.255.255", "224.0.0.1"),
        ("0.0.0.0-1.0.0.0", "1.0.0.0", "0.0.0.0"),
        ("126.255.255.255-127.0.0.9", "126.255.255.255", "127.0.0.1"),
        ("255.255.255.254-255.255.255.255", "255.255.255.254", "255.255.255.255"),
        ("::-::2", "::2", "::1"),
    ],
)
def test_neither_by_itself_nor_on_request(addresses: str, first: str, asked: str) -> None:
    family = "IPv6" if ":" in first else "IPv4"
    services = [SERVICE.format(name=name, asked=ip, family=family) for name, ip in (("a", ""), ("b", ""), ("c", asked))]
    text = "".join([pool(f"  addresses: ['{addresses}']"), *services, "---\n", COVER])
    world = Reader().read({"a.yaml": text.encode()}).world
    plan, _ = allocate(world, Remembered())
    assert [str(address) for grant in plan.grants for address in grant.addresses] == [first]
    (refusal,) = plan.pending[ServiceKey("d", "c")]
    assert (refusal.subject, refusal.reason) == (asked, Reason.EXCLUDED)
