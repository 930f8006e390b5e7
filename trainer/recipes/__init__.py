"""Recipes: a job's `run` half becomes a full PaddleOCR configuration.

`resolve` lays, in this order: a built-in overlay or the inline `run.config`; the fields of `run.train`; what the
prepared dataset says (dictionary, longest label); `run.overrides`. What is said later wins. Paddle-free.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from trainer.datasets.prepared import Prepared
from trainer.errors import SpecError
from trainer.recipes import distill, evaluated, inline, overrides, samplers
from trainer.recipes.overlays import Overlay, names, overlay
from trainer.run.spec import Distill, RunSpec

__all__ = ["Recipe", "load", "names", "resolve"]

AUTO: Final = "auto"
"""Stands where the prepared dataset decides."""

_RATES: Final = ("learning_rate", "max_lr", "values", "end_lr", "min_lr", "start_lr")
"""Keys of `Optimizer.lr` that are learning rates."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A PaddleOCR configuration, and what a run must know beside it."""

    name: str
    """The built-in recipe, or `run.config`."""

    task: str
    """`det` or `rec`."""

    summary: str
    """One line on what it is."""

    config: dict[str, Any]
    """The full configuration: Global, Architecture, Loss, Optimizer, PostProcess, Metric, Train, Eval."""

    model_name: str
    """What paddlex calls the exported model: `Global.model_name` of its inference.yml."""

    tolerance: float
    """Largest difference allowed between outputs of the trained and of the exported model."""

    requires: str | None = None
    """The first PaddleOCR that has its network, if the packaged version does not; see `ppocr/tree.py`."""

    notes: tuple[str, ...] = ()
    """Notes for the user: a scaled learning rate, ignored keys."""


def load(name: str) -> Recipe:
    """Return a built-in recipe, with `auto` where the dataset decides.

    Raises:
        SpecError: there is no recipe of this name.
    """
    base = overlay(name)
    config = _composed(base, Distill())
    if base.networks:
        distill.complete(config)
    return _recipe(base, config, ())


def resolve(run: RunSpec, prepared: Prepared | None = None, *, world_size: int = 1) -> Recipe:
    """Make the full configuration of a run.

    Args:
        run: the job file's half that says what to train.
        prepared: the dataset; without it `auto` stays where the dataset decides.
        world_size: number of devices, for `run.train.scaleLearningRate`.

    Raises:
        SpecError: an unknown recipe, override or sampler, a value of another kind, a recipe of the other task, or a
            text that PaddleOCR would run as Python.
    """
    base, notes = _base(run)
    source = "run.config" if run.recipe is None else f"recipe {base.name}"
    config = _composed(base, run.distill)
    _set_train_fields(config, run)
    config = overrides.apply(config, run.overrides, source=source)
    evaluated.check(config, source=source)
    distill.check(run.distill, config)
    if not isinstance(config["Global"].get("epoch_num"), int):
        raise SpecError(f"Global.epoch_num of {source} is missing. Set it, or set run.train.epochs.")
    samplers.check(config, task=base.task, source=source)
    notes += _scale_learning_rate(config, run, tuned_batch=base.tuned_batch, world_size=world_size)
    if base.task == "rec":
        _fill_from_dataset(config, prepared)
        # Another backbone has columns of another width.
        same = config["Architecture"].get("Backbone") == base.config["Architecture"].get("Backbone")
        notes += _too_long(config, prepared, base.column_width) if prepared and base.column_width and same else []
    if distill.is_distillation(config):
        distill.complete(config)
        config["Plain"] = _plain(base, config, run, prepared=prepared, world_size=world_size)
    return _recipe(base, config, tuple(notes))


def _composed(base: Overlay, wanted: Distill) -> dict[str, Any]:
    """Return a recipe's configuration, with all of its networks."""
    config = copy.deepcopy(dict(base.config))
    own, networks = config["Architecture"], base.networks
    if distill.is_distillation(config):
        own, networks = {"model_type": base.task}, own["Models"]
    if networks:
        config["Architecture"] = distill.compose(
            own, networks, wanted, of_recipe=lambda name: overlay(name).config["Architecture"]
        )
    if base.losses:
        config["Loss"] = {"name": "CombinedLoss", "loss_config_list": copy.deepcopy(list(base.losses))}
    return config


def _plain(
    base: Overlay, config: Mapping[str, Any], run: RunSpec, *, prepared: Prepared | None, world_size: int
) -> dict[str, Any]:
    """Return the settings for training one network of a distillation alone."""
    sections = distill.plain_sections(config)
    if base.plain:
        known = overlay(base.plain).config
        # What is said of the distillation's own parts does not hold for the plain recipe.
        fits = {name: value for name, value in overrides.flatten(run.overrides) if overrides.fits(known, name, value)}
        alone = resolve(
            replace(run, recipe=base.plain, distill=Distill(), overrides=fits), prepared, world_size=world_size
        )
        sections = {name: alone.config[name] for name in sections}
    return {**sections, "epoch_num": run.distill.fine_tune_epochs or 0}


def _base(run: RunSpec) -> tuple[Overlay, list[str]]:
    base, notes = inline.read(run.config) if run.config is not None else (overlay(str(run.recipe)), [])
    if base.task != run.task:
        where = "run.config" if run.recipe is None else f"run.recipe {base.name!r}"
        raise SpecError(f"{where} is for task {base.task!r}, but run.task is {run.task!r}. Change one of the two.")
    return base, notes


def _recipe(base: Overlay, config: dict[str, Any], notes: tuple[str, ...]) -> Recipe:
    return Recipe(
        name=base.name,
        task=base.task,
        summary=base.summary,
        config=config,
        model_name=base.model_name,
        tolerance=base.tolerance,
        requires=base.requires,
        notes=notes,
    )


def _set_train_fields(config: dict[str, Any], run: RunSpec) -> None:
    if run.train.epochs is not None:
        config["Global"]["epoch_num"] = run.train.epochs
    if run.train.batch_size_per_device is not None:
        config["Train"]["loader"]["batch_size_per_card"] = run.train.batch_size_per_device
    if run.train.readers is not None:
        config["Train"]["loader"]["num_workers"] = run.train.readers


def _scale_learning_rate(config: dict[str, Any], run: RunSpec, *, tuned_batch: int, world_size: int) -> list[str]:
    """Scale the learning rates with the global batch, except those that the user has set."""
    per_device = config["Train"]["loader"]["batch_size_per_card"]
    ratio = per_device * world_size / tuned_batch
    factor = {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}[run.train.scale_learning_rate]
    given = dict(overrides.flatten(run.overrides))
    rates = config["Optimizer"]["lr"]
    scaled = [key for key in _RATES if key in rates and not {"Optimizer.lr", f"Optimizer.lr.{key}"} & given.keys()]
    if factor == 1.0 or not scaled:
        return []
    for key in scaled:
        old = rates[key]
        rates[key] = [rate * factor for rate in old] if isinstance(old, list) else old * factor
    return [
        f"The learning rate is {factor:g} times the recipe's ({run.train.scale_learning_rate}): the batch is "
        f"{world_size} devices x {per_device} samples, and the recipe was tuned for {tuned_batch}."
    ]


def _fill_from_dataset(config: dict[str, Any], prepared: Prepared | None) -> None:
    """Put the dictionary and the longest label wherever `auto` stands."""
    section = config["Global"]
    if prepared is not None:
        section["character_dict_path"] = str(prepared.dictionary)
        if section["max_text_length"] == AUTO:
            section["max_text_length"] = prepared.max_text_length + _room(config)
    if section["max_text_length"] != AUTO:
        # Lines that RecConAug joins must pass the encoder, too.
        for operator in config["Train"]["dataset"]["transforms"]:
            joined = operator.get("RecConAug")
            if joined and joined.get("max_text_length") == AUTO:
                joined["max_text_length"] = section["max_text_length"] - _room(config)
        _replace_auto(config, section["max_text_length"])


def _room(config: Mapping[str, Any]) -> int:
    """Return the places that a label needs in addition to its characters.

    PaddleOCR's SAR and NRTR encoders add a begin and an end mark to a label, and silently drop each sample whose
    marked label is longer than `max_text_length`. MultiLabelEncode always makes such a label.
    """
    operators = {name for operator in config["Train"]["dataset"]["transforms"] for name in operator}
    return 2 if operators & {"MultiLabelEncode", "SARLabelEncode", "NRTRLabelEncode"} else 0


def _too_long(config: Mapping[str, Any], prepared: Prepared, column_width: int) -> list[str]:
    """Warn about labels with more characters than the network has places: their CTC loss is silently 0.

    With batches by width the places of a line depend on its width, so there is no general answer.
    """
    if config["Train"].get("sampler"):
        return []
    resize = samplers.resize_of(config["Train"]["dataset"]["transforms"])
    if resize is None:
        return []
    width = resize["image_shape"][2]
    places = width // column_width
    if prepared.max_text_length <= places:
        return []
    return [
        f"The longest label has {prepared.max_text_length} characters, but a line of {width} pixels has room for "
        f"{places}: training learns nothing from longer labels. Override "
        "Train.dataset.transforms.RecResizeImg.image_shape, and Eval's, with a larger width."
    ]


def _replace_auto(node: object, length: int) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "max_text_length" and value == AUTO:
                node[key] = length
            else:
                _replace_auto(value, length)
    elif isinstance(node, list):
        for item in node:
            _replace_auto(item, length)
