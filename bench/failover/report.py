"""Rows of the table: what was measured, what was to be reached, and whether it was."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.failover.rounds import Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """What a case is held against; seconds. None: measured only.

    `healed`: until nobody but one owner answers after mending. With `single`, two never answer after the fault.
    """

    worst: float | None = None
    median: float | None = None
    healed: float | None = None
    single: bool = True

    def times(self, factor: float) -> Bars:
        """The same with so many times the time."""

        def more(bar: float | None) -> float | None:
            return None if bar is None else bar * factor

        return Bars(worst=more(self.worst), median=more(self.median), healed=more(self.healed), single=self.single)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    case: str
    contender: str
    rounds: int
    late: int
    """Rounds in which the machine was late, which count for nothing but what must never be."""
    worst: float | None
    """None: there was no such round, or an address was never taken over."""
    median: float | None
    bars: Bars
    doubled: int
    healed: float
    doubled_after: int
    moved_after: int
    missed: tuple[str, ...]
    note: str = ""

    @property
    def met(self) -> bool:
        return not self.missed

    def failing(self, why: str) -> Row:
        return replace(self, missed=(*self.missed, why))


def row(case: str, contender: str, rounds: Sequence[Round], bars: Bars, note: str = "") -> Row:
    """Times are judged where the machine was in time, counts everywhere."""
    timed = [each for each in rounds if not each.too_late] or list(rounds)
    took = [each.took for each in timed if each.took is not None]
    lost = sum(each.missing for each in rounds)
    worst = max(took, default=None) if not any(each.took is None for each in timed) else None
    median = statistics.median(took) if took else None
    found = Row(
        case=case,
        contender=contender,
        rounds=len(rounds),
        late=sum(each.too_late for each in rounds),
        worst=worst,
        median=median,
        bars=bars,
        doubled=sum(each.doubled for each in rounds),
        healed=max((each.healed for each in timed), default=0.0),
        doubled_after=sum(each.doubled_after for each in rounds),
        moved_after=sum(each.moved_after for each in rounds),
        missed=(),
        note=" ".join(filter(None, [note, f"{lost} never taken over" if lost else "", _kept(rounds)])),
    )
    return _judged(found, bars) if contender == "lbctl" else found


def _kept(rounds: Sequence[Round]) -> str:
    kept = sum(each.kept for each in rounds)
    return f"owner answered on in {kept}: longest silence" if kept else ""


def _judged(row: Row, bars: Bars) -> Row:
    missed = []
    if bars.worst is not None and (row.worst is None or row.worst > bars.worst):
        missed.append("worst")
    if bars.median is not None and (row.median is None or row.median > bars.median):
        missed.append("median")
    if bars.healed is not None and row.healed > bars.healed:
        missed.append("healing")
    if bars.healed is None and row.doubled_after:
        missed.append("two answering after mending")
    if bars.single and row.doubled:
        missed.append("two answering")
    if row.moved_after:
        missed.append("moved by mending")
    return replace(row, missed=tuple(missed))


_HEAD = (
    "case",
    "of",
    "rounds",
    "late",
    "worst ms",
    "median ms",
    "bar ms",
    "two answering",
    "healed ms, two answering",
    "moved by mending",
    "",
    "",
)


def table(rows: Sequence[Row], reference: float | None) -> str:
    """Markdown. `reference`: what ratios are taken to."""
    head = [*_HEAD]
    head[-2] = "/ keepalived 0.05 s" if reference else ""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cells(row, reference)) + " |" for row in rows]
    return "\n".join(lines)


def line(row: Row) -> str:
    """One row as it is finished, on one line."""
    name = f"{row.case}, {row.contender}"
    return (
        f"{name:62} worst {_ms(row.worst):>6} median {_ms(row.median):>6} bar {_ms(row.bars.worst):>5} ms  "
        f"two answering {row.doubled}, {row.doubled_after}  healed {_ms(row.healed)} ms  {_verdict(row)} {row.note}"
    )


def _cells(row: Row, reference: float | None) -> list[str]:
    bar = _ms(row.bars.worst) + (f", median {_ms(row.bars.median)}" if row.bars.median is not None else "")
    verdict = " ".join([_verdict(row), *row.note.split()]).strip()
    ratio = f"{row.worst / reference:.2f}" if reference and row.worst is not None else ""
    return [
        row.case, row.contender, str(row.rounds), str(row.late), _ms(row.worst), _ms(row.median), bar, str(row.doubled),
        f"{_ms(row.healed)}, {row.doubled_after}", str(row.moved_after), ratio, verdict,
    ]  # fmt: skip


def _verdict(row: Row) -> str:
    if row.missed:
        return f"MISSED: {', '.join(row.missed)}"
    return "met" if row.contender == "lbctl" else ""


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"
