"""The other end of prober.py: waits for what it says, and reads what it measured."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from lbctl.lab.namespaces import LabError
from lbctl.lab.prober import Mode

__all__ = ["Mode", "Probe", "ProbeResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a probe saw from beginning to end. Milliseconds."""

    sent: int
    answered: int
    gap_ms: float | None
    """The longest time between two answers; None when there never was one."""
    late_ms: float
    """How much the prober itself was late at worst: the trust to put into `gap_ms`."""
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    by: dict[str, int]
    """Answers by backend (http and udp)."""

    @property
    def lost(self) -> int:
        return self.sent - self.answered


class Probe:
    """A prober that runs. As a context manager it is stopped at the end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._unread = b""
        self._heard: list[dict[str, Any]] = []
        self._result: ProbeResult | None = None

    @staticmethod
    def command(target: str, port: int, mode: Mode, every: float) -> list[str]:
        """Its command line; `every` in seconds."""
        options = ["--port", str(port), "--mode", mode, "--every", str(every * 1000)]
        return [sys.executable, "-m", "lbctl.lab.prober", target, *options]

    def wait(self, event: str, within: float = 30.0) -> dict[str, Any]:
        """The next line of this event (those before it are passed over). Raises LabError when none comes in time."""
        deadline = time.monotonic() + within
        while True:
            while self._heard:
                line = self._heard.pop(0)
                if line["event"] == event:
                    return line
            if not self._read(deadline):
                raise LabError(f"the prober did not say {event!r} within {within:g} s")

    def stop(self) -> ProbeResult:
        """Ends it; what it measured."""
        if self._result is None:
            self._process.send_signal(signal.SIGTERM)
            fields = self.wait("end")
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._result = _result(fields)
        return self._result

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self.stop()
        else:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _read(self, deadline: float) -> bool:
        """Takes in what the prober said; False at the deadline, or at its end."""
        stdout = self._process.stdout
        assert stdout is not None
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
        chunk = os.read(stdout.fileno(), 65536)
        if not chunk:
            return False
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        self._heard += [json.loads(line) for line in lines]
        return True


def _result(fields: dict[str, Any]) -> ProbeResult:
    return ProbeResult(**{name: fields[name] for name in ProbeResult.__dataclass_fields__})
