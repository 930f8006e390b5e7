"""Keys of PaddleOCR's configuration that a recipe need not name: those that may be set, and those that are ours.

The one list of both. A key that a recipe does name is known from the recipe itself.
"""

from collections.abc import Mapping
from typing import Final, Literal

_LANGUAGES: Final = {
    3: "en korean japan chinese_cht te ka ta latin arabic cyrillic devanagari",
    4: "en",
    5: "latin eslav korean en el th arabic cyrillic devanagari ta te",
}

READERS: Final[Mapping[str, frozenset[str]]] = {
    "det": frozenset(
        f"PP-OCRv{version}_{size}_det"
        for version, sizes in {
            3: "mobile server",
            4: "mobile server",
            5: "mobile server",
            6: "medium small tiny",
        }.items()
        for size in sizes.split()
    ),
    "rec": frozenset(
        {
            *(
                f"{language}_PP-OCRv{version}_mobile_rec"
                for version, some in _LANGUAGES.items()
                for language in some.split()
            ),
            *(f"PP-OCRv{version}_mobile_rec" for version in (3, 4, 5)),
            *(
                "PP-OCRv4_server_rec",
                "PP-OCRv4_server_rec_doc",
                "PP-OCRv5_server_rec",
                "ch_SVTRv2_rec",
                "ch_RepSVTR_rec",
            ),
            *(f"PP-OCRv6_{size}_rec" for size in ("medium", "small", "tiny")),
        }
    ),
}
"""Names by which paddleocr 3.7 chooses the code that reads a model; it refuses any other name. Without those of seals,
whose detector gives polygons."""

Kind = Literal["number", "whole", "flag", "text", "list", "mapping", "null"]

_LR: Final[Mapping[str, Kind]] = {
    # The arguments of all of PaddleOCR's schedules; which one reads what is the schedule's own affair.
    "name": "text",
    "learning_rate": "number",
    "warmup_epoch": "number",
    "end_lr": "number",
    "power": "number",
    "step_size": "number",
    "gamma": "number",
    "decay_epochs": "list",
    "values": "list",
    "cycle": "number",
    "max_lr": "number",
    "anneal_strategy": "text",
    "three_phase": "flag",
    "warmup_steps": "whole",
    "start_lr": "number",
    "min_lr": "number",
    "factor": "number",
}

_REC_AUG: Final = ("tia_prob", "crop_prob", "reverse_prob", "noise_prob", "jitter_prob", "blur_prob", "hsv_aug_prob")

_OPERATORS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "RecAug": dict.fromkeys(_REC_AUG, "number"),
    "RecResizeImg": {"padding": "flag", "eval_mode": "flag"},
    "RecConAug": {"prob": "number", "ext_data_num": "whole", "max_text_length": "whole"},
    "DetResizeForTest": {
        "image_shape": "list",
        "keep_ratio": "flag",
        "limit_side_len": "whole",
        "limit_type": "text",
        "resize_long": "whole",
    },
    "EastRandomCropData": {"min_crop_side_ratio": "number"},
    "IaaAugment": {"augmenter_args": "list"},
}

_LOADER: Final[Mapping[str, Kind]] = {
    "shuffle": "flag",
    "drop_last": "flag",
    "batch_size_per_card": "whole",
    "num_workers": "whole",
    "use_shared_memory": "flag",
}

OPTIONAL: Final[Mapping[str, Kind]] = {
    "Global.epoch_num": "whole",
    "Global.max_text_length": "whole",
    "Global.cal_metric_during_train": "flag",
    "Global.find_unused_parameters": "flag",
    "Optimizer.clip_norm": "number",
    "Optimizer.clip_norm_global": "number",
    "Optimizer.weight_decay": "number",
    "Optimizer.beta1": "number",
    "Optimizer.beta2": "number",
    "Optimizer.epsilon": "number",
    "Optimizer.momentum": "number",
    "Optimizer.no_weight_decay_name": "text",
    "Optimizer.one_dim_param_no_weight_decay": "flag",
    "Optimizer.regularizer.name": "text",
    "Optimizer.regularizer.factor": "number",
    **{f"Optimizer.lr.{name}": kind for name, kind in _LR.items()},
    "PostProcess.use_dilation": "flag",
    "PostProcess.score_mode": "text",
    "PostProcess.box_type": "text",
    "Metric.ignore_space": "flag",
    "Metric.is_filter": "flag",
    "Loss.weight_1": "number",
    "Loss.weight_2": "number",
    "Loss.use_focal_loss": "flag",
    # `auto` in the recipes, else names of networks.
    **{
        f"Loss.loss_config_list.{loss}.{names}": "list"
        for loss, names in (
            ("DistillationDMLLoss", "model_name_pairs"),
            ("DistillationDistanceLoss", "model_name_pairs"),
            ("DistillationDilaDBLoss", "model_name_pairs"),
            ("DistillationCTCLoss", "model_name_list"),
            ("DistillationSARLoss", "model_name_list"),
            ("DistillationDBLoss", "model_name_list"),
        )
    },
    "Train.dataset.ext_op_transform_idx": "whole",
    "Train.sampler": "mapping",
    "Train.sampler.name": "text",
    "Train.sampler.max_w": "whole",
    "Train.sampler.divided_factor": "whole",
    **{f"{part}.loader.{name}": kind for part in ("Train", "Eval") for name, kind in _LOADER.items()},
    **{
        f"{part}.dataset.transforms.{operator}.{name}": kind
        for part in ("Train", "Eval")
        for operator, arguments in _OPERATORS.items()
        for name, kind in arguments.items()
    },
}
"""Keys that PaddleOCR reads though a recipe leaves them out; also the kinds of keys whose values do not show theirs."""

LEAST: Final[Mapping[str, int]] = {
    "Global.epoch_num": 1,
    "Global.max_text_length": 1,
    "Train.loader.batch_size_per_card": 1,
    "Eval.loader.batch_size_per_card": 1,
    "Train.loader.num_workers": 0,
    "Eval.loader.num_workers": 0,
    "Train.sampler.max_w": 1,
    "Train.sampler.divided_factor": 1,
}
"""The least value of a whole number that counts something."""

_PRECISION: Final = "Set run.train.precision."
_DATA: Final = "Name the dataset in run.data."

OWNED: Final[Mapping[str, str]] = {
    "Global.save_model_dir": "Published files go to run.output.",
    "Global.save_inference_dir": "Published files go to run.output.",
    "Global.save_res_path": "Published files go to run.output.",
    "Global.checkpoints": "A run resumes from its own checkpoints; see run.checkpoint.",
    "Global.save_epoch_step": "Set run.checkpoint.every.",
    "Global.eval_batch_step": "Set run.train.evaluateEvery.",
    "Global.eval_batch_epoch": "Set run.train.evaluateEvery.",
    "Global.seed": "Set run.train.seed.",
    "Global.pretrained_model": "Set run.init.pretrained.",
    "Global.distributed": "It follows from placement.nodes and placement.devicesPerNode.",
    "Global.use_gpu": "Set placement.device.",
    "Global.character_dict_path": "Set run.data.dictionary.",
    "Global.use_space_char": "It is always true: users of the exported model read the space as the last character.",
    "Global.use_amp": _PRECISION,
    "Global.amp_level": _PRECISION,
    "Global.amp_dtype": _PRECISION,
    "Global.scale_loss": _PRECISION,
    "Global.use_dynamic_loss_scaling": _PRECISION,
    "Global.use_ema": "The trainer keeps no moving average of the weights. It publishes the best weights.",
    "Global.use_sync_bn": "Each device keeps its own statistics. They are averaged for evaluation and publishing.",
    "Train.dataset.data_dir": _DATA,
    "Train.dataset.label_file_list": _DATA,
    "Train.dataset.ratio_list": _DATA,
    "Eval.dataset.data_dir": _DATA,
    "Eval.dataset.label_file_list": _DATA,
    "Eval.dataset.ratio_list": _DATA,
}
"""Keys that the trainer sets by itself, and where the job file says the same."""
