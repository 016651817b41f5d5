"""Who waits for addresses, by kind, so that nobody is asked again for whom nothing can have changed.

Services of one kind may have the same addresses from the same pools, so that where one found nothing the next of its
kind finds nothing either. A kind that found nothing is asked again once something it looks at was touched: an address
of one of its pools taken, given back, kept for somebody or quarantined; an address that it asks for by name; somebody
it might share with. What comes of it is what asking everybody in order would lead to: kinds take turns by the rank of
their first, and each goes on for as long as it finds something.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from lbctl.model.service import ServiceKey
from lbctl.plan.reason import Refusal
from lbctl.plan.sharing import SharingClass

Rank = tuple[float, str, str]
Thing = object
"""What a kind looks at: a pool by its name, an address as its code, `opened` pools, a sharing class."""
Told = tuple[Refusal, ...]

_FEW = 64


def opened(pool: str) -> Thing:
    """That an address of the pool was given back."""
    return (pool,)


class Kind:
    """Those of one kind that wait, in order.

    `told`: why there is nothing for them; None where they were not all told the same. `asked`: one was refused in this
    round, or need not be asked; `hopeless`: nothing opened since.
    """

    __slots__ = (
        "_at",
        "_fresh",
        "_order",
        "again",
        "asked",
        "hopeless",
        "members",
        "scheduled",
        "things",
        "told",
        "untold",
        "what",
    )

    def __init__(self, what: object, things: frozenset[Thing], again: frozenset[Thing]) -> None:
        self.what = what
        self.things = things
        self.again = again
        self.members: dict[ServiceKey, Rank] = {}
        self.told: Told | None = None
        self.untold: list[ServiceKey] = []
        """Those who came since one was refused, and some that left again."""
        self.asked = self.hopeless = self.scheduled = False
        self._order: list[tuple[Rank, ServiceKey]] = []
        """Members in order, and some that are none any more."""
        self._fresh: list[tuple[Rank, ServiceKey]] = []
        """Those who came since the last round."""
        self._at = 0

    def add(self, key: ServiceKey, rank: Rank) -> None:
        self.members[key] = rank
        self.untold.append(key)
        self._fresh.append((rank, key))

    def begin(self) -> None:
        """A new round: those who came meanwhile take their places."""
        if len(self._order) > 2 * len(self.members) + _FEW:
            valid = (entry for entry in self._order if self.members.get(entry[1]) is entry[0])
            self._order = list(dict.fromkeys(valid))
        else:
            del self._order[: self._first(0)]
        self._at = 0
        if len(self._fresh) > _FEW:
            self._order += self._fresh
            self._order.sort()
        else:
            for entry in self._fresh:
                insort(self._order, entry)
        self._fresh.clear()

    def _first(self, at: int) -> int:
        while at < len(self._order) and self.members.get(self._order[at][1]) is not self._order[at][0]:
            at += 1
        return at

    def next(self) -> tuple[Rank, ServiceKey] | None:
        """The first one whose turn has not passed."""
        self._at = self._first(self._at)
        return self._order[self._at] if self._at < len(self._order) else None

    def first(self) -> tuple[Rank, ServiceKey] | None:
        """The first of all."""
        self._at = 0
        return self.next()

    def pass_over(self, turn: tuple[Rank, ServiceKey]) -> None:
        """Whose turn was until then has had it."""
        self._at = max(self._at, bisect_right(self._order, turn))

    def refuse(self, found: Told) -> list[ServiceKey]:
        """Nothing for the one whose turn it is, nor for those after it; returns whom that is news for."""
        members = self.members
        if found == self.told:
            news = [key for key in dict.fromkeys(self.untold) if key in members]
        else:
            self._at = self._first(self._at)
            news = [key for rank, key in self._order[self._at :] if members.get(key) is rank]
            self.told = None if self.asked else found
        self.asked = self.hopeless = True
        self.untold.clear()
        return news


_Turn = tuple[Rank, ServiceKey, int, Kind | None]
"""The number says nothing: who went from one kind to another may have a turn left in both."""


class Sharer(NamedTuple):
    """One who might share. As long as there is no address that its sharing class might join, it is of the same kind
    (`what`) as those who share with nobody; else of a kind of its own `terms`."""

    what: object
    things: frozenset[Thing]
    again: frozenset[Thing]
    sharing: SharingClass
    terms: object

    def kind(self, *, joins: bool) -> tuple[object, frozenset[Thing], frozenset[Thing]]:
        if joins:
            return (self.what, self.terms), self.things, self.again | {self.sharing}
        return self.what, self.things, self.again


class Line:
    """All kinds that wait for the same sort of thing. The address space tells what was touched."""

    def __init__(self) -> None:
        self._touched: set[Thing] = set()
        """What somebody looks at and was touched since a round looked here."""
        self._touched_in_round: set[Thing] = set()
        self._kinds: dict[object, Kind] = {}
        self._of: dict[ServiceKey, Kind | None] = {}
        self._watchers: dict[Thing, dict[Kind, None]] = {}
        self._stale: dict[Kind, None] = {}
        self._alone: dict[ServiceKey, Rank] = {}
        self._sharers: dict[SharingClass, dict[ServiceKey, Sharer]] = {}
        self._joins: dict[SharingClass, bool] = {}
        self._shares: dict[ServiceKey, SharingClass] = {}

    def __contains__(self, key: ServiceKey) -> bool:
        return key in self._of

    def __len__(self) -> int:
        return len(self._of)

    def ranks(self) -> dict[ServiceKey, Rank]:
        """Everybody who waits, for those who look at the whole of it."""
        return {key: rank for kind in self._kinds.values() for key, rank in kind.members.items()} | self._alone

    def touch(self, code: int, pools: Iterable[str], sharing: SharingClass | None) -> None:
        """An address of the pools was taken, given back or kept for somebody; `sharing`: by whom it can be shared."""
        # What was touched before in this round has been seen to; only what opens a way does so each time.
        known, watchers = self._touched_in_round, self._watchers
        if code in watchers and code not in known:
            self._touched.add(code)
        for name in pools:
            if name in watchers and name not in known:
                self._touched.add(name)
        if sharing is not None and sharing in self._sharers:
            self._touched.add(sharing)

    def reopened(self, pools: Iterable[str]) -> None:
        """An address of the pools was given back."""
        self._touched.update(thing for thing in map(opened, pools) if thing in self._watchers)

    def join(
        self, key: ServiceKey, rank: Rank, what: object, things: frozenset[Thing], again: frozenset[Thing] = frozenset()
    ) -> None:
        """For one who does not wait yet. `what`: the kind; `things`: all that it looks at; `again`: those of them that
        may open a way for the others of the kind in the very round in which one found nothing."""
        kind = self._kinds.get(what)
        if kind is None:
            kind = self._kinds[what] = Kind(what, things, again)
            for thing in things | again:
                self._watchers.setdefault(thing, {})[kind] = None
        self._of[key] = kind
        self._stale[kind] = None
        kind.add(key, rank)

    def join_sharing(self, key: ServiceKey, rank: Rank, sharer: Sharer, *, joins: bool) -> None:
        """`joins`: whether there is an address that its sharing class might join; what others of the class were sorted
        by counts until they are sorted again."""
        self.join(key, rank, *sharer.kind(joins=self._joins.setdefault(sharer.sharing, joins)))
        self._sharers.setdefault(sharer.sharing, {})[key] = sharer
        self._shares[key] = sharer.sharing

    def _sort(self, sharing: SharingClass, *, joins: bool) -> dict[Kind, None]:
        """Puts those of a sharing class where they belong; returns the kinds that some came to."""
        came: dict[Kind, None] = {}
        if self._joins.get(sharing) is joins:
            return came
        self._joins[sharing] = joins
        for key, sharer in tuple(self._sharers.get(sharing, {}).items()):
            before, wanted = self._of[key], sharer.kind(joins=joins)
            if before is not None and before.what != wanted[0]:
                rank = before.members[key]
                self.leave(key)
                self.join_sharing(key, rank, sharer, joins=joins)
                after = self._of[key]
                if after is not None:
                    came[after] = None
        return came

    def join_alone(self, key: ServiceKey, rank: Rank) -> None:
        """Of a kind of its own, and asked in every round."""
        self.leave(key)
        self._of[key] = None
        self._alone[key] = rank

    def leave(self, key: ServiceKey) -> None:
        if key not in self._of:
            return
        kind = self._of.pop(key)
        if kind is None:
            del self._alone[key]
            return
        sharing = self._shares.pop(key, None)
        if sharing is not None:
            del self._sharers[sharing][key]
            if not self._sharers[sharing]:
                del self._sharers[sharing], self._joins[sharing]
        del kind.members[key]
        if not kind.members:
            del self._kinds[kind.what]
            self._stale.pop(kind, None)
            for thing in kind.things | kind.again:
                watchers = self._watchers[thing]
                del watchers[kind]
                if not watchers:
                    del self._watchers[thing]

    def round(self, shared: Callable[[SharingClass], bool]) -> Iterator[tuple[ServiceKey, Kind | None]]:
        """Those to be asked now, in order. Who is served leaves before the next one is taken; of a kind for which there
        is nothing, `Kind.refuse` says so, and it gets no more turns unless something opens. `shared`: whether there is
        an address that a sharing class might join."""
        touched = self._touched | self._touched_in_round
        for sharing in _classes(self._sharers, touched):
            self._sort(sharing, joins=shared(sharing))
        woken = self._stale
        for thing in touched:
            woken.update(self._watchers.get(thing, {}))
        self._stale = {}
        self._touched.clear()
        self._touched_in_round.clear()
        for kind in tuple(woken):
            kind.begin()
        heap: list[_Turn] = [(rank, key, 0, None) for key, rank in self._alone.items()]
        heapify(heap)
        seen: dict[Kind, None] = {}
        for kind in woken:
            self._schedule(kind, heap, seen)
        while heap:
            rank, key, _, kind_or_none = heappop(heap)
            if kind_or_none is not None:
                kind_or_none.scheduled = False
                if kind_or_none.members.get(key) is not rank:
                    self._schedule(kind_or_none, heap, seen)
                    continue
            elif self._alone.get(key) is not rank:
                continue
            yield key, kind_or_none
            if kind_or_none is not None and not kind_or_none.hopeless:
                self._schedule(kind_or_none, heap, seen)
            if self._touched:
                self._wake((rank, key), heap, seen)
        for kind in seen:
            kind.asked = kind.hopeless = kind.scheduled = False

    def _schedule(self, kind: Kind, heap: list[_Turn], seen: dict[Kind, None]) -> None:
        first = None if kind.scheduled else kind.next()
        if first is not None:
            seen[kind] = None
            kind.scheduled, kind.hopeless = True, False
            heappush(heap, (*first, id(kind), kind))

    def _wake(
        self,
        turn: tuple[Rank, ServiceKey],
        heap: list[_Turn],
        seen: dict[Kind, None],
    ) -> None:
        for sharing in _classes(self._sharers, self._touched):
            for kind in self._sort(sharing, joins=True):
                if not kind.scheduled:
                    # What they were told among others they would be told now, up to this turn.
                    kind.begin()
                    kind.asked = kind.hopeless = True
                    seen[kind] = None
        for thing in self._touched:
            known = thing in self._touched_in_round
            for kind in self._watchers.get(thing, ()):
                if kind.scheduled:
                    continue
                if kind not in seen:
                    first = None if known and thing not in kind.again else kind.first()
                    if first is None:
                        continue
                    if first > turn:
                        self._schedule(kind, heap, seen)
                        continue
                    # What it was told in an earlier round it would be told at the turn of its first one in this round.
                    kind.asked = kind.hopeless = True
                    seen[kind] = None
                if kind.hopeless and thing in kind.again:
                    kind.pass_over(turn)
                    self._schedule(kind, heap, seen)
        self._touched_in_round |= self._touched
        self._touched.clear()


def _classes(sharers: Mapping[SharingClass, object], touched: set[Thing]) -> list[SharingClass]:
    return [thing for thing in touched if isinstance(thing, tuple) and len(thing) == 2 and thing in sharers]
