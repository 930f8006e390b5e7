"""Refused samples, counted by reason, for the report and the record."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PLACES: Final = 3
"""Places named for each reason."""


@dataclass(frozen=True)
class Reason:
    """A reason, with the samples that were refused for it."""

    reason: str
    count: int
    places: tuple[str, ...]
    """The first few places."""

    @property
    def where(self) -> str:
        """The places in words."""
        return where(self.places, self.count)


def by_reason(refused: Iterable[tuple[str, str]]) -> list[Reason]:
    """Group (place, reason) by reason, most common first."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for place, reason in refused:
        # The text after the first colon is about this one sample, such as the characters that the dictionary lacks.
        groups[reason.partition(": ")[0]].append(place)
    reasons = [Reason(reason, len(places), tuple(places[:PLACES])) for reason, places in groups.items()]
    return sorted(reasons, key=lambda reason: -reason.count)


def where(places: Iterable[str], count: int) -> str:
    """Return the first few places, and how many more there are."""
    first = list(places)[:PLACES]
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    return ", ".join(first) + more
