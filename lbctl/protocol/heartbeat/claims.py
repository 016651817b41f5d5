"""Who claims what: my own list, complete copies of everybody else's, and the comparison that settles two claims.

A list has one writer, its owner. A copy is complete when every change up to the version of the owner's newest digest
has arrived and count and hash agree; until then nothing new is claimed (a joiner would take what others hold).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice

from lbctl.protocol.heartbeat.changes import MAX_WANTED, Changes, Claim, decode_claim, encode_claim, pack_changes
from lbctl.protocol.heartbeat.identity import rendezvous
from lbctl.protocol.heartbeat.packet import Digest

EPOCH_JUMP = 2**20
"""A claim further than this above what is known of its address is a bug or a lie: it would own the address for good."""
MAX_FIRST_EPOCH = 2**40
"""The bound for an address of which nothing is known yet."""
MAX_CLAIMS = 65_536
"""Claims of one owner, and the number of dropped addresses an owner remembers."""
_MAX_SPANS = 256
_PER_PACKET = 20


def better(mine: Claim, my_node: int, other: Claim, other_node: int) -> bool:
    """Whether `mine` keeps the address against `other`: quorate, then the newer grant, the epoch, the rendezvous hash.

    Quorate comes first so that a node that was cut off cannot win, by epochs it raised alone, what a majority holds.
    The grant comes before the epoch: who still holds an address for a service that lost it is wrong, however often it
    moved there. A grant that is not known is the oldest: with any other rule three claims could each lose to one.
    """
    return _rank(mine, my_node) > _rank(other, other_node)


def _rank(claim: Claim, node: int) -> tuple[bool, int, int, int]:
    return claim.quorate, claim.allocation, claim.epoch, rendezvous(node, claim.address)


def entry_hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


class OwnClaims:
    """My list. Every change gets the next number; the log of numbers is compacted as it outgrows the list."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self.version = 0
        self.hash = 0
        self.floor = 0
        self._entries: dict[str, tuple[int, bytes]] = {}
        self._drops: dict[str, int] = {}
        self._log: list[tuple[int, str]] = []

    def put(self, claim: Claim) -> None:
        content = encode_claim(claim)
        self._unlist(claim.address)
        self.version += 1
        self._drops.pop(claim.address, None)
        self.claims[claim.address] = claim
        self._entries[claim.address] = (self.version, content)
        self.hash = (self.hash + entry_hash(content)) % 2**64
        self._note(claim.address)

    def drop(self, address: str) -> Claim | None:
        claim = self.claims.pop(address, None)
        if claim is None:
            return None
        self._unlist(address)
        self.version += 1
        self._drops[address] = self.version
        if len(self._drops) > MAX_CLAIMS:
            oldest = next(iter(self._drops))
            self.floor = self._drops.pop(oldest)
        self._note(address)
        return claim

    def digest(self, node: int, incarnation: int) -> Digest:
        return Digest(node, incarnation, self.version, len(self.claims), self.hash)

    def bodies(self, after: int, upto: int, *, packets: int, answer: bool = False) -> list[bytes]:
        """CLAIMS bodies for the changes in (after, upto], about `packets` of them; the rest is for the next request.

        With `answer` the last one is marked, so that the asker asks on at once.
        """
        upto = min(upto, self.version)
        if after >= upto:
            return []
        entries = list(islice(self._changed(after, upto), packets * _PER_PACKET))
        if len(entries) == packets * _PER_PACKET:
            upto = entries[-1][0]
        return pack_changes((after, upto), entries, floor=self.floor, version=self.version, final=answer)

    def _changed(self, after: int, upto: int) -> Iterator[tuple[int, bytes | str]]:
        at = bisect_right(self._log, (after, "\U0010ffff"))
        for number, address in self._log[at:]:
            if number > upto:
                return
            entry = self._entries.get(address)
            if entry is not None and entry[0] == number:
                yield number, entry[1]
            elif self._drops.get(address) == number:
                yield number, address

    def _unlist(self, address: str) -> None:
        entry = self._entries.pop(address, None)
        if entry is not None:
            self.hash = (self.hash - entry_hash(entry[1])) % 2**64

    def _note(self, address: str) -> None:
        self._log.append((self.version, address))
        if len(self._log) > 2 * (len(self._entries) + len(self._drops)) + 1024:
            self._log = sorted((number, at) for at, (number, _) in self._entries.items())
            self._log += [(number, at) for at, number in self._drops.items()]
            self._log.sort()


class CopiedClaims:
    """My copy of one owner's list, for one incarnation of it."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self.refused: set[str] = set()
        self.digest: Digest | None = None
        self._entries: dict[str, tuple[int, int]] = {}
        self._dropped: dict[str, int] = {}
        self._hash = 0
        self._version = 0
        self._spans: list[tuple[int, int]] = []

    @property
    def upto(self) -> int:
        """Everything up to this change is here."""
        return self._spans[0][1] if self._spans and self._spans[0][0] == 0 else 0

    @property
    def complete(self) -> bool:
        """Whether this is the list of the newest digest. Unknown owners are not complete."""
        return self.digest is not None and self.upto >= self._version

    def holds(self, address: str) -> bool:
        """Whether the owner claims an address and is believed."""
        return address in self.claims and address not in self.refused

    def learn_digest(self, digest: Digest) -> bool:
        """Takes the owner's word on its list; False when all of it was here and it is not what the owner has."""
        if self.digest is None or digest.version >= self.digest.version:
            self.digest = digest
        self._version = max(self._version, digest.version)
        return self._agrees()

    def apply(self, changes: Changes) -> tuple[list[str], list[str]] | None:
        """Addresses set and dropped by a packet; None when the copy cannot be right and must be asked for anew."""
        if changes.upto <= self.upto or len(self._spans) >= _MAX_SPANS:
            return [], []
        if 0 < self.upto < changes.floor:
            return None
        put: list[str] = []
        gone: list[str] = []
        for number, content in changes.claims:
            claim = decode_claim(content)
            if claim is None or number <= self._newest(claim.address):
                continue
            if len(self.claims) >= MAX_CLAIMS and claim.address not in self.claims:
                continue
            self._forget(claim.address)
            self._dropped.pop(claim.address, None)
            content_hash = entry_hash(content)
            self._entries[claim.address] = (number, content_hash)
            self._hash = (self._hash + content_hash) % 2**64
            self.claims[claim.address] = claim
            put.append(claim.address)
        for number, address in changes.drops:
            if number <= self._newest(address):
                continue
            if self._forget(address):
                gone.append(address)
            self._dropped[address] = number
        self._cover(changes.after, changes.upto)
        self._version = max(self._version, changes.version)
        if not self._agrees():
            return None
        return put, gone

    def news_of_drops(self, changes: Changes) -> list[str]:
        """The addresses a packet says are dropped, as far as that is new; also those whose claim never came here."""
        if changes.upto <= self.upto:
            return []
        return [address for number, address in changes.drops if number > self._newest(address)]

    def missing(self) -> tuple[tuple[int, int], ...]:
        """The spans to ask for, oldest first; none when the copy is complete."""
        if self.digest is None or self.complete:
            return ()
        holes: list[tuple[int, int]] = []
        at = 0
        for after, upto in self._spans:
            if after >= self._version:
                break
            if after > at:
                holes.append((at, after))
            at = upto
        if at < self._version:
            holes.append((at, self._version))
        return tuple(holes[:MAX_WANTED])

    def _newest(self, address: str) -> int:
        entry = self._entries.get(address)
        return entry[0] if entry is not None else self._dropped.get(address, 0)

    def _forget(self, address: str) -> bool:
        entry = self._entries.pop(address, None)
        self.refused.discard(address)
        if entry is None:
            return False
        self._hash = (self._hash - entry[1]) % 2**64
        del self.claims[address]
        return True

    def _cover(self, after: int, upto: int) -> None:
        spans: list[tuple[int, int]] = []
        for low, high in sorted([*self._spans, (after, upto)]):
            if spans and low <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(high, spans[-1][1]))
            else:
                spans.append((low, high))
        self._spans = spans
        if self._dropped and (prefix := self.upto):
            self._dropped = {address: number for address, number in self._dropped.items() if number > prefix}

    def _agrees(self) -> bool:
        digest = self.digest
        if digest is None or self.upto != digest.version or digest.version != self._version or len(self._spans) > 1:
            return True  # the list moved on while its parts were on the way: the next digest will tell
        return (len(self.claims), self._hash) == (digest.claims, digest.hash)


class ClaimTable:
    """My list and all copies, and the highest epoch ever known of each address."""

    def __init__(self, node: int) -> None:
        self.node = node
        self.own = OwnClaims()
        self.copies: dict[tuple[int, int], CopiedClaims] = {}
        self.epochs: dict[str, int] = {}

    def copy(self, owner: tuple[int, int]) -> CopiedClaims:
        """The copy of an owner's (node, incarnation) list, made when first asked for."""
        copy = self.copies.get(owner)
        if copy is None:
            copy = self.copies[owner] = CopiedClaims()
        return copy

    def learn(self, owner: tuple[int, int], addresses: list[str]) -> list[str]:
        """Takes note of the epochs of claims just copied; returns the addresses whose jump in epoch is refused."""
        copy = self.copies[owner]
        refused = []
        for address in addresses:
            epoch = copy.claims[address].epoch
            known = self.epochs.get(address)
            if epoch > (MAX_FIRST_EPOCH if known is None else known + EPOCH_JUMP):
                copy.refused.add(address)
                refused.append(address)
            elif known is None or epoch > known:
                self.epochs[address] = epoch
        return refused

    def restore(self, address: str, epoch: int) -> None:
        """What a journal remembers: an epoch never goes back, not even over a restart."""
        self.epochs[address] = max(self.epochs.get(address, 0), min(epoch, MAX_FIRST_EPOCH))

    def next_epoch(self, address: str) -> int:
        return self.epochs.get(address, 0) + 1

    def claim_of(self, owner: tuple[int, int], address: str) -> Claim | None:
        """An owner's claim, unless it is refused."""
        copy = self.copies.get(owner)
        if copy is None or address in copy.refused:
            return None
        return copy.claims.get(address)
