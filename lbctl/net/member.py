"""An observer of the heartbeat group: sees every member and every claim, owns nothing, votes on nothing.

    async with Observer(settings, segments, peers=[("node-a", ["192.0.2.1"])], on_view=show) as observer:
        ...

The controller learns by it who announces what, without a disk that it shares with the speakers. It runs in the caller's
event loop, so it may be late by whatever that loop does; being late it declares nobody gone who spoke in time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType, TracebackType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.interface import Interface
from lbctl.model.member import Conflict, Liveness, Member, Role
from lbctl.model.orders import Orders
from lbctl.model.snapshot import View
from lbctl.net.udp import HOP_LIMIT, SegmentSocket
from lbctl.protocol.heartbeat.machine import Heartbeat
from lbctl.protocol.heartbeat.segments import LOOPBACK, Segment, Settings
from lbctl.protocol.machine import Report
from lbctl.telemetry.log import event

_logger = logging.getLogger("lbctl.observer")
RETRY_EVERY = 1.0
"""Seconds between attempts to open a segment that the kernel refused."""
LEAVE_WITHIN = 0.5
_DATAGRAMS_A_TURN = 512


def segments_of(interfaces: Iterable[Interface]) -> list[Segment]:
    """The segments to observe on, from the interfaces chosen; one without any address cannot carry heartbeats."""
    return [
        Segment(
            ifindex=interface.index,
            name=interface.name,
            address=str(interface.speaking_address),
            usable=interface.usable,
            mac=interface.mac,
        )
        for interface in interfaces
        if interface.speaking_address is not None
    ]


class Observer:
    """A member that only listens; an async context manager.

    `view` is the newest View; `on_view` is called with it, by the event loop, after each change. `settings.node` must
    be a name that no speaker has. What the kernel refuses is logged and tried again, never raised.
    """

    def __init__(
        self,
        settings: Settings,
        segments: Sequence[Segment],
        *,
        peers: Iterable[tuple[str, Sequence[str]]] = (),
        on_view: Callable[[View], None] | None = None,
    ) -> None:
        self._settings = replace(settings, observer=True)
        self._segments = {segment.ifindex: segment for segment in (*segments, LOOPBACK)}
        self._peers = list(peers)
        self._on_view = on_view
        self._machine = Heartbeat(self._settings)
        self._seen = _Seen(settings.node)
        self._sockets: dict[int, SegmentSocket] = {}
        self._refused: dict[int, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._left = asyncio.Event()
        self._closing = False
        self._woke_at = 0.0

    @property
    def view(self) -> View:
        """What is known now; without any member when nobody was heard."""
        return self._seen.view(time.time())

    @property
    def counters(self) -> Mapping[str, int]:
        return self._machine.counters

    async def __aenter__(self) -> Observer:
        self._loop = asyncio.get_running_loop()
        self._machine.set_clock(time.time() - time.monotonic())
        self._machine.set_peers(self._peers, time.monotonic())
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._machine.leave(time.monotonic())
        self._carry_out()
        try:
            async with asyncio.timeout(LEAVE_WITHIN):
                await self._left.wait()
        except TimeoutError:
            pass
        finally:
            self._closing = True
            for timer in (self._timer, self._retry):
                if timer is not None:
                    timer.cancel()
            for ifindex in list(self._sockets):
                self._close(ifindex)

    def set_segments(self, segments: Sequence[Segment]) -> None:
        """Where to observe: the whole list, each time it changes."""
        self._segments = {segment.ifindex: segment for segment in (*segments, LOOPBACK)}
        self._open()

    def set_peers(self, peers: Iterable[tuple[str, Sequence[str]]]) -> None:
        """The configured or remembered speakers, with their addresses: the whole list."""
        self._machine.set_peers(peers, time.monotonic())
        self._carry_out()

    def _open(self) -> None:
        usable = {ifindex: segment for ifindex, segment in self._segments.items() if segment.usable}
        for ifindex, opened in list(self._sockets.items()):
            if ifindex not in usable or usable[ifindex].address != opened.address:
                self._close(ifindex)
        refused: dict[int, str] = {}
        for ifindex, segment in usable.items():
            if ifindex in self._sockets:
                continue
            try:
                self._sockets[ifindex] = self._socket(segment)
            except OSError as error:
                refused[ifindex] = str(error)
                if self._refused.get(ifindex) != str(error) and not segment.local:
                    fields = {"interface": segment.name, "address": segment.address, "reason": str(error)}
                    event(_logger, "segment_refused", level=logging.WARNING, **fields)
        self._refused = refused
        if self._retry is not None:
            self._retry.cancel()
        if refused and not self._closing:
            self._retry = self._loop.call_later(RETRY_EVERY, self._open)
        opened_now = [segment for ifindex, segment in usable.items() if ifindex in self._sockets]
        self._machine.set_segments(opened_now, time.monotonic())
        self._carry_out()

    def _socket(self, segment: Segment) -> SegmentSocket:
        settings = self._settings
        opened = SegmentSocket(
            ifindex=segment.ifindex,
            name=segment.name,
            address=segment.address,
            port=settings.port,
            group4=settings.group4,
            group6=settings.group6,
            own_port=0,
            grouped=not segment.local,
        )
        for sock in opened.sockets:
            self._loop.add_reader(sock.fileno(), self._receive_all)
        return opened

    def _close(self, ifindex: int) -> None:
        closed = self._sockets.pop(ifindex)
        for sock in closed.sockets:
            self._loop.remove_reader(sock.fileno())
        closed.close()

    def _receive_all(self) -> None:
        """Whatever has arrived, on every segment, before time is looked at."""
        for ifindex, opened in self._sockets.items():
            for sock in opened.sockets:
                for _ in range(_DATAGRAMS_A_TURN):
                    datagram = opened.receive(sock)
                    if datagram is None:
                        break
                    if datagram.hop_limit == HOP_LIMIT:
                        self._machine.received(datagram.payload, ifindex, datagram.source, time.monotonic())
        self._carry_out()

    def _tick(self) -> None:
        self._timer = None
        self._receive_all()
        now = time.monotonic()
        due = self._machine.next_timeout()
        if due is not None and now >= due:
            if now - due > self._settings.interval:
                self._machine.woke(now, now - due)
            self._machine.handle_timeout(now)
        self._carry_out()

    def _carry_out(self) -> None:
        changed = False
        for output in self._machine.outputs():
            if isinstance(output, Report):
                if output.name == "left":
                    self._left.set()
                elif output.name == "note":
                    if output.fields["name"] != "paused":
                        event(_logger, output.fields["name"], **output.fields["fields"])
                else:
                    changed = self._seen.receive(output.name, output.fields) or changed
            elif output.to is not None and (segment := self._sockets.get(output.via)) is not None:
                segment.send(output.payload, output.to)
        if changed and self._on_view is not None:
            self._on_view(self.view)
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._machine.next_timeout()
        if due is not None and not self._closing:
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._tick)


class _Seen:
    """Members and claims out of the machine's reports. What did not change keeps its identity from view to view."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._members: dict[str, Member] = {}
        self._claims: dict[str, Mapping[IPAddress, Claim]] = {}
        self._synced = False
        self._orders = Orders()
        self._view: View | None = None

    def receive(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Takes a report; False when it says nothing about the View."""
        match name:
            case "member":
                self._members[fields["node"]] = _member(fields)
            case "claims":
                self._claim(fields)
            case "synced":
                self._synced = fields["synced"]
            case "orders":
                self._orders = self._orders.with_rows(fields["set"])
            case _:
                return False
        self._view = None
        return True

    def view(self, now_unix: float) -> View:
        if self._view is None:
            self._view = View(
                source=self._source,
                seen_unix=now_unix,
                synced=self._synced,
                members=MappingProxyType(dict(self._members)),
                claims=MappingProxyType({node: claims for node, claims in self._claims.items() if claims}),
                drains=self._orders.drains,
                pins=self._orders.pins,
                rebalance=self._orders.rebalance,
            )
        return self._view

    def _claim(self, fields: Mapping[str, Any]) -> None:
        node = fields["node"]
        claims = {} if fields["complete"] else dict(self._claims.get(node, {}))
        for text in fields["drop"]:
            claims.pop(ip_address(text), None)
        member = self._members.get(node)
        for row in fields["set"]:
            claim = _claim(node, member.incarnation if member is not None else 0, row)
            claims[claim.address] = claim
        self._claims[node] = MappingProxyType(claims)


def _member(fields: Mapping[str, Any]) -> Member:
    return Member(
        node=fields["node"],
        incarnation=fields["incarnation"],
        state=Liveness(fields["state"]),
        two_way=fields["two_way"],
        role=Role(fields["role"]),
        addresses=tuple(ip_address(text) for text in fields["addresses"]),
        macs=tuple((mac, interface) for mac, interface in fields["macs"]),
        since_unix=fields["since_unix"],
        detection_time=fields["interval"] * fields["multiplier"],
        cause=fields["cause"],
        conflicts=tuple(
            Conflict(address=ip_address(address), mac=mac, interface=interface)
            for address, mac, interface in fields["conflicts"]
        ),
    )


def _claim(node: str, incarnation: int, row: Sequence[Any]) -> Claim:
    address, epoch, quorate, since_unix, cause, allocation_id, generation, heirs = row
    return Claim(
        address=ip_address(address),
        node=node,
        incarnation=incarnation,
        epoch=epoch,
        quorate=quorate,
        since_unix=since_unix,
        cause=cause,
        allocation_id=allocation_id,
        generation=generation,
        heirs=tuple(heirs),
    )
