"""Starting from weights: which tensors are taken, and what is refused."""

import numpy as np
import pytest

from tests.e2e.commands import SMALL
from trainer import recipes
from trainer.errors import SpecError
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.weights import arrays, pdparams

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
def start(paddle):
    from trainer.ppocr import start

    return start


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


def test_a_whole_model_is_taken(start, config, build, write, trained):
    model = build.build_model(config)
    (said,) = start.start_from(model, write(trained), student=None)
    assert taken(model) == set(trained)
    assert said == f"{len(trained)} of this network's {len(trained)} tensors are in weights.pdparams."


def test_a_backbone_alone_is_taken_by_its_own_names(start, config, build, write, trained):
    """As PaddleOCR's MobileNetV3_large_x0_5 and ResNet files name their tensors: without `backbone.`."""
    prefix = "backbone."
    alone = {name.removeprefix(prefix): value for name, value in trained.items() if name.startswith(prefix)}
    model = build.build_model(config)
    start.start_from(model, write(alone), student=None)
    assert taken(model) == {f"{prefix}{name}" for name in alone}


def test_one_network_is_taken_out_of_a_distilled_file(start, config, build, write, trained):
    others = {name: value * 2 for name, value in trained.items()}
    both = {f"Student.{n}": v for n, v in trained.items()} | {f"Teacher.{n}": v for n, v in others.items()}
    model = build.build_model(config)
    start.start_from(model, write(both), student="Student")
    assert taken(model) == set(trained)


def test_a_network_that_the_file_has_not_is_named(start, config, build, write, trained):
    with pytest.raises(SpecError, match=r"run\.init\.student is 'Student2', but weights\.pdparams has no network"):
        start.start_from(build.build_model(config), write(trained), student="Student2")


def test_tensors_of_other_shapes_keep_their_random_start_and_are_said(start, config, build, write, trained, paddle):
    """How many, which, and their shapes here and there; what is not in the file at all is said, too."""
    *others, last = [name for name in trained if name.startswith("neck.")][:5]
    for name in others:
        trained[name] = paddle.full([3, 7], 0.125)
    del trained[last]
    model = build.build_model(config)
    (said,) = start.start_from(model, write(trained), student=None)
    left = {*others, last}
    assert taken(model) == set(trained) - left
    shapes = {name: "×".join(map(str, value.shape)) for name, value in model.state_dict().items()}
    assert said == (
        f"{len(shapes) - 5} of this network's {len(shapes)} tensors are in weights.pdparams; "
        f"{', '.join(f'{name} is 3×7 in the file and {shapes[name]} here' for name in others[:3])}, "
        f"1 more of other shapes; {last} is not in the file. What does not fit starts at random."
    )


def test_a_head_for_more_characters_than_the_dictionary_has_learns_anew(start, build, write, paddle, tmp_path):
    """As when published weights of 6623 characters are trained on with one's own alphabet: not an error, but said."""
    from trainer.ppocr import standin_model

    models = {}
    for which, count in {"last": 24, "own": 10}.items():
        dictionary = tmp_path / f"{which}.txt"
        dictionary.write_text("".join(f"{chr(ord('a') + place)}\n" for place in range(count)), "utf-8")
        models[which] = build.build_model(
            {
                **standin_model.REC,
                "Global": {"character_dict_path": str(dictionary), "use_space_char": True},
                "Loss": {},
            }
        )
    state = {name: paddle.full_like(value, 0.125) for name, value in models["last"].state_dict().items()}
    said, about_classes = start.start_from(models["own"], write(state), student=None)
    assert taken(models["own"]) == set(state) - {"head.fc.weight", "head.fc.bias"}
    assert "head.fc.bias is 26 in the file and 12 here" in said
    assert about_classes == (
        "The file's head has 26 classes, but the dictionary has 12 (with the space and the blank), so "
        "the head is trained from scratch."
    )


def test_a_backbone_of_another_size_is_refused_with_the_first_shapes(start, config, build, write, trained, paddle):
    """Half of a backbone is no start; PaddleOCR warns of each tensor and trains on."""
    larger = {name: paddle.zeros([2 * size for size in value.shape]) for name, value in trained.items()}
    name, value = next(iter(trained.items()))
    shapes = "×".join(str(2 * size) for size in value.shape), "×".join(map(str, value.shape))
    with pytest.raises(SpecError) as error:
        start.start_from(build.build_model(config), write(larger), student=None)
    assert str(error.value).startswith(
        f"run.init.pretrained: 0 of this network's {len(trained)} tensors are in weights"
    )
    assert f"{name} is {shapes[0]} in the file and {shapes[1]} here" in str(error.value)
    assert "less than half of the backbone" in str(error.value)


def test_a_distilled_file_wants_the_name_of_a_network(start, config, build, write, trained):
    both = {f"{network}.{name}": value for network in ("Student", "Teacher") for name, value in trained.items()}
    with pytest.raises(SpecError, match=r"several networks\. Name one of Student, Teacher in run\.init\.student"):
        start.start_from(build.build_model(config), write(both), student=None)


def test_weights_of_something_else_are_refused(start, config, build, write, paddle):
    with pytest.raises(
        SpecError, match=r"init\.pretrained: 0 of .* tensors are in weights\.pdparams; .* not in the file"
    ):
        start.start_from(build.build_model(config), write({"x": paddle.zeros([2])}), student=None)


def test_a_runs_own_weights_must_fit_whole(start, config, build, trained, tmp_path):
    trained.pop(next(iter(trained)))
    arrays.write(tmp_path / "model.safetensors", {name: value.numpy() for name, value in trained.items()})
    with pytest.raises(SpecError, match=r"1 of .* tensors are missing or have another shape"):
        start.load_weights(build.build_model(config), tmp_path / "model.safetensors")


def test_what_was_trained_is_published_as_a_file_that_paddle_loads_and_another_run_starts_from(
    start, config, build, trained, tmp_path, paddle
):
    from trainer.ppocr import export

    own, published = tmp_path / "model.safetensors", tmp_path / "weights" / "model.pdparams"
    arrays.write(own, {name: value.numpy() for name, value in trained.items()})
    export.export_weights(own, published)
    loaded = paddle.load(str(published))
    assert loaded.keys() == trained.keys()
    assert all(bool((loaded[name] == value).all()) for name, value in trained.items())
    model = build.build_model(config)
    start.start_from(model, published, student=None)
    assert taken(model) == set(trained)


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "float64", "int64", "bool"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_the_restricted_reader_reads_what_paddle_saves_as_paddle_does(paddle, tmp_path, kind, protocol):
    """A state dict, and tensors that are saved with their names."""
    layer = paddle.nn.Linear(3, 2)
    values = {
        "a": paddle.randn([3, 2]),
        "b": paddle.randn([1]),
        "c": paddle.to_tensor(2.0),
        "none": paddle.zeros([0, 2]),
    }
    values = {name: value.astype(kind) for name, value in values.items()}
    for content in (values, {**values, "epoch": 3, "nested": {"d": values["a"]}}, layer.state_dict()):
        path = tmp_path / "x.pdparams"
        paddle.save(content, str(path), protocol=protocol)
        wanted = {n: v for n, v in paddle.load(str(path), return_numpy=True).items() if hasattr(v, "shape")}
        found = pdparams.read(path)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
            assert np.array_equal(found[name], value)
            tensor = paddle.load(str(path))[name]
            assert paddle.to_tensor(found[name]).dtype == tensor.dtype
