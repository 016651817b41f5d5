"""How long `lbctl validate` takes, as a person runs it: one small file, and 50,000 documents.

    python -m bench.validate [--documents N]

lbctl is run as it is installed, its modules compiled to bytecode; on the small file once more as a checkout runs where
Python may not write that. Beside it the floor of a tool in Python that reads YAML at all: an interpreter that starts,
imports PyYAML and loads the same files by its C parser, without a check, a model or a position. Prints the best of
several runs, as time on the clock and as processor time; on a machine that does other things only the second says
something, and the ratio.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from bench.config import documents

ROOT = Path(__file__).parents[1]
LBCTL = (str(Path(sys.executable).with_name("lbctl")), "validate")
INSTALLED = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""The environment of commands: the first run compiles, the others find it compiled."""
NOTHING = (sys.executable, "-c", "pass")
LOAD = """
import sys, pathlib, yaml
for root in map(pathlib.Path, sys.argv[1:]):
    for path in sorted(root.rglob("*.yaml")) if root.is_dir() else [root]:
        for document in yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader):
            pass
"""
PYYAML = (sys.executable, "-c", LOAD)


def timed(name: str, command: Sequence[str], *, times: int, env: Mapping[str, str] = INSTALLED) -> tuple[float, float]:
    """Prints and returns the least clock and processor time of several runs."""
    best = (float("inf"), float("inf"))
    for _ in range(times):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=env)
        clock, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = (min(best[0], clock), min(best[1], processor))
    print(f"{name:58} {best[0]:8.3f} s {best[1]:8.3f} s")
    return best


def compare(paths: Sequence[str], *, times: int) -> None:
    lbctl = timed("  lbctl validate", (*LBCTL, *paths), times=times)
    floor = timed("  PyYAML's C parser loads it", (*PYYAML, *paths), times=times)
    print(f"{'  of that':58} {lbctl[0] / floor[0]:8.2f} x {lbctl[1] / floor[1]:8.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=50_000)
    count = parser.parse_args().documents
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {load}\n")
    print(f"{'':58} {'clock':>10} {'processor':>10}")
    timed("Python that does nothing", NOTHING, times=10)
    print("One small file (configs/layer2.yaml)")
    small = str(ROOT / "configs" / "layer2.yaml")
    compare([small], times=20)
    with tempfile.TemporaryDirectory(prefix="lbctl-bench-") as copy:
        shutil.copytree(ROOT / "lbctl", Path(copy) / "lbctl", ignore=shutil.ignore_patterns("__pycache__"))
        command = (sys.executable, "-P", "-m", "lbctl", "validate", small)
        bare = {**INSTALLED, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": copy}
        timed("  lbctl validate, not compiled beforehand", command, times=20, env=bare)
    folder = Path(tempfile.mkdtemp(prefix="lbctl-bench-"))
    try:
        texts = list(islice(documents(count // 3 + 1), count))
        one = folder / "one"
        one.mkdir()
        (one / "all.yaml").write_text("---\n".join(texts))
        print(f"{count:,} documents in one file")
        compare([str(one)], times=2)
        each = folder / "each"
        for number, text in enumerate(texts):
            path = each / f"{number // 1000:03}" / f"{number:06}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        print(f"{count:,} documents, a file each")
        compare([str(each)], times=2)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
