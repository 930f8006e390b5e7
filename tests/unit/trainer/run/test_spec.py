"""The `run` half of the job file: what is accepted, what is refused and how that is said."""

import copy
from typing import Annotated

import pytest
from pydantic.dataclasses import dataclass

from trainer.errors import SpecError
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec, from_dict, to_dict

LEAST = {
    "task": "rec",
    "recipe": "rec-crnn-mobile",
    "data": {"train": "s3://data/receipts/"},
    "output": "s3://models/r/",
}


def with_field(path, value):
    raw = copy.deepcopy(LEAST)
    *parents, last = path.split(".")
    place = raw
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("recip", "x", r"^run\.recip is not a field\. Did you mean 'recipe'\?$"),
        ("train.epoch", 3, r"^run\.train\.epoch is not a field\. Did you mean 'epochs'\?$"),
        ("task", "cls", r"^run\.task is 'cls': input should be 'det' or 'rec'\.$"),
        (
            "data.train",
            "gs://x/y",
            r"^run\.data\.train is 'gs://x/y': write a location that begins with s3:// or file:///\.$",
        ),
        ("data.split", "6:2", r"run\.data\.split is '6:2': write three whole numbers"),
        ("data.split", "0:0:0", r"one of them above 0"),
        ("train.epochs", 0, r"^run\.train\.epochs is 0: "),
        ("train", 3, r"^run\.train is 3: write a mapping\.$"),
        ("checkpoint.every", "often", r"run\.checkpoint\.every is 'often': write epochs, steps or a time"),
        ("checkpoint.keep", 1, r"^run\.checkpoint\.keep is 1: "),
        ("gate.metric", "hmean", r"^run\.gate\.metric is 'hmean', but a rec run has acc, norm_edit_dis\.$"),
        ("config", {"Global": {}}, r"one of `recipe` and `config`"),
        ("config", "rec.yml", r"^run\.config takes the YAML itself, not a path\. Paste it under `config:`\.$"),
        ("init.pretrained", "s3://a/b.pdparams", r"^run\.init\.sha256 is missing: "),
        ("init.sha256", "abc", r"64 hex digits"),
        ("publish.promote", "Production", r"run\.publish\.promote is 'Production': write lower-case"),
        (
            "publish.promote",
            "a" * 38,
            r"^run\.publish\.promote is 'a{38}': string should have at most 37 characters\.$",
        ),
        ("publish.weights", "yes", r"^run\.publish\.weights is 'yes': input should be a valid boolean\.$"),
        ("publish.formats", "paddle", r"^run\.publish\.formats is 'paddle': write a list\.$"),
        ("gate.tolerance", "0.1", r"^run\.gate\.tolerance is '0\.1': input should be a valid number\.$"),
        ("config", 3, r"^run\.config is 3: write a mapping\.$"),
        ("overrides", "Global", r"^run\.overrides is 'Global': write a mapping\.$"),
        ("distill.teacher", "s3://a/b.pdparams", r"^run\.distill\.teacherSha256 is missing: "),
        ("train.epochs", 2.5, r"^run\.train\.epochs is 2\.5: "),
        ("train.epochs", "3", r"^run\.train\.epochs is '3': write a whole number\.$"),
        ("train.epochs", True, r"^run\.train\.epochs is True: write a whole number\.$"),
        (
            "train.epochs",
            2**53 + 1,
            r"^run\.train\.epochs is 9007199254740993: write a whole number of at most 2\^53\.$",
        ),
        ("train.epochs", float("nan"), r"^run\.train\.epochs is nan: write a whole number of at most 2\^53\.$"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(path, value, sentence):
    with pytest.raises(SpecError, match=sentence):
        from_dict(RunSpec, with_field(path, value), where="run")


@pytest.mark.parametrize("number", [1, 2.0, 2**53])
def test_a_whole_number_is_one_however_it_is_written(number):
    epochs = from_dict(RunSpec, with_field("train.epochs", number), where="run").train.epochs
    assert epochs == number
    assert isinstance(epochs, int)


def test_a_channels_name_may_be_as_long_as_a_jobs():
    assert from_dict(RunSpec, with_field("publish.promote", "a" * 37), where="run").publish.promote == "a" * 37


def test_a_user_reads_words_and_no_regular_expression():
    pattern = "^[0-9]+ Mi$"

    @dataclass(frozen=True)
    class Memory:
        limit: Annotated[str, runspec.spelled(pattern, "write mebibytes, such as 5 Mi")]

    with pytest.raises(SpecError, match=r"^memory\.limit is 'much': write mebibytes, such as 5 Mi\.$"):
        from_dict(Memory, {"limit": "much"}, where="memory")
    assert runspec.words_of(pattern) == "write mebibytes, such as 5 Mi"


def test_every_fault_of_a_file_is_told_at_once():
    raw = {**LEAST, "task": "x", "recip": "y"}
    with pytest.raises(SpecError) as caught:
        from_dict(RunSpec, raw, where="run")
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_field_is_named():
    with pytest.raises(SpecError, match=r"^run\.output is missing\.$"):
        from_dict(RunSpec, {k: v for k, v in LEAST.items() if k != "output"}, where="run")


def test_a_run_written_out_with_its_defaults_is_the_same_run():
    run = from_dict(RunSpec, LEAST, where="run")
    assert from_dict(RunSpec, to_dict(run), where="run") == run


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("5m", 300), ("24h", 86400)])
def test_durations_are_read_as_seconds(text, expected):
    assert expected == runspec.seconds(text)
