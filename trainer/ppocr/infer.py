"""Reads images with a detector or a recogniser, in the way that users of the exported model read.

A reader takes its settings from a PaddleOCR configuration and its network from a callable, so that the
trained layer and the exported model are read by the same code. Pre-processing follows paddleocr 3.x, not
PaddleOCR's evaluation: the two differ (a cap at the training width, a limit of 4000 pixels), and a
metric is worth something only if the model's users get it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from trainer.datasets import decoding, images
from trainer.errors import DatasetError, NotFoundError
from trainer.ppocr import boxes, settings, tree
from trainer.ppocr.settings import Config, DetSettings, RecSettings

Image = npt.NDArray[np.uint8]
"""Height × width × 3, BGR, as OpenCV decodes."""
Tensor = npt.NDArray[np.float32]
Forward = Callable[[Tensor], Tensor]
"""A network: a batch in NCHW → its output, as arrays."""

WIDEST: Final = 3200
"""No line is read wider than this many pixels; paddleocr 3.x has the same limit."""
LONGEST_SIDE: Final = 4000
"""No page is read larger than this; paddleocr 3.x has the same limit (its max_side_limit)."""
BATCH: Final = 16
"""Lines of equal width in one forward pass; more does not make a CPU faster."""


def read_image(path: Path, *, max_pixels: int | None = None) -> Image:
    """Decode an image file as prepare does: in colour, turned as its EXIF orientation says, on white.

    Args:
        path: the file.
        max_pixels: the most pixels that it may have; None for a sample, which prepare has decoded.

    Raises:
        DatasetError: the file is missing, truncated, or not an image that ocrfleet reads.
    """
    try:
        with decoding.of(path):
            return images.decode(path.read_bytes(), max_pixels=max_pixels)
    except OSError as error:
        raise DatasetError(f"'{path}' cannot be read: {error.strerror}.") from error
    except images.ImageError as error:
        raise unusable(path, error) from error


def unusable(path: Path, why: images.ImageError) -> DatasetError:
    """Return the error for an image that cannot be used."""
    return DatasetError(f"'{path}': {why}. Replace the file or leave it out.")


class DetReader:
    """Finds the lines of a page."""

    def __init__(self, config: Config, forward: Forward) -> None:
        """Read with `forward`, as `config` says.

        Args:
            config: a PaddleOCR configuration, or `exported_config` of an inference folder.
            forward: the network; see `layer_forward` and `predictor_forward`.
        """
        self.settings: DetSettings = settings.det_settings(config)
        self.forward = forward
        self._post = boxes.post_process(self.settings)
        # One look-up a pixel instead of three passes over floats: 8 times faster and equal to the bit.
        table = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1)
        for channel, (mean, std) in enumerate(zip(self.settings.mean, self.settings.std, strict=True)):
            table[:, channel] *= self.settings.scale / std
            table[:, channel] += -mean / std
        self._table = table[None]

    def tensor(self, image: Image) -> Tensor:
        """Resize and normalise a page: 1 × 3 × height × width."""
        height, width = det_size(self.settings, image.shape[0], image.shape[1])
        if image.shape[0] + image.shape[1] < 64:  # as paddleocr does with thumbnails
            below, right = (max(0, 32 - side) for side in image.shape[:2])
            image = np.pad(image, ((0, below), (0, right), (0, 0)))
        if self.settings.img_mode == "RGB":
            image = np.ascontiguousarray(image[:, :, ::-1])
        resized = cv2.resize(image, (width, height))
        return np.ascontiguousarray(cv2.LUT(resized, self._table).transpose(2, 0, 1)[None], np.float32)

    def read(self, image: Image) -> tuple[npt.NDArray[np.int32], list[float]]:
        """Find the lines of a page.

        Returns:
            n × 4 × 2 corners in pixels of `image`, clockwise from the top left, and n scores.
        """
        maps = self.forward(self.tensor(image))[0, 0]
        mask = maps > self.settings.thresh
        if self._post.dilation_kernel is not None:
            mask = cv2.dilate(mask.astype(np.uint8), self._post.dilation_kernel)
        found, scores = self._post.boxes_from_bitmap(maps, mask, image.shape[1], image.shape[0])
        return np.asarray(found, np.int32).reshape(-1, 4, 2), [float(score) for score in scores]


class RecReader:
    """Reads lines."""

    def __init__(self, config: Config, characters: Sequence[str], forward: Forward) -> None:
        """Read with `forward`, as `config` says.

        Args:
            config: a PaddleOCR configuration, or `exported_config` of an inference folder.
            characters: the dictionary in its order, without the space (`read_characters`); whether the
                space is the last class, the configuration says.
            forward: the network.
        """
        tree.on_path()
        from ppocr.postprocess.rec_postprocess import CTCLabelDecode

        self.settings: RecSettings = settings.rec_settings(config)
        self.forward = forward
        self._decode = CTCLabelDecode()
        self._decode.character = ["blank", *characters, *([" "] if self.settings.use_space_char else [])]

    def tensor(self, image: Image) -> Tensor:
        """Resize, normalise and pad a line: 1 × 3 × height × width, the width as the line needs."""
        height, width, padded = rec_size(self.settings, image.shape[0], image.shape[1])
        if self.settings.img_mode == "RGB":
            image = np.ascontiguousarray(image[:, :, ::-1])
        resized = cv2.resize(image, (width, height)).astype(np.float32) / 255
        tensor = np.zeros((1, 3, height, padded), np.float32)
        tensor[0, :, :, :width] = ((resized - 0.5) / 0.5).transpose(2, 0, 1)
        return tensor

    def read(self, lines: Sequence[Image]) -> list[tuple[str, float]]:
        """Read lines, many at once.

        Only lines that pad to the same width share a batch: padding to the widest of a batch, as
        paddleocr does with batches, changes what is read.

        Returns:
            The text and the mean probability of its characters for each line, in their order.
        """
        groups: dict[int, list[int]] = defaultdict(list)
        for place, line in enumerate(lines):
            groups[rec_size(self.settings, line.shape[0], line.shape[1])[2]].append(place)
        results: dict[int, tuple[str, float]] = {}
        for places in groups.values():
            for start in range(0, len(places), BATCH):
                part = places[start : start + BATCH]
                outputs = self.forward(np.concatenate([self.tensor(lines[place]) for place in part]))
                results.update(zip(part, self._decode(outputs), strict=True))
        return [(str(text), float(score)) for text, score in (results[place] for place in range(len(lines)))]


def det_size(how: DetSettings, height: int, width: int) -> tuple[int, int]:
    """Compute the height and width at which a page of that size is read, in multiples of 32."""
    if height + width < 64:
        height, width = max(32, height), max(32, width)
    if how.image_shape is not None:
        fixed_height, fixed_width = how.image_shape
        return fixed_height, math.ceil(width * fixed_height / height / 32) * 32 if how.keep_ratio else fixed_width
    side = min(height, width) if how.limit_type == "min" else max(height, width)
    beyond = {"min": side < how.limit_side_len, "max": side > how.limit_side_len, "resize_long": True}
    ratio = float(how.limit_side_len) / side if beyond[how.limit_type] else 1.0
    sides = [int(height * ratio), int(width * ratio)]
    if max(sides) > LONGEST_SIDE:
        shrink = float(LONGEST_SIDE) / max(sides)
        sides = [int(side * shrink) for side in sides]
    new_height, new_width = (max(round(side / 32) * 32, 32) for side in sides)
    return new_height, new_width


def rec_size(how: RecSettings, height: int, width: int) -> tuple[int, int, int]:
    """Compute how a line of that size is read: height, width, and width with its padding."""
    _, new_height, least = how.image_shape
    ratio = width / float(height)
    # The product is taken of the ratios, not of the pixels: users' float arithmetic, to the last pixel.
    padded = int(new_height * max(least / new_height, ratio))
    if padded > WIDEST:
        return new_height, WIDEST, WIDEST
    return new_height, min(math.ceil(new_height * ratio), padded), padded


def read_characters(path: Path) -> list[str]:
    """Read a dictionary: one character a line, in the order of the classes."""
    return [line.rstrip("\r") for line in path.read_text("utf-8").removesuffix("\n").split("\n")]


def layer_forward(model: Any) -> Forward:
    """Make a callable of a trained layer; it is put into eval mode whenever it reads."""
    import paddle

    def forward(batch: Tensor) -> Tensor:
        if model.training:
            model.eval()
        with paddle.no_grad():
            output = model(paddle.to_tensor(batch))
        if isinstance(output, Mapping):
            # A network of a distillation gives its last part under a name.
            output = output[next(name for name in ("maps", "ctc", "head_out") if name in output)]
        elif isinstance(output, tuple | list):
            output = output[-1]
        return np.asarray(output.numpy(), np.float32)

    return forward


def columns(model: Any, *, height: int, width: int) -> int:
    """Count the places of a trained layer at which a character can be read in a line of that size, in pixels."""
    training = model.training
    found = layer_forward(model)(np.zeros((1, 3, height, width), np.float32)).shape[1]
    if training:
        model.train()
    return int(found)


def predictor_forward(inference_dir: Path, device: str = "cpu") -> Forward:
    """Make a callable of an exported model (inference.json), without oneDNN: its sums differ by 1e-5.

    Raises:
        NotFoundError: the folder lacks a file of the model.
    """
    from paddle import inference

    weights = _present(inference_dir / "inference.pdiparams")
    old = inference_dir / "inference.pdmodel"
    # PaddleOCR's models from before Paddle 3 have the older form of a program.
    model = old if old.is_file() and not (inference_dir / "inference.json").is_file() else None
    model = model or _present(inference_dir / "inference.json")
    config = inference.Config(str(model), str(weights))
    if device == "gpu":
        config.enable_use_gpu(100, 0)
    else:
        config.disable_gpu()
        config.disable_mkldnn()
    # Without these two, memory optimisation finds no pass for a model in the new representation.
    config.enable_new_ir(True)
    config.enable_new_executor()
    config.enable_memory_optim()
    config.disable_glog_info()
    predictor = inference.create_predictor(config)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    sink = predictor.get_output_handle(predictor.get_output_names()[-1])

    def forward(batch: Tensor) -> Tensor:
        source.reshape(batch.shape)
        source.copy_from_cpu(np.ascontiguousarray(batch, np.float32))
        predictor.run()
        return np.asarray(sink.copy_to_cpu(), np.float32)

    return forward


def exported_config(inference_dir: Path) -> dict[str, Any]:
    """Read an inference folder's `inference.yml` as the configuration that a reader wants.

    `Global.character_dict` has the recogniser's characters; users of an export always add the space.

    Raises:
        NotFoundError: the folder has no inference.yml.
        SpecError: the file is not YAML or lacks a part.
    """
    raw = settings.parse(_present(inference_dir / "inference.yml"))
    post = dict(raw["PostProcess"])
    transforms = [dict(transform) for transform in raw["PreProcess"].get("transform_ops", [])]
    for transform in transforms:
        resize = transform.get("DetResizeForTest")
        # A file that PaddleOCR's own exporter wrote; this is what paddleocr 3.x makes of it.
        if "DetResizeForTest" in transform and not {"limit_side_len", "image_shape"} & set(resize or {}):
            transform["DetResizeForTest"] = {
                "limit_side_len": (resize or {}).get("resize_long", 960),
                "limit_type": "max",
            }
    return {
        "Global": {
            "model_name": (raw.get("Global") or {}).get("model_name"),
            "use_space_char": True,
            "character_dict": [str(character) for character in post.pop("character_dict", None) or []],
        },
        "Eval": {"dataset": {"transforms": transforms}},
        "PostProcess": post,
    }


def _present(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError(
            f"'{path}' does not exist. Name a folder with an exported model: inference.json (or .pdmodel), .pdiparams "
            "and .yml. PaddleOCR's models from before PP-OCRv4 have no .yml, which says how a model is read: export "
            "them again with PaddleOCR 3."
        )
    return path
