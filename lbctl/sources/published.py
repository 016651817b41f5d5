"""The published file from the reader's side: what a speaker takes its World from, for as long as it runs.

    source = PublishedSource(path, cluster="default", last_good=state / "speakers" / name / "published.json")
    async for world in source.worlds(): ...

The controller replaces the file as a whole; it may arrive here by a shared disk, rsync, git or a bind mount, and by
some of these in pieces or out of order. What must not be used is not used: the last good World stays, and `troubles`
says why and how old it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from lbctl.model.snapshot import World
from lbctl.sources.published_document import DocumentDecoder, Head, Published, PublishedError, Trouble
from lbctl.sources.published_file import check_cluster, content_of, decoded, read_published

if TYPE_CHECKING:
    import asyncinotify

__all__ = ["Published", "PublishedError", "PublishedSource", "Trouble", "read_published"]

_POLL_TIME = 1.0
# A file that is copied in place is torn for as long as the copy takes; nobody needs to hear of that.
_TORN_GRACE = 2.0
# A write may end within the clock tick in which we read, so for this long a torn file is read again as it is.
_TORN_RETRY_TIME = 10.0

_HUNG_TIME = 5.0
"""Seconds after which a file system that does not answer is a trouble; local ones answer within milliseconds."""

_Stamp = tuple[int, int, int, int]
_FolderStamp = tuple[int, int]
_Result = TypeVar("_Result")


def _stamp(path: Path) -> _Stamp | None:
    """What changes whenever the file does, as far as stat can tell."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _folder_stamp(folder: Path) -> _FolderStamp | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _aside(function: Callable[..., _Result], *arguments: object) -> asyncio.Future[_Result]:
    """Calls it in a thread of its own, for which nobody waits at the end: a file server that is gone may hold it.

    The threads of `asyncio.to_thread` are waited for when the loop closes, however long they take.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def answer(result: _Result | None, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("_Result", result))

    def call() -> None:
        result, failed = None, None
        try:
            result = function(*arguments)
        except Exception as error:
            failed = error
        # The loop may have closed meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(answer, result, failed)

    threading.Thread(target=call, name="published", daemon=True).start()
    return future


class PublishedSource:
    """Worlds out of a published file, newest last. Only ever goes forward.

    `last_good` is where a copy of the newest good file is kept, so that a restart while the file is missing, torn or
    older finds its World again. `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        *,
        cluster: str | None = None,
        last_good: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._cluster = cluster
        self._last_good = last_good
        self._clock = clock
        self._decoder = DocumentDecoder()
        self._stamp: _Stamp | None = None
        self._published: Published | None = None
        self._error: PublishedError | None = None
        self._error_since = 0.0
        self._keep_error = ""

    @property
    def published(self) -> Published | None:
        """What is in force, with the reasons of the pending; None before anything good was found."""
        return self._published

    @property
    def age(self) -> float | None:
        """Seconds since the controller made what is in force; None when nothing is."""
        if self._published is None:
            return None
        return max(0.0, self._clock() - self._published.world.made_unix)

    @property
    def stale(self) -> str | None:
        """Why what is in force is not what the file says now; None while all is well."""
        error = self._error
        if error is None or (error.trouble is Trouble.TORN and self._clock() - self._error_since < _TORN_GRACE):
            return None
        if self._published is None:
            return f"{error}; nothing is known yet"
        return f"{error}; keeping generation {self._published.world.generation}, made {self.age or 0:.0f} s ago"

    @property
    def troubles(self) -> tuple[str, ...]:
        return tuple(text for text in (self.stale, self._keep_error) if text)

    async def worlds(self) -> AsyncIterator[World]:
        """The World now and at each change. Ends only by cancellation."""
        if self._last_good is not None:
            with contextlib.suppress(PublishedError):
                content = await self._reached(content_of, self._last_good)
                self._published = await asyncio.to_thread(self._decode, content)
                yield self._published.world
        with contextlib.closing(_Watch(self._path)) as watch:
            while True:
                # Before the file is read: what happens meanwhile wakes us again.
                watch.renew(await self._reached(_folder_stamp, self._path.parent))
                stamp = await self._reached(_stamp, self._path)
                if (stamp is None or stamp != self._stamp or self._again) and (world := await self._take()):
                    yield world
                self._stamp = stamp
                await watch.changed(_POLL_TIME)

    @property
    def _again(self) -> bool:
        """Whether the file is to be read again as it stands."""
        match self._error.trouble if self._error is not None else None:
            case Trouble.UNREADABLE:
                return True
            case Trouble.TORN:
                return self._clock() - self._error_since < _TORN_RETRY_TIME
            case _:
                return False

    async def _take(self) -> World | None:
        """Reads the file; the World if it is to be used and is another than before."""
        try:
            content = await self._reached(content_of, self._path)
            published = await asyncio.to_thread(self._decode, content)
        except PublishedError as error:
            self._refuse(error)
            return None
        self._error = None
        before, self._published = self._published, published
        if (
            before is not None
            and before.world.generation == published.world.generation
            and not (published.world.changes_since(before.world))
        ):
            return None
        if self._last_good is not None:
            await asyncio.to_thread(self._keep, self._last_good, content)
        return published.world

    async def _reached(self, function: Callable[[Path], _Result], path: Path) -> _Result:
        """What the function says of the path, however long that takes; a long time is a trouble meanwhile."""
        answer = _aside(function, path)
        try:
            done, _ = await asyncio.wait([answer], timeout=_HUNG_TIME)
            if not done:
                self._refuse(PublishedError(Trouble.UNREADABLE, f"{path}: no answer from its file system"))
            return await answer
        finally:
            answer.cancel()

    def _refuse(self, error: PublishedError) -> None:
        if self._error is None or self._error.trouble is not error.trouble:
            self._error_since = self._clock()
        self._error = error

    def _decode(self, content: bytes) -> Published:
        return decoded(self._decoder, content, self._path, self._check)

    def _check(self, head: Head) -> None:
        check_cluster(head, self._cluster)
        known = self._published
        if known is None:
            return
        if head.ledger == known.ledger:
            older = head.generation < known.world.generation
        else:
            # A new ledger counts from the start again; only the clock can tell which of the two is the later one.
            older = head.made_unix < known.world.made_unix
        if older:
            raise PublishedError(
                Trouble.OLDER, f"it holds generation {head.generation}, which is older than what is in force"
            )

    def _keep(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            # No fsync: after a power cut a torn copy is found out by its checksum, and the file itself is there.
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            self._keep_error = f"no copy kept at {path}: {error.strerror or error}"
        else:
            self._keep_error = ""


class _Watch:
    """Wakes when something happens in the file's folder; where inotify does not reach, after the poll time."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._name = path.name
        self._inotify: asyncinotify.Inotify | None = None
        self._folder_stamp: _FolderStamp | None = None

    def renew(self, found: _FolderStamp | None) -> None:
        """Watches the folder that stands there now: it may be new, or another one may be mounted over it."""
        import asyncinotify

        if found is None:
            self.close()
            return
        if found == self._folder_stamp:
            return
        self.close()
        mask = asyncinotify.Mask
        with contextlib.suppress(OSError):
            self._inotify = asyncinotify.Inotify()
            self._inotify.add_watch(
                self._folder, mask.MOVED_TO | mask.CLOSE_WRITE | mask.MOVED_FROM | mask.DELETE | mask.DELETE_SELF
            )
            self._folder_stamp = found

    async def changed(self, at_most: float) -> None:
        if self._inotify is None:
            await asyncio.sleep(at_most)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                while True:
                    event = await self._inotify.get()
                    if event.name is None or event.name.name == self._name:
                        return

    def close(self) -> None:
        inotify, self._inotify, self._folder_stamp = self._inotify, None, None
        if inotify is not None:
            inotify.close()
