"""What the pulse process costs: one real one among N members, which one process in a namespace speaks for.

    python -m bench.pulse [--nodes 10 100] [--seconds 10] [--interval 0.05] [--no-key] [--json]

Each member has an address of its own, is heard both ways, and says each interval that it hears all the others; packets
are signed. Needs root; makes its own namespaces and removes them. Exit status: 0 the bars are met, 1 not, 2 cannot run.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lbctl.protocol.heartbeat.auth import Keyring
from lbctl.protocol.heartbeat.identity import cluster_hash, node_hash, packed_address
from lbctl.protocol.heartbeat.packet import (
    HERE,
    SIGNED,
    TWO_WAY,
    Digest,
    Header,
    Heard,
    Kind,
    Role,
    Saying,
    beat_bodies,
    encode_header,
)
from tests.speaker.pulses import PulseProcess, Pulses
from tests.support.netns import Host, Segment

KEY = (7, b"a secret of some length, for the bench")
PORT = 7966
BARS = {10: 0.03, 100: 0.10}
"""Share of a core, by nodes."""
CLUSTER = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    nodes: int
    cpu: float
    """Share of a core."""
    received: float
    sent: float
    """Packets a second."""
    late: float
    """The worst lateness of a beat, seconds."""
    resident: int
    """Kilobytes."""


def address(number: int) -> str:
    return f"10.9.{number // 250}.{number % 250 + 1}"


def measure(nodes: int, *, seconds: float, interval: float, key: bool) -> Cost:
    with Segment({"real": [], "members": []}) as lan, Pulses() as pulses:
        for host, first, count in ((lan["real"], 0, 1), (lan["members"], 1, nodes - 1)):
            lines = "".join(f"addr add {address(n)}/16 dev eth0\n" for n in range(first, first + count))
            host.run(["ip", "-batch", "-"], stdin=lines)
        names = [f"m{n}" for n in range(1, nodes)]
        keys = [[KEY[0], KEY[1].hex()]] if key else []
        peers = [(name, address(n)) for n, name in enumerate(names, start=1)]
        node = pulses.start(lan["real"], address(0), peers=peers, keys=keys, interval=interval)
        speakers = _start(lan["members"], nodes, node.incarnation, interval=interval, key=key)
        try:
            pulses.until(lambda: node.counts(*names), within=30.0)
            pulses.for_seconds(2.0)
            return _cost(pulses, node, nodes, seconds)
        finally:
            speakers.kill()
            speakers.wait()


def _cost(pulses: Pulses, node: PulseProcess, nodes: int, seconds: float) -> Cost:
    # The end of one second that it counts, and of another.
    lates: list[float] = []

    def next_count() -> tuple[float, float, dict[str, int]]:
        seen = len(node.ops("counters"))
        pulses.until(lambda: len(node.ops("counters")) > seen)
        lates.append(node.ops("counters")[-1].message["late_max"])
        return time.monotonic(), _on_cpu(node.process.pid), dict(node.counters)

    began, cpu, counters = next_count()
    lates.clear()
    ended = began
    while ended < began + seconds:
        ended, used, now = next_count()
    took = ended - began
    return Cost(
        nodes=nodes,
        cpu=(used - cpu) / took,
        received=(now["rx_beats"] - counters["rx_beats"]) / took,
        sent=(now["tx_packets"] - counters["tx_packets"]) / took,
        late=max(lates),
        resident=_resident(node.process.pid),
    )


def _on_cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def _start(host: Host, nodes: int, incarnation: int, *, interval: float, key: bool) -> subprocess.Popen[str]:
    argument = json.dumps({"nodes": nodes, "incarnation": incarnation, "interval": interval, "key": key})
    process: subprocess.Popen[str] = host.popen([sys.executable, "-m", "bench.pulse", "--speak", argument])
    return process


def speak(nodes: int, incarnation: int, interval: float, key: bool) -> None:
    """Says for every member but the real one what each says, each interval, spread over it, for ever."""
    ring = Keyring(CLUSTER, (KEY,) if key else ())
    cluster = cluster_hash(CLUSTER)
    everybody = [Heard(node_hash("real"), incarnation, TWO_WAY | HERE)]
    everybody += [Heard(node_hash(f"m{n}"), 1, TWO_WAY | HERE) for n in range(1, nodes)]
    members = []
    for n in range(1, nodes):
        me = node_hash(f"m{n}")
        hears = [heard for heard in everybody if heard.node != me]
        bodies = beat_bodies(name=f"m{n}", hears=hears, digests=[Digest(me, 1, 0, 0, 0)], links=[])
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        sock.bind((address(n), PORT))
        sock.connect((address(0), PORT))
        members.append((me, bodies, sock, packed_address(address(n))))
    sequence = 0
    due = time.monotonic()
    while True:
        for me, bodies, sock, source in members:
            due += interval / len(members)
            time.sleep(max(0.0, due - time.monotonic()))
            for part, body in enumerate(bodies):
                sequence += 1
                header = Header(
                    kind=Kind.BEAT, node=me, incarnation=1, sequence=sequence, sent_us=time.monotonic_ns() // 1000,
                    segment=0, interval_ms=round(interval * 1000), multiplier=3, saying=Saying.ALIVE,
                    role=Role.SPEAKER, flags=SIGNED if key else 0, part=part,
                )  # fmt: skip
                try:
                    sock.send(ring.sign(encode_header(header, cluster) + body, source))
                except OSError:
                    pass  # the real one is not there yet


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 100], help="members (default 10 and 100)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (default %(default)s)")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between beats (default %(default)s)")
    parser.add_argument("--no-key", action="store_true", help="nothing is signed")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--speak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.speak:
        speak(**json.loads(options.speak))
    if os.geteuid() != 0:
        print("bench.pulse: must be root, to make network namespaces", file=sys.stderr)
        return 2
    met = True
    found = []
    for nodes in options.nodes:
        cost = measure(nodes, seconds=options.seconds, interval=options.interval, key=not options.no_key)
        found.append(cost)
        bar = BARS.get(nodes)
        met = met and (bar is None or cost.cpu <= bar)
        if not options.json:
            verdict = "" if bar is None else f"; bar {bar:.0%}: {'met' if cost.cpu <= bar else 'NOT met'}"
            print(
                f"{nodes:>4} nodes  {cost.cpu:6.1%} of a core; {cost.received:,.0f} beats in, {cost.sent:,.0f} packets "
                f"out a second; latest {cost.late * 1000:.1f} ms, {cost.resident / 1024:.0f} MiB{verdict}"
            )
    if options.json:
        print(json.dumps([asdict(cost) for cost in found], indent=2))
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
