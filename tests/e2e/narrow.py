"""Distillations whose networks are narrow enough for a test: overrides of the built-in recipes."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

SIZE: Final[Mapping[str, Any]] = {
    "rec": {
        "Train.dataset.transforms.RecConAug.image_shape": [32, 64, 3],
        "Train.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64],
        "Eval.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64],
    },
    "det": {
        "Train.dataset.transforms.EastRandomCropData.size": [96, 96],
        "Eval.dataset.transforms.DetResizeForTest.limit_side_len": 96,
    },
}
LARGE: Final = {"Backbone.layers": 18, "Neck.out_channels": 32}
REC: Final = {"Backbone.scale": 0.25, "Head.head_list.SARHead.enc_dim": 64}
PARTS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "rec-pp-ocrv3-distill": {"Student": REC, "Student2": REC, "Teacher": REC},
    "det-pp-ocrv3-dml": {"Student": LARGE, "Student2": LARGE},
    "det-pp-ocrv3-cml": {
        "Student": {"Backbone.scale": 0.35, "Neck.out_channels": 24},
        "Student2": {"Backbone.scale": 0.35, "Neck.out_channels": 24},
        "Teacher": LARGE,
    },
}


def overrides(recipe: str, *, networks: Iterable[str] | None = None) -> dict[str, Any]:
    """Give `run.overrides` for a recipe with these networks; without a word all that are in `PARTS`."""
    parts = PARTS[recipe]
    return {
        **SIZE[recipe[:3]],
        **{
            f"Architecture.Models.{name}.{key}": value
            for name in networks or parts
            for key, value in parts[name].items()
        },
    }
