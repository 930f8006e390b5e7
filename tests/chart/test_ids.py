"""Run ids stay: of the job files in ids.yaml, and of every file when a later release adds fields to `run`."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from docs.chart import CHART
from jobs.jobfile import model as jobfile
from tests.chart.helm import HELMS, LAYERS, helm, in_process
from tests.chart.test_leaves import LEAVES
from trainer.formats.yaml import parse_yaml, to_yaml
from trainer.run.identity import only_when_set, run_id

ROOT: Final = Path(__file__).parents[2]
GOLDEN: Final[dict[str, dict[str, str]]] = {
    each["about"]: each for each in yaml.safe_load(Path(__file__).with_name("ids.yaml").read_text("utf-8"))
}


def id_in_python(text: str) -> str:
    job = jobfile.load(text)
    placement = job.placement
    return run_id(
        job.name,
        run=job.run,
        image=placement.image,
        device=placement.device or "gpu",
        devices=placement.nodes * placement.devices_per_node,
    )


def id_in_helm(which: str, text: str, *, scratch: Path, chart: Path = CHART) -> str:
    """Return the run id in the objects that a Helm makes of a job file."""
    if which == "sdk":  # as `ocrfleet render` hands a file to it
        manifests = "\n".join(in_process(parse_yaml(text, source="job.yaml")).values())
    else:
        path = scratch / "job.yaml"
        path.write_text(text, "utf-8")
        manifests = helm(which, "template", "anything", chart, "--values", path)
    (found,) = set(re.findall(r"^ *ocrfleet\.io/run: (\S+)$", manifests, re.MULTILINE))
    return str(found)


@pytest.mark.parametrize("about", GOLDEN)
def test_the_command_line_gives_a_run_the_id_that_it_has_had_since_the_first_release(about: str) -> None:
    assert id_in_python(GOLDEN[about]["job"]) == GOLDEN[about]["id"]


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("about", GOLDEN)
def test_helm_gives_a_run_the_id_that_it_has_had_since_the_first_release(
    about: str, which: str, tmp_path: Path
) -> None:
    assert id_in_helm(which, GOLDEN[about]["job"], scratch=tmp_path) == GOLDEN[about]["id"]


def test_the_files_whose_ids_are_written_down_set_every_field_of_run() -> None:
    """A change in how any of them is hashed changes one of the ids."""
    jobs = [jobfile.as_dict(jobfile.load(each["job"])) for each in GOLDEN.values()]
    least = jobs[0]
    same = [
        path for path in LEAVES if path.startswith("run.") and all(at(job, path) == at(least, path) for job in jobs)
    ]
    assert same == []


def at(fields: Mapping[str, Any], path: str) -> Any:
    """Return the value of a field, or None."""
    value: Any = fields
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


# --- a later release ------------------------------------------------------------------------------------------------

PART: Final = '''
@dataclass(frozen=True, kw_only=True, config=STRICT)
class Blur:
    """A part that 0.1 does not have."""

    sigma: Number = 0.5
    """A number."""

    kind: str = "gauss"
    """A text."""


'''
IN_TRAIN: Final = '''
    warmup: Annotated[int, Field(ge=0), WHOLE] = 0
    """A number."""

    rate: Annotated[Number, Field(ge=0)] = 0.00001
    """A number that Python and Go write differently."""
'''
IN_RUN: Final = '''
    blur: Blur = Field(default_factory=Blur)
    """A part."""

    tags: Mapping[str, Any] = Field(default_factory=dict)
    """A mapping with free keys."""

    sizes: tuple[str, ...] = ("a<b", "é")
    """A list."""
'''

LATER: Final = """
import json, sys
from docs import chart
from jobs.jobfile import text as jobtext
from jobs.rendering.render import render
from tests.chart.test_ids import id_in_python

chart.write()
print(json.dumps([
    [id_in_python(text), render(jobtext.read(text)).run_id]
    for text in json.load(sys.stdin)
]))
"""
"""What a developer does with a new field (generate the chart's files), then the ids, by `run` and by `render`."""


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the code and of the chart with fields added to `run`, none of them written down anywhere."""
    copy = tmp_path_factory.mktemp("later")
    for folder in ("trainer", "jobs", "docs", "charts", "tests/chart"):
        ignored = shutil.ignore_patterns("__pycache__", "pictures", "*.md")
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignored)
    spec = copy / "trainer" / "run" / "spec.py"
    text = spec.read_text("utf-8")
    for mark, added in (("Train", IN_TRAIN), ("RunSpec", IN_RUN)):
        text, times = re.subn(
            rf'^class {mark}:\n    """.*?"""\n', lambda head, added=added: head[0] + added, text, flags=re.M | re.S
        )
        assert times == 1
    head = "@dataclass(frozen=True, kw_only=True, config=STRICT)\nclass Train:"
    assert text.count(head) == 1
    spec.write_text(text.replace(head, f"{PART.strip()}\n\n\n{head}"), "utf-8")
    return copy


def ids_later(later: Path, jobs: list[str]) -> list[str]:
    """Return the ids that the later release gives, after its chart's files were generated."""
    done = subprocess.run(
        [sys.executable, "-c", LATER],
        cwd=later,
        env={**os.environ, "PYTHONPATH": str(later)},
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pairs = json.loads(done.stdout)
    assert all(by_run == by_render for by_run, by_render in pairs)
    return [by_run for by_run, _ in pairs]


JOB: Final = """
apiVersion: ocrfleet.io/v1
name: receipts
run:
  task: det
  recipe: det-db-mobile
  data: {train: "s3://ocr-data/receipts/"}
  output: s3://ocr-models/receipts/
placement: {image: "registry.example.com/ocrfleet/trainer:0.1.0"}
"""


def with_run(**fields: Any) -> str:
    job = parse_yaml(JOB, source="job.yaml")
    return to_yaml({**job, "run": {**job["run"], **fields}})


UNSET: Final = [
    with_run(train={"warmup": 0, "rate": 1e-5, "seed": 42}),
    with_run(blur={}, tags=None, sizes=None, train={"warmup": None}),
    with_run(blur={"sigma": 0.5, "kind": "gauss"}, tags={}, sizes=["a<b", "é"], train={"warmup": 0.0}),
]
SET: Final = [
    with_run(train={"warmup": 1}),
    with_run(train={"rate": 2e-5}),
    with_run(blur={"sigma": 0}),
    with_run(blur={"kind": ""}),
    with_run(blur={"sigma": 0, "kind": ""}),
    with_run(tags={"a": {}}),
    with_run(tags={"a": 1e-5}),
    with_run(sizes=[]),
    with_run(sizes=["é", "a<b"]),
]


def test_a_later_release_gives_files_that_do_not_set_its_new_fields_the_same_ids(later: Path, tmp_path: Path) -> None:
    """Nobody's job file is another run because of an upgrade."""
    jobs = [each["job"] for each in GOLDEN.values()]
    same = id_in_python(JOB)
    assert ids_later(later, [*jobs, JOB, *UNSET]) == [
        *(each["id"] for each in GOLDEN.values()),
        *[same] * (1 + len(UNSET)),
    ]
    chart = later / "charts" / "ocr-training"
    assert len(json.loads((chart / "identity.json").read_text("utf-8"))["onlyWhenSet"]) == 7 + len(only_when_set())
    for which in LAYERS:
        for text in (JOB, *UNSET):
            assert id_in_helm(which, text, scratch=tmp_path, chart=chart) == same, f"{which}: {text}"


def test_a_later_release_gives_files_that_set_its_new_fields_ids_of_their_own(later: Path, tmp_path: Path) -> None:
    ids = ids_later(later, [JOB, *SET])
    assert len(set(ids)) == len(ids)
    for which in LAYERS:
        for text, one in zip([JOB, *SET], ids, strict=True):
            chart = later / "charts" / "ocr-training"
            assert id_in_helm(which, text, scratch=tmp_path, chart=chart) == one, f"{which}: {text}"
