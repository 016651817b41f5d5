"""How long manifests take: 10,000 Services and 20,000 EndpointSlices, as one file and as 30,000 files.

    python -m bench.config [--services N]

Prints seconds of processor time (of this process alone, so a busy machine shows little), and memory. "libyaml" is what
PyYAML's C parser alone takes for its events of the same text, without a check, a model or a position: the floor of
every reader built on it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lbctl.config.block import BlockParser
from lbctl.config.compose import compose, value_of
from lbctl.config.reader import Reader
from lbctl.sources.files import FilesSource


def service(number: int, *, port: int = 8080) -> str:
    """A Service as a person or a template writes it, 16 lines."""
    return f"""apiVersion: v1
kind: Service
metadata:
  name: svc-{number}
  namespace: ns-{number % 50}
  labels:
    app: app-{number}
spec:
  type: LoadBalancer
  ports:
  - name: http
    port: {port}
    targetPort: 80
    protocol: TCP
  selector:
    app: app-{number}
"""


def endpoint_slice(number: int, part: int) -> str:
    """An EndpointSlice with two endpoints, 21 lines."""
    return f"""apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: svc-{number}-{part}
  namespace: ns-{number % 50}
  labels:
    kubernetes.io/service-name: svc-{number}
addressType: IPv4
ports:
- name: http
  port: 80
  protocol: TCP
endpoints:
- addresses:
  - 10.{number >> 8 & 255}.{number & 255}.{part * 2 + 1}
  nodeName: n1
  conditions:
    ready: true
- addresses: ["10.{number >> 8 & 255}.{number & 255}.{part * 2 + 2}"]
  nodeName: n2
  conditions: {{ready: true}}
"""


def documents(services: int) -> Iterator[str]:
    for number in range(services):
        yield service(number)
        yield endpoint_slice(number, 0)
        yield endpoint_slice(number, 1)


def timed(name: str, action: Callable[[], object], *, times: int = 1) -> float:
    """Prints and returns the least processor time of several runs."""
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        action()
        best = min(best, time.process_time() - began)
    print(f"{name:58} {best:8.3f} s")
    return best


def libyaml(text: str) -> None:
    from yaml._yaml import CParser

    parser = CParser(text)
    while parser.get_event() is not None:
        pass


def composed(text: str) -> object:
    root = compose(text).root
    assert root is not None
    return value_of(root)


def resident() -> float:
    """MB of memory in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def follow(folder: Path, services: int) -> None:
    """The files source on a folder: first World, then one file changed, one added, one removed."""
    source = FilesSource([folder]).worlds()
    began = time.process_time()
    await anext(source)
    print(f"{'  first World':58} {time.process_time() - began:8.3f} s   {resident():6.0f} MB")
    new = folder / "zz-new.yaml"
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("  a file added", lambda: new.write_text(service(services + 1))),
        ("  that file changed", lambda: new.write_text(service(services + 1, port=81))),
        ("  that file removed", new.unlink),
    )
    for name, step in steps:
        coming = asyncio.ensure_future(anext(source))
        await asyncio.sleep(0.3)
        cpu, wall = time.process_time(), time.monotonic()
        step()
        await coming
        print(f"{name:58} {time.process_time() - cpu:8.3f} s   seen after {time.monotonic() - wall:.3f} s")


def read(texts: list[str], whole: str) -> None:
    """The pure part: bytes in, World and findings out."""
    floor = timed("libyaml's events alone", lambda: libyaml(whole))
    some = texts[: len(texts) // 10]
    exact = timed("text to values, exact parser, a tenth of the documents", lambda: [composed(text) for text in some])
    block = BlockParser()
    fast = timed("text to values, fast parser", lambda: [block.parse(text) for text in texts])
    print(f"{'  exact parser, all of them, of the fast one':58} {10 * exact / fast:8.1f} x")
    raw = whole.encode()
    changed = raw.replace(b"port: 8080", b"port: 8081", 1)
    gc.disable()  # as the source does while it reads
    reader = Reader()
    cold = timed("Reader, one file, cold", lambda: reader.read({"a.yaml": raw}))
    print(f"{'  of libyaml alone':58} {cold / floor:8.2f} x")
    timed("Reader, one file, one document changed", lambda: reader.read({"a.yaml": changed}))
    timed("Reader, one file, nothing changed", lambda: reader.read({"a.yaml": changed}), times=3)
    many = {f"{number:05}.yaml": text.encode() for number, text in enumerate(texts)}
    fresh = Reader()
    timed("Reader, a file each, cold", lambda: fresh.read(many))
    readings = {name: fresh.read_file(name, text) for name, text in many.items()}
    fresh.assemble(readings)
    readings = {**readings, "00000.yaml": fresh.read_file("00000.yaml", service(0, port=81).encode())}
    timed("Reader, a file each, one changed", lambda: fresh.assemble(readings, ["00000.yaml"]))
    gc.enable()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=10_000)
    services = parser.parse_args().services
    texts = list(documents(services))
    whole = "---\n" + "---\n".join(texts)
    size = f"{whole.count(chr(10)):,} lines, {len(whole) / 1e6:.1f} MB"
    print(f"{len(texts):,} documents, {size}; memory {resident():.0f} MB\n")
    read(texts, whole)
    folder = Path(tempfile.mkdtemp(prefix="lbctl-bench-"))
    try:
        print("\nFilesSource, one file")
        (folder / "all.yaml").write_text(whole)
        asyncio.run(follow(folder, services))
        (folder / "all.yaml").unlink()
        print("\nFilesSource, a file each")
        for number, text in enumerate(texts):
            (folder / f"{number:05}.yaml").write_text(text)
        asyncio.run(follow(folder, services))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
