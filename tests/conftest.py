"""For all tests: properties are judged by what they find, not by how long a busy machine took for one example."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# `pytest --hypothesis-profile=long tests/plan/test_against_dumb.py` takes an hour; "more" a minute.
# How long the making of examples takes is the machine's affair as well.
settings.register_profile("lbctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("more", deadline=None, max_examples=2_000)
settings.register_profile("long", deadline=None, max_examples=100_000)
settings.load_profile("lbctl")
