"""Networks that teach each other: what each gives, that the frozen stay as they are, and that the others learn."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import paddle

from trainer.errors import OcrfleetError


class Networks(paddle.nn.Layer):  # type: ignore[misc]
    """Several networks that get the same batch."""

    def __init__(self, models: Mapping[str, paddle.nn.Layer], *, frozen: frozenset[str]) -> None:
        """Bring networks together.

        Args:
            models: the networks by their names; each becomes a sub-layer of that name, as in PaddleOCR's files.
            frozen: those that only teach: they are in evaluation mode always, and their weights never change.
        """
        super().__init__()
        self.frozen = frozen
        for name, model in models.items():
            self.add_sublayer(name, model)
            for parameter in model.parameters() if name in frozen else []:
                parameter.trainable = False

    def forward(self, x: paddle.Tensor, data: Any = None) -> dict[str, Any]:
        """Return each network's output for a batch."""
        found = {}
        for name, model in self.named_children():
            if name not in self.frozen:
                found[name] = model(x, data)
                continue
            _teach(model)
            with paddle.no_grad():
                found[name] = model(x, data)
        return found

    def of(self, name: str) -> paddle.nn.Layer:
        """Return one network."""
        return dict(self.named_children())[name]


_HEADS: Final = frozenset({"MultiHead", "CTCHead", "SARHead"})
"""Heads of recognisers that give something else while they train: what the losses are about."""


def _teach(model: paddle.nn.Layer) -> None:
    """Put a frozen network into evaluation mode, but let a recogniser give what it gives while it trains.

    PaddleOCR leaves it in training mode, where its BatchNorm statistics drift and its dropout makes it guess.
    """
    model.eval()
    heads = [layer for layer in model.head.sublayers(include_self=True) if type(layer).__name__ in _HEADS]
    for layer in [model, *heads] if heads else []:
        layer.training = True


def frozen_digests(model: paddle.nn.Layer) -> dict[str, str]:
    """Return a sha256 over all tensors, statistics too, of each network that must not change."""
    return {name: _digest(model.of(name).state_dict()) for name in sorted(getattr(model, "frozen", ()))}


def learner_digests(model: paddle.nn.Layer) -> dict[str, str]:
    """Return a sha256 over the trained parameters of each network that learns."""
    if not isinstance(model, Networks):
        return {}
    return {
        name: _digest({key: value for key, value in layer.state_dict().items() if not value.stop_gradient})
        for name, layer in model.named_children()
        if name not in model.frozen
    }


def _digest(tensors: Mapping[str, Any]) -> str:
    total = hashlib.sha256()
    for _, value in sorted(tensors.items(), key=lambda item: item[0]):
        total.update(value.numpy().tobytes())
    return total.hexdigest()


def check_frozen(model: paddle.nn.Layer, before: Mapping[str, str]) -> None:
    """Check that the frozen networks have not changed.

    Raises:
        OcrfleetError: one has changed, so the students did not learn from the weights that the user chose.
    """
    for name, digest in frozen_digests(model).items():
        if before[name] != digest:
            raise OcrfleetError(
                f"{name} is frozen, but its parameters or its BatchNorm statistics changed during training. The model "
                "is not used. Keep the logs and report this."
            )


def check_learned(model: paddle.nn.Layer, before: Mapping[str, str]) -> None:
    """Check that every network that should learn has changed.

    Raises:
        OcrfleetError: a network is the same as at the start.
    """
    for name, digest in learner_digests(model).items():
        if before[name] == digest:
            raise OcrfleetError(
                f"{name} has learned nothing: training did not change its parameters. The model is not used. Check "
                "Loss.loss_config_list and the learning rate of Optimizer."
            )
