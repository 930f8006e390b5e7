"""A dataset read once: every sample is usable, a problem, or ignored."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.datasets import labels, scan
from trainer.datasets.samples import Candidate


def line(label: str) -> Candidate:
    return Candidate(
        image=Path("a.png"), label=label, source="rec_gt.txt:1", width=9, height=9, group="a", split="eval", digest="d"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three lines of text, and one whose image is broken."""
    for name, value in (("a.png", 0), ("b.png", 99), ("c.png", 200)):
        (tmp_path / name).write_bytes(cv2.imencode(".png", np.full((8, 30, 3), value, np.uint8))[1].tobytes())
    (tmp_path / "d.png").write_bytes(b"no image")
    (tmp_path / "rec_gt.txt").write_text("a.png\tONE\nb.png\tTWO\nc.png\tSIX\nd.png\tTEN\n", "utf-8")
    return tmp_path


def test_every_sample_of_a_dataset_is_accounted_for(folder: Path) -> None:
    seen: list[int] = []
    found = scan.survey(labels.read(folder, "rec"), "rec", progress=lambda done, total: seen.append(done))
    assert sorted(c.label for c in found.candidates) == ["ONE", "SIX", "TWO"]
    (problem,) = found.problems
    assert (problem.source, problem.about) == ("rec_gt.txt:4", "image")
    assert (found.images, found.ignored, seen[-1]) == (4, 0, 4)


@pytest.mark.parametrize(
    ("name", "text"),
    [("rec_gt.txt", "a.png\tONE\nb.png\tTWO\nc.png\tSIXX\nd.png\tTEN\n"), ("a.png", None)],
    ids=["a label", "an image"],
)
def test_the_digest_is_that_of_labels_and_images(folder: Path, name: str, text: str | None) -> None:
    def digest() -> str:
        return scan.survey(labels.read(folder, "rec"), "rec").digest

    before = digest()
    assert digest() == before
    path = folder / name
    path.write_bytes((folder / "b.png").read_bytes() if text is None else text.encode())
    assert digest() != before


def test_a_dataset_can_be_one_split_as_a_whole(folder: Path) -> None:
    found = scan.survey(labels.read(folder, "rec"), "rec").as_split("eval")
    assert {c.split for c in found.candidates} == {"eval"} == {p.split for p in found.problems}


def test_lines_that_a_dictionary_does_not_cover_are_refused_with_what_it_lacks() -> None:
    usable, refused = scan.cover([line("ABBA"), line("ABBÉ")], "AB")
    assert [each.label for each in usable] == ["ABBA"]
    (problem,) = refused
    assert (problem.split, problem.group, problem.about) == ("eval", "a", "label")
    assert "É" in problem.detail
    assert scan.cover([replace(line("A"), split=None)], "A")[1] == []
