"""A prepared dataset: written once, and read back the same wherever its folder lies."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.datasets.prepared import Prepared, Sample, require_batch
from trainer.errors import DatasetError


def a_sample(root: Path, name: str, label: str) -> Sample:
    return Sample(image=root / "crops" / name, label=label, source=f"Label.txt:{name}", width=40, height=30)


def saved(root: Path, *samples: Sample) -> Prepared:
    root.mkdir(parents=True, exist_ok=True)
    prepared = Prepared(
        root=root,
        task="rec",
        digest="d" * 64,
        counts={"train": len(samples), "eval": 0, "test": 0},
        max_text_length=5,
        refused=({"source": "Label.txt:9", "reason": "no image", "split": "train"},),
        dataset_digest="e" * 64,
        ignored=2,
    )
    prepared.save({"train": samples, "eval": ()})
    return prepared


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    """A line's end within a label is none of the file's: JSON has U+2028 as it is."""
    samples = [a_sample(tmp_path, "1.png", "A\u2028B"), a_sample(tmp_path, "0.png", "é ")]
    prepared = saved(tmp_path, *samples)
    assert Prepared.load(tmp_path) == prepared
    assert prepared.samples("train") == samples
    assert prepared.samples("eval") == []
    assert prepared.dictionary == tmp_path / "dictionary.txt"


def test_a_folder_that_was_moved_still_names_its_images(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    outside = Sample(image=tmp_path / "data" / "0.jpg", label="A", source="x:1", width=1, height=1)
    saved(before / "prepared", a_sample(before / "prepared", "1.png", "A"), outside)
    before.rename(after)
    inside, beyond = Prepared.load(after / "prepared").samples("train")
    assert inside == a_sample(after / "prepared", "1.png", "A")
    assert replace(beyond, image=outside.image) == outside
    assert not beyond.image.is_relative_to(before)


@pytest.mark.parametrize(("samples", "drop", "refused"), [(15, True, True), (16, True, False), (1, False, False)])
def test_a_training_set_that_fills_no_batch_is_refused_where_the_rest_is_dropped(
    samples: int, drop: bool, refused: bool
) -> None:
    config = {"Train": {"loader": {"batch_size_per_card": 8, "drop_last": drop}}}
    if not refused:
        require_batch(config, samples=samples, devices=2)
        return
    with pytest.raises(DatasetError, match=r"^15 training samples .*\(8 × 2 devices\)"):
        require_batch(config, samples=samples, devices=2)


def test_a_loader_that_does_not_say_so_drops_nothing() -> None:
    require_batch({"Train": {"loader": {"batch_size_per_card": 8}}}, samples=1, devices=2)
