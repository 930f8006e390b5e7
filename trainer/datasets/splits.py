"""Which sample is in which split, and whether a split has lost too many: the same in a run and in `check`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from trainer.datasets import hashing
from trainer.datasets.labels import Problem
from trainer.datasets.samples import Candidate
from trainer.errors import DatasetError
from trainer.run.spec import MaxRefused, RunSpec

_WORDS: Final = {"train": "training", "eval": "evaluation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the job file says of splits; the defaults are the job file's own."""

    shares: tuple[int, int, int] = (6, 2, 2)
    """Of train, eval and test."""

    seed: int = 42
    limits: MaxRefused = field(default_factory=MaxRefused)

    @classmethod
    def of(cls, run: RunSpec) -> "Plan":
        """Return the plan of a run."""
        return cls(shares=hashing.shares_of(run.data.split), seed=run.train.seed, limits=run.data.max_refused)


@dataclass(frozen=True, kw_only=True)
class Division:
    """All samples of a run, by split."""

    used: dict[str, list[Candidate]]
    refused: dict[str, list[Problem]]
    """Each in the split that its page has, or would have; in train when it is of no page."""

    limits: MaxRefused

    named: frozenset[str] = frozenset()
    """Splits that the label files name."""

    def require(self, where: str, *, splits: Sequence[str] = hashing.SPLITS) -> None:
        """Refuse a dataset that leaves nothing to train or to evaluate on, or that has lost too many samples.

        Args:
            where: the dataset's location.
            splits: those that the dataset must fill; either of eval and test will do.

        Raises:
            DatasetError: a split is empty, has nothing to learn, or has too many refused samples; names the first one
                and why.
        """
        problems = [problem for name in hashing.SPLITS for problem in self.refused[name]]
        why = f"; {len(problems)} refused, the first is {problems[0].sentence}" if problems else ""
        pages = len({c.group for members in self.used.values() for c in members})
        if "train" in splits and not self.used["train"]:
            raise DatasetError(
                f"{where} has no usable sample to train on ({pages} usable images{why}). Label more images, or fix "
                "the refused ones (`ocrfleet data check` lists them)."
            )
        if {"eval", "test"} & set(splits) and not self.used["eval"] and not self.used["test"]:
            raise DatasetError(
                f"{where} has no usable sample to evaluate on ({pages} usable images{why}). Label more images, "
                "give eval or test a share in run.data.split, or name a dataset in run.data.eval."
            )
        for name in hashing.SPLITS:
            self._require_text(name)
            self._require_limit(name)

    def _require_text(self, name: str) -> None:
        used = self.used[name]
        if name in self.named and not used and not self.refused[name]:
            raise DatasetError(
                f"All labels of the {_WORDS[name]} split are ignored: marked as difficult, `###` or `*`, or not "
                "transcribed. Transcribe some, or remove its label files."
            )
        if used and not any(c.learnable for c in used):
            raise DatasetError(
                f"{used[0].source}: all regions of the page are ignored: marked as difficult, `###` or `*`, or without "
                f"area. That holds for all {len(used)} {_WORDS[name]} pages, so there is nothing to "
                f"{'learn' if name == 'train' else 'measure'}. Transcribe regions, or label more pages."
            )

    def _require_limit(self, name: str) -> None:
        refused = self.refused[name]
        total = len(refused) + len(self.used[name])
        field_name = "train" if name == "train" else "eval"
        limit = self.limits.train if name == "train" else self.limits.eval
        if len(refused) > limit * total:
            raise DatasetError(
                f"{refused[0].sentence}. {len(refused)} of {total} {_WORDS[name]} samples are refused, but "
                f"run.data.maxRefused.{field_name} allows {limit * 100:g} %. Fix them (`ocrfleet data check` lists "
                "all), remove their lines, or raise the limit."
            )


def divide(
    candidates: Iterable[Candidate],
    problems: Iterable[Problem],
    plan: Plan,
    *,
    kept_apart: bool = False,
    named: frozenset[str] = frozenset(),
) -> Division:
    """Put every sample into its split, the refused ones too.

    A division that the label files come with is kept. When it has a test part and none for evaluation during
    training, that is taken from its train part, by the shares train:eval: the model that is kept must not be
    chosen on the pages that it is then tested on.

    Args:
        candidates: of all datasets of the run, in their order.
        problems: theirs.
        plan: shares, seed and limits.
        kept_apart: whether a dataset of its own is there for evaluation, so that none of the others is taken.
        named: splits that the label files name, which must not be empty without a reason.
    """
    candidates, problems = list(candidates), list(problems)
    names = {c.split for c in candidates if c.split} | {p.split for p in problems if p.split} | named
    train, evaluation, _ = shares = plan.shares
    if kept_apart:
        shares = (1, 0, 0)
    elif names:
        shares = (train, evaluation, 0) if "eval" not in names and train and evaluation else (1, 0, 0)
    # Only usable pages: a split that borrows one must not get one that is lost or has nothing to learn.
    free = {c.group for c in candidates if c.split in (None, "train") and c.learnable}
    homes = hashing.assign(free, shares=shares, seed=plan.seed)
    used: dict[str, list[Candidate]] = {name: [] for name in hashing.SPLITS}
    refused: dict[str, list[Problem]] = {name: [] for name in hashing.SPLITS}

    def split_of(sample: Candidate | Problem) -> str:
        if sample.group is None or sample.split not in (None, "train"):
            return sample.split or "train"
        return homes.get(sample.group) or hashing.home(sample.group, shares=shares, seed=plan.seed)

    for c in candidates:
        used[split_of(c)].append(c)
    for p in problems:
        refused[split_of(p)].append(p)
    return Division(used=used, refused=refused, limits=plan.limits, named=named)
