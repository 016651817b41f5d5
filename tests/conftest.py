"""For all tests: properties are judged by what they find, not by how long a busy machine took for one example."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# `pytest --hypothesis-profile=long tests/plan/test_against_dumb.py` takes an hour; "more" a minute.
# How long the making of examples takes is the machine's affair as well.
settings.register_profile("lbctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("more", deadline=None, max_examples=2_000)
settings.register_profile("long", deadline=None, max_examples=100_000)
settings.load_profile("lbctl")


def pytest_configure() -> None:
    """A run in the background or under nohup ignores these signals, and so would every process it starts.

    What lbctl does when it is interrupted is to be tested there too.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
