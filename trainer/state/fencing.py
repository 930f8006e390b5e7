"""Who may write what a run becomes: attempts are claimed in the bucket, by one process each.

The first claim of a newer object (the same run with another placement, or started once more) fences the older one: it
may claim nothing any more, and ends. An object is what a controller makes pods of; several of them can hold one run.
"""

import json
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from trainer.errors import ConflictError, OcrfleetError, SupersededError, TransientError
from trainer.formats import typed_json

if TYPE_CHECKING:
    from trainer.storage import Store

log = logging.getLogger(__name__)

POLL: Final = 15.0
"""Seconds between two looks for a newer claim: a bucket tells nobody of a new object."""


_TRIES: Final = 20
"""How often a claim may find that another process was faster; two starts at once meet once or twice."""


_NUMBER: Final = re.compile("[1-9][0-9]*")


class TakenError(TransientError):
    """Another process of the same object has taken this one's place."""


class _Claim(msgspec.Struct, frozen=True):
    """The content of an attempt's object."""

    object: str = ""
    process: str = ""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The attempts of a run, as one process sees them: `attempts/<n>` under the run's prefix."""

    store: "Store"
    """The store at `<output>/checkpoints/<run>`."""

    owner: str
    """The object that this process belongs to."""

    process: str
    """This process alone."""

    _named: set[int] = field(default_factory=set)
    """Attempts that the log has already named as unreadable."""

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
        """Check that this process still holds the run.

        Args:
            attempt: the last that it has claimed.

        Raises:
            SupersededError: a newer object has it.
            TakenError: another process of the same object has it.
        """
        for number in reversed(self._numbers()):
            if number <= attempt:
                return
            claim = self._read(number)
            if claim is None:
                continue
            if claim.object != self.owner:
                raise _superseded(self.owner, claim.object)
            if claim.process != self.process:
                raise TakenError(f"Another pod has replaced this one, as attempt {number}.")
            return

    def latest(self) -> int:
        """Return this object's highest attempt; 1 where it has claimed none."""
        for number in reversed(self._numbers()):
            if (claim := self._read(number)) and claim.object == self.owner:
                return number
        return 1

    def _must_lead(self, numbers: list[int]) -> None:
        owners = (claim.object for number in reversed(numbers) if (claim := self._read(number)))
        newest = next(owners, self.owner)
        if newest != self.owner and self.owner in owners:
            raise _superseded(self.owner, newest)

    def _numbers(self) -> list[int]:
        names = (info.key.removeprefix("attempts/") for info in self.store.list("attempts/"))
        return sorted(int(name) for name in names if _NUMBER.fullmatch(name))

    def _read(self, number: int) -> _Claim | None:
        """Return an attempt's claim; None if its object is gone or damaged, which the log says once."""
        content = self.store.find(f"attempts/{number}")
        if content is None:
            return None
        try:
            return typed_json.decode(content[0], _Claim)
        except ValueError as error:
            if number not in self._named:
                self._named.add(number)
                log.warning("%sattempts/%d is damaged and was ignored: %s", self.store.uri, number, error)
            return None


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
            # Without this thread, a superseded object would go on writing.
            except Exception as error:
                log.exception("The check for a newer object of this run failed.")
                self._on_lost(TransientError(f"The check for a newer object of this run failed: {error!r}."))
                return


def _superseded(older: str, newer: str) -> SupersededError:
    return SupersededError(
        f"{newer} now owns this run: it was started after {older} and resumes from its checkpoint. "
        "Nothing to do. To return to this placement, raise placement.retry."
    )
