"""One module a command: `add` adds its arguments to a parser, `run` runs it. Nothing else in `jobs` prints.

`jobs.cli` imports the module of the requested command alone, so each imports what it needs at its top.
"""
