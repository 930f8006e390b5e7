"""How a room far below tells of its progress without knowing who shows it."""

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called now and then with how much is done and how much there is: bytes of a transfer, images, samples."""
