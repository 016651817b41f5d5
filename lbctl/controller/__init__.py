"""The controller: gives services their addresses and publishes what speakers need.

Reading order: records (what the ledger holds, as values), step (what to do about a World: pure), ledger, publisher,
daemon. Beside them lock (one controller a state folder), recover (from what was published), observe (the heartbeat
group), status (what the socket answers), errors (what a disk can do), launch (how the parts come together).
"""
