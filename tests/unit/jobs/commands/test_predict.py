"""`ocrfleet predict` starts a program that knows Paddle."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.commands import predict


def test_predict_hands_folders_to_a_process_without_credentials(
    published: str, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process that loads Paddle is another program's; here it prints what it was given."""
    (tmp_path / "program").mkdir()
    package = tmp_path / "program" / "stub.py"
    package.write_text("import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)])); sys.exit(41)")
    monkeypatch.setattr(predict, "PROGRAM", (sys.executable, str(package)))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    ran = ocrfleet("predict", "--rec", published, "-o", "json", "--device", "cpu", "--", "-1.png", "b")
    assert ran.code == 41
    words, environment = json.loads(ran.out)
    assert Path(words[words.index("--rec") + 1]).is_relative_to(tmp_path / "cache")
    assert words[-4:] == ["json", "--", "-1.png", "b"]
    assert "--det" not in words
    assert "AWS_SECRET_ACCESS_KEY" not in environment
