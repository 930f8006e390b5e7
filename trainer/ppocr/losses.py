"""The losses of networks that teach each other: those of PaddleOCR's distillations, built from its plain ones.

They differ in this: settings act (PaddleOCR's DistillationDBLoss and DistillationDilaDBLoss drop theirs); mutual
learning on shrink maps is the mean over the batch, where PaddleOCR's has the batch's shape, so that every other part
counts as often as the batch has samples; the teacher's maps are dilated on the device.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import paddle

from trainer.errors import SpecError
from trainer.ppocr import tree

Config = dict[str, Any]
Predictions = Mapping[str, Any]
"""What each network gives, by its name."""
Batch = Sequence[Any]
Parts = dict[str, paddle.Tensor]

MAPS: Final = {"thrink_maps": 0, "threshold_maps": 1, "binary_maps": 2}
"""Channels of DB's head while it trains; the first is spelled as in PaddleOCR."""

TEXT: Final = 0.3
"""A pixel of the teacher's map above this is text (PaddleOCR, DistillationDilaDBLoss)."""


def build_loss(config: Config) -> Callable[[Predictions, Batch], Parts]:
    """Build the losses of a configuration whose heads know their classes; the sum is `loss`.

    Raises:
        SpecError: a setting has a value that the loss does not take.
    """
    tree.on_path()
    parts = [_part(kind, dict(given)) for item in config["Loss"]["loss_config_list"] for kind, given in item.items()]

    def loss(predictions: Predictions, batch: Batch) -> Parts:
        named: Parts = {}
        for part in parts:
            for name, value in part(predictions, batch).items():
                named[name] = named[name] + value if name in named else value
        return {**named, "loss": paddle.add_n(list(named.values()))}

    return loss


def _part(kind: str, given: dict[str, Any]) -> Callable[[Predictions, Batch], Parts]:
    """Make one item of the list: it gives its weighted values, each under a name of its own."""
    weight, name = float(given.pop("weight", 1.0)), str(given.pop("name", _NAMES[kind]))
    pairs, names = given.pop("model_name_pairs", []), given.pop("model_name_list", [])
    if pairs and isinstance(pairs[0], str):
        pairs = [pairs]
    try:
        judge = _KINDS[kind](given)
    except (TypeError, ValueError, AssertionError) as error:
        raise SpecError(f"Loss.loss_config_list.{kind}: {error}.") from error

    def part(predictions: Predictions, batch: Batch) -> Parts:
        about = [(one,) for one in names] or [tuple(pair) for pair in pairs]
        return {
            "_".join((name, *each)): judge([predictions[network] for network in each], batch).mean() * weight
            for each in about
        }

    return part


Judge = Callable[[Sequence[Any], Batch], paddle.Tensor]
"""Judges what one network gives, or two."""


def _mutual(given: dict[str, Any]) -> Judge:
    from ppocr.losses.basic_loss import DMLLoss

    judge = DMLLoss(act=given.get("act"), use_log=given.get("use_log", False))
    maps = given.get("maps_name")
    channels = [MAPS[each] for each in ([maps] if isinstance(maps, str) else maps or [])]

    def value(outputs: Sequence[Any], _: Batch) -> paddle.Tensor:
        one, other = (_taken(output, given) for output in outputs)
        if not channels:
            return judge(one, other)
        return paddle.add_n([judge(one[:, channel], other[:, channel]).mean() for channel in channels])

    return value


def _distance(given: dict[str, Any]) -> Judge:
    from ppocr.losses.basic_loss import DistanceLoss

    judge = DistanceLoss(mode=given.get("mode", "l2"))
    return lambda outputs, _: judge(*(_taken(output, given) for output in outputs))


def _ctc(given: dict[str, Any]) -> Judge:
    from ppocr.losses.rec_ctc_loss import CTCLoss

    judge = CTCLoss(use_focal_loss=given.get("use_focal_loss", False))
    many = given.get("multi_head", False)
    # A batch with labels for two heads: image, CTC's label, the other's, length, ratio.
    return lambda outputs, batch: judge(
        _taken(outputs[0], {**given, "dis_head": "ctc"}), [*batch[:2], *batch[3:]] if many else batch
    )["loss"]


def _sar(given: dict[str, Any]) -> Judge:
    from ppocr.losses.rec_sar_loss import SARLoss

    judge = SARLoss(ignore_index=given["ignore_index"])
    many = given.get("multi_head", False)
    return lambda outputs, batch: judge(
        _taken(outputs[0], {**given, "dis_head": "sar"}), [*batch[:1], *batch[2:]] if many else batch
    )["loss"]


def _db(given: dict[str, Any]) -> Judge:
    from ppocr.losses.det_db_loss import DBLoss

    judge = DBLoss(**{key: value for key, value in given.items() if key != "key"})
    return lambda outputs, batch: judge(outputs[0], batch)["loss"]


def _dilated_db(given: dict[str, Any]) -> Judge:
    from ppocr.losses.det_db_loss import DBLoss

    judge = DBLoss(**{key: value for key, value in given.items() if key != "key"})

    def value(outputs: Sequence[Any], batch: Batch) -> paddle.Tensor:
        student, teacher = (_taken(output, {"key": "maps", **given}) for output in outputs)
        shown, mask = dilate(teacher[:, 0] > TEXT), batch[4]
        shrunk = judge.bce_loss(student[:, 0], shown, mask)
        return judge.alpha * shrunk + judge.dice_loss(student[:, 2], shown, mask)

    return value


def dilate(text: paddle.Tensor) -> paddle.Tensor:
    """Let text grow by a pixel to the right and below, as cv2.dilate does with a window of 2 × 2.

    Args:
        text: batch × height × width, boolean.

    Returns:
        The same in float32; computed where `text` lies.
    """
    grown = paddle.nn.functional.pad(text.astype("float32").unsqueeze(1), [1, 0, 1, 0])
    return paddle.nn.functional.max_pool2d(grown, kernel_size=2, stride=1).squeeze(1)


def _taken(output: Any, given: Mapping[str, Any]) -> Any:
    """Take the part of a network's output that a loss is about."""
    if given.get("key") is not None:
        output = output[given["key"]]
    return output[given.get("dis_head", "ctc")] if given.get("multi_head") else output


_KINDS: Final[Mapping[str, Callable[[dict[str, Any]], Judge]]] = {
    "DistillationDMLLoss": _mutual,
    "DistillationDistanceLoss": _distance,
    "DistillationCTCLoss": _ctc,
    "DistillationSARLoss": _sar,
    "DistillationDBLoss": _db,
    "DistillationDilaDBLoss": _dilated_db,
}
_NAMES: Final = {
    "DistillationDMLLoss": "dml",
    "DistillationDistanceLoss": "distance",
    "DistillationCTCLoss": "ctc",
    "DistillationSARLoss": "sar",
    "DistillationDBLoss": "db",
    "DistillationDilaDBLoss": "dila_db",
}
