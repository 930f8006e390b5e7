"""Networks that teach each other, on real paddle workers: a true resume, and guards that meet wrong networks."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import narrow
from tests.e2e.test_training import a_run, ends_as_if_never_ended, train
from trainer.errors import OcrfleetError, SpecError
from trainer.run.workdir import WorkDir
from trainer.state.checkpoints import file_digest
from trainer.weights import arrays
from trainer.weights.facts import Origin

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

STILL = {"Optimizer.lr": {"name": "Const", "learning_rate": 0.0}}


def a_distillation(folder: Path, recipe: str, *, overrides: Any = None, networks: Any = None, **more: Any) -> WorkDir:
    """Prepare a distillation of narrow networks; `networks` names those that are there, without a word the recipe's."""
    names = networks or {"rec": ["Student", "Teacher"]}.get(recipe[:3])
    wanted = {**narrow.overrides(recipe, networks=names), **(overrides or {})}
    # The first step of a warm-up has a rate of 0, so two are the least.
    batch = {"rec": 4, "det": 1}[recipe[:3]]
    return a_run(folder, recipe[:3], recipe=recipe, overrides=wanted, batchSizePerDevice=batch, **more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "distill"),
    [
        pytest.param("rec-pp-ocrv3-distill", {"networks": {"Student2": "Student"}}, id="rec, three networks"),
        pytest.param("det-pp-ocrv3-cml", {"randomTeacher": True}, id="cml"),
        pytest.param("det-pp-ocrv3-dml", {}, id="dml"),
    ],
)
def test_a_distillation_that_was_ended_twice_goes_on_to_the_end_it_would_have_had(
    tmp_path: Path, recipe: str, distill: dict[str, Any]
) -> None:
    """Ended anywhere in it, or in the training of the picked network alone that follows."""

    def make(name: str) -> WorkDir:
        return a_distillation(
            tmp_path / name,
            recipe,
            networks=list(narrow.PARTS[recipe]),
            distill={**distill, "fineTuneEpochs": 1},
            checkpoint={"every": "2steps"},
            epochs=1,
        )

    facts = ends_as_if_never_ended(make("whole"), make("ended"), world=2)
    told = facts["distillation"]
    assert set(told["networks"]) == set(narrow.PARTS[recipe])
    assert told["fine_tuned_epochs"] == 1
    distilled = [entry for entry in facts["history"]["eval"] if "networks" in entry]
    # The picked one is the best of those that learn; the judgement of each network is kept.
    best, metric = distilled[-1], {"rec": "acc", "det": "hmean"}[recipe[:3]]
    learners = [name for name, about in told["networks"].items() if not about["frozen"]]
    assert best["networks"][told["picked"]][metric] == max(best["networks"][name][metric] for name in learners)


def given_teacher(work: WorkDir, path: Path, *, dictionary: str | None = None) -> None:
    """Put a file where fetch would have put the teacher's weights."""
    work.teacher.write_bytes(path.read_bytes())
    Origin(uri=path.as_uri(), sha256=file_digest(path), dictionary=dictionary).write(work.teacher_facts)


def teacher_file(folder: Path, work: WorkDir, *, network: str = "Teacher", change: Any = None) -> Path:
    """Write weights that fit a network of a run, as another run would have published them."""
    import paddle
    import yaml

    from trainer.ppocr import build
    from trainer.recipes import distill

    config = yaml.safe_load(work.configuration.read_text())
    tensors = dict(build.build_model(distill.plain(config, network)).state_dict())
    if change:
        change(tensors)
    path = folder / "teacher.pdparams"
    paddle.save(tensors, str(path))
    return path


def a_taught_run(folder: Path, *, recipe: str = "det-pp-ocrv3-cml", **more: Any) -> WorkDir:
    pinned = {"teacher": "file:///unused", "teacherSha256": "0" * 64}
    return a_distillation(folder, recipe, distill=pinned, world=1, epochs=1, **more)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["det-pp-ocrv3-cml", "rec-pp-ocrv3-distill"])
def test_a_frozen_teacher_ends_as_it_began(tmp_path: Path, recipe: str) -> None:
    """Parameters and statistics. A recogniser gives what it gives in training all the same: losses are about that."""
    import paddle

    frozen = {"Architecture.Models.Teacher.freeze_params": True} if recipe.startswith("rec") else {}
    work = a_taught_run(tmp_path, recipe=recipe, overrides=frozen)
    path = teacher_file(tmp_path, work)
    given_teacher(work, path)
    train(work, world=1)
    newest = max(work.checkpoints.iterdir())
    kept = arrays.read(newest / "model.safetensors")
    for name, value in paddle.load(str(path), return_numpy=True).items():
        assert (kept[f"Teacher.{name}"] == value).all(), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda state: state.pop("neck.pan_head_conv.0.weight", state.popitem()), "needs all", id="cut"),
        pytest.param(
            lambda state: [state.__setitem__(f"X.{name}", state.pop(name)) for name in list(state)],
            "needs all|several networks",
            id="renamed",
        ),
    ],
)
def test_a_frozen_teacher_that_is_not_whole_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    work = a_taught_run(tmp_path)
    given_teacher(work, teacher_file(tmp_path, work, change=change))
    with pytest.raises(SpecError, match=said):
        train(work, world=1)


def test_a_teacher_of_another_architecture_is_told_by_its_share(tmp_path: Path) -> None:
    work = a_taught_run(tmp_path)
    given_teacher(work, teacher_file(tmp_path, work, network="Student"))
    with pytest.raises(SpecError, match=r"That is \d+%, but a frozen teacher needs all"):
        train(work, world=1)


def test_a_teacher_of_another_dictionary_is_refused(tmp_path: Path) -> None:
    """By the digest where it is known, by the number of classes where it is not."""
    pinned = {"teacher": "file:///unused", "teacherSha256": "0" * 64}
    work = a_distillation(tmp_path, "rec-pp-ocrv3-distill", distill=pinned, world=1, epochs=1)
    path = teacher_file(tmp_path, work)
    given_teacher(work, path, dictionary="0" * 64)
    with pytest.raises(SpecError, match="another dictionary"):
        train(work, world=1)

    def fewer(state: dict[str, Any]) -> None:
        import paddle

        state["head.ctc_head.fc.bias"] = paddle.zeros([7])

    given_teacher(work, teacher_file(tmp_path, work, change=fewer))
    with pytest.raises(SpecError, match="head has 7 classes, but the dictionary has"):
        train(work, world=1)


def test_a_student_that_is_equal_to_its_start_is_not_published(tmp_path: Path) -> None:
    work = a_distillation(tmp_path, "det-pp-ocrv3-dml", overrides=STILL, world=1, epochs=1)
    with pytest.raises(OcrfleetError, match="Student has learned nothing"):
        train(work, world=1)


def test_a_teacher_that_drifts_is_found(tmp_path: Path) -> None:
    """A teacher that is left in training mode, as PaddleOCR leaves it: its BatchNorm statistics follow the batches."""
    work = a_taught_run(tmp_path)
    given_teacher(work, teacher_file(tmp_path, work))
    script = tmp_path / "drifting.py"
    script.write_text(
        """
import os, sys
from trainer.ppocr import distill, worker

class Drifting(distill.Networks):
    def forward(self, x, data=None):
        return {name: model(x) for name, model in self.named_children()}

distill.Networks = Drifting
sys.exit(worker.main())
"""
    )
    with pytest.raises(OcrfleetError, match="Teacher is frozen, but its parameters or its BatchNorm"):
        train(work, world=1, program=(sys.executable, str(script)))


def test_networks_start_from_their_namesakes_and_not_as_twins(tmp_path: Path) -> None:
    """From a file as PaddleOCR writes it, with all networks; one network for two that learn is refused."""
    import paddle
    import yaml

    from trainer.ppocr import build

    init = {"pretrained": "file:///unused", "sha256": "0" * 64}
    work = a_distillation(tmp_path, "det-pp-ocrv3-dml", overrides=STILL, init=init, world=1, epochs=1)
    tensors = build.build_model(yaml.safe_load(work.configuration.read_text())).state_dict()

    def given(state: dict[str, Any]) -> None:
        path = tmp_path / "given.pdparams"
        paddle.save(state, str(path))
        work.pretrained.write_bytes(path.read_bytes())
        Origin(uri=path.as_uri(), sha256=file_digest(path)).write(work.pretrained_facts)

    given(dict(tensors))
    with pytest.raises(OcrfleetError, match="Student has learned nothing"):
        train(work, world=1)
    kept = arrays.read(min(work.checkpoints.iterdir()) / "model.safetensors")
    for name, value in tensors.items():
        assert (kept[name] == value.numpy()).all(), name

    given({name.removeprefix("Student."): value for name, value in tensors.items() if name.startswith("Student.")})
    with pytest.raises(SpecError, match="Student and Student2 would start with equal weights"):
        train(work, world=1)


def test_a_network_is_taken_out_of_a_file_of_paddleocrs_own_layout(tmp_path: Path) -> None:
    """`run.init.student` with the plain recipe: what a distillation of PaddleOCR has left behind."""
    import paddle
    import yaml

    from trainer.ppocr import tree

    tree.on_path()
    from ppocr.modeling.architectures import build_model

    init = {"pretrained": "file:///unused", "sha256": "0" * 64, "student": "Student"}
    work = a_run(tmp_path, "det", overrides=STILL, init=init, world=1, epochs=1)
    one = yaml.safe_load(work.configuration.read_text())["Architecture"]
    models = {name: copy.deepcopy(one) for name in ("Student", "Teacher")}
    both = build_model({"name": "DistillationModel", "algorithm": "Distillation", "Models": models}).state_dict()
    path = tmp_path / "paddleocr.pdparams"
    paddle.save(both, str(path))
    work.pretrained.write_bytes(path.read_bytes())
    Origin(uri=path.as_uri(), sha256=file_digest(path)).write(work.pretrained_facts)
    train(work, world=1)
    kept = arrays.read(min(work.checkpoints.iterdir()) / "model.safetensors")
    assert {f"Student.{name}" for name in kept} == {name for name in both if name.startswith("Student.")}
    for name, value in kept.items():
        assert (value == both[f"Student.{name}"].numpy()).all(), name
