"""Distillations: several networks in one configuration, in PaddleOCR's own spelling. Paddle-free.

`Architecture.Models` has the networks and `Loss.loss_config_list` what teaches whom, as in PaddleOCR's
`ch_PP-OCRv3_*_distillation` and `*_cml` files. Beside them `Plain` has what one network is trained with by itself.
How a network is read (`PostProcess`, `Metric`, `Eval`) is plain, too: each is judged and exported as if it were alone.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from typing import Any, Final

from trainer.errors import SpecError
from trainer.run.spec import Distill, nearest

Config = dict[str, Any]

AUTO: Final = "auto"
"""Stands for the networks that a loss is about, when they follow from the networks that there are."""

TEACHER: Final = "Teacher"
"""The network that gets the weights of `run.distill.teacher`."""

_PAIRS: Final = "model_name_pairs"
_LIST: Final = "model_name_list"

SETTINGS: Final[Mapping[str, frozenset[str]]] = {
    "DistillationDMLLoss": frozenset({_PAIRS, "act", "use_log", "key", "multi_head", "dis_head", "maps_name"}),
    "DistillationDistanceLoss": frozenset({_PAIRS, "mode", "key"}),
    "DistillationCTCLoss": frozenset({_LIST, "key", "multi_head", "use_focal_loss"}),
    "DistillationSARLoss": frozenset({_LIST, "key", "multi_head", "ignore_index"}),
    "DistillationDBLoss": frozenset(
        {_LIST, "key", "balance_loss", "main_loss_type", "alpha", "beta", "ohem_ratio", "eps"}
    ),
    "DistillationDilaDBLoss": frozenset(
        {_PAIRS, "key", "balance_loss", "main_loss_type", "alpha", "beta", "ohem_ratio", "eps"}
    ),
}
"""The losses that there are, and the settings that each obeys, beside `weight` and `name`."""

_OF_A_NETWORK: Final = ("freeze_params", "pretrained", "return_all_feats")
"""Keys of a network that say what part it has; without them it is one that stands alone."""


def is_distillation(config: Mapping[str, Any]) -> bool:
    """Whether a configuration has several networks."""
    return isinstance(config["Architecture"].get("Models"), Mapping)


def networks(config: Mapping[str, Any]) -> dict[str, bool]:
    """Return the names of the networks in their order, and whether each is frozen."""
    return {name: bool(model.get("freeze_params")) for name, model in config["Architecture"]["Models"].items()}


def learners(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the networks that learn: those of which one may be published."""
    return [name for name, frozen in networks(config).items() if not frozen]


def plain(config: Mapping[str, Any], network: str) -> Config:
    """Return the configuration of one network by itself, as if it had never had a teacher."""
    result = copy.deepcopy(dict(config))
    own = result.pop("Plain")
    model = config["Architecture"]["Models"][network]
    result["Architecture"] = {key: value for key, value in model.items() if key not in _OF_A_NETWORK}
    result["Global"]["epoch_num"] = own.pop("epoch_num")
    return {**result, **own}


def compose(
    base: Mapping[str, Any],
    models: Mapping[str, Any],
    wanted: Distill,
    *,
    of_recipe: Callable[[str], Mapping[str, Any]],
) -> dict[str, Any]:
    """Make `Architecture.Models` of a recipe's networks and those of `run.distill.networks`.

    Args:
        base: the recipe's own architecture.
        models: the recipe's networks: what differs from `base`, by name; `freeze_params` and the like among it.
        wanted: the job file's part.
        of_recipe: gives the architecture of a built-in recipe.

    Raises:
        SpecError: a network is built as one that does not exist, or as one of another task.
    """
    made: dict[str, dict[str, Any]] = {name: _overlaid(base, parts or {}) for name, parts in models.items()}
    first = next(iter(made.values()))
    kept = {key: value for key, value in first.items() if key == "return_all_feats"}
    for name, like in wanted.networks.items():
        if not name.isidentifier():
            raise SpecError(f"run.distill.networks has {name!r}: a network's name has only letters, digits and _.")
        if like in made:
            built: Mapping[str, Any] = {key: value for key, value in made[like].items() if key not in _OF_A_NETWORK}
        else:
            built = _architecture(name, like, of_recipe, known=[*made, *wanted.networks])
        if built["model_type"] != base["model_type"]:
            raise SpecError(
                f"run.distill.networks.{name} is built as {like!r}, which is for task {built['model_type']!r}. "
                f"Name a recipe of task {base['model_type']!r}."
            )
        frozen = {"freeze_params": True} if made.get(name, {}).get("freeze_params") else {}
        made[name] = {**kept, **frozen, **copy.deepcopy(dict(built))}
    return {
        "name": "DistillationModel",
        "algorithm": "Distillation",
        "model_type": base["model_type"],
        "Models": made,
    }


def _architecture(
    name: str, like: str, of_recipe: Callable[[str], Mapping[str, Any]], *, known: Iterable[str]
) -> Mapping[str, Any]:
    try:
        return of_recipe(like)
    except SpecError as error:
        others = sorted(set(known) - {name})
        raise SpecError(
            f"run.distill.networks.{name} is built as {like!r}, which is neither a network of this run nor a recipe."
            f"{nearest(like, others)} `ocrfleet recipes` lists the recipes."
        ) from error


def _overlaid(base: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a network's own parts over the recipe's architecture; a part with a `name` replaces the whole part."""
    return {**copy.deepcopy(dict(base)), **copy.deepcopy(dict(parts))}


def complete(config: Config) -> None:
    """Fill in the networks of each loss, and check that losses and networks fit together.

    `auto` means each learning network for a loss on one network; for a loss on pairs it means each pair of learning
    networks, and each learning network with each frozen one. If there is a DistillationDilaDBLoss, it alone gets the
    pairs with frozen networks. Distance losses get only pairs with the same backbone, whose features have one shape.

    Raises:
        SpecError: a loss or a setting is unknown, a network is in no loss, or a loss names an undefined network.
    """
    models, own = config["Architecture"]["Models"], learners(config)
    frozen = [name for name in models if name not in own]
    kept, taught, given = [], set(), list(_losses(config))
    shown = [(one, other) for one in own for other in frozen]
    dilates = any(kind == "DistillationDilaDBLoss" for kind, _ in given)
    for kind, settings in given:
        _check_settings(kind, settings)
        if settings.get(_LIST) == AUTO:
            settings[_LIST] = list(own)
        if settings.get(_PAIRS) == AUTO:
            pairs = shown if kind == "DistillationDilaDBLoss" else list(combinations(own, 2)) + shown * (not dilates)
            if "Distance" in kind:
                pairs = [(a, b) for a, b in pairs if models[a].get("Backbone") == models[b].get("Backbone")]
            settings[_PAIRS] = [list(pair) for pair in pairs]
        about = _about(settings)
        for name in about:
            if name not in models:
                raise SpecError(
                    f"Loss.loss_config_list.{kind} names {name!r}, which is not in Architecture.Models."
                    f"{nearest(name, list(models))}"
                )
        taught |= set(about)
        if about:
            kept.append({kind: settings})
    for name in own:
        if name not in taught:
            raise SpecError(
                f"Architecture.Models.{name} learns nothing: no loss names it. Name it in a loss of "
                "Loss.loss_config_list, or remove it."
            )
    for name in frozen:
        if name not in taught:
            raise SpecError(f"Architecture.Models.{name} is frozen, and no loss names it. Remove it.")
    config["Loss"]["loss_config_list"] = kept


def _losses(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in config["Loss"].get("loss_config_list") or []:
        for kind, settings in item.items():
            if kind not in SETTINGS:
                raise SpecError(f"Loss.loss_config_list has the unknown loss {kind!r}.{nearest(kind, list(SETTINGS))}")
            yield kind, dict(settings or {})


def _check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    unknown = sorted(set(settings) - SETTINGS[kind] - {"weight", "name"})
    if unknown:
        raise SpecError(
            f"Loss.loss_config_list.{kind} has the unknown setting {unknown[0]!r}."
            f"{nearest(unknown[0], sorted(SETTINGS[kind]))}"
        )


def _about(settings: Mapping[str, Any]) -> list[str]:
    pairs = settings.get(_PAIRS) or []
    # PaddleOCR takes one pair without a list around it, too.
    flat = pairs if pairs and isinstance(pairs[0], str) else [name for pair in pairs for name in pair]
    return [*flat, *(settings.get(_LIST) or [])]


def check(wanted: Distill, config: Mapping[str, Any]) -> None:
    """Check that `run.distill` fits the networks of the configuration.

    Raises:
        SpecError: `run.distill` is set for a single network, the network to publish does not learn, a frozen teacher
            has no weights, or there are weights for a teacher that does not exist.
    """
    if not is_distillation(config):
        if wanted != Distill():
            raise SpecError(
                "run.distill is set, but the recipe has only one network. Choose a recipe of several networks "
                "(`ocrfleet recipes` lists them), or remove run.distill."
            )
        return
    parts, own = networks(config), learners(config)
    if wanted.publish is not None and wanted.publish not in own:
        raise SpecError(
            f"run.distill.publish is {wanted.publish!r}, but only a network that learns can be published: "
            f"{', '.join(own)}."
        )
    if wanted.teacher and TEACHER not in parts:
        raise SpecError(
            f"run.distill.teacher is set, but no network is called {TEACHER}. The networks are {', '.join(parts)}."
        )
    for name, frozen in parts.items():
        if frozen and not wanted.random_teacher and not (name == TEACHER and wanted.teacher):
            raise SpecError(
                f"Architecture.Models.{name} is frozen and has no weights, so it would teach noise. Name its weights "
                "in run.distill.teacher. To only try out a job file, set run.distill.randomTeacher: true."
            )


def translated(config: Config) -> list[str]:
    """Convert a distillation from PaddleOCR's own format, and return notes on the keys that are ignored."""
    post, metric, notes = config["PostProcess"], config.get("Metric") or {}, []
    decoders = {"DistillationCTCLabelDecode": "CTCLabelDecode", "DistillationDBPostProcess": "DBPostProcess"}
    given = ("model_name", "key", "multi_head")
    config["PostProcess"] = {
        **{key: value for key, value in post.items() if key not in given},
        "name": decoders.get(post.get("name"), post.get("name")),
    }
    config["Metric"] = {key: value for key, value in metric.items() if key not in ("base_metric_name", "key")}
    config["Metric"]["name"] = metric.get("base_metric_name", metric.get("name"))
    for name, model in config["Architecture"]["Models"].items():
        model.setdefault("model_type", config["Architecture"]["model_type"])
        if model.pop("pretrained", None):
            notes.append(
                f"Architecture.Models.{name}.pretrained in run.config is ignored. Set run.distill.teacher or run.init."
            )
    return notes


def plain_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for training one network alone, as far as they follow from the distillation."""
    return {"Loss": _plain_loss(config), "Optimizer": config["Optimizer"], "Train": config["Train"]}


def _plain_loss(config: Mapping[str, Any]) -> dict[str, Any]:
    kinds = dict(_losses(config))
    if config["Architecture"]["model_type"] == "det":
        given = kinds.get("DistillationDBLoss", {})
        return {"name": "DBLoss", **{k: v for k, v in given.items() if k not in (_LIST, "key", "name", "weight")}}
    if "DistillationSARLoss" in kinds:
        return {"name": "MultiLoss", "loss_config_list": [{"CTCLoss": None}, {"SARLoss": None}]}
    return {"name": "CTCLoss"}
