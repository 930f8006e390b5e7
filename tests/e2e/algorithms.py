"""Each algorithm of the packaged PaddleOCR as a small configuration: what docs/algorithms.md has a row for."""

import copy
from collections.abc import Mapping
from typing import Any, Final

Part = dict[str, Any]

_DECODE: Final = {"DecodeImage": {"img_mode": "BGR", "channel_first": False}}
_NORMALIZE: Final = {
    "NormalizeImage": {"scale": "1./255.", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "order": "hwc"}
}
_DB_MAPS: Final = [
    {"EastRandomCropData": {"size": [96, 96], "max_tries": 10, "keep_ratio": True}},
    {"MakeBorderMap": {"shrink_ratio": 0.4, "thresh_min": 0.3, "thresh_max": 0.7}},
    {"MakeShrinkMap": {"shrink_ratio": 0.4, "min_text_size": 8}},
    _NORMALIZE,
    {"ToCHWImage": None},
    {"KeepKeys": {"keep_keys": ["image", "threshold_map", "threshold_mask", "shrink_map", "shrink_mask"]}},
]
_DB_LOSS: Final = {
    "name": "DBLoss",
    "balance_loss": True,
    "main_loss_type": "DiceLoss",
    "alpha": 5,
    "beta": 10,
    "ohem_ratio": 3,
}
_OPTIMIZER: Final = {
    "name": "Adam",
    "beta1": 0.9,
    "beta2": 0.999,
    "lr": {"name": "Cosine", "learning_rate": 0.001},
    "regularizer": {"name": "L2", "factor": 1.0e-5},
}


def _config(
    architecture: Part, *, loss: Part, post: str, train: list[Part], evaluate: list[Part], **section: Any
) -> Part:
    loader = {"shuffle": True, "drop_last": False, "batch_size_per_card": 4, "num_workers": 0}
    rec = architecture["model_type"] == "rec"
    return {
        "Global": {"epoch_num": 1, "cal_metric_during_train": False, **section},
        "Architecture": architecture,
        "Loss": loss,
        "Optimizer": _OPTIMIZER,
        "PostProcess": {"name": post},
        "Metric": {"name": "RecMetric", "main_indicator": "acc"}
        if rec
        else {"name": "DetMetric", "main_indicator": "hmean"},
        "Train": {"dataset": {"name": "SimpleDataSet", "transforms": train}, "loader": loader},
        "Eval": {
            "dataset": {"name": "SimpleDataSet", "transforms": evaluate},
            "loader": {**loader, "shuffle": False},
        },
    }


def _det(
    algorithm: str,
    backbone: Part,
    neck: Part,
    head: Part,
    *,
    loss: Part = _DB_LOSS,
    post: str = "DBPostProcess",
    train: list[Part] = _DB_MAPS,
) -> Part:
    return _config(
        {
            "model_type": "det",
            "algorithm": algorithm,
            "Transform": None,
            "Backbone": backbone,
            "Neck": neck,
            "Head": head,
        },
        loss=loss,
        post=post,
        train=[_DECODE, {"DetLabelEncode": None}, *train],
        evaluate=[
            _DECODE,
            {"DetLabelEncode": None},
            {"DetResizeForTest": {"limit_side_len": 96, "limit_type": "max"}},
            _NORMALIZE,
            {"ToCHWImage": None},
            {"KeepKeys": {"keep_keys": ["image", "shape", "polys", "ignore_tags"]}},
        ],
    )


def _rec(
    algorithm: str,
    backbone: Part,
    neck: Part | None,
    head: Part,
    *,
    shape: tuple[int, int, int] = (3, 32, 96),
    transform: Part | None = None,
    loss: Part | None = None,
    post: str = "CTCLabelDecode",
    encode: Part | None = None,
    keys: tuple[str, ...] = ("image", "label", "length"),
) -> Part:
    resize = {"RecResizeImg": {"image_shape": list(shape)}}
    encoder = encode or {"CTCLabelEncode": None}
    return _config(
        {
            "model_type": "rec",
            "algorithm": algorithm,
            "Transform": transform,
            "Backbone": backbone,
            **({"Neck": neck} if neck else {}),
            "Head": head,
        },
        loss=loss or {"name": "CTCLoss"},
        post=post,
        train=[_DECODE, encoder, resize, {"KeepKeys": {"keep_keys": list(keys)}}],
        evaluate=[_DECODE, encoder, resize, {"KeepKeys": {"keep_keys": list(keys)}}],
    )


_MOBILE: Final = {"name": "MobileNetV3", "scale": 0.5, "model_name": "small", "small_stride": [1, 2, 2, 2]}
_PAGES: Final = {"name": "MobileNetV3", "scale": 0.5, "model_name": "large", "disable_se": True}
_RESNET: Final = {"name": "ResNet_vd", "layers": 18}
_CTC: Final = {"name": "CTCHead", "fc_decay": 1.0e-5}
_RESHAPE: Final = {"name": "SequenceEncoder", "encoder_type": "reshape"}
_TPS: Final = {"name": "TPS", "num_fiducial": 20, "loc_lr": 0.1, "model_name": "small"}
_STN: Final = {
    "name": "STN_ON",
    "tps_inputsize": [32, 64],
    "tps_outputsize": [32, 160],
    "num_control_points": 20,
    "tps_margins": [0.05, 0.05],
    "stn_activation": "none",
}


def _rnn(size: int = 32) -> Part:
    return {"name": "SequenceEncoder", "encoder_type": "rnn", "hidden_size": size}


def _svtr(mixer: list[str], **more: Any) -> Part:
    return {
        "name": "SVTRNet",
        # Wider than any line of the test: it reads lines of one width only.
        "img_size": [32, 160],
        "out_char_num": 40,
        "out_channels": 32,
        "patch_merging": "Conv",
        "embed_dim": [32, 32, 64],
        "depth": [1, 2, 1],
        "num_heads": [1, 1, 2],
        "mixer": mixer,
        "local_mixer": [[7, 11], [7, 11], [7, 11]],
        "last_stage": True,
        "prenorm": False,
        **more,
    }


def _guided(algorithm: str, backbone: Part, *, guide: Part, loss: str, encode: str) -> Part:
    """Two heads: CTC, and another that guides it during training only."""
    neck = {"name": "svtr", "dims": 32, "depth": 1, "hidden_dims": 32, "use_guide": True}
    keys = ("image", "label_ctc", "label_gtc" if encode == "NRTRLabelEncode" else "label_sar", "length", "valid_ratio")
    return _rec(
        algorithm,
        backbone,
        None,
        {"name": "MultiHead", "head_list": [{"CTCHead": {"Neck": neck, "Head": {"fc_decay": 1.0e-5}}}, guide]},
        shape=(3, 48, 320),
        loss={"name": "MultiLoss", "loss_config_list": [{"CTCLoss": None}, {loss: None}]},
        encode={"MultiLabelEncode": {"gtc_encode": encode} if encode == "NRTRLabelEncode" else None},
        keys=keys,
    )


_NRTR: Final = {"NRTRHead": {"nrtr_dim": 64, "num_decoder_layers": 1, "max_text_length": 25}}
_SAR: Final = {"SARHead": {"enc_dim": 64, "max_text_length": 25}}


def _other(algorithm: str, backbone: str, head: str, loss: str, post: str) -> Part:
    """A recogniser without CTC. It is refused by its post-processing, so its arguments do not matter."""
    return _rec(algorithm, {"name": backbone}, None, {"name": head}, loss={"name": loss}, post=post)


CONFIGS: Final[Mapping[str, Part]] = {
    "DB": _det("DB", _PAGES, {"name": "DBFPN", "out_channels": 24}, {"name": "DBHead", "k": 50}),
    "DB++": _det(
        "DB++",
        {"name": "ResNet", "layers": 18, "dcn_stage": [False, True, True, True]},
        {"name": "DBFPN", "out_channels": 32, "use_asf": True},
        {"name": "DBHead", "k": 50},
        loss={**_DB_LOSS, "main_loss_type": "BCELoss"},
    ),
    "PP-OCRv3 det teacher (LKPAN)": _det(
        "DB", _RESNET, {"name": "LKPAN", "out_channels": 32}, {"name": "DBHead", "k": 50}
    ),
    "PP-OCRv4 server det (PFHeadLocal)": _det(
        "DB",
        {"name": "PPHGNet_small", "det": True},
        {"name": "LKPAN", "out_channels": 32, "intracl": True},
        {"name": "PFHeadLocal", "k": 50, "mode": "small"},
    ),
    "EAST": _det(
        "EAST",
        _PAGES,
        {"name": "EASTFPN", "model_name": "small"},
        {"name": "EASTHead", "model_name": "small"},
        loss={"name": "EASTLoss"},
        post="EASTPostProcess",
    ),
    "SAST": _det(
        "SAST",
        {"name": "ResNet_SAST", "layers": 50},
        {"name": "SASTFPN", "with_cab": True},
        {"name": "SASTHead"},
        loss={"name": "SASTLoss"},
        post="SASTPostProcess",
    ),
    "PSE": _det(
        "PSE",
        _PAGES,
        {"name": "FPN", "out_channels": 32},
        {"name": "PSEHead", "hidden_dim": 32, "out_channels": 7},
        loss={"name": "PSELoss", "alpha": 0.7, "ohem_ratio": 3, "kernel_sample_mask": "pred", "reduction": "none"},
        post="PSEPostProcess",
    ),
    "FCE": _det(
        "FCE",
        {"name": "ResNet", "layers": 18},
        {"name": "FCEFPN", "out_channels": 32},
        {"name": "FCEHead", "fourier_degree": 5},
        loss={"name": "FCELoss", "fourier_degree": 5, "num_sample": 50},
        post="FCEPostProcess",
    ),
    "CT": _det(
        "CT",
        _RESNET,
        {"name": "CTFPN"},
        {"name": "CT_Head", "hidden_dim": 32, "num_classes": 3},
        loss={"name": "CTLoss"},
        post="CTPostProcess",
    ),
    "DRRG": _det(
        "DRRG",
        _RESNET,
        {"name": "FPN_UNet", "in_channels": [64, 128, 256, 512], "out_channels": 32},
        {"name": "DRRGHead", "in_channels": 32},
        loss={"name": "DRRGLoss"},
        post="DRRGPostProcess",
    ),
    "CRNN": _rec("CRNN", _MOBILE, _rnn(), _CTC),
    "Rosetta": _rec("Rosetta", _MOBILE, _RESHAPE, _CTC),
    "STARNet (TPS)": _rec("STARNet", _MOBILE, _rnn(), _CTC, transform=_TPS),
    "SVTR": _rec("SVTR", _svtr(["Global"] * 4), _RESHAPE, _CTC, shape=(3, 32, 160)),
    "SVTR with local mixers": _rec("SVTR", _svtr(["Local"] * 3 + ["Global"]), _RESHAPE, _CTC, shape=(3, 32, 160)),
    "SVTR behind STN": _rec("SVTR", _svtr(["Global"] * 4), _RESHAPE, _CTC, transform=_STN),
    "SVTR_LCNet with SAR as guide": _guided(
        "SVTR_LCNet",
        {"name": "MobileNetV1Enhance", "scale": 0.5, "last_conv_stride": [1, 2], "last_pool_type": "avg"},
        guide=_SAR,
        loss="SARLoss",
        encode="SARLabelEncode",
    ),
    "SVTR_LCNet with NRTR as guide": _guided(
        "SVTR_LCNet", {"name": "PPLCNetV3", "scale": 0.5}, guide=_NRTR, loss="NRTRLoss", encode="NRTRLabelEncode"
    ),
    "SVTR_HGNet": _guided(
        "SVTR_HGNet", {"name": "PPHGNet_small"}, guide=_NRTR, loss="NRTRLoss", encode="NRTRLabelEncode"
    ),
    "RARE": _other("RARE", "MobileNetV3", "AttentionHead", "AttentionLoss", "AttnLabelDecode"),
    "SRN": _other("SRN", "ResNetFPN", "SRNHead", "SRNLoss", "SRNLabelDecode"),
    "NRTR": _other("NRTR", "MTB", "Transformer", "CELoss", "NRTRLabelDecode"),
    "SAR": _other("SAR", "ResNet31", "SARHead", "SARLoss", "SARLabelDecode"),
    "SEED": _other("SEED", "ResNet_ASTER", "AsterHead", "AsterLoss", "SEEDLabelDecode"),
    "PREN": _other("PREN", "EfficientNetb3_PREN", "PRENHead", "PRENLoss", "PRENLabelDecode"),
    "ViTSTR": _other("ViTSTR", "ViTSTR", "CTCHead", "CELoss", "ViTSTRLabelDecode"),
    "ABINet": _other("ABINet", "ResNet45", "ABINetHead", "CELoss", "ABINetLabelDecode"),
    "SPIN": _other("SPIN", "ResNet32", "SPINAttentionHead", "SPINAttentionLoss", "SPINLabelDecode"),
    "VisionLAN": _other("VisionLAN", "ResNet45", "VLHead", "VLLoss", "VLLabelDecode"),
    "RobustScanner": _other("RobustScanner", "ResNet31", "RobustScannerHead", "SARLoss", "SARLabelDecode"),
    "RFL": _other("RFL", "ResNetRFL", "RFLHead", "RFLLoss", "RFLLabelDecode"),
    "SATRN": _other("SATRN", "ShallowCNN", "SATRNHead", "SATRNLoss", "SATRNLabelDecode"),
    "PARSeq": _other("ParseQ", "ViTParseQ", "ParseQHead", "ParseQLoss", "ParseQLabelDecode"),
    "CPPD": _other("CPPD", "SVTRNet", "CPPDHead", "CPPDLoss", "CPPDLabelDecode"),
    "CAN": _other("CAN", "DenseNet", "CANHead", "CANLoss", "CANLabelDecode"),
    "LaTeX-OCR": _other("LaTeXOCR", "HybridTransformer", "LaTeXOCRHead", "LaTeXOCRLoss", "LaTeXOCRDecode"),
    "UniMERNet": _other("UniMERNet", "DonutSwinModel", "UniMERNetHead", "UniMERNetLoss", "UniMERNetDecode"),
    "PP-FormulaNet": _other(
        "PP-FormulaNet_S", "PPHGNetV2_B4", "PPFormulaNet_Head", "PPFormulaNet_S_Loss", "UniMERNetDecode"
    ),
}
"""By the name in the table."""

RECIPES: Final[Mapping[str, tuple[str, Part]]] = {
    "PP-OCRv3 mobile det": ("det-pp-ocrv3-student", {}),
    "PP-OCRv4 mobile det": ("det-pp-ocrv4-mobile", {}),
    "PP-OCRv5 mobile det": ("det-pp-ocrv5-mobile", {}),
    "PP-OCRv3 det, DML": ("det-pp-ocrv3-dml", {}),
    "PP-OCRv3 det, CML": ("det-pp-ocrv3-cml", {"distill": {"randomTeacher": True}}),
    "PP-OCRv5 server det": ("det-pp-ocrv5-server", {}),
    "PP-OCRv3 mobile rec": ("rec-pp-ocrv3", {}),
    "PP-OCRv4 mobile rec": ("rec-pp-ocrv4-mobile", {}),
    "PP-OCRv5 mobile rec": ("rec-pp-ocrv5-mobile", {}),
    "PP-OCRv3 rec, distilled": ("rec-pp-ocrv3-distill", {}),
    "PP-OCRv5 server rec": ("rec-pp-ocrv5-server", {}),
}
"""Algorithms that a recipe has: by the name in the table, the recipe and what else `run` needs."""

SMALL: Final = {
    "det": {
        "Train.dataset.transforms.EastRandomCropData.size": [96, 96],
        "Eval.dataset.transforms.DetResizeForTest": {"limit_side_len": 96, "limit_type": "max"},
    },
    "rec": {},
}
"""What makes a recipe small."""


def run_of(name: str) -> dict[str, Any]:
    """Return what the `run` half of a job file has for an algorithm, without data and output."""
    if name in CONFIGS:
        config = copy.deepcopy(CONFIGS[name])
        return {"task": config["Architecture"]["model_type"], "config": config}
    recipe, more = RECIPES[name]
    return {"task": recipe[:3], "recipe": recipe, "overrides": SMALL[recipe[:3]], **more}
