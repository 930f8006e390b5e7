"""Progress goes to standard error, and needs the trainer's packages."""

import pytest

from jobs.commands import progress


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    transfer, count = progress.transfer("fetch"), progress.count("read", "images")
    assert transfer
    assert count
    transfer(1500, 3000)
    transfer(3000, 3000)
    count(1, 2)
    count(2, 2)
    assert capsys.readouterr() == (
        "",
        "fetch 1.5 kB of 3.0 kB\nfetch 3.0 kB of 3.0 kB\nread 1/2 images\nread 2/2 images\n",
    )


def test_without_the_trainers_packages_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "Console", None)
    assert progress.transfer("fetch") is None
    assert progress.count("read", "images") is None
