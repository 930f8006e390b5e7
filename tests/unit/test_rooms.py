"""Every module with logic has a test module of its own name, in the same room of tests/unit."""

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

TOPS: Final = ("jobs", "trainer")

IN_REAL_PROCESSES: Final = {
    "trainer/ppocr/build.py": "test_recipes.py",
    "trainer/ppocr/collective.py": "test_training.py",
    "trainer/ppocr/data.py": "test_reading.py",
    "trainer/ppocr/distill.py": "test_distillation.py",
    "trainer/ppocr/evaluate.py": "test_evaluation.py",
    "trainer/ppocr/evaluator.py": "test_training.py",
    "trainer/ppocr/export.py": "test_export_verify.py",
    "trainer/ppocr/losses.py": "test_distillation_losses.py",
    "trainer/ppocr/paddleocr_reader.py": "test_export_verify.py",
    "trainer/ppocr/phases.py": "test_distillation.py",
    "trainer/ppocr/predict.py": "test_predict.py",
    "trainer/ppocr/rehearsal.py": "test_rehearsal.py",
    "trainer/ppocr/scores.py": "test_evaluation.py",
    "trainer/ppocr/standin_model.py": "test_pretrained.py",
    "trainer/ppocr/start.py": "test_pretrained.py",
    "trainer/ppocr/state.py": "test_training.py",
    "trainer/ppocr/train_step.py": "test_training.py",
    "trainer/ppocr/operators/copy_paste.py": "operators/test_det.py",
    "trainer/ppocr/operators/det.py": "operators/test_det.py",
    "trainer/ppocr/operators/native.py": "operators/test_library.py",
    "trainer/ppocr/operators/rec.py": "operators/test_rec.py",
    "trainer/ppocr/operators/replacements.py": "operators/test_library.py",
    "trainer/ppocr/training.py": "test_training.py",
    "trainer/ppocr/training_set.py": "test_training.py",
    "trainer/ppocr/verify.py": "test_export_verify.py",
    "trainer/ppocr/worker.py": "test_training.py",
    "trainer/storage/s3.py": "test_storage_s3.py",
    "trainer/storage/transfers.py": "test_storage_s3.py",
}
"""Modules whose claims need a real Paddle or a real S3 server, each with the module of tests/e2e that tests it."""


def modules() -> list[str]:
    found = (path for top in TOPS for path in (ROOT / top).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in found if has_logic(path.read_text("utf-8")))


def has_logic(source: str) -> bool:
    """Whether there is a function: constants, types and what is only passed on need no test."""
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(ast.parse(source)))


def test_module(module: str) -> Path:
    path = Path(module)
    name = path.parent.name if path.stem == "__init__" else path.stem.strip("_")
    return ROOT / "tests" / "unit" / path.parent / f"test_{name}.py"


test_module.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", [module for module in modules() if module not in IN_REAL_PROCESSES])
def test_a_module_with_logic_has_its_tests(module: str) -> None:
    place = test_module(module)
    assert place.is_file(), f"{module} has no test module: write {place.relative_to(ROOT)}"
    assert "def test_" in place.read_text("utf-8"), f"{place.relative_to(ROOT)} has no test"


@pytest.mark.parametrize("module", IN_REAL_PROCESSES)
def test_a_module_of_real_processes_is_there_and_so_are_its_tests(module: str) -> None:
    """And none of them has quick tests as well: it is then no exception any more."""
    assert (ROOT / module).is_file()
    assert (ROOT / "tests" / "e2e" / IN_REAL_PROCESSES[module]).is_file()
    assert not test_module(module).exists(), f"take {module} out of IN_REAL_PROCESSES"


def test_a_function_is_logic_and_a_constant_is_none() -> None:
    assert has_logic("class A:\n    def b(self): ...")
    assert not has_logic("from a import b\nC = 1\nclass D:\n    e: int = 0")
