"""The web server behind each node of the lab: it says which node it stands behind and whom it saw.

    $ curl http://10.244.1.10/
    n1 saw 192.168.3.50

HTTP/1.1 with keep-alive on TCP, and on the same port of UDP every datagram comes back followed by the same words.
One thread over epoll: thousands of short connections a second, and nothing to configure.
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import socket
import sys

_BACKLOG = 4096
_MAX_REQUEST = 16384


class _Connection:
    def __init__(self, sock: socket.socket, client: str) -> None:
        self.sock = sock
        self.client = client
        self.received = b""
        self.unsent = b""
        self.last = False
        """Close once all is sent."""


def plain_address(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    return address[0].split("%")[0]


class WebServer:
    """Serves on the sockets it is given, until the process ends."""

    def __init__(self, name: str, port: int) -> None:
        self._name = name
        self._selector = selectors.DefaultSelector()
        for family, wildcard in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            listener = socket.socket(family, socket.SOCK_STREAM)
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            for sock in (listener, datagrams):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((wildcard, port))
                sock.setblocking(False)
            listener.listen(_BACKLOG)
            self._selector.register(listener, selectors.EVENT_READ, self._accept)
            self._selector.register(datagrams, selectors.EVENT_READ, self._echo)

    def serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.data, _Connection):
                    self._advance(key.data)
                else:
                    key.data(key.fileobj)

    def _words(self, client: str) -> bytes:
        return f"{self._name} saw {client}\n".encode()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, address = listener.accept()
            except OSError:
                return  # none waits; or it went away while it did, and the next is asked for at the next turn
            sock.setblocking(False)
            connection = _Connection(sock, plain_address(address))
            self._selector.register(sock, selectors.EVENT_READ, connection)
            self._advance(connection)

    def _echo(self, sock: socket.socket) -> None:
        while True:
            try:
                payload, address = sock.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier answer
            with contextlib.suppress(OSError):
                sock.sendto(payload + b" " + self._words(plain_address(address)), address)

    def _advance(self, connection: _Connection) -> None:
        try:
            self._receive(connection)
            while connection.unsent:
                sent = connection.sock.send(connection.unsent)
                connection.unsent = connection.unsent[sent:]
        except BlockingIOError:
            self._selector.modify(connection.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
            return
        except OSError:
            connection.unsent = b""
            connection.last = True
        if connection.last:
            self._selector.unregister(connection.sock)
            connection.sock.close()
        else:
            self._selector.modify(connection.sock, selectors.EVENT_READ, connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            chunk = connection.sock.recv(_MAX_REQUEST)
        except BlockingIOError:
            return
        if not chunk:
            connection.last = True
            return
        connection.received += chunk
        while not connection.last and b"\r\n\r\n" in connection.received:
            head, _, connection.received = connection.received.partition(b"\r\n\r\n")
            connection.unsent += self._answer(connection, head)
        if len(connection.received) > _MAX_REQUEST:
            connection.last = True

    def _answer(self, connection: _Connection, head: bytes) -> bytes:
        request, _, fields = head.partition(b"\r\n")
        words = request.split(b" ")
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            connection.last = True
            return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        if words[2] == b"HTTP/1.0" or b"\r\nconnection: close" in b"\r\n" + fields.lower():
            connection.last = True
        body = self._words(connection.client)
        keep = b"close" if connection.last else b"keep-alive"
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n" % (
            len(body),
            keep,
        )
        return answer if words[0] == b"HEAD" else answer + body


def main() -> int:
    parser = argparse.ArgumentParser(description="Answers with its name and the client's address, on TCP and UDP.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=80)
    options = parser.parse_args()
    try:
        server = WebServer(options.name, options.port)
    except OSError as error:
        print(f"web: cannot listen on port {options.port}: {error.strerror}", file=sys.stderr)
        return 2
    print("ready", flush=True)
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
