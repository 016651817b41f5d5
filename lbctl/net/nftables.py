"""The table `inet lbctl` in the kernel, by way of the `nft` command: load, list, and whether it is still there.

Text through `nft -f -` rather than a library: an update costs one process (15 ms), the bindings are not on PyPI, and
what a library would allocate for ten thousand services is not charged to the speaker.
"""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import shutil
import struct
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from lbctl.net.netlink import NETFILTER, Netlink, attribute, attributes
from lbctl.net.nft_listing import read_table
from lbctl.plan.proxy_table import TABLE, Table

_TIME = 30.0
_GETTABLE, _GETGEN = (10 << 8) | 1, (10 << 8) | 16
_NFPROTO_INET = 1
_TABLE_NAME, _TABLE_HANDLE = 1, 4
_GENERATION_ID = 1
_MEMBARRIER = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "ppc64le": 365, "s390x": 356}
"""The number of the system call, for which the C library has no function."""
_MEMBARRIER_GLOBAL = 1


class ProxyTrouble(StrEnum):
    """Why the rules are not what they should be."""

    NFT_MISSING = "nft_missing"
    NOT_PERMITTED = "not_permitted"
    KERNEL_LACKS = "kernel_lacks"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    UNREADABLE = "unreadable"


class ProxyError(Exception):
    """The rules could not be read or changed; what was in force before still is. The text says what to do."""

    def __init__(self, reason: ProxyTrouble, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Nft:
    """The `nft` command, run in the network namespace of whoever calls. `command` replaces it in tests."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = tuple(command) if command else None

    async def load(self, text: str) -> None:
        """One transaction: all of it, or nothing and ProxyError."""
        await self.run(["-f", "-"], text)

    async def delete(self) -> None:
        """Deletes the table, if there is one. Raises ProxyError."""
        await self.load(f"add table {TABLE}\ndelete table {TABLE}\n")

    async def listed(self, meant: Table) -> Table | None:
        """The table as it is, None when there is none; rules come in the words of `meant`. Raises ProxyError."""
        try:
            output = await self.run(["-j", "list", "table", *TABLE.split()])
        except ProxyError as error:
            if error.reason is ProxyTrouble.KERNEL_LACKS and not standing():
                return None
            raise
        try:
            return await asyncio.to_thread(lambda: read_table(msgspec.json.decode(output), meant))
        except (msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProxyError(
                ProxyTrouble.UNREADABLE, f"the table {TABLE} holds what lbctl never wrote: {error!r}"
            ) from error

    async def run(self, arguments: Sequence[str], text: str = "") -> bytes:
        """What one call of the command prints. Raises ProxyError."""
        command = self._command or (_nft(),)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError as error:
            raise ProxyError(
                ProxyTrouble.NFT_MISSING,
                f"cannot run {command[0]}: {error.strerror}; install nftables, or run without a proxy (--proxy none)",
            ) from error
        except OSError as error:
            raise ProxyError(ProxyTrouble.REFUSED, f"cannot run {command[0]}: {error.strerror or error}") from error
        try:
            output, complaint = await asyncio.wait_for(process.communicate(text.encode()), _TIME)
        except TimeoutError:
            raise ProxyError(ProxyTrouble.TIMED_OUT, f"nft did not finish within {_TIME:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise _error(complaint.decode(errors="replace"), text)
        return output


def let_packets_through() -> None:
    """Returns when every packet that was underway in the rules when it was called has left them; some 10 ms.

    membarrier(2) waits until each processor has been through a state in which it handles no packet. Where the kernel
    does not offer it, the time that a process of nft takes to start must do.
    """
    import ctypes  # here, because a node where no chain ever comes anew need not hold it

    number = _MEMBARRIER.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _MEMBARRIER_GLOBAL, 0, 0)


def standing() -> int | None:
    """The handle of the table in this network namespace, None when there is none: another number is another table."""
    name = TABLE.split()[1].encode() + b"\0"
    return _number(_GETTABLE, _NFPROTO_INET, attribute(_TABLE_NAME, name), _TABLE_HANDLE)


def generation() -> int | None:
    """How many transactions the rules of this network namespace have seen, by whomever, or None if it cannot be told.

    The same number as before: nobody changed anything. What the kernel itself adds to dynamic sets does not count.
    """
    return _number(_GETGEN, 0, b"", _GENERATION_ID)


def _number(kind: int, family: int, body: bytes, wanted: int) -> int | None:
    try:
        with Netlink(NETFILTER) as netlink:
            for answer in netlink.request(kind, struct.pack("!BBH", family, 0, 0) + body):
                for found, value in attributes(answer[4:]):
                    if found == wanted:
                        return int.from_bytes(value, "big")
    except OSError:
        return None
    return None


def _nft() -> str:
    # A daemon's PATH is not always root's.
    found = shutil.which("nft", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))
    if found is None:
        raise ProxyError(
            ProxyTrouble.NFT_MISSING,
            "nft is not installed: install the package nftables, or run without a proxy (--proxy none)",
        )
    return found


def _error(complaint: str, text: str) -> ProxyError:
    lines = [line for line in complaint.splitlines() if line.strip()]
    first = next((line for line in lines if "rror" in line), lines[0] if lines else "no reason given")
    first = first.removeprefix("/dev/stdin:").strip()
    if os.strerror(errno.EPERM) in complaint:
        return ProxyError(
            ProxyTrouble.NOT_PERMITTED, "nft may not change rules here: run as root, or with the capability NET_ADMIN"
        )
    if any(os.strerror(code) in complaint for code in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.ENOENT)):
        return ProxyError(
            ProxyTrouble.KERNEL_LACKS,
            f"the kernel has not what a rule needs (nf_tables with nat, fib and reject for inet): {first}",
        )
    return ProxyError(ProxyTrouble.REFUSED, f"nft refuses the rules: {first}")
