"""How long addresses are silent when something fails: lbctl and keepalived side by side, timed on the wire.

    python -m bench.failover [--long] [--case NAME] [--rounds N] [--output FILE]

observer.py times every frame, timeline.py judges them, switch.py and faults.py do the damage, speakers.py and vrrp.py
are the two clusters, cases.py says what is measured and against which bar.
"""
