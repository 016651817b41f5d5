"""Members: speakers (and observers) as their heartbeats show them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lbctl.model.address import IPAddress


class Liveness(StrEnum):
    """What is known of a member: alive, draining (alive, and handing over before it ends), suspect (silent, not
    agreed), gone (agreed), left (said so)."""

    ALIVE = "alive"
    DRAINING = "draining"
    SUSPECT = "suspect"
    GONE = "gone"
    LEFT = "left"


class Role(StrEnum):
    SPEAKER = "speaker"
    OBSERVER = "observer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """What a speaker found when it probed an address: the MAC that answered, lower-case text with colons.

    `mac` empty: nobody answers any more, an address that was quarantined is free again.
    """

    address: IPAddress
    mac: str
    interface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of the heartbeat group. `two_way`: it says that it hears us too.

    `macs` are pairs (MAC address, interface name) that it speaks from. `conflicts`: what its probes found that the
    World does not say yet; a few at a time. `detection_time`: for how many seconds it may be silent. `held_until_unix`:
    it came and went too often, and until then it is given nothing that another can have (`plan.holddown`).
    """

    node: str
    incarnation: int
    state: Liveness
    two_way: bool
    role: Role = Role.SPEAKER
    addresses: tuple[IPAddress, ...] = ()
    macs: tuple[tuple[str, str], ...] = ()
    since_unix: float = 0.0
    detection_time: float = 0.15
    cause: str = ""
    conflicts: tuple[Conflict, ...] = ()
    held_until_unix: float = 0.0
