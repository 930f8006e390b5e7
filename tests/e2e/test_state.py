"""A training state on disk gives back every number, in every format that Paddle trains in."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.datasets.prepared import Prepared
from trainer.errors import SpecError
from trainer.ppocr.progress import Progress
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.state import checkpoints, resuming
from trainer.telemetry.events import Events

# Importing paddle itself warns, of a compiler cache that nobody needs here.
pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore")]

RUN = {
    "task": "rec",
    "recipe": "rec-crnn-mobile",
    "data": {"train": "file:///unused"},
    "output": "file:///unused",
}


class Scaler:
    """What a scaler has on a GPU; on a CPU Paddle switches its own off."""

    def __init__(self, scale: float) -> None:
        self.state = {"scale": np.array([scale], np.float32), "incr_ratio": 2.0, "incr_count": 7, "use_dynamic": True}

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


class Masters:
    """What an optimizer has of weights in bfloat16, for which a CPU has no kernels."""

    def __init__(self, value: float) -> None:
        import paddle

        master = paddle.full([2], value)
        master.name = f"linear_0.w_0_fp32_master_{int(value)}"
        half = paddle.full([2], value).astype("bfloat16")
        self.state = {f"{master.name}_moment1_0": half, "master_weights": {"linear_0.w_0": master}}

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def set_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


class Training:
    """A network with its optimizer and schedule."""

    def __init__(self) -> None:
        import paddle

        paddle.seed(5)
        self.model = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.BatchNorm1D(4), paddle.nn.Linear(4, 2))
        cosine = paddle.optimizer.lr.CosineAnnealingDecay(0.1, T_max=10)
        self.schedule = paddle.optimizer.lr.LinearWarmup(cosine, warmup_steps=2, start_lr=0.0, end_lr=0.1)
        self.optimizer = paddle.optimizer.Adam(learning_rate=self.schedule, parameters=self.model.parameters())
        self.scaler = Scaler(1024.0)

    def step(self) -> None:
        import paddle

        self.model(paddle.randn([6, 3])).square().sum().backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        self.schedule.step()

    def numbers(self) -> dict[str, Any]:
        state = self.optimizer.state_dict()
        schedule = state.pop("LR_Scheduler")
        tensors = {**self.model.state_dict(), **state}
        return {**{name: value.numpy().tolist() for name, value in tensors.items()}, "schedule": schedule}


@pytest.fixture
def job(tmp_path: Path) -> Any:
    from trainer.ppocr.job import Job

    prepared = Prepared(root=tmp_path, task="rec", digest="d" * 64, counts={}, max_text_length=1, refused=())
    return Job(
        run=runspec.from_dict(RunSpec, RUN, where="run"),
        config={},
        prepared=prepared,
        work=WorkDir(tmp_path),
        events=Events(0, None),
        rank=0,
        world=1,
        device="cpu",
    )


def load(job: Any, model: Any, *, optimizer: Any, scaler: Any) -> Progress:
    from trainer.ppocr import state

    checkpoint, _ = resuming.newest(job.work.checkpoints)
    best = job.work.best_weights
    progress: Progress = state.load(checkpoint, model, optimizer=optimizer, best=best, scaler=scaler)
    return progress


def test_a_state_is_read_back_to_the_bit_and_training_goes_on_alike(job: Any) -> None:
    import paddle

    from trainer.ppocr import state

    # As a training does: names of an optimizer's state are counted.
    with paddle.utils.unique_name.guard():
        first = Training()
        for _ in range(3):
            first.step()
        progress = Progress(step=3, seconds=0.1 + 0.2)
        state.save(job, first.model, optimizer=first.optimizer, progress=progress, scaler=first.scaler)
        for _ in range(2):
            first.step()
    with paddle.utils.unique_name.guard():
        second = Training()
        second.scaler = Scaler(1.0)
        assert load(job, second.model, optimizer=second.optimizer, scaler=second.scaler) == progress
        assert second.scaler.state == first.scaler.state
        for _ in range(2):
            second.step()
    assert second.numbers() == first.numbers()


def test_a_state_that_was_loaded_and_not_trained_on_is_saved_alike(job: Any) -> None:
    """A run that is killed after its last step resumes with nothing to do but to save."""
    import paddle

    from trainer.ppocr import state

    with paddle.utils.unique_name.guard():
        first = Training()
        for _ in range(3):
            first.step()
        state.save(job, first.model, optimizer=first.optimizer, progress=Progress(step=3), scaler=first.scaler)
    names = ("model.safetensors", "optimizer.safetensors", "state.json")
    before = [(job.work.checkpoint(3) / name).read_bytes() for name in names]
    with paddle.utils.unique_name.guard():
        second = Training()
        second.scaler = Scaler(1.0)
        progress = load(job, second.model, optimizer=second.optimizer, scaler=second.scaler)
        state.save(job, second.model, optimizer=second.optimizer, progress=progress, scaler=second.scaler)
    assert [(job.work.checkpoint(3) / name).read_bytes() for name in names] == before


def test_random_states_are_the_same_numbers_again() -> None:
    import paddle

    from trainer.ppocr import state

    paddle.seed(7)
    paddle.randn([3])
    states = state.generators()
    drawn = [paddle.randn([5]).tolist(), paddle.rand([5]).tolist(), paddle.randperm(9).tolist()]
    paddle.seed(8)
    state.set_generators(states)
    assert state.generators() == states
    assert [paddle.randn([5]).tolist(), paddle.rand([5]).tolist(), paddle.randperm(9).tolist()] == drawn


class Place:
    """Stands for a GPU of a node."""

    def __init__(self, number: int) -> None:
        self.number = number

    def get_device_id(self) -> int:
        return self.number


def test_a_rank_keeps_the_state_of_its_own_device_however_many_its_node_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sixth rank is device 1 of the second of two nodes of four, or device 5 of a node of eight."""
    import paddle

    from trainer.ppocr import state

    core = paddle.base.core
    monkeypatch.setattr(paddle, "CUDAPlace", Place)

    def node(devices: int, *, own: int) -> list[Any]:
        generators = [core.Generator() for _ in range(devices)]
        for number, generator in enumerate(generators):
            generator.manual_seed(100 * devices + number)
        monkeypatch.setattr(core, "get_cuda_device_count", lambda: devices, raising=False)
        monkeypatch.setattr(core, "default_cuda_generator", lambda number: generators[number], raising=False)
        monkeypatch.setattr(paddle.framework, "_current_expected_place_", lambda: Place(own))
        return generators

    four = node(4, own=1)
    four[1].random()
    saved = state.generators()
    assert [each.seed for each in saved] == [401]
    drawn = four[1].random()
    eight = node(8, own=5)
    others = [each.random() for number, each in enumerate(eight) if number != 5]
    eight = node(8, own=5)
    state.set_generators(saved)
    assert eight[5].random() == drawn
    assert [each.random() for number, each in enumerate(eight) if number != 5] == others


def test_master_weights_keep_their_names_and_bfloat16_its_bits(job: Any) -> None:
    import paddle

    from trainer.ppocr import state

    first, second = Masters(3.0), Masters(5.0)
    models = [paddle.nn.Linear(2, 2), paddle.nn.Linear(2, 2)]
    for model in models:
        model.to(dtype="bfloat16")
    state.save(job, models[0], optimizer=first, progress=Progress())
    load(job, models[1], optimizer=second, scaler=None)
    for name, value in models[0].state_dict().items():
        mine = models[1].state_dict()[name]
        assert mine.dtype == paddle.bfloat16
        assert np.array_equal(mine.numpy(), value.numpy()), name
    (master,) = second.state["master_weights"].values()
    assert (master.name, master.tolist()) == ("linear_0.w_0_fp32_master_3", [3, 3])
    assert np.array_equal(
        second.state["linear_0.w_0_fp32_master_3_moment1_0"],
        first.state["linear_0.w_0_fp32_master_3_moment1_0"].numpy(),
    )


def test_a_checkpoint_of_another_version_is_refused_in_one_sentence(job: Any) -> None:
    """Whole, but with other files."""
    folder = job.work.checkpoint(3)
    folder.mkdir(parents=True)
    checkpoints.seal(folder, facts={"step": 3}, data=job.data)
    with pytest.raises(SpecError, match=r"00000003 is whole, but was written by another version .*state\.json"):
        load(job, Training().model, optimizer=None, scaler=None)


def test_the_metadata_of_a_checkpoint_names_what_is_bfloat16(tmp_path: Path) -> None:
    import paddle
    from safetensors import safe_open

    from trainer.ppocr import state

    tensors = {"half": paddle.ones([2]).astype("bfloat16"), "whole": paddle.ones([2])}
    state._write_tensors(tmp_path / "x.safetensors", tensors)
    with safe_open(tmp_path / "x.safetensors", "numpy") as file:
        assert file.metadata() == {"bfloat16": "half"}
