"""Export and verify with real paddle and real paddleocr 3.x, on networks whose weights are random but settled."""

import copy
import dataclasses
import json
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from trainer.datasets.prepared import Sample
from trainer.errors import GateError, OcrfleetError, SpecError
from trainer.weights import arrays

pytestmark = [
    pytest.mark.paddle,
    pytest.mark.timeout(120),
    # The imports of paddle and paddlex themselves warn.
    pytest.mark.filterwarnings("ignore"),
]


@dataclass(frozen=True)
class Run:
    """What stands on disk after the evaluate and export stages."""

    config: dict[str, Any]
    weights: Path
    inference: Path
    samples: list[Sample]
    rows: list[dict[str, Any]]
    metrics: dict[str, float]


def settled(config: dict[str, Any], samples: list[Sample], *, last: str, gain: float) -> Any:
    """Build a network whose BatchNorm has seen the samples, and whose last layer tells them apart."""
    import paddle

    from trainer.ppocr import build, infer

    paddle.seed(7)
    model = build.build_model(config)
    reader: Any = infer.DetReader if config["Architecture"]["model_type"] == "det" else infer.RecReader
    reader = reader(config, *([] if reader is infer.DetReader else [list("0123456789")]), None)
    tensors = [paddle.to_tensor(reader.tensor(infer.read_image(sample.image))) for sample in samples[:5]]
    model.train()
    with paddle.no_grad():
        for _ in range(6):
            for tensor in tensors:
                model(tensor)
        weight = dict(model.named_parameters())[last]
        weight.set_value(weight * gain)
    return model


def finish(config: dict[str, Any], model: Any, samples: list[Sample], root: Path) -> Run:
    """Save, evaluate and export, as the stages before verify do."""
    from trainer.ppocr import export, infer, scores, state

    weights, inference = root / "model.safetensors", root / "inference"
    state.write_weights(state.weights(model), weights)
    det = config["Architecture"]["model_type"] == "det"
    forward = infer.layer_forward(model)
    reader = infer.DetReader(config, forward) if det else infer.RecReader(config, list("0123456789"), forward)
    rows = json.loads(json.dumps(scores.read_samples(reader, samples, root=root)))
    export.export(config, weights, inference, f"PP-OCRv3_mobile_{'det' if det else 'rec'}")
    return Run(config, weights, inference, samples, rows, scores.score_rows(rows, config))


def picture(path: Path, *, width: int, height: int, text: str) -> None:
    image = np.full((height, width, 3), 240, np.uint8)
    for place, part in enumerate(text.split("|")):
        cv2.putText(image, part, (8, 28 + 40 * place), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (30, 20, 10), 2)
    cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def det(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A detector that finds something everywhere: thresholds at the middle of what it puts out."""
    from trainer.ppocr import infer, standin_model

    root = tmp_path_factory.mktemp("det")
    config = copy.deepcopy(standin_model.DET)
    samples = []
    for number in range(5):
        path = root / f"page-{number}.{'tif' if number == 4 else 'png'}"
        picture(path, width=300 + 70 * number, height=260, text="total 12.50|thank you|8899")
        label = [{"transcription": "total", "points": [[8, 5], [180, 5], [180, 35], [8, 35]]}]
        samples.append(
            Sample(image=path, label=json.dumps(label), source=f"Label.txt:{number + 1}", width=300, height=260)
        )
    model = settled(config, samples, last="head.binarize.conv3.weight", gain=4.0)
    page = infer.DetReader(config, infer.layer_forward(model))
    middle = float(np.median(page.forward(page.tensor(infer.read_image(samples[0].image)))))
    config["PostProcess"].update(thresh=middle, box_thresh=middle)
    return finish(config, model, samples, root)


@pytest.fixture(scope="module")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from trainer.ppocr import standin_model

    root = tmp_path_factory.mktemp("rec")
    dictionary = root / "dictionary.txt"
    dictionary.write_text("\n".join("0123456789") + "\n", "utf-8")
    config = copy.deepcopy(standin_model.REC)
    config["Global"] = {"character_dict_path": str(dictionary), "use_space_char": True}
    samples = []
    for number in range(24):
        path, text = root / f"line-{number}.png", str(7919 * (number + 3) ** (number % 4 + 1))
        picture(path, width=20 + 17 * len(text), height=40, text=text)
        samples.append(Sample(image=path, label=text, source=f"rec.txt:{number + 1}", width=20, height=40))
    model = settled(config, samples, last="head.fc.weight", gain=30.0)
    return finish(config, model, samples, root)


def verify(run: Run, out: Path, **changes: Any) -> dict[str, Any]:
    from trainer.ppocr import verify as room

    comparison = room.Comparison(
        config=run.config,
        weights=run.weights,
        inference_dir=run.inference,
        samples=run.samples,
        rows=run.rows,
        metrics=run.metrics,
        tolerance=1e-5,
    )
    return room.verify(dataclasses.replace(comparison, **changes), out=out)


def test_an_exported_detector_is_what_was_trained(det: Run, tmp_path: Path) -> None:
    """Outputs, every box through paddleocr, the metric, and a pair with a stand-in; the facts are on disk."""
    out, said = tmp_path / "verification" / "verification.json", []
    facts = verify(det, out, progress=lambda done, total: said.append((done, total)))
    assert sum(len(row["boxes"]) for row in det.rows) > 20
    assert facts["outputs"]["samples"] == facts["paddleocr"]["boxes_equal"] == 5
    assert facts["outputs"]["max_difference"] <= 1e-5
    assert facts["paddleocr"]["metric"] == pytest.approx(det.metrics, abs=1e-3)
    assert facts["pair"] == "loaded"
    assert json.loads(out.read_text("utf-8")) == facts
    assert said[-1] == (10, 10)


def test_an_exported_recogniser_is_what_was_trained(rec: Run, tmp_path: Path) -> None:
    """Outputs, every text through paddleocr, the metric, and a pair with a stand-in."""
    facts = verify(rec, tmp_path / "verification.json")
    assert len({row["text"] for row in rec.rows}) > 5
    assert facts["outputs"]["samples"] == facts["paddleocr"]["texts_equal"] == 24
    assert facts["paddleocr"]["metric"] == pytest.approx(rec.metrics, abs=1e-3)
    assert facts["pair"] == "loaded"


def test_an_export_of_other_weights_is_refused_by_name_and_number(rec: Run, tmp_path: Path) -> None:
    from trainer.ppocr import export

    state = arrays.read(rec.weights)
    state["head.fc.bias"] = state["head.fc.bias"] + np.linspace(0.0, 0.5, 12, dtype=np.float32)
    arrays.write(tmp_path / "other.safetensors", state)
    export.export(rec.config, tmp_path / "other.safetensors", tmp_path / "inference", "PP-OCRv3_mobile_rec")
    out = tmp_path / "verification.json"
    with pytest.raises(GateError, match=r"line-0\.png: an output .* differs .*, but the recipe allows 1e-05"):
        verify(rec, out, inference_dir=tmp_path / "inference")
    assert not out.exists()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda yml: yml["PostProcess"]["character_dict"].reverse(),
            r"line-\d+\.png: the exported model reads '.*', the trained model",
        ),
        (lambda yml: yml["PostProcess"].update(name="SARLabelDecode"), "the exported model with paddleocr failed"),
    ],
    ids=["another dictionary", "another decoder"],
)
def test_a_recogniser_that_users_would_read_otherwise_is_refused(
    rec: Run, tmp_path: Path, edit: Any, message: str
) -> None:
    """The network is right, yet its inference.yml is not: only reading as users do shows that."""
    with pytest.raises(GateError, match=message):
        verify(rec, tmp_path / "verification.json", inference_dir=edited(rec, tmp_path, edit))


def test_a_detector_that_users_would_read_otherwise_is_refused(det: Run, tmp_path: Path) -> None:
    def edit(yml: dict[str, Any]) -> None:
        yml["PreProcess"]["transform_ops"][3]["NormalizeImage"]["mean"] = [0.2, 0.2, 0.2]

    with pytest.raises(GateError, match=r"page-\d\.\w+: (the exported model finds \d+ boxes|box \d+ differs)"):
        verify(det, tmp_path / "verification.json", inference_dir=edited(det, tmp_path, edit))


def edited(run: Run, folder: Path, edit: Any) -> Path:
    """Copy an export with another inference.yml."""
    copied = folder / "inference"
    copied.mkdir()
    for file in run.inference.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    yml = yaml.safe_load((copied / "inference.yml").read_text("utf-8"))
    edit(yml)
    (copied / "inference.yml").write_text(yaml.safe_dump(yml), "utf-8")
    return copied


def test_an_evaluation_of_another_split_is_refused(rec: Run, tmp_path: Path) -> None:
    """Rows that are not of these samples, and metrics that are not of these rows, verify nothing."""
    with pytest.raises(GateError, match="There are 23 predictions for 24 samples"):
        verify(rec, tmp_path / "verification.json", rows=rec.rows[1:])
    with pytest.raises(GateError, match=r"acc of predictions\.jsonl"):
        verify(rec, tmp_path / "verification.json", metrics={"acc": 0.9})


def test_an_export_is_whole_or_not_there(rec: Run, det: Run, tmp_path: Path) -> None:
    """Weights of another network leave what was there before, and nothing half made beside it."""
    from trainer.ppocr import export

    out = tmp_path / "inference"
    out.mkdir()
    (out / "inference.yml").write_text("the former one", "utf-8")
    with pytest.raises(SpecError, match="is not of this network"):
        export.export(rec.config, det.weights, out, "PP-OCRv3_mobile_rec")
    assert [path.name for path in tmp_path.rglob("*")] == ["inference", "inference.yml"]
    export.export(rec.config, rec.weights, out, "PP-OCRv3_mobile_rec")
    assert sorted(path.name for path in out.iterdir()) == sorted(export.FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["inference"]


def test_the_names_that_an_export_may_have_are_those_that_paddleocr_knows() -> None:
    from paddlex.modules.text_detection import model_list as det
    from paddlex.modules.text_recognition import model_list as rec

    from trainer.recipes.known import READERS

    # Seals have detectors of their own, whose boxes are polygons.
    assert {"det": {*det.MODELS} - {*det.CURVE_MODELS}, "rec": {*rec.MODELS}} == READERS


def _constants() -> Any:
    """A network with what is neither a parameter nor in its state: an LSTM's dropout, and a mask made in `forward`."""
    import paddle

    class Network(paddle.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = paddle.nn.LSTM(3, 4, direction="bidirectional", num_layers=2)
            self.mask = paddle.to_tensor([1.0, 2.0, 3.0])

        def forward(self, x: Any) -> Any:
            lines = (x.mean(axis=2).transpose([0, 2, 1]) + self.mask) * paddle.to_tensor([5.0, 6.0, 7.0])
            return self.lstm(lines)[0]

    return Network()


def test_constants_beside_the_networks_state_are_no_damage(rec: Run, tmp_path: Path) -> None:
    from trainer.ppocr import export

    export.export_layer(_constants(), rec.config, tmp_path / "out", model_name="PP-OCRv3_mobile_rec")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(export.FILES)


@pytest.mark.parametrize("full", [False, True])
def test_a_file_that_is_not_what_was_written_is_a_full_disk_only_if_there_is_no_room(
    rec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    import paddle

    from trainer.ppocr import export

    save = paddle.jit.save

    def cut(network: Any, path: str) -> None:
        """As paddle's streams do, without a word."""
        save(network, path)
        size = Path(f"{path}.pdiparams").stat().st_size
        os.truncate(f"{path}.pdiparams", size // 2)
        if full:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))

    monkeypatch.setattr(paddle.jit, "save", cut)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError if full else OcrfleetError) as raised:
            export.export_layer(_constants(), rec.config, tmp_path / "out", model_name="PP-OCRv3_mobile_rec")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert isinstance(raised.value, OSError) == full
    assert "it cannot be read back" in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_recogniser_without_the_space_is_refused(rec: Run, tmp_path: Path) -> None:
    from trainer.ppocr import export

    config = {**rec.config, "Global": {**rec.config["Global"], "use_space_char": False}}
    with pytest.raises(SpecError, match="use_space_char is false"):
        export.describe(config, "PP-OCRv3_mobile_rec")


def test_inference_yml_says_everything_that_reading_needs(det: Run, rec: Run) -> None:
    """What is read back from an export is how the run read; odd characters of a dictionary survive."""
    from trainer.ppocr import infer, settings

    read = infer.exported_config(det.inference)
    assert settings.det_settings(read) == settings.det_settings(det.config)
    assert settings.rec_settings(infer.exported_config(rec.inference)) == settings.rec_settings(rec.config)
    assert infer.exported_config(rec.inference)["Global"]["character_dict"] == list("0123456789")


@pytest.mark.parametrize(("count", "most", "chosen"), [(3, 5, [0, 1, 2]), (10, 5, [0, 2, 4, 6, 8]), (7, 3, [0, 2, 4])])
def test_the_samples_looked_at_are_spread_evenly(count: int, most: int, chosen: list[int]) -> None:
    from trainer.ppocr.verify import evenly

    assert evenly(count, most) == chosen


def both(config: dict[str, Any], folder: Path, *, name: str) -> tuple[Any, Any]:
    """Return what a new network reads as it is, and what its export in the folder reads."""
    import paddle

    from trainer.ppocr import build, export, infer, state

    paddle.seed(3)
    model = build.build_model(config)
    weights, inference = folder / "model.safetensors", folder / "inference"
    state.write_weights(state.weights(model), weights)
    export.export(config, weights, inference, name)
    return infer.layer_forward(model), infer.predictor_forward(inference)


def test_of_many_heads_one_is_exported_and_branches_become_one(rec: Run, tmp_path: Path) -> None:
    """PP-OCRv4's recogniser: the SAR guide stays behind, PPLCNetV3's branches are merged, lines may be of any width."""
    config = copy.deepcopy(rec.config)
    config["Architecture"].update(
        algorithm="SVTR_LCNet",
        Backbone={"name": "PPLCNetV3", "scale": 0.35},
        Neck=None,
        Head={
            "name": "MultiHead",
            "head_list": [
                {"CTCHead": {"Neck": {"name": "svtr", "dims": 16, "depth": 1, "hidden_dims": 16}, "Head": {}}},
                {"SARHead": {"enc_dim": 16, "max_text_length": 8}},
            ],
        },
    )
    config["Loss"] = {"name": "MultiLoss", "loss_config_list": [{"CTCLoss": None}, {"SARLoss": None}]}
    config["Eval"]["dataset"]["transforms"][1]["RecResizeImg"]["image_shape"] = [3, 48, 320]
    trained, exported = both(config, tmp_path, name="PP-OCRv4_mobile_rec")
    for width in (320, 523):
        lines = np.random.default_rng(width).normal(0, 0.5, (2, 3, 48, width)).astype(np.float32)
        assert exported(lines).shape == trained(lines).shape == (2, exported(lines).shape[1], 12)
        assert np.abs(exported(lines) - trained(lines)).max() < 1e-4
    assert (tmp_path / "inference" / "inference.pdiparams").stat().st_size < (
        tmp_path / "model.safetensors"
    ).stat().st_size


def test_svtr_with_local_mixers_is_exported_as_it_is(rec: Run, tmp_path: Path) -> None:
    """Its masks of the neighbourhood are constants beside its parameters."""
    config = copy.deepcopy(rec.config)
    height, width = 32, 96
    config["Architecture"].update(
        algorithm="SVTR",
        Backbone={
            "name": "SVTRNet",
            "img_size": [height, width],
            "embed_dim": [16, 16, 16],
            "depth": [2, 2, 2],
            "num_heads": [2, 2, 2],
            "mixer": ["Local"] * 3 + ["Global"] * 3,
            "local_mixer": [[5, 5]] * 3,
            "out_channels": 16,
            "out_char_num": width // 4,
            "last_stage": True,
            "prenorm": False,
        },
        Neck={"name": "SequenceEncoder", "encoder_type": "reshape"},
        Head={"name": "CTCHead"},
    )
    config["Eval"]["dataset"]["transforms"][1]["RecResizeImg"]["image_shape"] = [3, height, width]
    trained, exported = both(config, tmp_path, name="PP-OCRv3_mobile_rec")
    lines = np.random.default_rng(1).normal(0, 0.5, (2, 3, height, width)).astype(np.float32)
    assert np.abs(exported(lines) - trained(lines)).max() < 1e-4
