"""Real speakers in namespaces: `lbctl run-speaker` on every node of a segment, fed by one hand-written published file.

    with Speakers(["a", "b", "c"], folder=tmp_path) as cluster:
        cluster.publish(vip_world(["192.0.2.100"]))
        cluster.start_all()
        assert cluster.owner("192.0.2.100", among=["a", "b", "c"]) == "a"

Everything it starts, it ends, by pid.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from lbctl.model.snapshot import World
from lbctl.net.status_client import AskError, UnixAddress, ask
from lbctl.sources.published_document import DocumentEncoder
from tests.support import evidence
from tests.support.asker import Asker
from tests.support.bars import PATIENCE
from tests.support.netns import Host, Segment, eventually


@dataclass
class Speaker:
    """One node's speaker: its process (the work process) and what it printed."""

    host: Host
    folder: Path
    argv: list[str]
    process: subprocess.Popen[str] | None = None
    ready: bool = False
    old: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def socket(self) -> UnixAddress:
        return UnixAddress(self.folder / "speaker.sock")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *more: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        evidence.register(f"speaker {self.folder}", self._tell)
        with (self.folder / "log").open("a") as log, (self.folder / "out").open("w") as out:
            self.process = self.host.popen([*self.argv, *more], stdout=out, stderr=log, text=True)

    def _tell(self) -> list[evidence.Witness]:
        process, log = self.process, self.folder / "log"
        if process is None or not log.exists():
            return []
        return [evidence.Witness(name=self.name, ended=process.poll() is not None, log=log)]

    def wait_ready(self, within: float = PATIENCE) -> None:
        eventually(self._is_ready, within=within, every=0.01, what=f"{self.name} ready")

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
        return "ready" in (self.folder / "out").read_text().split()

    def children(self) -> dict[str, int]:
        """The pids of pulse and wire."""
        found: dict[str, int] = {}
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            for name in ("pulse", "wire"):
                if f"lbctl.speaker.{name}".encode() in argv:
                    found[name] = int(pid)
        return found

    def signal(self, number: int, part: str = "work") -> None:
        os.kill(self.pid if part == "work" else self.children()[part], number)

    def wait_back(self, before: dict[str, int], within: float = PATIENCE) -> dict[str, int]:
        """Waits until it runs with other children than `before`, in the same process, and is ready; its children."""

        def is_back() -> dict[str, int] | None:
            assert self.process is not None
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.log}"
            children = self.children()
            if len(children) < 2 or set(children.values()) & set(before.values()):
                return None
            with contextlib.suppress(AskError):
                return children if self.ask("/v1/status")["ready"] else None
            return None

        found = eventually(is_back, within=within, every=0.02, what=f"{self.name} is back")
        assert found is not None
        return found

    def wait_ended(self, within: float = PATIENCE) -> int:
        assert self.process is not None
        return self.process.wait(within)

    def ask(self, path: str) -> dict[str, Any]:
        return ask(self.socket, path, patience=30.0)[1]

    def said(self, vip: str) -> list[str]:
        """Who owns a VIP, as this speaker hears it."""
        with contextlib.suppress(AskError):
            return [claim["node"] for entry in self.ask(f"/v1/where?target={vip}")["vips"] for claim in entry["said"]]
        return []

    def end(self) -> None:
        evidence.forget(f"speaker {self.folder}")
        if self.process is not None and self.process.poll() is None:
            children = list(self.children().values())
            self.process.kill()
            self.process.wait()
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            deadline = time.monotonic() + 10
            for pid in children:
                while not is_gone(pid) and time.monotonic() < deadline:
                    time.sleep(0.005)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


class Speakers:
    """A segment with `names` (192.0.2.1, .2...) and a client (192.0.2.50), and a speaker on each name."""

    def __init__(self, names: Sequence[str], *, folder: Path, options: Sequence[str] = ("--proxy", "none")) -> None:
        self._names = list(names)
        self._folder = folder
        self._options = list(options)
        hosts = {name: [f"192.0.2.{n}/24", f"2001:db8::{n}/64"] for n, name in enumerate(names, start=1)}
        self.lan = Segment({**hosts, "client": ["192.0.2.50/24", "2001:db8::50/64"]})
        self.published = folder / "published" / "snapshot.json"
        self.published.parent.mkdir(parents=True)
        self._encoder = DocumentEncoder(cluster="default", ledger="test")
        self.speakers: dict[str, Speaker] = {}
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Speakers:
        self._closing.enter_context(self.lan)
        try:
            for name in self._names:
                folder = self._folder / name
                argv = [
                    sys.executable, "-m", "lbctl.cli.main", "run-speaker", "--node", name,
                    "--state", str(folder / "state"), "--published", str(self.published.parent),
                    "--socket", str(folder / "speaker.sock"), "--log-level", "debug", *self._options,
                ]  # fmt: skip
                self.speakers[name] = Speaker(self.lan[name], folder, argv)
            self.asker = self._closing.enter_context(Asker(self.lan["client"]))
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is not None and issubclass(kind, Exception):
                evidence.keep()
            for speaker in self.speakers.values():
                speaker.end()
            if kind is not None:
                for speaker in self.speakers.values():
                    if (speaker.folder / "log").exists():
                        print(f"--- {speaker.name}\n{speaker.log}", file=sys.stderr)
        finally:
            self._closing.close()

    def __getitem__(self, name: str) -> Speaker:
        return self.speakers[name]

    def publish(self, published: World) -> None:
        part = self.published.with_suffix(".part")
        part.write_bytes(b"".join(self._encoder.encode(published, {})))
        part.replace(self.published)

    def restore(self, vips: Iterable[str]) -> None:
        """Cables in, every speaker running, and all of them agreed on one owner for each VIP."""
        for name in self._names:
            self.lan[name].plug()
            self.lan[name].heal()
        ended = [s for s in self.speakers.values() if s.process is None or s.process.poll() is not None]
        for speaker in ended:
            speaker.start()
        for speaker in ended:
            speaker.wait_ready()
        for vip in vips:
            eventually(lambda vip=vip: self._settled(vip), every=0.02, what=f"one owner of {vip}")  # type: ignore[misc]

    def _settled(self, vip: str) -> bool:
        said = [speaker.said(vip) for speaker in self.speakers.values()]
        return len(said[0]) == 1 and all(each == said[0] for each in said)

    def start_all(self, *more: str) -> None:
        for speaker in self.speakers.values():
            speaker.start(*more)
        for speaker in self.speakers.values():
            speaker.wait_ready()

    def node_of(self, mac: str) -> str:
        return next(name for name in self._names if self.lan[name].mac == mac)

    def answering(self, vip: str, *, within: float = 0.1) -> set[str]:
        """The nodes that answer the client's question for a VIP."""
        return {self.node_of(mac) for mac in self.asker.who_has(vip, within=within, everybody=True)}

    def alone(self, vip: str, owner: str) -> None:
        """Asserts that `owner` answers for the VIP, and nobody else."""

        def asked() -> bool:
            found = self.answering(vip)
            assert found <= {owner}, f"{found} answer for {vip}"
            return bool(found)

        eventually(asked, what=f"{owner} answers for {vip}")

    def owner(self, vip: str, *, but: Iterable[str] = (), within: float = PATIENCE) -> str:
        """The one node that answers, none of `but`; AssertionError when there is not just one `within` seconds."""
        found: set[str] = set()

        def just_one() -> str | None:
            found.clear()
            found.update(self.answering(vip))
            return next(iter(found)) if len(found) == 1 and not found & set(but) else None

        try:
            return str(eventually(just_one, within=within))
        except AssertionError:
            raise AssertionError(f"{found or 'nobody'} answers for {vip}; wanted one, not of {list(but)}") from None

    def moves(self, name: str, vip: str, since_unix: float) -> list[tuple[str, str]]:
        """From whom to whom a VIP went since then, as this speaker remembers it, oldest first."""
        rows = self[name].ask(f"/v1/owners?target={vip}&since_unix={since_unix}")["changes"]
        return [(row["from"], row["to"]) for row in rows if row["to"]]

    def agreed(self, vip: str, owner: str, *, among: Iterable[str], within: float = PATIENCE) -> None:
        """Waits until every speaker of `among` hears that `owner`, alone, holds the VIP."""
        names = list(among)
        heard: dict[str, list[str]] = {}

        def agree() -> bool:
            heard.update({name: self[name].said(vip) for name in names})
            return all(said == [owner] for said in heard.values())

        try:
            eventually(agree, within=within, every=0.02)
        except AssertionError:
            raise AssertionError(f"not all hear that {owner} has {vip}: {heard}") from None
