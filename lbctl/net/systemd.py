"""Telling systemd how a daemon fares (sd_notify(3)), without its library. Silent where nobody asked."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> bool:
    """Sends e.g. `READY=1` or `STATUS=...` to the socket in NOTIFY_SOCKET; False when there is none that takes it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    # An abstract socket is written with a leading @, which stands for the zero byte.
    target = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(state.encode(), target)
        return True
    return False
