"""Every path of a run: each below its folder, and no two alike."""

from pathlib import Path

from trainer.run.workdir import LocalRunDir, WorkDir


def test_every_path_of_a_node_is_its_own_and_below_the_nodes_folder(tmp_path: Path) -> None:
    work = WorkDir(tmp_path)
    names = [name for name, value in vars(WorkDir).items() if isinstance(value, property)]
    paths = [getattr(work, name) for name in names]
    assert len(paths) == len(set(paths)) >= 30
    assert all(path.is_relative_to(tmp_path) and path != tmp_path for path in paths)


def test_checkpoints_sort_as_text_by_their_step(tmp_path: Path) -> None:
    names = [WorkDir(tmp_path).checkpoint(step).name for step in (9, 10, 100_000)]
    assert names == sorted(names)


def test_a_nodes_starts_are_counted_as_numbers(tmp_path: Path) -> None:
    work = WorkDir(tmp_path)
    assert work.starts() == 0
    assert work.worker_logs() == []
    for attempt in (2, 9, 10):
        log = work.worker_log(attempt=attempt, stage="train", rank=3)
        log.parent.mkdir(parents=True)
        log.touch()
    assert work.starts() == 10
    assert sorted(attempt for attempt, _ in work.worker_logs()) == [2, 9, 10]
    assert {path.name for _, path in work.worker_logs()} == {"train-rank-3.log"}


def test_weights_are_shared_by_all_runs_of_a_machine_and_of_a_pods_cache(tmp_path: Path) -> None:
    """On this machine runs lie next to one another, which their lock tells; in a pod the data folder is the cache."""
    local = LocalRunDir(tmp_path / "runs" / "receipts-1")
    node = local.node(0)
    node.root.mkdir(parents=True)
    assert node.shared_weights == node.data / "weights"
    local.lock.touch()
    assert node.shared_weights == tmp_path / "runs" / "weights" == local.shared_weights


def test_nodes_of_one_machine_share_no_path(tmp_path: Path) -> None:
    local = LocalRunDir(tmp_path)
    assert local.node(0).root != local.node(1).root
    assert local.lock.parent == local.node(0).root.parent


def test_other_folders_among_the_logs_are_no_attempts(tmp_path: Path) -> None:
    work = WorkDir(tmp_path)
    for name in ("attempt-x", "attempt-²", "attempt-", "attempt-2-old"):
        (work.logs / name).mkdir(parents=True)
        (work.logs / name / "a.log").touch()
    assert work.starts() == 0
    assert work.worker_logs() == []
