"""A real wire process, driven through real socketpairs: the test plays work and pulse, and holds the lease."""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any

from lbctl.net.channel import Channel, ChannelClosed, Message
from lbctl.speaker.shared_page import HEARD, SIZE, TURN, heard_by_interface, read_time
from tests.support.bars import PATIENCE
from tests.support.netns import Host, entered

_LEASE = struct.Struct("<d")


def _refuses(op: str, nonsense: str, message: Message) -> bool:
    """Whether wire says that it could not read the message of this `op` that held this nonsense."""
    if message.get("name") != "bad_message":
        return False
    fields = message["fields"]
    return bool(fields["op"] == op and nonsense in fields["error"])


class WireProcess:
    """`python -m lbctl.speaker.wire` inside `netns`. Leaving the block ends it, by its pid if need be.

    `prefix`: a command to start it with (taskset, setpriv). `room_to_work`: bytes until work's not reading is felt.
    """

    def __init__(
        self, netns: str, *, lease: float = 3600.0, prefix: Iterable[str] = (), room_to_work: int | None = None
    ) -> None:
        work, its_work = socket.socketpair()
        if room_to_work is not None:
            its_work.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room_to_work)
        pulse, its_pulse = socket.socketpair()
        fd = os.memfd_create("lease")
        os.ftruncate(fd, SIZE)
        self._page = mmap.mmap(fd, SIZE)
        self.lease(lease)
        argument = {"work": its_work.fileno(), "pulse": its_pulse.fileno(), "lease": fd}
        with entered(netns):
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "lbctl.speaker.wire", json.dumps(argument)],
                pass_fds=tuple(argument.values()),
            )
        for ours in (its_work, its_pulse):
            ours.close()
        os.close(fd)
        self.work = Channel(work)
        self.pulse = Channel(pulse)
        self.heard: list[Message] = []
        self._barriers = 0

    def __enter__(self) -> WireProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.work.close()
        self.pulse.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            if kind is None:
                raise AssertionError("wire did not end when its channels closed") from None
        finally:
            self._page.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def lease(self, seconds: float) -> None:
        """May speak for so long from now; 0 = not at all."""
        _LEASE.pack_into(self._page, 0, time.monotonic() + seconds if seconds > 0 else 0.0)

    # What work and pulse say

    def interfaces(self, *hosts: Host, usable: bool = True, **more: Any) -> None:
        """The interfaces of these hosts (all in wire's namespace), as they are now; `more` is said of each."""
        listed = [{**interface_of(host, usable=usable), **more} for host in hosts]
        self._say(self.work, {"op": "interfaces", "interfaces": listed})

    def table(self, set_: dict[str, list[int]], drop: Iterable[str] = (), *, complete: bool = False) -> None:
        message = {"op": "table", "set": list(set_.items()), "drop": list(drop), "complete": complete}
        self._say(self.work, message)

    def repeat(self, *addresses: str) -> None:
        self._say(self.work, {"op": "repeat", "addresses": list(addresses)})

    def friends(self, *macs: str) -> None:
        self._say(self.work, {"op": "friends", "macs": list(macs)})

    def probe(self, set_: dict[str, list[int]], drop: Iterable[str] = ()) -> None:
        self._say(self.work, {"op": "probe", "set": list(set_.items()), "drop": list(drop)})

    def pace(self, rate: float | None, addresses: Iterable[str]) -> None:
        self._say(self.work, {"op": "pace", "rate": rate, "addresses": list(addresses)})

    def ask(self, set_: Iterable[str] = (), drop: Iterable[str] = ()) -> None:
        """Pulse's probe, before a takeover."""
        self._say(self.pulse, {"op": "probe", "set": list(set_), "drop": list(drop)})

    def solicit(self) -> None:
        self._say(self.pulse, {"op": "solicit"})

    def answer(self, set_: Iterable[str] = (), drop: Iterable[str] = ()) -> None:
        self._say(self.pulse, {"op": "answer", "set": list(set_), "drop": list(drop)})

    def serve(self, host: Host, addresses: Iterable[str]) -> None:
        """All of it: `host`'s interface, the addresses allowed there and claimed. Waits until they are announced."""
        addresses = list(addresses)
        self.interfaces(host)
        self.table({address: [host.ifindex] for address in addresses})
        self.answer(addresses)
        self.wait_announced(addresses)

    def _say(self, channel: Channel, message: Message) -> None:
        channel.send(message)
        while channel.wants_write:
            select.select([], [channel], [], PATIENCE)
            channel.flush()

    # What wire says

    def listen(self, seconds: float = 0.0) -> list[Message]:
        """Everything wire has said so far, after waiting up to `seconds` for something new. Raises ChannelClosed."""
        if select.select([self.work], [], [], seconds)[0]:
            self.heard.extend(self.work.receive())
        return self.heard

    def found(self, addresses: Iterable[str], *, within: float = PATIENCE) -> dict[str, str | None]:
        """What pulse is told of these addresses: the MAC that has each, or None."""
        wanted = set(addresses)
        deadline = time.monotonic() + within
        results: dict[str, str | None] = {}
        while missing := wanted - results.keys():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.pulse], [], [], left)[0]:
                raise AssertionError(f"pulse was not told of {sorted(missing)[:3]} within {within} s")
            for message in self.pulse.receive():
                assert message["op"] == "probed", message
                results.update(message["results"])
        return results

    @property
    def turned_at(self) -> float:
        return read_time(self._page, TURN)

    @property
    def heard_at(self) -> float:
        return read_time(self._page, HEARD)

    @property
    def heard_by_interface(self) -> dict[int, float]:
        return heard_by_interface(self._page)

    def wait_for(self, condition: Callable[[Message], Any], *, within: float = PATIENCE) -> Message:
        """The first message, said before or said now, that fulfils the condition."""
        deadline = time.monotonic() + within
        seen = 0
        while True:
            for message in self.heard[seen:]:
                if condition(message):
                    return message
            seen = len(self.heard)
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"wire did not say it within {within} s; last: {self.heard[-3:]}")
            self.listen(left)

    def wait_announced(self, addresses: Iterable[str], *, within: float = PATIENCE) -> None:
        """Waits until each was announced since this was asked last: an announcement answers one question only."""
        wanted = set(addresses)
        missing = set(wanted)

        def announced(message: Message) -> bool:
            if message["op"] == "announced":
                missing.difference_update(message["addresses"])
            return not missing

        self.wait_for(announced, within=within)
        for message in self.heard:
            if message["op"] == "announced":
                message["addresses"] = [address for address in message["addresses"] if address not in wanted]

    def settle(self) -> None:
        """Waits until wire has carried out everything said before, by a message on each channel that it must refuse."""
        self._barriers += 1
        nonsense = f"barrier {self._barriers}"
        self._say(self.pulse, {"op": "answer", "set": [nonsense], "drop": []})
        self._say(self.work, {"op": "table", "set": [[nonsense, []]], "drop": [], "complete": False})
        for op in ("answer", "table"):
            self.wait_for(partial(_refuses, op, nonsense))

    def counters(
        self, condition: Callable[[dict[str, int]], Any] = bool, *, within: float = PATIENCE
    ) -> dict[str, int]:
        """The next counters (a second apart) that fulfil the condition."""
        self.listen()
        self.heard[:] = [message for message in self.heard if message["op"] != "counters"]
        found = self.wait_for(
            lambda message: message["op"] == "counters" and condition(message["counters"]), within=within
        )
        counters: dict[str, int] = found["counters"]
        return counters

    def ended(self, *, within: float = PATIENCE) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(within)


def interface_of(host: Host, *, usable: bool = True) -> Message:
    return {
        "ifindex": host.ifindex,
        "name": host.interface,
        "mac": host.mac,
        "link_local": host.link_local,
        "usable": usable,
    }


__all__ = ["ChannelClosed", "WireProcess", "interface_of"]
