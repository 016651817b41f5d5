"""Types of values without parts: text, numbers, addresses. Each reads one, and says as JSON Schema what it takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

from lbctl.config.block import Value
from lbctl.config.schema import JsonSchema, Refer, Type, Walk, Wrong, kind_of
from lbctl.config.spelling import did_you_mean
from lbctl.model.address import IPAddress


class Text:
    """Any text; with `allowed` one of a few words, given back as members of that enum (or as the words)."""

    def __init__(self, allowed: type[StrEnum] | Sequence[str] | None = None, *, empty: bool = True) -> None:
        self._words: dict[str, str] | None = None if allowed is None else {str(word): word for word in allowed}
        self._empty = empty

    def read(self, value: Value, walk: Walk) -> str:
        if type(value) is not str:
            quoted = isinstance(value, (bool, int, float))
            raise Wrong("LB0107", f"text is wanted here, not {kind_of(value)}", "put it in quotes" if quoted else "")
        if self._words is not None:
            if (word := self._words.get(value)) is None:
                message = f'"{value}" is not one of {", ".join(self._words)}'
                raise Wrong("LB0109", message, did_you_mean(value, self._words))
            return word
        if not value and not self._empty:
            raise Wrong("LB0110", "this text must not be empty")
        return value

    def schema(self, refer: Refer) -> JsonSchema:
        if self._words is not None:
            return {"type": "string", "enum": list(self._words)}
        return {"type": "string"} if self._empty else {"type": "string", "minLength": 1}


_TRUTH = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


class Boolean:
    def read(self, value: Value, walk: Walk) -> bool:
        if value is True or value is False:
            return value
        help = ""
        if isinstance(value, str) and (word := value.lower()) in _TRUTH:
            meant = str(_TRUTH[word]).lower()
            help = f"write {meant}" + (
                " without quotes" if word == meant else "; YAML 1.1, and so kubectl, reads it as that, YAML 1.2 as text"
            )
        raise Wrong("LB0107", f"true or false is wanted here, not {kind_of(value)}", help)

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "boolean"}


class Integer:
    """A whole number from `low` to `high`, both included; `milliseconds`: it counts these."""

    def __init__(self, low: int, high: int, *, milliseconds: bool = False) -> None:
        self.low, self.high = low, high
        self._milliseconds = milliseconds

    def read(self, value: Value, walk: Walk) -> int:
        if type(value) is not int:
            raise Wrong("LB0107", f"a whole number is wanted here, not {kind_of(value)}", self._help(value))
        if not self.low <= value <= self.high:
            raise Wrong("LB0108", f"{value} is out of range", f"it must be from {self.low} to {self.high}")
        return value

    def _help(self, value: Value) -> str:
        if not isinstance(value, str):
            return ""
        text = value.strip()
        if text.lstrip("-").isdecimal():
            return "write it without quotes"
        if found := re.fullmatch(r"ASN?[ :]?([0-9]{1,10})", text, re.IGNORECASE):
            return f"write {found[1]}"
        if self._milliseconds and (found := re.fullmatch(r"([0-9]{1,5})(ms|s)", text)):
            return f"write {int(found[1]) * (1 if found[2] == 'ms' else 1000)}: it counts milliseconds"
        return ""

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class OrNothing:
    """Another type, or empty text for "not given": what Go writes of a field without omitempty."""

    def __init__(self, given: Type) -> None:
        self._given = given

    def read(self, value: Value, walk: Walk) -> Any:
        return None if value == "" else self._given.read(value, walk)

    def schema(self, refer: Refer) -> JsonSchema:
        return {"anyOf": [{"const": ""}, self._given.schema(refer)]}


ADDRESS_PATTERN = "[0-9A-Fa-f:.]+"
"""Looser than an address is: an expression that is exact cannot be read."""


class Address:
    """One IPv4 or IPv6 address, without zone or prefix length."""

    def read(self, value: Value, walk: Walk) -> IPAddress:
        if type(value) is not str:
            raise Wrong("LB0107", f"an IP address is wanted here, not {kind_of(value)}")
        if (address := parse_address(value)) is None:
            raise Wrong("LB0116", f'"{value}" is not an IP address', _address_help(value))
        return address

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "string", "pattern": f"^{ADDRESS_PATTERN}$"}


def parse_address(text: str) -> IPAddress | None:
    """The address that `text` is, or None. Neither zones (`%eth0`) nor surrounding spaces are taken."""
    try:
        return IPv4Address(text)
    except ValueError:
        if ":" not in text or "%" in text:
            return None
    try:
        return IPv6Address(text)
    except ValueError:
        return None


NO_ZEROS = "the numbers of an address have no zeros at the beginning"


def without_zeros(text: str) -> str | None:
    """The IPv4 address that `text` would be without zeros at the beginning of its numbers, which some read as octal."""
    plain = re.sub(r"(?<![0-9])0+(?=[0-9])", "", text)
    return plain if plain != text and parse_address(plain) is not None else None


def _address_help(text: str) -> str:
    if "/" in text:
        return "leave the prefix length out"
    if "%" in text:
        return "leave the zone (%...) out"
    if (plain := without_zeros(text)) is not None:
        return f"write {plain}: {NO_ZEROS}"
    return "remove the spaces around it" if text != text.strip() else ""


class Cidr:
    """A network; host bits are masked away, as Kubernetes does."""

    def read(self, value: Value, walk: Walk) -> IPv4Network | IPv6Network:
        if type(value) is not str:
            raise Wrong("LB0107", f"a CIDR is wanted here, not {kind_of(value)}")
        text = value.strip()
        try:
            if "/" not in text or "%" in text or not text.rpartition("/")[2].isdecimal():
                raise ValueError
            return ip_network(text, strict=False)
        except ValueError:
            address = parse_address(text)
            example = "write an address and a prefix length, such as 192.0.2.0/24 or 2001:db8::/64"
            length = example if address is None else f"write {text}/{address.max_prefixlen} for this one address"
            raise Wrong("LB0117", f'"{value}" is not a CIDR', length) from None

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "string", "pattern": rf"^\s*{ADDRESS_PATTERN}/[0-9]{{1,3}}\s*$"}


class AnyValue:
    """A field that the kind has and lbctl has no use for. Nothing within it is looked at."""

    def read(self, value: Value, walk: Walk) -> None:
        return None

    def schema(self, refer: Refer) -> JsonSchema:
        return {}
