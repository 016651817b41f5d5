"""A client: asks for addresses as hosts do, believes who answers, and who announces."""

from __future__ import annotations

from lbctl.protocol.l2 import arp
from lbctl.protocol.l2.ethernet import BROADCAST, TYPE_ARP
from tests.simulation.lan import Lan, address_of, mac_of

_REPLY = b"\x00\x02"


class Client:
    """One station without a speaker. `cache` is its neighbour table: the MAC it would send to."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.index = lan.plug(self)
        self.mac = mac_of(self.index)
        self.address = bytes(map(int, address_of(self.index).split(".")))
        self.cache: dict[bytes, bytes] = {}
        self.asked = 0
        self.answers: dict[bytes, list[bytes]] = {}

    def ask(self, address: bytes) -> None:
        """A broadcast request; `answers` collects the MACs of all who answer it."""
        self.asked += 1
        self.answers[address] = []
        self.lan.frame(self.index, arp.request(mac=self.mac, sender_ip=self.address, target_ip=address, to=BROADCAST))

    def take_frame(self, frame: bytes) -> None:
        if frame[12:14] != TYPE_ARP or len(frame) < arp.FRAME_SIZE:
            return
        mac, address = frame[arp.SENDER_MAC], frame[arp.SENDER_IP]
        if frame[arp.TARGET_IP] == self.address and arp.is_question(frame):
            answer = arp.reply(mac=self.mac, sender_ip=self.address, target_mac=mac, target_ip=address)
            self.lan.frame(self.index, answer)
            return
        announced = address == frame[arp.TARGET_IP]
        answered = frame[20:22] == _REPLY and frame[:6] == self.mac
        if answered and not announced:
            self.answers.setdefault(address, []).append(mac)
        # Linux updates an entry it has by announcements, and makes one only by an answer to its own question.
        if answered or (announced and address in self.cache):
            self.cache[address] = mac

    def take_datagram(self, payload: bytes, source: tuple[str, int]) -> None:
        pass
