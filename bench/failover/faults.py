"""What befalls a node, and how it is mended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from bench.failover.cluster import Cluster, Part
from tests.support.netns import del_netns


class Fault(ABC):
    mendable = True
    """Whether the node can come back into the same cluster."""

    @abstractmethod
    def aim(self, cluster: Cluster, node: str) -> Callable[[], None]:
        """All that takes time beforehand; what is returned strikes at once."""

    @abstractmethod
    def mend(self, cluster: Cluster, node: str) -> None:
        """The node is well again, at the latest when the cluster settles."""


class Unplugged(Fault):
    """The owner's link is cut, and its carrier goes."""

    def aim(self, cluster: Cluster, node: str) -> Callable[[], None]:
        return lambda: cluster.switch.down(node)

    def mend(self, cluster: Cluster, node: str) -> None:
        cluster.switch.up(node)


class Silent(Fault):
    """The owner's link is cut, and its carrier stays."""

    def aim(self, cluster: Cluster, node: str) -> Callable[[], None]:
        return lambda: cluster.switch.detach(node)

    def mend(self, cluster: Cluster, node: str) -> None:
        cluster.switch.attach(node)


@dataclass(frozen=True)
class Signalled(Fault):
    """Processes of the owner get a signal."""

    part: Part
    number: signal.Signals

    def aim(self, cluster: Cluster, node: str) -> Callable[[], None]:
        pids = cluster.pids(node, self.part)

        def strike() -> None:
            for pid in pids:
                os.kill(pid, self.number)

        return strike

    def mend(self, cluster: Cluster, node: str) -> None:
        if self.number == signal.SIGSTOP:
            for pid in cluster.pids(node, self.part):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        if self.number != signal.SIGSTOP or self.part is Part.WIRE:
            # A speaker whose wire hangs ends in good order, and is started anew.
            cluster.revive(node)


class Gone(Fault):
    """The machine is no more: its interface, its processes and its namespace."""

    mendable = False

    def aim(self, cluster: Cluster, node: str) -> Callable[[], None]:
        pids = cluster.pids(node, Part.ALL)

        def strike() -> None:
            # Stopped first: nobody in a machine without power says goodbye when his neighbor is killed.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    os.kill(pid, number)
            cluster.switch.remove(node)
            del_netns(cluster.switch.lan[node].netns)

        return strike

    def mend(self, cluster: Cluster, node: str) -> None:
        raise NotImplementedError


class Hindrance(ABC):
    """What hampers the survivors while the owner fails."""

    @abstractmethod
    def begin(self, cluster: Cluster, survivors: tuple[str, ...]) -> Callable[[], None]:
        """Sets in now; what is returned ends it."""


class WorkStopped(Hindrance):
    """Their work processes do nothing."""

    def begin(self, cluster: Cluster, survivors: tuple[str, ...]) -> Callable[[], None]:
        pids = [pid for node in survivors for pid in cluster.pids(node, Part.WORK)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

        def end() -> None:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        return end


class DiskFull(Hindrance):
    """No byte more fits on the disk that holds their state."""

    def begin(self, cluster: Cluster, survivors: tuple[str, ...]) -> Callable[[], None]:
        ballast = [cluster.state(node) / "ballast" for node in survivors]
        for path in ballast:
            with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
                for size in (1 << 20, 1 << 12, 1):
                    with contextlib.suppress(OSError):
                        while True:
                            file.write(bytes(size))

        def end() -> None:
            for path in ballast:
                with contextlib.suppress(OSError):
                    path.unlink()

        return end


class DiskHangs(Hindrance):
    """Whoever writes to the disk that holds their state waits: the file system is frozen for 2 s."""

    seconds = 2

    def begin(self, cluster: Cluster, survivors: tuple[str, ...]) -> Callable[[], None]:
        # In a process of its own session each, so that it is thawed even when this bench is killed.
        script = f'fsfreeze -f "$0" && echo frozen && sleep {self.seconds}; fsfreeze -u "$0"'
        children = [
            subprocess.Popen(
                ["sh", "-c", script, str(cluster.state(node))],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            )
            for node in survivors
        ]  # fmt: skip
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != b"frozen\n":
                raise RuntimeError("a file system could not be frozen")

        def end() -> None:
            for child in children:
                child.wait()
                assert child.stdout is not None
                child.stdout.close()

        return end
