"""Every path of a run on a node. No other module joins a path of the run."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ATTEMPT: Final = re.compile("attempt-([0-9]{1,18})")


@dataclass(frozen=True)
class WorkDir:
    """The folder of one node of one run."""

    root: Path

    @property
    def run_file(self) -> Path:
        """The job's name and `run` half, as the node got it."""
        return self.root / "run.yaml"

    @property
    def home(self) -> Path:
        """Home directory of the workers: the user's has credentials, and what is made there later cannot be read."""
        return self.root / "home"

    @property
    def decoding(self) -> Path:
        """Which images the workers are decoding; see `trainer.datasets.decoding`."""
        return self.root / "decoding"

    @property
    def data(self) -> Path:
        """What fetch pulled: `train/`, `eval/`, `dictionary.txt`, `pretrained.pdparams`, `teacher.pdparams`."""
        return self.root / "data"

    @property
    def train_data(self) -> Path:
        """The dataset of `run.data.train`, as it lies in the bucket."""
        return self.data / "train"

    @property
    def eval_data(self) -> Path:
        """The dataset of `run.data.eval`."""
        return self.data / "eval"

    @property
    def pretrained(self) -> Path:
        """The weights of `run.init.pretrained`."""
        return self.data / "pretrained.pdparams"

    @property
    def pretrained_facts(self) -> Path:
        """Where those weights are from. Not among the data, which in a pod can be a volume that others use too."""
        return self.root / "pretrained.json"

    @property
    def teacher(self) -> Path:
        """The weights of `run.distill.teacher`."""
        return self.data / "teacher.pdparams"

    @property
    def teacher_facts(self) -> Path:
        """Where the teacher's weights are from."""
        return self.root / "teacher.json"

    def gathering(self, weights: Path) -> Path:
        """Where weights are gathered that come from afar; left by a broken pull, which goes on there."""
        return self.data / f".{weights.stem}"

    @property
    def shared_weights(self) -> Path:
        """Weights by their digest, of all runs of a machine's work folder, or of a pod's cache volume."""
        run = LocalRunDir(self.root.parent)
        return run.shared_weights if run.lock.exists() else self.data / "weights"

    @property
    def given_dictionary(self) -> Path:
        """The file of `run.data.dictionary` when that is a URI."""
        return self.data / "dictionary.txt"

    @property
    def prepared(self) -> Path:
        """What prepare made: `dataset.json`, `<split>.jsonl`, `dictionary.txt`, `crops/`."""
        return self.root / "prepared"

    @property
    def rehearsal(self) -> Path:
        """What rehearse works in; it is removed at the end, since no other stage reads it."""
        return self.root / "rehearsal"

    @property
    def rehearsed_part(self) -> Path:
        """Which part of PaddleOCR is being tried, in words: a process that is killed cannot say it any more."""
        return self.rehearsal / "part.txt"

    @property
    def rehearsed(self) -> Path:
        """What the second process needs to know of the first: the samples that were read, and the networks."""
        return self.rehearsal / "rehearsed.json"

    def rehearsed_weights(self, network: str) -> Path:
        """Weights after two steps; `network` is "" where there is one only."""
        return self.rehearsal / f"weights-{network}.safetensors"

    def rehearsed_export(self, network: str) -> Path:
        """The export of those weights."""
        return self.rehearsal / f"inference-{network}"

    @property
    def checkpoints(self) -> Path:
        """Training states, one folder a step."""
        return self.root / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """The folder of one training state."""
        return self.checkpoints / f"{step:08d}"

    @property
    def signatures(self) -> Path:
        """Signatures of the training states that were saved on this node, one file a step."""
        return self.root / "signatures"

    @property
    def trained(self) -> Path:
        """What train made: `model.safetensors` (the best), `training.json` (history, facts)."""
        return self.root / "trained"

    @property
    def best_weights(self) -> Path:
        """The best model's weights."""
        return self.trained / "model.safetensors"

    @property
    def training_facts(self) -> Path:
        """History of losses and evaluations, best step, samples, seconds."""
        return self.trained / "training.json"

    @property
    def evaluation(self) -> Path:
        """What evaluate made: `evaluation.json`, `predictions.jsonl` of the test split."""
        return self.root / "evaluation"

    @property
    def evaluation_facts(self) -> Path:
        """Metrics of the trained model on the test split."""
        return self.evaluation / "evaluation.json"

    @property
    def predictions(self) -> Path:
        """What the trained model read on the test split, one sample a line."""
        return self.evaluation / "predictions.jsonl"

    @property
    def inference(self) -> Path:
        """The exported model: `inference.json`, `.pdiparams`, `.yml`."""
        return self.root / "inference"

    @property
    def weights(self) -> Path:
        """What export makes with `run.publish.weights`: `model.pdparams`."""
        return self.root / "weights"

    @property
    def published_weights(self) -> Path:
        """The best weights as PaddleOCR loads them."""
        return self.weights / "model.pdparams"

    @property
    def verification(self) -> Path:
        """What verify found: `verification.json`."""
        return self.root / "verification"

    @property
    def verification_facts(self) -> Path:
        """Differences between the trained and the exported model."""
        return self.verification / "verification.json"

    @property
    def report(self) -> Path:
        """`report.html`, `report.md` and pictures."""
        return self.root / "report"

    @property
    def report_page(self) -> Path:
        """The report to open in a browser."""
        return self.report / "report.html"

    @property
    def record(self) -> Path:
        """All that is needed to repeat the run."""
        return self.root / "record.json"

    @property
    def configuration(self) -> Path:
        """The resolved PaddleOCR configuration."""
        return self.root / "configuration.yml"

    @property
    def metrics_snapshot(self) -> Path:
        """The last values of the metrics endpoint, since a job ends before its last scrape."""
        return self.root / "metrics.prom"

    def outputs(self, stage: str) -> tuple[Path, ...]:
        """Return the folders that a stage fills."""
        return {
            "fetch": (self.data,),
            "prepare": (self.prepared,),
            "train": (self.trained,),
            "evaluate": (self.evaluation,),
            "export": (self.inference, self.weights),
            "verify": (self.verification,),
        }.get(stage, ())

    @property
    def restored(self) -> Path:
        """Where outputs of a stage land that come back from the bucket, before they take their places."""
        return self.root / ".restored"

    def receipt(self, stage: str) -> Path:
        """The note that a stage is done."""
        return self.root / "receipts" / f"{stage}.json"

    @property
    def logs(self) -> Path:
        """Logs of all attempts."""
        return self.root / "logs"

    @property
    def node_log(self) -> Path:
        """What the node said, over all attempts."""
        return self.logs / "node.log"

    @property
    def node_output(self) -> Path:
        """Under `ocrfleet run`: standard output and error of a node other than the leader."""
        return self.logs / "node.out"

    def worker_log(self, *, attempt: int, stage: str, rank: int) -> Path:
        """What one worker said in one attempt at one stage."""
        return self.attempt_logs(attempt) / f"{stage}-rank-{rank}.log"

    def worker_logs(self) -> list[tuple[int, Path]]:
        """What all workers said, with the attempt of each."""
        return [(attempt, path) for attempt, folder in self._attempts() for path in sorted(folder.glob("*.log"))]

    def starts(self) -> int:
        """How often this node has started workers, by the logs that they left."""
        return max((attempt for attempt, _ in self._attempts()), default=0)

    def _attempts(self) -> list[tuple[int, Path]]:
        found = [(_ATTEMPT.fullmatch(path.name), path) for path in sorted(self.logs.glob("attempt-*"))]
        return [(int(name[1]), path) for name, path in found if name]

    def attempt_logs(self, attempt: int) -> Path:
        """What this node's workers said in one attempt."""
        return self.logs / f"attempt-{attempt}"


@dataclass(frozen=True)
class LocalRunDir:
    """The folder of a run of `ocrfleet run`: all its nodes are on this machine."""

    root: Path

    @property
    def lock(self) -> Path:
        """Locked as long as any node lives; holds their process numbers."""
        return self.root / "lock"

    @property
    def shared_weights(self) -> Path:
        """Weights by their digest, of all runs beside this one."""
        return self.root.parent / "weights"

    def node(self, rank: int) -> WorkDir:
        """The folder of one node."""
        return WorkDir(self.root / f"node-{rank}")
