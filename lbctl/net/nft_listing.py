"""What `nft -j list table` says, read back as a Table, to be compared with the one that was meant.

nft spells rules its own way, so a rule is known by the digest in its comment. A rule without one, or with one that
nobody meant, is read as itself and so differs from everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from typing import Any

from lbctl.plan.proxy_table import Chain, Elements, SetSpec, Table, digest

_PROTOCOLS = {6: "tcp", 17: "udp"}


def read_table(listing: Mapping[str, Any], meant: Table) -> Table:
    """The table of a listing; rules that `meant` has too come in the words of `meant`.

    Raises ValueError, KeyError or TypeError when the listing has another form than nft gives it.
    """
    rules = {digest(rule): rule for chain in meant.chains.values() for rule in chain.rules}
    sets: dict[str, SetSpec] = {}
    elements: dict[str, Elements] = {}
    hooks: dict[str, str] = {}
    bodies: dict[str, list[str]] = {}
    for entry in listing["nftables"]:
        match entry:
            case {"set": found} | {"map": found}:
                spec = _spec(found)
                sets[found["name"]] = spec
                if not spec.dynamic and (members := found.get("elem")):
                    elements[found["name"]] = dict(_element(spec, member) for member in members)
            case {"chain": found}:
                hooks[found["name"]] = _hook(found)
                bodies.setdefault(found["name"], [])
            case {"rule": found}:
                comment = str(found.get("comment", ""))
                bodies.setdefault(found["chain"], []).append(rules.get(comment, f"unknown {comment}"))
            case _:
                pass
    chains = {name: Chain(tuple(body), hooks[name]) for name, body in bodies.items()}
    return Table(sets, elements, chains)


def _spec(found: Mapping[str, Any]) -> SetSpec:
    flags = found.get("flags", ())
    return SetSpec(
        keys=_types(found["type"]),
        data=_types(found["map"]) if "map" in found else (),
        interval="interval" in flags,
        # nft 1.0.6 does not list the flag `dynamic` itself.
        dynamic="dynamic" in flags or "timeout" in flags,
    )


def _types(said: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(said.split(" . ")) if isinstance(said, str) else tuple(said)


def _hook(found: Mapping[str, Any]) -> str:
    if "hook" not in found:
        return ""
    return f"type {found['type']} hook {found['hook']} priority {found['prio']}; policy {found['policy']}"


def _element(spec: SetSpec, member: Any) -> tuple[str, str]:
    if not spec.data:
        return _key(spec, member), ""
    key, value = member
    if spec.data == ("verdict",):
        ((verdict, argument),) = value.items()
        return _key(spec, key), f"{verdict} {argument['target']}" if argument else str(verdict)
    return _key(spec, key), " . ".join(_text(part) for part in _parts(value))


def _key(spec: SetSpec, key: Any) -> str:
    parts = _parts(key)
    if len(parts) != len(spec.keys):
        raise ValueError(f"an element of {len(parts)} parts where there should be {len(spec.keys)}")
    return " . ".join(_word(kind, part) for kind, part in zip(spec.keys, parts, strict=True))


def _word(kind: str, part: Any) -> str:
    match kind:
        case "ifname":
            return f'"{part}"'
        case "inet_proto":
            # A number where the machine has no /etc/protocols.
            return _PROTOCOLS.get(part, str(part))
        case _:
            return _text(part)


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping) and "concat" in value:
        parts: Sequence[Any] = value["concat"]
        return parts
    return (value,)


def _text(part: Any) -> str:
    match part:
        case {"prefix": {"addr": address, "len": length}}:
            return f"{_text(address)}/{length}"
        case str() if ":" in part:
            return str(IPv6Address(part))
        case str() | int():
            return str(part)
        case _:
            return repr(part)
