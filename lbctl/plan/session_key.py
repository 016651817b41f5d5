"""Which edits of a BGPPeer reset its session, and which do not: the one place where that is decided.

A session key is all that was settled when the session was opened: the connection it runs over and what both sides said
in their OPEN (RFC 4271 section 4.2, capabilities of RFC 5492). It cannot change while the session stands. What is not
in it is applied to a standing session: keepaliveTime (nothing of it is sent), connectTime, bfdProfile, nodeSelectors
(they decide on which nodes there is a session at all), and the prefixes and their attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from lbctl.model.address import Family
from lbctl.model.peer import BGPPeer

HOLD_TIME = 90.0
"""Seconds that are proposed where a peer says nothing (RFC 4271 section 10)."""
TTL_SECURITY = "lbctl.io/ttl-security"


class SessionField(StrEnum):
    """The parts of a session key, spelled as in the manifest."""

    PEER_ADDRESS = "peerAddress"
    INTERFACE = "interface"
    PEER_PORT = "peerPort"
    SOURCE_ADDRESS = "sourceAddress"
    VRF = "vrf"
    MULTIHOP = "ebgpMultiHop"
    TTL_SECURITY = TTL_SECURITY
    PASSWORD = "password"
    MY_ASN = "myASN"
    LOCAL_ASN = "localASN"
    PEER_ASN = "peerASN"
    ROUTER_ID = "routerID"
    HOLD_TIME = "holdTime"
    GRACEFUL_RESTART = "enableGracefulRestart"
    DUAL_STACK = "dualStackAddressFamily"


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Two equal keys can be served by one session. `parts` has one text for each `SessionField`, in their order.

    Of a password there is only a digest, and that is in no repr.
    """

    parts: tuple[str, ...] = field(repr=False)

    def part(self, name: SessionField) -> str:
        """One part as people may see it; of a password only whether there is one and where it comes from."""
        found = self.parts[_PLACES[name]]
        return found.partition(" ")[0] if name is SessionField.PASSWORD else found

    def differs(self, other: SessionKey) -> tuple[SessionField, ...]:
        """The fields for which a session under the one key cannot go on under the other."""
        return tuple(name for name, place in _PLACES.items() if self.parts[place] != other.parts[place])


_PLACES = {name: place for place, name in enumerate(SessionField)}


def session_key(peer: BGPPeer, *, secret: str | None = None) -> SessionKey:
    """The key of the sessions with `peer`.

    `secret` is what the Secret that the peer names holds, where that is known. A password moved from the manifest into
    a Secret resets nothing then, and one that is changed within the Secret does; else the name of the Secret counts.
    """
    at = peer.address
    hold = HOLD_TIME if peer.timers.hold_time is None else peer.timers.hold_time
    return SessionKey(
        (
            "" if at.address is None else str(at.address),
            at.interface or "",
            str(at.port),
            "" if at.source is None else str(at.source),
            at.vrf,
            _yes(at.multihop),
            dict(peer.annotations).get(TTL_SECURITY, ""),
            _password(peer, secret),
            str(peer.my_asn),
            "" if peer.local_asn is None else str(peer.local_asn),
            peer.dynamic_asn or str(peer.peer_asn),
            peer.router_id or "",
            # The OPEN carries whole seconds (RFC 4271 section 4.2).
            str(int(hold)),
            _yes(peer.session.graceful_restart),
            _yes(peer.session.dual_stack),
        )
    )


def paired(
    before: Mapping[str, BGPPeer], after: Mapping[str, BGPPeer], secrets: tuple[Mapping[str, str], Mapping[str, str]]
) -> Mapping[str, str]:
    """Peers of `after` and those of `before` whose sessions go over to them: of the same name, or renamed.

    A peer that is new under a name and equal in its key to one that is gone is the same one.
    """
    same = {name: name for name in after if name in before}
    gone: dict[SessionKey, list[str]] = {}
    for name in sorted(before.keys() - after.keys(), reverse=True):
        gone.setdefault(session_key(before[name], secret=secrets[0].get(name)), []).append(name)
    for name in sorted(after.keys() - before.keys()):
        left = gone.get(session_key(after[name], secret=secrets[1].get(name)))
        if left:
            same[name] = left.pop()
    return same


def families_carried(peer: BGPPeer) -> tuple[Family, ...]:
    """The families of the prefixes that go over a session with `peer`.

    That of its address, or both with dualStackAddressFamily; over an unnumbered session both (RFC 8950).
    """
    if peer.session.dual_stack or peer.address.address is None:
        return (Family.IPV4, Family.IPV6)
    return (Family.IPV4,) if peer.address.address.version == 4 else (Family.IPV6,)


def is_internal(peer: BGPPeer) -> bool:
    """Whether the session stays within one AS, with localASN taken for ours (RFC 7705 section 4)."""
    return peer.dynamic_asn == "internal" or peer.peer_asn == (peer.local_asn or peer.my_asn)


def _password(peer: BGPPeer, secret: str | None) -> str:
    text = peer.session.password or secret
    if text:
        return f"given {sha256(text.encode()).hexdigest()}"
    named = peer.session.password_secret
    return "" if named is None else f"secret {named.namespace}/{named.name}"


def _yes(value: bool) -> str:
    return "true" if value else "false"
