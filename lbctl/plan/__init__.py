"""Decisions, pure: values in, values and reasons out.

Every function takes (snapshot, memo) and returns (result, memo); an empty memo gives the same result. Files: reason
(names of every no), allocate (which service gets which address), groups (what must move together), eligible (who may),
elect (who shall), announce (what this node does about it), locate (who answers: the same functions, for people), proxy
(where the packets go).
"""
