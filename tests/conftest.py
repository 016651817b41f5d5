"""For all tests: properties are judged by what they find, not by how long a busy machine took for one example.

And what is to be read of a failure: the end of a report may be cut off, so each failure says at once, and once more
before all tracebacks, which test it is and what its daemons were doing.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from typing import Any

import pytest
from _pytest._code.code import TerminalRepr
from _pytest._io import TerminalWriter
from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, settings

from tests.support import evidence

# `pytest --hypothesis-profile=long tests/plan/test_against_dumb.py` takes an hour; "more" a minute.
# How long the making of examples takes is the machine's affair as well.
settings.register_profile("lbctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("more", deadline=None, max_examples=2_000)
settings.register_profile("long", deadline=None, max_examples=100_000)
settings.load_profile("lbctl")

_config: list[pytest.Config] = []
_failed: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """A run in the background or under nohup ignores these signals, and so would every process it starts.

    What lbctl does when it is interrupted is to be tested there too.
    """
    _config.append(config)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


class _WithEvidence(TerminalRepr):
    """A traceback below what the daemons were doing."""

    def __init__(self, found: str, what: TerminalRepr | str, crash: object) -> None:
        self._found = found
        self._what = what
        self.reprcrash = crash

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in self._found.splitlines():
            tw.line(line)
        if isinstance(self._what, str):
            tw.line(self._what)
        else:
            self._what.toterminal(tw)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and (found := evidence.gathered()):
        what: Any = report.longrepr
        report.user_properties.append(("evidence", found))
        report.longrepr = _WithEvidence(found, what, getattr(what, "reprcrash", None))
    return report


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    reporter = _config[0].pluginmanager.get_plugin("terminalreporter") if _config else None
    if not report.failed or not isinstance(reporter, TerminalReporter):
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else _message(report.longreprtext)
    said = text.strip().splitlines() or [""]
    name = report.nodeid if report.when == "call" else f"{report.nodeid} ({report.when})"
    _failed.append(f"FAILED {name}: {said[0][:160]}")
    reporter.write("\n")
    reporter.write_line(_failed[-1])
    found = dict(report.user_properties).get("evidence")
    if isinstance(found, str):
        for line in evidence.in_short(found):
            reporter.write_line(f"  {line}")


def _message(traceback: str) -> str:
    """What was raised, out of what another process made of it."""
    lines = traceback.splitlines()
    return next((line[1:] for line in lines if line.startswith("E ")), lines[0] if lines else "")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Comes before the tracebacks."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if len(_failed) > 1 and isinstance(reporter, TerminalReporter):
        reporter.write("\n")
        for line in _failed:
            reporter.write_line(line)
