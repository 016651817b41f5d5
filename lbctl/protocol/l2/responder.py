"""Answers ARP requests and neighbor solicitations out of a Table: one lookup and one splice of bytes a frame."""

from __future__ import annotations

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.drop import Drop
from lbctl.protocol.l2.ethernet import BROADCAST, TYPE_ARP, TYPE_IPV6, is_station
from lbctl.protocol.l2.table import Port, Table
from lbctl.protocol.machine import Report, Send


class Responder:
    """Told frames, says at most one answer to each. Counts what it answered, and by name what it did not."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._outputs: list[Send | Report] = []
        self.arp_answers = 0
        self.ndp_answers = 0
        self.dropped: dict[Drop, int] = dict.fromkeys(Drop, 0)

    def received(self, frame: bytes, ifindex: int, now: float) -> None:
        answer = self._answer(frame, ifindex, now)
        if isinstance(answer, Drop):
            self.dropped[answer] += 1
        else:
            self._outputs.append(Send(answer, ifindex))

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        pass

    def outputs(self) -> list[Send | Report]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _answer(self, frame: bytes, ifindex: int, now: float) -> bytes | Drop:
        port = self._table.ports.get(ifindex)
        if port is None:
            return Drop.UNKNOWN_INTERFACE
        ethertype = frame[arp.ETHERTYPE]
        if ethertype == TYPE_ARP:
            return self._answer_arp(frame, ifindex, port, now)
        if ethertype == TYPE_IPV6:
            return self._answer_ndp(frame, ifindex, port, now)
        return Drop.NOT_L2

    def _answer_arp(self, frame: bytes, ifindex: int, port: Port, now: float) -> bytes | Drop:
        if len(frame) < arp.FRAME_SIZE:
            return Drop.TRUNCATED
        if not arp.is_question(frame):
            return Drop.NOT_A_QUESTION
        if (refusal := self._refusal(frame[arp.TARGET_IP], ifindex, now)) is not None:
            return refusal
        destination = frame[0:6]
        if destination not in (BROADCAST, port.mac):
            return Drop.OTHER_DESTINATION
        asker = frame[arp.SENDER_MAC]
        if not is_station(asker):
            # An answer to a group address would be a broadcast that anybody can make us send.
            return Drop.MALFORMED
        self.arp_answers += 1
        return asker + port.reply_head + frame[arp.TARGET_IP] + frame[arp.SENDER]

    def _answer_ndp(self, frame: bytes, ifindex: int, port: Port, now: float) -> bytes | Drop:
        message = ndp.parse(frame)
        if isinstance(message, Drop):
            return message
        if message.type != ndp.SOLICITATION:
            return Drop.NOT_A_QUESTION
        if (refusal := self._refusal(message.target, ifindex, now)) is not None:
            return refusal
        if not (message.destination[0] & 1 or message.destination == port.mac):
            return Drop.OTHER_DESTINATION
        if message.link_layer is None and not is_station(message.source):
            return Drop.MALFORMED
        self.ndp_answers += 1
        return port.advertiser.answer(message)

    def _refusal(self, address: bytes, ifindex: int, now: float) -> Drop | None:
        table = self._table
        where = table.answering.get(address)
        if where is None:
            return Drop.NOT_OWNER if address in table.allowed else Drop.UNKNOWN_ADDRESS
        if ifindex not in where:
            return Drop.OTHER_INTERFACE
        if now >= table.lease_at:
            return Drop.NO_LEASE
        return None
