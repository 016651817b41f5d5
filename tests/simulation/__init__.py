"""A cluster in virtual time: the real machines, a LAN that fails in every way, and what must hold at every step.

    python -m tests.simulation --seeds 0-1999        how they went
    python -m tests.simulation --seed 1234 --trace   one of them, told event by event

Nothing here waits, and nothing is random but by the seed. What runs is the code that ships: the pulse and wire
processes with their loops turned by hand (`kernel` gives them clocks, sockets and channels), and the work process as
far as it decides (`speaker.step`). `lan` joins them, `faults` breaks things, `invariants` watches who can receive and
answer a client.
"""
