"""What nft lists is read as what was meant, also where the machine cannot name protocols."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.net.nft_listing import read_table
from lbctl.plan.proxy_table import Table


@pytest.mark.parametrize(("tcp", "udp"), [("tcp", "udp"), (6, 17)])
def test_protocols_by_name_and_by_number(tcp: Any, udp: Any) -> None:
    # Without /etc/protocols (Debian's netbase), nft lists numbers.
    listed = {
        "nftables": [
            {
                "set": {
                    "name": "ports",
                    "type": ["ipv4_addr", "inet_proto", "inet_service"],
                    "elem": [{"concat": ["192.0.2.1", tcp, 80]}, {"concat": ["192.0.2.1", udp, 53]}],
                }
            }
        ]
    }
    table = read_table(listed, Table({}, {}, {}))
    assert list(table.elements["ports"]) == ["192.0.2.1 . tcp . 80", "192.0.2.1 . udp . 53"]
