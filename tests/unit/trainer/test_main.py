"""How a node begins."""

from pathlib import Path

import pytest

from trainer import __main__ as node
from trainer import contract
from trainer.contract import ExitCode
from trainer.telemetry import lines


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


@pytest.fixture
def last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which Kubernetes looks for why a container ended, as the kubelet makes it."""
    file = tmp_path / "termination-log"
    file.write_text("")
    monkeypatch.setattr(contract, "TERMINATION_LOG", str(file))
    monkeypatch.setenv(contract.ENV_CONTRACT, str(contract.CONTRACT))
    monkeypatch.setattr("sys.argv", ["trainer", "--workdir", str(tmp_path / "work")])
    return file


@pytest.mark.parametrize("form", ["text", "json"])
def test_why_a_node_failed_is_the_last_line_of_its_log_and_what_kubernetes_keeps(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    monkeypatch.setenv(contract.ENV_LOG_FORMAT, form)
    monkeypatch.setenv(contract.ENV_CONTRACT, "0")
    assert node.main() == ExitCode.SPEC
    line = lines.read(capfd.readouterr().err.splitlines()[-1])
    assert line.message.startswith("error: This trainer is ocrfleet")
    assert last_words.read_text() == line.message


def test_last_words_are_cut_to_what_the_kubelet_takes(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else it would keep the end alone, and with it no beginning of a sentence."""
    last_words.write_text("x" * 9000)
    monkeypatch.setenv(contract.ENV_CONTRACT, "é" * 9000)
    assert node.main() == ExitCode.SPEC
    said = last_words.read_bytes()
    assert len(said) <= contract.LAST_WORDS
    assert said.decode(errors="ignore").startswith("error: This trainer is ocrfleet")


def test_a_fault_is_told_with_its_traceback_and_kept_in_a_line(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise KeyError("of nobody")

    monkeypatch.setattr(node, "_refuse_another_contract", fail)
    assert node.main() == ExitCode.FAILED
    said = capfd.readouterr().err
    assert said.startswith("Traceback (most recent call last):")
    assert said.endswith("error: KeyError: 'of nobody'\n")
    assert last_words.read_text() == "error: KeyError: 'of nobody'"


def test_an_unknown_format_of_the_log_is_refused_in_words(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(contract.ENV_LOG_FORMAT, "xml")
    assert node.main() == ExitCode.SPEC
    assert capfd.readouterr().err == "error: OCRFLEET_LOG_FORMAT is 'xml'. Set it to text or json.\n"


def test_outside_of_kubernetes_no_last_words_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_words: Path
) -> None:
    last_words.unlink()
    monkeypatch.setenv(contract.ENV_LOG_FORMAT, "xml")
    assert node.main() == ExitCode.SPEC
    assert not last_words.exists()
