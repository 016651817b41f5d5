"""Talks to people: one file a command, and the only imports of typer and rich.

`main` is the entry; it imports a command's module only when that command is run, because `lbctl --help` and a TAB must
not wait for libraries that they do not print.
"""
