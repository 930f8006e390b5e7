"""Runs a module in a process that cannot read credentials: `python -m trainer.system.confined MODULE WORDS…`.

Landlock holds for the thread that asks for it and those that it starts, so it comes before anything is imported: numpy
starts threads at its import.
"""

import os
import runpy
import sys
from pathlib import Path

from trainer import contract
from trainer.system import landlock


def main() -> None:
    """Forbid what `OCRFLEET_UNREADABLE` names, and run the module."""
    named = os.environ.get(contract.ENV_UNREADABLE, "").split(os.pathsep)
    landlock.forbid_reading(Path(path) for path in named if path)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
