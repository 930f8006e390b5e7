"""How a node begins."""

from pathlib import Path

import pytest

from trainer import __main__ as node
from trainer import contract
from trainer.contract import ExitCode


def test_a_pods_run_file_comes_into_the_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes mounts it read-only elsewhere; a run keeps it with its other files."""
    mounted = tmp_path / "mounted.yaml"
    mounted.write_text("apiVersion: ocrfleet.io/v1\nname: receipts\nrun: {task: det}\n", "utf-8")
    monkeypatch.setenv(contract.ENV_RUN_FILE, str(mounted))
    monkeypatch.setenv(contract.ENV_CONTRACT, str(contract.CONTRACT))
    monkeypatch.setenv(contract.ENV_RUN_ID, "receipts-00000001")
    monkeypatch.setattr("sys.argv", ["trainer", "--workdir", str(tmp_path / "work")])
    assert node.main() == ExitCode.SPEC  # it has no output, which only who has read it can know
    assert (tmp_path / "work" / "run.yaml").read_bytes() == mounted.read_bytes()
