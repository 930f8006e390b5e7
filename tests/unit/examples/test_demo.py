"""The demo's claim is about pages unlike those that it trained on, and it fails when they are not read."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from examples.demo import __main__ as demo
from examples.demo import looks, pages
from examples.road import StepError, Trained, Walk
from trainer.run.workdir import WorkDir


def disjoint(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return max(one) < min(other) or max(other) < min(one)


def test_the_looks_share_characters_and_nothing_else() -> None:
    """No face, word, length of a number, shade, noise or blur of the new pages is among those of the training."""
    old, new = looks.TRAINING, looks.NEW
    assert {make(24).name for make in old.faces}.isdisjoint(make(24).name for make in new.faces)
    assert set(old.words).isdisjoint(new.words)
    assert set(old.digits).isdisjoint(new.digits)
    assert disjoint(old.shade, new.shade)
    assert disjoint(old.noise, new.noise)
    assert disjoint(old.blur, new.blur)
    assert set("".join(new.words)) <= set("".join(old.words))


def texts(look: looks.Look, *, count: int, seed: int) -> set[str]:
    drawn = (pages.draw_lines(pages.page_rng(seed, number), look) for number in range(count))
    return {line.text for _, lines in drawn for line in lines}


def test_no_text_of_the_new_pages_is_a_training_label() -> None:
    """A recogniser that knows its training set by heart, and nothing more, reads none of them."""
    asked = texts(looks.NEW, count=demo.NEW_PAGES, seed=-1)
    assert len(asked) > 50
    assert asked.isdisjoint(texts(looks.TRAINING, count=demo.PAGES, seed=1))


@pytest.mark.parametrize("look", [looks.TRAINING, looks.NEW], ids=["training", "new"])
def test_every_box_of_every_face_holds_its_ink(look: looks.Look) -> None:
    """A box that cuts a letter would teach the recogniser a wrong one."""
    for seed in range(20):
        image, lines = pages.draw_lines(random.Random(seed), look)
        dark = np.asarray(image.convert("L")) < 110
        covered = np.zeros_like(dark)
        for line in lines:
            x1, y1, x2, y2 = line.box
            assert 0 <= x1 < x2 <= pages.SIDE, line
            assert 0 <= y1 < y2 <= pages.SIDE, line
            assert dark[y1:y2, x1:x2].any(), line
            assert not covered[y1:y2, x1:x2].any(), line
            covered[y1:y2, x1:x2] = True
        assert not (dark & ~covered).any()


@pytest.mark.parametrize(("right", "passes"), [(9, True), (8, False)])
def test_fewer_than_nine_of_ten_new_texts_are_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], right: int, passes: bool
) -> None:
    """`make demo` ends with an error then, after it has printed how many were right."""
    truth = [f"{number:04d}" for number in range(10)]
    trained = Trained(model="unused", work=WorkDir(tmp_path))
    trained.work.evaluation.mkdir()
    trained.work.evaluation_facts.write_text(json.dumps({"metrics": {"hmean": 1.0, "acc": 1.0}}))
    (tmp_path / "page.json").write_text(json.dumps({"lines": [{"text": text} for text in truth[:right]]}))
    label = [{"transcription": text, "points": []} for text in truth]
    (tmp_path / "Label.txt").write_text(f"new/page.jpg\t{json.dumps(label)}\n")

    def judge() -> None:
        demo.judge(Walk(tmp_path, steps=1), new=tmp_path, read=tmp_path, detector=trained, recogniser=trained)

    if passes:
        judge()
    else:
        with pytest.raises(StepError, match="8 of 10 texts on new pages are right"):
            judge()
    assert f"{right} of 10 texts right" in capsys.readouterr().err
