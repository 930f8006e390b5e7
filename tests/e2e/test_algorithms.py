"""docs/algorithms.md: every algorithm of the packaged PaddleOCR trains, or is refused for the reason given there."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from examples.demo import pages
from tests.e2e.algorithms import CONFIGS, RECIPES, run_of
from tests.e2e.commands import ocrfleet
from trainer.contract import ExitCode
from trainer.ppocr import tree

PAGE: Final = Path(__file__).parents[2] / "docs" / "algorithms.md"

TABLE: Final = {
    name: outcome
    for name, outcome in re.findall(r"^\| (.+?) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    if name not in ("algorithm", "---")
}

REFUSED_AT_ONCE: Final = sorted(
    name for name, outcome in TABLE.items() if re.search(r'"\w+(PostProcess|Decode)"|PADDLEOCR_HOME', outcome)
)
"""Before anything is fetched, so in no time."""

OTHER_TASKS: Final = frozenset({"ClsHead", "PGHead", "SDMGRHead", "TableAttentionHead", "SLAHead", "TableMasterHead"})
"""Heads of PaddleOCR that neither find nor read lines: `run.task` has no word for what they do."""


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    pages.write_export(folder, pages=9, seed=1)
    return folder


def rehearsed(name: str, labelled: Path, folder: Path) -> tuple[int, str]:
    """Return the exit code of `ocrfleet check --rehearse`, and what it says."""
    run: dict[str, Any] = {
        **run_of(name),
        "data": {"train": labelled.as_uri(), "split": "6:2:1"},
        "train": {"epochs": 1, "batchSizePerDevice": 2},
        "output": (folder / "bucket").as_uri(),
    }
    job = folder / "job.yaml"
    placement = {"device": "cpu", "image": "registry.example.com/ocr/ocrfleet:0.1.0"}
    job.write_text(yaml.safe_dump({"apiVersion": "ocrfleet.io/v1", "name": "walk", "run": run, "placement": placement}))
    ended = ocrfleet("check", str(job), "--rehearse", "-o", "json", timeout=400)
    assert ended.stdout, ended.stderr
    findings = json.loads(ended.stdout)["findings"]
    return ended.returncode, "\n".join(finding["text"] for finding in findings)


def agrees(name: str, labelled: Path, folder: Path) -> None:
    code, said = rehearsed(name, labelled, folder)
    outcome = TABLE[name]
    reasons = re.findall('"(.+?)"', outcome)
    if outcome == "trains":
        assert code == ExitCode.DONE, said
        assert "reads the export" in said
    else:
        assert code == ExitCode.SPEC, said
        assert reasons
        assert [reason for reason in reasons if reason not in said] == []


def test_the_table_has_all_that_is_tried() -> None:
    assert TABLE.keys() == CONFIGS.keys() | RECIPES.keys()


def test_every_head_of_the_packaged_tree_is_tried() -> None:
    """What PaddleOCR can put together is named in its list of heads."""
    source = (tree.root() / "ppocr" / "modeling" / "heads" / "__init__.py").read_text("utf-8")
    heads = set(re.findall(r'"(\w*Head\w*|Transformer)"', source))
    assert len(heads) > 25
    tried = set(re.findall(r"'(\w+)'", repr([*CONFIGS.values()])))
    assert heads - OTHER_TASKS - tried == set()


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", REFUSED_AT_ONCE)
def test_an_algorithm_that_nobody_could_read_is_refused_at_once(name: str, labelled: Path, tmp_path: Path) -> None:
    agrees(name, labelled, tmp_path)


@pytest.mark.slow
@pytest.mark.paddle
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", sorted(TABLE.keys() - {*REFUSED_AT_ONCE}))
def test_an_algorithm_does_in_the_rehearsal_what_the_table_says(name: str, labelled: Path, tmp_path: Path) -> None:
    agrees(name, labelled, tmp_path)
