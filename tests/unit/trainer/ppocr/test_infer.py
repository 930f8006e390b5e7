"""The readers and the scores against the code that they must agree with: paddleocr 3.x's and PaddleOCR's own."""

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from trainer.datasets.prepared import Sample
from trainer.errors import DatasetError, SpecError
from trainer.ppocr import settings, tree

pytestmark = [
    pytest.mark.paddle,
    # The imports of paddle and paddlex themselves warn (ccache, requests, swig).
    pytest.mark.filterwarnings("ignore"),
]

CHARACTERS = list("0123456789")
DET: dict[str, Any] = {
    "Architecture": {"model_type": "det"},
    "PostProcess": {"name": "DBPostProcess", "thresh": 0.3, "box_thresh": 0.6, "unclip_ratio": 1.5},
    "Eval": {
        "dataset": {
            "transforms": [
                {"DecodeImage": {"img_mode": "BGR", "channel_first": False}},
                {"DetResizeForTest": None},
                {"NormalizeImage": {"scale": "1./255.", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}},
            ]
        }
    },
}
REC: dict[str, Any] = {
    "Global": {"use_space_char": True},
    "Architecture": {"model_type": "rec"},
    "PostProcess": {"name": "CTCLabelDecode"},
    "Eval": {
        "dataset": {
            "transforms": [
                {"DecodeImage": {"img_mode": "BGR", "channel_first": False}},
                {"RecResizeImg": {"image_shape": [3, 32, 100]}},
            ]
        }
    },
}


def changed(config: dict[str, Any], **transforms: object) -> dict[str, Any]:
    """Copy a configuration with other arguments of its transforms."""
    config = copy.deepcopy(config)
    for transform in config["Eval"]["dataset"]["transforms"]:
        (name,) = transform
        transform[name] = transforms.get(name, transform[name])
    return config


def noise(height: int, width: int) -> Any:
    return np.random.default_rng(height * 10_000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def no_network(batch: Any) -> Any:
    raise AssertionError("this test reads nothing")


def a_network(batch: Any) -> Any:
    """Stand in for a recogniser: a class for every 4 columns, by their brightness, padding included."""
    columns = batch[:, :, :, : batch.shape[3] // 4 * 4].mean((1, 2)).reshape(batch.shape[0], -1, 4).mean(2)
    classes = np.arange(len(CHARACTERS) + 2, dtype=np.float32)
    return np.exp(-np.abs(columns[:, :, None] * 40 + 6 - classes))


@pytest.mark.parametrize(
    "how",
    [
        {"limit_side_len": 736, "limit_type": "min"},
        {"limit_side_len": 960, "limit_type": "max"},
        {"limit_side_len": 640, "limit_type": "resize_long"},
        {"image_shape": [320, 640]},
        {"image_shape": [320, 640], "keep_ratio": True},
    ],
    ids=lambda how: "-".join(map(str, how.values())),
)
@pytest.mark.parametrize("size", [(10, 20), (31, 300), (500, 700), (736, 736), (1234, 777), (60, 1000)])
def test_a_page_goes_into_the_network_as_paddleocr_3_puts_it(how: dict[str, Any], size: tuple[int, int]) -> None:
    """Every value of the tensor is equal, for thumbnails and for pages beyond the limit of 4000 pixels."""
    from paddlex.inference.models.text_detection.processors import DetResizeForTest, NormalizeImage

    from trainer.ppocr.infer import DetReader

    page = noise(*size)
    resized, _ = DetResizeForTest(**how)([page])
    normalize = NormalizeImage(**DET["Eval"]["dataset"]["transforms"][2]["NormalizeImage"], order="hwc")
    theirs = normalize(resized)[0].transpose(2, 0, 1)[None]
    ours = DetReader(changed(DET, DetResizeForTest=how), no_network).tensor(page)
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [[3, 32, 100], [3, 48, 320], [3, 32, 320]], ids=str)
def test_a_line_goes_into_the_network_as_paddleocr_3_puts_it(shape: list[int]) -> None:
    """Every value of the tensor is equal: short lines, long ones, one pixel high, beyond 3200 pixels."""
    from paddlex.inference.models.text_recognition.processors import OCRReisizeNormImg

    from trainer.ppocr.infer import RecReader

    reader = RecReader(changed(REC, RecResizeImg={"image_shape": shape}), CHARACTERS, no_network)
    for height, width in [(1, 1), (1, 500), (20, 61), (32, 100), (33, 101), (48, 320), (57, 1801), (80, 3)]:
        line = noise(height, width)
        assert np.array_equal(reader.tensor(line)[0], OCRReisizeNormImg(rec_image_shape=shape)([line])[0])


def test_boxes_are_those_of_paddleocr_3() -> None:
    """From the same map, no corner is more than a pixel off, and the scores are equal."""
    from paddlex.inference.models.text_detection.processors import DBPostProcess

    from trainer.ppocr.infer import DetReader

    random = np.random.default_rng(1)
    page = np.zeros((1000, 1480, 3), np.uint8)
    maps = np.zeros((736, 1088), np.float32)
    for _ in range(60):
        at, size = (float(random.integers(0, 1088)), float(random.integers(0, 736))), random.integers(6, 120, 2)
        corners = cv2.boxPoints((at, (float(size[0]), float(size[1] / 4)), float(random.integers(-20, 20))))
        cv2.fillPoly(maps, [corners.astype(np.int32)], 0.9)
    maps = cv2.GaussianBlur(maps, (5, 5), 0)
    boxes, scores = DetReader(DET, lambda batch: maps[None, None]).read(page)
    post = DBPostProcess(thresh=0.3, box_thresh=0.6, unclip_ratio=1.5)
    theirs, their_scores = post([maps[None, None]], [np.array([1000, 1480, 0.736, 1088 / 1480])])
    assert len(boxes) > 10
    assert np.abs(boxes - theirs[0]).max() <= 1
    assert scores == their_scores[0]


def test_a_blank_page_has_no_boxes() -> None:
    from trainer.ppocr.infer import DetReader

    boxes, scores = DetReader(DET, lambda batch: np.zeros_like(batch[:, :1])).read(noise(100, 200))
    assert boxes.shape == (0, 4, 2)
    assert scores == []


def test_a_line_is_read_the_same_alone_and_among_others() -> None:
    """Lines of many widths come back in their order, each as it is read alone."""
    from trainer.ppocr.infer import RecReader

    reader = RecReader(REC, CHARACTERS, a_network)
    lines = [noise(height, width) for height, width in [(20, 300), (30, 40), (32, 320), (40, 400), (32, 50)] * 7]
    together = reader.read(lines)
    assert together == [reader.read([line])[0] for line in lines]
    assert len({text for text, _ in together}) > 3


def test_the_space_is_the_last_class_only_when_the_configuration_says_so() -> None:
    from trainer.ppocr.infer import RecReader

    last = np.eye(12, dtype=np.float32)[[[11, 0, 1]]]
    assert RecReader(REC, CHARACTERS, lambda batch: last).read([noise(32, 100)]) == [(" 0", 1.0)]
    without = {**REC, "Global": {"use_space_char": False}}
    with pytest.raises(IndexError):
        RecReader(without, CHARACTERS, lambda batch: last).read([noise(32, 100)])


@pytest.mark.parametrize(
    "content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\n"], ids=["missing", "empty", "text", "cut"]
)
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    from trainer.ppocr.infer import read_image

    path = tmp_path / "page.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"page\.png"):
        read_image(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(DET, DetResizeForTest={"resize_long": 960}), "limit_type: resize_long"),
        (changed(DET, DetResizeForTest={"limit_type": "longest"}), "min or max or resize_long"),
        (changed(DET, DecodeImage={"img_mode": "GRAY"}), "BGR or RGB"),
        ({**DET, "PostProcess": {"name": "EASTPostProcess"}}, "DBPostProcess"),
        ({**DET, "PostProcess": {"name": "DBPostProcess", "box_type": "poly"}}, "box_type"),
        ({**DET, "Eval": {"dataset": {"transforms": []}}}, "has no DetResizeForTest"),
    ],
    ids=["resize_long", "limit_type", "gray", "east", "poly", "nothing"],
)
def test_a_detector_that_users_could_not_read_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        settings.det_settings(config)


@pytest.mark.parametrize("shape", [[], [1, 32, 100], [32, 100]], ids=str)
def test_a_recogniser_that_users_could_not_read_is_refused(shape: list[int]) -> None:
    with pytest.raises(SpecError, match="image_shape"):
        settings.rec_settings(changed(REC, RecResizeImg={"image_shape": shape}))


def page_of_boxes(random: np.random.Generator) -> list[list[list[float]]]:
    centres = random.uniform(50, 450, (14, 2))
    sizes = random.uniform([20, 8], [120, 30], (14, 2))
    return [
        cv2.boxPoints((tuple(at), tuple(size), float(turn))).tolist()
        for at, size, turn in zip(centres, sizes, random.uniform(-15, 15, 14), strict=True)
    ]


def test_pages_are_scored_as_paddleocr_scores_them() -> None:
    """Counts equal its evaluator's, also with ignored lines, self-crossing outlines, and nothing at all."""
    tree.on_path()
    from ppocr.metrics.det_metric import DetMetric

    from trainer.ppocr.scores import score_rows

    random = np.random.default_rng(3)
    rows, metric = [], DetMetric()
    for number in range(25):
        labelled = page_of_boxes(random) if number != 7 else []
        found = (np.array(labelled + page_of_boxes(random)) + random.normal(0, 2)).round().astype(int)
        found = found[random.random(len(found)) < 0.7].tolist() if number != 8 else []
        if labelled:
            labelled[0][1], labelled[0][2] = labelled[0][2], labelled[0][1]
        texts = ["###" if random.random() < 0.2 else "x" for _ in labelled]
        label = [{"points": points, "transcription": text} for points, text in zip(labelled, texts, strict=True)]
        rows.append({"label": label, "boxes": found})
        polygons = [np.array(points, np.float32) for points in labelled]
        metric([{"points": found}], (None, None, [polygons], [[text == "###" for text in texts]]))
    theirs = metric.get_metric()
    assert score_rows(rows, DET) == theirs
    assert 0.1 < theirs["hmean"] < 0.9


@pytest.mark.parametrize("options", [{}, {"ignore_space": False}, {"is_filter": True}], ids=str)
def test_lines_are_scored_as_paddleocr_scores_them(options: dict[str, Any]) -> None:
    tree.on_path()
    from ppocr.metrics.rec_metric import RecMetric

    from trainer.ppocr.scores import score_rows

    pairs = [("12", "12"), ("1 2", "12"), ("1", "2"), ("", "3"), ("a-b", "AB"), ("", "")]
    metric = RecMetric(**options)
    metric(([(text, 1.0) for text, _ in pairs], [(label, 1.0) for _, label in pairs]))
    rows = [{"text": text, "label": label} for text, label in pairs]
    assert score_rows(rows, {**REC, "Metric": {"name": "RecMetric", **options}}) == metric.get_metric()


def test_rows_of_samples_are_in_their_order_and_name_where_they_come_from(tmp_path: Path) -> None:
    """Lines are read by width, and pages one by one; the rows follow the samples, and progress reaches the end."""
    from trainer.ppocr.infer import DetReader, RecReader
    from trainer.ppocr.scores import read_samples

    samples, said = [], []
    for number, width in enumerate((300, 40, 120)):
        path = tmp_path / "crops" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), noise(32, width))
        samples.append(Sample(image=path, label="[]", source=f"rec.txt:{number + 1}", width=width, height=32))
    reader = RecReader(REC, CHARACTERS, a_network)
    rows = read_samples(reader, samples, root=tmp_path, progress=lambda done, total: said.append((done, total)))
    assert [row["image"] for row in rows] == ["crops/0.png", "crops/1.png", "crops/2.png"]
    assert [row["text"] for row in rows] == [reader.read([noise(32, width)])[0][0] for width in (300, 40, 120)]
    assert said[-1] == (3, 3)
    pages = read_samples(DetReader(DET, lambda batch: np.zeros_like(batch[:, :1])), samples, root=tmp_path)
    assert json.loads(json.dumps(pages))[1] == {
        "image": "crops/1.png",
        "source": "rec.txt:2",
        "label": [],
        "boxes": [],
        "scores": [],
        "scale": [928 / 40, 736 / 32],
    }
