"""The controller: gives services their addresses and publishes what speakers need.

Reading order: records and kept (what the ledger holds, as values), step and conflicts (what to do about a World: pure),
ledger with ledger_schema and ledger_rows, publisher, daemon. Beside them lock (one controller a state folder), recover
(from what was published), observe (the heartbeat group), status and order_routes (what the socket answers), orders
(what an operator may ask for: pure), errors (what a disk can do), parts and launch (how all of it comes together).

For those who look at a ledger from outside: ledger_reader, ledger_history, ledger_replay (its check), ledger_text and
ledger_import.
"""
