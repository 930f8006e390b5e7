"""`Train.sampler`: batches of lines of like width, in place of PaddleOCR's one width for all lines.

`RecResizeImg.image_shape[2]` of Train is the least width of a batch. A batch is as wide as its widest line needs,
rounded up to `divided_factor`, at most `max_w` pixels; wider lines are squeezed.
"""

import copy
from typing import Any, Final

from trainer.errors import SpecError

WIDTH_SAMPLER: Final = "WidthSampler"

DEFAULTS: Final = {"name": WIDTH_SAMPLER, "max_w": 1280, "divided_factor": 32}
"""The sampler of the built-in recipes; what a sampler leaves out is taken from here."""


def check(config: dict[str, Any], *, task: str, source: str) -> None:
    """Check that the trainer supports the sampler, and fill in its defaults.

    Args:
        config: the whole configuration; `Train.sampler` is filled in, or taken out where it is null.
        task: `det` or `rec`.
        source: what the configuration is, for messages: `recipe rec-crnn-mobile` or `run.config`.

    Raises:
        SpecError: the sampler is unknown or invalid.
    """
    sampler = config["Train"].pop("sampler", None)
    if sampler is None:
        return
    if task != "rec":
        raise SpecError(f"Train.sampler of {source} makes batches by width, which only recognisers use. Remove it.")
    name = sampler.get("name", WIDTH_SAMPLER) if isinstance(sampler, dict) else sampler
    if name != WIDTH_SAMPLER:
        raise SpecError(
            f"Train.sampler.name of {source} is {name!r}, which the trainer does not support. Use {WIDTH_SAMPLER}, or "
            "null for one width for all lines."
        )
    sampler = {**DEFAULTS, **sampler}
    least = resize_of(config["Train"]["dataset"]["transforms"])
    if least is None:
        raise SpecError(
            f"Train.sampler of {source} needs RecResizeImg in Train.dataset.transforms, for the minimum width. Add it."
        )
    if sampler["max_w"] < least["image_shape"][2]:
        raise SpecError(
            f"Train.sampler.max_w of {source} is {sampler['max_w']}, but the minimum width of a batch is "
            f"{least['image_shape'][2]} (RecResizeImg.image_shape). Change one of the two."
        )
    config["Train"]["sampler"] = sampler


def translate(config: dict[str, Any]) -> list[str]:
    """Replace PaddleOCR's MultiScaleDataSet and MultiScaleSampler by batches by width.

    They train at several heights, in an order from the global random generator that a resume cannot repeat.

    Args:
        config: an inline configuration; changed.

    Returns:
        A note that says so, if anything was translated.
    """
    train = config["Train"]
    dataset = train["dataset"]
    sampler = train["sampler"] if isinstance(train.get("sampler"), dict) else {}
    if dataset.get("name") != "MultiScaleDataSet" and sampler.get("name") != "MultiScaleSampler":
        return []
    dataset["name"] = "SimpleDataSet"
    dataset.pop("ds_width", None)
    resize = resize_of(config["Eval"]["dataset"]["transforms"])
    transforms = dataset["transforms"]
    if resize and resize_of(transforms) is None:
        # MultiScaleDataSet resizes by itself, after all transforms but the last.
        keep = next((place for place, op in enumerate(transforms) if "KeepKeys" in op), len(transforms))
        transforms.insert(keep, {"RecResizeImg": {"image_shape": copy.copy(resize["image_shape"])}})
    if sampler.get("first_bs"):
        train["loader"]["batch_size_per_card"] = int(sampler["first_bs"])
    train["sampler"] = dict(DEFAULTS) if sampler.get("name") != WIDTH_SAMPLER else sampler
    height = f"at the height of Eval ({resize['image_shape'][1]})" if resize else "at one height"
    return [
        f"MultiScaleSampler in run.config is replaced by {WIDTH_SAMPLER}: lines of similar width share a batch, "
        f"{height}, in an order that a resumed run repeats. Override Train.sampler for other widths, or set it to "
        "null for one width."
    ]


def resize_of(transforms: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Find the arguments of RecResizeImg."""
    return next((op["RecResizeImg"] for op in transforms if "RecResizeImg" in op), None)
