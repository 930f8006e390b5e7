"""`ocrfleet check` and `ocrfleet data`: what a run would stumble over."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.unit.trainer.system import drivers


def test_a_job_that_can_run(job: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("check", job)
    assert ran.code == 0, ran.out
    assert ran.out.splitlines()[-1].startswith("The job can run.")
    for words in ("run: det-db-mobile", "supports the conditional writes", "6 usable pages", "run.data.digest: "):
        assert words in ran.out


def test_every_check_says_what_it_found(job: Path, pages: Path, ocrfleet: Callable[..., Any]) -> None:
    """Here on two nodes of two devices each, which have four pages to train on."""
    several = ["--set", "placement.nodes=2", "--set", "placement.devicesPerNode=2"]
    ran = ocrfleet("check", job, *several, "--set", "run.train.batchSizePerDevice=1")
    assert re.sub(r"slips-[0-9a-f-]+|[0-9a-f]{64}", "…", ran.out).splitlines() == [
        f"ok     {job}: a job file, slips",
        "ok     objects: 4 rendered, among them job/…",
        "ok     run: det-db-mobile, 0 overrides; detector: DB on MobileNetV3 large x0.5, 0.6 M parameters; small and "
        "quick to train",
        f"ok     run.output: file://{job.parent}/models is writable and supports the conditional writes that channels "
        "need",
        f"ok     run.data.train: file://{pages}: PPOCRLabel export; 6 images, 6 usable pages (train 4, eval 1, "
        "test 1), 0 refused, 0 ignored",
        "ok     run.data.digest: … (not pinned)",
        "ok     run.train.batchSizePerDevice: 1 × 4 devices, about 1.0 steps per epoch",
        "The job can run.",
    ]
    ran = ocrfleet("check", job, *several, "--set", "run.train.batchSizePerDevice=3")
    assert ran.out.splitlines()[-2:] == [
        "warn   run.train.batchSizePerDevice: 3 × 4 devices, about 0.3 steps per epoch. Use a smaller batch for so few "
        "samples",
        "The job can run. 1 warning.",
    ]


def test_a_gpu_is_looked_for_on_this_machine_only_where_the_job_has_no_image(
    job: Path, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With an image, it runs on machines of a cluster, which this one knows nothing of."""
    monkeypatch.syspath_prepend(drivers.paddle(tmp_path / "packages", drivers.FOR_CPU))
    on_a_gpu = ["check", job, "--set", "placement.device=gpu"]
    assert ocrfleet(*on_a_gpu).code == 0
    ran = ocrfleet(*on_a_gpu, "--set", "placement.image=null")
    assert ran.code == 40
    assert "error  The device is `gpu`, but PaddlePaddle 3.2.2 is installed without CUDA" in ran.out


def test_a_configuration_that_nobody_could_read_with_is_an_error_and_hides_nothing(
    job: Path, ocrfleet: Callable[..., Any]
) -> None:
    ran = ocrfleet("check", job, "--rehearse", "--set", r"run.overrides.PostProcess\.name=PSEPostProcess")
    assert ran.code == 40
    assert "error  PostProcess.name is 'PSEPostProcess', which paddleocr 3.x does not have" in ran.out
    assert "6 usable pages" in ran.out


def test_images_that_are_read_other_than_they_are_stored_are_counted(
    job: Path, pages: Path, ocrfleet: Callable[..., Any]
) -> None:
    exif = Image.Exif()
    exif[0x112] = 3
    with Image.open(pages / "1.png") as page:
        page.putalpha(128)
        page.save(pages / "1.png", exif=exif)
    assert "0 refused, 0 ignored, 1 turned by EXIF, 1 laid on white\n" in ocrfleet("check", job).out


def test_the_limit_of_pixels_is_the_job_files(job: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("check", job, "--set", "run.data.maxPixels=100")
    assert ran.code == 41
    assert "warn   run.data.train: Label.txt:1: the image has more than 100 pixels, the limit" in ran.out


def test_a_batch_larger_than_the_dataset_is_a_warning(job: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("check", job, "--set", "run.train.batchSizePerDevice=64")
    assert ran.code == 0
    assert "warn   run.train.batchSizePerDevice: 64" in ran.out


def test_a_batch_that_is_never_full_is_an_error_where_the_recipe_drops_it(
    job: Path, ocrfleet: Callable[..., Any]
) -> None:
    rec = ["--set", "run.task=rec", "--set", "run.recipe=rec-crnn-mobile", "--set", "run.train.batchSizePerDevice=8"]
    assert ocrfleet("check", job, *rec).code == 0
    ran = ocrfleet("check", job, *rec, "--set", "placement.devicesPerNode=2")
    assert ran.code == 41
    assert "error  8 training samples cannot fill one batch (8 × 2 devices)." in ran.out


def test_a_dataset_without_a_page_to_evaluate_on(job: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("check", job, "--set", "run.data.split=1:0:0")
    assert ran.code == 41
    assert "has no usable sample to evaluate on" in ran.out


def test_what_may_be_refused_is_the_jobs_to_say(job: Path, pages: Path, ocrfleet: Callable[..., Any]) -> None:
    (pages / "3.png").unlink()
    ran = ocrfleet("check", job)
    assert ran.code == 41
    assert "error  run.data.train: Label.txt:4: the image is missing" in ran.out
    lifted = ["--set", "run.data.maxRefused.train=1", "--set", "run.data.maxRefused.eval=1"]
    ran = ocrfleet("check", job, *lifted)
    assert ran.code == 0
    assert "5 usable pages" in ran.out
    assert "1 refused" in ran.out


def test_a_second_dataset_is_held_against_the_limit_of_evaluation(
    job: Path, pages: Path, ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copytree(pages, tmp_path / "second")
    apart = ["--set", f"run.data.eval=file://{tmp_path}/second", "--set", "run.data.maxRefused.train=1"]
    assert ocrfleet("check", job, *apart).code == 0
    (pages / "3.png").unlink()
    assert ocrfleet("check", job, *apart).code == 0
    (tmp_path / "second" / "3.png").unlink()
    ran = ocrfleet("check", job, *apart)
    assert ran.code == 41
    assert "error  run.data.eval: Label.txt:4: the image is missing: 'pages/3.png'. 1 of 6 evaluation" in ran.out


@pytest.mark.parametrize(
    ("option", "code", "sentence"),
    [
        ("run.tsk=det", 40, "error  run.tsk is not a field. Did you mean 'task'?"),
        ("run.recipe=det-db-mobil", 40, "error  run.recipe 'det-db-mobil' is not a recipe"),
        (r"run.overrides.Global\.epoch_nun=1", 40, "epoch_num"),
        ("run.data.train=file:///none", 40, "error  'file:///none' is not a folder"),
        ("run.data.eval=file:///none", 40, "error  'file:///none' is not a folder"),
        (f"run.data.digest={'a' * 64}", 41, "error  run.data.digest is aaa"),
        (f"run.init={{pretrained: file:///none/x.pdparams, sha256: {'a' * 64}}}", 40, "x.pdparams"),
        ("run.output=file:///proc/nowhere", 40, "error  "),
        ("run.init.pretrained=channel:prod", 40, "error  run.init.pretrained is 'channel:prod', but file://"),
    ],
)
def test_what_would_end_a_run(option: str, code: int, sentence: str, job: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("check", job, "--set", option)
    assert sentence in ran.out
    assert ran.code == code
    assert ran.out.splitlines()[-1].startswith("The job cannot run: 1 error.")


def test_weights_by_channel_are_looked_for(
    job: Path, published: str, ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    """Where the channel leads now, or why that will not do."""
    ocrfleet("models", "promote", f"{published}#slips-00000001", "prod")
    asked = ["check", job, "--set", "run.init.pretrained=channel:prod", "--set", "run.task=rec"]
    asked += ["--set", "run.recipe=rec-crnn-mobile", "--set", "run.train.batchSizePerDevice=4"]
    ran = ocrfleet(*asked)
    assert ran.code == 40
    assert "error  run.init.pretrained is 'channel:prod', but its run slips-00000001 was published without" in ran.out
    folder = tmp_path / "models/runs/slips-00000001"
    (folder / "1/weights").mkdir()
    (folder / "1/weights/model.pdparams").write_bytes(b"weights")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"].append({"path": "1/weights/model.pdparams", "size": 7, "sha256": "a" * 64})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    ran = ocrfleet(*asked)
    assert ran.code == 0, ran.out
    assert "model.pdparams, 7 bytes; channel:prod points to run slips-00000001 now; the run checks" in ran.out


def test_a_baseline_that_is_not_there_is_a_warning(job: Path, published: str, ocrfleet: Callable[..., Any]) -> None:
    """The run does without it, and says that the gain is not measured."""
    rec = ["--set", "run.task=rec", "--set", "run.recipe=rec-crnn-mobile", "--set", "run.train.batchSizePerDevice=4"]
    said = ocrfleet("check", job, *rec, "--set", "run.distill.baseline=slips-00000001").out
    assert "ok     run.distill.baseline: run slips-00000001, acc 0.9100" in said
    said = ocrfleet("check", job, *rec, "--set", "run.distill.baseline=slips-9").out
    assert "warn   run.distill.baseline is 'slips-9', but run slips-9 is not published at file://" in said


def test_labels_that_a_dictionary_does_not_cover(job: Path, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "digits.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    rec = ["--set", "run.task=rec", "--set", "run.recipe=rec-crnn-mobile"]
    ran = ocrfleet("check", job, *rec, "--set", f"run.data.dictionary=file://{tmp_path}/digits.txt")
    assert ran.code == 41
    assert "Label.txt:1" in ran.out
    rec += ["--set", "run.train.batchSizePerDevice=4"]
    ran = ocrfleet("check", job, *rec)
    assert ran.code == 0, ran.out
    assert "8 characters; the longest label has 2: 012345AB" in ran.out
    assert ocrfleet("check", job, *rec, "--set", "run.data.dictionary=en_dict").code == 0
