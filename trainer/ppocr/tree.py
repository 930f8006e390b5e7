"""Where PaddleOCR's training library is: the one place that knows (house rule 9).

Paddle-free, so that a stage may look up a dictionary without loading paddle.
"""

import importlib.util
import os
import sys
from pathlib import Path

from trainer import contract
from trainer.errors import SpecError
from trainer.runspec import nearest


def root() -> Path:
    """Give the folder that holds `ppocr/` and `tools/`.

    Raises:
        SpecError: there is neither a checkout in PADDLEOCR_HOME nor the packaged tree.
    """
    home = os.environ.get(contract.ENV_PADDLEOCR_HOME)
    if home:
        if not (Path(home) / "ppocr").is_dir():
            raise SpecError(
                f"{contract.ENV_PADDLEOCR_HOME} is {home!r}: no folder `ppocr` is in it. "
                "Point it at a checkout of PaddleOCR, or unset it to use the packaged tree."
            )
        return Path(home)
    # find_spec runs nothing of the package, whose own import needs more than training does.
    found = importlib.util.find_spec("unstructured_paddleocr")
    if found is None or found.origin is None:
        raise SpecError(
            "PaddleOCR's training library is not installed. `make setup` installs it; by hand: "
            "pip install --no-deps unstructured-paddleocr==2.10.0, or set PADDLEOCR_HOME to a checkout."
        )
    return Path(found.origin).parent


def on_path() -> Path:
    """Put the tree first on `sys.path`, since it imports itself as `ppocr` and `tools`; give its folder."""
    folder = root()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder


def built_in_dictionary(name: str) -> Path:
    """Find a dictionary of PaddleOCR by its name, such as `en_dict` or `ppocr_keys_v1`.

    Raises:
        SpecError: there is none of that name; the message has the nearest.
    """
    folder = root() / "ppocr" / "utils"
    found = {path.stem: path for path in sorted([*folder.glob("*.txt"), *folder.glob("dict/*.txt")])}
    if name not in found:
        raise SpecError(f"run.data.dictionary {name!r} is not a built-in dictionary.{nearest(name, list(found))}")
    return found[name]
