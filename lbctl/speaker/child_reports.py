"""What pulse and wire report beside what the View is made of: counters, notes for the log, foreign answers."""

from __future__ import annotations

import logging
import time
from typing import Any

from lbctl.speaker.children import Message
from lbctl.speaker.foreign import Answering, ForeignAnswers
from lbctl.telemetry.log import event

_NOTES_A_SECOND = 5
_NO_ALARM = frozenset({"address_yielded", "claim_lost", "memory_not_locked", "no_locked_memory", "no_realtime"})
"""Notes of the children that say how things are; all others say that something is wrong."""


class ChildReports:
    """Logs and counts what a child says that is nobody else's. `interfaces` are names by index."""

    def __init__(self, counters: dict[str, float]) -> None:
        self.foreign = ForeignAnswers()
        self.interfaces: dict[int, str] = {}
        self.standing: dict[str, str] = {}
        """What the children say is wrong, by name, until they say that it is over."""
        self._counters = counters
        self._noted: dict[str, tuple[int, int]] = {}

    def hear(self, child: str, message: Message) -> None:
        """Takes a message; one that is not known is passed over."""
        logger = logging.getLogger(f"lbctl.{child}")
        match message["op"]:
            case "counters":
                for counter, value in message["counters"].items():
                    self._counters[f"{child}_{counter}"] = value
                if "late_max" in message:
                    self._counters[f"{child}_late_max"] = message["late_max"]
            case "note":
                self.note(child, str(message["name"]), message["fields"])
            case "trouble":
                self._trouble(logger, str(message["name"]), str(message["text"]), bool(message["on"]))
            case "refused":
                fields = {name: value for name, value in message.items() if name != "op"}
                event(logger, "claims_refused", level=logging.DEBUG, **fields)
            case "announced":
                first, count = message["addresses"][0], len(message["addresses"])
                event(logger, "announced", level=logging.DEBUG, count=count, first=first, at_unix=message["at_unix"])
            case "foreign":
                self._foreign(logger, message)
            case "defended" | "yielded" as what:
                where = self.interfaces.get(message["ifindex"], f"interface {message['ifindex']}")
                fields = {"address": message["address"], "mac": message["mac"], "interface": where}
                self.note(child, f"address_{what}", fields)
            case _:
                pass

    def note(self, child: str, noted: str, fields: dict[str, Any]) -> None:
        """Logs what a child has to say, but no flood of it: a healed partition makes hundreds of lines alike."""
        second = int(time.monotonic())
        since, count = self._noted.get(noted, (second, 0))
        logger = logging.getLogger(f"lbctl.{child}")
        level = logging.INFO if noted in _NO_ALARM else logging.WARNING
        if since != second:
            if count > _NOTES_A_SECOND:
                event(logger, "more_of_these", level=level, name=noted, count=count - _NOTES_A_SECOND)
            count = 0
        self._noted[noted] = (second, count + 1)
        if count < _NOTES_A_SECOND:
            event(logger, noted, level=level, **fields)

    def _trouble(self, logger: logging.Logger, name: str, text: str, on: bool) -> None:
        if not on:
            if self.standing.pop(name, None) is not None:
                event(logger, "trouble_over", name=name)
            return
        if self.standing.get(name) != text:
            event(logger, "trouble", level=logging.WARNING, name=name, text=text)
        self.standing[name] = text

    def _foreign(self, logger: logging.Logger, message: Message) -> None:
        ifindex = message["ifindex"]
        where = self.interfaces.get(ifindex, f"interface {ifindex}")
        answering = Answering(message["address"], message["mac"], where)
        if self.foreign.see(answering, time.monotonic()):
            fields = {"address": answering.address, "mac": answering.mac, "interface": answering.interface}
            event(logger, "foreign_answer", level=logging.WARNING, **fields)
