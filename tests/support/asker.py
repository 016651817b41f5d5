"""A station that asks for addresses on the wire, by ARP and by neighbor discovery, and sees who answers."""

from __future__ import annotations

import select
import socket
import time
from types import TracebackType

from lbctl.net.packet_socket import Kind, PacketSocket
from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.ethernet import mac_from_text, mac_to_text
from tests.support.netns import Host


class Asker:
    """Asks from `host`'s interface with raw frames, past the host's own neighbor table."""

    def __init__(self, host: Host) -> None:
        self.mac = mac_from_text(host.mac)
        self._link_local = socket.inet_pton(socket.AF_INET6, host.link_local)
        # Not a probe, with no address: who probes for a VIP that is being probed wants to have it.
        self._own = socket.inet_aton(host.ipv4 or "0.0.0.0")
        with host.entered():
            self._arp = PacketSocket(host.ifindex, Kind.ARP)
            self._ndp = PacketSocket(host.ifindex, Kind.NDP)

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._arp.close()
        self._ndp.close()

    def send(self, frame: bytes) -> None:
        assert (self._arp if frame[12:14] == b"\x08\x06" else self._ndp).send(frame)

    def who_has(self, address: str, *, within: float = 3.0, everybody: bool = False) -> set[str]:
        """The MACs that answer one question: the first, or with `everybody` all that come `within` seconds."""
        v6 = ":" in address
        packed = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, address)
        sock = self._ndp if v6 else self._arp
        while sock.receive() is not None:
            pass
        if v6:
            sock.send(ndp.solicitation(mac=self.mac, source_ip=self._link_local, target=packed))
        else:
            sock.send(arp.request(mac=self.mac, sender_ip=self._own, target_ip=packed))
        found: set[str] = set()
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0 and (everybody or not found):
            if select.select([sock], [], [], left)[0]:
                found |= self._answerers(sock, packed)
        # Whoever was held up here until the time was over still has the answers in his socket.
        return found | self._answerers(sock, packed)

    def _answerers(self, sock: PacketSocket, address: bytes) -> set[str]:
        """Who answered for the address, by what has arrived."""
        found = set()
        while (frame := sock.receive()) is not None:
            if (mac := self._answers(frame, address)) is not None:
                found.add(mac_to_text(mac))
        return found

    def _answers(self, frame: bytes, address: bytes) -> bytes | None:
        if frame[:6] != self.mac:
            return None
        if len(address) == 4:
            packet = arp.parse(frame)
            return (
                packet.sender_mac if packet and packet.operation == arp.REPLY and packet.sender_ip == address else None
            )
        message = ndp.parse(frame)
        if isinstance(message, ndp.NdpMessage) and message.solicited and message.target == address:
            return message.link_layer
        return None

    def silent(self, address: str, *, times: int = 3) -> bool:
        """Whether nobody answers, asked a few times."""
        return not any(self.who_has(address, within=0.05) for _ in range(times))

    def announcements(self, seconds: float, *, count: int | None = None) -> list[tuple[str, str]]:
        """(address, MAC) of the announcements that arrive within `seconds`, in order; no longer than for `count`."""
        seen: list[tuple[str, str]] = []
        deadline = time.monotonic() + seconds
        while True:
            while (frame := self._arp.receive()) is not None:
                packet = arp.parse(frame)
                if packet and packet.is_announcement:
                    seen.append((socket.inet_ntoa(packet.sender_ip), mac_to_text(packet.sender_mac)))
            while (frame := self._ndp.receive()) is not None:
                message = ndp.parse(frame)
                if isinstance(message, ndp.NdpMessage) and message.destination_ip == ndp.ALL_NODES:
                    address = socket.inet_ntop(socket.AF_INET6, message.target)
                    seen.append((address, mac_to_text(message.link_layer or message.source)))
            left = deadline - time.monotonic()
            if left <= 0 or (count is not None and len(seen) >= count):
                return seen
            select.select([self._arp, self._ndp], [], [], left)
