"""Build the trainer's image, and the tiny trainer's, on a machine without a container engine.

    python -m tests.cluster.machine.trainer_image CACHE

The base is a small Debian with Python, made here in the place of one from a registry.
"""

import ast
import configparser
import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.machine.images import Image
from tests.cluster.machine.processes import ClusterError, run, say
from tests.tinytrainer.assemble import assemble
from trainer import contract

PACKAGES: Final = {"buildah": "buildah", "debootstrap": "debootstrap", "util-linux": "unshare"}
"""Debian's packages that a build needs, and a program by which each is known to be there."""

_TREE: Final = Path(__file__).parents[3]
_NAME: Final = "localhost/ocrfleet/"
_SUITE: Final = "bookworm"
_INCLUDE: Final = ("ca-certificates", "gcc", "libc6-dev", "libgomp1", "python3", "python3-venv")
_WASTE: Final = ("dev", "var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale")
_BASE: Final = """\
FROM scratch
COPY root /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_DEADLINE: Final = 1200
"""Seconds that a step may take; the longest fetches and unpacks the Python packages."""


def trainer_image(cache: Path) -> Image:
    """Return the image of this tree's Dockerfile, packages and code; one that exists is not built again.

    The archive is `docker save`'s, not compressed, since compressing it takes a minute and importing it then no less.

    Raises:
        ClusterError: a program is missing, or a step failed.
    """
    return _image("trainer", _TREE, cache=cache)


def tiny_trainer_image(cache: Path) -> Image:
    """Return the image of `tests/tinytrainer`, which does all that the trainer's does, without Paddle.

    Raises:
        ClusterError: a program is missing, or a step failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _image("tinytrainer", assemble(Path(folder)), cache=cache)


def _image(name: str, tree: Path, *, cache: Path) -> Image:
    base = f"{_NAME}base:{_digest([_SUITE, *_INCLUDE, *_WASTE, _BASE])}"
    tag = _digest([base, *_context(tree)])
    image = Image(f"{_NAME}{name}:{tag}", cache / "images" / f"{name}-{tag}.tar")
    image.archive.parent.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "buildah.lock"):
        if not image.archive.exists():
            _require_programs()
            for left in cache.glob("build-*"):  # by a build that was killed
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as scratch:
                _build(image, tree, base=base, buildah=_Buildah(storage=cache / "buildah", scratch=Path(scratch)))
    return image


def _context(tree: Path) -> Iterator[str]:
    """Yield path and content of all that an image is made of, as `.dockerignore` lets it through."""
    ignore = tree / ".dockerignore"
    lines = ignore.read_text("utf-8").splitlines() if ignore.exists() else ["!"]
    for allowed in ("Dockerfile", *(line[1:] for line in lines if line.startswith("!"))):
        top = tree / allowed
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so":
                yield f"{path.relative_to(tree)} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one build at a time use the storage; the other then finds the image."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClusterError(f"Another build of an image is at work ({path} is locked).") from error
        yield


def _require_programs() -> None:
    if os.geteuid() != 0:
        raise ClusterError("An image is built of mounts and other users' files: run this as root.")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if missing := [name for name, program in PACKAGES.items() if not shutil.which(program, path=path)]:
        raise ClusterError(f"An image is built with programs that are not here: apt-get install {' '.join(missing)}")


@dataclass(frozen=True, kw_only=True)
class _Buildah:
    """buildah with a storage of its own, in namespaces that take its mounts and processes with them."""

    storage: Path
    scratch: Path

    def __call__(self, verb: str, *arguments: str) -> str:
        storage = [f"--root={self.storage}", f"--runroot={self.scratch / 'run'}", "--storage-driver=overlay"]
        return _contained("buildah", *storage, verb, *arguments, scratch=self.scratch)

    def build(self, context: Path, *options: str) -> None:
        log = self.storage.with_suffix(".log")
        log.write_text("", "utf-8")
        try:
            self("bud", "--isolation=chroot", "--layers", "--pull=never", f"--logfile={log}", *options, str(context))
        except ClusterError as error:
            end = "\n".join(log.read_text("utf-8").splitlines()[-20:])
            raise ClusterError(f"A build failed, in {log}:\n{end}") from error

    def names(self) -> set[str]:
        return set(self("images", "--format={{.Name}}:{{.Tag}}").split()) - {"<none>:<none>"}


def _contained(*command: str, scratch: Path) -> str:
    """Run a program that mounts; its mounts and processes are gone with it, and it is gone with us."""
    ours = ["setpriv", "--pdeathsig=KILL"]
    alone = ["unshare", "--mount", "--propagation=private", "--pid", "--mount-proc", "--kill-child"]
    return run([*ours, *alone, "env", f"TMPDIR={scratch}", *command], deadline=_DEADLINE)


def _build(image: Image, tree: Path, *, base: str, buildah: _Buildah) -> None:
    buildah("rm", "--all")
    known = buildah.names()
    if base not in known:
        with _told(f"making {base}, a Debian {_SUITE} with Python"):
            _make_base(base, buildah=buildah)
    with _told(f"building {image.name}"):
        inside = (f"VERSION={contract.VERSION}", f"CONTRACT={contract.CONTRACT}")
        arguments = [f"--build-arg={each}" for each in (f"BASE={base}", *inside)]
        buildah.build(tree, *_network(buildah.scratch), *arguments, f"--tag={image.name}")
    with _told(f"writing {image.archive}"):
        part = buildah.scratch / "image.tar"
        buildah("push", image.name, f"docker-archive:{part}:{image.name}")
        part.replace(image.archive)
    kind, _, tag = image.archive.stem.rpartition("-")
    for old in image.archive.parent.glob(f"{kind}-{'?' * len(tag)}.tar"):
        if old != image.archive:
            old.unlink()
    ours = tuple(name.rpartition(":")[0] + ":" for name in (base, image.name))
    if outdated := sorted(name for name in known - {base, image.name} if name.startswith(ours)):
        buildah("rmi", *outdated)
    buildah("rmi", "--prune")


def _make_base(name: str, *, buildah: _Buildah) -> None:
    context = buildah.scratch / "base"
    root = context / "root"
    root.mkdir(parents=True)
    include = f"--include={','.join(_INCLUDE)}"
    _contained("debootstrap", "--variant=minbase", include, _SUITE, str(root), scratch=buildah.scratch)
    for waste in _WASTE:
        shutil.rmtree(root / waste)
        (root / waste).mkdir()
    (context / "Dockerfile").write_text(_BASE, "utf-8")
    buildah.build(context, f"--tag={name}")
    shutil.rmtree(context)


def _network(scratch: Path) -> list[str]:
    """Give options with which pip gets through in a build as it does on this machine; none of it is kept."""
    configuration = configparser.RawConfigParser()
    options = []
    for section, name, value in _pip_settings():
        if not configuration.has_section(section):
            configuration.add_section(section)
        configuration.set(section, name, value)
        if name == "find-links":
            folders = [folder for folder in value.split() if Path(folder).is_dir()]
            options += [f"--volume={folder}:{folder}:ro" for folder in folders]
    text = io.StringIO()
    configuration.write(text)
    path = scratch / "pip.conf"
    path.touch(mode=0o600)  # an index may need a password
    path.write_text(text.getvalue(), "utf-8")
    options.append(f"--secret=id=pip.conf,src={path}")
    if _AUTHORITIES.exists():
        options.append(f"--secret=id=ca.crt,src={_AUTHORITIES}")
    return options


def _pip_settings() -> Iterator[tuple[str, str, str]]:
    """Give section, name and value of what pip is told here, the environment last, as it has the last word."""
    lines = run([sys.executable, "-m", "pip", "config", "list"]).splitlines()
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        section, _, option = name.partition(".")
        # The bundle has another place in there, and PIP_CERT names it.
        if option != "cert":
            yield "global" if section == ":env:" else section, option, ast.literal_eval(value)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    say(f"{what} ...")
    begun = time.monotonic()
    yield
    say(f"  {time.monotonic() - begun:.0f} s")


def main() -> int:
    """Build both images; print their names and archives."""
    try:
        for build in (tiny_trainer_image, trainer_image):
            image = build(Path(sys.argv[1]))
            print(image.name, image.archive, flush=True)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
