"""Samples that reader processes share."""

from pathlib import Path

from trainer.datasets.packed import Packed
from trainer.datasets.prepared import Sample

SAMPLES = [
    Sample(image=Path("/run/a.png"), label="straße 1", source="rec_gt.txt:1", width=320, height=48),
    Sample(image=Path("/run/b c.png"), label='[{"transcription": "\\"", "points": []}]', source="x", width=1, height=2),
    # Names of files may be no text.
    Sample(image=Path("/run/\udcff.png"), label="", source="\udcff:3", width=7, height=8),
]


def test_samples_are_what_they_were() -> None:
    packed = Packed(SAMPLES)
    assert len(packed) == 3
    assert list(packed) == [packed[place] for place in range(3)] == SAMPLES


def test_there_may_be_none() -> None:
    assert len(Packed([])) == 0
    assert list(Packed([])) == []
