"""`ocrfleet check --rehearse`: what it runs and reports, and what it leaves alone; a stub stands for the trainer."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.checks.dataset import Finding
from jobs.checks.rehearsal import rehearse
from jobs.jobfile import model as jobfile
from jobs.local import plan
from tests.unit.jobs.local.nodes import JOB
from trainer.contract import ExitCode

# Notes what it was given, and says what its script has for the stage.
STUB = """
import json, os, sys
from pathlib import Path
work, stage = (sys.argv[sys.argv.index(word) + 1] for word in ("--workdir", "--stage"))
script = json.loads(Path(sys.argv[1]).read_text())
with Path(sys.argv[1]).with_name("seen.jsonl").open("a") as file:
    run = (Path(work) / "run.yaml").read_text()
    file.write(json.dumps({"stage": stage, "rank": os.environ["OCRFLEET_NODE_RANK"], "run": run, "work": work}) + "\\n")
print("a warning of some library", file=sys.stderr)
for event, message in script[stage]["says"]:
    print(json.dumps({"time": "2026", "event": event, "message": message}, separators=(",", ":")), file=sys.stderr)
sys.exit(script[stage]["code"])
"""

WELL: dict[str, dict[str, Any]] = {
    "fetch": {"says": [["stage_begun", ""], ["notice", "of fetch"]], "code": 0},
    "prepare": {"says": [["notice", "of prepare"]], "code": 0},
    "rehearse": {
        "says": [
            ["notice", "before the stage"],
            ["stage_begun", ""],
            ["progress", "1/2"],
            ["rehearsed", "It takes an hour."],
            ["notice", "That is too long."],
            ["stage_done", "exports (9 s)"],
            ["ended", ""],
        ],
        "code": 0,
    },
}


def rehearsed(
    folder: Path, script: dict[str, Any], *, sets: tuple[str, ...] = ()
) -> tuple[list[Finding], list[dict[str, str]]]:
    """Return the findings, and what the nodes were given."""
    (folder / "stub.py").write_text(STUB)
    (folder / "script.json").write_text(json.dumps(script))
    command = [sys.executable, "-I", str(folder / "stub.py"), str(folder / "script.json")]
    found = list(
        rehearse(
            jobfile.load(JOB, sets=sets),
            data=lambda uri: folder / uri.rpartition("/")[2],
            say=lambda _: None,
            options=plan.Options(command=command),
        )
    )
    return found, [json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines()]


def test_the_leader_alone_does_the_stages_up_to_the_rehearsal(tmp_path: Path) -> None:
    found, seen = rehearsed(tmp_path, WELL)
    assert [(each["stage"], each["rank"]) for each in seen] == [("fetch", "0"), ("prepare", "0"), ("rehearse", "0")]
    assert [(finding.level, finding.text) for finding in found] == [
        ("ok", "rehearsal: It takes an hour."),
        ("warn", "rehearsal: That is too long."),
        ("ok", "rehearsal: exports (9 s)"),
    ]
    assert not Path(seen[0]["work"]).exists()


def test_neither_the_output_nor_weights_of_the_job_are_touched(tmp_path: Path) -> None:
    sets = ("run.init.pretrained=channel:production", "run.data.eval=s3://data/others")
    _, seen = rehearsed(tmp_path, WELL, sets=sets)
    job = jobfile.load(seen[-1]["run"])
    assert job.run.output.startswith("file:///")
    assert job.run.init.pretrained is None
    assert (job.run.data.train, job.run.data.eval) == (
        (tmp_path / "receipts").as_uri(),
        (tmp_path / "others").as_uri(),
    )


def test_a_frozen_teacher_has_random_weights(tmp_path: Path) -> None:
    sets = ("run.recipe=det-pp-ocrv3-cml", "run.distill.teacher=channel:teacher")
    _, seen = rehearsed(tmp_path, WELL, sets=sets)
    distill = jobfile.load(seen[-1]["run"]).run.distill
    assert (distill.teacher, distill.random_teacher) == (None, True)


@pytest.mark.parametrize(("device", "fits"), [("gpu", False), ("cpu", True)])
def test_a_job_for_gpus_is_rehearsed_on_the_cpu_of_a_machine_without_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, fits: bool
) -> None:
    monkeypatch.setattr(plan, "this_machine", lambda: "cpu")
    sets = (f"placement.device={device}", "run.train.precision=bf16")
    found, seen = rehearsed(tmp_path, WELL, sets=sets)
    job = jobfile.load(seen[-1]["run"])
    assert (job.placement.device, job.run.train.precision) == ("cpu", "bf16" if fits else "fp32")
    assert ("since this machine has no GPU" in found[0].text) != fits


@pytest.mark.parametrize(
    ("code", "says", "finding"),
    [
        (41, [["failed", "x"], ["ended", "error: No label."]], ("rehearsal: No label.", ExitCode.DATASET)),
        (40, [["ended", "error: Wrong."]], ("rehearsal: Wrong.", ExitCode.SPEC)),
        (9, [], ("rehearsal: prepare ended with 9 and said nothing", ExitCode.FAILED)),
    ],
)
def test_a_stage_that_fails_is_the_last_and_its_sentence_the_finding(
    tmp_path: Path, code: int, says: list[list[str]], finding: tuple[str, ExitCode]
) -> None:
    found, seen = rehearsed(tmp_path, {**WELL, "prepare": {"says": says, "code": code}})
    assert [each["stage"] for each in seen] == ["fetch", "prepare"]
    assert [(each.level, each.text, each.code) for each in found] == [("error", *finding)]
