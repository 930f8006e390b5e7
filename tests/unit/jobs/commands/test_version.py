"""`ocrfleet version`."""

import json
from collections.abc import Callable
from typing import Any


def test_version(ocrfleet: Callable[..., Any]) -> None:
    assert ocrfleet("version").out.count(".") == 2
    assert "ocrfleet" in json.loads(ocrfleet("version", "-o", "json").out)
