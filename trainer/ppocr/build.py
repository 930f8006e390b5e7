"""From a full PaddleOCR configuration to a model, its loss and its optimizer.

PaddleOCR's builders are used as they are; what its `tools/train.py` fills into the configuration first
(the number of classes of each head) is filled in here.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paddle

from trainer.errors import SpecError
from trainer.ppocr import tree

Config = dict[str, Any]
Tensors = Mapping[str, Any]


def with_classes(config: Config) -> Config:
    """Give a copy of the configuration whose heads and losses know the dictionary's size.

    The number of classes is the decoder's: characters, the space, and the CTC blank.
    """
    tree.on_path()
    from ppocr.postprocess import build_post_process

    config = copy.deepcopy(config)
    characters = getattr(build_post_process(config["PostProcess"], config["Global"]), "character", None)
    if characters is None:
        return config
    head, classes = config["Architecture"]["Head"], len(characters)
    if head["name"] != "MultiHead":
        head["out_channels"] = classes
        return config
    # SAR adds <BOS/EOS> and <PAD> to CTC's classes, NRTR adds three of its own (PaddleOCR, MultiHead).
    head["out_channels_list"] = {
        "CTCLabelDecode": classes,
        "SARLabelDecode": classes + 2,
        "NRTRLabelDecode": classes + 3,
    }
    for part in config["Loss"].get("loss_config_list", []):
        if "SARLoss" in part:
            part["SARLoss"] = {**(part["SARLoss"] or {}), "ignore_index": classes + 1}
    return config


def build_model(config: Config) -> paddle.nn.Layer:
    """Build the network of a configuration, with random weights, in training mode.

    Raises:
        SpecError: PaddleOCR's tree has no such network.
    """
    tree.require(config["Architecture"], source="the configuration")
    tree.on_path()
    from ppocr.modeling.architectures import build_model as build

    model = build(with_classes(config)["Architecture"])
    backbone = config["Architecture"].get("Backbone") or {}
    if config["Architecture"]["model_type"] == "rec" and backbone.get("name") in _POOL_TO_40:
        model.backbone.register_forward_pre_hook(_pool_as_in_reading)
    return model


# Backbones of recognisers from PP-OCRv4 on. While they train they pool a line of any width to 40 columns, which is
# right for 320 pixels only. Their way of reading keeps a column for each 8 pixels, and at 48 × 320 it is the same.
_POOL_TO_40 = frozenset({"PPLCNetV3", "PPLCNetV4", "PPHGNet_small", "PPHGNetV2_B4"})


def _pool_as_in_reading(backbone: paddle.nn.Layer, _: Any) -> None:
    # The flag of the backbone itself, not of its layers: BatchNorm goes on training.
    backbone.training = False


def build_loss(config: Config) -> Any:
    """Build the loss: called with (predictions, batch), gives a dict with the key `loss`."""
    tree.on_path()
    from ppocr.losses import build_loss as build

    return build(with_classes(config)["Loss"])


def build_optimizer(config: Config, model: paddle.nn.Layer, *, steps_per_epoch: int) -> tuple[Any, Any]:
    """Build the optimizer and its learning-rate schedule (a float where the rate is constant)."""
    tree.on_path()
    from ppocr.optimizer import build_optimizer as build

    optimizer, schedule = build(
        copy.deepcopy(config["Optimizer"]),
        epochs=config["Global"]["epoch_num"],
        step_each_epoch=steps_per_epoch,
        model=model,
    )
    return optimizer, schedule


# Heads that train with the labels as a second input; their algorithms' names in PaddleOCR 2.10.
_LABELS_AS_INPUT = frozenset({"SVTR_LCNet", "SVTR_HGNet", "SVTR", "NRTR", "SAR", "SATRN", "ParseQ", "CPPD", "RFL"})


def wants_labels(config: Config) -> bool:
    """Whether the network's forward pass takes the labels too while it trains."""
    return config["Architecture"]["algorithm"] in _LABELS_AS_INPUT


def load_weights(model: paddle.nn.Layer, path: Path) -> None:
    """Load weights that a run of ours has written; every name and shape must be there.

    Raises:
        SpecError: the file is of another network.
    """
    state = paddle.load(str(path))
    wanted = model.state_dict()
    wrong = [n for n, p in wanted.items() if n not in state or list(state[n].shape) != list(p.shape)]
    if wrong:
        raise SpecError(
            f"{path.name} is not of this network: {len(wrong)} of {len(wanted)} tensors are missing or of another "
            f"shape, the first is {wrong[0]!r}."
        )
    model.set_state_dict({n: state[n] for n in wanted})


def start_from(model: paddle.nn.Layer, path: Path, *, student: str | None) -> list[str]:
    """Load pretrained weights as far as they fit: a whole model, or a backbone by its own names.

    A head for another number of characters is left at its random start, as in PaddleOCR, but is said.

    Returns:
        What the user should be told: how much fits, what does not.

    Raises:
        SpecError: less than half of the backbone fits, or the sub-network `student` is not in the file.
    """
    state = {name: value for name, value in paddle.load(str(path)).items() if hasattr(value, "shape")}
    wanted = model.state_dict()
    networks = sorted({name.partition(".")[0] for name in state if ".backbone." in name})
    if student:
        prefix = f"{student}."
        state = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        if not state:
            raise SpecError(f"run.init.student is {student!r}: {path.name} has no sub-network of that name.")
    elif networks and not any(name in wanted for name in state):
        raise SpecError(f"{path.name} holds several networks: name one of {', '.join(networks)} in run.init.student.")
    if not any(name in wanted for name in state):
        state = {f"backbone.{name}": value for name, value in state.items()}
    fits = {n: v for n, v in state.items() if n in wanted and list(v.shape) == list(wanted[n].shape)}
    report = _fit(path.name, state, wanted)
    backbone = [name for name in wanted if name.startswith("backbone.")]
    if 2 * sum(name in fits for name in backbone) < len(backbone) or not fits:
        raise SpecError(
            f"run.init.pretrained: {report} Less than half of the backbone: is it of this recipe's network?"
        )
    model.set_state_dict({n: v.astype(wanted[n].dtype) for n, v in fits.items()})
    return [report, *_classes(state, wanted)]


_SHOWN = 3
"""Tensors that are named one by one."""


def _fit(file: str, state: Tensors, wanted: Tensors) -> str:
    """Say how many tensors of a file fit, and which do not."""
    other = [n for n in wanted if n in state and list(state[n].shape) != list(wanted[n].shape)]
    absent = [n for n in wanted if n not in state]
    said = [f"{len(wanted) - len(other) - len(absent)} of this network's {len(wanted)} tensors are in {file}"]
    if other:
        shapes = [f"{n} is {_shape(state[n])} in the file and {_shape(wanted[n])} here" for n in other[:_SHOWN]]
        said.append(", ".join(shapes) + (f", {len(other) - _SHOWN} more of other shapes" if other[_SHOWN:] else ""))
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if absent[_SHOWN:] else ""
        said.append(f"{', '.join(absent[:_SHOWN])}{more} {'is' if len(absent) == 1 else 'are'} not in the file")
    start = " What does not fit starts at random." if other or absent else ""
    return "; ".join(said) + f".{start}"


def _classes(state: Tensors, wanted: Tensors) -> list[str]:
    """Say that the file's head is for another dictionary."""
    for name in ("head.fc.bias", "head.fc2.bias", "head.ctc_head.fc.bias", "head.ctc_head.fc2.bias"):
        if name in state and name in wanted and list(state[name].shape) != list(wanted[name].shape):
            return [
                f"The file's head has {state[name].shape[0]} classes, the dictionary has {wanted[name].shape[0]} "
                "(with the space and the blank): the head learns anew."
            ]
    return []


def _shape(tensor: Any) -> str:
    return "×".join(str(size) for size in tensor.shape) or "a single number"
