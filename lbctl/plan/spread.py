"""Spreading groups evenly over nodes: what nobody holds, the heirs of what one holds, and what is to move for balance.

Nothing here looks at what moved before. `distribute` is made so that it may be carried out piece by piece by nodes that
see each other's pieces late: what is left is given to whom it was given before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappush, heapreplace

from lbctl.model.address import address_key
from lbctl.plan.groups import GroupKey
from lbctl.protocol.heartbeat import identity

TOO_UNEVEN = 2
"""Automatic balancing begins when some node has more than so many times the groups of another."""


def shares(nodes: Iterable[str], loads: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of `count` more groups each node gets, so that the fullest of them ends as empty as can be.

    What does not come out even goes to the first nodes by hash.
    """
    ranked = sorted(nodes, key=lambda node: (loads.get(node, 0), node))
    level, wide, left = 0, 0, count
    for wide, node in enumerate(ranked):
        step = (loads.get(node, 0) - level) * wide
        if step > left:
            break
        left -= step
        level = loads.get(node, 0)
    else:
        wide = len(ranked)
    filled = sorted(ranked[:wide], key=identity.node_hash)
    level, extra = level + left // wide, left % wide
    found = dict.fromkeys(ranked, 0)
    for place, node in enumerate(filled):
        found[node] = level - loads.get(node, 0) + (place < extra)
    return found


def distribute(wanting: Mapping[GroupKey, Sequence[str]], loads: Mapping[str, int]) -> dict[GroupKey, str]:
    """A node for each group: the least loaded of those it may go to, over all groups at once, ties by rendezvous.

    Args:
        wanting: for each group the nodes that it may go to, the most wanted (by rendezvous) first.
        loads: the groups that each node holds already.
    """
    classes: dict[frozenset[str], list[GroupKey]] = {}
    for key, nodes in wanting.items():
        classes.setdefault(frozenset(nodes), []).append(key)
    full = dict(loads)
    given: dict[GroupKey, str] = {}
    # Those with the least choice first: what they must have is not to be given away before.
    for circle, keys in sorted(classes.items(), key=lambda each: (len(each[0]), sorted(each[0]))):
        if len(keys) == 1:
            (key,) = keys
            least = min(full.get(node, 0) for node in circle)
            found = {key: next(node for node in wanting[key] if full.get(node, 0) == least)}
        elif len(circle) == 1:
            found = dict.fromkeys(keys, next(iter(circle)))
        else:
            found = _match(keys, wanting, shares(circle, full, len(keys)))
        for node in found.values():
            full[node] = full.get(node, 0) + 1
        given |= found
    return given


def _match(
    keys: Iterable[GroupKey], wanting: Mapping[GroupKey, Sequence[str]], room: Mapping[str, int]
) -> dict[GroupKey, str]:
    """Each group to the node that wants it most and has room (a stable matching, of which there is just one here).

    Take away some of the pairs and their room, and the others stay as they are.
    """
    taken: dict[str, list[tuple[int, tuple[int, int], GroupKey, int]]] = {node: [] for node in room}
    for first in keys:
        key, at = first, 0
        while True:
            node = wanting[key][at]
            at += 1
            here = taken[node]
            if not room[node]:
                continue
            entry = (identity.rendezvous(identity.node_hash(node), str(key[0])), address_key(key[0]), key, at)
            if len(here) < room[node]:
                heappush(here, entry)
                break
            if here[0] < entry:
                _, _, key, at = heapreplace(here, entry)
    return {key: node for node, found in taken.items() for _, _, key, _ in found}


def is_uneven(loads: Mapping[str, int], nodes: Iterable[str], times: int = TOO_UNEVEN) -> bool:
    """Whether the fullest has more than `times` what the emptiest has, and moving one would make a difference."""
    found = [loads.get(node, 0) for node in nodes]
    return len(found) > 1 and max(found) > max(times * min(found), min(found) + 1)


def next_move(
    movable: Mapping[GroupKey, tuple[str, Sequence[str]]], loads: Mapping[str, int], nodes: Iterable[str], me: str
) -> tuple[GroupKey | None, bool]:
    """The next group that `me` is to take so that the loads get even, and whether anything at all is to move.

    All nodes draw the same list of moves, and each makes its own: from the fullest to the emptiest that may have one of
    its groups, while that makes the two more alike. So it comes to an end, and nothing goes back.

    Args:
        movable: for each group its holder and who may have it as well.
        loads: the groups that each node holds.
        nodes: those among which is balanced.
    """
    full = {node: loads.get(node, 0) for node in nodes}
    offers: dict[tuple[str, str], list[GroupKey]] = {}
    for key, (holder, others) in movable.items():
        if holder in full:
            for other in others:
                if other in full and full[holder] > full[other] + 1:
                    offers.setdefault((holder, other), []).append(key)
    moved: set[GroupKey] = set()
    while len(moved) < 2 * len(full):
        pairs = [pair for pair in offers if full[pair[0]] > full[pair[1]] + 1]
        if not pairs:
            break
        source, target = min(pairs, key=lambda pair: (full[pair[1]] - full[pair[0]], pair))
        left = [key for key in offers[source, target] if key not in moved]
        if not left:
            del offers[source, target]
            continue
        key = min(left, key=_place)
        if target == me:
            return key, True
        moved.add(key)
        full[source] -= 1
        full[target] += 1
    return None, bool(moved)


def _place(key: GroupKey) -> tuple[int, int]:
    return address_key(key[0])
