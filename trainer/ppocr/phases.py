"""The train stage: one training, or a distillation and, after it, the picked network by itself."""

from dataclasses import replace
from typing import Any

from trainer.ppocr import state, training
from trainer.ppocr.job import Job
from trainer.recipes import distill


def train(job: Job) -> dict[str, Any]:
    """Do all that `run` asks of training, from the newest checkpoint; see `training.train`."""
    if not distill.is_distillation(job.config):
        return training.train(job)
    goes_on = job.config["Plain"]["epoch_num"] > 0
    newest = state.newest(job)
    # A state of its end says so, since what comes after it has other networks.
    if not (goes_on and newest and newest.facts["distilled"]):
        facts = training.train(job)
        if not goes_on:
            return facts
        newest = state.newest(job)
    assert newest
    alone = distill.plain(job.config, newest.facts["best"]["network"])
    return training.train(replace(job, config=alone), alone=True)
