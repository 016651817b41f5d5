"""The controller, running: follows source and heartbeats, takes steps, commits them, publishes what is committed.

It holds no policy; `step` decides. Trouble with the disk ends nothing: what was committed and published last stands,
the trouble is named in log and status, and the step is taken again a second later, from what the ledger says then.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.events import Event, kept_events
from lbctl.controller.ledger import Ledger
from lbctl.controller.lock import StateLock
from lbctl.controller.order_routes import order_routes
from lbctl.controller.orders import Decide, Outcome
from lbctl.controller.parts import ManifestSource, Observer, Settings
from lbctl.controller.publisher import Publisher
from lbctl.controller.records import Batch, LedgerState
from lbctl.controller.recover import recover, without_ours
from lbctl.controller.status import Facts, routes
from lbctl.controller.step import Decision, Inputs, StepMemo, step, still_unread
from lbctl.model.pool import Pool
from lbctl.model.snapshot import View, World
from lbctl.net import systemd
from lbctl.net.status_server import CannotListen, Handler, SocketInUse, StatusServer, check_free
from lbctl.plan.allocate import ALL_READ, Unread
from lbctl.plan.reason import Refusal, waiting
from lbctl.sources.published import PublishedError, Trouble, read_published
from lbctl.sources.published_document import DocumentEncoder
from lbctl.telemetry.log import event, mistake

__all__ = ["Controller", "Settings", "StartError"]

_log = logging.getLogger("lbctl.controller")
_RETRY_TIME = 1.0
_RETRY_AFTER_MISTAKE = 10.0
_LONGEST_SLEEP = 3600.0
_MANY_EVENTS = 100
_P = ParamSpec("_P")
_T = TypeVar("_T")


NOTHING_READ = "--config names nothing that could be read: not ready, nothing is allocated or published until it does"


class StartError(Exception):
    """The controller cannot start; one line that says why and what to do."""


class Controller:
    """One controller. `run` ends by cancellation, and raises StartError where it cannot begin.

    `make_source` is given what was published last, as the source had it then, or None: what cannot be read at the start
    is taken from there.
    """

    def __init__(
        self,
        settings: Settings,
        make_source: Callable[[World | None], ManifestSource],
        observer: Observer | None = None,
        *,
        on_ready: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._make_source = make_source
        self._source: ManifestSource | None = None
        self._observer = observer
        self._on_ready = on_ready
        self._clock = clock
        self._ledger = Ledger(settings.folder, new_name=lambda: secrets.token_hex(8))
        self._publisher: Publisher | None = None
        self._memo = StepMemo()
        self._input: World | None = None
        self._unread: Unread | None = None
        self._decided: Decision | None = None
        self._world: World | None = None
        self._pools_before: Mapping[str, Pool] = {}
        """In force when the controller was stopped."""
        self._turn = asyncio.Lock()
        """Held by whoever reads the ledger's state to write what follows from it."""
        self._later: asyncio.TimerHandle | None = None
        self._nothing_read = False
        self._step_trouble: str | None = None
        self._publish_trouble: str | None = None
        self._wake = asyncio.Event()
        self._to_publish = asyncio.Event()
        self._settled = False
        # A thread each: the ledger is used by one thread at a time, and publishing must not wait for a commit.
        self._deciding = ThreadPoolExecutor(1, "decide")
        self._publishing = ThreadPoolExecutor(1, "publish")
        self.facts = Facts(
            host=socket.gethostname(),
            since_unix=clock(),
            view=self._view,
            troubles=lambda: self.troubles,
            reserved=lambda: len(self._ledger.state.remembered.reserved),
            remembered=lambda: self._ledger.state.remembered,
            held_back=lambda: self._held_back,
        )

    @property
    def troubles(self) -> tuple[str, ...]:
        nothing = NOTHING_READ if self._nothing_read else None
        own = (nothing, self._step_trouble, self._publish_trouble, *map(str, self._held_back))
        observer = self._observer.troubles if self._observer is not None else ()
        source = self._source.troubles if self._source is not None else ()
        return (*(text for text in own if text), *source, *observer)

    @property
    def _held_back(self) -> tuple[Refusal, ...]:
        return self._decided.held_back if self._decided is not None else ()

    def _view(self) -> View | None:
        return self._observer.view() if self._observer is not None else None

    async def run(self) -> None:
        with contextlib.ExitStack() as stack:
            try:
                # Before anything is made: who named a taken socket leaves no folder behind. Where there is one, whoever
                # uses it is the better thing to be told.
                if not self._settings.folder.exists():
                    check_free(self._settings.socket)
                stack.enter_context(StateLock(self._settings.folder))
                check_free(self._settings.socket)
                # From the last to the first: the threads come to their end before what they use is closed.
                stack.callback(self._ledger.close)
                stack.callback(self._deciding.shutdown)
                stack.callback(self._publishing.shutdown)
                await self._open()
                server = StatusServer(self._routes(), self._settings.socket, self._settings.listen)
                await server.start()
            except SocketInUse as error:
                raise StartError(f"{error}; give this controller another --socket") from None
            except CannotListen as error:
                raise StartError(f"{error}; --listen takes an address of this host and a free port") from None
            except StateError as error:
                raise StartError(str(error)) from error
            except OSError as error:
                raise StartError(f"status socket {self._settings.socket}: {error.strerror or error}") from error
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._follow_source())
                    tasks.create_task(self._decide())
                    tasks.create_task(self._publish())
                    if self._observer is not None:
                        tasks.create_task(self._observer.run(self._wake.set))
            finally:
                systemd.notify("STOPPING=1")
                await server.close()

    async def _open(self) -> None:
        """Reads the ledger back, and from the published file what the ledger does not know."""
        state = await _in_thread(self._deciding, self._ledger.open)
        path, cluster = self._settings.published, self._settings.cluster
        last_good: World | None = None
        try:
            published = await _in_thread(self._deciding, read_published, path, cluster=cluster)
        except PublishedError as error:
            if error.trouble is not Trouble.MISSING:
                event(_log, "published_not_read", level=logging.WARNING, why=str(error))
        else:
            batch = recover(state, published, self._clock())
            if batch:
                state = await _in_thread(self._deciding, self._ledger.commit, batch)
                event(_log, "recovered", allocations=len(batch.grants), generation=state.generation, source=path)
            last_good = without_ours(published.world)
            self._pools_before = published.world.pools
        self._source = self._make_source(last_good)
        self._publisher = Publisher(path, DocumentEncoder(cluster=cluster, ledger=state.ledger))
        event(_log, "ledger_read", allocations=len(state.allocations), ledger=state.ledger)

    def _routes(self) -> dict[str, Handler]:
        return routes(self.facts) | order_routes(
            self.order, lambda: self._ledger.state, self._settings.folder, self._settings.state
        )

    async def order(self, decide: Decide) -> Outcome:
        """Carries out what an operator asks. On return it is committed, and a step follows. Raises StateError."""
        async with self._turn:
            if self._input is None:
                raise StateError(StateTrouble.NOT_READY, "the controller has not read its manifests yet; try again")
            try:
                state = await self._committed()
                now = self._clock()
                outcome = await _in_thread(self._deciding, decide, self._input, state, now)
                if outcome.changes:
                    batch = Batch(at_unix=now, first_grant=state.next_grant, kept=outcome.changes)
                    await _in_thread(self._deciding, self._ledger.commit, batch)
            except StateError as error:
                self._failed(error)
                raise
            _tell(tuple(kept_events(outcome.changes, state)))
            self._wake.set()
        return outcome

    async def _committed(self) -> LedgerState:
        """What the ledger says; after a commit that failed, only the ledger itself can tell."""
        if self._step_trouble is not None:
            return await _in_thread(self._deciding, self._ledger.open)
        return self._ledger.state

    def _failed(self, error: StateError) -> None:
        if self._step_trouble != str(error):
            event(_log, "ledger_failed", level=logging.ERROR, trouble=error.trouble.value, why=str(error))
        self._step_trouble = str(error)
        asyncio.get_running_loop().call_later(_RETRY_TIME, self._wake.set)

    async def _follow_source(self) -> None:
        assert self._source is not None
        async for world in self._source.worlds():
            if not self._source.readable:
                if not self._nothing_read:
                    event(
                        _log, "nothing_read", level=logging.ERROR, why="; ".join((NOTHING_READ, *self._source.troubles))
                    )
                self._nothing_read = True
                continue
            self._nothing_read = False
            state, complete = self._ledger.state, self._source.complete
            self._unread = still_unread(self._unread, state, world, complete=complete)
            self._input = world
            self._wake.set()

    async def _decide(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._input is not None and await self._take_turn(self._input):
                    pass
            except StateError as error:
                self._failed(error)
            except Exception as error:
                # Our own fault. The services that are served go on being served, which they would not in a crash loop.
                text = f"internal error: {type(error).__name__}: {error}; nothing changes until it is mended"
                if self._step_trouble != text:
                    mistake(_log, "step_failed", error)
                self._step_trouble, self._memo = text, StepMemo()
                asyncio.get_running_loop().call_later(_RETRY_AFTER_MISTAKE, self._wake.set)
            else:
                if self._step_trouble is not None:
                    event(_log, "steps_work_again")
                self._step_trouble = None

    async def _take_turn(self, world: World) -> bool:
        async with self._turn:
            again = await self._step(world)
        self._wake_later(self._decided.next_at_unix if self._decided is not None else None)
        return again

    def _wake_later(self, at_unix: float | None) -> None:
        """Takes a step then though nothing happened."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if at_unix is not None:
            delay = min(max(at_unix - self._clock(), _RETRY_TIME), _LONGEST_SLEEP)
            self._later = asyncio.get_running_loop().call_later(delay, self._wake.set)

    async def _step(self, world: World) -> bool:
        """One step, committed; True when another one may find more to do."""
        state = await self._committed()
        view = self._view()
        decided = self._decided
        inputs = Inputs(
            world=world,
            unread=self._unread or ALL_READ,
            state=state,
            members=view.members if view is not None else {},
            claims=view.claims if view is not None else {},
            published=self._world,
            pools_before=self._pools_before,
            load_balancer_class=self._settings.load_balancer_class,
            pending=decided.pending if decided is not None else {},
            now_unix=self._clock(),
            started_unix=self.facts.since_unix,
        )
        decision, self._memo = await _in_thread(self._deciding, step, inputs, self._memo)
        if decision.batch:
            await _in_thread(self._deciding, self._ledger.commit, decision.batch, decision.after)
        _tell(decision.events)
        self._decided = decision
        self._settled = not decision.again
        if decision.world is not None:
            before = self._world
            if self._observer is not None and (before is None or before.nodes is not decision.world.nodes):
                self._observer.know(decision.world.nodes)
            self._world = self.facts.world = decision.world
            self.facts.pending = decision.pending
        self._to_publish.set()
        return decision.again

    async def _publish(self) -> None:
        while True:
            await self._to_publish.wait()
            self._to_publish.clear()
            world, decided, publisher = self._world, self._decided, self._publisher
            if world is None or decided is None or publisher is None:
                continue
            # Whether that is all there is to say has to be known before, because more may be decided meanwhile.
            settled = self._settled
            if world.generation != self.facts.published_generation:
                try:
                    await _in_thread(self._publishing, publisher.publish, world, decided.pending)
                except StateError as error:
                    if self._publish_trouble != str(error):
                        event(_log, "publish_failed", level=logging.ERROR, trouble=error.trouble.value, why=str(error))
                    self._publish_trouble = str(error)
                    asyncio.get_running_loop().call_later(_RETRY_TIME, self._to_publish.set)
                    continue
                if self._publish_trouble is not None:
                    event(_log, "publish_works_again")
                self._publish_trouble = None
                self.facts.published_generation = world.generation
                event(_log, "published", level=logging.DEBUG, generation=world.generation)
            if settled and not self.facts.ready:
                self._ready()

    def _ready(self) -> None:
        self.facts.ready = True
        # The cold start leaves objects that live as long as we do; they need not be looked through again and again.
        gc.collect()
        gc.freeze()
        event(
            _log,
            "ready",
            services=len(self.facts.world.services),
            allocations=len(self.facts.world.allocations),
            pending=waiting(self.facts.pending),
            generation=self.facts.world.generation,
        )
        systemd.notify("READY=1")
        self._on_ready()


def _tell(events: tuple[Event, ...]) -> None:
    """Into the log; of very many only how many there were, and each one for those who debug."""
    level = logging.INFO if len(events) <= _MANY_EVENTS else logging.DEBUG
    for item in events:
        event(_log, item.name, level=logging.WARNING if item.warns else level, **item.fields)
    if level is logging.DEBUG:
        names = [item.name for item in events]
        event(_log, "changed_many", **{name: names.count(name) for name in sorted(set(names))})


async def _in_thread(pool: ThreadPoolExecutor, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Runs it in the pool. A cancelled caller still waits for its end: nothing may be written after we let go."""
    future = asyncio.get_running_loop().run_in_executor(pool, lambda: function(*args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
