"""The two other processes of a speaker: how they are started, spoken to and noticed when they end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

from lbctl.net.channel import Channel, ChannelClosed

Message = dict[str, Any]
LEASE = struct.Struct("<d")
"""The lease page holds one CLOCK_MONOTONIC deadline at offset 0 (docs/processes.md)."""
_PAGE = 4096


class Child:
    """One process and the channel to it.

    `on_messages` gets what it says, `on_end` once why it is gone (for people). Both are called by the event loop.
    """

    def __init__(
        self,
        name: str,
        process: subprocess.Popen[bytes],
        channel: Channel,
        on_messages: Callable[[list[Message]], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._channel = channel
        self._on_messages = on_messages
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(process.pid)
        self._writing = False
        self._closed = False
        self.ended = asyncio.Event()
        """Set when the process is no more."""
        self._loop.add_reader(channel.fileno(), self._readable)
        self._loop.add_reader(self._pidfd, self._exited)

    def send(self, messages: Iterable[Message]) -> None:
        """Queues them. A process that is gone is noticed by `on_end`, not here."""
        if self._closed:
            return
        try:
            for message in messages:
                self._channel.send(message)
        except ChannelClosed as error:
            self._lose(error)
        else:
            self._want_write()

    def close(self) -> None:
        """Closes the channel, which the process takes as the end."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._channel.fileno())
            if self._writing:
                self._loop.remove_writer(self._channel.fileno())
            self._channel.close()

    def kill(self) -> None:
        """Ends the process whether it wants or not, and waits for it."""
        self.close()
        if self._process.poll() is None:
            self._process.kill()
            # A stopped process dies of SIGKILL too.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
        self._forget()

    def _readable(self) -> None:
        try:
            messages = self._channel.receive()
        except ChannelClosed as error:
            self._lose(error)
        else:
            if messages:
                self._on_messages(messages)

    def _want_write(self) -> None:
        wants = self._channel.wants_write
        if wants and not self._writing:
            self._loop.add_writer(self._channel.fileno(), self._writable)
        elif self._writing and not wants:
            self._loop.remove_writer(self._channel.fileno())
        self._writing = wants

    def _writable(self) -> None:
        try:
            self._channel.flush()
        except ChannelClosed as error:
            self._lose(error)
        else:
            self._want_write()

    def _lose(self, error: ChannelClosed) -> None:
        if self._closed:
            return
        self.close()
        # Its exit status says more than its closed channel, and comes a moment later.
        self._loop.call_later(0.2, self._report, f"{self.name} closed its channel ({error})")

    def _exited(self) -> None:
        status = self._process.wait()
        if not self._closed:
            # What it said last still counts.
            with contextlib.suppress(ChannelClosed):
                while messages := self._channel.receive():
                    self._on_messages(messages)
        self.close()
        self._forget()
        self._report(f"{self.name} ended, {_status_text(status)}")

    def _forget(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self.ended.set()

    def _report(self, why: str) -> None:
        on_end, self._on_end = self._on_end, _nothing
        on_end(why)


def start_children(
    *,
    on_pulse: Callable[[list[Message]], None],
    on_wire: Callable[[list[Message]], None],
    on_end: Callable[[str], None],
) -> tuple[Child, Child]:
    """Starts pulse and wire, joined with us and with each other. Raises OSError."""
    work_pulse, pulse_work = socket.socketpair()
    work_wire, wire_work = socket.socketpair()
    pulse_wire, wire_pulse = socket.socketpair()
    lease = os.memfd_create("lbctl-lease", os.MFD_CLOEXEC)
    try:
        os.ftruncate(lease, _PAGE)
        os.pwrite(lease, LEASE.pack(0.0), 0)
        pulse = _spawn("pulse", {"work": pulse_work.fileno(), "wire": pulse_wire.fileno(), "lease": lease})
        try:
            wire = _spawn("wire", {"work": wire_work.fileno(), "pulse": wire_pulse.fileno(), "lease": lease})
        except OSError:
            pulse.kill()
            pulse.wait()
            raise
    except OSError:
        work_pulse.close()
        work_wire.close()
        raise
    finally:
        # Only the children hold their ends now; were we to keep one, its closing would go unnoticed.
        for end in (pulse_work, wire_work, pulse_wire, wire_pulse):
            end.close()
        os.close(lease)
    return (
        Child("pulse", pulse, Channel(work_pulse), on_pulse, on_end),
        Child("wire", wire, Channel(work_wire), on_wire, on_end),
    )


def _spawn(name: str, fds: dict[str, int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", f"lbctl.speaker.{name}", json.dumps(fds)],
        stdin=subprocess.DEVNULL,
        # Ours carries `ready` and nothing else.
        stdout=sys.stderr.fileno(),
        pass_fds=tuple(fds.values()),
    )


def _status_text(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _nothing(_why: str) -> None:
    """Told already."""
