"""From what fetch pulled to samples that every later stage can rely on."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.unit.trainer.datasets.test_image_workers import worker_that
from trainer.datasets import dictionary
from trainer.datasets.prepared import Prepared
from trainer.errors import DatasetError
from trainer.run.spec import RunSpec, from_dict
from trainer.run.workdir import WorkDir
from trainer.stages.prepare import prepare
from trainer.state.receipts import Receipt

BOX = [[2, 2], [30, 2], [30, 12], [2, 12]]
CROSSED = [[2, 2], [30, 12], [30, 2], [2, 12]]
TEXTS = ("ONE", "TWO 2", "THREE")


def job(task: str, **data: Any) -> RunSpec:
    raw = {"task": task, "recipe": "any", "output": "s3://models/x", "data": {"train": "s3://data/x/", **data}}
    return from_dict(RunSpec, raw, where="run")


ANY = {"train": 1.0, "eval": 1.0}
"""Every limit on what may be refused is lifted."""


def region(text: str, points: Any = BOX, *, difficult: bool = False) -> dict[str, Any]:
    return {"transcription": text, "points": points, "difficult": difficult}


def draw(path: Path, seed: int, *, width: int = 40, height: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def pages(work: WorkDir, count: int = 10, *, more: Mapping[int, list[dict[str, Any]]] | None = None) -> Path:
    """Write an export of `count` pages with one region each, or those of `more`."""
    lines = []
    for n in range(count):
        draw(work.train_data / f"{n:03}.jpg", n)
        regions = (more or {}).get(n, [region(TEXTS[n % 3])])
        lines.append(f"export/{n:03}.jpg\t{json.dumps(regions)}\n")
    label = work.train_data / "Label.txt"
    label.write_text("".join(lines), "utf-8")
    return label


def lines(work: WorkDir, texts: list[str]) -> None:
    """Write rec labels."""
    for n, text in enumerate(texts):
        draw(work.train_data / f"{n}.png", n)
        with (work.train_data / "rec_gt.txt").open("a", encoding="utf-8") as file:
            file.write(f"{n}.png\t{text}\n")


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    folder = WorkDir(tmp_path / "node-0")
    folder.train_data.mkdir(parents=True)
    return folder


def test_a_det_run_gets_its_pages_with_ignored_regions_masked(work: WorkDir) -> None:
    pages(work, more={0: [region("A"), region("B", difficult=True), region("*")]})
    facts = prepare(job("det"), work)
    prepared = Prepared.load(work.prepared)
    assert sum(prepared.counts.values()) == 10 == sum(facts["samples"].values())
    assert (prepared.task, prepared.max_text_length, prepared.ignored) == ("det", 0, 2)
    samples = {s.source: s for name in prepared.counts for s in prepared.samples(name)}
    first = samples["Label.txt:1"]
    assert [item["transcription"] for item in json.loads(first.label)] == ["A", "###", "###"]
    assert (first.width, first.height) == (40, 30)
    assert first.image.resolve() == (work.train_data / "000.jpg").resolve()


@pytest.mark.parametrize(
    "marked",
    [region("###"), region("TEXT", difficult=True), region("TEXT", [[2, 2], [30, 2], [30, 2], [2, 2]])],
    ids=["###", "difficult", "no area"],
)
@pytest.mark.parametrize("task", ["det", "rec"])
def test_a_dataset_whose_regions_are_all_ignored_ends_the_run(work: WorkDir, task: str, marked: dict[str, Any]) -> None:
    """With nothing to learn, a detector would train on background and publish a model that finds nothing."""
    pages(work, more={n: [marked] for n in range(10)})
    with pytest.raises(DatasetError, match=r"^Label\.txt:\d+: all regions|no usable sample to train on"):
        prepare(job(task), work)
    assert not work.prepared.exists()


@pytest.mark.parametrize(("task", "form"), [("det", "pages"), ("rec", "pages"), ("rec", "lines")])
@pytest.mark.parametrize("split", ["val", "test"])
def test_a_named_split_whose_labels_are_all_ignored_ends_the_run(
    work: WorkDir, task: str, form: str, split: str
) -> None:
    """Else another split would silently take its place."""
    for name in ("train", "val", "test"):
        rows = []
        for n in range(3):
            draw(work.train_data / f"{name}{n}.png", n)
            text = "###" if name == split else "TEXT"
            rows.append(f"{name}{n}.png\t{json.dumps([region(text)]) if form == 'pages' else text}\n")
        (work.train_data / f"{name}.txt").write_text("".join(rows), "utf-8")
    word = {"val": "evaluation", "test": "test"}[split]
    with pytest.raises(DatasetError, match=f"all 3 {word} pages|All labels of the {word} split are ignored"):
        prepare(job(task), work)


def test_a_rec_run_crops_its_lines_out_of_pages(work: WorkDir) -> None:
    skipped = [region("###"), region("x", difficult=True), region("待识别"), region("")]
    pages(work, more={0: [region("ONE"), region("ZWEI"), *skipped]})
    facts = prepare(job("rec"), work)
    prepared = Prepared.load(work.prepared)
    samples = {s.source: s for name in prepared.counts for s in prepared.samples(name)}
    assert len(samples) == 11
    assert samples["Label.txt:1#2"].label == "ZWEI"
    assert facts["ignored"] == 4
    assert facts["max_text_length"] == 5
    assert prepared.dictionary.read_text("utf-8").split() == sorted(set("ONETWO2THREEZWEI"))
    page = cv2.imread(str(work.train_data / "000.jpg"))
    for sample in samples.values():
        crop = cv2.imread(str(sample.image))
        assert (sample.width, sample.height) == (28, 10) == crop.shape[1::-1]
    assert np.array_equal(cv2.imread(str(samples["Label.txt:1#1"].image)), page[2:12, 2:30])


def test_lines_of_one_page_stay_in_one_split(work: WorkDir) -> None:
    pages(work, 12, more={n: [region("A"), region("B", [[1, 1], [9, 1], [9, 9], [1, 9]])] for n in range(12)})
    prepare(job("rec"), work)
    prepared = Prepared.load(work.prepared)
    homes = {name: {s.source.split("#")[0] for s in prepared.samples(name)} for name in prepared.counts}
    assert all(homes.values())
    assert sum(map(len, homes.values())) == 12


def test_every_node_gets_the_same_and_a_second_time_too(work: WorkDir, tmp_path: Path) -> None:
    """Whatever the order of the folder; crops are not made again, and none is left over."""
    pages(work)
    first = prepare(job("rec"), work)
    other = WorkDir(tmp_path / "node-1")
    for path in sorted(work.train_data.iterdir(), reverse=True):
        other.train_data.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, other.train_data / path.name)
    assert prepare(job("rec"), other) == first
    assert (other.prepared / "dataset.json").read_bytes() == (work.prepared / "dataset.json").read_bytes()
    crops = {path: path.stat().st_mtime_ns for path in work.prepared.rglob("*.png")}
    label = work.train_data / "Label.txt"
    label.write_text("".join(label.read_text("utf-8").splitlines(keepends=True)[:9]), "utf-8")
    assert prepare(job("rec"), work)["digest"] != first["digest"]
    left = {path: path.stat().st_mtime_ns for path in work.prepared.rglob("*.png")}
    assert len(left) == 9
    assert left.items() <= crops.items()


@pytest.mark.parametrize("task", ["det", "rec"])
def test_every_node_refuses_the_same(work: WorkDir, tmp_path: Path, task: str) -> None:
    pages(work, 30, more={4: [region("A"), region("B", CROSSED)], 5: [region("C\t")]})
    (work.train_data / "003.jpg").unlink()
    (work.train_data / "007.jpg").write_bytes(b"")
    other = WorkDir(tmp_path / "node-1")
    other.train_data.mkdir(parents=True)
    for path in sorted(work.train_data.iterdir(), reverse=True):
        shutil.copyfile(path, other.train_data / path.name)
    run = job(task, maxRefused=ANY)
    assert prepare(run, work) == prepare(run, other)
    assert len(Prepared.load(work.prepared).refused) == 3
    assert (other.prepared / "dataset.json").read_bytes() == (work.prepared / "dataset.json").read_bytes()


def test_what_an_interrupted_prepare_left_is_used_when_it_is_whole(work: WorkDir) -> None:
    pages(work)
    facts = prepare(job("rec"), work)
    partial = work.prepared.rename(work.prepared.with_name("prepared.partial"))
    broken = min(partial.rglob("*.png"))
    broken.write_bytes(broken.read_bytes()[:20])
    (partial / "dictionary.txt").write_text("stale")
    assert prepare(job("rec"), work) == facts
    assert not partial.exists()
    assert all(cv2.imread(str(path)) is not None for path in work.prepared.rglob("*.png"))


def test_a_page_keeps_its_split_when_others_are_added(work: WorkDir, tmp_path: Path) -> None:
    pages(work, 12)
    prepare(job("det"), work)
    larger = WorkDir(tmp_path / "larger")
    pages(larger, 30)
    prepare(job("det"), larger)
    small, large = Prepared.load(work.prepared), Prepared.load(larger.prepared)
    for name in small.counts:
        assert {s.source for s in small.samples(name)} <= {s.source for s in large.samples(name)}


def test_a_second_dataset_is_the_one_to_evaluate_on(work: WorkDir) -> None:
    pages(work)
    shutil.copytree(work.train_data, work.eval_data)
    facts = prepare(job("det", eval="s3://data/y/"), work)
    assert facts["samples"] == {"train": 10, "eval": 10, "test": 0}
    assert Prepared.load(work.prepared).samples("eval")[0].source == "eval/Label.txt:1"


def test_a_division_by_label_files_is_kept_and_told(work: WorkDir) -> None:
    for n, name in enumerate(["train", "train", "val", "test"]):
        draw(work.train_data / f"{n}.png", n)
        with (work.train_data / f"rec_gt_{name}.txt").open("a") as file:
            file.write(f"{n}.png\tT{n}\n")
    facts = prepare(job("rec"), work)
    assert facts["samples"] == {"train": 2, "eval": 1, "test": 1}
    assert facts["split"] == "by the names of the label files"


def test_the_best_model_is_not_chosen_on_the_test_part(work: WorkDir) -> None:
    """A division into train and test only: the train part gives the pages for evaluation while training."""
    for n in range(20):
        draw(work.train_data / f"{n}.png", n)
        with (work.train_data / f"{'test' if n < 5 else 'train'}.txt").open("a") as file:
            file.write(f"{n}.png\tT{n}\n")
    facts = prepare(job("rec"), work)
    assert facts["samples"]["test"] == 5
    assert facts["samples"]["eval"] > 0
    assert facts["samples"]["train"] + facts["samples"]["eval"] == 15


def test_labels_outside_a_given_dictionary_are_left_out_and_their_characters_named(work: WorkDir) -> None:
    lines(work, ["12", "1 2", "1A", "2", "21", "22", "11", "112"])
    dictionary.save(["2", "1"], work.given_dictionary)
    given = job("rec", dictionary="s3://data/digits.txt", maxRefused=ANY)
    facts = prepare(given, work)
    prepared = Prepared.load(work.prepared)
    [row] = prepared.refused
    assert row["source"] == "rec_gt.txt:3"
    assert row["reason"] == "the dictionary lacks characters of the label: 'A'"
    assert sum(facts["samples"].values()) == 7
    assert prepared.dictionary.read_text() == "2\n1\n"


def test_another_order_of_a_given_dictionary_is_another_outcome_of_the_same_samples(work: WorkDir) -> None:
    lines(work, ["12", "1", "2", "21", "22", "11", "112"])
    identities, samples = set[str](), set[str]()
    for characters in (["1", "2"], ["2", "1"], ["1", "2"]):
        dictionary.save(characters, work.given_dictionary)
        facts = prepare(job("rec", dictionary="s3://data/digits.txt"), work)
        made = Receipt(stage="prepare", fingerprint="f", outputs={}, facts=facts, seconds=1.0)
        identities.add(made.identity)
        samples.add(facts["digest"])
    assert (len(identities), len(samples)) == (2, 1)


def test_a_built_in_dictionary_is_found_by_its_name(work: WorkDir) -> None:
    lines(work, ["ab", "cd", "ef", "gh"])
    assert prepare(job("rec", dictionary="ic15_dict"), work)["characters"] == 36


def test_every_label_outside_the_dictionary_ends_the_run(work: WorkDir) -> None:
    lines(work, ["AB", "C"])
    dictionary.save(["x"], work.given_dictionary)
    with pytest.raises(DatasetError, match=r"^rec_gt\.txt:1: the dictionary lacks .*'AB'\. .*the 2 labels.*'ABC'"):
        prepare(job("rec", dictionary="s3://data/x.txt"), work)
    assert not work.prepared.exists()


def test_another_dataset_than_the_pinned_one_ends_the_run(work: WorkDir) -> None:
    pages(work)
    found = prepare(job("det"), work)["dataset_digest"]
    assert prepare(job("rec", digest=found), work)["dataset_digest"] == found
    draw(work.train_data / "003.jpg", 99)
    with pytest.raises(DatasetError, match=f"run.data.digest is {found}"):
        prepare(job("det", digest=found), work)


def test_a_few_images_that_are_missing_or_broken_are_left_out_and_named(work: WorkDir) -> None:
    pages(work, 200)
    (work.train_data / "003.jpg").unlink()
    (work.train_data / "007.jpg").write_bytes((work.train_data / "007.jpg").read_bytes()[:-30])
    facts = prepare(job("det", maxRefused=ANY), work)
    assert sum(facts["samples"].values()) == 198
    assert facts["reasons"] == {"the image is missing": 1, "the image is truncated": 1}
    assert {(row["source"], row["reason"]) for row in Prepared.load(work.prepared).refused} == {
        ("Label.txt:4", "the image is missing: 'export/003.jpg'"),
        ("Label.txt:8", "the image is truncated: '007.jpg'"),
    }


def test_a_refused_page_belongs_to_the_split_that_it_had(work: WorkDir) -> None:
    """And the rest stay where they are; a limit of one split says nothing of another."""
    pages(work, 30)
    prepare(job("det"), work)
    before = Prepared.load(work.prepared)
    homes = {s.source: name for name in before.counts for s in before.samples(name)}
    lost = {name: before.samples(name)[0].source for name in ("train", "eval", "test")}
    for source in lost.values():
        (work.train_data / f"{int(source.split(':')[1]) - 1:03}.jpg").unlink()
    prepare(job("det", maxRefused=ANY), work)
    after = Prepared.load(work.prepared)
    assert {row["split"]: row["source"] for row in after.refused} == lost
    left = {s.source: name for name in after.counts for s in after.samples(name)}
    assert left == {source: name for source, name in homes.items() if source not in lost.values()}
    with pytest.raises(DatasetError, match=r"1 of \d+ training samples are refused, but run\.data\.maxRefused\.train"):
        prepare(job("det", maxRefused={"eval": 1.0}), work)
    with pytest.raises(DatasetError, match=r"1 of \d+ evaluation samples are refused, .*maxRefused\.eval allows 0 %"):
        prepare(job("det", maxRefused={"train": 1.0}), work)


def divided(work: WorkDir, *, train: int, val: int, bad_train: int = 0, bad_val: int = 0) -> None:
    """Write rec labels that come divided, some of them empty."""
    draw(work.train_data / "0.png", 0)
    for name, count, bad in (("train", train, bad_train), ("val", val, bad_val)):
        rows = []
        for n in range(count):
            os.link(work.train_data / "0.png", work.train_data / f"{name}{n}.png")
            rows.append(f"{name}{n}.png\t{'' if n < bad else 'TEXT'}\n")
        (work.train_data / f"rec_gt_{name}.txt").write_text("".join(rows))


@pytest.mark.parametrize(
    ("bad", "limits", "says"),
    [
        ({"bad_train": 1}, {}, None),
        ({"bad_train": 2}, {}, r"^rec_gt_train\.txt:1: the label is empty\. 2 of 100 training samples .* allows 1 %"),
        ({"bad_train": 2}, {"train": 0.02}, None),
        ({"bad_train": 1}, {"train": 0.0}, "1 of 100 training samples .* allows 0 %"),
        ({"bad_val": 1}, {}, r"^rec_gt_val\.txt:1: the label is empty\. 1 of 20 evaluation samples .* allows 0 %"),
        ({"bad_val": 1}, {"eval": 0.05}, None),
        ({"bad_val": 20}, {"eval": 1.0}, "no usable sample to evaluate on"),
    ],
)
def test_more_refused_than_the_job_allows_ends_the_run(
    work: WorkDir, bad: dict[str, int], limits: dict[str, float], says: str | None
) -> None:
    divided(work, train=100, val=20, **bad)
    run = job("rec", maxRefused=limits)
    if says is None:
        assert prepare(run, work)["refused"] == sum(bad.values())
        return
    with pytest.raises(DatasetError, match=says):
        prepare(run, work)
    assert not work.prepared.exists()


def test_every_sample_is_used_ignored_or_refused(work: WorkDir) -> None:
    """A page that is lost takes each of its lines along."""
    pages(work, more={2: [region("A"), region("###"), region("B"), region("待识别")], 3: [region("C"), region("C\t")]})
    (work.train_data / "002.jpg").unlink()
    facts = prepare(job("rec", maxRefused=ANY), work)
    assert {row["source"]: row["reason"].split(":")[0] for row in Prepared.load(work.prepared).refused} == {
        "Label.txt:3#1": "the image is missing",
        "Label.txt:3#3": "the image is missing",
        "Label.txt:4#2": "the label has the control character U+0009",
    }
    assert (sum(facts["samples"].values()), facts["refused"], facts["images"]) == (9, 3, 10)


def test_a_flawed_region_spoils_a_page_for_det_and_only_itself_for_rec(work: WorkDir) -> None:
    pages(work, more={4: [region("A"), region("B", [[1, 1], [5, 5]])], 5: []})
    assert prepare(job("det", maxRefused=ANY), work)["reasons"] == {
        "a region has 2 points, but a polygon needs 3": 1,
        "the page has no regions": 1,
    }
    assert prepare(job("rec", maxRefused=ANY), work)["first_refused"] == [
        "Label.txt:5#2: the region has 2 points, but a polygon needs 3: 'B'"
    ]


@pytest.mark.parametrize(
    ("marked", "reason"),
    [
        (region("A", CROSSED), "a region crosses itself"),
        (region("A", [[2, 2], [30, 12], [30, 2], [2, 13]]), "a region crosses itself"),
        (region("A", [[50, 2], [80, 2], [80, 12], [50, 12]]), "a region lies outside the image"),
        (region("A", [[2, -40], [30, -40], [30, -20], [2, -20]]), "a region lies outside the image"),
        (region("A", [[30, 2], [45, 2], [45, 12], [30, 12]]), None),
        (region("A", [[-3, -3], [30, -3], [30, 12], [-3, 12]]), None),
        (region("A", [[2, 2], [30, 2], [30, 12], [2, 12], [2, 12]]), None),
        (region("A", [[2, 2], [16, 4], [30, 2], [30, 12], [16, 14], [2, 12]]), None),
        (region("###", CROSSED), None),
        (region("A", [[50, 2], [80, 2], [80, 12], [50, 12]], difficult=True), None),
    ],
    ids=[
        "crossed",
        "crossed, with an area",
        "beside",
        "above",
        "mostly inside",
        "over a corner",
        "a corner twice",
        "a curved line",
        "crossed, and masked",
        "beside, and masked",
    ],
)
def test_a_page_with_a_region_that_cannot_be_marked_on_it_is_refused(
    work: WorkDir, marked: dict[str, Any], reason: str | None
) -> None:
    """The text there would be learnt as background, or background as text."""
    pages(work, more={4: [region("B"), marked]})
    facts = prepare(job("det", maxRefused=ANY), work)
    assert facts["reasons"] == ({reason: 1} if reason else {})
    if reason:
        assert facts["first_refused"] == [f"Label.txt:5: {reason} (region 2)"]


def test_a_line_is_cut_out_whatever_the_order_of_its_corners(work: WorkDir) -> None:
    pages(work, more={4: [region("A", CROSSED)], 5: [region("B", [[50, 2], [80, 2], [80, 12], [50, 12]])]})
    facts = prepare(job("rec", maxRefused=ANY), work)
    assert facts["first_refused"] == ["Label.txt:6#1: the region lies outside the image: 'B'"]
    prepared = Prepared.load(work.prepared)
    [cut] = [s for name in prepared.counts for s in prepared.samples(name) if s.source == "Label.txt:5#1"]
    assert np.array_equal(cv2.imread(str(cut.image)), cv2.imread(str(work.train_data / "004.jpg"))[2:12, 2:30])


def _remove_all(work: WorkDir) -> None:
    shutil.rmtree(work.train_data)
    work.train_data.mkdir()


def _line(content: bytes) -> Any:
    def change(work: WorkDir) -> None:
        with (work.train_data / "Label.txt").open("ab") as file:
            file.write(content + b"\n")

    return change


def _link_out(work: WorkDir) -> None:
    (work.train_data / "000.jpg").rename(work.root / "000.jpg")
    os.symlink(work.root / "000.jpg", work.train_data / "000.jpg")


BAD: dict[str, tuple[Any, str]] = {
    "empty": (_remove_all, "no label file"),
    "no tab": (_line(b"export/001.jpg []"), r"^Label\.txt:11: the line has no tab"),
    "broken JSON": (_line(b"export/001.jpg\t[{]"), r"^Label\.txt:11: the JSON is invalid"),
    "not UTF-8": (_line(b"export/\xff.jpg\t[]"), r"^Label\.txt:11: the line is not UTF-8"),
    "a path outside": (_line(b"../../run.yaml\t[]"), r"^Label\.txt:11: the image path leads outside"),
    "a path outside by a link": (_link_out, r"^'000\.jpg' in .* is a symbolic link that leads outside"),
    "missing": (
        lambda work: (work.train_data / "002.jpg").unlink(),
        r"^Label\.txt:3(#1)?: the image is missing: .*002\.jpg",
    ),
    "truncated": (
        lambda work: os.truncate(work.train_data / "002.jpg", 300),
        r"^Label\.txt:3(#1)?: the image is truncated: '002\.jpg'\. 1 of 6 training",
    ),
    "no bytes": (
        lambda work: os.truncate(work.train_data / "002.jpg", 0),
        r"^Label\.txt:3(#1)?: the image file is empty",
    ),
}


@pytest.mark.parametrize("task", ["det", "rec"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_dataset_ends_the_run_with_one_sentence_and_nothing_prepared(work: WorkDir, name: str, task: str) -> None:
    pages(work)
    change, pattern = BAD[name]
    change(work)
    with pytest.raises(DatasetError, match=pattern) as error:
        prepare(job(task), work)
    assert "\n" not in str(error.value)
    assert not work.prepared.exists()


@pytest.mark.parametrize(
    ("count", "split", "words"),
    [(1, "6:2:2", "to evaluate on"), (10, "1:0:0", "to evaluate on"), (10, "0:1:1", "to train on")],
)
def test_a_dataset_without_anything_to_train_or_evaluate_on_ends_the_run(
    work: WorkDir, count: int, split: str, words: str
) -> None:
    pages(work, count)
    with pytest.raises(DatasetError, match=words):
        prepare(job("det", split=split), work)


def test_nothing_readable_ends_the_run_and_says_why(work: WorkDir) -> None:
    pages(work, more={n: [region("###")] for n in range(10)})
    with pytest.raises(DatasetError, match="no usable sample to train on"):
        prepare(job("rec"), work)


def test_an_image_that_kills_its_decoder_ends_the_run_as_a_fault_of_the_dataset(
    work: WorkDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_that("if raw.endswith(b'KILL'): os.kill(os.getpid(), signal.SIGSEGV)", monkeypatch)
    pages(work)
    with (work.train_data / "004.jpg").open("ab") as file:
        file.write(b"KILL")
    with pytest.raises(DatasetError) as ended:
        prepare(job("det"), work)
    assert ended.value.exit_code == 41
    assert "Label.txt:5: the image kills the process that decodes it: '004.jpg' (SIGSEGV)" in str(ended.value)


def test_an_image_of_more_pixels_than_the_job_file_allows_is_refused(work: WorkDir) -> None:
    pages(work)
    with pytest.raises(
        DatasetError, match=r"more than 1,199 pixels, the limit \(run\.data\.maxPixels\): '002\.jpg' \(40 × 30\)"
    ):
        prepare(job("det", maxPixels=1199), work)
    assert prepare(job("det", maxPixels=1200), work)["refused"] == 0
