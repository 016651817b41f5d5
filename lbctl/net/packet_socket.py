"""Raw Ethernet on one interface: ARP, or neighbor discovery, and nothing else reaches Python.

The socket is bound to an interface *and* a protocol. A protocol hook runs behind tc and the netdev firewall, so that
what the operator filters there is filtered for us too, it costs the other packets of the node nothing, and it never
sees the frames that the node itself sends. A classic BPF program in the kernel does the rest.
"""

from __future__ import annotations

import array
import errno
import select
import socket
import struct
from collections.abc import Iterable
from enum import Enum

SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_STATISTICS = 6
_PACKET_MR_ALLMULTI = 2
_SO_ATTACH_FILTER = 26
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_CONTROL_PRIORITY = 7  # TC_PRIO_CONTROL: ahead of bulk traffic in the default queueing discipline
_BUFFER = 8 * 1024 * 1024
_MAX_FRAME = 2048
_TYPE_ARP = b"\x08\x06"
_ALL = 0xFFFFFFFF

_BYTE = 0x30  # BPF_LD | BPF_ABS, by size
_HALF = 0x28
_WORD = 0x20
_JEQ = 0x15
_RET = 0x06
_JEQ_X = 0x1D
_TAX = 0x07
_ANCILLARY = 0xFFFFF000
_PACKET_TYPE = _ANCILLARY + 4
_INTERFACE = _ANCILLARY + 8
_OTHER_HOST = 3


class Kind(Enum):
    """Which frames: the EtherType."""

    ARP = 0x0806
    NDP = 0x86DD


class Part(Enum):
    """Which of the frames of a Kind."""

    ALL = 0
    QUESTIONS = 1
    """Somebody wants to know: ARP requests but for announcements, and neighbor solicitations."""
    CLAIMS = 2
    """Somebody says something: ARP replies and announcements, and neighbor advertisements."""


class PacketSocket:
    """One interface, one Kind. Never blocks. Raises OSError from the constructor (no NET_RAW, no such interface)."""

    def __init__(self, ifindex: int, kind: Kind, part: Part = Part.ALL) -> None:
        # Protocol 0 receives nothing until bind: no frame gets in before the filter stands.
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        self.ifindex = ifindex
        self.kind = kind
        self.part = part
        self.kernel_drops = 0
        try:
            _attach(self.sock, _program(_tests(ifindex, kind), _parting(kind, part)))
            _grow(self.sock)
            self.sock.bind((socket.if_indextoname(ifindex), kind.value))
        except BaseException:
            self.sock.close()
            raise

    def fileno(self) -> int:
        return self.sock.fileno()

    def receive(self) -> bytes | None:
        """The next frame, or None when there is none now. Raises OSError when the interface is down or gone."""
        try:
            return self.sock.recv(_MAX_FRAME)
        except BlockingIOError:
            return None

    def send(self, frame: bytes) -> bool:
        """Whether the kernel took it; False = queue full, try again. Raises OSError when the interface is gone."""
        try:
            self.sock.send(frame)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENOBUFS:  # the device's queue dropped it
                return False
            raise
        return True

    def all_multicast(self) -> None:
        """Receive every group: for an interface whose kernel will not join one (IPv6 disabled on it)."""
        request = struct.pack("iHH8s", self.ifindex, _PACKET_MR_ALLMULTI, 0, b"")
        self.sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)

    def count_drops(self) -> int:
        """Frames that the kernel threw away since the socket was made, because we were too slow."""
        statistics = self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)  # reading resets them
        self.kernel_drops += struct.unpack("II", statistics)[1]
        return self.kernel_drops

    def close(self) -> None:
        self.sock.close()


class PacketSockets:
    """The sockets of several interfaces, registered with one poll object.

    Of each Kind one for questions and one for claims: a flood of forged claims fills a queue of its own, and no
    question is lost for it.
    """

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._by_index: dict[int, dict[tuple[Kind, Part], PacketSocket]] = {}
        self.by_fd: dict[int, PacketSocket] = {}
        self.send_failed = 0
        """Frames for an interface that was down or gone."""

    @property
    def interfaces(self) -> frozenset[int]:
        return frozenset(self._by_index)

    def use(self, wanted: Iterable[int]) -> dict[int, str]:
        """Opens what is missing and closes what is not wanted. Returns the refused interfaces and why."""
        refused: dict[int, str] = {}
        wanted = frozenset(wanted)
        for ifindex in self.interfaces - wanted:
            self._close(ifindex)
        for ifindex in wanted - self.interfaces:
            try:
                self._open(ifindex)
            except PermissionError:
                refused[ifindex] = "CAP_NET_RAW is missing"
            except OSError as error:
                refused[ifindex] = error.strerror or str(error)
        return refused

    def send(self, frame: bytes, ifindex: int) -> bool:
        """Whether the frame is out or can never be; False = the queue is full."""
        sockets = self._by_index.get(ifindex)
        if sockets is None:
            return True
        try:
            return sockets[Kind.ARP if frame[12:14] == _TYPE_ARP else Kind.NDP, Part.QUESTIONS].send(frame)
        except OSError:
            self.send_failed += 1
            return True

    def all_multicast(self, ifindex: int) -> None:
        if ifindex in self._by_index:
            self._by_index[ifindex][Kind.NDP, Part.QUESTIONS].all_multicast()

    def count_drops(self) -> int:
        return sum(sock.count_drops() for sock in self.by_fd.values())

    def close(self) -> None:
        self.use(())

    def _open(self, ifindex: int) -> None:
        sockets: dict[tuple[Kind, Part], PacketSocket] = {}
        try:
            for kind in Kind:
                for part in (Part.QUESTIONS, Part.CLAIMS):
                    sockets[kind, part] = PacketSocket(ifindex, kind, part)
        except OSError:
            for sock in sockets.values():
                sock.close()
            raise
        self._by_index[ifindex] = sockets
        for sock in sockets.values():
            self.by_fd[sock.fileno()] = sock
            self._poll.register(sock, select.POLLIN)

    def _close(self, ifindex: int) -> None:
        for sock in self._by_index.pop(ifindex).values():
            self._poll.unregister(sock)
            del self.by_fd[sock.fileno()]
            sock.close()


def _grow(sock: socket.socket) -> None:
    # What the kernel refuses (an unprivileged user namespace) only costs reserves.
    for option, value in (
        (_SO_RCVBUFFORCE, _BUFFER),
        (_SO_SNDBUFFORCE, _BUFFER),
        (socket.SO_PRIORITY, _CONTROL_PRIORITY),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, value)
        except PermissionError:
            pass


_Test = tuple[int, int, bool, tuple[int, ...]]
"""Load what size, from where, whether it must be (or must not be) one of these values."""
_Instruction = tuple[int, int, int, int]
"""Of classic BPF: code, jump if true, jump if false, operand."""


def _tests(ifindex: int, kind: Kind) -> list[_Test]:
    """What a frame must be: for this very interface, not another host's, and of the kind.

    A socket bound to eth0 is also given the frames of eth0.10 (with their tag removed) and of macvlans on top of it:
    answering those would put the address into a network where nobody said it is. A frame with the tag of a VLAN that
    has no interface here counts as another host's.
    """
    tests: list[_Test] = [
        (_WORD, _INTERFACE, True, (ifindex,)),
        (_WORD, _PACKET_TYPE, False, (_OTHER_HOST,)),
    ]
    match kind:
        case Kind.ARP:  # Ethernet and IPv4; request or reply
            tests += [(_WORD, 14, True, (0x00010800,)), (_HALF, 20, True, (1, 2))]
        case Kind.NDP:  # ICMPv6; neighbor solicitation or advertisement
            tests += [(_BYTE, 20, True, (58,)), (_BYTE, 54, True, (135, 136))]
    return tests


def _parting(kind: Kind, part: Part) -> list[_Instruction]:
    """What follows when a frame is of the kind: whether it is also of the part."""
    if part is Part.ALL:
        return [(_RET, 0, 0, _ALL)]
    verdicts = [(_RET, 0, 0, _ALL if part is wanted else 0) for wanted in (Part.QUESTIONS, Part.CLAIMS)]
    if kind is Kind.NDP:  # a solicitation?
        return [(_BYTE, 0, 0, 54), (_JEQ, 0, 1, 135), *verdicts]
    # A request whose sender does not ask for itself?
    same = [(_WORD, 0, 0, 28), (_TAX, 0, 0, 0), (_WORD, 0, 0, 38), (_JEQ_X, 1, 0, 0)]
    return [(_HALF, 0, 0, 20), (_JEQ, 0, len(same) + 1, 1), *same, *verdicts]


def _program(tests: list[_Test], then: list[_Instruction]) -> list[_Instruction]:
    """Classic BPF: the tests one after the other, the first that fails jumps to the refusal at the end."""
    program: list[_Instruction] = []
    refusal = sum(1 + len(values) for *_, values in tests) + len(then)
    for size, offset, wanted, values in tests:
        program.append((size, 0, 0, offset))
        for left in range(len(values) - 1, -1, -1):
            value = values[len(values) - 1 - left]
            to_refusal = refusal - len(program) - 1
            if wanted:
                program.append((_JEQ, left, 0 if left else to_refusal, value))
            else:
                program.append((_JEQ, to_refusal, 0, value))
    return [*program, *then, (_RET, 0, 0, 0)]


def _attach(sock: socket.socket, program: list[_Instruction]) -> None:
    code = array.array("B", b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), code.buffer_info()[0]))
