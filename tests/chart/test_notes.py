"""What Helm prints after an install: commands that can be copied, for this job and in this namespace."""

from pathlib import Path

import pytest

from docs.chart import CHART
from jobs import cli
from tests.chart.helm import helm, rendered
from tests.chart.test_render import CASES, workload


def notes(path: Path) -> list[str]:
    printed = helm("helm4", "install", "ours", CHART, "--namespace", "ocr", "--dry-run=client", "--values", path)
    return printed.partition("NOTES:\n")[2].splitlines()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_notes_name_this_run_and_its_kind(path: Path) -> None:
    made = workload(rendered("helm4", path))
    group, run = made["apiVersion"].partition("/")[0], made["metadata"]["labels"]["ocrfleet.io/run"]
    said = notes(path)
    (ends,) = (line for line in said if line.startswith(f"  kubectl delete {made['kind'].lower()}s.{group} "))
    assert ends.endswith(f"--namespace ocr --selector ocrfleet.io/run={run}")
    assert "  helm test ours --namespace ocr" in said
    assert all("--namespace ocr" in line for line in said if line.startswith("  kubectl "))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_notes_have_commands_of_ocrfleet_that_it_knows(path: Path) -> None:
    (command,) = (line.split() for line in notes(path) if line.startswith("  ocrfleet "))
    assert cli.build_parser().parse_args(command[1:])
