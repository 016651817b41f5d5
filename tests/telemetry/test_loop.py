"""What a daemon settles before its loop runs."""

from __future__ import annotations

import asyncio
import io
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lbctl.telemetry.log import LogFormat, configure
from lbctl.telemetry.loop import LoopTroubles


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger("lbctl")
    before = (root.handlers[:], root.level, root.propagate)
    stream = io.StringIO()
    configure(LogFormat.CONSOLE, stream=stream)
    yield stream
    root.handlers[:], root.level, root.propagate = before


async def test_a_complaint_of_the_loop_is_one_line_and_not_said_again_at_once(out: io.StringIO) -> None:
    loop = asyncio.get_running_loop()
    handler = LoopTroubles()
    loop.set_exception_handler(handler)
    full = OSError(24, "Too many open files")
    for _ in range(50):
        loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": full})
    loop.call_soon(lambda: [][1])
    await asyncio.sleep(0.01)
    first, second = out.getvalue().splitlines()
    assert 'loop_trouble what="socket.accept() out of system resource"' in first
    assert "Too many open files" in first
    assert "IndexError" in second
    assert "at=test_loop.py:" in second


def test_a_daemon_may_open_as_many_files_as_the_hard_limit_allows() -> None:
    code = """
import asyncio, resource
from lbctl.telemetry.loop import settled
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
async def main(): return resource.getrlimit(resource.RLIMIT_NOFILE)
print(asyncio.run(settled(main())))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "(200, 200)\n"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] != 200
