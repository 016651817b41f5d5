"""Interfaces: which of them announce, and what the kernel says of them as it changes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable

import pytest

from lbctl.model.interface import Interface, InterfaceFlag
from lbctl.net.interfaces import InterfaceTable, read_interfaces, select, watch_interfaces
from tests.support.netns import netns, run_in
from tests.support.worlds import address, addresses

UP = InterfaceFlag.UP | InterfaceFlag.LOWER_UP | InterfaceFlag.BROADCAST


def named(name: str, index: int = 1, flags: InterfaceFlag = UP, master: int | None = None) -> Interface:
    return Interface(index=index, name=name, mac="02:00:00:00:00:01", flags=flags, master=master)


@pytest.mark.parametrize(
    "name",
    ["docker0", "cbr0", "dummy0", "virbr0", "lxcbr0", "veth1234", "lo", "cali99", "tunl0", "flannel.1", "kube-ipvs0",
     "cni0", "nodelocaldns", "lxc42"],
)  # fmt: skip
def test_what_belongs_to_containers_is_left_out(name: str) -> None:
    assert select([named(name)]) == ()
    assert select([named(name)], [name]) == (named(name),), "but for the operator's word"


@pytest.mark.parametrize("name", ["eth0", "ens3", "enp0s31f6", "bond0", "br0", "eth0.100", "vlan7", "wlan0"])
def test_what_belongs_to_the_node_announces(name: str) -> None:
    assert select([named(name)]) == (named(name),)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(named("eth0", master=4), id="a slave"),
        pytest.param(named("ppp0", flags=InterfaceFlag.UP), id="no broadcast"),
        pytest.param(named("eth0", flags=UP | InterfaceFlag.NOARP), id="no ARP"),
        pytest.param(named("loop", flags=UP | InterfaceFlag.LOOPBACK), id="loopback"),
    ],
)
def test_what_cannot_answer_does_not_announce(other: Interface) -> None:
    assert select([other]) == ()


def test_an_interface_that_is_down_is_chosen_and_not_usable() -> None:
    down = named("eth0", flags=InterfaceFlag.BROADCAST)
    assert select([down]) == (down,)
    assert not down.usable
    assert not named("eth0", flags=UP & ~InterfaceFlag.LOWER_UP).usable
    assert named("eth0").usable


def test_names_choose_exactly() -> None:
    eth0, eth1, veth = named("eth0", 3), named("eth1", 1), named("veth0", 2)
    assert select([eth0, eth1, veth], ["veth0", "eth0", "eth9"]) == (veth, eth0)


def test_the_address_to_speak_from() -> None:
    both = addresses("2001:db8::1", "fe80::1", "192.0.2.1", "192.0.2.2")
    speaking = dataclasses.replace(named("eth0"), addresses=both)
    assert (speaking.speaking_address, speaking.link_local) == (address("192.0.2.1"), address("fe80::1"))
    only6 = dataclasses.replace(speaking, addresses=addresses("2001:db8::1", "fe80::1"))
    assert only6.speaking_address == address("fe80::1")
    assert named("eth0").speaking_address is None


def test_messages_add_up() -> None:
    table = InterfaceTable()
    link = {"event": "RTM_NEWLINK", "index": 5, "ifname": "eth0", "address": "02:00:00:00:00:05", "flags": 0x11043}
    table.apply(link)
    table.apply({"event": "RTM_NEWADDR", "index": 5, "local": "192.0.2.1", "address": "192.0.2.1", "flags": 0x80})
    table.apply({"event": "RTM_NEWADDR", "index": 5, "local": None, "address": "fe80::1", "flags": 0xC0})
    (found,) = table.interfaces()
    assert (found.usable, found.addresses) == (True, addresses("192.0.2.1")), "fe80::1 is still tentative"
    table.apply({"event": "RTM_NEWADDR", "index": 5, "local": None, "address": "fe80::1", "flags": 0x80})
    assert table.interfaces()[0].addresses == addresses("192.0.2.1", "fe80::1")
    table.apply({"event": "RTM_DELLINK", "index": 5, "family": 7})
    assert table.interfaces(), "it only left its bridge"
    table.apply({"event": "RTM_DELADDR", "index": 5, "local": "192.0.2.1"})
    table.apply({"event": "RTM_NEWNEIGH", "index": 5})
    assert table.interfaces()[0].addresses == addresses("fe80::1")
    table.apply({"event": "RTM_DELLINK", "index": 5})
    assert table.interfaces() == ()


class Watch:
    """The newest word of `watch_interfaces`, run inside a namespace."""

    def __init__(self) -> None:
        self.now: dict[str, Interface] = {}
        self.told = 0
        self._more = asyncio.Event()

    async def follow(self, interfaces: AsyncIterator[tuple[Interface, ...]]) -> None:
        async for found in interfaces:
            self.now = {interface.name: interface for interface in found}
            self.told += 1
            self._more.set()

    async def until(self, condition: Callable[[dict[str, Interface]], object]) -> None:
        async with asyncio.timeout(60):
            while not condition(self.now):
                self._more.clear()
                await self._more.wait()


@contextlib.asynccontextmanager
async def watching(space: str, *, dump_every: float = 60.0) -> AsyncIterator[Watch]:
    from tests.support.netns import entered

    watch = Watch()
    interfaces = watch_interfaces(dump_every=dump_every)
    # The sockets are made in the first step, and stay in the namespace they were made in.
    with entered(space):
        task = asyncio.create_task(watch.follow(interfaces))
        await watch.until(lambda now: "lo" in now)
    try:
        yield watch
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await interfaces.aclose()  # type: ignore[attr-defined]


async def ip(space: str, words: str) -> None:
    await asyncio.to_thread(run_in, space, ["ip", *words.split()])


@pytest.mark.netns
async def test_the_kernel_tells_every_change() -> None:
    with netns() as space:
        async with watching(space) as watch:
            await ip(space, "link add v0 type veth peer name v1")
            await watch.until(lambda now: {"v0", "v1"} <= now.keys())
            assert not watch.now["v0"].usable
            await ip(space, "link set v0 up")
            await ip(space, "link set v1 up")
            await watch.until(lambda now: now["v0"].usable)
            await ip(space, "addr add 192.0.2.7/24 dev v0")
            await watch.until(lambda now: address("192.0.2.7") in now["v0"].addresses)
            await watch.until(lambda now: now["v0"].link_local is not None)
            await ip(space, "link set v1 down")
            await watch.until(lambda now: not now["v0"].usable)
            assert InterfaceFlag.UP in watch.now["v0"].flags, "up, without carrier"
            await ip(space, "link set v0 address 02:00:00:00:00:77")
            await watch.until(lambda now: now["v0"].mac == "02:00:00:00:00:77")
            await ip(space, "link add br0 type bridge")
            await ip(space, "link set v0 master br0")
            await watch.until(lambda now: now["v0"].master == now["br0"].index)
            await ip(space, "link set v0 nomaster")
            await watch.until(lambda now: now["v0"].master is None)
            await ip(space, "addr del 192.0.2.7/24 dev v0")
            await watch.until(lambda now: address("192.0.2.7") not in now["v0"].addresses)
            await ip(space, "link del v0")
            await watch.until(lambda now: "v0" not in now)


@pytest.mark.netns
async def test_a_bridge_without_its_uplink_is_not_usable_and_the_uplink_is_named() -> None:
    """Its own carrier stays, by the virtual machine on it (a veth); the uplink is a macvlan here, as kinds go."""
    with netns() as space:
        for words in (
            "link add far type veth peer name near",
            "link set far up",
            "link set near up",
            "link add uplink link near type macvlan mode passthru",
            "link add br0 type bridge",
            "link add vm type veth peer name inside",
            "link set inside up",
            "link set vm up master br0",
            "link set br0 up",
        ):
            await ip(space, words)
        async with watching(space) as watch:
            await watch.until(lambda now: now["br0"].usable)
            await ip(space, "link set uplink up master br0")
            await watch.until(lambda now: "near" in now["br0"].link)
            assert watch.now["br0"].usable
            before = watch.now["br0"].link
            await ip(space, "link set far down")
            await watch.until(lambda now: not now["br0"].usable)
            assert InterfaceFlag.LOWER_UP in watch.now["br0"].flags
            await watch.until(lambda now: now["br0"].lacking == "near")
            await ip(space, "link set far up")
            await watch.until(lambda now: now["br0"].usable)
            assert watch.now["br0"].link != before, "another time up is another link"
            await ip(space, "link set uplink nomaster")
            await watch.until(lambda now: "near" not in now["br0"].link)
            assert watch.now["br0"].usable, "a bridge of virtual machines alone goes by its own carrier"


@pytest.mark.netns
async def test_the_routers_are_found_and_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbctl.net.interfaces._ROUTES_LATE", 0.2)
    with netns() as space:
        await ip(space, "link add v0 type veth peer name v1")
        await ip(space, "link set v1 up")
        async with watching(space, dump_every=5.0) as watch:
            await ip(space, "link set v0 up")
            await ip(space, "addr add 192.0.2.7/24 dev v0")
            await ip(space, "addr add 2001:db8::7/64 dev v0 nodad")
            # No event of its own: the routes are looked at a moment after the addresses.
            await ip(space, "route add default via 192.0.2.254")
            await ip(space, "-6 route add default via fe80::fe dev v0")
            await watch.until(lambda now: now["v0"].gateways == addresses("192.0.2.254", "fe80::fe"))
            assert watch.now["v1"].gateways == ()
            await ip(space, "route replace default via 192.0.2.253")
            await ip(space, "addr add 192.0.2.8/24 dev v0")
            await watch.until(lambda now: now["v0"].gateways == addresses("192.0.2.253", "fe80::fe"))


@pytest.mark.netns
async def test_a_full_dump_makes_good_for_lost_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbctl.net.interfaces._GROUPS", 0)
    with netns() as space:
        async with watching(space, dump_every=0.2) as watch:
            await ip(space, "link add v0 type veth peer name v1")
            await watch.until(lambda now: "v0" in now)


@pytest.mark.netns
async def test_nothing_new_is_not_told() -> None:
    with netns() as space:
        async with watching(space, dump_every=0.05) as watch:
            await asyncio.sleep(0.3)
            assert watch.told == 1


@pytest.mark.netns
async def test_read_once() -> None:
    from tests.support.netns import entered

    with netns() as space:
        run_in(space, ["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"])
        with entered(space):
            found = await read_interfaces()
    assert {interface.name for interface in found} >= {"lo", "v0", "v1"}
