"""Adds up what pytest reported (JUnit XML files), and fails when a test was skipped or a report is missing.

A skipped test is a test that says nothing; on the machine that decides, that must not pass for a success.
"""

# ruff: noqa: T201
from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(paths: list[str]) -> int:
    total = failed = skipped = 0
    seconds = 0.0
    slowest: list[tuple[float, str]] = []
    complaints: list[str] = []
    for path in map(Path, paths):
        if not path.is_file():
            complaints.append(f"{path} is missing: pytest did not get to its end")
            continue
        suite = ElementTree.parse(path).getroot().find("testsuite")
        assert suite is not None
        seconds += float(suite.get("time", "0"))
        for case in suite.iter("testcase"):
            total += 1
            name = f"{case.get('classname')}::{case.get('name')}"
            slowest.append((float(case.get("time", "0")), name))
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            if (skip := case.find("skipped")) is not None:
                skipped += 1
                complaints.append(f"skipped: {name}: {skip.get('message')}")
    print("slowest:")
    for duration, name in sorted(slowest, reverse=True)[:8]:
        print(f"  {duration:6.1f} s  {name}")
    for complaint in complaints:
        print(complaint)
    print(f"{total} tests in {seconds:.0f} s: {total - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or complaints or not total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
