"""The form of those parts of a PaddleOCR configuration that the trainer itself reads, checked before it does."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from trainer.errors import SpecError
from trainer.formats import typed_json

_Component = dict[str, Any] | None
_Named = Annotated[dict[str, _Component], Meta(min_length=1, max_length=1)]
"""An item of a list of operators or losses: a name with its arguments."""
_Rate = int | float | None


class _Loader(Struct):
    batch_size_per_card: Annotated[int, Meta(ge=1)]
    num_workers: Annotated[int, Meta(ge=0)] | None = None


class _Dataset(Struct):
    transforms: list[_Named]


class _Part(Struct):
    dataset: _Dataset
    loader: _Loader
    sampler: dict[str, Any] | str | None = None


class _Sampler(Struct):
    max_w: int = 0
    divided_factor: int | list[int] = 1
    first_bs: int | None = None


class _Schedule(Struct):
    learning_rate: _Rate = None
    max_lr: _Rate = None
    values: list[int | float] | None = None
    end_lr: _Rate = None
    min_lr: _Rate = None
    start_lr: _Rate = None


class _Optimizer(Struct):
    lr: _Schedule


class _Global(Struct):
    epoch_num: int | None = None
    max_text_length: int | Literal["auto"] = "auto"


class _Architecture(Struct):
    model_type: str
    models: dict[str, dict[str, Any]] | None = msgspec.field(name="Models", default=None)
    transform: _Component = msgspec.field(name="Transform", default=None)
    backbone: _Component = msgspec.field(name="Backbone", default=None)
    neck: _Component = msgspec.field(name="Neck", default=None)
    head: _Component = msgspec.field(name="Head", default=None)


class _Loss(Struct):
    name: str | None = None
    loss_config_list: list[_Named] | None = None


class _Teaching(Struct):
    """Arguments of a loss between networks."""

    model_name_pairs: list[str | list[str]] | str | None = None
    model_name_list: list[str] | str | None = None


class _PostProcess(Struct):
    name: str | None = None


class _Config(Struct):
    general: _Global = msgspec.field(name="Global")
    architecture: _Architecture = msgspec.field(name="Architecture")
    loss: _Loss = msgspec.field(name="Loss")
    optimizer: _Optimizer = msgspec.field(name="Optimizer")
    post_process: _PostProcess = msgspec.field(name="PostProcess")
    train: _Part = msgspec.field(name="Train")
    evaluation: _Part = msgspec.field(name="Eval")


class _Resize(Struct):
    image_shape: tuple[int, int, int]


_OPERATORS: Final = {"RecResizeImg": _Resize}
"""Operators of which the trainer reads arguments."""


def check(config: Mapping[str, Any], *, source: str) -> None:
    """Refuse a configuration with a part of another form.

    Args:
        config: a whole PaddleOCR configuration.
        source: what it is, for messages.

    Raises:
        SpecError: a part has another type; names it.
    """
    _convert(config, _Config, source)
    for part in ("Train", "Eval"):
        for operator in config[part]["dataset"]["transforms"]:
            for name in _OPERATORS.keys() & operator.keys():
                _convert(operator[name], _OPERATORS[name], f"{part}.dataset.transforms.{name} of {source}")
    if isinstance(config["Train"].get("sampler"), dict):
        _convert(config["Train"]["sampler"], _Sampler, f"Train.sampler of {source}")
    for loss in config["Loss"].get("loss_config_list") or []:
        for name, arguments in loss.items():
            _convert(arguments or {}, _Teaching, f"Loss.loss_config_list.{name} of {source}")


def _convert(value: object, kind: type[Any], source: str) -> None:
    try:
        typed_json.convert(value, kind)
    except ValueError as error:
        raise SpecError(f"{source} has another form than PaddleOCR's: {error}.") from error
