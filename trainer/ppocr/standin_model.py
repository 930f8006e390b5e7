"""A stand-in partner: the smallest detector or recogniser that makes a pair with a model, untrained."""

from pathlib import Path
from typing import Any, Final

from trainer.ppocr import build, export

_BACKBONE: Final = {"name": "MobileNetV3", "scale": 0.35, "model_name": "small"}
_DECODE: Final = {"DecodeImage": {"img_mode": "BGR", "channel_first": False}}

DET: Final[dict[str, Any]] = {
    "Global": {},
    "Architecture": {
        "model_type": "det",
        "algorithm": "DB",
        "Transform": None,
        "Backbone": {**_BACKBONE, "disable_se": True},
        "Neck": {"name": "DBFPN", "out_channels": 24},
        "Head": {"name": "DBHead", "k": 50},
    },
    "PostProcess": {"name": "DBPostProcess", "thresh": 0.3, "box_thresh": 0.6, "unclip_ratio": 1.5},
    "Eval": {
        "dataset": {
            "transforms": [
                _DECODE,
                {"DetResizeForTest": {"limit_side_len": 320, "limit_type": "max"}},
                {"NormalizeImage": {"order": "hwc"}},
            ]
        }
    },
}
REC: Final[dict[str, Any]] = {
    "Architecture": {
        "model_type": "rec",
        "algorithm": "CRNN",
        "Transform": None,
        "Backbone": {**_BACKBONE, "small_stride": [1, 2, 2, 2]},
        "Neck": {"name": "SequenceEncoder", "encoder_type": "reshape"},
        "Head": {"name": "CTCHead", "fc_decay": 0.0},
    },
    "PostProcess": {"name": "CTCLabelDecode"},
    "Eval": {"dataset": {"transforms": [_DECODE, {"RecResizeImg": {"image_shape": [3, 32, 320]}}]}},
}


def make(task: str, folder: Path) -> Path:
    """Export a stand-in of random weights into a folder of `folder`.

    Args:
        task: `det` or `rec`.
        folder: where; must exist.

    Returns:
        Its inference folder.
    """
    config = dict(DET)
    if task == "rec":
        dictionary = folder / "digits.txt"
        dictionary.write_text("\n".join("0123456789"), "utf-8")
        config = {**REC, "Global": {"character_dict_path": str(dictionary), "use_space_char": True}}
    out = folder / f"stand-in-{task}"
    export.export_layer(build.build_model(config), config, out, model_name=f"PP-OCRv3_mobile_{task}")
    return out
