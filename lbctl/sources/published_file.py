"""Reading the published file once. Light to import, for short commands; `published` follows it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection
from pathlib import Path

from lbctl.sources.published_document import DocumentDecoder, Head, Published, PublishedError, Trouble


def read_published(path: Path, *, cluster: str | None = None, only: Collection[str] | None = None) -> Published:
    """Reads the file once. `only` names the World's maps that are wanted, which saves the time for the others.

    Raises PublishedError when the file is missing, torn, of a newer schema, or of another cluster than `cluster`.
    """
    return decoded(DocumentDecoder(), content_of(path), path, lambda head: check_cluster(head, cluster), only)


def content_of(path: Path) -> bytes:
    """All of a regular file; another kind is refused and never waited for. Raises PublishedError."""
    try:
        # Without O_NONBLOCK the opening of a pipe waits for somebody who writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise PublishedError(Trouble.UNREADABLE, f"{path} is {_kind(mode)}, not a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise PublishedError(Trouble.MISSING, f"{path} is missing") from error
    except OSError as error:
        raise PublishedError(Trouble.UNREADABLE, f"{path} cannot be read: {error.strerror or error}") from error


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "a special file")


def decoded(
    decoder: DocumentDecoder,
    content: bytes,
    path: Path,
    check: Callable[[Head], None],
    only: Collection[str] | None = None,
) -> Published:
    """What the bytes say; errors name the path. Raises PublishedError."""
    try:
        return decoder.decode(content, only=only, check=check)
    except PublishedError as error:
        raise PublishedError(error.trouble, f"{path}: {error}") from error


def check_cluster(head: Head, cluster: str | None) -> None:
    """Raises PublishedError where the document is of another cluster than `cluster`."""
    if cluster is not None and head.cluster != cluster:
        raise PublishedError(Trouble.OTHER_CLUSTER, f"it belongs to cluster {head.cluster!r}, this is {cluster!r}")
