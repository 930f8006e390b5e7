"""How a model is read: the few values of a PaddleOCR configuration that decide it, checked and typed.

The same values pre-process in evaluation, go into inference.yml, and are passed to paddleocr in verify.
Paddle-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from trainer.errors import SpecError
from trainer.formats import typed_json
from trainer.formats.yaml import parse_yaml

T = TypeVar("T")
Divisor = Annotated[float, Meta(gt=0)]
Pixels = Annotated[int, Meta(gt=0)]

Config = Mapping[str, Any]
"""A PaddleOCR configuration."""

_RESIZE = "Eval.dataset.transforms.DetResizeForTest"


@dataclass(frozen=True, kw_only=True)
class DetSettings:
    """How a detector reads a page. The defaults are PaddleOCR's own for keys that are left out."""

    img_mode: str = "BGR"
    """Order of the colours that the network wants: BGR or RGB."""
    limit_side_len: Pixels = 736
    """Pixels to which a side is brought."""
    limit_type: str = "min"
    """Which side: `min` at least, `max` at most, `resize_long` the longer one exactly."""
    image_shape: tuple[Pixels, Pixels] | None = None
    """A fixed height and width in place of a limit."""
    keep_ratio: bool = False
    """With `image_shape`: only the height is fixed."""
    scale: float = 1 / 255
    """Factor from levels to 0…1."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted from each channel."""
    std: tuple[Divisor, Divisor, Divisor] = (0.229, 0.224, 0.225)
    """Divides each channel."""
    thresh: float = 0.3
    """A pixel of the map above this is text."""
    box_thresh: float = 0.7
    """A box whose mean is below this is dropped."""
    unclip_ratio: float = 2.0
    """How far a box grows beyond the shrunk text."""
    max_candidates: int = 1000
    """The most contours looked at in a page."""
    use_dilation: bool = False
    """Whether the mask is dilated first."""
    score_mode: str = "fast"
    """`fast` scores the rectangle, `slow` the contour."""


@dataclass(frozen=True, kw_only=True)
class RecSettings:
    """How a recogniser reads a line."""

    img_mode: str = "BGR"
    """Order of the colours that the network wants."""
    image_shape: tuple[Pixels, Pixels, Pixels]
    """Channels, height, and the least width; a longer line keeps its shape."""
    use_space_char: bool = False
    """Whether the space is the last class."""


class _Steps(Struct):
    transform_ops: list[dict[str, dict[str, Any] | None]] = []


class _PostProcess(Struct):
    name: str | None = None
    character_dict: list[str | int | float | bool | None] | None = None


class _Global(Struct):
    model_name: str | None = None


class _Exported(Struct):
    """Parts of an inference.yml."""

    steps: _Steps = msgspec.field(name="PreProcess")
    post: _PostProcess = msgspec.field(name="PostProcess")
    general: _Global | None = msgspec.field(name="Global", default=None)


def require(config: Config) -> None:
    """Check that users of the export could read with a configuration, before anything is fetched.

    Raises:
        SpecError: they could not.
    """
    if config["Architecture"]["model_type"] == "det":
        det_settings(config)
    else:
        rec_settings(config)


def det_settings(config: Config) -> DetSettings:
    """Take a detector's settings out of a configuration.

    Raises:
        SpecError: users of the export could not read with this configuration.
    """
    post = config["PostProcess"]
    # First: without it, other advice is of no use.
    _decodes(post, "DBPostProcess", head="DBHead or PFHeadLocal")
    resize = dict(_transform(config, "DetResizeForTest"))
    normalize = _transform(config, "NormalizeImage")
    if "resize_long" in resize:
        raise SpecError(
            f"{_RESIZE}.resize_long is {resize['resize_long']!r}, which paddleocr 3.x does not support. "
            "Use `limit_side_len` with `limit_type: resize_long` instead."
        )
    _one_of(f"{_RESIZE}.limit_type", resize.get("limit_type", "min"), ("min", "max", "resize_long"))
    _one_of("PostProcess.box_type", post.get("box_type", "quad"), ("quad",))
    given = {
        "img_mode": _img_mode(config),
        "limit_side_len": resize.get("limit_side_len"),
        "limit_type": resize.get("limit_type"),
        "image_shape": resize.get("image_shape") or None,
        "keep_ratio": resize.get("keep_ratio") is True,
        "scale": _number(normalize.get("scale")),
        "mean": normalize.get("mean"),
        "std": normalize.get("std"),
        **{
            key: post.get(key)
            for key in ("thresh", "box_thresh", "unclip_ratio", "max_candidates", "use_dilation", "score_mode")
        },
    }
    known = {key: value for key, value in given.items() if value is not None}
    return _typed(known, DetSettings, "the detector's settings")


def rec_settings(config: Config) -> RecSettings:
    """Take a recogniser's settings out of a configuration.

    Raises:
        SpecError: users of the export could not read with this configuration.
    """
    _decodes(config["PostProcess"], "CTCLabelDecode", head="CTCHead")
    shape = _transform(config, "RecResizeImg").get("image_shape")
    if not isinstance(shape, list | tuple) or len(shape) != 3 or shape[0] != 3:
        raise SpecError(
            f"Eval.dataset.transforms.RecResizeImg.image_shape is {shape!r}: write three numbers, which are "
            "3 (channels), the height and the minimum width, such as [3, 48, 320]."
        )
    given = {
        "img_mode": _img_mode(config),
        "image_shape": shape,
        "use_space_char": bool(config["Global"].get("use_space_char", False)),
    }
    return _typed(given, RecSettings, "the recogniser's settings")


def parse(path: Path) -> dict[str, Any]:
    """Read a file of YAML whose parts `PreProcess` and `PostProcess` say how an export is read.

    Raises:
        SpecError: it is not YAML, lacks a part, or has one of another form.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"'{path}' is not UTF-8 text, so it is not the inference.yml of an OCR model.") from error
    raw = parse_yaml(text, source=str(path), exported=True)
    if not isinstance(raw, dict) or not {"PreProcess", "PostProcess"} <= raw.keys():
        raise SpecError(
            f"'{path}' lacks PreProcess or PostProcess, so it is not the inference.yml of an OCR model. Name a folder "
            "with a detector or a recogniser."
        )
    _typed(raw, _Exported, f"'{path}'")
    return raw


def _typed(value: object, kind: type[T], what: str) -> T:
    try:
        return typed_json.convert(value, kind)
    except ValueError as error:
        raise SpecError(f"A part of {what} has another form than PaddleOCR's: {error}.") from error


def _transform(config: Config, name: str) -> Mapping[str, Any]:
    transforms = config["Eval"]["dataset"]["transforms"]
    for transform in transforms:
        if name in transform:
            return transform[name] or {}
    raise SpecError(f"Eval.dataset.transforms has no {name}, which paddleocr 3.x needs. Add it.")


def _img_mode(config: Config) -> str:
    mode = str(_transform(config, "DecodeImage").get("img_mode", "RGB"))
    _one_of("Eval.dataset.transforms.DecodeImage.img_mode", mode, ("BGR", "RGB"))
    return mode


def _decodes(post: Mapping[str, Any], wanted: str, *, head: str) -> None:
    if post.get("name") != wanted:
        raise SpecError(
            f"PostProcess.name is {post.get('name')!r}, which paddleocr 3.x does not have for published models, so "
            f"nobody could read this one. Use {wanted}, with the head {head}."
        )


def _one_of(place: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(f"{place} is {value!r}, which ocrfleet does not support. Use {' or '.join(allowed)}.")


def _number(value: object) -> float | None:
    """Read a number, or a quotient such as `1./255.`, which PaddleOCR's files have as a string."""
    if value is None:
        return None
    above, _, below = str(value).partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise SpecError(
            f"Eval.dataset.transforms.NormalizeImage.scale is {value!r}: write a number, or a quotient such as 1./255."
        ) from error
