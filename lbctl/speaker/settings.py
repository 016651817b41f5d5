"""What the operator says of a speaker."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lbctl.model.address import IPAddress
from lbctl.net.key_file import Keys
from lbctl.speaker.first_use import RECHECK_TIME
from lbctl.speaker.start_wait import START_WAIT

GROUP4 = "239.255.76.66"
GROUP6 = "ff02::4c42"
DEFAULT_PORT = 7966


class StartError(Exception):
    """The speaker cannot start; the text says why and what to do, in one line."""


HANDOVER_TIME = 600.0
"""Seconds for which connections that were open when an address moved here go on through the node before."""


class Preset(Enum):
    """Interval in seconds and detect multiplier of the heartbeats."""

    FAST = (0.02, 3)
    DEFAULT = (0.05, 3)
    RELAXED = (0.3, 3)

    @property
    def interval(self) -> float:
        return self.value[0]

    @property
    def multiplier(self) -> int:
        return self.value[1]


class OwnershipMode(Enum):
    """What each side of a partition may do. All speakers of a cluster must have the same."""

    AVAILABILITY = "availability"
    """Every side has an owner; the smaller one's gives way when the partition heals."""
    SAFETY = "safety"
    """Only a majority of the configured speakers takes anything, and nobody else answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator said. `preset` None: the default one, or relaxed where real time is not allowed."""

    node: str
    state: Path
    published: Path
    socket: Path
    listen: tuple[str, int] | None = None
    interfaces: tuple[str, ...] = ()
    peers: tuple[IPAddress, ...] = ()
    cluster: str = "default"
    keys: Keys = ()
    preset: Preset | None = None
    ownership: OwnershipMode = OwnershipMode.AVAILABILITY
    start_wait: float = START_WAIT
    port: int = DEFAULT_PORT
    proxy: bool = True
    recheck_time: float = RECHECK_TIME
    handover_time: float = HANDOVER_TIME


def default_node() -> str:
    """The host's name, without its domain."""
    return socket.gethostname().split(".")[0]
