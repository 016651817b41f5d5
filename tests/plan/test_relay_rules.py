"""Where packets of unknown connections go, in the words of nftables."""

from __future__ import annotations

from ipaddress import ip_address

from lbctl.model.address import Family
from lbctl.plan.relay_rules import Relays, change, frame

VIP, VIP6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")
A, B, A6 = ip_address("198.51.100.1"), ip_address("198.51.100.2"), ip_address("2001:db8:1::1")
MAC = "02:00:00:00:00:01"


def test_a_frame_leaves_what_is_in_the_maps_where_it_is() -> None:
    text = frame(Family.IPV4, picks_up=True)
    assert "flush map" not in text
    assert "delete" not in text
    assert "ct state new tcp flags & syn == 0 jump unknown" in text
    assert "ct state invalid tcp flags & (fin | rst) != 0 jump unknown" in text
    assert "ct state invalid tcp flags & syn == 0 jump unknown" in frame(Family.IPV6, picks_up=False)


def test_each_family_has_its_own() -> None:
    relays = Relays(past={VIP: (A, 60.4)}, holder={VIP6: A6}, speakers=frozenset({MAC}))
    assert change(Family.IPV4, None, relays).splitlines() == [
        "flush set ip lbctl-moves speakers",
        f"add element ip lbctl-moves speakers {{ {MAC} }}",
        "flush map ip lbctl-moves past",
        f"add element ip lbctl-moves past {{ {VIP} timeout 60s : {A} }}",
        "flush map ip lbctl-moves holder",
    ]
    assert change(Family.IPV6, None, relays).splitlines()[-1] == (
        f"add element ip6 lbctl-moves holder {{ {VIP6} : {A6} }}"
    )


def test_only_what_differs_is_changed() -> None:
    past = {VIP: (A, 60.0)}
    old = Relays(past=past, holder={VIP: A})
    assert change(Family.IPV4, old, Relays(past=past, holder={VIP: A})) == ""
    assert change(Family.IPV6, old, Relays(past=past, holder={VIP: B})) == ""
    assert change(Family.IPV4, old, Relays(past=past, holder={VIP: B})).splitlines() == [
        f"delete element ip lbctl-moves holder {{ {VIP} }}",
        f"add element ip lbctl-moves holder {{ {VIP} : {B} }}",
    ]
    assert change(Family.IPV4, old, Relays(past={}, holder={VIP: A})).splitlines() == [
        "flush map ip lbctl-moves past",
    ]
