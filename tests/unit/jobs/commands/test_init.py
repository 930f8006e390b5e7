"""`ocrfleet init` writes a job file that loads, for every recipe."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.jobfile import model as jobfile
from trainer import contract, recipes


@pytest.mark.parametrize("recipe", recipes.names())
def test_init_writes_a_job_file_that_loads(recipe: str, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    ran = ocrfleet("init", "slips", "--recipe", recipe, "-f", "job.yaml")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == (
        "job.yaml was written. Next: edit it, including placement.image for a cluster, then run "
        "`ocrfleet check job.yaml`.\n"
    )
    job = jobfile.load(tmp_path / "job.yaml")
    assert (job.name, job.run.recipe, job.run.task) == ("slips", recipe, recipe[:3])
    assert job.placement.image == f"registry.example.com/ocr/ocrfleet:{contract.VERSION}"
    assert ocrfleet("init", "slips", "--recipe", recipe).out.replace(" ", "") == (
        (tmp_path / "job.yaml").read_text().replace(" ", "")
    )


@pytest.mark.parametrize("recipe", ["rec-pp-ocrv3-distill", "det-pp-ocrv3-dml", "det-pp-ocrv3-cml"])
def test_init_writes_a_distillation_that_the_trainer_takes(recipe: str, ocrfleet: Callable[..., Any]) -> None:
    """As it is written, and with every line of its part taken in."""
    text = ocrfleet("init", "slips", "--recipe", recipe).out
    recipes.resolve(jobfile.load(text).run)
    whole = re.sub(r"^  # (distill:|  (?:networks|fineTuneEpochs|baseline):)", r"  \1", text, flags=re.MULTILINE)
    run = jobfile.load(whole).run
    assert (run.distill.networks, run.distill.fine_tune_epochs) == ({"Student3": "Student"}, 5)
    recipes.resolve(run)


@pytest.mark.parametrize(
    ("recipe", "lines"),
    [
        (
            "det-db-mobile",
            [
                "  task: det                          # finds the lines of a page",
                "    # epochs: …                      # default: 1200, from the recipe",
                "    # batchSizePerDevice: …          # default: 8, from the recipe",
                "  #   minimum: 0.90                  # hmean on the test split",
            ],
        ),
        (
            "rec-crnn-mobile",
            [
                "  task: rec                          # reads one line",
                "    dictionary: auto                 # the characters of the labels",
                "    # epochs: …                      # default: 100, from the recipe",
                "    # batchSizePerDevice: …          # default: 16, from the recipe",
                "  #   minimum: 0.90                  # accuracy on the test split",
            ],
        ),
    ],
)
def test_init_comments_on_what_depends_on_the_recipe(
    recipe: str, lines: list[str], ocrfleet: Callable[..., Any]
) -> None:
    written = ocrfleet("init", "slips", "--recipe", recipe).out.splitlines()
    kept = re.compile("  task:|    dictionary:|    # (epochs|batch)|  #   minimum:")
    assert [line for line in written if kept.match(line)] == lines


def test_init_takes_locations(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("init", "x", "--recipe", "det-db-mobile", "--data", "s3://d/1", "--output", "file:///m")
    assert (ran.code, ran.err) == (0, "")
    job = jobfile.load(ran.out)
    assert (job.run.data.train, job.run.output) == ("s3://d/1", "file:///m")


def test_init_refuses_to_overwrite(ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("mine")
    ran = ocrfleet("init", "x", "--recipe", "det-db-mobile", "-f", "job.yaml")
    assert (ran.code, (tmp_path / "job.yaml").read_text()) == (40, "mine")
    assert "already exists" in ran.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["X", "--recipe", "det-db-mobile"], "name is 'X'"),
        (["x", "--recipe", "det-db-mobil"], "Did you mean 'det-db-mobile'?"),
        (["x", "--recipe", "det-db-mobile", "--data", "gs://b/x"], "run.data.train is 'gs://b/x'"),
    ],
)
def test_init_refuses_what_could_not_run(words: list[str], sentence: str, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("init", *words)
    assert (ran.code, ran.out) == (40, "")
    assert sentence in ran.err
