"""Write the list of what PaddlePaddle for NVIDIA's GPUs needs beyond the lock: exact versions with hashes.

    python gpu.py 12.6 --index URL --wheels DIR

All of it is downloaded, a few GB, and the hashes are those of the files. The folder is then a wheelhouse for builds
without a network. Needs the packages pip and packaging.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name, parse_wheel_filename

_HERE: Final = Path(__file__).parent
_PACKAGE: Final = "paddlepaddle-gpu"
_OTHER: Final = "paddlepaddle"
"""The package for CPUs. Both write into the folder `paddle`, so that only one of them may be installed."""

_PLATFORMS: Final = (
    "linux_x86_64",
    "manylinux1_x86_64",
    "manylinux2010_x86_64",
    "manylinux2014_x86_64",
    *(f"manylinux_2_{minor}_x86_64" for minor in range(5, 37)),
)
"""What runs on Debian 12, the base of the image. There is no PaddlePaddle for GPUs and arm64."""


def wanted(pyproject: Path) -> str:
    """Return the requirement for PaddlePaddle of the extra `gpu`."""
    extra = tomllib.loads(pyproject.read_text("utf-8"))["project"]["optional-dependencies"]["gpu"]
    return next(line for line in extra if line.startswith(f"{_PACKAGE}=="))


def pins(lock: Path) -> dict[str, str]:
    """Return the pinned versions of a list by canonical names."""
    found = re.findall(r"^([\w.-]+)==([^ \n]+)", lock.read_text("utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def download(requirement: str, into: Path, *, index: str, python: str, locked: dict[str, str]) -> None:
    """Download a package for the image with all of its dependencies, where pinned in that version.

    Raises:
        subprocess.CalledProcessError: pip did not find a set of packages; it has said why.
    """
    words = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--dest", str(into)]
    words += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    words += [f"--platform={platform}" for platform in _PLATFORMS]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as constraints:
        constraints.writelines(f"{name}=={version}\n" for name, version in locked.items() if name != _OTHER)
        constraints.flush()
        subprocess.run([*words, "--extra-index-url", index, "--constraint", constraints.name, requirement], check=True)


def entries(wheels: Path, *, locked: dict[str, str]) -> Iterator[str]:
    """Yield a line with hashes for each wheel that the lock does not have.

    Raises:
        ValueError: PaddlePaddle for CPUs is among them.
    """
    for path in sorted(wheels.iterdir()):
        name, version, _, _ = parse_wheel_filename(path.name)
        if name == _OTHER:
            raise ValueError(f"{_PACKAGE} and {_OTHER} cannot be installed together, but {path.name} is needed.")
        if name not in locked:
            with path.open("rb") as file:
                yield f"{name}=={version} \\\n    --hash=sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}\n"


def main(arguments: argparse.Namespace) -> int:
    """Write the list; return pip's exit code if it found no packages."""
    target, wheels = Path(arguments.list), Path(arguments.wheels)
    locked, requirement = pins(_HERE / "lock.txt"), wanted(_HERE.parent / "pyproject.toml")
    wheels.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wheels-", dir=wheels.parent) as folder:
        new = Path(folder, "wheels")
        try:
            download(requirement, new, index=arguments.index, python=arguments.python, locked=locked)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{target} is not written: pip did not get {requirement} from {arguments.index}.\n")
            return error.returncode
        text = "".join(entries(new, locked=locked))
        shutil.rmtree(wheels, ignore_errors=True)
        new.replace(wheels)
    head = f"# PaddlePaddle for CUDA {arguments.cuda}, and what it needs beyond lock.txt: for Linux, x86_64 and Python "
    about = f"{head}{arguments.python}.\n# Written by `make lock-gpu CUDA={arguments.cuda}`.\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    new_list = target.with_suffix(".new")
    new_list.write_text(about + text, "utf-8")
    new_list.replace(target)
    sys.stderr.write(f"{target} is written: commit it. The packages are in {wheels}.\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="gpu.py")
    parser.add_argument("cuda", help="such as 12.6")
    parser.add_argument("--list", required=True, help="the list to write")
    parser.add_argument("--index", required=True, help="PaddlePaddle's package index for this CUDA")
    parser.add_argument("--wheels", required=True, help="where the packages are put")
    parser.add_argument("--python", default="3.11", help="version of the image's Python (default: %(default)s)")
    sys.exit(main(parser.parse_args()))
