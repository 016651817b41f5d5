"""Why this node may not claim, or not answer: the names of all refusals, and which of them may soon be over."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why a claim is not made."""

    NOT_READY = "not_ready"
    PAUSED = "paused"
    NO_SEGMENT = "no_segment"
    NOT_SYNCED = "claims_not_synced"
    NOT_PREPARED = "not_prepared"
    HELD = "held_by_member"
    LEAVING = "leaving"
    DEAF = "deaf"
    """No frame came since the silence began, or others are heard and none of them hears me."""
    UNREADABLE = "unreadable_member"
    """Packets come from a configured node and cannot be read, so nobody can tell what it holds."""
    STARTING = "waiting_for_start"
    """Not everybody was heard yet who may hold it."""
    STALE_WORLD = "stale_world"
    """The others decide by a newer World."""
    NO_MAJORITY = "no_majority"
    """Mode safety: only a majority of the configured speakers takes anything."""
    HIDDEN = "hidden_member"
    """A node that others hear and I do not holds it, as far as I know; in mode safety, may hold it."""
    ON_THE_WIRE = "answered_on_the_wire"
    """Somebody answers for the address, whatever the heartbeats say."""
    ONE_WAY = "one_way"
    """Its holder does not hear me, and would not yield."""
    HELD_DOWN = "held_down"
    """It changed hands too often of late."""
    DUPLICATE_NAME = "duplicate_name"
    """Another node speaks under my name."""


SOON_OVER = frozenset({Refusal.PAUSED, Refusal.NOT_SYNCED})
"""Nothing is said of these for four detection times: most are over by then."""
LASTING = frozenset({Refusal.NOT_READY, Refusal.NO_SEGMENT, Refusal.LEAVING, Refusal.DUPLICATE_NAME, Refusal.STARTING})
"""Whoever asked is told at once and has to ask again. What was wanted before the others were heard is not what will be
wanted then: granted all the same, it would leave everything to whoever started first."""
