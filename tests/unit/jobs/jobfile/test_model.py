"""What a job file may say, and what is said about one that is wrong."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.jobfile import model as jobfile
from tests.unit.jobs.jobfile.files import MINIMAL, WHOLE
from trainer.errors import SpecError
from trainer.formats.canonical_json import LARGEST
from trainer.formats.yaml import parse_yaml
from trainer.run.spec import from_dict


def test_the_whole_file_of_the_interface_is_accepted() -> None:
    job = jobfile.load(WHOLE)
    assert job.run.overrides["Optimizer.lr.learning_rate"] == 1e-4
    assert job.run.data.split == "6:2:2", "YAML 1.1 reads 6:2:2 as a number to the base 60"
    assert (job.placement.nodes, job.placement.devices_per_node) == (2, 4)
    assert job.schedule.time_zone == "Asia/Shanghai"


def test_a_key_without_a_value_is_as_if_left_out() -> None:
    assert jobfile.load(MINIMAL + "placement:\nschedule:\n") == jobfile.load(MINIMAL)


def test_a_null_inside_a_paddleocr_configuration_is_kept() -> None:
    job = jobfile.load(MINIMAL, sets=["run.overrides={Global.pretrained_model: null}"])
    assert job.run.overrides == {"Global.pretrained_model": None}
    assert jobfile.load(jobfile.dump(job)) == job


NUMBERS = st.integers(-LARGEST, LARGEST) | st.floats(-LARGEST, LARGEST)


# YAML has no place for control characters, nor for the two that are none.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(0x7F, 0xA0)), *"\ufffe\uffff"])
)


SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS


VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3))


DURATIONS = st.builds(lambda n, u: f"{n}{u}", st.integers(1, 999), st.sampled_from("smh"))


@settings(deadline=None)
@given(
    overrides=st.dictionaries(TEXTS, VALUES, max_size=3),
    nodes=st.integers(1, 1000),
    retries=st.integers(0, 100),
    tolerance=st.floats(0, 1),
    stall=DURATIONS,
    engine=st.sampled_from(["job", "jobset", "trainjob", "volcano", "paddlejob", "auto"]),
)
def test_every_job_survives_a_round_trip(
    overrides: dict[str, Any], nodes: int, retries: int, tolerance: float, stall: str, engine: str
) -> None:
    raw = parse_yaml(MINIMAL, source="x")
    raw["run"] |= {"overrides": overrides, "gate": {"tolerance": tolerance}}
    raw["placement"] = {"nodes": nodes, "retries": retries, "engine": engine, "deadlines": {"stall": stall}}
    job = from_dict(jobfile.TrainingJob, raw, where="")
    assert jobfile.load(jobfile.dump(job)) == job


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (["run.trian=2"], "run.trian is not a field. Did you mean 'train'?"),
        (["placement.deviecs=2"], "placement.deviecs is not a field. Did you mean 'device'?"),
        (["schedule.cronn=2"], "schedule.cronn is not a field. Did you mean 'cron'?"),
        (["plcement={}"], "plcement is not a field. Did you mean 'placement'?"),
        (["run.task=ocr"], "run.task is 'ocr': input should be 'det' or 'rec'."),
        (["placement.engine=jobs"], "'paddlejob' or 'auto'."),
        (["placement.nodes=0"], "placement.nodes is 0"),
        (["placement.storage.scratch=20GB"], "write a whole number with the largest unit, such as 50Gi"),
        (["placement.deadlines.stall=15"], "placement.deadlines.stall is 15"),
        (["placement.storage.cache={emptyDir: 1Gi, existingClaim: x}"], "emptyDir and existingClaim: choose one"),
        (["placement.serviceAccount=a", "placement.credentialsSecret=b"], "choose one"),
        (["placement.tolerations=1"], "write a list"),
        (["notify=1"], "notify is 1: write a mapping."),
        (["schedule.cron=0 3 *"], "write five fields"),
        (["name=Receipts"], "name is 'Receipts'"),
        ([f"name={'a' * 38}"], "at most 37 characters"),
        (["name=null"], "name is missing."),
        (["apiVersion=ocrfleet.io/v2"], "apiVersion is 'ocrfleet.io/v2', which this version of ocrfleet does not know"),
        (["apiVersion=null"], "apiVersion is missing"),
        (["chart.endpoint.url=https://me:secret@h"], "chart.endpoint.url is 'https://***@h': write https://HOST"),
        (["chart.endpoint.url=https://h/?t=secret"], "chart.endpoint.url is 'https://h/?***': write https://HOST"),
    ],
    ids=lambda value: value[0][:40] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_named_with_its_place(sets: list[str], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        jobfile.load(MINIMAL, sets=sets)
    assert sentence in str(caught.value)


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        jobfile.load(MINIMAL, sets=["run.trian=1", "placement.nodes=0", "name=A", "schedule.cron=x"])
    assert len(str(caught.value).splitlines()) == 4


def test_an_unknown_field_without_a_value_is_refused_too() -> None:
    with pytest.raises(SpecError, match=r"placement\.queu is not a field"):
        jobfile.load(MINIMAL + "placement: {queu: }\n")


@pytest.mark.parametrize(("nodes", "longest"), [(10, 34), (11, 33), (100, 33), (101, 32)])
def test_a_name_leaves_room_for_the_number_of_the_last_node(nodes: int, longest: int) -> None:
    """Numbers begin at 0: of ten nodes the last is 9."""

    def sets(length: int) -> list[str]:
        return [f"name={'a' * length}", f"placement.nodes={nodes}", "placement.engine=jobset"]

    assert jobfile.load(MINIMAL, sets=sets(longest)).placement.nodes == nodes
    with pytest.raises(SpecError, match=f"it may have at most {longest}, since JobSet appends to it"):
        jobfile.load(MINIMAL, sets=sets(longest + 1))
