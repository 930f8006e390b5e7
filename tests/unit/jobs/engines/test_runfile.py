"""What a run was told to do is read off the object of every engine, as the chart renders it."""

import pytest

from jobs.engines import ENGINES, runfile
from jobs.jobfile import text as jobtext
from jobs.rendering.render import render

JOB = """
apiVersion: ocrfleet.io/v1
name: slips
run: {task: rec, recipe: rec-crnn-mobile, data: {train: "s3://b/x/"}, output: "s3://b/y/"}
placement: {nodes: 2, image: "registry.example.com/ocr/ocrfleet:0.1.0"}
"""


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_every_engines_object_tells_its_run_and_output(engine: str) -> None:
    found = render(jobtext.read(JOB, sets=[f"placement.engine={engine}"])).workload
    told = runfile.of(found)
    assert told is not None
    assert (told["name"], told["run"]["recipe"]) == ("slips", "rec-crnn-mobile")
    assert runfile.output(found) == "s3://b/y/"


@pytest.mark.parametrize("written", ["", "{", "[1]", None])
def test_what_cannot_be_read_is_as_if_it_were_not_there(written: str | None) -> None:
    found = {"spec": {"template": {"metadata": {"annotations": {runfile.ANNOTATION: written}}}}}
    assert runfile.of(found) is None
    assert runfile.output(found) == ""
