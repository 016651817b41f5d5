"""Become a command on a lab host: `python enter.py SPEC COMMAND...`, SPEC being one JSON object.

A host of the lab is a named network namespace plus a few folders. Every process of the host gets a mount namespace of
its own with these folders bound over `/run/lbctl`, `/var/lib/lbctl` and `/etc/lbctl`, so that two hosts share no disk,
and the machine's own folders are neither seen nor touched. Nothing is mounted outside: when the process is gone, so
are its mounts, and there is nothing to clean up.

Run as a file, not as a module, with `-I -S`: it only needs the standard library and starts in 15 ms.

SPEC: `netns` (name below /run/netns), `hostname`, `binds` ([[source, target, read_only], ...], in order), `scratch` (an
empty folder to mount things on), `parent` (pid; die with it until the command takes over, or null), `env` (added to
the environment).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from typing import Any

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWNET = 0x40000000
_MS_RDONLY = 0x0001
_MS_REMOUNT = 0x0020
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SLAVE = 1 << 19
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    _checked(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() if kind else None,
            ctypes.c_ulong(flags),
            options.encode() if options else None,
        ),
        f"mount {target}",
    )


def _mounts_below(folder: str) -> list[str]:
    """The outermost mount points strictly below `folder`, without the network namespaces.

    Those must not be mounted a second time: a namespace lives as long as somebody has it mounted.
    """
    below: list[str] = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123
        for line in mounts:
            point = line.split()[4]
            for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
                point = point.replace(escape, character)
            inside = point.startswith(folder.rstrip("/") + "/") and not f"{point}/".startswith("/run/netns/")
            if inside and not any(f"{point}/".startswith(f"{outer}/") for outer in below):
                below.append(point)
    return below


def _make_mount_point(target: str, scratch: str) -> None:
    """Makes the folder `target` in this mount namespace only: on the real disk it would outlive the lab."""
    if os.path.isdir(target):  # noqa: PTH112
        return
    parent = os.path.dirname(target)  # noqa: PTH120
    kept = []
    for point in _mounts_below(parent):
        try:
            kept.append((point, os.open(point, os.O_PATH | os.O_CLOEXEC)))
        except OSError:
            continue  # hidden by a later mount: nobody could reach it before either
    _mount("lbctl-lab", scratch, "tmpfs", 0, "mode=755")
    upper, work = f"{scratch}/upper", f"{scratch}/work"
    os.mkdir(upper)  # noqa: PTH102
    os.mkdir(work)  # noqa: PTH102
    try:
        _mount("lbctl-lab", parent, "overlay", 0, f"lowerdir={parent},upperdir={upper},workdir={work}")
    except OSError as error:
        raise OSError(
            error.errno,
            f"no overlay mount over {parent} ({os.strerror(error.errno or 0)}): `mkdir -p {target}` avoids it",
        ) from error
    for point, opened in kept:
        # An overlay does not show what was mounted below: put it back, the checkout may lie there.
        try:
            _mount(f"/proc/self/fd/{opened}", point, None, _MS_BIND | _MS_REC)
        except OSError:
            continue  # its mount point was removed meanwhile
        finally:
            os.close(opened)
    os.makedirs(target)  # noqa: PTH103


def enter(spec: dict[str, Any]) -> None:
    """Moves this process into the host. Raises OSError when the kernel says no."""
    if spec["parent"] is not None:
        # Between fork and exec nobody has recorded us yet: do not outlive whoever started us.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != spec["parent"]:
            os.kill(os.getpid(), signal.SIGKILL)
    netns = os.open(f"/run/netns/{spec['netns']}", os.O_RDONLY | os.O_CLOEXEC)
    _checked(_libc.setns(netns, _CLONE_NEWNET), f"enter {spec['netns']}")
    os.close(netns)
    _checked(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWUTS), "unshare")
    # Slave, not private: an unmount outside must still reach us, or we would keep other namespaces alive.
    _mount("none", "/", None, _MS_REC | _MS_SLAVE)
    # Opened before anything is mounted over their paths, but in this mount namespace: others' folders cannot be bound.
    sources = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source, _, _ in spec["binds"]]
    _mount("sysfs", "/sys", "sysfs", 0)  # /sys/class/net of this network namespace
    socket.sethostname(spec["hostname"])
    for source, (_, target, read_only) in zip(sources, spec["binds"], strict=True):
        _make_mount_point(target, spec["scratch"])
        _mount(f"/proc/self/fd/{source}", target, None, _MS_BIND)
        if read_only:
            _mount("none", target, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY)
        os.close(source)
    os.environ.update(spec["env"])
    _libc.prctl(_PR_SET_PDEATHSIG, 0)


def main(argv: list[str]) -> int:
    spec, command = json.loads(argv[0]), argv[1:]
    try:
        enter(spec)
    except OSError as error:
        print(f"lab host {spec['hostname']}: {error.strerror or error}", file=sys.stderr)
        return 2
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
