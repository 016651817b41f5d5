"""Who is asked to say something when nobody is heard any more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.solicitor import MAX_STATIONS, MIN_INTERVAL, Footing, Solicitor
from tests.protocol.l2.frames import CLIENT, CLIENT4, CLIENT6, ETH0, ETH1, NODE, STRANGER, VIP4, ip, sends

OWN4, OWN6 = ip("192.0.2.1"), ip("fe80::1")
ROUTER4, ROUTER6 = ip("192.0.2.254"), ip("fe80::fe")


def ready(*, addresses: tuple[bytes, ...] = (OWN6, OWN4), routers: tuple[bytes, ...] = ()) -> Solicitor:
    machine = Solicitor()
    machine.set_footings({ETH0: Footing(mac=NODE, addresses=addresses, routers=routers)})
    return machine


def asked(machine: Solicitor, now: float = 0.0) -> list[tuple[int, bytes]]:
    machine.ask(now)
    return [(send.via, send.payload) for send in sends(machine.outputs())]


def test_routers_are_asked_through_the_whole_segment_from_an_own_address() -> None:
    assert asked(ready(routers=(ROUTER4, ROUTER6))) == [
        (ETH0, arp.request(mac=NODE, sender_ip=OWN4, target_ip=ROUTER4)),
        (ETH0, ndp.solicitation(mac=NODE, source_ip=OWN6, target=ROUTER6)),
    ]


@pytest.mark.parametrize(
    ("heard", "question"),
    [
        (
            arp.request(mac=CLIENT, sender_ip=CLIENT4, target_ip=VIP4),
            arp.request(mac=NODE, sender_ip=OWN4, target_ip=CLIENT4, to=CLIENT),
        ),
        (
            ndp.solicitation(mac=CLIENT, source_ip=CLIENT6, target=ROUTER6),
            ndp.solicitation(mac=NODE, source_ip=OWN6, target=CLIENT6, to_mac=CLIENT),
        ),
    ],
    ids=["arp", "ndp"],
)
def test_a_station_that_was_heard_is_asked_alone(heard: bytes, question: bytes) -> None:
    machine = ready()
    machine.received(heard, ETH0, 0.0)
    machine.received(heard, ETH1, 0.0)
    assert asked(machine) == [(ETH0, question)]


@pytest.mark.parametrize(
    "frame",
    [
        arp.probe(mac=CLIENT, target_ip=VIP4),
        arp.gratuitous_request(mac=NODE, address=VIP4),
        arp.gratuitous_request(mac=CLIENT, address=OWN4),
        arp.gratuitous_request(mac=b"\xff" * 6, address=CLIENT4),
        ndp.solicitation(mac=CLIENT, source_ip=ndp.NO_ADDRESS, target=ROUTER6),
        b"",
        arp.gratuitous_request(mac=CLIENT, address=CLIENT4)[:30],
    ],
    ids=["probe", "own frame", "own address", "group", "dad", "empty", "cut off"],
)
def test_who_has_no_address_of_its_own_is_not_remembered(frame: bytes) -> None:
    machine = ready()
    machine.received(frame, ETH0, 0.0)
    assert asked(machine) == []


def test_the_newest_stations_are_remembered_and_a_router_is_asked_once() -> None:
    machine = ready(routers=(ROUTER4,))
    machine.received(arp.gratuitous_request(mac=STRANGER, address=ROUTER4), ETH0, 0.0)
    stations = [ip(f"192.0.2.{n}") for n in range(10, 30)]
    for address in [*stations, stations[13]]:
        machine.received(arp.request(mac=CLIENT, sender_ip=address, target_ip=VIP4), ETH0, 0.0)
    targets = [frame[arp.TARGET_IP] for _, frame in asked(machine)]
    assert targets == [ROUTER4, stations[12], *stations[14:], stations[13]]
    assert len(targets) == 1 + MAX_STATIONS


def test_five_rounds_a_second_however_often_it_is_asked_for() -> None:
    machine = ready(routers=(ROUTER4,))
    rounds = [n for n in range(100) if asked(machine, n / 100)]
    assert len(rounds) == 5
    assert machine.sent == 5
    assert MIN_INTERVAL == 0.2


def test_without_an_own_address_of_the_family_nobody_is_asked() -> None:
    assert asked(ready(addresses=(OWN4,), routers=(ROUTER6,))) == []
    assert asked(ready(addresses=(), routers=(ROUTER4, ROUTER6))) == []


def test_an_interface_that_goes_takes_its_stations_along() -> None:
    machine = ready()
    machine.received(arp.request(mac=CLIENT, sender_ip=CLIENT4, target_ip=VIP4), ETH0, 0.0)
    machine.set_footings({})
    machine.set_footings({ETH0: Footing(mac=NODE, addresses=(OWN4,))})
    assert asked(machine) == []


@given(st.binary(max_size=100), st.sampled_from([b"\x08\x06", b"\x86\xdd", b"\x00\x00"]))
def test_no_bytes_raise(frame: bytes, kind: bytes) -> None:
    machine = ready(routers=(ROUTER4,))
    machine.received(frame, ETH0, 0.0)
    machine.received(frame[:12] + kind + frame[14:], ETH0, 0.0)
    machine.handle_timeout(0.0)
    assert machine.next_timeout() is None
    asked(machine)
