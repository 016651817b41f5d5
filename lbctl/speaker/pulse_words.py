"""What the work process may say to pulse, and what of it the machine is told: the messages of docs/processes.md read.

Nothing here is state: a message, the machine and the time in, calls of the machine out. What cannot be read raises
KeyError, TypeError or ValueError, and costs that message only.
"""

from __future__ import annotations

from collections.abc import Callable

from lbctl.net.channel import Message
from lbctl.protocol.heartbeat.machine import Heartbeat
from lbctl.protocol.heartbeat.orders import order_of
from lbctl.protocol.heartbeat.segments import LOOPBACK, Segment, Settings
from lbctl.protocol.heartbeat.stations import Sighting, Station

Word = Callable[[Heartbeat, Message, float], None]


def settings_of(setup: Message, mode: Message, *, interval: float) -> Settings:
    """Who this node is. `mode` may be empty: availability, with everything at its default."""
    defaults = {name: mode[name] for name in ("start_wait",) if name in mode}
    return Settings(
        cluster=setup["cluster"],
        node=setup["node"],
        incarnation=int(setup["incarnation"]) % 2**64,
        interval=interval,
        multiplier=int(setup["multiplier"]),
        port=int(setup["port"]),
        group4=setup["group4"],
        group6=setup["group6"],
        keys=keys_of(setup),
        observer=setup.get("role") == "observer",
        safety=mode.get("mode") == "safety",
        witness=mode.get("witness") is not None,
        **{name: float(value) for name, value in defaults.items()},
    )


def keys_of(message: Message) -> tuple[tuple[int, bytes], ...]:
    return tuple((int(key_id), bytes.fromhex(secret)) for key_id, secret in message.get("keys", ()))


def segments_of(message: Message) -> dict[int, Segment]:
    """By interface index; loopback is always one of them."""
    segments = {
        int(entry["ifindex"]): Segment(
            ifindex=int(entry["ifindex"]),
            name=entry["name"],
            address=entry["address"],
            usable=bool(entry["usable"]),
            mac=entry.get("mac", ""),
            tag=entry.get("tag", ""),
        )
        for entry in message["segments"]
    }
    return {**segments, LOOPBACK.ifindex: LOOPBACK}


def _peers(machine: Heartbeat, message: Message, now: float) -> None:
    machine.set_peers([(entry["name"], entry["addresses"]) for entry in message["peers"]], now)


def _say(machine: Heartbeat, message: Message, _: float) -> None:
    machine.say(
        [Station(_mac(mac), interface) for mac, interface in message["stations"]],
        [Sighting(address, _mac(mac), interface) for address, mac, interface in message["conflicts"]],
    )


def _prepare(machine: Heartbeat, message: Message, now: float) -> None:
    machine.prepare(
        int(message["generation"]),
        [(address, int(allocation), heirs) for address, allocation, heirs in message["set"]],
        message["drop"],
        bool(message["complete"]),
        now,
    )


def _claim(machine: Heartbeat, message: Message, now: float) -> None:
    machine.claim(message["addresses"], message["cause"], now, bool(message.get("over", False)))


def _release(machine: Heartbeat, message: Message, now: float) -> None:
    machine.release(message["addresses"], message["cause"], now)


def _restore(machine: Heartbeat, message: Message, _: float) -> None:
    machine.restore([(address, int(epoch)) for address, epoch in message["epochs"]])


def _orders(machine: Heartbeat, message: Message, now: float) -> None:
    machine.order([order_of(row) for row in message["set"]], now)


def _world(machine: Heartbeat, message: Message, now: float) -> None:
    machine.set_world(int(message["generation"]), now)


def _mode(machine: Heartbeat, message: Message, now: float) -> None:
    wait = float(message.get("start_wait", machine.settings.start_wait))
    machine.set_mode(now, start_wait=wait, witness=message.get("witness") is not None)


def _handover(machine: Heartbeat, _: Message, now: float) -> None:
    machine.hand_over(now)


WORDS: dict[str, Word] = {
    "peers": _peers,
    "say": _say,
    "prepare": _prepare,
    "claim": _claim,
    "release": _release,
    "restore": _restore,
    "orders": _orders,
    "world": _world,
    "mode": _mode,
    "handover": _handover,
}


def _mac(text: str) -> bytes:
    """Six bytes; all zero for no MAC."""
    return bytes.fromhex(text.replace(":", "")) or bytes(6)
