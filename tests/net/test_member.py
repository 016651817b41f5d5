"""The observer in the real kernel: beside a speaker on its host and from another one, it sees all and owns nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from ipaddress import ip_address

import pytest

from lbctl.model.address import IPAddress
from lbctl.model.interface import Interface, InterfaceFlag
from lbctl.model.member import Conflict, Liveness, Role
from lbctl.model.snapshot import View
from lbctl.net.member import Observer, segments_of
from lbctl.protocol.heartbeat.segments import Segment, Settings
from tests.speaker.pulses import Pulses
from tests.support.netns import Host
from tests.support.netns import Segment as Lan

pytestmark = pytest.mark.netns
ADDRESS = {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
Until = Callable[[Callable[[View], bool]], Awaitable[None]]
VIPS = ["192.0.2.100", "192.0.2.101"]


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan({name: [f"{address}/24"] for name, address in ADDRESS.items()}) as segment:
        yield segment


@pytest.fixture
def pulses(lan: Lan) -> Iterator[Pulses]:
    """Speakers on a and b, each with one VIP."""
    with Pulses() as started:
        for name, other in (("a", "b"), ("b", "a")):
            started.start(lan[name], ADDRESS[name], peers=[(other, ADDRESS[other])])
        started.until(lambda: started["a"].counts("b") and started["b"].counts("a"))
        started.until(lambda: all(node.is_ready() for node in started))
        for node, vip in zip(started, VIPS, strict=True):
            heirs = [other.name for other in started if other is not node]
            node.tell("prepare", generation=1, set=[[v, 1, heirs] for v in VIPS], drop=[], complete=True)
            node.tell("claim", addresses=[vip], cause="started")
        started.until(lambda: all(node.mine for node in started))
        yield started


def segment(host: Host) -> Segment:
    return Segment(ifindex=host.ifindex, name="eth0", address=ADDRESS[host.name], mac=host.mac)


def observe(
    host: Host,
    story: Callable[[Observer, Until], Awaitable[None]],
    meanwhile: Callable[[], object] | None = None,
    **changed: object,
) -> list[View]:
    """Runs an observer on a host, in a thread of its own that stays there, through a story; every View it gave.

    `meanwhile` is called again and again until the story is over.
    """
    views: list[View] = []
    failures: list[BaseException] = []

    async def run() -> None:
        fresh = asyncio.Event()

        def on_view(view: View) -> None:
            views.append(view)
            fresh.set()

        async def until(condition: Callable[[View], bool]) -> None:
            async with asyncio.timeout(60):
                while not condition(observer.view):
                    fresh.clear()
                    await fresh.wait()

        settings = Settings(cluster="test", node="observer", incarnation=1, **changed)  # type: ignore[arg-type]
        async with Observer(settings, [segment(host)], on_view=on_view) as observer:
            await story(observer, until)

    def there() -> None:
        try:
            with host.entered():
                asyncio.run(run())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=there)
    thread.start()
    while meanwhile is not None and thread.is_alive():
        meanwhile()
    thread.join(120)
    assert not thread.is_alive()
    if failures:
        raise failures[0]
    return views


def holders(view: View) -> dict[str, list[str]]:
    return {node: sorted(map(str, claims)) for node, claims in view.claims.items()}


def complete(view: View) -> bool:
    return set(view.members) == {"a", "b"} and holders(view) == {"a": VIPS[:1], "b": VIPS[1:]} and view.synced


def test_it_is_told_what_the_probes_of_a_speaker_found(lan: Lan, pulses: Pulses) -> None:
    taken, free = ip_address("192.0.2.102"), ip_address("2001:db8::1")

    async def story(observer: Observer, until: Until) -> None:
        await until(complete)
        conflicts = [[str(taken), "02:00:00:00:00:ee", "eth0"], [str(free), "", "eth0"]]
        pulses["a"].tell("say", stations=[["02:00:00:00:00:99", "eth1"]], conflicts=conflicts)
        await until(lambda view: bool(view.members["a"].conflicts))
        member = observer.view.members["a"]
        assert member.conflicts == (
            Conflict(address=taken, mac="02:00:00:00:00:ee", interface="eth0"),
            Conflict(address=free, mac="", interface="eth0"),
        )
        assert member.macs == ((lan["a"].mac, "eth0"), ("02:00:00:00:00:99", "eth1"))
        assert observer.view.members["b"].conflicts == ()
        pulses["a"].tell("say", stations=[], conflicts=[])
        await until(lambda view: not view.members["a"].conflicts)

    observe(lan["c"], story)


@pytest.mark.parametrize("where", ["a", "c"])
def test_it_sees_members_and_claims_also_of_the_speaker_on_its_own_host(lan: Lan, pulses: Pulses, where: str) -> None:
    async def story(observer: Observer, until: Until) -> None:
        await until(complete)
        view = observer.view
        member = view.members["a"]
        assert (member.state, member.two_way, member.role) == (Liveness.ALIVE, True, Role.SPEAKER)
        assert [str(address) for address in member.addresses] == [ADDRESS["a"]]
        assert member.macs == ((lan["a"].mac, "eth0"),)
        (claim,) = view.claims_of(ip_address(VIPS[0]))
        assert (claim.node, claim.incarnation, claim.epoch) == ("a", pulses["a"].incarnation, 1)
        assert (claim.quorate, claim.cause, claim.heirs) == (True, "started", ("b",))
        await asyncio.sleep(0.4)
        assert observer.view.members["a"] is member

    observe(lan[where], story)
    pulses.until(lambda: pulses["b"].members.get("observer", {}).get("state") == "left")
    assert pulses["b"].members["observer"]["role"] == "observer"
    assert {
        said.message["state"] for node in pulses for said in node.ops("member") if said.message["node"] in "ab"
    } == {"alive"}


@pytest.mark.parametrize("where", ["b", "c"])
def test_it_follows_a_takeover(lan: Lan, pulses: Pulses, where: str) -> None:
    async def story(observer: Observer, until: Until) -> None:
        await until(complete)
        pulses["a"].process.kill()
        await until(lambda view: holders(view) == {"b": VIPS})
        await until(lambda view: view.members["a"].state is Liveness.GONE)

    # The survivor of two is no majority: it asks its wire, which is here, whether anybody has the address.
    views = observe(lan[where], story, meanwhile=lambda: pulses.read(0.01))
    # What did not change keeps its identity.
    assert len({id(view.claims["b"]) for view in views if holders(view) == {"a": VIPS[:1], "b": VIPS[1:]}}) == 1


def test_with_a_key_it_must_have_it(lan: Lan) -> None:
    key = (7, b"a secret that is long enough")
    with Pulses() as started:
        node = started.start(lan["a"], ADDRESS["a"], keys=[[key[0], key[1].hex()]])
        started.until(node.is_ready)

        async def sees(observer: Observer, until: Until) -> None:
            await until(lambda view: "a" in view.members and view.members["a"].two_way)

        async def does_not(observer: Observer, until: Until) -> None:
            await asyncio.sleep(0.5)

        observe(lan["c"], sees, keys=(key,))
        observe(lan["c"], does_not)
        started.until(lambda: node.counters.get("rx_unsigned", 0) > 0)
        assert len([said for said in node.ops("member") if said.message["state"] == "alive"]) <= 2


def test_segments_come_from_the_interfaces_chosen() -> None:
    up = InterfaceFlag.UP | InterfaceFlag.LOWER_UP
    v4, v6 = ip_address("192.0.2.1"), ip_address("fe80::1")

    def interface(index: int, addresses: Sequence[IPAddress], flags: InterfaceFlag = up) -> Interface:
        return Interface(
            index=index, name=f"e{index}", mac="02:00:00:00:00:01", flags=flags, addresses=tuple(addresses)
        )

    found = segments_of([interface(2, [v6, v4]), interface(3, [v6], InterfaceFlag.UP), interface(4, [])])
    assert [(s.ifindex, s.name, s.address, s.usable) for s in found] == [
        (2, "e2", "192.0.2.1", True),
        (3, "e3", "fe80::1", False),
    ]
