"""`--ownership-mode safety` with real speakers: a majority takes over, a minority answers nothing, not even its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial

import pytest

from lbctl.speaker.troubles import safety_troubles
from tests.support.netns import eventually
from tests.support.speakers import Speakers
from tests.support.worlds import vip_world

NAMES = ["a", "b", "c"]
VIPS = [f"192.0.2.{100 + n}" for n in range(6)]


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Speakers]:
    options = ("--proxy", "none", "--ownership-mode", "safety", "--start-wait", "20", "--no-restart")
    with Speakers(NAMES, folder=tmp_path_factory.mktemp("safety"), options=options) as cluster:
        cluster.publish(vip_world(VIPS, made_unix=time.time()))
        cluster.start_all()
        cluster.restore(VIPS)
        yield cluster


def answered(cluster: Speakers) -> dict[str, set[str]]:
    return {vip: cluster.answering(vip) for vip in VIPS}


def are_answered_by(cluster: Speakers, *names: str) -> bool:
    """Whether each VIP has one answerer, of these. Asserts that none ever has two."""
    found = answered(cluster)
    assert all(len(owners) <= 1 for owners in found.values()), found
    return all(len(owners) == 1 and owners <= set(names) for owners in found.values())


@pytest.mark.netns
def test_a_majority_takes_over_and_the_last_of_three_answers_nothing(cluster: Speakers) -> None:
    soon = partial(eventually, every=0.05)
    status = cluster["a"].ask("/v1/status")
    assert status["capabilities"]["ownership_mode"] == "safety"
    assert not any("safety" in trouble for trouble in status["troubles"])
    soon(lambda: are_answered_by(cluster, *NAMES), what="one answerer for each")

    cluster.lan["a"].cut()
    soon(lambda: are_answered_by(cluster, "b", "c"), what="the majority has all")
    cluster.lan["b"].cut()
    soon(lambda: not any(answered(cluster).values()), what="the last one answers nothing")
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert not any(answered(cluster).values()), "the last of three took something"
    said = json.dumps(cluster["c"].ask("/v1/status")["members"])
    assert "gone" in said

    cluster.lan["a"].heal()
    cluster.lan["b"].heal()
    soon(lambda: are_answered_by(cluster, *NAMES), what="one answerer for each again")
    for vip in VIPS:
        cluster.agreed(vip, cluster.owner(vip), among=NAMES)


def test_two_speakers_in_safety_mode_are_told_what_that_means() -> None:
    (trouble,) = safety_troubles(2)
    assert "--ownership-mode availability" in trouble
    assert not safety_troubles(1)
    assert not safety_troubles(3)
