"""Packets that are underway in the rules while they change: in every possible instant they find a backend.

What the kernel does with such a packet, played through: it keeps to the chains of the generation in which it entered
the hook, where a chain that is yet to come has no rules; each look-up is answered by the elements of that moment; and
the unnamed map of a rule that goes is empty from the moment of the change on. Every draw and every moment is tried.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.service import ServiceKey, Transport
from lbctl.plan.proxy import ruleset
from lbctl.plan.proxy_rules import between, table
from lbctl.plan.proxy_ruleset import Backend, Frontend, Network, Reach, Ruleset, VirtualPort
from lbctl.plan.proxy_table import Delta, Table, patched, stages
from tests.support.proxy_worlds import a_world, next_world

REFUSED, DROPPED = "refused", "dropped"
WEB = Frontend(ip_address("192.0.2.170"), Transport.TCP, 8080)
Frames = tuple[tuple[tuple[str, str], ...], ...]
"""What is left to do: (chain, rule) pairs of the chains jumped to, the innermost last."""


@dataclass(frozen=True)
class Underway:
    """A first packet of an unknown client to `frontend`, while one transaction leads from `before` to `after`."""

    before: Table
    after: Table
    frontend: Frontend
    own_client: bool
    hook: str = "prerouting"

    def ends(self) -> set[str]:
        """All that may become of it: backends as `address . port`, DROPPED or REFUSED."""
        return set(self._walk((self._rules(self.hook),), False))

    def _rules(self, chain: str) -> tuple[tuple[str, str], ...]:
        found = self.before.chains.get(chain)
        return tuple((chain, rule) for rule in found.rules) if found is not None else ()

    def _walk(self, frames: Frames, late: bool) -> Iterator[str]:
        """`late`: the change has taken place."""
        while frames and not frames[-1]:
            frames = frames[:-1]
        if not frames:
            yield REFUSED
            return
        (chain, rule), rest = frames[-1][0], (*frames[:-1], frames[-1][1:])
        if found := re.fullmatch(r"(ip6?) daddr @vips[46] jump (\S+)", rule):
            ours = (found[1] == "ip6") == (self.frontend.address.version == 6)
            yield from self._walk((*rest, self._rules(found[2])) if ours else rest, late)
        elif found := re.fullmatch(r"(ip6? saddr @local[46] )?ip6? daddr \. .* dport vmap @(\S+)", rule):
            if found[1] and not self.own_client:
                yield from self._walk(rest, late)
                return
            for then, verdict in self._looked_up(found[2], late):
                yield from self._follow(verdict, rest, then)
        elif found := re.fullmatch(r"numgen random mod (\d+) vmap \{ (.*) \}", rule):
            choices = dict(choice.split(" : ") for choice in found[2].split(", "))
            assert set(choices) == {str(number) for number in range(int(found[1]))}
            stays = self.after.chains.get(chain) == self.before.chains[chain]
            for verdict in choices.values():
                if not late:
                    yield from self._follow(verdict, rest, False)
                yield from self._follow(verdict if stays else None, rest, True)
        elif found := re.fullmatch(r"meta l4proto .* dnat ip6? to ip6? daddr .* map @(\S+)", rule):
            for then, backend in self._looked_up(found[1], late):
                if backend is not None:
                    yield backend
                else:
                    yield from self._walk(rest, then)
        elif found := re.fullmatch(r"meta l4proto \w+ dnat ip6? to \[?([^]]+?)\]?:(\d+)", rule):
            yield f"{found[1]} . {found[2]}"
        elif rule == "drop":
            yield DROPPED
        elif found := re.fullmatch(r"ip6? saddr != \{ .* \} drop", rule):
            yield from self._walk(rest, late)
            yield DROPPED
        elif rule.startswith("goto "):
            yield from self._follow(rule, rest, late)
        else:
            assert re.match(r"icmp|update @sticky|ip6? saddr @sticky", rule), rule
            yield from self._walk(rest, late)

    def _looked_up(self, name: str, late: bool) -> Iterator[tuple[bool, str | None]]:
        address, transport, number = self.frontend
        key = f"{address} . {transport.lower()} . {number}"
        was, now = self.before.elements.get(name, {}).get(key), self.after.elements.get(name, {}).get(key)
        yield True, now
        if not late:
            yield False, was
            if was != now:
                # A kernel before 6.17 overtakes its own search: the one is gone already, the other not yet looked for.
                yield True, None

    def _follow(self, verdict: str | None, rest: Frames, late: bool) -> Iterator[str]:
        if verdict is None:
            return (yield from self._walk(rest, late))
        yield from self._walk((*rest[:-1], self._rules(verdict.removeprefix("goto "))), late)


def ends(old: Ruleset, new: Ruleset, frontend: Frontend) -> set[str]:
    """All that may become of packets to `frontend` that are underway anywhere between two rulesets."""
    own_client = any(one.ports[frontend].reach is Reach.OWN for one in (old, new))
    found, before = set[str](), table(old)
    for stage in stages(between(old, new)):
        after = patched(before, stage)
        for hook in ("prerouting", "output"):
            found |= Underway(before, after, frontend, own_client, hook).ends()
        before = after
    return found


def may_end(port: VirtualPort) -> set[str]:
    found = {f"{backend.address} . {backend.port}" for backend in port.backends}
    return found if port.source_ranges is None else {*found, DROPPED}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32).map(random.Random))
def test_a_port_that_is_served_before_and_after_is_served_at_every_instant_between(rng: random.Random) -> None:
    world = a_world(rng)
    old, memo = ruleset(world, "n1")
    for _ in range(4):
        world = next_world(rng, world)
        new, memo = ruleset(world, "n1", memo)
        for frontend, port in new.ports.items():
            if port.backends and (was := old.ports.get(frontend)) is not None and was.backends:
                assert ends(old, new, frontend) <= may_end(was) | may_end(port)
        old = new


def served(
    *addresses: str,
    affinity_time: int | None = None,
    reach: Reach = Reach.EVERYONE,
    source_ranges: tuple[Network, ...] | None = None,
) -> Ruleset:
    backends = tuple(Backend(address=ip_address(address), port=80) for address in addresses)
    port = VirtualPort(
        frontend=WEB,
        service=ServiceKey("default", "web"),
        backends=backends,
        serving=backends,
        reach=reach,
        affinity_time=affinity_time,
        source_ranges=source_ranges,
    )
    return Ruleset(ports={WEB: port}, vips=frozenset({WEB.address}))


FEW, MANY = ("10.0.0.2",), ("10.0.0.1", "10.0.0.2", "10.0.0.3")


def test_more_and_fewer_backends() -> None:
    """The draw among another number is a chain that comes with the change, and one that goes with it."""
    all_of_them = {f"{address} . 80" for address in MANY}
    assert ends(served(*FEW), served(*MANY), WEB) == all_of_them
    assert ends(served(*MANY), served(*FEW), WEB) == all_of_them


def test_other_backends_of_a_port_with_affinity() -> None:
    few, many = served(*FEW, affinity_time=60), served(*MANY, affinity_time=60)
    all_of_them = {f"{address} . 80" for address in MANY}
    # Who is underway keeps to the chain as it was.
    assert ends(few, many, WEB) == {"10.0.0.2 . 80"}
    assert ends(many, few, WEB) == all_of_them
    assert ends(served(*MANY), many, WEB) == ends(many, served(*MANY), WEB) == all_of_them


def test_affinity_that_comes_and_goes_and_other_backends_of_a_port_with_source_ranges() -> None:
    anywhere = (ip_network("0.0.0.0/0"),)
    some = [served(*few, source_ranges=anywhere, affinity_time=time) for few in (FEW, MANY) for time in (None, 60)]
    for old, new in itertools.permutations(some, 2):
        assert ends(old, new, WEB) <= {DROPPED, *(f"{address} . 80" for address in MANY)}


def test_a_port_that_comes_to_serve_everyone_serves_its_own_clients_meanwhile() -> None:
    """Between the look at one map and at the other, the element moves from the latter to the former."""
    own, everyone = served(*FEW, reach=Reach.OWN), served(*FEW)
    assert ends(own, everyone, WEB) == ends(everyone, own, WEB) == {"10.0.0.2 . 80"}


def test_in_one_transaction_a_packet_would_fall_out_of_the_new_chain() -> None:
    """What the stages are for; and that what is played here can tell."""
    old, new = served(*FEW), served(*MANY)
    assert REFUSED in Underway(table(old), table(new), WEB, False).ends()


def test_the_stages_add_up_to_the_whole_and_nothing_is_led_to_before_it_is_there() -> None:
    old, new = served(*FEW), served(*MANY)
    delta = between(old, new)
    first, second = stages(delta)
    assert first.sets_added.keys() == {"slot4/1", "slot4/2"}
    assert first.chains_added.keys() == {"pick4/3", "slot4/1", "slot4/2"}
    assert first == Delta(sets_added=first.sets_added, chains_added=first.chains_added)
    assert second == replace(delta, sets_added={}, chains_added={})
    assert patched(patched(table(old), first), second) == table(new)
    # Where nothing comes that was not there, one transaction does.
    fewer_of_a_size = served(*MANY[1:]), served(*MANY[:2])
    assert len(stages(between(*fewer_of_a_size))) == 1
    assert stages(between(new, new)) == ()
