"""Several networks in one configuration: what a recipe makes of names, and what it refuses. No paddle."""

import copy
from typing import Any

import pytest

from trainer import recipes
from trainer.errors import SpecError
from trainer.recipes import distill
from trainer.run.spec import RunSpec, from_dict

REC, CML, DML = "rec-pp-ocrv3-distill", "det-pp-ocrv3-cml", "det-pp-ocrv3-dml"
RANDOM = {"randomTeacher": True}


def resolve(recipe: str | None, **run: Any) -> dict[str, Any]:
    raw = {"task": (recipe or "rec")[:3], "data": {"train": "s3://a/b"}, "output": "s3://a/c/"}
    chosen = {"recipe": recipe} if recipe else {}
    return recipes.resolve(from_dict(RunSpec, raw | chosen | run, where="run")).config


def losses(config: dict[str, Any]) -> list[tuple[str, Any]]:
    """Each loss with what it is about."""
    return [
        (kind, given.get("model_name_pairs") or given.get("model_name_list"))
        for item in config["Loss"]["loss_config_list"]
        for kind, given in item.items()
    ]


def test_two_recognisers_teach_each_other_as_in_paddleocrs_file() -> None:
    config = resolve(REC)
    assert distill.networks(config) == {"Student": False, "Teacher": False}
    assert config["Architecture"]["Models"]["Student"] == config["Architecture"]["Models"]["Teacher"]
    pair = [["Student", "Teacher"]]
    both = ["Student", "Teacher"]
    assert losses(config) == [
        ("DistillationDMLLoss", pair),
        ("DistillationDMLLoss", pair),
        ("DistillationDistanceLoss", pair),
        ("DistillationCTCLoss", both),
        ("DistillationSARLoss", both),
    ]
    weights = [given["weight"] for item in config["Loss"]["loss_config_list"] for given in item.values()]
    assert weights == [1.0, 0.5, 1.0, 1.0, 1.0]


def test_a_frozen_teacher_shows_two_students_and_they_each_other() -> None:
    config = resolve(CML, distill=RANDOM)
    assert distill.networks(config) == {"Student": False, "Student2": False, "Teacher": True}
    assert losses(config) == [
        ("DistillationDilaDBLoss", [["Student", "Teacher"], ["Student2", "Teacher"]]),
        ("DistillationDMLLoss", [["Student", "Student2"]]),
        ("DistillationDBLoss", ["Student", "Student2"]),
    ]
    backbones = {name: model["Backbone"]["name"] for name, model in config["Architecture"]["Models"].items()}
    assert backbones == {"Student": "MobileNetV3", "Student2": "MobileNetV3", "Teacher": "ResNet_vd"}


def test_losses_follow_a_network_that_is_added_by_name() -> None:
    config = resolve(CML, distill=RANDOM | {"networks": {"Student3": "Student"}})
    learners = ["Student", "Student2", "Student3"]
    assert losses(config) == [
        ("DistillationDilaDBLoss", [[name, "Teacher"] for name in learners]),
        ("DistillationDMLLoss", [["Student", "Student2"], ["Student", "Student3"], ["Student2", "Student3"]]),
        ("DistillationDBLoss", learners),
    ]
    models = config["Architecture"]["Models"]
    assert models["Student3"] == models["Student"]


def test_networks_of_another_architecture_take_the_places_of_the_recipes() -> None:
    config = resolve(DML, distill={"networks": {"Student": "det-pp-ocrv3-student", "Student2": "Student"}})
    models = config["Architecture"]["Models"]
    assert {model["Backbone"]["name"] for model in models.values()} == {"MobileNetV3"}


def test_a_teacher_that_is_frozen_still_teaches() -> None:
    frozen = {"Architecture.Models.Teacher.freeze_params": True}
    config = resolve(REC, distill={"teacher": "channel:teacher"}, overrides=frozen)
    found = losses(config)
    assert found[0] == ("DistillationDMLLoss", [["Student", "Teacher"]])
    assert found[3:] == [("DistillationCTCLoss", ["Student"]), ("DistillationSARLoss", ["Student"])]
    assert distill.learners(config) == ["Student"]


def test_distances_are_taken_between_like_backbones_only() -> None:
    key = "Architecture.Models.Student2.Backbone.scale"
    config = resolve(REC, distill={"networks": {"Student2": "Student"}}, overrides={key: 1.0})
    found = dict(losses(config))
    assert found["DistillationDistanceLoss"] == [["Student", "Teacher"]]
    assert found["DistillationCTCLoss"] == ["Student", "Teacher", "Student2"]


def test_overrides_reach_a_network_a_loss_and_what_trains_one_network_alone() -> None:
    overrides = {
        "Architecture.Models.Teacher.Neck.out_channels": 64,
        "Loss.loss_config_list.DistillationDBLoss.alpha": 3,
        "Optimizer.lr.learning_rate": 0.25,
    }
    config = resolve(CML, distill=RANDOM | {"fineTuneEpochs": 7}, overrides=overrides)
    assert config["Architecture"]["Models"]["Teacher"]["Neck"]["out_channels"] == 64
    assert config["Loss"]["loss_config_list"][2]["DistillationDBLoss"]["alpha"] == 3
    alone = distill.plain(config, "Student2")
    assert alone["Optimizer"]["lr"]["learning_rate"] == config["Optimizer"]["lr"]["learning_rate"] == 0.25
    assert alone["Global"]["epoch_num"] == 7


def test_one_network_of_a_distillation_is_the_plain_recipes() -> None:
    """Its architecture, its loss and its optimizer: what is taken out can be read and trained on by that."""
    for recipe, plain, more in ((REC, "rec-pp-ocrv3", {}), (CML, "det-pp-ocrv3-student", {"distill": RANDOM})):
        alone, wanted = distill.plain(resolve(recipe, **more), "Student"), resolve(plain)
        alone["Global"]["epoch_num"] = wanted["Global"]["epoch_num"]
        assert alone == wanted


@pytest.mark.parametrize(
    ("recipe", "run", "said"),
    [
        pytest.param("rec-crnn-mobile", {"distill": {"publish": "Student"}}, "only one network", id="one network"),
        pytest.param(CML, {}, "Teacher is frozen and has no weights", id="no teacher"),
        pytest.param(DML, {"distill": {"teacher": "channel:a"}}, "no network is called Teacher", id="whose teacher"),
        pytest.param(
            CML, {"distill": RANDOM | {"publish": "Teacher"}}, "only a network that learns", id="publish frozen"
        ),
        pytest.param(REC, {"distill": {"publish": "Studnet"}}, "Student, Teacher", id="publish unknown"),
        pytest.param(REC, {"distill": {"networks": {"Student2": "Studnet"}}}, "Did you mean 'Student'", id="built as"),
        pytest.param(REC, {"distill": {"networks": {"a.b": "Student"}}}, "letters, digits and _", id="name"),
        pytest.param(
            REC, {"distill": {"networks": {"Student2": "det-db-mobile"}}}, "is for task 'det'", id="other task"
        ),
        pytest.param(
            DML,
            {"overrides": {"Loss.loss_config_list.1.DistillationDBLoss.model_name_list": ["Student", "Teachr"]}},
            "'Teachr', which is not in Architecture.Models",
            id="loss names nobody",
        ),
        pytest.param(
            DML,
            {
                "overrides": {
                    "Loss.loss_config_list.0.DistillationDMLLoss.model_name_pairs": [],
                    "Loss.loss_config_list.1.DistillationDBLoss.model_name_list": ["Student"],
                }
            },
            "Student2 learns nothing: no loss names it",
            id="network without a loss",
        ),
        pytest.param(
            CML,
            {
                "distill": RANDOM,
                "overrides": {
                    "Loss.loss_config_list.0.DistillationDilaDBLoss.model_name_pairs": [["Student", "Student2"]]
                },
            },
            "Teacher is frozen, and no loss names it",
            id="teacher without a loss",
        ),
    ],
)
def test_networks_and_losses_that_do_not_belong_together_are_refused(
    recipe: str, run: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError) as caught:
        resolve(recipe, **run)
    assert said in str(caught.value)


def of_paddleocr(recipe: str) -> dict[str, Any]:
    """A distillation as it stands in PaddleOCR's own files, in `run.config`."""
    config = copy.deepcopy(recipes.load(recipe).config)
    learners = distill.learners(config)
    task = config["Architecture"]["model_type"]
    decoder = {"rec": "DistillationCTCLabelDecode", "det": "DistillationDBPostProcess"}[task]
    config["PostProcess"] |= {"name": decoder, "model_name": learners, "key": "head_out"}
    base, metric = config["Metric"]["name"], config["Metric"]
    config["Metric"] = {**metric, "name": "DistillationMetric", "base_metric_name": base, "key": "Student"}
    for model in config["Architecture"]["Models"].values():
        model["pretrained"] = None
    return config


@pytest.mark.parametrize("recipe", [REC, DML])
def test_a_configuration_of_paddleocrs_own_is_the_same_distillation(recipe: str) -> None:
    ours, theirs = resolve(recipe), resolve(None, task=recipe[:3], config=of_paddleocr(recipe))
    for part in ("Architecture", "Loss", "PostProcess", "Metric"):
        assert {k: v for k, v in theirs[part].items() if v} == {k: v for k, v in ours[part].items() if v}, part
    assert theirs["Plain"]["Loss"] == ours["Plain"]["Loss"]


def test_a_loss_that_is_not_ours_is_named() -> None:
    config = of_paddleocr(REC)
    config["Loss"]["loss_config_list"].append({"DistillationNRTRLoss": {"weight": 1.0}})
    with pytest.raises(SpecError, match="DistillationNRTRLoss"):
        resolve(None, task="rec", config=config)
    config["Loss"]["loss_config_list"][-1] = {"DistillationCTCLoss": {"weight": 1.0, "blank": 3}}
    with pytest.raises(SpecError, match="the unknown setting 'blank'"):
        resolve(None, task="rec", config=config)
