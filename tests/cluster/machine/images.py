"""Images of one program each, and how nodes get images."""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.machine.layout import CACHE, NODES, Node
from tests.cluster.machine.node import inside


@dataclass(frozen=True)
class Image:
    """An image, and the archive that it is in."""

    name: str
    """As pods name it; its tag says what is in it."""

    archive: Path


def of_program(program: Path) -> Image:
    """Give the image that has nothing but a static program, made when it is not there yet.

    The archive is in the form of `docker save` (the Docker image specification, v1.2).
    """
    stamp = program.stat()
    tag = hashlib.sha256(f"{program}\0{stamp.st_size}\0{stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    image = Image(f"localhost/ocrfleet/{program.name}:{tag}", CACHE / "images" / f"{program.name}-{tag}.tar")
    if not image.archive.exists():
        image.archive.parent.mkdir(parents=True, exist_ok=True)
        for old in image.archive.parent.glob(f"{program.name}-????????????.tar"):
            old.unlink()
        partial = image.archive.with_suffix(".part")
        _write(partial, program, image.name)
        partial.rename(image.archive)
    return image


def _write(archive: Path, program: Path, name: str) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as content:
        entry = tarfile.TarInfo(program.name)
        entry.size, entry.mode = program.stat().st_size, 0o755
        with program.open("rb") as stream:
            content.addfile(entry, stream)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        content.addfile(folder)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "Env": ["PATH=/"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "tests.cluster"}],
    }
    members = {
        "layer.tar": layer.getvalue(),
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode(),
    }
    with tarfile.open(archive, mode="w") as whole:
        for member, data in members.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            whole.addfile(entry, io.BytesIO(data))


def import_into(node: Node, image: Image) -> None:
    """Give a node an image that it doesn't have yet; an older one of the same name goes.

    Raises:
        ClusterError: containerd refuses it.
    """
    if image.name in _known(node):
        return
    inside(node, "ctr", "--namespace=k8s.io", "images", "import", image.archive, deadline=300)
    known = _known(node)
    repository = image.name.rpartition(":")[0]
    old = {digest for name, digest in known.items() if name.startswith(f"{repository}:")} - {known[image.name]}
    # What pods' sandboxes are made of has to stay while the node lives.
    settings = (node.home / "containerd.toml").read_text("utf-8")
    old -= {digest for name, digest in known.items() if f'"{name}"' in settings}
    # The kubelet's door to containerd names each by its configuration's digest as well: one name left keeps it all.
    if names := [name for name, digest in known.items() if digest in old]:
        inside(node, "ctr", "--namespace=k8s.io", "images", "remove", "--sync", *names, deadline=300)


def _known(node: Node) -> dict[str, str]:
    """Give the images of a node: names and digests."""
    lines = inside(node, "ctr", "--namespace=k8s.io", "images", "list").splitlines()[1:]
    return {name: digest for name, _, digest, *_ in map(str.split, lines)}


def import_everywhere(image: Image) -> None:
    """Give all nodes an image."""
    for node in NODES:
        import_into(node, image)
