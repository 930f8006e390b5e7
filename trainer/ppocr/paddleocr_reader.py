"""paddleocr 3.x as users of a published model run it; the one module that imports it.

Always offline: the models are folders on disk, and looking for a download source is switched off. It gets pixels and no
files: by a file's name it would choose among decoders of its own, for PDFs and TIFFs too, and leave WebP unturned.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from trainer.ppocr import infer, settings
from trainer.ppocr.settings import Config
from trainer.system.cpu import cores


class Users:
    """One exported model in paddleocr's hands."""

    def __init__(self, inference_dir: Path, config: Config, *, device: str) -> None:
        """Load a model with `TextDetection` or `TextRecognition`.

        Args:
            inference_dir: the exported model.
            config: the configuration whose values for reading are passed along, since paddleocr's
                defaults are others.
            device: `cpu` or `gpu`.
        """
        paddleocr = _paddleocr()
        self.version = str(paddleocr.__version__)
        self._det = config["Architecture"]["model_type"] == "det"
        made = paddleocr.TextDetection if self._det else paddleocr.TextRecognition
        self._model = made(
            model_name=_name(inference_dir),
            model_dir=str(inference_dir),
            device=device,
            enable_mkldnn=False,
            cpu_threads=_threads(),
            **(_det_values(config) if self._det else {}),
        )

    def read(self, image: Path) -> dict[str, Any]:
        """Read an image: `boxes` and `scores`, or `text` and `score`."""
        (result,) = self._model.predict(infer.read_image(image), batch_size=1)
        if self._det:
            return {
                "boxes": [box.tolist() for box in result["dt_polys"]],
                "scores": [float(score) for score in result["dt_scores"]],
            }
        return {"text": str(result["rec_text"]), "score": float(result["rec_score"])}

    @staticmethod
    def read_with_pair(det: Path, rec: Path, image: Path, *, device: str) -> int:
        """Read an image with a detector and a recogniser; return the number of lines."""
        pair = _paddleocr().PaddleOCR(
            text_detection_model_name=_name(det),
            text_detection_model_dir=str(det),
            text_recognition_model_name=_name(rec),
            text_recognition_model_dir=str(rec),
            # Each of these would want one more model, from the network.
            use_doc_orientation_classify=False,
            use_doc_unwarping=False,
            use_textline_orientation=False,
            # Low enough that a stand-in with random weights finds something to read.
            text_det_thresh=0.01,
            text_det_box_thresh=0.01,
            device=device,
            enable_mkldnn=False,
            cpu_threads=_threads(),
        )
        (result,) = pair.predict(infer.read_image(image))
        return len(result["rec_texts"])


def _paddleocr() -> Any:
    os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
    # paddlex keeps a cache under the home folder, which a pod may not have.
    os.environ.setdefault("PADDLE_PDX_CACHE_HOME", str(Path(tempfile.gettempdir()) / "ocrfleet-paddlex"))
    import paddleocr

    return paddleocr


def _name(inference_dir: Path) -> str:
    """Return the name in the export; paddleocr refuses any other."""
    return str(settings.parse(inference_dir / "inference.yml")["Global"]["model_name"])


def _det_values(config: Config) -> dict[str, Any]:
    how = settings.det_settings(config)
    values = {"thresh": how.thresh, "box_thresh": how.box_thresh, "unclip_ratio": how.unclip_ratio}
    if how.image_shape is not None:
        return values
    return {"limit_side_len": how.limit_side_len, "limit_type": how.limit_type, **values}


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or cores())
