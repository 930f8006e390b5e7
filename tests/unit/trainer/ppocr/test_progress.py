"""How far training is, and that a checkpoint of before still says it."""

import json
from dataclasses import asdict

from trainer.ppocr.progress import Progress


def test_the_fields_of_checkpoints_that_users_have_are_still_there() -> None:
    """A run that was stopped under an older version resumes from its checkpoint.json."""
    assert asdict(Progress()) == {
        "step": 0,
        "epoch": 1,
        "step_in_epoch": 0,
        "step_size": 0,
        "taken": [],
        "samples": 0,
        "seconds": 0.0,
        "best": None,
        "losses": [],
        "evaluations": [],
        "refused": {},
        "starts": {},
        "networks": {},
        "distilled": False,
        "alone_since": None,
        "skipped": [],
    }
    progress = Progress(step=3, taken=[(8, 2)], best={"step": 2}, alone_since=1)
    again = Progress(**json.loads(json.dumps(asdict(progress))))
    assert json.dumps(asdict(again)) == json.dumps(asdict(progress))


def test_epochs_are_whole_at_their_end_only() -> None:
    progress = Progress()
    assert progress.whole_epochs == 0
    progress.count_steps(2)
    assert (progress.step, progress.step_in_epoch, progress.whole_epochs) == (2, 2, None)
    progress.end_epoch()
    assert (progress.step, progress.step_in_epoch, progress.epoch, progress.whole_epochs) == (2, 0, 2, 1)


def test_an_epoch_that_another_gang_has_begun_is_not_whole() -> None:
    progress = Progress(step=2, epoch=2, taken=[(8, 1)])
    assert progress.whole_epochs is None
    progress.end_epoch()
    assert (progress.taken, progress.whole_epochs) == ([], 2)


def test_the_last_evaluation_is_the_newest_of_the_history() -> None:
    assert Progress().evaluated == 0
    assert Progress(evaluations=[{"step": 4}, {"step": 8}]).evaluated == 8
