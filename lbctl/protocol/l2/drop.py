"""Why a frame got no answer: one name a reason, counted, so that `no answer` never has to be guessed about."""

from __future__ import annotations

from enum import Enum


class Drop(Enum):
    UNKNOWN_INTERFACE = "unknown_interface"
    """It came in on an interface that we were not given."""
    NOT_L2 = "not_l2"
    """Neither ARP nor IPv6 neighbor discovery."""
    TRUNCATED = "truncated"
    """Shorter than its own header says."""
    MALFORMED = "malformed"
    """A field that no such message may carry (RFC 826; RFC 4861 sections 7.1.1 and 7.1.2)."""
    HOP_LIMIT = "hop_limit"
    """A neighbor discovery packet that crossed a router: forged (RFC 4861 section 7.1)."""
    CHECKSUM = "checksum"
    NOT_A_QUESTION = "not_a_question"
    """A reply, an advertisement, or a sender announcing itself."""
    OTHER_DESTINATION = "other_destination"
    """Addressed to another station's MAC, seen because the interface is promiscuous."""
    UNKNOWN_ADDRESS = "unknown_address"
    """An address that we may answer nowhere."""
    NOT_OWNER = "not_owner"
    """An address that we may answer, and do not claim now."""
    OTHER_INTERFACE = "other_interface"
    """An address that we answer, but not on this interface."""
    NO_LEASE = "no_lease"
    """Ours, but the right to answer has lapsed: pulse is late or gone."""
