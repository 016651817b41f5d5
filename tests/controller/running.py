"""A real `lbctl run-controller` with its manifests, state and socket in one folder."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lbctl.model.service import ServiceKey
from lbctl.net.status_client import UnixAddress, ask
from lbctl.sources.published import PublishedError, read_published
from lbctl.sources.published_document import Published
from tests.support.bars import PATIENCE
from tests.support.netns import eventually

_T = TypeVar("_T")
POOL = """apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: first, namespace: metallb-system}
spec:
  addresses: [192.0.2.1-192.0.2.3]
"""


def manifest(name: str, *, ip: str = "", kind: str = "LoadBalancer") -> str:
    wanted = f"  loadBalancerIP: {ip}\n" if ip else ""
    return f"""apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: {kind}
{wanted}  ports: [{{port: 80}}]
"""


class Home:
    """The folder: manifests come and go here, daemons are started and killed."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config"
        self.state = folder / "state"
        self.socket = folder / "socket"
        self.log = folder / "log"
        self.config.mkdir(parents=True)
        self.put("pool", POOL)
        self.process: subprocess.Popen[str] | None = None

    def put(self, name: str, text: str) -> None:
        """As an editor does it that cares: whole or not at all."""
        part = self.config / f".{name}.part"
        part.write_text(text)
        part.replace(self.config / f"{name}.yaml")

    def service(self, name: str, **options: str) -> None:
        self.put(name, manifest(name, **options))

    def drop(self, name: str) -> None:
        (self.config / f"{name}.yaml").unlink()

    def argv(self, *more: str) -> list[str]:
        paths = ["--config", str(self.config), "--state", str(self.state), "--socket", str(self.socket)]
        command = [sys.executable, "-m", "lbctl.cli.main", "run-controller"]
        return [*command, *paths, *(more or ("--no-heartbeat",))]

    def start(self, *more: str, prefix: Sequence[str] = (), ready: bool = True) -> Home:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*prefix, *self.argv(*more)], stdout=subprocess.PIPE, stderr=log, text=True)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "ready\n", f"{line!r}; {self.logged()[-2000:]}"

    def logged(self) -> str:
        return self.log.read_text()

    def refused(self, *more: str, prefix: Sequence[str] = ()) -> str:
        """Starts one that must not start; what it said, a line."""
        done = subprocess.run([*prefix, *self.argv(*more)], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2, done
        assert done.stdout == ""
        lines = [line for line in done.stderr.splitlines() if line.startswith("lbctl ")]
        assert len(lines) == 1, done.stderr
        assert "Traceback" not in done.stderr
        return lines[0]

    def stop(self, number: int = signal.SIGTERM, *, within: float = PATIENCE) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(within)
        self._close()
        return status

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._close()

    def _close(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    # What can be seen from outside

    @property
    def snapshot(self) -> Path:
        return self.state / "published" / "snapshot.json"

    def published(self, root: Path = Path("/")) -> Published | None:
        with contextlib.suppress(PublishedError):
            return read_published(root / self.snapshot.relative_to("/"))
        return None

    def addresses(self, root: Path = Path("/")) -> dict[str, str]:
        """Service name -> address, as published."""
        found = self.published(root)
        if found is None:
            return {}
        return {key.name: " ".join(map(str, item.addresses)) for key, item in found.world.allocations.items()}

    def until(self, condition: Callable[[dict[str, str]], _T], root: Path = Path("/")) -> dict[str, str]:
        """The published addresses, once they are so."""
        try:
            eventually(lambda: condition(self.addresses(root)), every=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.addresses(root)}; {self.logged()[-1500:]}") from None
        return self.addresses(root)

    def why(self, name: str) -> str:
        found = self.published()
        assert found is not None
        return "; ".join(map(str, found.pending.get(ServiceKey("default", name), ())))

    def ask(self, path: str) -> dict[str, Any]:
        _, answer = ask(UnixAddress(self.socket), path, patience=60.0)
        return answer

    def root(self) -> Path:
        """The file system as the daemon sees it, with mounts of its own."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root")


def private_tmpfs(folder: Path, size: str) -> list[str]:
    """A command before the daemon's: a tmpfs of its own over `folder`, which nobody else sees."""
    folder.mkdir(parents=True, exist_ok=True)
    script = f'mount -t tmpfs -o size={size} tmpfs {folder} && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
