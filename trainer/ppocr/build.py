"""From a full PaddleOCR configuration to a model, its loss and its optimizer.

PaddleOCR's builders are used as they are; what its `tools/train.py` fills into the configuration first
(the number of classes of each head) is filled in here.
"""

import copy
import logging
from pathlib import Path
from typing import Any

import paddle

from trainer.errors import SpecError
from trainer.ppocr import tree

Config = dict[str, Any]
log = logging.getLogger(__name__)


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
    """Build the network of a configuration, with random weights, in training mode."""
    tree.on_path()
    from ppocr.modeling.architectures import build_model as build

    return build(with_classes(config)["Architecture"])


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


def start_from(model: paddle.nn.Layer, path: Path, *, student: str | None) -> None:
    """Load pretrained weights as far as they fit: a whole model, or a backbone by its own names.

    A head for another number of characters is left at its random start, as in PaddleOCR, but is said.

    Raises:
        SpecError: nothing fits, or the sub-network `student` is not in the file.
    """
    state = {name: value for name, value in paddle.load(str(path)).items() if hasattr(value, "shape")}
    if student:
        prefix = f"{student}."
        state = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        if not state:
            raise SpecError(f"run.init.student is {student!r}: {path.name} has no sub-network of that name.")
    wanted = model.state_dict()
    if not any(name in wanted for name in state):
        state = {f"backbone.{name}": value for name, value in state.items()}
    fits = {n: v for n, v in state.items() if n in wanted and list(v.shape) == list(wanted[n].shape)}
    if not fits:
        raise SpecError(
            f"run.init.pretrained: none of the {len(state)} tensors of {path.name} fits this network of "
            f"{len(wanted)}. Is it of the recipe's backbone?"
        )
    model.set_state_dict({n: v.astype(wanted[n].dtype) for n, v in fits.items()})
    left = [n for n in wanted if n not in fits]
    log.info("Pretrained weights: %d of %d tensors loaded.", len(fits), len(wanted))
    if left:
        log.info("Left at their random start: %s", ", ".join(left[:20]) + (" …" if len(left) > 20 else ""))
