"""Starting from weights: which tensors are taken, and what is refused."""

import numpy as np
import pytest

from tests.e2e.commands import SMALL
from trainer import recipes, runspec
from trainer.errors import SpecError
from trainer.runspec import RunSpec

# Importing paddle itself warns, of a compiler cache that nobody needs here.
pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def paddle():
    import paddle

    return paddle


@pytest.fixture(scope="module")
def build(paddle):
    from trainer.ppocr import build

    return build


@pytest.fixture(scope="module")
def config():
    raw = {
        "task": "det",
        "recipe": "det-db-mobile",
        "overrides": SMALL["det"],
        "data": {"train": "file:///unused"},
        "output": "file:///unused",
    }
    return recipes.resolve(runspec.from_dict(RunSpec, raw, where="run")).config


@pytest.fixture
def trained(config, paddle, build):
    """Weights that a model with a fresh start cannot have by chance."""
    return {name: paddle.full_like(value, 0.125) for name, value in build.build_model(config).state_dict().items()}


@pytest.fixture
def write(tmp_path, paddle):
    def write(state):
        path = tmp_path / "weights.pdparams"
        paddle.save(state, str(path))
        return path

    return write


def taken(model):
    return {name for name, value in model.state_dict().items() if np.all(value.numpy() == 0.125)}


def test_a_whole_model_is_taken(config, build, write, trained):
    model = build.build_model(config)
    build.start_from(model, write(trained), student=None)
    assert taken(model) == set(trained)


def test_a_backbone_alone_is_taken_by_its_own_names(config, build, write, trained):
    """As PaddleOCR's MobileNetV3_large_x0_5 and ResNet files name their tensors: without `backbone.`."""
    prefix = "backbone."
    alone = {name.removeprefix(prefix): value for name, value in trained.items() if name.startswith(prefix)}
    model = build.build_model(config)
    build.start_from(model, write(alone), student=None)
    assert taken(model) == {f"{prefix}{name}" for name in alone}


def test_one_network_is_taken_out_of_a_distilled_file(config, build, write, trained):
    others = {name: value * 2 for name, value in trained.items()}
    both = {f"Student.{n}": v for n, v in trained.items()} | {f"Teacher.{n}": v for n, v in others.items()}
    model = build.build_model(config)
    build.start_from(model, write(both), student="Student")
    assert taken(model) == set(trained)


def test_a_network_that_the_file_has_not_is_named(config, build, write, trained):
    with pytest.raises(SpecError, match=r"run\.init\.student is 'Student2': weights\.pdparams has no sub-network"):
        build.start_from(build.build_model(config), write(trained), student="Student2")


def test_a_tensor_of_another_shape_keeps_its_random_start(config, build, write, trained, paddle):
    """A head for another number of characters is no reason to lose the backbone."""
    name = next(iter(trained))
    trained[name] = paddle.zeros([3, 3])
    model = build.build_model(config)
    build.start_from(model, write(trained), student=None)
    assert taken(model) == set(trained) - {name}


def test_weights_of_something_else_are_refused(config, build, write, paddle):
    with pytest.raises(SpecError, match=r"none of the 1 tensors of weights\.pdparams fits"):
        build.start_from(build.build_model(config), write({"x": paddle.zeros([2])}), student=None)


def test_a_runs_own_weights_must_fit_whole(config, build, write, trained):
    trained.pop(next(iter(trained)))
    with pytest.raises(SpecError, match=r"1 of .* tensors are missing or of another shape"):
        build.load_weights(build.build_model(config), write(trained))
