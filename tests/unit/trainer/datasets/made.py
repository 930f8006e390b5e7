"""Datasets for tests, from a few words."""

import json
from pathlib import Path

BOX = [[1, 1], [9, 1], [9, 5], [1, 5]]


def regions(*texts: str) -> str:
    return json.dumps([{"transcription": text, "points": BOX, "difficult": False} for text in texts])


def dataset(root: Path, files: dict[str, str | bytes], *images: str) -> Path:
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).write_bytes(b"an image, as far as labels know")
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root
