"""Every way in which a cluster of two to seven nodes can fall apart: each side serves its own clients, and heals.

On each side stands a client. Every split has a cluster of its own: what moved three times in three minutes is held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

from tests.simulation.kernel import installed
from tests.simulation.story import Outcome, Story

OTHER_GAP = 0.100
MARGIN = 0.020
"""Seconds that messages between processes and on the link take, and the steps of the plan."""
VIPS = 4


def partitions(count: int) -> Iterator[tuple[int, ...]]:
    """All ways to put `count` nodes into parts, each as the number of the part of every node; one part comes first."""

    def grow(parts: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(parts) == count:
            yield parts
            return
        for part in range(max(parts) + 2):
            yield from grow((*parts, part))

    yield from grow((0,))


def shapes(count: int) -> list[tuple[int, ...]]:
    """One split of each kind: those whose parts are as large, in another order, are left out."""
    found: dict[tuple[int, ...], tuple[int, ...]] = {}
    for split in partitions(count):
        found.setdefault(tuple(sorted(Counter(split).values())), split)
    return list(found.values())


def run_split(split: tuple[int, ...], *, trace: bool = False) -> Outcome:
    """Cuts a cluster of its own into these parts, and heals it."""
    count = len(split)
    with installed():
        story = Story(count, nodes=count, vips=VIPS, clients=max(split) + 1, plain=True)
        if trace:
            story.watch.trace = []
        story.clockwork.after(0.1, story.ask_on)
        story.boot(spread=0.02)
        _cut(story, split)
        return story.outcome()


def _cut(story: Story, split: tuple[int, ...]) -> None:
    watch, lan = story.watch, story.lan
    detection, interval = watch.detection, watch.interval
    watch.fault(f"split {split}")
    lan.parts = {host.index: part for host, part in zip(story.hosts, split, strict=True)}
    lan.parts |= {client.index: part for part, client in enumerate(story.clients)}
    lan.rewire()
    story.run(2 * detection + OTHER_GAP + MARGIN + watch.allowance.decided * detection * _undecided(split))
    for part in sorted(set(split)):
        for address in sorted(watch.vips):
            servers = watch.servers(story.clients[part].index, address)
            if len(servers) != 1:
                names = " ".join(host.name for host in servers) or "nobody"
                watch.failures.append(f"split: {split}: part {part} is answered by {names} for {ip_address(address)}")
    watch.fault("healed")
    lan.parts = {}
    lan.rewire()
    story.run(detection + 2 * interval + MARGIN)
    for address in sorted(watch.vips):
        servers = watch.servers(story.clients[0].index, address)
        if len(servers) != 1:
            names = " ".join(host.name for host in servers) or "nobody"
            watch.failures.append(f"split: {split} healed: answered by {names} for {ip_address(address)}")


def _undecided(split: tuple[int, ...]) -> bool:
    """Whether a part may be without any of an owner's two heirs, so that its plan decides."""
    return len(split) > 3 and len(set(split)) > 1
