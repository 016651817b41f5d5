"""A speaker that lost one of its processes starts anew in place: the same command line in the same process.

Whoever looks after it (systemd, a container, nobody at all) sees one process with one pid that goes on. Everything
else is as at any start: a new incarnation, and the others are asked who has what. The count goes along in the
environment, because the new program shares nothing else with the old one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass

from lbctl.telemetry.log import event

_logger = logging.getLogger("lbctl.speaker")
MOST = 5
"""Restarts within WITHIN seconds; who fails oftener ends, for others to see it."""
WITHIN = 60.0
DELAYS = (0.0, 1.0, 2.0, 4.0)
"""Seconds before the first, second... of these restarts; the last one holds for all after it."""
TOLD_FOR = 300.0
"""Seconds for which the status names the last restart."""
_VARIABLE = "LBCTL_RESTARTS"
_STOPS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """When this process started anew, in seconds of CLOCK_MONOTONIC, oldest first, and why it last did."""

    at: tuple[float, ...] = ()
    why: str = ""

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> Restarts:
        """What the program before us in this process left there, which no child of ours shall see."""
        try:
            left = json.loads(environment.pop(_VARIABLE, "{}"))
            return cls(at=tuple(float(at) for at in left["at"]), why=str(left["why"]))
        except (ValueError, TypeError, KeyError):
            return cls()

    def text(self) -> str:
        return json.dumps({"at": self.at, "why": self.why})

    def delay(self, now: float) -> float | None:
        """Seconds to wait before the next one; None when there were enough of them."""
        lately = sum(at > now - WITHIN for at in self.at)
        return DELAYS[min(lately, len(DELAYS) - 1)] if lately < MOST else None

    def once_more(self, now: float, why: str) -> Restarts:
        return Restarts(at=(*(at for at in self.at if at > now - WITHIN), now), why=why)

    def troubles(self, now: float) -> tuple[str, ...]:
        """What the status says of it."""
        if not self.at or now - self.at[-1] >= TOLD_FOR:
            return ()
        often = f", {len(self.at)} times within {WITHIN:g} s" if len(self.at) > 1 else ""
        return (f"this speaker restarted itself {now - self.at[-1]:.0f} s ago{often}: {self.why}",)


def start_anew(restarts: Restarts, why: str, *, now: float) -> bool:
    """Replaces this program by itself, after the pause that is due. It returns only when that is not to be:

    True when it was asked to stop meanwhile, False when it has restarted too often or cannot.
    """
    delay = restarts.delay(now)
    if delay is None:
        event(_logger, "given_up", level=logging.ERROR, why=why, restarts=MOST, within=WITHIN)
        return False
    if not sys.executable:
        event(_logger, "cannot_restart", level=logging.ERROR, why="this Python does not know where it is")
        return False
    following = restarts.once_more(now + delay, why)
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        event(_logger, "restarting", level=logging.WARNING, why=why, number=len(following.at), wait=delay)
        if signal.sigtimedwait(_STOPS, delay) is not None:
            event(_logger, "stopped")
            return True
    finally:
        # The new program would begin deaf to them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    _forget_children()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    try:
        os.execve(
            sys.executable,
            [sys.executable, *sys.orig_argv[1:]],
            {**os.environ, _VARIABLE: following.text()},
        )
    except OSError as error:
        event(_logger, "cannot_restart", level=logging.ERROR, why=f"{sys.executable}: {error.strerror}")
    return False


def _forget_children() -> None:
    """The new program would not know whom it still has to wait for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
