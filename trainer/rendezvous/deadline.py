"""How long a wait may last."""

import time


def left(since: float | None, seconds: float) -> float | None:
    """Return how many of the seconds since a moment are left.

    Args:
        since: the moment, by time.monotonic(); None where nothing is missing, so that no deadline runs.
        seconds: the deadline.
    """
    return None if since is None else max(0.0, since + seconds - time.monotonic())
