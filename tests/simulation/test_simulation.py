"""The cluster simulation in numbers that a test run can bear; `make soak` tells many more stories.

Each test is a process of its own with a fixed hash seed, so that the command it prints replays what it saw.
A story of 3 to 7 nodes takes 0.3 s of a core, one of 40 nodes 15 s: hence 360 of the one kind and one of the other,
which with everything else is some 200 s of CPU.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.rules import Rule
from tests.simulation.splits import partitions
from tests.simulation.story import run

ROOT = Path(__file__).parents[2]
STORIES, CHUNK = 360, 60
HEALS = 60
SOAKED, SOAK_CHUNK = 50_000, 2_500
LARGE, SOAKED_LARGE = 40, 100
SEARCHED = 500
"""Seeds within which a missing rule must show."""


def simulate(*arguments: str, jobs: int = 1, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--jobs", str(jobs), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def assert_holds(done: subprocess.CompletedProcess[str]) -> None:
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("first", range(0, STORIES, CHUNK))
def test_stories(first: int) -> None:
    assert_holds(simulate("--seeds", f"{first}-{first + CHUNK - 1}"))


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_every_split(count: int) -> None:
    assert_holds(simulate("--splits", str(count)))


@pytest.mark.parametrize("count", [6, 7])
def test_every_kind_of_split(count: int) -> None:
    assert_holds(simulate("--splits", str(count), "--shapes"))


def test_who_was_alone_takes_nothing_from_the_last_one_when_all_are_back() -> None:
    assert_holds(simulate("--heals", "--seeds", f"0-{HEALS - 1}"))


def test_a_large_cluster() -> None:
    assert_holds(simulate("--seeds", "0", "--nodes", str(LARGE)))


@pytest.mark.parametrize("rule", list(Rule), ids=lambda rule: rule.name)
def test_without_a_rule_an_invariant_fails(rule: Rule) -> None:
    done = simulate("--seeds", f"0-{SEARCHED - 1}", "--without", rule.name, "--until-failure")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"--seed \d+ --without {rule.name} --trace", done.stdout)


def test_a_seed_tells_the_same_story_again() -> None:
    told = [simulate("--seed", "7", "--trace").stdout for _ in range(2)]
    assert told[0] == told[1]
    assert "answers for" in told[0]


def test_partitions_are_all() -> None:
    assert [len(set(partitions(count))) for count in range(2, 8)] == [2, 5, 15, 52, 203, 877]


def test_a_story_says_what_struck() -> None:
    outcome = run(3)
    assert sum(outcome.struck.values()) > 0
    assert outcome.seconds > 1.0


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SOAKED, SOAK_CHUNK))
def test_soak_stories(first: int) -> None:
    assert_holds(simulate("--seeds", f"{first}-{first + SOAK_CHUNK - 1}", jobs=os.cpu_count() or 1, timeout=7000.0))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SOAKED_LARGE, 10))
def test_soak_large_clusters(first: int) -> None:
    seeds = f"{first}-{first + 9}"
    assert_holds(simulate("--seeds", seeds, "--nodes", "100", jobs=os.cpu_count() or 1, timeout=7000.0))


@pytest.mark.slow
@pytest.mark.parametrize("count", [6, 7])
def test_soak_every_split(count: int) -> None:
    assert_holds(simulate("--splits", str(count), jobs=os.cpu_count() or 1, timeout=7000.0))
