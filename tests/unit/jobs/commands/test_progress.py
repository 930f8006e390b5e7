"""Progress goes to standard error, and needs the trainer's packages."""

import pytest

from jobs.commands import progress


def test_progress_is_no_part_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    transfer, count = progress.transfer("fetch"), progress.count("read", "images")
    assert transfer
    assert count
    transfer(5, 5)
    count(3, 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "fetch" in err
    assert "3/3 images" in err


def test_without_the_trainers_packages_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "Progress", None)
    assert progress.transfer("fetch") is None
    assert progress.count("read", "images") is None
