"""Writes a trained model as its users load it: inference.json, inference.pdiparams, inference.yml.

PaddleOCR's exporter fixes a recogniser's height by the algorithm's name, names encoders that paddleocr 3.x
refuses, and leaves a lone inference.yml behind when it fails; so the three files are written here.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from trainer.errors import OcrfleetError, SpecError
from trainer.ppocr import build, infer, settings, start
from trainer.ppocr.settings import Config
from trainer.system import atomic
from trainer.weights import arrays

FILES: Final = ("inference.json", "inference.pdiparams", "inference.yml")
"""An exported model: all three or nothing."""

_BLOCK: Final = 1 << 20


def export(config: dict[str, Any], weights: Path, out: Path, model_name: str) -> None:
    """Export trained weights.

    Args:
        config: the full PaddleOCR configuration of the run.
        weights: a file of that network, as `WorkDir.best_weights`.
        out: the folder to make; one that is there is replaced when the new one is whole.
        model_name: what paddleocr 3.x will be told that this is, such as `PP-OCRv3_mobile_det`.

    Raises:
        SpecError: the weights are of another network, or users could not read such a model.
    """
    model = build.build_model(config)
    start.load_weights(model, weights)
    export_layer(model, config, out, model_name=model_name)


def export_layer(model: Any, config: Config, out: Path, *, model_name: str) -> None:
    """Export a network as it is; it is of no use for training afterwards."""
    import paddle

    description = describe(config, model_name)
    model.eval()
    for layer in model.sublayers():
        # PPLCNetV3 trains with branches that are one convolution when read.
        if hasattr(layer, "rep") and not getattr(layer, "is_repped", True):
            layer.rep()
    shape = [None, 3, None, None]
    if config["Architecture"]["model_type"] == "rec":
        shape[2] = settings.rec_settings(config).image_shape[1]
    with atomic.folder(out) as made:
        static = paddle.jit.to_static(
            model, input_spec=[paddle.static.InputSpec(shape=shape, dtype="float32", name="x")], full_graph=True
        )
        paddle.jit.save(static, str(made / "inference"))
        (made / FILES[2]).write_text(yaml.safe_dump(description, allow_unicode=True, sort_keys=False), "utf-8")
        _check(made, description)
        # Not the network's state alone: an LSTM and SVTR's local mixing have constants outside it.
        _check_whole(made, static.forward.concrete_program.parameters[0], out)


def export_weights(weights: Path, out: Path) -> None:
    """Write trained weights as PaddleOCR loads them, whole or not at all.

    Args:
        weights: `WorkDir.best_weights`.
        out: the `.pdparams` file.
    """
    import paddle

    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic.temporary(out) as new:
        paddle.save({name: paddle.to_tensor(value) for name, value in arrays.read(weights).items()}, str(new))
        atomic.replace(new, out)


def _check_whole(made: Path, tensors: Iterable[Any], out: Path) -> None:
    """Refuse files that the disk did not take whole: paddle writes them through C++ streams, and does not check.

    Args:
        made: the folder of the files.
        tensors: of the program that was written.
        out: what the folder will be called.

    Raises:
        OSError: they do not hold these tensors, and the disk is full.
        OcrfleetError: they do not, and it is not full.
    """
    import paddle

    def contents(tensors: Iterable[Any]) -> list[bytes]:
        return [hashlib.sha256(tensor.numpy().tobytes()).digest() for tensor in tensors]

    known = contents(tensors)
    try:
        written = contents(paddle.jit.load(str(made / "inference")).state_dict().values())
    # A reader of cut files may raise anything.
    except Exception as error:
        raise _not_whole("it cannot be read back", made, sum(map(_bytes, tensors)), out) from error
    if not set(known).issuperset(written):
        raise _not_whole("it reads back with other content", made, sum(map(_bytes, tensors)), out)


def _bytes(tensor: Any) -> int:
    return int(tensor.size) * int(tensor.element_size())


def _not_whole(why: str, made: Path, size: int, out: Path) -> Exception:
    # Without room for as much again, it is a full disk, a quota or a limit. Any other fault would meet each retry.
    try:
        with (made / "room").open("wb") as file:
            for _ in range(0, size, _BLOCK):
                file.write(bytes(_BLOCK))
    except OSError as error:
        return OSError(error.errno, why, str(out))
    return OcrfleetError(f"The exported model in {out} is not what was written: {why}, and the disk is not full.")


def describe(config: Config, model_name: str) -> dict[str, Any]:
    """Return the content of inference.yml: how users read the model, every value written out.

    Raises:
        SpecError: users could not read such a model.
    """
    rec = config["Architecture"]["model_type"] == "rec"
    transforms, post = _describe_rec(config) if rec else _describe_det(config)
    return {"Global": {"model_name": model_name}, "PreProcess": {"transform_ops": transforms}, "PostProcess": post}


def _describe_det(config: Config) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    how = settings.det_settings(config)
    resize: dict[str, Any] = {"limit_side_len": how.limit_side_len, "limit_type": how.limit_type}
    if how.image_shape is not None:
        resize = {"image_shape": list(how.image_shape), "keep_ratio": how.keep_ratio}
    transforms: list[dict[str, Any]] = [
        {"DecodeImage": {"img_mode": how.img_mode, "channel_first": False}},
        {"DetLabelEncode": None},
        {"DetResizeForTest": resize},
        {"NormalizeImage": {"scale": how.scale, "mean": list(how.mean), "std": list(how.std), "order": "hwc"}},
        {"ToCHWImage": None},
        {"KeepKeys": {"keep_keys": ["image", "shape", "polys", "ignore_tags"]}},
    ]
    keys = ("thresh", "box_thresh", "max_candidates", "unclip_ratio", "use_dilation", "score_mode")
    return transforms, {"name": "DBPostProcess", **{key: getattr(how, key) for key in keys}}


def _describe_rec(config: Config) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    how = settings.rec_settings(config)
    if not how.use_space_char:
        raise SpecError(
            "Global.use_space_char is false, but paddleocr 3.x reads every model with the space as the last class. "
            "Set it to true and train again."
        )
    transforms: list[dict[str, Any]] = [
        {"DecodeImage": {"img_mode": how.img_mode, "channel_first": False}},
        # The one name of an encoder that paddleocr 3.x lets pass.
        {"MultiLabelEncode": {"gtc_encode": "NRTRLabelEncode"}},
        {"RecResizeImg": {"image_shape": list(how.image_shape)}},
        {"KeepKeys": {"keep_keys": ["image", "label_ctc", "label_gtc", "length", "valid_ratio"]}},
    ]
    characters = infer.read_characters(Path(config["Global"]["character_dict_path"]))
    return transforms, {"name": "CTCLabelDecode", "character_dict": characters}


def _check(folder: Path, description: dict[str, Any]) -> None:
    """Refuse an incomplete export: paddle may omit a file without an error."""
    missing = [name for name in FILES if not (folder / name).is_file() or not (folder / name).stat().st_size]
    if missing:
        raise SpecError(
            f"The export lacks {', '.join(missing)}: paddle cannot export this network as an inference model. Choose "
            "another recipe."
        )
    if yaml.safe_load((folder / FILES[2]).read_text("utf-8")) != description:
        raise SpecError(
            "inference.yml reads back with other content: the dictionary has a character that YAML changes. Remove "
            "that character."
        )
