"""What `python -m trainer --prove-access` finds, on folders; tests/e2e and tests/cluster have a real bucket."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer import __main__ as node
from trainer import contract
from trainer.contract import ExitCode
from trainer.formats.yaml import to_yaml
from trainer.storage.files import FileStore


@pytest.fixture
def prove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the proof of a job with one page, changed as asked; gives the exit code and what was said."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "Label.txt").write_text("a.jpg\t[]\n", "utf-8")

    def run(*, version: str = contract.API_VERSION, **changes: Any) -> tuple[int, str]:
        data = {"train": f"file://{tmp_path}/data/", **changes.pop("data", {})}
        given = {"task": "rec", "recipe": "rec-crnn-mobile", "data": data, "output": f"file://{tmp_path}/out/"}
        file = tmp_path / "run.yaml"
        file.write_text(to_yaml({"apiVersion": version, "name": "lines", "run": {**given, **changes}}), "utf-8")
        monkeypatch.setenv(contract.ENV_CONTRACT, str(contract.CONTRACT))
        monkeypatch.setenv(contract.ENV_RUN_FILE, str(file))
        monkeypatch.setattr("sys.argv", ["trainer", "--prove-access"])
        return node.main(), capsys.readouterr().err

    return run


def test_what_can_be_reached_is_said_and_nothing_is_left_behind(prove: Callable[..., Any], tmp_path: Path) -> None:
    code, said = prove()
    assert (code, said.count("\n")) == (ExitCode.DONE, 3)
    assert f"run.data.train: file://{tmp_path}/data/ can be listed and read." in said
    assert "is writable and supports the conditional writes that channels need." in said
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert left in ([], [".ocrfleet-lock"])


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"version": "ocrfleet.io/v9"}, ExitCode.SPEC, "apiVersion is 'ocrfleet.io/v9', but this trainer reads"),
        ({"data": {"eval": "file:///nowhere/at/all/"}}, ExitCode.DATASET, "run.data.eval is 'file:///nowhere/at/all/'"),
        (
            {"data": {"dictionary": "file:///no/dict.txt"}},
            ExitCode.SPEC,
            "run.data.dictionary is 'file:///no/dict.txt'",
        ),
        (
            {"distill": {"teacher": "channel:production"}},
            ExitCode.SPEC,
            "run.distill.teacher is 'channel:production', but file://",
        ),
        ({"output": "gs://bucket/"}, ExitCode.SPEC, "run.output is 'gs://bucket/'"),
    ],
    ids=["another version", "no dataset", "no dictionary", "no channel", "another cloud"],
)
def test_what_cannot_be_is_one_sentence_and_its_exit_code(
    prove: Callable[..., Any], changes: dict[str, Any], code: ExitCode, sentence: str
) -> None:
    ended, said = prove(**changes)
    assert ended == code
    assert sentence in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_channel_is_refused_where_two_writers_could_both_win(
    prove: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FileStore.put
    monkeypatch.setattr(FileStore, "put", lambda self, key, data, **_: put(self, key, data))
    assert prove()[0] == ExitCode.DONE
    assert prove(publish={"promote": "candidate"})[0] == ExitCode.SPEC
