"""A report that is cut off after its first lines still says what failed, and what the daemons were doing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import evidence

ROOT = Path(__file__).parent.parent.parent
FAILING = """
from pathlib import Path
from tests.support import evidence

LOG = Path(__file__).with_name("log")
evidence.register("cluster", lambda: [
    evidence.Witness(name="n2", ended=False, log=Path(__file__).with_name("other")),
    evidence.Witness(name="n1", ended=True, log=LOG),
])

def test_first():
    LOG.write_text("".join(f"line {n}\\n" for n in range(30)) + "10:00 debug noise\\nstopped why=x\\n")
    assert 1 == 2, "so it is"

def test_good():
    pass

def test_second():
    LOG.write_text(LOG.read_text() + "one more\\n")
    raise RuntimeError("broken")
"""


def test_the_name_the_message_and_the_ended_daemons_come_first(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path)),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    before, failures = done.stdout.split("= FAILURES =")
    at_once = before.splitlines()
    first = next(number for number, line in enumerate(at_once) if line.startswith("FAILED "))
    assert at_once[first].endswith("test_failing.py::test_first: AssertionError: so it is")
    assert at_once[first + 1 : first + 8] == [
        "  daemons: n1: ENDED, n2: runs",
        "  --- n1: ENDED, the last of its log:",
        *(f"  line {number}" for number in range(26, 30)),
        "  stopped why=x",
    ]
    second = next(n for n, line in enumerate(at_once) if line.endswith("test_second: RuntimeError: broken"))
    assert at_once[second + 3] == "  one more", "what was shown is not shown again"
    again = [line for line in at_once[second + 4 :] if line.startswith("FAILED ")]
    assert again == [at_once[first], at_once[second]], "all of them, before any traceback"
    assert failures.index("line 16") < failures.index("so it is")
    assert failures.index("stopped why=x") < failures.index("so it is")
    assert "noise" not in done.stdout


def test_it_is_bounded_and_never_fails(tmp_path: Path) -> None:
    witnesses = []
    for number in range(20):
        log = tmp_path / f"{number}.log"
        log.write_text("x" * 1000 + "\n" + "y\n" * 100)
        witnesses.append(evidence.Witness(name=f"n{number}", ended=number == 7, log=log))

    def broken() -> list[evidence.Witness]:
        raise RuntimeError("not me")

    evidence.register("a", broken)
    evidence.register("b", lambda: [*witnesses, evidence.Witness(name="x", ended=False, log=tmp_path / "none")])
    try:
        lines = evidence.gathered().splitlines()
    finally:
        evidence.forget("a")
        evidence.forget("b")
    assert lines[1] == "--- n7: ENDED, the last of its log:"
    assert len(lines) <= 1 + evidence.ENOUGH + 4
    assert lines.count("y") == evidence.ENOUGH
