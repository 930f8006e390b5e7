"""Who may write what a run becomes: attempts are claimed in the bucket, by one process each.

The first claim of a newer object (the same run with another placement, or started once more) fences the older one: it
may claim nothing any more, and ends. An object is what a controller makes pods of; several of them can hold one run.
"""

import json
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from trainer.errors import ConflictError, OcrfleetError, SpecError, SupersededError, TransientError
from trainer.formats import typed_json

if TYPE_CHECKING:
    from trainer.storage import Store

log = logging.getLogger(__name__)

POLL: Final = 15.0
"""Seconds between two looks for a newer claim: a bucket tells nobody of a new object."""


_TRIES: Final = 20
"""How often a claim may find that another process was faster; two starts at once meet once or twice."""


class TakenError(TransientError):
    """Another process of the same object has taken this one's place."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The attempts of a run, as one process sees them: `attempts/<n>` under the run's prefix."""

    store: "Store"
    """The store at `<output>/checkpoints/<run>`."""

    owner: str
    """The object that this process belongs to."""

    process: str
    """This process alone."""

    def claim(self) -> int:
        """Claim the next attempt's number by creating its note, which only one process can.

        Raises:
            SupersededError: a newer object of the run has claimed one after this object's first.
        """
        note = json.dumps({"object": self.owner, "process": self.process}).encode()
        for _ in range(_TRIES):
            numbers = self._numbers()
            self._must_lead(numbers)
            attempt = max(numbers, default=0) + 1
            try:
                self.store.put(f"attempts/{attempt}", note, if_absent=True)
            except ConflictError:
                continue  # somebody else has that one; whether we may have the next is asked anew
            return attempt
        raise TransientError(f"Another process claimed the run's next attempt first, {_TRIES} times. Run it again.")

    def require(self, attempt: int) -> None:
        """Look whether this process still holds the run.

        Args:
            attempt: the last that it has claimed.

        Raises:
            SupersededError: a newer object has it.
            TakenError: another process of the same object has it.
        """
        newest = max(self._numbers(), default=attempt)
        if newest <= attempt:
            return
        owner, process = self._note(newest)
        if owner != self.owner:
            raise _superseded(self.owner, owner)
        if process != self.process:
            raise TakenError(f"Another pod has replaced this one, as attempt {newest}.")

    def latest(self) -> int:
        """Give this object's highest attempt; 1 where it has claimed none."""
        return next((number for number in reversed(self._numbers()) if self._note(number)[0] == self.owner), 1)

    def _must_lead(self, numbers: list[int]) -> None:
        if not numbers:
            return
        newest = self._note(numbers[-1])[0]
        if newest != self.owner and any(self._note(number)[0] == self.owner for number in numbers):
            raise _superseded(self.owner, newest)

    def _numbers(self) -> list[int]:
        names = (info.key.removeprefix("attempts/") for info in self.store.list("attempts/"))
        return sorted(filter(None, map(number, names)))

    def _note(self, attempt: int) -> tuple[str, str]:
        key = f"attempts/{attempt}"
        try:
            note = typed_json.decode(self.store.get(key), _Note)
        except ValueError as error:
            raise SpecError(
                f"{self.store.uri}{key} is not the claim of an attempt ({error}). Find out who wrote it, and remove it."
            ) from error
        return note.object, note.process


class _Note(msgspec.Struct):
    object: str = ""
    process: str = ""


def number(name: str) -> int | None:
    """Return the number of an attempt as the bucket spells it, without leading zeros; None of any other name."""
    return int(name) if re.fullmatch("[1-9][0-9]{0,17}", name) else None


class Fence:
    """Watches beside the work whether its process still holds the run."""

    def __init__(self, require: Callable[[], None], *, on_lost: Callable[[OcrfleetError], None]) -> None:
        """Begin to watch.

        Args:
            require: raises once the run is another's.
            on_lost: called once, from another thread, with what it raised.
        """
        self._require, self._on_lost = require, on_lost
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="fence", daemon=True).start()

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(POLL):
            try:
                self._require()
            except (SupersededError, TakenError) as error:
                self._on_lost(error)
                return
            except OcrfleetError as error:
                # What an older object writes is never read: a bucket out of reach ends nobody here.
                log.warning("Could not check whether a newer object has taken over this run: %s", error)


def _superseded(older: str, newer: str) -> SupersededError:
    return SupersededError(
        f"{newer} now owns this run: it was started after {older} and resumes from its checkpoint. "
        "Nothing to do. To return to this placement, raise placement.retry."
    )
