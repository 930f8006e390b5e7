"""What a report says, before it is written in one form or the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Table = list[tuple[str, str]]
"""Rows of a name and a value."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A sample in the report."""

    picture: str
    """File name in the report folder."""

    source: str
    """Where its label stands."""

    right: bool
    """Whether all of it was read right."""

    words: str
    """det: what was found, missed and false."""

    label: str = ""
    """rec: the text that is there."""

    pieces: Sequence[tuple[str, bool]] = ()
    """rec: the text that was read, in pieces with whether they agree with the label."""

    score: float = 0.0
    """rec: the confidence."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the report says, before it is written in one form or the other."""

    name: str
    run_id: str
    task: str
    split: str
    """The split that was evaluated."""

    headline: Table
    metrics: list[tuple[str, str, str]]
    """Name, value on the evaluated split, value on the eval split at the best step."""

    curve: str
    """An SVG element."""

    dataset: Table
    refused: list[tuple[str, str, str]]
    """Reason, count, some of the places."""

    verified: list[str]
    facts: Table
    samples: list[Shown] = field(default_factory=list)
