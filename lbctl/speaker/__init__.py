"""The speaker: one a node, three processes (docs/processes.md).

work: step (pure: what to tell the others), view (what pulse tells, as a View), owners (who held what, for the journal),
announcers (deltas for pulse and wire), status (what the status socket answers), memory (what a restart must know),
children (the two processes and their end), proxy (rules beside announcements), guard (mistakes), daemon (all of it,
running) with its settings and capabilities. pulse and wire are processes of their own.
"""
