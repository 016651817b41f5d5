"""What this process may do (capabilities(7)), and how to give it what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_NET_ADMIN, _NET_RAW, _SYS_NICE = 12, 13, 23


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Raw sockets for ARP and NDP and netfilter are needed; real-time scheduling is wished for."""

    net_raw: bool
    net_admin: bool
    sys_nice: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """The needed ones that are not there, by name."""
        needed = (("CAP_NET_RAW", self.net_raw), ("CAP_NET_ADMIN", self.net_admin))
        return tuple(name for name, there in needed if not there)

    def document(self) -> dict[str, bool]:
        return {"net_raw": self.net_raw, "net_admin": self.net_admin, "sys_nice": self.sys_nice}


def read_capabilities(status: Path = Path("/proc/self/status")) -> Capabilities:
    """The effective capabilities of this process."""
    held = 0
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
    return Capabilities(
        net_raw=bool(held >> _NET_RAW & 1),
        net_admin=bool(held >> _NET_ADMIN & 1),
        sys_nice=bool(held >> _SYS_NICE & 1),
    )


def how_to_give(missing: tuple[str, ...]) -> str:
    """One line: what is missing, and where it comes from."""
    names = " and ".join(missing)
    verb = "is" if len(missing) == 1 else "are"
    unit = f"AmbientCapabilities={' '.join(missing)}"
    return f"{names} {verb} missing; run as root, or write {unit} into the systemd unit"
