"""The submitter: from a job file to a run, here or on a cluster.

As a library, `from jobs import render, submit, wait`; `jobs/library.py` documents them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.library import JobFile, Outcome, Submitted, render, submit, wait

__all__ = ["JobFile", "Outcome", "Submitted", "render", "submit", "wait"]


def __getattr__(name: str) -> Any:
    # A command that needs no cluster must not wait for its client.
    if name in __all__:
        from jobs import library

        return getattr(library, name)
    raise AttributeError(f"module 'jobs' has no attribute {name!r}")
