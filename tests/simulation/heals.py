"""Nodes are cut off one after the other, each alone, until one has everything; then all are back, nearly at once.

Those that were alone hear each other some milliseconds before they hear the last one, and take it for dead. Nothing
that it held as one of a majority may leave it for that.
"""

from __future__ import annotations

from ipaddress import ip_address

from lbctl.protocol.heartbeat.segments import DEAD_PACE, MISSED
from tests.simulation.kernel import installed
from tests.simulation.rules import Rule, without
from tests.simulation.story import HEALED_TIME, Outcome, Story

ALONE = (0.5, 0.9, 1.4, 3.0, 11.0)
"""Seconds from one cut to the next, chosen by chance: some are remembered as vacant, some are forgotten."""
APART = 0.7
"""Part of a detection time, at most, for which those that were alone reach each other and not yet the last one."""


def run_heal(seed: int, *, trace: bool = False, rule: Rule | None = None) -> Outcome:
    with installed(), without(rule):
        story = Story(seed, nodes=(3, 3, 4, 5)[seed % 4], vips=8, plain=True)
        if trace:
            story.watch.trace = []
        story.clockwork.after(0.1, story.ask_on)
        story.boot(spread=0.02)
        _tell(story)
        return story.outcome()


def _tell(story: Story) -> None:
    watch, lan, chance = story.watch, story.lan, story.chance
    hosts = list(story.hosts)
    chance.shuffle(hosts)
    last = hosts.pop()
    for part, host in enumerate(hosts, 1):
        watch.fault(f"{host.name}: cut off")
        lan.parts[host.index] = part
        lan.rewire()
        alone = chance.choice(ALONE)
        if alone > MISSED:
            watch.allowance.contact = DEAD_PACE
        story.run(alone)
    kept = watch.established(last)
    watch.fault("back among each other")
    lan.parts = {host.index: 1 for host in hosts}
    lan.rewire()
    story.run(chance.uniform(0.0, APART * watch.detection))
    lan.parts = {}
    lan.rewire()
    watch.fault("all are back")
    watch.healed()
    story.run(HEALED_TIME)
    for address in sorted(kept - watch.established(last)):
        watch.failures.append(f"heal: {last.name} lost {ip_address(address)}, which a majority had let it have")
    story.settled()
