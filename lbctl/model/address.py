"""Addresses, families and ranges of addresses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

IPAddress = IPv4Address | IPv6Address


class Family(StrEnum):
    """An address family, spelled as Kubernetes spells `ipFamilies`."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"


def family_of(address: IPAddress) -> Family:
    """The family of one address."""
    return Family.IPV4 if address.version == 4 else Family.IPV6


def address_key(address: IPAddress) -> tuple[int, int]:
    """A sort key that puts IPv4 before IPv6 and each family in numeric order."""
    return (address.version, int(address))


@dataclass(frozen=True, slots=True)
class AddressRange:
    """All addresses from `first` to `last`, both included, of one family.

    A CIDR and a `start-end` range become the same value; `text` is what the operator wrote (for messages) and takes
    no part in comparison by range.
    """

    first: IPAddress
    last: IPAddress
    text: str

    @property
    def family(self) -> Family:
        return family_of(self.first)

    @property
    def size(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __contains__(self, address: object) -> bool:
        match address:
            case IPv4Address() | IPv6Address():
                return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)
            case _:
                return False

    def overlaps(self, other: AddressRange) -> bool:
        """Whether some address lies in both (MetalLB rule P7)."""
        return (
            self.first.version == other.first.version
            and int(self.first) <= int(other.last)
            and int(other.first) <= int(self.last)
        )
