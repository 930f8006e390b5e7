"""A whole PaddleOCR configuration in `run.config`, in place of a recipe: check it and make it ours."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from trainer.errors import SpecError
from trainer.recipes import distill, form, samplers
from trainer.recipes.known import OWNED, READERS
from trainer.recipes.overlays import Overlay

SECTIONS: Final = ("Global", "Architecture", "Loss", "Optimizer", "PostProcess", "Metric", "Train", "Eval")
"""What every configuration has."""

_NEEDED: Final = (
    "Architecture.model_type",
    "Optimizer.lr",
    "Train.dataset.transforms",
    "Train.loader.batch_size_per_card",
    "Eval.dataset.transforms",
    "Eval.loader.batch_size_per_card",
)

_MODEL_NAMES: Final = {"det": "PP-OCRv3_mobile_det", "rec": "PP-OCRv3_mobile_rec"}


def read(config: Mapping[str, Any]) -> tuple[Overlay, list[str]]:
    """Take an inline configuration as a recipe.

    Args:
        config: what stands in `run.config`; left as it is.

    Returns:
        The recipe, and notes on the keys that are ignored, with what to use instead.

    Raises:
        SpecError: sections or keys that a run needs are missing, or have another form; names them.
    """
    missing = [name for name in SECTIONS if not isinstance(config.get(name), Mapping)]
    missing += [name for name in _NEEDED if name.split(".")[0] not in missing and _get(config, name) is None]
    if missing:
        raise SpecError(f"run.config lacks {', '.join(missing)}. It must be a whole PaddleOCR configuration.")
    form.check(config, source="run.config")
    result: dict[str, Any] = copy.deepcopy(dict(config))
    notes = [f"{name} in run.config is ignored. {OWNED[name]}" for name in OWNED if _dropped(result, name)]
    if distill.is_distillation(result):
        notes += distill.translated(result)
    task = result["Architecture"]["model_type"]
    label, note = _model_name(result["Global"], task)
    notes += note
    if task == "rec":
        result["Global"].update(character_dict_path="auto", use_space_char=True)
        result["Global"].setdefault("max_text_length", "auto")
        notes += samplers.translate(result)
    return (
        Overlay(
            name="run.config",
            task=task,
            summary="the configuration in the job file",
            model_name=label,
            tolerance=1e-3,
            tuned_batch=int(result["Train"]["loader"]["batch_size_per_card"]),
            config=result,
        ),
        notes,
    )


def _model_name(section: Mapping[str, Any], task: str) -> tuple[str, list[str]]:
    """Return the name that an export gets, and a note if the configuration has another one.

    Newer configurations carry the name by which paddleocr knows the model; fine-tuned ones often a name of their own.
    """
    usual = _MODEL_NAMES.get(task, task)
    given = section.get("model_name") or section.get("pdx_model_name")
    if not given or given in READERS.get(task, ()):
        return given or usual, []
    return usual, [
        f"Global.model_name is {given!r}, and paddleocr reads only models with a name that it knows. It is exported "
        f"as {usual}."
    ]


def _get(config: Mapping[str, Any], name: str) -> Any:
    node: Any = config
    for step in name.split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def _dropped(config: dict[str, Any], name: str) -> bool:
    """Remove a key; return whether it had a value that a user may miss."""
    *path, last = name.split(".")
    section = _get(config, ".".join(path))
    return bool(section.pop(last, None)) if isinstance(section, dict) else False
