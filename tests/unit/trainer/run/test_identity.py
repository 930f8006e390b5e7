"""A run's name: the same for the same work, however it was written, in Python as in Helm."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from tests.chart import helm
from trainer import contract
from trainer.errors import SpecError
from trainer.formats.canonical_json import LARGEST, bare, canonical, digest
from trainer.formats.yaml import parse_yaml, to_yaml
from trainer.run import identity
from trainer.run.identity import FIRST, LATER, fields, run_id
from trainer.run.spec import STRICT, Number, RunSpec, Train, from_dict, to_dict

LEAST: dict[str, Any] = {
    "task": "rec",
    "recipe": "rec-crnn-mobile",
    "data": {"train": "s3://data/receipts/"},
    "output": "s3://models/r/",
}

NUMBERS = st.integers(-LARGEST, LARGEST) | st.floats(-LARGEST, LARGEST)
# No surrogates, which no YAML has, and half of what Go escapes in its own way.
# Nor control characters, which are refused.
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters=(*map(chr, range(0x7F, 0xA0)), "\ufffe", "\uffff"))
    | st.sampled_from("\u2028\u2029<>&\b\f\U0001f600")
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3))
MAPPINGS = st.dictionaries(TEXTS, VALUES, max_size=4)


def name(run: dict[str, Any], cls: type[RunSpec] = RunSpec, **how: Any) -> str:
    how = {"image": None, "device": "cpu", "devices": 2, **how}
    return run_id("receipts", run=from_dict(cls, run, where="run"), **how)


def turned(value: Any) -> Any:
    """Give the same data with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def floating(value: Any) -> Any:
    """Give the same data with every whole number as a float, as Helm has it."""
    if isinstance(value, dict):
        return {key: floating(item) for key, item in value.items()}
    if isinstance(value, list):
        return [floating(item) for item in value]
    return float(value) if type(value) is int else value


@given(MAPPINGS)
def test_the_canonical_form_depends_on_what_is_said_and_not_on_how(value: dict[str, Any]) -> None:
    """Order of keys, 1 or 1.0: one form."""
    assert canonical(value) == canonical(turned(value)) == canonical(floating(value))


@given(MAPPINGS)
def test_the_canonical_form_is_json_that_says_the_same(value: dict[str, Any]) -> None:
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.5e-10, "-1.5e-10"),
        (5e-324, "5e-324"),
        (0.1 + 0.2, "0.30000000000000004"),
        (2.0**53, "9007199254740992"),
        (1e15, "1000000000000000"),
        (123456.789, "123456.789"),
        (1.2345678901234568e20, "123456789012345680000"),
        (1e30, "1e+30"),
        ("<&>\u2028\x7f\b\x01é", '"<&>\\u2028\x7f\\b\\u0001é"'),
        ({"b": None, "a": [None, True]}, '{"a":[null,true],"b":null}'),
        ({"\U0001f600": 1, "\uffff": 2}, '{"\uffff":2,"\U0001f600":1}'),
    ],
)
def test_the_canonical_form_is_what_go_writes(value: object, text: str) -> None:
    """Numbers as JavaScript has them; keys by their bytes, not by the halves of UTF-16."""
    assert text == canonical(value)


@pytest.mark.parametrize("value", [LARGEST + 1, -LARGEST - 1, float("inf"), float("nan")])
def test_a_number_that_helm_would_round_is_refused(value: float) -> None:
    with pytest.raises(SpecError, match="is beyond ±2"):
        canonical({"a": [value]})


@pytest.mark.parametrize("text", ["9007199254740993", "0x3fffffffffffff"])
def test_a_file_with_such_a_number_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(
        SpecError, match=rf"job\.yaml:2:6 is not YAML: JSON would round {text}, so write it in quotes\."
    ):
        parse_yaml(f"a: 1\nb:  [{text}]\n", source="job.yaml")


@pytest.mark.parametrize("key", ["1", "1.5", "true", "y", "null", "[a]"])
def test_a_key_that_is_no_text_is_refused(key: str) -> None:
    """Helm makes a text of it, Python does not."""
    with pytest.raises(SpecError, match="is not a string, so write it in quotes"):
        parse_yaml(f"? {key}\n: 1\n", source="job.yaml")


def test_half_a_surrogate_pair_is_refused() -> None:
    """No UTF-8 has it, so no digest could be made."""
    with pytest.raises(SpecError, match=r"job\.yaml:1:7 is not YAML: found invalid Unicode"):
        parse_yaml('a: "\\ud800"\n', source="job.yaml")


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "overrides": MAPPINGS,
            "train": st.fixed_dictionaries({}, optional={"epochs": st.none() | st.integers(1, 99)}),
            "gate": st.fixed_dictionaries({}, optional={"tolerance": st.sampled_from([0, 1, 1e-5, 1e-7, 0.5])}),
        },
    )
)
def test_a_run_has_one_name_however_it_is_written(parts: dict[str, Any]) -> None:
    run = {**LEAST, **parts}
    whole = to_dict(from_dict(RunSpec, run, where="run"))
    assert name(run) == name(turned(run)) == name(bare(run)) == name(floating(run)) == name(whole)
    assert name(run) == name(parse_yaml(to_yaml(run), source="x"))


def test_other_work_has_another_name() -> None:
    names = {
        name(LEAST),
        name({**LEAST, "train": {"seed": 43}}),
        name({**LEAST, "overrides": {"Global.epoch_num": 2}}),
        name(LEAST, devices=4),
        name(LEAST, device="gpu"),
        name(LEAST, image="registry.example/trainer:1"),
    }
    assert len(names) == 6
    assert all(one.startswith("receipts-") and len(one) == len("receipts-") + 8 for one in names)


def test_a_key_without_a_value_is_as_if_left_out_but_in_a_list() -> None:
    """In a list `- CTCLabelEncode:` is a transform without arguments, and no Helm changes it."""
    assert name(LEAST) == name({**LEAST, "data": {**LEAST["data"], "eval": None}})
    assert name(LEAST) == name({**LEAST, "overrides": {"Global.pretrained_model": None}})
    one, other = ({**LEAST, "overrides": {"T": [{label: None}]}} for label in ("CTCLabelEncode", "NRTRLabelEncode"))
    assert name(one) != name(other)


def test_a_run_without_an_image_has_the_id_of_the_image_that_was_the_default_once() -> None:
    """A run on this machine that was started before keeps its id; after an upgrade it is another run."""
    assert name(LEAST) == name(LEAST, image=f"ocrfleet/trainer:{contract.VERSION}")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LaterBlur:
    """A part that 0.1 does not have."""

    sigma: Number = 0.5
    kind: str | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LaterTrain(Train):
    """A part that 0.1 has, with a field that it does not have."""

    warmup: Number = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LaterRun(RunSpec):
    """What a later release may add: a field in a part, a part, and fields whose default is a text, mapping or list."""

    train: LaterTrain = Field(default_factory=LaterTrain)
    blur: LaterBlur = Field(default_factory=LaterBlur)
    note: str = ""
    tags: Mapping[str, Any] = Field(default_factory=dict)
    sizes: tuple[int, ...] = (1, 2)
    owner: str | None = None


@pytest.mark.parametrize(
    "unset",
    [
        {},
        {"train": {"warmup": 0}},
        {"train": {"warmup": 0.0}},
        {"train": {"warmup": 0, "seed": 42}, "blur": {}},
        {"blur": {"sigma": 0.5, "kind": None}},
        {"note": "", "tags": {}, "sizes": [1, 2], "owner": None},
    ],
)
def test_a_later_field_that_has_its_default_is_not_in_the_id(unset: dict[str, Any]) -> None:
    """The run of a job file that was written before the field existed stays the same run."""
    assert name({**LEAST, **unset}, LaterRun) == name(LEAST)


def test_a_later_field_that_is_set_is_in_the_id() -> None:
    changes: list[dict[str, Any]] = [
        {"train": {"warmup": 1}},
        {"blur": {"sigma": 0.25}},
        {"blur": {"kind": "box"}},
        {"blur": {"sigma": 0.25, "kind": "box"}},
        {"note": "x"},
        {"tags": {"a": {}}},
        {"tags": {"a": ""}},
        {"sizes": [2, 1]},
        {"sizes": []},
        {"owner": ""},
    ]
    names = {name({**LEAST, **change}, LaterRun) for change in changes}
    assert len(names | {name(LEAST)}) == len(changes) + 1


def test_a_later_field_whose_default_changed_gives_another_id_to_files_that_relied_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They do other work now. A file that says what was the default does the same work, and keeps its id."""
    monkeypatch.setattr(identity, "LATER", {"train.warmup": 5})
    assert name({**LEAST, "train": {"warmup": 5}}, LaterRun) == name(LEAST)
    assert name(LEAST, LaterRun) != name(LEAST)


def test_no_field_of_run_has_changed_its_default_or_gone() -> None:
    """Files that do not set the field would do other work under another id, or other work under the same."""
    now = dict(fields(RunSpec))
    changed = [
        f"run.{path} was released with the default {json.dumps(default)} and has {json.dumps(now.get(path))} now"
        for path, default in {**FIRST, **LATER}.items()
        if path not in now or canonical(now[path]) != canonical(default)
    ]
    assert not changed, (
        f"{'; '.join(changed)}. Every job file that does not set it would be another run and train again. Keep it, and "
        "add a field for what is new; or bring it with a new apiVersion and a record in docs/decisions."
    )


def test_every_field_of_run_is_written_down_with_the_default_it_came_with() -> None:
    """Without that nobody would notice when the default changes."""
    new = {path: default for path, default in fields(RunSpec) if path not in {**FIRST, **LATER}}
    assert not new, (
        f"Add this to LATER in trainer/run/identity.py, and never to FIRST: {json.dumps(new)}. Then only the job files "
        "that set the new fields get another id."
    )


def test_no_part_of_run_may_be_missing_or_is_in_a_list_or_under_a_free_key() -> None:
    """Helm could not fill in its defaults, so the chart's id would differ from the command line's."""
    schema = TypeAdapter(RunSpec).json_schema()
    for part in (schema, *schema["$defs"].values()):
        for path, field in part["properties"].items():
            inner = [field.get(key) for key in ("anyOf", "items", "additionalProperties")]
            assert "$ref" not in json.dumps(inner), path


SPELLINGS = r"""
n Y N y yes On off ~ Null True tRUE 0777 0o17 -0o7 1_000 0b101 0x1F 0X1F 1__0 _1 -_1 0_7 1_ 00 -0x1 +5 -0 09 0o8 0x 0b
.5 5. +.5 +1e4 1e-5 1.e3 08.5 -0.0 0.000001 0.0000001 1e15 1e1_0 1e_5 .1_0 1e 1e5.5 1.2.3 1.5E-0007 5e-324 nan Infinity
6:2:2 1:30 2026-11-01 . .. + ._ '~' 'y' '1e-5' '09' é😀 "\u2028<>&\b\f\x01"
"""


@pytest.mark.parametrize("which", helm.LAYERS)
def test_helm_reads_every_spelling_of_a_scalar_as_python_does(which: str, tmp_path: Path) -> None:
    """Else one job file has two names, and perhaps two meanings."""
    job = "".join(f"k{number}: [{spelling}]\n" for number, spelling in enumerate(SPELLINGS.split()))
    seen = helm.seen(which, chart=tmp_path, job=job, scratch=tmp_path, template="toRawJson .Values")
    assert seen == canonical(parse_yaml(job, source="job.yaml"))


@pytest.mark.parametrize("which", helm.LAYERS)
@settings(max_examples=15, deadline=None)
@given(values=st.lists(MAPPINGS, max_size=20))
def test_helm_and_python_make_the_same_digest(which: str, values: list[Any], tmp_path_factory: Any) -> None:
    """Of whatever a configuration may hold, written by `ocrfleet`."""
    scratch = tmp_path_factory.mktemp("helm", numbered=True)
    job = to_yaml({"values": values})
    seen = helm.seen(
        which, chart=scratch, job=job, scratch=scratch, template='toRawJson (dict "values" .Values.values) | sha256sum'
    )
    assert seen == digest({"values": values}) == hashlib.sha256(canonical({"values": values}).encode()).hexdigest()
