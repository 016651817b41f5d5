"""Rules that change under traffic, that somebody else changed, that an earlier speaker left: nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from lbctl.model.snapshot import World
from lbctl.net.nftables import Nft, ProxyError, ProxyTrouble
from lbctl.net.proxy import Proxy, Verified, Way
from lbctl.plan.proxy import ruleset
from lbctl.plan.proxy_rules import table
from lbctl.plan.proxy_ruleset import Ruleset
from tests.support.netns import eventually
from tests.support.proxy_lan import (
    V4,
    V6,
    ProxyLan,
    ask_tcp,
    ask_udp,
    connected,
    endpoint,
    exchange,
    greeting,
    proxy_lan,
    refused,
    service,
    spread,
    world,
)

pytestmark = pytest.mark.netns
OTHER = "192.168.3.171"


@pytest.fixture(scope="module")
def built() -> Iterator[ProxyLan]:
    with proxy_lan() as lan:
        yield lan


@pytest.fixture
def lan(built: ProxyLan) -> Iterator[ProxyLan]:
    built.route("n1", V4, V6, OTHER)
    yield built
    built.reset()


@contextmanager
def changing(lan: ProxyLan, worlds: Iterator[World]) -> Iterator[Callable[[], int]]:
    """n1 goes from world to world as fast as it can, in a thread of its own; yields how many it has been through."""
    done, stop = 0, threading.Event()
    failed: list[BaseException] = []

    async def change() -> None:
        nonlocal done
        memo = None
        while not stop.is_set():
            rules, memo = ruleset(next(worlds), "n1", memo)
            applied = await lan.proxy("n1").apply(rules)
            assert applied.way is Way.DELTA, applied
            done += 1

    def run() -> None:
        try:
            lan.do("n1", change())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: done
    finally:
        stop.set()
        thread.join()
    assert not failed, failed


def test_nothing_is_lost_while_other_services_change(lan: ProxyLan) -> None:
    """0 of hundreds of connections and datagrams, while services come, go, and change their number of endpoints."""
    mine = service(["p1", "p2", "p3"])
    choices = [["p1"], ["p2", "p3"], ["p1", "q1", "p2", "p3"], [], ["p3", "q1", "p1"]]

    def worlds() -> Iterator[World]:
        for turn in itertools.count():
            others = [
                service(
                    choices[(turn + number) % len(choices)],
                    name=f"other-{number}",
                    vips=[f"192.168.3.{180 + number}", f"fd00:3::{180 + number}"],
                    affinity=60 if (turn + number) % 5 == 1 else None,
                    ranges=["10.0.0.0/8"] if (turn + number) % 5 == 3 else [],
                )
                for number in range(5)
                if (turn + number) % 4
            ]
            yield world(mine, *others)

    found = worlds()
    lan.apply("n1", next(found))
    client = lan["client"]
    with connected(client, V4, kind=socket.SOCK_DGRAM) as steady, connected(client, V4) as open_connection:
        pod, _ = exchange(steady)
        greeting(open_connection)
        asked = 0
        with changing(lan, found) as updates:
            while updates() < 15 or asked < 120:
                assert ask_tcp(client, (V4, V6)[asked % 2])[0] in ("p1", "p2", "p3")
                assert ask_udp(client, (V6, V4)[asked % 2])[0] in ("p1", "p2", "p3")
                assert exchange(steady, str(asked).encode())[0] == pod
                open_connection.send(b"ping")
                assert open_connection.recv(64) == b"ping"
                asked += 1


def test_nothing_is_lost_while_its_own_endpoints_change(lan: ProxyLan) -> None:
    """The number of slots shrinks and grows under new connections; all endpoints named live."""
    choices = itertools.cycle(
        [["p1", "p2", "p3"], ["p2"], ["p1", "p3"], ["p3"], ["p1", "q1", "p2", "p3"], ["q1", "p2"]]
    )
    worlds = (world(service(pods)) for pods in choices)
    lan.apply("n1", next(worlds))
    asked = 0
    with changing(lan, worlds) as updates:
        while updates() < 30 or asked < 200:
            ask_tcp(lan["client"], (V4, V6)[asked % 2])
            asked += 1


@pytest.mark.parametrize("affinity", [None, 600])
def test_nothing_underway_in_the_rules_is_lost_while_they_change(lan: ProxyLan, affinity: int | None) -> None:
    """The instants within a commit, stretched: a packet needs a good part of a millisecond to come to the look-ups."""
    choices = itertools.cycle([["p1", "p2", "p3"], ["p2"], ["p1", "p3"], ["p1", "q1", "p2", "p3"]])
    worlds = (world(service(pods, affinity=affinity)) for pods in choices)
    lan.apply("n1", next(worlds))
    for tag, nobody in (("4", "ip saddr 203.0.113.1"), ("6", "ip6 saddr 2001:db8::1")):
        lan["n1"].run(["nft", "-f", "-"], stdin=f"insert rule inet lbctl serve{tag} {nobody} drop\n" * 20_000)

    def ask(number: int) -> None:
        # Always another client, whom affinity does not know.
        source = (f"10.99.0.{number // 2 % 250 + 2}", f"fd00:99::{number % 50_000 + 2:x}")[number % 2]
        ask_tcp(lan["client"], (V4, V6)[number % 2], source=source)

    numbers = itertools.count()
    with changing(lan, worlds) as updates, ThreadPoolExecutor(2) as pool:
        while updates() < 25:
            list(pool.map(ask, itertools.islice(numbers, 40)))


@pytest.mark.parametrize("affinity", [None, 600])
def test_a_speaker_that_dies_between_two_transactions_leaves_rules_that_serve(
    lan: ProxyLan, affinity: int | None
) -> None:
    """What is to be led to is there, nothing leads to it yet; the next speaker goes on from there."""
    few, many = (world(service(pods, affinity=affinity)) for pods in (["p1"], ["p1", "p2", "p3"]))
    lan.apply("n1", few)
    nft = Mortal()
    lan.proxies["n1"] = Proxy(nft, spacing=0)
    assert lan.apply("n1", few).way is Way.UNCHANGED
    nft.left = 1
    with pytest.raises(Died):
        lan.apply("n1", many)
    assert nft.left == 0

    def reached(first: int) -> set[str]:
        return {ask_tcp(lan["client"], V4, source=f"10.99.0.{first + number}")[0] for number in range(40)}

    assert reached(10) == {"p1"}
    lan.proxies.clear()
    assert lan.apply("n1", many).way is Way.DELTA
    assert reached(100) == {"p1", "p2", "p3"}


class Died(Exception):
    """The end of a speaker."""


class Mortal(Nft):
    """An nft after so many transactions of which its speaker dies."""

    left = -1

    async def load(self, text: str) -> None:
        if not self.left:
            raise Died
        self.left -= 1
        await super().load(text)


@pytest.mark.parametrize("vip", [V4, V6])
def test_a_draw_of_a_slot_that_is_gone_is_still_served(lan: ProxyLan, vip: str) -> None:
    """The instant within a commit when a packet has drawn among three and finds two, held still."""
    lan.apply("n1", world(service(["p1", "p2", "p3"])))
    tag = "6" if vip == V6 else "4"
    lan["n1"].run(["nft", f"delete element inet lbctl slot{tag}/2 {{ {vip} . tcp . 8080 }}"])
    assert set(spread(lan["client"], vip, 60)) == {"p1", "p2"}


def test_a_datagram_flow_moves_when_its_endpoint_goes(lan: ProxyLan) -> None:
    """... and only that flow: those to endpoints that stay are left alone, as those to other VIPs."""
    pods = ["p1", "p2", "p3"]
    other = service(["p2"], name="other", vips=[OTHER])
    lan.apply("n1", world(service(pods), other))
    client = lan["client"]
    with connected(client, OTHER, kind=socket.SOCK_DGRAM) as untouched:
        assert exchange(untouched)[0] == "p2"
        with ExitStack() as stack:
            socks = [stack.enter_context(connected(client, V4, kind=socket.SOCK_DGRAM)) for _ in range(40)]
            before = [exchange(sock)[0] for sock in socks]
            assert set(before) == set(pods)
            applied = lan.apply("n1", world(service(["p1", "p3"]), other))
            assert applied.forgotten == before.count("p2")
            after = [exchange(sock)[0] for sock in socks]
        assert "p2" not in after
        assert [now for was, now in zip(before, after, strict=True) if was != "p2"] == [b for b in before if b != "p2"]
        assert exchange(untouched)[0] == "p2"


def test_a_terminating_endpoint_keeps_its_datagram_flows_until_it_is_gone(lan: ProxyLan) -> None:
    lan.apply("n1", world(service([endpoint("p2")], vips=[V4])))
    with connected(lan["client"], V4, kind=socket.SOCK_DGRAM) as flow:
        assert exchange(flow)[0] == "p2"
        ending = endpoint("p2", ready=False, serving=True, terminating=True)
        lan.apply("n1", world(service([ending, endpoint("p3")], vips=[V4])))
        assert exchange(flow)[0] == "p2"
        assert set(spread(lan["client"], V4, 10, udp=True)) == {"p3"}
        lan.apply("n1", world(service([endpoint("p3")], vips=[V4])))
        assert exchange(flow)[0] == "p3"


@pytest.mark.parametrize("vip", [V4, V6])
def test_a_datagram_flow_that_came_too_early_is_served_once_there_is_an_endpoint(lan: ProxyLan, vip: str) -> None:
    """Before the proxy knew the VIP, the node routed the datagrams somewhere, and tracks that flow."""
    with connected(lan["client"], vip, kind=socket.SOCK_DGRAM, wait=0.2) as flow:
        flow.send(b"too early")
        with pytest.raises(OSError):
            flow.recv(1)
        applied = lan.apply("n1", world(service([])))
        lan.apply("n1", world(service(["p2"])))
        flow.settimeout(5)
        assert exchange(flow)[0] == "p2"
    assert applied.forgotten in (0, 1)


@pytest.mark.parametrize("vip", [V4, V6])
def test_affinity_holds_through_changes_and_a_restart_until_the_endpoint_goes(lan: ProxyLan, vip: str) -> None:
    client = lan["client"]
    sticky = service(["p1", "p2", "p3"], affinity=600)
    lan.apply("n1", world(sticky))
    home = ask_tcp(client, vip)[0]
    assert {ask_tcp(client, vip)[0] for _ in range(15)} == {home}
    # Unrelated change, one more endpoint, a restart of the speaker: still the same one.
    lan.apply("n1", world(sticky, service(["p1"], name="other", vips=[OTHER])))
    assert {ask_tcp(client, vip)[0] for _ in range(8)} == {home}
    lan.apply("n1", world(service(["p1", "p2", "p3", "q1"], affinity=600)))
    assert {ask_tcp(client, vip)[0] for _ in range(8)} == {home}
    lan.proxies.clear()
    assert lan.apply("n1", world(service(["p1", "p2", "p3", "q1"], affinity=600))).way is Way.UNCHANGED
    assert {ask_tcp(client, vip)[0] for _ in range(8)} == {home}
    rest = [pod for pod in ("p1", "p2", "p3") if pod != home]
    lan.apply("n1", world(service(rest, affinity=600)))
    next_home = ask_tcp(client, vip)[0]
    assert next_home in rest
    assert {ask_tcp(client, vip)[0] for _ in range(8)} == {next_home}
    lan.apply("n1", world(service(["p1", "p2", "p3"])))
    assert len(spread(client, vip, 60)) == 3


def test_affinity_is_per_client_and_ends_with_its_time(lan: ProxyLan) -> None:
    client = lan["client"]
    pods = ["p1", "p2", "p3"]
    differ = False
    for _ in range(12):
        # Without endpoints in between nothing is remembered, and both draw anew; the same one in 1 of 3 draws.
        lan.apply("n1", world(service([])))
        lan.apply("n1", world(service(pods, affinity=600)))
        differ = ask_tcp(client, V4, source="192.168.3.1")[0] != ask_tcp(client, V4, source="192.168.3.2")[0]
        if differ:
            break
    assert differ
    lan.apply("n1", world(service([])))
    lan.apply("n1", world(service(pods, affinity=1, vips=[V4])))
    ask_tcp(client, V4)

    def remembered() -> list[str]:
        return [name for name, members in _sets(lan, "n1").items() if name.startswith("sticky/") and members]

    assert remembered()
    eventually(lambda: not remembered(), within=20, every=0.1)


def _sets(lan: ProxyLan, node: str) -> dict[str, list[object]]:
    listed = json.loads(lan[node].run(["nft", "-j", "list", "table", "inet", "lbctl"]).stdout)["nftables"]
    return {found["name"]: found.get("elem", []) for entry in listed for found in entry.values() if "type" in found}


def test_rules_outlive_the_speaker_and_the_next_one_takes_them_over(lan: ProxyLan) -> None:
    """A killed speaker leaves its rules. The next one changes only what differs: not even the table's handle."""
    lan.apply("n1", world(service(["p1", "p2"])))
    handle = _handle(lan, "n1")
    lan.proxies.clear()
    with connected(lan["client"], V4) as still_open:
        greeting(still_open)
        applied = lan.apply("n1", world(service(["p2", "p3"]), service(["p1"], name="new", vips=[OTHER])))
        assert applied.way is Way.DELTA
        assert _handle(lan, "n1") == handle
        assert set(spread(lan["client"], V4, 40)) == {"p2", "p3"}
        assert ask_tcp(lan["client"], OTHER)[0] == "p1"
        still_open.send(b"ping")
        assert still_open.recv(9) == b"ping"


def _handle(lan: ProxyLan, node: str) -> int:
    for entry in json.loads(lan[node].run(["nft", "-j", "list", "tables"]).stdout)["nftables"]:
        if entry.get("table", {}).get("name") == "lbctl":
            return int(entry["table"]["handle"])
    raise AssertionError("no table")


def test_a_table_that_lbctl_did_not_write_is_replaced(lan: ProxyLan) -> None:
    lan["n1"].run(
        ["nft", "-f", "-"],
        stdin="table inet lbctl {\n set vips4 { type inet_service; elements = { 80 } }\n"
        " chain prerouting { type filter hook prerouting priority 0; policy drop; }\n}\n",
    )
    assert lan.apply("n1", world(service(["p2"]))).way is Way.WHOLE
    assert ask_tcp(lan["client"], V4)[0] == "p2"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("flush ruleset", "gone"),
        ("delete element inet lbctl services4 { 192.168.3.170 . tcp . 8080 }", "services4"),
        ("flush chain inet lbctl pick4/2", "pick4/2"),
        ("add rule inet lbctl prerouting tcp dport 8080 drop", "prerouting"),
        ("insert rule inet lbctl prerouting tcp dport 8080 drop", "prerouting"),
        ("add element inet lbctl vips4 { 192.168.3.1, 192.168.3.99 }", "vips4"),
        ("flush map inet lbctl slot4/0; flush map inet lbctl slot4/1", "slot4/0"),
        ("add chain inet lbctl stranger; add set inet lbctl strange { type mark; }", "stranger"),
    ],
)
def test_damage_is_found_named_and_repaired(lan: ProxyLan, damage: str, named: str) -> None:
    rules = world(service(["p2", "p3"]))
    lan.apply("n1", rules)
    assert lan.do("n1", lan.proxy("n1").verify()) == Verified()
    lan["n1"].run(["nft", damage])
    found = lan.do("n1", lan.proxy("n1").verify())
    assert named in found.repaired
    assert lan.do("n1", lan.proxy("n1").verify()) == Verified()
    assert set(spread(lan["client"], V4, 40)) == {"p2", "p3"}


def test_nothing_is_listed_while_nobody_else_changes_rules(lan: ProxyLan) -> None:
    """A look costs a microsecond then; whatever anybody changes anywhere makes the next one a full one."""
    nft = Counting()
    lan.proxies["n1"] = Proxy(nft, spacing=0)

    def listings() -> int:
        before = nft.listings
        assert lan.do("n1", lan.proxy("n1").verify(thorough=False)) == Verified()
        return nft.listings - before

    lan.apply("n1", world(service(["p2"])))
    assert listings() == 0
    lan.apply("n1", world(service(["p2", "p3"], affinity=60)))
    ask_tcp(lan["client"], V4)
    assert listings() == 0
    lan["n1"].run(["nft", "add table inet other"])
    assert [listings(), listings()] == [1, 0]
    lan["n1"].run(["nft", "delete table inet other"])
    lan.apply("n1", world(service(["p2"])))
    assert [listings(), listings()] == [1, 0]
    lan["n1"].run(["nft", "flush chain inet lbctl pick4/1"])
    assert "pick4/1" in lan.do("n1", lan.proxy("n1").verify(thorough=False)).repaired
    assert listings() == 0


class Counting(Nft):
    """An nft that counts how often it lists."""

    listings = 0

    async def run(self, arguments: Sequence[str], text: str = "") -> bytes:
        self.listings += "list" in arguments
        return await super().run(arguments, text)


def test_an_update_gets_through_whatever_somebody_did_to_the_table(lan: ProxyLan) -> None:
    lan.apply("n1", world(service(["p1", "p2"])))
    lan["n1"].run(["nft", "delete element inet lbctl slot4/0 { 192.168.3.170 . tcp . 8080 }"])
    assert lan.apply("n1", world(service(["p3"]))).way is Way.DELTA
    assert set(spread(lan["client"], V4, 6)) == {"p3"}
    lan["n1"].run(["nft", "flush ruleset"])
    assert lan.apply("n1", world(service(["p2"]))).way is Way.WHOLE
    assert set(spread(lan["client"], V4, 6)) == {"p2"}


def test_a_table_that_vanishes_is_noticed_within_a_look(lan: ProxyLan) -> None:
    """`systemctl restart nftables` flushes everything; nobody waits a minute for that."""

    async def live() -> Verified | ProxyError:
        proxy = lan.proxy("n1")
        reports: asyncio.Queue[Verified | ProxyError] = asyncio.Queue()
        await proxy.apply(ruleset(world(service(["p2"])), "n1")[0])
        keeping = asyncio.create_task(proxy.keep(reports.put_nowait, look_every=0.05))
        lan["n1"].run(["nft", "flush", "ruleset"])
        report = await reports.get()
        keeping.cancel()
        return report

    report = lan.do("n1", asyncio.wait_for(live(), 10))
    assert report == Verified(repaired="the table was gone", way=Way.WHOLE)
    assert ask_tcp(lan["client"], V4)[0] == "p2"


def test_a_failed_update_is_tried_again_without_being_asked(lan: ProxyLan) -> None:
    rules = ruleset(world(service(["p2"])), "n1")[0]

    async def live() -> None:
        nft = Breakable()
        proxy = Proxy(nft, spacing=0)
        reports: asyncio.Queue[Verified | ProxyError] = asyncio.Queue()
        nft.broken = True
        with pytest.raises(ProxyError, match="nft-is-not-here"):
            await proxy.apply(rules)
        keeping = asyncio.create_task(proxy.keep(reports.put_nowait, look_every=0.02))
        assert isinstance(await reports.get(), ProxyError)
        nft.broken = False
        while isinstance(await reports.get(), ProxyError):
            pass
        nft.broken = True
        lan["n1"].run(["nft", "flush", "ruleset"])
        assert isinstance(await reports.get(), ProxyError)
        nft.broken = False
        while isinstance(report := await reports.get(), ProxyError):
            pass
        assert report.repaired == "the table was gone"
        keeping.cancel()

    lan.do("n1", asyncio.wait_for(live(), 10))
    assert ask_tcp(lan["client"], V4)[0] == "p2"


class Breakable(Nft):
    """An nft that can be uninstalled and installed again."""

    broken = False

    async def run(self, arguments: Sequence[str], text: str = "") -> bytes:
        self._command = ("/nowhere/nft-is-not-here",) if self.broken else None
        return await super().run(arguments, text)


def test_updates_that_come_together_go_together(lan: ProxyLan) -> None:
    worlds = [world(service(pods)) for pods in (["p1"], ["p2"], ["p3"], ["p1", "p2"], ["p2", "p3"])]

    async def burst() -> list[Way]:
        proxy = Proxy(spacing=0.2)
        await proxy.apply(ruleset(world(service([])), "n1")[0])
        rulesets = [ruleset(one, "n1")[0] for one in worlds]
        applied = await asyncio.gather(*(proxy.apply(rules) for rules in rulesets))
        return [one.way for one in applied]

    ways = lan.do("n1", burst())
    # The first may have found its way free, if the machine was slow; the newest takes all others along.
    assert ways.count(Way.UNCHANGED) >= 3
    assert Way.DELTA in ways
    assert set(spread(lan["client"], V4, 40)) == {"p2", "p3"}


def test_only_our_own_table_is_touched_and_remove_takes_it_away(lan: ProxyLan) -> None:
    other = "table inet lbctl2 {\n\tset mine {\n\t\ttype mark\n\t\telements = { 0x00000007 }\n\t}\n}\n"
    lan["n1"].run(["nft", "-f", "-"], stdin=other)
    lan.apply("n1", world(service(["p2"])))
    lan.do("n1", lan.proxy("n1").verify())
    with connected(lan["client"], V4) as sock:
        greeting(sock)
        assert lan.do("n1", lan.proxy("n1").open_flows()) == 1
    lan.do("n1", lan.proxy("n1").remove())
    assert lan["n1"].run(["nft", "list", "ruleset"]).stdout == other
    lan.do("n1", lan.proxy("n1").remove())


def test_what_nft_cannot_do_is_said_in_one_line(lan: ProxyLan) -> None:
    rules = ruleset(world(service(["p2"])), "n1")[0]
    unprivileged = Proxy(Nft(["setpriv", "--reuid", "65534", "--clear-groups", "--inh-caps=-all", "nft"]))
    with pytest.raises(ProxyError, match="NET_ADMIN") as refusal:
        lan.do("n1", unprivileged.apply(rules))
    assert refusal.value.reason is ProxyTrouble.NOT_PERMITTED
    with pytest.raises(ProxyError, match="--proxy none") as missing:
        lan.do("n1", Proxy(Nft(["/nowhere/nft"])).apply(rules))
    assert missing.value.reason is ProxyTrouble.NFT_MISSING
    with pytest.raises(ProxyError, match=r"cannot run /etc/passwd: Permission denied$") as other:
        lan.do("n1", Proxy(Nft(["/etc/passwd"])).apply(rules))
    assert other.value.reason is not ProxyTrouble.NFT_MISSING
    for complaint in (refusal, missing, other):
        assert "\n" not in str(complaint.value)


def test_what_is_listed_is_what_was_meant(lan: ProxyLan) -> None:
    """The reader of listings knows every form that our own table takes, in both families."""
    rules = lan.rules(
        "n1",
        world(
            service(["p1", "p2"], ranges=["10.0.0.0/8", "192.168.3.2/32", "fd00:9::/64"]),
            service(["p1", "p2", "p3"], name="sticky", vips=[OTHER, "fd00:3::171"], affinity=30),
            service(["p1"], name="v6", vips=["fd00:3::ffff:1:2", "::ffff:192.0.2.7", "2001:db8:0:0:1::1"]),
        ),
    )
    lan.do("n1", lan.proxy("n1").apply(rules))
    current = lan.proxy("n1")._in_force
    assert isinstance(current, Ruleset)
    assert current.onlink
    meant = table(current)
    assert lan.do("n1", Nft().listed(meant)) == meant


def test_a_thousand_services_load_at_once_and_change_one_by_one(lan: ProxyLan) -> None:
    """Relative and generous here, where other tests share the machine; bench/proxy.py has the figures."""
    parts = [
        service(["p1", "p2", "p3"], name=f"s{number}", vips=[f"10.77.{number >> 8}.{number & 255}"])
        for number in range(1000)
    ]
    applied = lan.apply("n1", world(*parts))
    assert applied.way is Way.WHOLE
    assert applied.seconds < 10
    one = lan.apply("n1", world(*parts[1:]))
    assert one.way is Way.DELTA
    assert one.seconds < applied.seconds


def test_no_namespace_of_ours_leaks_rules_into_the_machine(lan: ProxyLan) -> None:
    lan.apply("n1", world(service(["p2"])))
    here = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    assert "lbctl" not in here.stdout
    refused(lan["client"], V4, 9)
