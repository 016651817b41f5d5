"""What `lbctl diff` compares: manifests as a controller would take them, and the state folder as it stands.

Nothing here writes, and the ledger's lock is not touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lbctl.cli.diff_manifests import CannotTell, Manifests, read
from lbctl.config.reader import Reader
from lbctl.model.address import IPAddress
from lbctl.model.snapshot import SOURCE_MAPS, World
from lbctl.plan.allocate import Remembered
from lbctl.plan.diff import Diff
from lbctl.plan.sharing import terms_of

_CLUSTER_MAPS = ("services", "slices", "nodes", "namespaces")
"""What a cluster brings rather than its operator: where NEW has none of a kind, those of now are meant to stay."""
_NOUNS = {"services": "Service", "slices": "EndpointSlice", "nodes": "Node", "namespaces": "Namespace"}


class Basis(StrEnum):
    """What is taken for granted, and what could not be known."""

    ALLOCATIONS_PLANNED = "allocations_planned"
    ALLOCATIONS_PUBLISHED = "allocations_published"
    KEPT = "kept_from_current"
    TAKEN = "taken_from_new"
    ERRORS = "errors_in_new"
    CURRENT_ERRORS = "errors_in_current"
    NO_LEDGER = "ledger_not_read"
    NO_NODES = "no_nodes"
    NO_ENDPOINTS = "no_endpoints"
    MAYBE_A_PART = "did_you_mean_patch"
    NO_PASSWORDS = "passwords_not_known"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to know about the answer."""

    basis: Basis
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Both sides, ready to be compared. `remembered` is None where allocations are to be planned from nothing."""

    current: World
    new: World
    remembered: Remembered | None
    manifests: Manifests
    secrets: tuple[Mapping[str, str], Mapping[str, str]] | None = None
    notes: tuple[Note, ...] = ()
    owners: Mapping[IPAddress, str] | None = None
    """Who announces which address, as far as a daemon could say; None where none was asked."""
    held_back: tuple[str, ...] = ()
    """Files of NEW with an error in them, which a controller would not take."""
    generation: int | None = None
    ledger: str | None = None


@dataclass(slots=True)
class _Notes:
    found: list[Note] = field(default_factory=list)

    def add(self, basis: Basis, message: str) -> None:
        self.found.append(Note(basis, message))


def gather(
    new: Sequence[Path], against: Sequence[Path], state: Path | None, *, patch: bool, socket: Path | None = None
) -> Inputs:
    """Reads both sides; asks the daemon at `socket`, if there is one, who announces what. Raises CannotTell."""
    notes = _Notes()
    reader = Reader()
    manifests = read(new, reader)
    in_force = read(against, reader) if against else None
    published: World | None = None
    remembered: Remembered | None = None
    generation = ledger = None
    if state is not None:
        published, remembered, generation, ledger = _state(state, notes)
    if in_force is not None:
        current = in_force.reading.world
        if in_force.errors:
            notes.add(Basis.CURRENT_ERRORS, f"{len(in_force.errors)} errors in {in_force.named}; the rest of it counts")
        if published is not None:
            current = replace(
                _with_registered(_filled(current, published, _CLUSTER_MAPS, []), published),
                allocations=published.allocations,
                quarantined=published.quarantined,
            )
    else:
        assert published is not None
        current = published
    if in_force is None and remembered is None:
        raise AssertionError("either manifests or a state folder")
    if not patch and not manifests.errors:  # with errors nothing goes that is in force
        _maybe_a_part(manifests, current, notes)
    wanted, held_back = _with_what_stays(manifests, current, notes, patch=patch)
    if not current.nodes and wanted.nodes:
        current = replace(current, nodes=wanted.nodes)
        notes.add(Basis.TAKEN, "Node: none is in force, so those of NEW count on both sides")
    wanted = _with_registered(wanted, current)
    if state is None:
        notes.add(
            Basis.ALLOCATIONS_PLANNED,
            "no --state: the addresses of now are those that a new ledger would give to what is in force",
        )
    secrets = _secrets(manifests, in_force, current, wanted, notes)
    if secrets is None:
        current, wanted = _without_passwords(current), _without_passwords(wanted)
    return Inputs(
        current=current,
        new=wanted,
        remembered=remembered,
        manifests=manifests,
        secrets=secrets,
        notes=tuple(notes.found),
        owners=_asked(socket) if socket is not None else None,
        held_back=held_back,
        generation=generation,
        ledger=ledger,
    )


def _state(folder: Path, notes: _Notes) -> tuple[World, Remembered, int, str]:
    from lbctl.sources.published_document import PublishedError
    from lbctl.sources.published_file import read_published

    path = folder / "published" / "snapshot.json"
    try:
        published = read_published(path)
    except PublishedError as error:
        raise CannotTell(f"{error}; --state names the folder of a controller that has run") from None
    world = published.world
    remembered = _remembered(folder, published.ledger, notes)
    if remembered is None:
        # Whoever holds an address was let in on the terms of its service, once the controller has come to rest.
        services = world.services
        terms = {key: terms_of(services[key]).text for key in world.allocations if key in services}
        remembered = Remembered(
            terms={key: text for key, text in terms.items() if text},
            first_seen={key: item.since_unix for key, item in world.allocations.items()},
            quarantined=world.quarantined,
        )
        notes.add(
            Basis.ALLOCATIONS_PUBLISHED,
            "allocations are those last published; reservations and cooling addresses are not known",
        )
    return world, remembered, world.generation, published.ledger


def _remembered(folder: Path, name: str, notes: _Notes) -> Remembered | None:
    """What the ledger of this name knows beside the allocations; None where it cannot be read."""
    from lbctl.controller.errors import StateError
    from lbctl.controller.ledger_reader import reading
    from lbctl.controller.ledger_rows import read as read_ledger

    try:
        with reading(folder / "controller") as connection:
            state = read_ledger(connection)
    except StateError as error:
        notes.add(Basis.NO_LEDGER, str(error))
        return None
    if state.ledger != name:
        notes.add(Basis.NO_LEDGER, f"the ledger in {folder} is not the one that was published from")
        return None
    return state.remembered


def _with_what_stays(
    manifests: Manifests, current: World, notes: _Notes, *, patch: bool
) -> tuple[World, tuple[str, ...]]:
    """NEW as it would come into force, with what a controller would keep of what is in force."""
    world = manifests.reading.world
    errors = manifests.errors
    if errors and not manifests.reading.count:
        raise CannotTell(f"nothing in {manifests.named} can be read: {errors[0]}; see lbctl validate")
    if not manifests.reading.count:
        raise CannotTell(
            f"there is no object in {manifests.named}, and a controller leaves what is in force as it is then"
        )
    held: list[str] = []
    if errors:
        world, held = _without_the_broken(manifests, current)
        notes.add(
            Basis.ERRORS,
            f"{len(errors)} {'errors' if len(errors) > 1 else 'error'} in {manifests.named}: "
            "a controller keeps what is in force of what is wrong, and so does this",
        )
    kept: list[tuple[str, int]] = []
    maps = SOURCE_MAPS if patch or errors else _CLUSTER_MAPS
    world = _filled(world, current, maps, kept, whole_maps_only=not (patch or errors))
    if not patch and not errors:
        for map, number in kept:
            notes.add(Basis.KEPT, f"{_NOUNS[map]}: NEW has none, so the {number:,} in force stay")
    return world, tuple(held)


def _without_the_broken(manifests: Manifests, current: World) -> tuple[World, list[str]]:
    """Without the files that are broken or in conflict, where something of them is in force already."""
    blamed = {found.span.file for found in manifests.errors}
    world = manifests.reading.world
    held: list[str] = []
    dropped: dict[str, set[Any]] = {}
    for name in sorted(blamed):
        objects = [item for item in manifests.files[name].objects if item.map in SOURCE_MAPS]
        held.append(name)
        if any(item.key in getattr(current, item.map) for item in objects):
            for item in objects:
                dropped.setdefault(item.map, set()).add(item.key)
    maps: dict[str, Any] = {
        map: MappingProxyType({key: value for key, value in getattr(world, map).items() if key not in keys})
        for map, keys in dropped.items()
    }
    return replace(world, **maps), held


def _filled(
    world: World,
    other: World,
    maps: Iterable[str],
    kept: list[tuple[str, int]],
    *,
    whole_maps_only: bool = True,
) -> World:
    """`world` with what only `other` has: of maps that are empty here, or of all."""
    changed: dict[str, Any] = {}
    for map in maps:
        mine, theirs = getattr(world, map), getattr(other, map)
        missing: Collection[Any] = theirs.keys() - mine.keys()
        if missing and not (mine and whole_maps_only):
            changed[map] = MappingProxyType({**theirs, **mine})
            described = [key for key in missing if not getattr(theirs[key], "registered", False)]
            if described:
                kept.append((map, len(described)))
    return replace(world, **changed) if changed else world


def _asked(socket: Path) -> Mapping[IPAddress, str]:
    from lbctl.net.status_client import AskError, UnixAddress, ask

    try:
        _, answer = ask(UnixAddress(socket), "/v1/services", patience=10.0)
    except AskError as error:
        raise CannotTell(str(error)) from None
    return owners_in(answer["services"])


def owners_in(rows: Iterable[Mapping[str, Any]]) -> Mapping[IPAddress, str]:
    """The owners out of `/v1/services`. A service with several has no one node that all its addresses are on."""
    return {
        ip_address(address): row["owners"][0] for row in rows if len(row["owners"]) == 1 for address in row["addresses"]
    }


def _with_registered(world: World, other: World) -> World:
    """With the nodes of `other` that no manifest describes: their speakers registered them, and go on doing so."""
    registered = {name: node for name, node in other.nodes.items() if node.registered and name not in world.nodes}
    return replace(world, nodes=MappingProxyType({**world.nodes, **registered})) if registered else world


def _secrets(
    manifests: Manifests, in_force: Manifests | None, current: World, new: World, notes: _Notes
) -> tuple[Mapping[str, str], Mapping[str, str]] | None:
    """Passwords of both sides. None: one side has them in no readable place, so that their text must not count."""
    if in_force is not None:
        return in_force.passwords(), manifests.passwords()
    secured = [
        peer.name
        for world in (current, new)
        for peer in world.bgp_peers.values()
        if peer.session.password or peer.session.password_secret
    ]
    if not secured:
        return {}, {}
    notes.add(
        Basis.NO_PASSWORDS,
        "passwords are not in the state folder: whether one changes, and with it a session, is not told",
    )
    return None


def _without_passwords(world: World) -> World:
    """As the published file has peers: with a reference in place of a password."""
    from lbctl.sources.published_bgp import without_password

    peers = {name: without_password(peer) for name, peer in world.bgp_peers.items()}
    return replace(world, bgp_peers=MappingProxyType(peers))


def _maybe_a_part(manifests: Manifests, current: World, notes: _Notes) -> None:
    """Says so where NEW looks like a part of a configuration, which without --patch takes the rest away."""
    world = manifests.reading.world
    gone = [key for key in current.services if key not in world.services] if world.services else []
    if current.pools and not world.pools:
        number = len(current.pools)
        what = f"has no IPAddressPool, while {number:,} {'is' if number == 1 else 'are'} in force"
    elif len(gone) > 1 and 2 * len(gone) >= len(current.services):
        what = f"lacks {len(gone):,} of the {len(current.services):,} services in force"
    else:
        return
    notes.add(
        Basis.MAYBE_A_PART,
        f"{manifests.named} stands for all that is to be in force, and it {what}; did you mean --patch?",
    )


def supposed(told: Diff) -> tuple[Note, ...]:
    """What a comparison supposed, where that may have mattered."""
    found: list[Note] = []
    if told.supposed.node:
        found.append(
            Note(
                Basis.NO_NODES,
                "no Node is known: it is told what some node would announce, as if every nodeSelector matched it",
            )
        )
    if told.supposed.services:
        services = told.supposed.services
        named = ", ".join(map(str, services[:3])) + (f" and {len(services) - 3:,} more" if len(services) > 3 else "")
        found.append(
            Note(
                Basis.NO_ENDPOINTS,
                f"no EndpointSlice is known of {named}: on both sides ready endpoints on every node are supposed",
            )
        )
    return tuple(found)
