"""What the tests of storage have in common."""

from pathlib import Path


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _file(folder: Path, data: bytes) -> Path:
    path = folder / f"file-{len(data)}"
    path.write_bytes(data)
    return path
