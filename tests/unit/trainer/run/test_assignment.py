"""What a node was given to do: from its folder, and from the environment once."""

from pathlib import Path

import pytest

from trainer import contract
from trainer.errors import SpecError
from trainer.formats.yaml import to_yaml
from trainer.run.assignment import Assignment, DeadlineSeconds
from trainer.run.topology import Topology

RUN = {
    "task": "rec",
    "recipe": "rec-crnn-mobile",
    "data": {"train": "s3://data/receipts/"},
    "output": "s3://models/r/",
}


def read(folder: Path, *, placement: object = None) -> Assignment:
    file = {"apiVersion": contract.API_VERSION, "name": "receipts", "run": RUN, "placement": placement}
    (folder / "run.yaml").write_text(to_yaml({key: value for key, value in file.items() if value}), "utf-8")
    return Assignment.read(folder, run_id="receipts-00000001", topology=Topology())


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (contract.ENV_RETRIES, contract.ENV_OBJECT):
        monkeypatch.delenv(name, raising=False)


def test_a_node_that_was_given_a_run_alone_has_the_defaults(tmp_path: Path) -> None:
    """No retry: who starts a node without chart or command line may have nobody to replace one."""
    given = read(tmp_path)
    assert (given.name, given.run_id, given.run.task, given.work.root) == (
        "receipts",
        "receipts-00000001",
        "rec",
        tmp_path,
    )
    assert (given.deadlines, given.retries, given.owner) == (DeadlineSeconds(), 0, "")


def test_deadlines_are_the_job_files_own(tmp_path: Path) -> None:
    given = read(tmp_path, placement={"deadlines": {"rendezvous": "2m", "stall": "1h"}})
    assert (given.deadlines.rendezvous, given.deadlines.stall) == (120, 3600)
    half = read(tmp_path, placement={"deadlines": {"stall": "1m"}}).deadlines
    assert (half.rendezvous, half.stall) == (DeadlineSeconds().rendezvous, 60)


def test_retries_and_owner_are_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(contract.ENV_RETRIES, "7")
    monkeypatch.setenv(contract.ENV_OBJECT, "receipts-00000001-abcd")
    given = read(tmp_path)
    assert (given.retries, given.owner) == (7, "receipts-00000001-abcd")


def test_a_wrong_run_file_is_refused_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("apiVersion: ocrfleet.io/v1\nname: x\nrun: {task: cls}\n", "utf-8")
    with pytest.raises(SpecError, match=r"run\.task is 'cls'"):
        Assignment.read(tmp_path, run_id="x-00000001", topology=Topology())
