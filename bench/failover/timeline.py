"""What a list of frames says of a failure. Pure: frames and times in, figures out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from bench.failover.observer import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """How the addresses of one node came to others."""

    last: float | None
    """Seconds from the fault to the last address's first frame of a new owner; None: some never had one."""
    moved: int
    missing: int
    """Addresses that no new owner has said."""
    doubled: int
    """Answers of another node than the new owner after the new owner's first frame."""


def owners(frames: Iterable[Frame], since: int) -> Mapping[str, frozenset[str]]:
    """Who answered for each address after `since`."""
    found: dict[str, set[str]] = {}
    for frame in frames:
        if frame.answer and frame.at >= since:
            found.setdefault(frame.vip, set()).add(frame.mac)
    return {vip: frozenset(macs) for vip, macs in found.items()}


def takeover(frames: Iterable[Frame], vips: Collection[str], *, old: str, fault: int, until: int) -> Takeover:
    """Judges what happened to `vips`, which `old` (a MAC) held, from `fault` to `until`."""
    first: dict[str, Frame] = {}
    doubled = 0
    for frame in sorted(frames):
        if frame.vip not in vips or not fault <= frame.at < until:
            continue
        if (new := first.get(frame.vip)) is None:
            if frame.mac != old:
                first[frame.vip] = frame
        elif frame.answer and frame.mac != new.mac:
            doubled += 1
    missing = len(vips) - len(first)
    last = None if missing else max((frame.at for frame in first.values()), default=fault)
    return Takeover(
        last=None if last is None else (last - fault) / 1e9, moved=len(first), missing=missing, doubled=doubled
    )


def longest_silence(frames: Iterable[Frame], vips: Collection[str], *, since: int, until: int) -> float:
    """Seconds that the most silent address was not answered for, its questions' spacing included."""
    times: dict[str, list[int]] = {vip: [since] for vip in vips}
    for frame in sorted(frames):
        if frame.answer and frame.vip in times and since <= frame.at < until:
            times[frame.vip].append(frame.at)
    worst = 0
    for found in times.values():
        found.append(until)
        worst = max(worst, *(later - earlier for earlier, later in pairwise(found)))
    return worst / 1e9


def settled_after(frames: Iterable[Frame], final: Mapping[str, str], *, since: int) -> float:
    """Seconds from `since` to the last answer of anybody but the `final` owner; 0 when there was none."""
    late = [
        frame.at
        for frame in frames
        if frame.answer and frame.at >= since and final.get(frame.vip, frame.mac) != frame.mac
    ]
    return (max(late, default=since) - since) / 1e9
