"""State machines and codecs that know no socket and no clock; `machine` is the contract they keep.

Nothing here imports lbctl outside `protocol`, and the protocols (l2, heartbeat) do not import each other.
"""
