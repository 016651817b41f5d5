"""How a member speaks: one numbered, signed packet after the other, on the lanes it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lbctl.protocol.heartbeat.auth import Keyring
from lbctl.protocol.heartbeat.identity import cluster_hash
from lbctl.protocol.heartbeat.packet import SIGNED, Header, Kind, Role, Saying, encode_header
from lbctl.protocol.heartbeat.segments import Address, Lane, Settings
from lbctl.protocol.machine import Report, Send


class Voice:
    """Packets out, in order; `out` also takes the reports that belong between them.

    `silent`: nothing is said, because another node has my name. `flags` go into the header of every beat.
    """

    def __init__(self, me: tuple[int, int], settings: Settings) -> None:
        self.settings = settings
        self.silent = False
        self.flags = 0
        self.lanes: dict[int, Lane] = {}
        self.out: list[Send | Report] = []
        self.saying = Saying.ALIVE
        self.counters: Counter[str] = Counter()
        self.keyring = Keyring(settings.cluster, settings.keys)
        self.cluster = cluster_hash(settings.cluster)
        self.me = me
        self._sequence = 0

    def send(self, kind: Kind, body: bytes, lane: Lane, to: Sequence[Address], now: float, *, part: int = 0) -> None:
        """One packet to some addresses on a lane: the same bytes to each."""
        settings = self.settings
        if self.silent:
            return
        self._sequence += 1
        header = Header(
            kind=kind,
            node=self.me[0],
            incarnation=self.me[1],
            sequence=self._sequence,
            sent_us=int(now * 1_000_000) % 2**64,
            segment=lane.tag,
            interval_ms=round(settings.interval * 1000),
            multiplier=settings.multiplier,
            saying=self.saying,
            role=Role.OBSERVER if settings.observer else Role.SPEAKER,
            flags=self.flags | (SIGNED if self.keyring.signs else 0),
            part=part,
        )
        packet = self.keyring.sign(encode_header(header, self.cluster) + body, lane.source)
        via = lane.segment.ifindex
        self.out += [Send(packet, via, address) for address in to]
        self.counters["tx_packets"] += len(to)

    def report(self, name: str, fields: dict[str, object]) -> None:
        self.out.append(Report(name, fields))

    def note(self, name: str, **fields: object) -> None:
        """A line for the log."""
        self.report("note", {"name": name, "fields": fields})
