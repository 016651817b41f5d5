"""Messages between the three processes of a speaker, over a stream socketpair.

Length-prefixed JSON: both ends are the same lbctl, the bytes never leave the machine, and `json` is the cheapest
import that pulse can afford. Never blocks: what the peer does not take yet is kept and sent when `flush` is called
again (on writability). Bounded in both directions, because a stopped peer must not grow us without end.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!I")
MAX_MESSAGE = 16 * 1024 * 1024
MAX_BACKLOG = 64 * 1024 * 1024
_READ = 256 * 1024

Message = dict[str, Any]


class ChannelClosed(Exception):
    """The other process is gone (its end is closed), or it stopped reading for so long that we gave it up."""


class Channel:
    """One end of a socketpair that carries `Message`s in order."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._in = bytearray()
        self._out = bytearray()

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether something waits for the peer to read: poll for writability and call `flush`."""
        return bool(self._out)

    def send(self, message: Message) -> None:
        """Queues a message and sends what the socket takes now. Raises ChannelClosed."""
        body = json.dumps(message, separators=(",", ":")).encode()
        self._out += _LENGTH.pack(len(body))
        self._out += body
        self.flush()

    def flush(self) -> None:
        """Sends what waits, as far as the socket takes it. Raises ChannelClosed."""
        while self._out:
            try:
                sent = self.sock.send(memoryview(self._out)[:_READ])
            except BlockingIOError:
                if len(self._out) > MAX_BACKLOG:
                    raise ChannelClosed("the other process stopped reading") from None
                return
            except OSError as error:
                raise ChannelClosed(str(error)) from error
            del self._out[:sent]

    def receive(self) -> list[Message]:
        """All messages that are complete now, oldest first; empty when there is none. Raises ChannelClosed."""
        while True:
            try:
                chunk = self.sock.recv(_READ)
            except BlockingIOError:
                break
            except OSError as error:
                raise ChannelClosed(str(error)) from error
            if not chunk:
                # What came before the end is still delivered; the call after that says that it is closed.
                complete = self._complete()
                if complete:
                    return complete
                raise ChannelClosed("closed by the other process")
            self._in += chunk
            if len(chunk) < _READ:
                break
        return self._complete()

    def _complete(self) -> list[Message]:
        messages: list[Message] = []
        start = 0
        while len(self._in) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._in, start)
            if length > MAX_MESSAGE:
                raise ChannelClosed(f"a message of {length} bytes")
            end = start + _LENGTH.size + length
            if len(self._in) < end:
                break
            messages.append(json.loads(self._in[start + _LENGTH.size : end]))
            start = end
        if start:
            del self._in[:start]
        return messages

    def close(self) -> None:
        self.sock.close()
