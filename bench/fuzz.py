"""Any text, however broken, gives a model or findings: mutated manifests through all of `lbctl validate`, for minutes.

    python -m bench.fuzz [--minutes M] [--seed N] [--only ROUND] [--keep DIR]

Each round takes one to three manifests (configs/ and the examples of all codes), breaks them in one to six ways, reads
them together, and prints the findings in all five forms. It fails for an exception, for findings that are out of order
or point nowhere, for output that is not what its form promises, for a reader with a memory that says something else
than a new one, and for a round that takes longer than ten seconds of processor time. A round depends on nothing but
the seed and its number: `--only` runs one again. Prints a record of the run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lbctl.cli.validate import Form, Told, show
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Severity
from lbctl.config.reader import Reader, Reading

ROOT = Path(__file__).parents[1]
LONGEST = 10.0
"""Seconds of processor time that one round may take."""

ALLOWABLE = [code.code for code in CODES.values() if code.severity is not Severity.ERROR]
Chance = random.Random
Mutation = Callable[[bytes, Chance, list[bytes]], bytes]

WORDS = (
    b"---\n", b"...\n", b"- ", b": ", b"? ", b"#", b" #", b"'", b'"', b"\\", b"|\n", b">-\n", b"|2\n", b"&a ", b"*a",
    b"*b ", b"!!binary ", b"!!int ", b"!x ", b"<<: ", b"[", b"]", b"{", b"}", b",", b"%YAML 1.1\n", b"%TAG ! x\n",
    b"\t", b"\r", b"\r\n", b"\0", b"\x1b[31m", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xe2\x80\xa8", b"null", b"~", b"true", b"0x1F", b"0o17", b".inf", b".nan", b"1e999", b"-0", b"-1", b"0",
    b"4294967296", b"9" * 500, b"9" * 5000, b"1_000", b"2026-01-31", b"12:30:45", b"on", b"64512:10", b"large:1:2:3",
    b"::", b"::/0", b"0.0.0.0/0", b"255.255.255.255", b"10.0.0.0/8", b"2001:db8::/32", b"fe80::1%eth0",
    b"10.0.0.1-10.0.0.0", b"-", b"10.0.0.0-10.255.255.255", b"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", b"1s",
    b"-5m", b"1e9h", b"x" * 3000, b"apiVersion: v1\n", b"kind: List\n", b"items:\n", b"kind: Secret\n",
    b"password: geheim\n", b"spec:\n", b"name: x\n",
)  # fmt: skip
ANNOTATIONS = (
    "lbctl.io/exclude", "lbctl.io/cooling-time", "lbctl.io/choice", "lbctl.io/protect", "lbctl.io/on-conflict",
    "lbctl.io/probe", "lbctl.io/address-pools", "lbctl.io/networks", "lbctl.io/gateways", "lbctl.io/", "metallb.io/",
    "metallb.io/loadBalancerIPs", "metallb.io/address-pool", "metallb.io/allow-shared-ip", "metallb.universe.tf/x",
    "metallb.universe.tf/loadBalancerIPs", "projectcalico.org/IPv4Address",
)  # fmt: skip
VALUES = (
    "", ",", ",,", "a,b", "a, a", "10.0.0.1", "10.0.0.1,10.0.0.2", "10.0.0.1,2001:db8::1", " 10.0.0.1 ", "60s", "-1s",
    "9999999h", "lowest", "in-use", "true", "10.0.0.0/8", "10.0.0.0-10.255.255.255", "::/0", "10.0.0.1-::1", "\u0661",
    "10.0.0.\u0661", "1" * 4000, "10.0.0.1," * 500, "\\e[31m", "\\u2028", "\\ud800", "'", "first", "\U0001f600",
)  # fmt: skip


def _at(raw: bytes, chance: Chance) -> int:
    return chance.randrange(len(raw) + 1)


def _line(raw: bytes, chance: Chance) -> int:
    """Where some line begins."""
    return raw.rfind(b"\n", 0, _at(raw, chance)) + 1


def _put(raw: bytes, at: int, what: bytes) -> bytes:
    return raw[:at] + what + raw[at:]


def flip(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    out = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 3, 20))):
        if out:
            out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def cut(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    begin, end = sorted((_at(raw, chance), _at(raw, chance)))
    return raw[:begin] + raw[begin + chance.choice((1, 5, end - begin)) :]


def truncate(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    return raw[: _at(raw, chance)]


def splice(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    other = chance.choice(others)
    begin, end = sorted((_at(other, chance), _at(other, chance)))
    return _put(raw, _at(raw, chance), other[begin:end])


def append(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    return raw + chance.choice((b"---\n", b"\n---\n", b"", b"...\n")) + chance.choice(others)


def repeat(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    begin, end = sorted((_line(raw, chance), _line(raw, chance)))
    return raw[:end] + raw[begin:end] * chance.choice((1, 2, 30)) + raw[end:]


def swap_lines(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    lines = raw.split(b"\n")
    one, two = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines)


def indent(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    lines = raw.split(b"\n")
    begin = chance.randrange(len(lines))
    for number in range(begin, min(len(lines), begin + chance.choice((1, 1, 5, 50)))):
        by = chance.choice((-2, -1, 1, 2, 7))
        lines[number] = b" " * by + lines[number] if by > 0 else lines[number][-by:]
    return b"\n".join(lines)


def word(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    at = chance.choice((_at, _line))(raw, chance)
    return _put(raw, at, chance.choice(WORDS))


def value(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    """Another value behind some colon."""
    places = [at for at in range(len(raw)) if raw.startswith(b": ", at)]
    if not places:
        return raw
    at = chance.choice(places) + 2
    end = raw.find(b"\n", at)
    return raw[:at] + chance.choice(WORDS) + raw[end if end >= 0 else len(raw) :]


def character(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    """Any character of Unicode, surrogates too."""
    text = "".join(chr(chance.randrange(0x110000)) for _ in range(chance.choice((1, 1, 40))))
    return _put(raw, _at(raw, chance), text.encode("utf-8", "surrogatepass"))


def nest(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    depth = chance.choice((10, 39, 40, 41, 63, 64, 65, 1000, 20000))
    kind = chance.randrange(5)
    if kind == 0:
        text = b"[" * depth + (b"]" * depth if chance.random() < 0.7 else b"")
    elif kind == 1:
        text = b"{a: " * depth + (b"}" * depth if chance.random() < 0.7 else b"")
    elif kind == 2:
        text = b"\n" + b"".join(b" " * level + b"a:\n" for level in range(min(depth, 1000)))
    elif kind == 3:
        text = b"- " * depth + b"a\n"
    else:
        text = b'{"a":' * depth + b"1" + b"}" * depth
    return _put(raw, chance.choice((_at, _line))(raw, chance), text)


def aliases(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    """Each list holds the one before it several times."""
    width, levels = chance.choice((2, 10, 50)), chance.choice((3, 10, 40))
    lines = ["a0: &a0 [x, y]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * width) + "]")
    if chance.random() < 0.3:
        lines.append("loop: &loop [*loop]")
    return _put(raw, _line(raw, chance), "\n".join(lines).encode() + b"\n")


def annotate(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    key, text = chance.choice(ANNOTATIONS), chance.choice(VALUES)
    quote = chance.choice(('"', '"', "'", ""))
    line = f"annotations: {{{key}: {quote}{text}{quote}}}"
    metadata = raw.find(b"metadata:\n")
    if metadata >= 0 and chance.random() < 0.8:
        return _put(raw, metadata + len(b"metadata:\n"), b"  " + line.encode() + b"\n")
    return raw.replace(b"metadata: {", b"metadata: {" + line.encode() + b", ", 1)


def allow(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    """A comment that silences something, or tries to."""
    codes = ", ".join(
        chance.choice(ALLOWABLE if chance.random() < 0.8 else list(CODES)) for _ in range(chance.choice((1, 1, 2, 40)))
    )
    texts = (
        f"# lbctl: allow {codes}",
        f"#lbctl:allow {codes.lower()}",
        f"# lbctl: allow {codes}{chance.choice(VALUES)}",
        "# lbctl: allow LB" + "9" * 4000,
        "# lbctl: allow",
        "# lbctl: alow x",
    )
    text = chance.choice(texts)
    if chance.random() < 0.5:
        return _put(raw, _line(raw, chance), text.encode() + b"\n")
    end = raw.find(b"\n", _at(raw, chance))
    return _put(raw, end, b"  " + text.encode()) if end >= 0 else raw


def allow_found(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    """Comments for findings that are there, most of them where they help."""
    lines = raw.split(b"\n")
    for found in Reader().read({"": raw}).diagnostics[:50]:
        line = found.span.line - 1 + (chance.random() < 0.1)
        if line < len(lines) and chance.random() < 0.8:
            comment = f"# lbctl: allow {found.code}".encode()
            lines[line] = chance.choice((lines[line] + b" " + comment, b"  " + comment + b"\n" + lines[line]))
    return b"\n".join(lines)


def recode(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    kind = chance.randrange(6)
    text = raw.decode("utf-8", "replace")
    match kind:
        case 0:
            return raw.replace(b"\n", b"\r\n")
        case 1:
            return raw.replace(b"\n", b"\r")
        case 2:
            return b"\xef\xbb\xbf" + raw
        case 3:
            return text.encode(chance.choice(("utf-16", "utf-16-le", "utf-32", "utf-7")))
        case 4:
            return raw.rstrip(b"\n")
        case _:
            return json.dumps(
                {"apiVersion": "v1", "kind": "List", "items": [text, {"kind": text}, None, [text]]}
            ).encode()


def blow_up(raw: bytes, chance: Chance, others: list[bytes]) -> bytes:
    """Much of something."""
    what = chance.choice(
        (b"---\n", b"a: b\n", b"- a\n", b"# c\n", b"\n", b" ", b"a", b"'", b'"\\n', b"[a,", b"&a ", b"a: ")
    )
    return _put(raw, _line(raw, chance), what * chance.choice((100, 3000)))


MUTATIONS: tuple[Mutation, ...] = (
    flip, cut, truncate, splice, append, repeat, swap_lines, indent, indent, word, word, value, value, character, nest,
    aliases, annotate, annotate, allow, allow_found, recode, blow_up,
)  # fmt: skip


@dataclass(slots=True)
class Record:
    """What came of a run."""

    rounds: int = 0
    files: int = 0
    documents: int = 0
    octets: int = 0
    objects: int = 0
    allowed: int = 0
    failures: list[int] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    worst: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds of processor time, octets and number of the slowest rounds."""

    def took(self, seconds: float, octets: int, number: int) -> None:
        self.worst = sorted([*self.worst, (seconds, octets, number)], reverse=True)[:5]


def files_of(seed: int, number: int, seeds: list[bytes]) -> dict[str, bytes]:
    chance = random.Random(f"{seed}/{number}")
    names = ("a.yaml", "dir/b c.yaml", "\u00e4\x1b\udcff.yml")
    files = {}
    for name in names[: chance.choice((1, 1, 2, 3))]:
        raw = chance.choice(seeds)
        for _ in range(chance.choice((1, 1, 2, 3, 6))):
            raw = chance.choice(MUTATIONS)(raw, chance, seeds)[:400_000]
        files[name] = raw
    return files


def check(files: Mapping[str, bytes], reader: Reader) -> Reading:
    """One round. Raises whatever is found wrong."""
    reading = reader.read(files)
    fresh = Reader().read(files)
    assert (reading.diagnostics, reading.allowed) == (fresh.diagnostics, fresh.allowed), "memory changes what is said"
    assert list(reading.diagnostics) == sorted(reading.diagnostics, key=lambda each: each.order), "out of order"
    ends = {name: raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 2 for name, raw in files.items()}
    for found in (*reading.diagnostics, *reading.allowed):
        _check_places(found, ends)
    assert not any(found.severity is Severity.ERROR for found in reading.allowed), "an error is allowed"
    told = Told(reading.diagnostics, reading.allowed, files, reading.count, show_allowed=True)
    shown = {form: _shown(told, form) for form in Form}
    count = len(reading.diagnostics) + len(reading.allowed)
    assert len(shown[Form.CONCISE].splitlines()) == count, "concise is one line a finding"
    github = shown[Form.GITHUB].split("\n")
    assert len(github) == len(reading.diagnostics) + 1, "github is one line a finding"
    assert all(line.startswith("::") for line in github[:-1])
    assert len(json.loads(shown[Form.JSON])["diagnostics"]) == len(reading.diagnostics)
    assert len(json.loads(shown[Form.SARIF])["runs"][0]["results"]) == count
    human = shown[Form.HUMAN]
    assert human.isprintable() or not any(ord(c) < 32 and c != "\n" for c in human), "a control character is shown"
    return reading


def _check_places(found: Diagnostic, ends: Mapping[str, int]) -> None:
    for span in (found.span, *(label.span for label in found.labels)):
        end = ends[span.file]
        assert 1 <= span.line <= span.end_line <= end, f"{found.code} points to line {span.line} of {end - 1}"
        assert span.column >= 1
        assert (span.line, span.column) <= (span.end_line, span.end_column), f"{found.code} ends before it begins"
    assert found.message, f"{found.code} says nothing"


def _shown(told: Told, form: Form) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        show(told, form)
    return out.getvalue()


def run(seed: int, until: Callable[[int], bool], first: int, keep: Path | None) -> Record:
    seeds = [path.read_bytes() for path in sorted((ROOT / "configs").rglob("*.yaml"))]
    seeds += [
        text.encode("utf-8", "surrogateescape") for code in CODES.values() for text in (code.example, code.mended)
    ]
    seeds = [raw for raw in seeds if raw]
    record, reader = Record(), Reader()
    number = first
    while until(number):
        files = files_of(seed, number, seeds)
        octets = sum(map(len, files.values()))
        began = time.process_time()
        try:
            reading = check(files, reader)
            seconds = time.process_time() - began
            assert seconds < LONGEST, f"{seconds:.1f} s"
            record.codes.update(found.code for found in reading.diagnostics)
            record.objects += reading.count
            record.allowed += len(reading.allowed)
        except Exception:
            seconds = time.process_time() - began
            print(f"round {number} of seed {seed}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            record.failures.append(number)
            if keep is not None:
                for place, raw in enumerate(files.values()):
                    (keep / f"{seed}-{number}-{place}.yaml").write_bytes(raw)
        record.rounds += 1
        record.files += len(files)
        record.documents += sum(raw.count(b"\n---") + 1 for raw in files.values())
        record.octets += octets
        record.took(seconds, octets, number)
        number += 1
    return record


def report(record: Record, seed: int, minutes: float) -> str:
    worst = ", ".join(f"{seconds:.2f} s ({octets:,} bytes, round {number})" for seconds, octets, number in record.worst)
    never = sorted(CODES.keys() - record.codes.keys())
    lines = [
        f"seed {seed}, {minutes:.1f} minutes, Python {platform.python_version()}, {platform.machine()}",
        f"rounds               {record.rounds:,}",
        f"files                {record.files:,}",
        f"documents            {record.documents:,} (by their markers)",
        f"bytes                {record.octets:,}",
        f"objects read         {record.objects:,}",
        f"findings             {record.codes.total():,} of {len(record.codes)} codes, {record.allowed:,} more allowed",
        f"codes never found    {', '.join(never) or 'none'}",
        f"exceptions and broken promises  {len(record.failures)} {record.failures or ''}".rstrip(),
        f"slowest rounds       {worst}",
        "                     (processor time; a round reads its files twice and prints five forms)",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="ROUND")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the files of rounds that fail there")
    options = parser.parse_args()
    began = time.monotonic()
    if options.only is not None:
        record = run(options.seed, lambda number: number == options.only, options.only, options.keep)
    else:
        ends = began + 60 * options.minutes
        record = run(options.seed, lambda _: time.monotonic() < ends, 0, options.keep)
    print(report(record, options.seed, (time.monotonic() - began) / 60))
    return 1 if record.failures else 0


if __name__ == "__main__":
    sys.exit(main())
