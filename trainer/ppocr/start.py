"""Loads the weights that a run starts with: its own, pretrained ones, a teacher's."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paddle

from trainer.datasets.prepared import Prepared
from trainer.errors import SpecError
from trainer.ppocr.distill import Networks
from trainer.ppocr.job import Job
from trainer.recipes.distill import TEACHER
from trainer.state.checkpoints import file_digest
from trainer.weights import arrays, pdparams
from trainer.weights.facts import dictionary_of, require

Tensors = Mapping[str, Any]


def begin(job: Job, model: paddle.nn.Layer) -> list[str]:
    """Load the weights that the run names into a new model; networks without any stay random.

    Returns:
        Notes for the user.

    Raises:
        SpecError: a file is of another network, a frozen teacher would be incomplete, or two networks would be equal.
    """
    init, said = job.run.init, []
    if init.pretrained:
        require(job.work.pretrained, job.work.pretrained_facts)
    if not isinstance(model, Networks):
        return start_from(model, job.work.pretrained, student=init.student) if init.pretrained else []
    if init.pretrained:
        said += _start_learners(job, model)
    if job.run.distill.teacher:
        require(job.work.teacher, job.work.teacher_facts)
        said += _start_teacher(job, model.of(TEACHER), frozen=TEACHER in model.frozen)
    return said


def _start_learners(job: Job, model: Networks) -> list[str]:
    """Start the networks that learn: each from its namesake in a file of several, or all from the one in the file."""
    init, path = job.run.init, job.work.pretrained
    learners = {name: layer for name, layer in model.named_children() if name not in model.frozen}
    inside = _networks(_read(path))
    namesakes = [name for name in learners if name in inside]
    if inside and not init.student and not namesakes:
        raise SpecError(
            f"run.init.pretrained: {path.name} has the networks {', '.join(inside)}, but this run has "
            f"{', '.join(learners)}. Name the network to start from in run.init.student."
        )
    said = []
    for name in namesakes if inside and not init.student else learners:
        student = name if inside and not init.student else init.student
        said += [f"{name}: {sentence}" for sentence in start_from(learners[name], path, student=student)]
    for one, other in itertools.combinations(learners, 2):
        if _equal(learners[one], learners[other]):
            raise SpecError(
                f"run.init.pretrained: {one} and {other} would start with equal weights and teach each other nothing. "
                "Start from a file of several networks, or remove run.init."
            )
    return said


def _equal(one: paddle.nn.Layer, other: paddle.nn.Layer) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        list(mine[name].shape) == list(theirs[name].shape) and bool((mine[name] == theirs[name]).all()) for name in mine
    )


def _start_teacher(job: Job, teacher: paddle.nn.Layer, *, frozen: bool) -> list[str]:
    """Load the teacher's weights. A frozen teacher needs all of them, since nothing would train the rest."""
    path, wanted = job.work.teacher, teacher.state_dict()
    state = _of(_read(path), wanted, job.run.distill.teacher_network, path, field="run.distill.teacherNetwork")
    _same_dictionary(job.prepared, state, wanted, theirs=dictionary_of(job.work.teacher_facts))
    fits = _fitting(state, wanted)
    if frozen and len(fits) < len(wanted):
        raise SpecError(
            f"run.distill.teacher: {_fit(path.name, state, wanted, end='')} That is {len(fits) / len(wanted):.0%}, but "
            "a frozen teacher needs all: the rest would stay random. If the file has another architecture, set "
            "run.distill.networks; if the teacher is another network in it, set run.distill.teacherNetwork."
        )
    return [f"{TEACHER}: {sentence}" for sentence in _start(teacher, state, path, field="run.distill.teacher")]


def _same_dictionary(prepared: Prepared, state: Tensors, wanted: Tensors, *, theirs: str | None) -> None:
    """Refuse a teacher that reads other characters, or the same ones in another order.

    Raises:
        SpecError: the digest of its dictionary, or its number of classes, differs.
    """
    advice = "Set run.data.dictionary to the teacher's dictionary, or train a teacher with this one."
    if theirs and theirs != file_digest(prepared.dictionary):
        raise SpecError(f"The teacher was trained with another dictionary than this run. {advice}")
    for name in _CLASSES:
        if name in state and name in wanted and list(state[name].shape) != list(wanted[name].shape):
            raise SpecError(
                f"The teacher's head has {state[name].shape[0]} classes, but the dictionary has "
                f"{wanted[name].shape[0]} (with the space and the blank): it reads other characters. {advice}"
            )


def load_weights(model: paddle.nn.Layer, path: Path) -> None:
    """Load weights that one of our runs has written; every name and shape must match.

    Raises:
        SpecError: the file is of another network.
    """
    state = arrays.read(path)
    wanted = model.state_dict()
    wrong = [n for n, p in wanted.items() if n not in state or list(state[n].shape) != list(p.shape)]
    if wrong:
        raise SpecError(
            f"{path.name} is not of this network: {len(wrong)} of {len(wanted)} tensors are missing or have another "
            f"shape. The first is {wrong[0]!r}."
        )
    model.set_state_dict({n: state[n] for n in wanted})


def start_from(model: paddle.nn.Layer, path: Path, *, student: str | None) -> list[str]:
    """Load pretrained weights as far as they fit: a whole model, or a backbone with its own names.

    A head for another number of characters stays random, as in PaddleOCR, but the user is told.

    Returns:
        Notes for the user: how much fits, and what does not.

    Raises:
        SpecError: less than half of the backbone fits, or the sub-network `student` is not in the file.
    """
    state = _of(_read(path), model.state_dict(), student, path, field="run.init.student")
    return _start(model, state, path, field="run.init.pretrained")


def _read(path: Path) -> Tensors:
    return {name: paddle.to_tensor(value) for name, value in pdparams.read(path).items()}


def _networks(state: Tensors) -> list[str]:
    """Name the networks of a distilled file; none of one that holds a network by itself."""
    return sorted({name.partition(".")[0] for name in state if ".backbone." in name})


def _of(state: Tensors, wanted: Tensors, network: str | None, path: Path, *, field: str) -> Tensors:
    """Take one network out of a file.

    Raises:
        SpecError: there is none of that name, or there are several and none is named.
    """
    inside = _networks(state)
    if network:
        prefix = f"{network}."
        found = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        if not found:
            has = f"It has {', '.join(inside)}." if inside else f"It has a single network: remove {field}."
            raise SpecError(f"{field} is {network!r}, but {path.name} has no network of that name. {has}")
        return found
    if inside and not any(name in wanted for name in state):
        raise SpecError(f"{path.name} has several networks. Name one of {', '.join(inside)} in {field}.")
    return state


def _fitting(state: Tensors, wanted: Tensors) -> dict[str, Any]:
    return {n: v for n, v in state.items() if n in wanted and list(v.shape) == list(wanted[n].shape)}


def _start(model: paddle.nn.Layer, state: Tensors, path: Path, *, field: str) -> list[str]:
    wanted = model.state_dict()
    if not any(name in wanted for name in state):
        state = {f"backbone.{name}": value for name, value in state.items()}
    fits = _fitting(state, wanted)
    report = _fit(path.name, state, wanted)
    backbone = [name for name in wanted if name.startswith("backbone.")]
    if 2 * sum(name in fits for name in backbone) < len(backbone) or not fits:
        raise SpecError(
            f"{field}: {report} That is less than half of the backbone. Use weights of this recipe's network."
        )
    model.set_state_dict({n: v.astype(wanted[n].dtype) for n, v in fits.items()})
    return [report, *_classes(state, wanted)]


_SHOWN = 3
"""Tensors that are named one by one."""


def _fit(file: str, state: Tensors, wanted: Tensors, *, end: str = " What does not fit starts at random.") -> str:
    """Return in words how many tensors of a file fit, and which do not."""
    other = [n for n in wanted if n in state and list(state[n].shape) != list(wanted[n].shape)]
    absent = [n for n in wanted if n not in state]
    said = [f"{len(wanted) - len(other) - len(absent)} of this network's {len(wanted)} tensors are in {file}"]
    if other:
        shapes = [f"{n} is {_shape(state[n])} in the file and {_shape(wanted[n])} here" for n in other[:_SHOWN]]
        said.append(", ".join(shapes) + (f", {len(other) - _SHOWN} more of other shapes" if other[_SHOWN:] else ""))
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if absent[_SHOWN:] else ""
        said.append(f"{', '.join(absent[:_SHOWN])}{more} {'is' if len(absent) == 1 else 'are'} not in the file")
    return "; ".join(said) + f".{end if other or absent else ''}"


_CLASSES = ("head.fc.bias", "head.fc2.bias", "head.ctc_head.fc.bias", "head.ctc_head.fc2.bias")
"""Tensors with a number for each class."""


def _classes(state: Tensors, wanted: Tensors) -> list[str]:
    """Return a note if the file's head is for another dictionary."""
    for name in _CLASSES:
        if name in state and name in wanted and list(state[name].shape) != list(wanted[name].shape):
            return [
                f"The file's head has {state[name].shape[0]} classes, but the dictionary has {wanted[name].shape[0]} "
                "(with the space and the blank), so the head is trained from scratch."
            ]
    return []


def _shape(tensor: Any) -> str:
    return "×".join(str(size) for size in tensor.shape) or "a single number"
