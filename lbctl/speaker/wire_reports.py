"""What the wire process tells work and pulse. Nothing grows here because one of them is stuck or a segment hostile.

Each kind of thing waits in a place of bounded size until its reader takes it: announcements and answers to probes by
address, notes in a ring, counters not at all. What strangers can cause is limited to so many messages a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from lbctl.net.channel import Channel, Message
from lbctl.net.packed_address import text_of
from lbctl.protocol.l2.conflict import Conflict
from lbctl.protocol.l2.ethernet import mac_to_text
from lbctl.protocol.l2.responder import Responder
from lbctl.protocol.machine import Report

SEEN_A_SECOND = 256
"""Messages about other stations: each costs work as much as wire."""
_NOTES_KEPT = 64


class WireReports:
    """Collects, and sends what the channels take. Raises ChannelClosed where it sends."""

    def __init__(self, work: Channel, pulse: Channel) -> None:
        self._work = work
        self._pulse = pulse
        self._announced: dict[str, float] = {}
        self._probed: dict[str, list[Any]] = {}
        self._found: dict[str, list[Any]] = {}
        self._notes: deque[Message] = deque(maxlen=_NOTES_KEPT)
        self._second = 0.0
        self._seen = 0
        self.suppressed = 0
        """Messages about other stations that were not sent."""

    def note(self, name: str, **fields: Any) -> None:
        """For the log of the work process. The oldest are lost when it does not read for long."""
        self._notes.append({"op": "note", "name": name, "fields": fields})

    def announced(self, addresses: Iterable[bytes], at_unix: float) -> None:
        self._announced.update((text_of(address), at_unix) for address in addresses)

    def probed(self, address: bytes, mac: bytes | None, ifindex: int | None) -> None:
        """For work: who has an address before its first use; None = nobody."""
        text = text_of(address)
        self._probed[text] = [text, mac_to_text(mac) if mac is not None else None, ifindex]

    def found(self, address: bytes, mac: bytes | None, _: int | None) -> None:
        """For pulse: who has an address that it thinks of taking; None = nobody. Where is all the same to it."""
        text = text_of(address)
        self._found[text] = [text, mac_to_text(mac) if mac is not None else None]

    def forget(self, text: str, *, found: bool) -> None:
        """Nobody wants to know of this address any more."""
        (self._found if found else self._probed).pop(text, None)

    def saw(self, report: Report, now: float, at_unix: float) -> None:
        """A station that says an address of ours, by the name of the report."""
        if now - self._second >= 1.0:
            self._second, self._seen = now, 0
        if self._work.wants_write or self._seen >= SEEN_A_SECOND:
            self.suppressed += 1
            return
        self._seen += 1
        fields = report.fields
        self._work.send(
            {
                "op": report.name,
                "address": text_of(fields["address"]),
                "mac": mac_to_text(fields["mac"]),
                "ifindex": fields["ifindex"],
                "at_unix": at_unix,
            }
        )

    def count(self, responder: Responder, conflict: Conflict, more: dict[str, int]) -> None:
        """What was answered, refused and noticed so far. Not kept when work does not read: the next ones say it too."""
        if self._work.wants_write:
            return
        counters = {
            "arp_answers": responder.arp_answers,
            "ndp_answers": responder.ndp_answers,
            "foreign": conflict.foreign,
            "foreign_suppressed": conflict.suppressed,
            "defences": conflict.defences,
            "reports_suppressed": self.suppressed,
            **more,
        }
        counters.update((f"dropped_{reason.value}", count) for reason, count in responder.dropped.items())
        self._work.send({"op": "counters", "counters": counters})

    def send(self) -> None:
        """Passes on what waits, as long as it is read."""
        self._tell_pulse()
        work = self._work
        if work.wants_write:
            work.flush()
        if self._announced and not work.wants_write:
            by_time: dict[float, list[str]] = {}
            for address, at in self._announced.items():
                by_time.setdefault(at, []).append(address)
            self._announced.clear()
            for at, addresses in by_time.items():
                work.send({"op": "announced", "addresses": addresses, "at_unix": at})
        if self._probed and not work.wants_write:
            results = list(self._probed.values())
            self._probed.clear()
            work.send({"op": "probed", "results": results})
        while self._notes and not work.wants_write:
            work.send(self._notes.popleft())

    def _tell_pulse(self) -> None:
        pulse = self._pulse
        if pulse.wants_write:
            pulse.flush()
        if self._found and not pulse.wants_write:
            results = list(self._found.values())
            self._found.clear()
            pulse.send({"op": "probed", "results": results})
