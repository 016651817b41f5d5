"""Heartbeats: who lives, who hears whom, who claims which address. Pure machines; `machine.Heartbeat` joins them.

Reading order: packet (what is said), auth, detector (silence), membership (two-way hearing and the vote of death),
claims (one list per owner, compared per address), changes (how a list travels), takeover (heirs), machine.
"""
