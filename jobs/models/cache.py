"""Where commands keep what they fetch: datasets that `check` reads, models that `predict` reads."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ENV_CACHE: Final = "OCRFLEET_CACHE"


@dataclass(frozen=True)
class Cache:
    """A folder that may be removed at any time: everything in it can be fetched again."""

    root: Path

    def data(self, uri: str) -> Path:
        """The folder of a dataset."""
        return self.root / "data" / _name(uri)

    def file(self, uri: str) -> Path:
        """The folder of a single file, such as a dictionary."""
        return self.root / "files" / _name(uri)

    def model(self, output: str, run: str) -> Path:
        """The folder of a published model; what is published never changes."""
        return self.root / "models" / _name(output) / run

    @classmethod
    def choose(cls, given: Path | None, environ: Mapping[str, str] = os.environ) -> "Cache":
        """Take the folder given, else $OCRFLEET_CACHE, else the user's cache folder."""
        base = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls((given or Path(environ.get(ENV_CACHE) or base / "ocrfleet")).absolute())


def _name(uri: str) -> str:
    return hashlib.sha256(uri.rstrip("/").encode()).hexdigest()[:16]
