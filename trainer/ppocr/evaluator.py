"""Evaluates the model during training with statistics agreed between the ranks, and keeps the weights of the best."""

import time

import paddle

from trainer.errors import OcrfleetError
from trainer.ppocr import collective, distill, evaluate, state
from trainer.ppocr.job import Job
from trainer.ppocr.progress import Progress
from trainer.ppocr.reporter import Reporter
from trainer.ppocr.selection import Evaluation, Selection


class Evaluator:
    """Evaluates one model, on all ranks together."""

    def __init__(
        self, job: Job, model: paddle.nn.Layer, progress: Progress, *, selection: Selection, reporter: Reporter
    ) -> None:
        """Remember the networks of a model as they are now: the frozen must not change, the others must."""
        self._job, self._model, self._progress = job, model, progress
        self._selection, self._reporter = selection, reporter
        self._frozen = distill.frozen_digests(model)
        progress.starts = progress.starts or distill.learner_digests(model)

    def evaluate(self) -> None:
        """Read the evaluation split; keep the model if it is the best. Training keeps its own statistics."""
        began, own = time.perf_counter(), state.buffers(self._model)
        weights = state.agreed(self._model)
        self._model.set_state_dict(weights)
        samples = self._job.prepared.samples(self._job.split("eval"))
        readings = evaluate.evaluate(self._job, self._model, samples=samples)
        distill.check_frozen(self._model, self._frozen)
        self._model.set_state_dict(own)
        evaluation = self._selection.add({name: reading.metrics for name, reading in readings.items()})
        if evaluation.best:
            if evaluation.networks:
                self._progress.networks = evaluate.about(self._model, readings)
            self._write(weights, evaluation)
        self._reporter.evaluated(evaluation, seconds=time.perf_counter() - began)
        collective.meet()

    def _write(self, weights: state.Tensors, evaluation: Evaluation) -> None:
        if self._job.rank == 0:
            prefix = f"{evaluation.network}." if evaluation.networks else ""
            kept = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            state.write_weights(kept, self._job.work.best_weights)

    def check_trained(self) -> str:
        """Check that all ranks trained the same model, that frozen networks did not change and that others learned.

        Returns:
            A digest of the trained parameters.

        Raises:
            OcrfleetError: a check failed, so the model is not used.
        """
        digests = collective.gather(state.parameters_digest(self._model))
        if len(set(digests)) != 1:
            raise OcrfleetError(
                "The ranks have different parameters after training, so their gradients were not shared. "
                "The model is not used. Keep the logs and report this."
            )
        distill.check_frozen(self._model, self._frozen)
        distill.check_learned(self._model, self._progress.starts)
        return str(digests[0])
