"""The contract every protocol machine keeps, so that one drive loop serves them all.

A machine is told what happened (`received(packet, now)`, `connected`, `closed`), says when it next wants to be
woken (`next_timeout() -> deadline or None`), is woken (`handle_timeout(now)`), and hands out what is to be done
as one ordered list (`outputs()`), because the order of a NOTIFICATION and its Close is part of the protocol.

Machines never read a clock, a socket, a file or a random number. `now` is seconds on one monotonic clock;
jitter, incarnations and discriminators come in as arguments. Receiving never raises for a peer's fault: bad bytes
cost a counter or an answer. Constructors only store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NewType, Protocol

Seconds = NewType("Seconds", float)
"""A duration, or a moment on the monotonic clock, in seconds."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to put on the wire.

    `via` is the interface index for frames, or a socket's own key; `to` is a transport address where the transport
    needs one (heartbeats), else None (a whole Ethernet frame carries its own destination).
    """

    payload: bytes
    via: int
    to: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A fact for the layer above: `name` is a constant event name, `fields` its values."""

    name: str
    fields: dict[str, Any]


class Machine(Protocol):
    """What a drive loop needs of a packet machine besides `received`."""

    def next_timeout(self) -> float | None: ...

    def handle_timeout(self, now: float) -> None: ...

    def outputs(self) -> list[Send | Report]: ...
