"""From a full PaddleOCR configuration to a model, its loss and its optimizer.

PaddleOCR's builders are used as they are; what its `tools/train.py` fills into the configuration first
(the number of classes of each head) is filled in here.
"""

import copy
from typing import Any

import paddle

from trainer.ppocr import distill, losses, tree

Config = dict[str, Any]


def with_classes(config: Config) -> Config:
    """Return a copy of the configuration whose heads and losses know the dictionary's size.

    The number of classes is the decoder's: characters, the space, and the CTC blank.
    """
    tree.on_path()
    from ppocr.postprocess import build_post_process

    config = copy.deepcopy(config)
    characters = getattr(build_post_process(config["PostProcess"], config["Global"]), "character", None)
    if characters is None:
        return config
    architecture, classes = config["Architecture"], len(characters)
    for network in (architecture.get("Models") or {"": architecture}).values():
        head = network["Head"]
        if head["name"] != "MultiHead":
            head["out_channels"] = classes
            continue
        # SAR adds <BOS/EOS> and <PAD> to CTC's classes, NRTR adds three of its own (PaddleOCR, MultiHead).
        head["out_channels_list"] = {
            "CTCLabelDecode": classes,
            "SARLabelDecode": classes + 2,
            "NRTRLabelDecode": classes + 3,
        }
    # A configuration that only reads has no loss.
    for part in config.get("Loss", {}).get("loss_config_list", []):
        for kind in {"SARLoss", "DistillationSARLoss"} & part.keys():
            part[kind] = {**(part[kind] or {}), "ignore_index": classes + 1}
    return config


def build_model(config: Config) -> paddle.nn.Layer:
    """Build the network of a configuration, or its networks (`distill.Networks`), with random weights, for training.

    Raises:
        SpecError: PaddleOCR's tree has no such network.
    """
    tree.require(config["Architecture"], source="the configuration")
    tree.on_path()
    architecture = with_classes(config)["Architecture"]
    if "Models" not in architecture:
        return _network(architecture)
    frozen = frozenset(name for name, model in architecture["Models"].items() if model.pop("freeze_params", False))
    return distill.Networks({name: _network(model) for name, model in architecture["Models"].items()}, frozen=frozen)


def _network(architecture: Config) -> paddle.nn.Layer:
    from ppocr.modeling.architectures import build_model as build

    backbone = architecture.get("Backbone") or {}
    kind = architecture["model_type"]
    model = build(architecture)
    if kind == "rec" and backbone.get("name") in _POOL_TO_40:
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

    complete = with_classes(config)
    return losses.build_loss(complete) if "Models" in config["Architecture"] else build(complete["Loss"])


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
    """Whether the forward pass of the network, or of one of the networks, takes the labels too while it trains."""
    networks = (config["Architecture"].get("Models") or {"": config["Architecture"]}).values()
    # PaddleOCR's distillations leave the name out of a network that is like another.
    return any(network.get("algorithm") in _LABELS_AS_INPUT for network in networks)
