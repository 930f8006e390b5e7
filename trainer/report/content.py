"""What a report says, before it is written in one form or the other."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

Table = list[tuple[str, str]]
"""Rows of a name and a value."""


Pieces = Sequence[tuple[str, bool]]
"""A text in pieces, each with whether it is as it should be."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A table with a heading."""

    title: str

    head: Sequence[str]

    rows: Sequence[Sequence[str]]

    numbers: Collection[str] = ()
    """Columns, by their heading, that hold numbers."""

    verbatim: Collection[str] = ()
    """Columns that hold places or characters."""

    note: str = ""
    """A sentence or two before the table."""


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
    """rec: right or wrong. det: how much was found, missed and false."""

    label: Pieces = ()
    """rec: the text that is there, with whether it was read so."""

    text: Pieces = ()
    """rec: the text that was read, with whether it is there."""

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

    distillation: list[Section]
    """What the networks reached that were trained together; empty where there was one."""

    analysis: list[Section]
    """Where the model goes wrong."""

    dataset: Table
    left_out: list[Section]
    """Samples that were refused, before and while training."""

    verified: list[str]
    facts: Table
    worst: list[Shown] = field(default_factory=list)
    """The worst samples."""

    others: list[Shown] = field(default_factory=list)
    """Some of the rest, evenly chosen."""
