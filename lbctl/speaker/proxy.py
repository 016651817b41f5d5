"""The service proxy inside a speaker: the newest World as rules in the kernel, beside the announcements.

It never keeps an announcement waiting for long. What fails is said, tried again by `net.proxy`, and stays a trouble
until it worked; the rules that were in force before stay in force.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection

from lbctl.model.snapshot import World
from lbctl.net.nftables import ProxyError
from lbctl.net.proxy import Applied, Proxy, Verified, Way
from lbctl.plan.proxy import ProxyMemo, ruleset
from lbctl.plan.proxy_ruleset import Ruleset
from lbctl.telemetry.log import event

_logger = logging.getLogger("lbctl.proxy")


class ServiceProxy:
    """Brings the kernel to the newest World it was told. `run` works until it is cancelled."""

    def __init__(self, node: str, proxy: Proxy | None = None) -> None:
        self._node = node
        self._proxy = proxy or Proxy()
        self._world: World | None = None
        self._told = asyncio.Event()
        self._number = 0
        self._done = 0
        self._progress = asyncio.Event()
        self._trouble = ""
        self._notes: Ruleset | None = None

    @property
    def trouble(self) -> str | None:
        """What could not be done, and what to do about it; None while all is well."""
        return self._trouble or None

    def arrives_on(self, interfaces: Collection[str]) -> None:
        """The interfaces that packets to VIPs come in by: looked at for what would drop them."""
        self._proxy.interfaces = tuple(interfaces)

    def want(self, world: World) -> int:
        """The newest World; those that were not reached yet are passed over. Returns its number, for `tried`."""
        self._world = world
        self._number += 1
        self._told.set()
        return self._number

    async def tried(self, number: int, at_most: float) -> None:
        """Waits until that World, or a newer one, is in force or was refused, but no longer than `at_most` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                while self._done < number:
                    await self._progress.wait()

    async def open_connections(self) -> int | None:
        """How many TCP connections to VIPs go through this node, for one who leaves to wait for."""
        return await self._proxy.open_connections()

    async def remove(self) -> None:
        """Takes the rules away: nothing is forwarded here any more."""
        try:
            await self._proxy.remove()
        except ProxyError as error:
            self._report(error)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._proxy.keep(self._report))

    async def _follow(self) -> None:
        memo: ProxyMemo | None = None
        while True:
            await self._told.wait()
            self._told.clear()
            world, number = self._world, self._number
            assert world is not None
            wanted, memo = await asyncio.to_thread(ruleset, world, self._node, memo)
            try:
                self._applied(await self._proxy.apply(wanted))
            except ProxyError as error:
                self._report(error)
            if self._notes is None or wanted.notes != self._notes.notes:
                for note in wanted.notes:
                    event(_logger, "not_served", level=logging.WARNING, what=str(note))
            self._notes = wanted
            self._done = number
            self._progress.set()
            self._progress = asyncio.Event()

    def _applied(self, applied: Applied) -> None:
        self._trouble = ""
        if applied.way is not Way.UNCHANGED:
            event(
                _logger,
                "rules_applied",
                level=logging.INFO if applied.way is Way.WHOLE else logging.DEBUG,
                way=applied.way.value,
                seconds=applied.seconds,
                forgotten=applied.forgotten,
            )
        self._say(applied)

    def _report(self, found: Verified | ProxyError) -> None:
        if isinstance(found, ProxyError):
            if self._trouble != str(found):
                event(_logger, "rules_refused", level=logging.ERROR, why=str(found))
            self._trouble = str(found)
            return
        self._trouble = ""
        if found.repaired:
            event(_logger, "rules_repaired", level=logging.WARNING, what=found.repaired)
        self._say(found)

    def _say(self, found: Applied | Verified) -> None:
        for change in found.changes:
            event(_logger, "sysctl_changed", what=str(change))
        for warning in found.warnings:
            event(_logger, "warning", level=logging.WARNING, what=warning)
