"""Annotations under lbctl.io/, for what MetalLB's schema has no field for (docs/extensions.md).

Each kind has a table from the name of an annotation to the function that reads its text, or raises Wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar

from lbctl.config.duration import HELP as DURATION_HELP
from lbctl.config.duration import parse_duration
from lbctl.config.metadata import OWN_PREFIX, PREFIX, Metadata
from lbctl.config.ranges import merged, read_item
from lbctl.config.schema import Fields, Problem, Wrong
from lbctl.config.spelling import did_you_mean, nearest
from lbctl.config.value_types import parse_address
from lbctl.model.address import AddressRange, IPAddress
from lbctl.model.advertisement import Failback
from lbctl.model.pool import Choice, OnConflict
from lbctl.model.selector import Labels

METALLB_ANNOTATIONS = ("address-pool", "loadBalancerIPs", "allow-shared-ip", "ip-allocated-from-pool")
"""Those of MetalLB that a Service may carry, under its new or its old prefix."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)
_LONGEST_COOLING = 720 * 3600.0
_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?", re.ASCII)
_LEAST_RATE, _MOST_RATE = 0.1, 100_000.0

Table = Mapping[str, Callable[[str], Any]]


def words(text: str) -> Iterator[tuple[int, str]]:
    """The items of a list with commas, without the spaces around them, each with the place where it begins."""
    at = 0
    for part in text.split(","):
        word = part.strip()
        yield at + part.find(word), word
        at += len(part) + 1


def _each(text: str, read: Callable[[str], _T], empty: str) -> Iterator[tuple[int, str, _T]]:
    for at, word in words(text):
        if not word:
            raise Wrong("LB0120", "an item of the list is empty" if text.strip() else "the list is empty", empty)
        try:
            yield at, word, read(word)
        except Wrong as wrong:
            begin, end = wrong.part or (0, len(word))
            raise Wrong("LB0120", wrong.message, wrong.help, part=(at + begin, at + end)) from None


def read_excluded(text: str) -> tuple[AddressRange, ...]:
    """`192.0.2.13, 192.0.2.20-192.0.2.30, 2001:db8::/120`, sorted, and one range where some touch."""
    items = [item for _, _, item in _each(text, read_item, "write addresses, ranges or CIDRs with commas between")]
    return merged(items)


def excluded_words(text: str) -> Iterator[tuple[int, str, AddressRange]]:
    """The items of `lbctl.io/exclude` one by one, each with the place where it begins. Raises Wrong."""
    return _each(text, read_item, "")


def _cooling_time(text: str) -> float:
    seconds = parse_duration(text.strip())
    if seconds is None:
        raise Wrong("LB0120", f'"{text}" is not a duration', DURATION_HELP)
    if not 0 <= seconds <= _LONGEST_COOLING:
        raise Wrong("LB0120", f"{text} is out of range", "it must be from 0s (no cooling) to 720h")
    return seconds


def _one_of(allowed: type[_E]) -> Callable[[str], _E]:
    def read(text: str) -> _E:
        try:
            return allowed(text)
        except ValueError:
            either = " or ".join(allowed)
            raise Wrong("LB0120", f'"{text}" is not {either}', _word_meant(text, allowed)) from None

    return read


def _word_meant(text: str, allowed: type[_E]) -> str:
    short = {"".join(part[0] for part in str(word).split("-")): word for word in allowed if "-" in word}
    meant = short.get(text.lower())
    return f'did you mean "{meant}"?' if meant else did_you_mean(text, allowed)


def _protect(text: str) -> bool:
    if text != "in-use":
        raise Wrong("LB0120", f'"{text}" is not in-use', "write in-use, or leave the annotation out")
    return True


def read_truth(text: str) -> bool:
    """`true` or `false`."""
    if text not in ("true", "false"):
        raise Wrong("LB0120", f'"{text}" is not true or false', did_you_mean(text, ("true", "false")))
    return text == "true"


def _rate(text: str) -> float:
    if _RATE.fullmatch(text) is None:
        raise Wrong("LB0120", f'"{text}" is not a number of addresses a second', 'write it like "15" or "0.5"')
    rate = float(text)
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        raise Wrong("LB0120", f"{text} is out of range", f"it must be from {_LEAST_RATE} to {_MOST_RATE:.0f} a second")
    return rate


def read_network(text: str) -> IPv4Network | IPv6Network:
    """`192.0.2.10/24`: the network that an address with its prefix length is in. Raises Wrong."""
    before, _, length = text.partition("/")
    address = parse_address(before)
    try:
        if address is None or not (length.isascii() and length.isdigit()):
            raise ValueError
        return ip_network(f"{address}/{int(length)}", strict=False)
    except ValueError:
        raise Wrong("LB0120", f'"{text}" is not a CIDR', "write it like 192.0.2.0/24") from None


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(network for _, _, network in _each(text, read_network, "write CIDRs with commas between"))


def _address(text: str) -> IPAddress:
    address = parse_address(text)
    if address is None:
        raise Wrong("LB0120", f'"{text}" is not an IP address', "write it like 192.0.2.1")
    return address


def _addresses(text: str) -> tuple[IPAddress, ...]:
    return tuple(address for _, _, address in _each(text, _address, "write addresses with commas between"))


def _pool_names(text: str) -> tuple[str, ...]:
    names: list[str] = []
    for at, word, name in _each(text, str, "write names of pools with commas between"):
        if name in names:
            raise Wrong("LB0120", f'the pool "{name}" is given twice', "name it once", part=(at, at + len(word)))
        names.append(name)
    return tuple(names)


POOL: Table = {
    "exclude": read_excluded,
    "cooling-time": _cooling_time,
    "choice": _one_of(Choice),
    "protect": _protect,
    "on-conflict": _one_of(OnConflict),
    "probe": read_truth,
}
SERVICE: Table = {
    "address-pools": _pool_names,
    "on-conflict": _one_of(OnConflict),
    "failback": _one_of(Failback),
}
L2: Table = {"failback": _one_of(Failback), "require-subnet": read_truth, "announce-rate": _rate}
NODE: Table = {"networks": _networks, "gateways": _addresses}
NONE: Table = {}
_OWNERS = {"an IPAddressPool": POOL, "a Service": SERVICE, "an L2Advertisement": L2, "a Node": NODE}


def read_extensions(table: Table, annotations: Labels) -> dict[str, Any]:
    """The values of the annotations in the table by their names; those that are wrong are left out."""
    out: dict[str, Any] = {}
    for key, text in annotations:
        if key.startswith(OWN_PREFIX) and (read := table.get(key.removeprefix(OWN_PREFIX))) is not None:
            try:
                out[key.removeprefix(OWN_PREFIX)] = read(text)
            except Wrong:
                pass
    return out


def check_extensions(table: Table, fields: Fields) -> Iterator[Problem]:
    """What is wrong with the annotations under lbctl.io/ of one object."""
    metadata: Metadata | None = fields.get("metadata")
    for key, text in metadata.annotations if metadata else ():
        if not key.startswith(OWN_PREFIX):
            continue
        name, path = key.removeprefix(OWN_PREFIX), ("metadata", "annotations", key)
        read = table.get(name)
        if read is None:
            message = f'the annotation "{key}" is not known here'
            yield Problem("LB0509", path, message, _meant(name, table), at_key=True)
            continue
        try:
            read(text)
        except Wrong as wrong:
            yield Problem(wrong.code, path, wrong.message, wrong.help, part=wrong.part)


def _meant(name: str, table: Table) -> str:
    if name in METALLB_ANNOTATIONS:
        return f"write {PREFIX}{name}"
    owners = [owner for owner, others in _OWNERS.items() if name in others]
    if owners:
        return f"it belongs on {' or '.join(owners)}"
    meant = nearest(name, table)
    return f'did you mean "{OWN_PREFIX}{meant}"?' if meant else ""
