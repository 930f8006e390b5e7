"""Which of PaddleOCR's operators are replaced: those whose source is the one that ours reproduce.

A checkout in PADDLEOCR_HOME may have other operators under the same names, and a user may change them: these are used
as they are.
"""

import ast
import hashlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from trainer.ppocr.operators import copy_paste, det, native, rec

log = logging.getLogger(__name__)

Operator = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class _Replacement:
    module: str
    """Where PaddleOCR defines the operator."""

    definitions: Mapping[str, Sequence[str]]
    """Files, relative to the module's folder, and what of them ours reproduce."""

    digests: frozenset[str]
    """Of the source of these, in the versions of PaddleOCR that have it."""

    build: Callable[[Any, native.Library], Operator]

    suits: Callable[[Any], bool] = lambda _: True


_REPLACEMENTS: Final[Mapping[str, _Replacement]] = {
    "RecAug": _Replacement(
        module="ppocr.data.imaug.rec_img_aug",
        definitions={
            "rec_img_aug.py": (
                "RecAug",
                "BaseDataAugmentation",
                "flag",
                "hsv_aug",
                "jitter",
                "add_gasuss_noise",
                "get_crop",
            ),
            "text_image_aug/augment.py": ("tia_distort", "tia_stretch", "tia_perspective"),
            "text_image_aug/warp_mls.py": ("WarpMLS",),
        },
        digests=frozenset({"e8a90c882d41a552696258adf165f2b565f024fffe36a3288c75b45b31624d67"}),
        build=rec.RecAug,
    ),
    "MultiLabelEncode": _Replacement(
        module="ppocr.data.imaug.label_ops",
        definitions={
            "label_ops.py": (
                "MultiLabelEncode",
                "BaseRecLabelEncode",
                "CTCLabelEncode",
                "SARLabelEncode",
                "NRTRLabelEncode",
            )
        },
        digests=frozenset({"f6af74b0ac91535c33b2d98a2803007707eb8b3ab0e99642baa98207220816b5"}),
        build=rec.MultiLabelEncode,
        suits=rec.MultiLabelEncode.suits,
    ),
    "RecResizeImg": _Replacement(
        module="ppocr.data.imaug.rec_img_aug",
        definitions={"rec_img_aug.py": ("RecResizeImg", "resize_norm_img")},
        digests=frozenset({"b0c165e3a1f56c398c88faa3c8654175867131f73d84bd2e71f39d14a39078c5"}),
        build=rec.RecResizeImg,
        suits=rec.RecResizeImg.suits,
    ),
    "IaaAugment": _Replacement(
        module="ppocr.data.imaug.iaa_augment",
        definitions={"iaa_augment.py": ("ImgaugLikeResize", "AugmenterBuilder", "IaaAugment")},
        digests=frozenset({"d3215bd0d4e9c1fa1cc715eab8d88053d7b386bf27f43ce05233ddbdff7dde98"}),
        build=det.IaaAugment,
        suits=det.IaaAugment.suits,
    ),
    "NormalizeImage": _Replacement(
        module="ppocr.data.imaug.operators",
        definitions={"operators.py": ("NormalizeImage",)},
        digests=frozenset({"9b4d88c2368bb28648cdf42d5f4b8f30a98512957473f8bb721e5a8eddded872"}),
        build=det.NormalizeImage,
        suits=det.NormalizeImage.suits,
    ),
    "CopyPaste": _Replacement(
        module="ppocr.data.imaug.copy_paste",
        definitions={
            "copy_paste.py": ("CopyPaste",),
            "random_crop_data.py": ("is_poly_outside_rect",),
        },
        digests=frozenset({"de3048812bc77d791ec604549aff29dd308b9037a995c68117104c7b0e4f2751"}),
        build=copy_paste.CopyPaste,
    ),
    "EastRandomCropData": _Replacement(
        module="ppocr.data.imaug.random_crop_data",
        definitions={
            "random_crop_data.py": (
                "EastRandomCropData",
                "crop_area",
                "split_regions",
                "random_select",
                "region_wise_random_select",
                "is_poly_outside_rect",
            )
        },
        digests=frozenset({"db9200374faa65b4c0dc5ea678bce187577ef73ec285501e2e5e09221df07f8a"}),
        build=det.EastRandomCropData,
        suits=det.EastRandomCropData.suits,
    ),
    "MakeBorderMap": _Replacement(
        module="ppocr.data.imaug.make_border_map",
        definitions={"make_border_map.py": ("MakeBorderMap",)},
        digests=frozenset({"85131a4a3a5da646accc1907dfb4edea314ca9d7954afbb803477b5795b81fdc"}),
        build=det.MakeBorderMap,
        suits=det.MakeBorderMap.suits,
    ),
    "MakeShrinkMap": _Replacement(
        module="ppocr.data.imaug.make_shrink_map",
        definitions={"make_shrink_map.py": ("MakeShrinkMap",)},
        digests=frozenset({"6f2c4b25a1feb0bd2d43477ab378e81481da2b278718b596ab4af5cae601a280"}),
        build=det.MakeShrinkMap,
    ),
}

_OURS: Final = frozenset(module.__name__ for module in (copy_paste, det, rec))


def replace(operators: Sequence[Operator], library: native.Library | None) -> list[Operator]:
    """Return operators with ours in the place of those that they reproduce.

    Args:
        operators: what PaddleOCR made of a configuration.
        library: None leaves all of them.
    """
    if library is None:
        return list(operators)
    return [_replaced(operator, library) for operator in operators]


def names(operators: Sequence[Operator]) -> list[str]:
    """Return the names of the operators that are ours."""
    return [type(operator).__name__ for operator in operators if type(operator).__module__ in _OURS]


def _replaced(operator: Operator, library: native.Library) -> Operator:
    replacement = _REPLACEMENTS.get(type(operator).__name__)
    if replacement is None or type(operator).__module__ != replacement.module or not replacement.suits(operator):
        return operator
    file = sys.modules[replacement.module].__file__
    if file is None or digest(Path(file).parent, replacement.definitions) not in replacement.digests:
        log.info(
            "%s is PaddleOCR's own: its source is not the one that the compiled operator reproduces.",
            type(operator).__name__,
        )
        return operator
    return replacement.build(operator, library)


def digest(folder: Path, definitions: Mapping[str, Sequence[str]]) -> str:
    """Return the sha256 of the source of functions and classes; what is missing counts as empty.

    Args:
        folder: where the files are.
        definitions: files, and names that are defined in them.
    """
    found = hashlib.sha256()
    for file, wanted in definitions.items():
        sources = _sources(folder / file)
        for name in wanted:
            found.update(f"{name}\n{sources.get(name, '')}\n".encode())
    return found.hexdigest()


@cache
def _sources(file: Path) -> Mapping[str, str]:
    """Return the source of each function and class of a file, by name."""
    try:
        text = file.read_text("utf-8")
        nodes = ast.parse(text).body
    except (OSError, ValueError, SyntaxError):
        return {}
    lines = text.splitlines()
    return {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in nodes
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
