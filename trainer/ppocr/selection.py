"""Model selection: the best of all evaluations, and of a distillation the best network that learns. Paddle-free."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainer.ppocr.progress import Progress
from trainer.recipes import distill
from trainer.run.spec import RunSpec

Config = Mapping[str, Any]
Metrics = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation found."""

    step: int
    epoch: int
    """From 1: the one that has just been worked on."""

    metrics: Metrics
    """Of the model, or of the network that is the best."""

    best: bool
    """Whether no evaluation before was better."""

    network: str | None = None
    """In a distillation, and in what follows it: the best network."""

    networks: Mapping[str, Metrics] = field(default_factory=dict)
    """In a distillation: the metrics of each network."""

    def summary(self) -> dict[str, Any]:
        """Return it as `Progress.best` has it."""
        summary = {"step": self.step, "epoch": self.epoch, "metrics": self.metrics}
        return {**summary, "network": self.network} if self.network else summary

    def entry(self) -> dict[str, Any]:
        """Return it as `Progress.evaluations` has it."""
        return {**self.summary(), **({"networks": self.networks} if self.networks else {}), "best": self.best}


class Selection:
    """Compares evaluations, and keeps what is the best in `Progress`."""

    def __init__(self, run: RunSpec, config: Config, progress: Progress, *, steps: int, alone: bool) -> None:
        """Resume.

        Args:
            run: the metric that decides, and the network that is published if it names one.
            config: the configuration, whose order decides between equal networks.
            progress: where the best evaluation is kept.
            steps: steps of an epoch.
            alone: whether the one network of `config` is from a distillation.
        """
        self._run, self._config, self._progress = run, config, progress
        self._steps, self._alone = steps, alone

    def add(self, metrics: Mapping[str, Metrics]) -> Evaluation:
        """Record an evaluation.

        Args:
            metrics: of each network by its name, or of the only one by "".
        """
        progress = self._progress
        several = "" not in metrics
        network = pick(metrics, self._run, self._config) if several else ""
        evaluation = Evaluation(
            step=progress.step,
            # At its end `progress.epoch` points to the next.
            epoch=math.ceil((progress.step - (progress.alone_since or 0)) / self._steps),
            metrics=metrics[network],
            best=self._is_best(metrics[network]),
            network=network if several else self.network,
            networks=metrics if several else {},
        )
        progress.evaluations.append(evaluation.entry())
        if evaluation.best:
            progress.best = evaluation.summary()
        return evaluation

    def _is_best(self, metrics: Metrics) -> bool:
        # Of equals the later one: it has seen more, and early on all are 0.
        best, name = self._progress.best, self._run.main_metric
        return best is None or metrics[name] >= best["metrics"][name]

    @property
    def network(self) -> str | None:
        """The network that trains alone after it was picked; None: the run is no such one."""
        return str((self._progress.best or {})["network"]) if self._alone else None

    @property
    def title(self) -> str:
        """What is trained, as the beginning of a sentence."""
        if self._alone:
            return f"Training {self.network} alone:"
        if not distill.is_distillation(self._config):
            return "Training"
        own = distill.learners(self._config)
        taught = [name for name in distill.networks(self._config) if name not in own]
        by = f", taught by {' and '.join(taught)}" if taught else ", which teach each other"
        return f"Distilling {' and '.join(own)}{by}:"

    def facts(self) -> dict[str, Any]:
        """Return what `training.json` has of a distillation; nothing without one."""
        if not (self._alone or distill.is_distillation(self._config)):
            return {}
        progress = self._progress
        picked = (progress.best or {})["network"]
        return {
            "distillation": {
                "networks": progress.networks,
                "picked": picked,
                "why": why(progress.networks, self._run, picked),
                "fine_tuned_epochs": int(self._config["Global"]["epoch_num"]) if self._alone else 0,
            }
        }


def pick(metrics: Mapping[str, Metrics], run: RunSpec, config: Config) -> str:
    """Choose the network to keep: the best of those that learn, of equals the first; or the one that the run names.

    Args:
        metrics: of each network.
        run: what is published, and by which metric.
        config: the configuration, whose order decides between equals.
    """
    if run.distill.publish:
        return run.distill.publish
    return max(distill.learners(config), key=lambda name: metrics[name][run.main_metric])


def why(networks: Mapping[str, Mapping[str, Any]], run: RunSpec, picked: str) -> str:
    """Return in a sentence why a network was picked."""
    if run.distill.publish:
        return f"{picked} was chosen by run.distill.publish."
    metric = run.main_metric
    others = [
        f"{name} {about['metrics'][metric]:.4f}"
        for name, about in networks.items()
        if name != picked and not about["frozen"]
    ]
    of = f" ({', '.join(others)})" if others else ""
    return f"{picked} has the best {metric} of the networks that learn: {networks[picked]['metrics'][metric]:.4f}{of}."
