"""python -m tests.simulation --seeds 0-1999 [--nodes N] [--jobs 2], or --seed 1234 [--trace]."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from tests.simulation.faults import Fault
from tests.simulation.heals import run_heal
from tests.simulation.invariants import Worst
from tests.simulation.rules import Rule
from tests.simulation.splits import partitions, run_split, shapes
from tests.simulation.story import Outcome, run

SHOWN = 10
"""Failing seeds that are printed one by one."""


def table(outcomes: list[Outcome], took: float, rule: Rule | None = None, *, heals: bool = False) -> str:
    """How they went, for people."""
    worst = Worst()
    struck: Counter[Fault] = Counter()
    for outcome in outcomes:
        worst.take(outcome.worst)
        struck.update(outcome.struck)
    failed = [outcome for outcome in outcomes if outcome.failures]
    sizes = Counter(outcome.nodes for outcome in outcomes)
    lines = [
        f"seeds                   {len(outcomes)} of {', '.join(f'{n} nodes: {c}' for n, c in sorted(sizes.items()))}",
        f"virtual seconds         {sum(outcome.seconds for outcome in outcomes):.0f}",
        f"events                  {sum(outcome.events for outcome in outcomes)}",
        f"real seconds            {took:.1f}",
        f"worst gap, quorate      {worst.quorate_gap * 1000:.0f} ms",
        f"worst gap, otherwise    {worst.other_gap * 1000:.0f} ms",
        f"worst double answer     {worst.double * 1000:.0f} ms",
        f"worst healing           {worst.heal * 1000:.0f} ms",
        f"most moves of one       {worst.moves}",
        "faults                  " + f"{sum(struck.values())}",
        *(f"  {fault.title:<22}{struck[fault]}" for fault in Fault),
        f"failures                {len(failed)}",
    ]
    for outcome in failed[:SHOWN]:
        lines.append(f"  seed {outcome.seed}: {outcome.failures[0]}")
        lines.append(f"    {replay(outcome, rule, heals=heals)}")
    kinds = Counter(failure.split(":")[0].split(" ")[-1] for outcome in failed for failure in outcome.failures[:1])
    if failed:
        lines.append("  " + ", ".join(f"{kind}: {count}" for kind, count in kinds.most_common()))
    return "\n".join(lines)


def replay(outcome: Outcome, rule: Rule | None = None, *, heals: bool = False) -> str:
    nodes = f" --nodes {outcome.nodes}" if outcome.nodes > 7 else ""
    without = f" --without {rule.name}" if rule is not None else ""
    kind = " --heals" if heals else ""
    return f"python -m tests.simulation{kind} --seed {outcome.seed}{nodes}{without} --trace"


def _run(seed: int, *, nodes: int | None, rule: Rule | None) -> Outcome:
    """A story that fails anyway says nothing about the rule that is off."""
    outcome = run(seed, nodes=nodes, rule=rule)
    if rule is not None and outcome.failures and run(seed, nodes=nodes).failures:
        outcome.failures = []
    return outcome


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", help="ranges, FIRST-LAST or one number, with commas between")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--splits", type=int, metavar="NODES", help="cut a cluster in every way instead")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--heals", action="store_true", help="cut all but one off, one by one, and heal all instead")
    parser.add_argument("--shapes", action="store_true", help="of the splits, one of each kind")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--without", choices=[rule.name for rule in Rule], help="nobody keeps this rule")
    parser.add_argument("--until-failure", action="store_true", help="stop at the first seed that fails")
    given = parser.parse_args(arguments)
    rule = Rule[given.without] if given.without else None
    work: Callable[[Any], Outcome] = partial(_run, nodes=given.nodes, rule=rule)
    todo: list[Any] = [seed for part in (given.seeds or "0-99").split(",") for seed in _range(part)]
    if given.splits is not None:
        splits = shapes(given.splits) if given.shapes else partitions(given.splits)
        work, todo = run_split, [split for split in splits if max(split)]
    if given.heals:
        work = partial(run_heal, rule=rule)
    if given.seed is not None:
        if given.heals:
            outcome = run_heal(given.seed, trace=given.trace, rule=rule)
        else:
            outcome = run(given.seed, nodes=given.nodes, trace=given.trace, rule=rule)
        print("\n".join(outcome.trace))
        print(table([outcome], 0.0, rule, heals=given.heals))
        print("\n".join(outcome.failures))
        return 1 if outcome.failures else 0
    began = time.monotonic()
    gc.freeze()
    with ProcessPoolExecutor(given.jobs) as pool:
        outcomes = []
        for outcome in pool.map(work, todo, chunksize=4):
            outcomes.append(outcome)
            if given.until_failure and outcome.failures:
                pool.shutdown(cancel_futures=True)
                break
    print(table(outcomes, time.monotonic() - began, rule, heals=given.heals))
    return 1 if any(outcome.failures for outcome in outcomes) else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of texts are in another order in every process; a story must not be.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    raise SystemExit(main(sys.argv[1:]))
