"""The text of a job file: what is read of YAML, what is refused, and what is written."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.jobfile import model as jobfile
from jobs.jobfile import text as jobtext
from tests.unit.jobs.jobfile.files import MINIMAL, WHOLE
from trainer.errors import SpecError
from trainer.formats.canonical_json import LARGEST
from trainer.formats.yaml import parse_yaml, to_yaml


@pytest.mark.parametrize("text", [MINIMAL, WHOLE])
def test_what_is_dumped_loads_the_same(text: str) -> None:
    job = jobfile.load(text)
    assert jobfile.load(jobfile.dump(job)) == job


NUMBERS = st.integers(-LARGEST, LARGEST) | st.floats(-LARGEST, LARGEST)


# YAML has no place for control characters, nor for the two that are none.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(0x7F, 0xA0)), *"\ufffe\uffff"])
)


SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS


VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3))


@settings(deadline=None)
@given(VALUES)
def test_any_json_value_survives_yaml(value: Any) -> None:
    """Also '1e-4', '6:2:2', '2026-11-01', 'no' and '~', as texts."""
    assert parse_yaml(to_yaml(value), source="x") == value


@pytest.mark.parametrize(
    "text", ["1e-4", "6:2:2", "2026-11-01", "no", "~", "0x1F", "1_000", ".5", ".inf", "=", "<<", ""]
)
def test_a_text_that_looks_like_something_else_stays_a_text(text: str) -> None:
    assert parse_yaml(to_yaml({"a": text}), source="x") == {"a": text}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: [1", "is not YAML"),
        (b"- a\n", "is not a job file: a job file begins with"),
        (b"", "is not a job file"),
        (b"name: a\nname: b\n", ":2:1 is not YAML: the key 'name' appears twice"),
        (b"name: \xff\n", "is not UTF-8 text: byte 6"),
        (b"#" * 1_000_001, "larger than 1,000,000 bytes"),
        (b"a: 1\n---\nb: 2\n", "is not YAML"),
    ],
    ids=["broken", "list", "empty", "twice", "bytes", "large", "two documents"],
)
def test_a_file_that_is_no_job_file_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        jobfile.load(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


NINE_TIMES_NINE = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)
)


MERGED = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (NINE_TIMES_NINE, "job file:5:5 is not YAML: it has more than 20,000 values when its aliases are expanded."),
        (MERGED, "it has more than 20,000 values when its aliases are expanded."),
        ("a: &a [*a]\n", "it has more than 20,000 values when its aliases are expanded."),
        ("- 1\n" * 200_000, "job file:20000:3 is not YAML: it has more than 20,000 values."),
        ("[" * 100_000, "job file is nested too deeply. Flatten it"),
        ("run: {a: 1, b: 2, a: 3}\n", "job file:1:19 is not YAML: the key 'a' appears twice."),
        ("1: a\n1: b\n", "job file:2:1 is not YAML: the key '1' appears twice."),
        (f"a: {'1' * 5000}\n", "job file is not YAML: Exceeds the limit"),
        ("a: 1e999\n", "job file:1:4 is not YAML: 1e999 is too large for a number."),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor for the tag"),
        ("a: !!timestamp 2026-11-01\n", "could not determine a constructor for the tag"),
        ("a: \x00\n", "job file is not YAML: unacceptable character"),
    ],
    ids=[
        "aliases to aliases",
        "merges of merges",
        "a list in itself",
        "a long list",
        "deep",
        "twice in a mapping",
        "a number twice",
        "digits",
        "infinite",
        "an object",
        "a date",
        "a control character",
    ],
)
def test_yaml_that_would_fill_the_memory_or_has_no_place_in_json_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        jobfile.load(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_10_megabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"a: 1\n" * 2_000_000)
    taken: list[str] = []
    monkeypatch.setattr(jobtext, "parse_yaml", lambda text, **_: taken.append(text))
    with pytest.raises(SpecError, match="larger than 1,000,000 bytes"):
        jobfile.load(path)
    assert taken == []


def test_standard_input_that_does_not_end_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.StringIO("#" * 3_000_000)
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(SpecError, match=r"^Standard input is larger than 1,000,000 bytes, too large for a job file\.$"):
        jobfile.load(jobtext.STDIN)
    assert stdin.tell() < 1_100_000


def test_aliases_and_merges_serve_where_they_stay_small() -> None:
    raw = parse_yaml("a: &a {x: 1, z: 2}\nb: *a\nc: {<<: *a, z: 3}\n", source="x")
    assert raw == {"a": {"x": 1, "z": 2}, "b": {"x": 1, "z": 2}, "c": {"x": 1, "z": 3}}


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="ocrfleet init"):
        jobfile.load(tmp_path / "none.yaml")


def test_a_folder_is_not_a_job_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        jobfile.load(tmp_path)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("yes", 'is yes, which YAML does not read as a string: put it in quotes, "yes".'),
        ("on", 'is on, which YAML does not read as a string: put it in quotes, "on".'),
        ("007", 'is 007, which YAML does not read as a string: put it in quotes, "007".'),
        ("1e3", 'is 1e3, which YAML does not read as a string: put it in quotes, "1e3".'),
        ("true", 'is true, which YAML does not read as a string: put it in quotes, "true".'),
        ("", 'has no value: write a string, or "" for an empty one.'),
    ],
)
def test_what_yaml_makes_another_type_is_shown_as_it_is_written(written: str, said: str) -> None:
    content = f"{MINIMAL}placement: {{image: a/b:1, nodeSelector: {{gpu: {written}}}}}\n"
    for raw in (jobtext.read(content), jobtext.with_engine(jobtext.read(content), "jobset")):
        with pytest.raises(SpecError) as refused:
            jobfile.from_raw(raw)
        assert str(refused.value) == f"placement.nodeSelector.gpu {said}"


def test_what_is_not_in_the_file_is_shown_as_yaml_writes_it() -> None:
    for raw in (
        jobtext.read(f"{MINIMAL}placement: {{nodeSelector: {{gpu: yes}}}}", sets=["placement.nodeSelector.gpu=1"]),
        jobtext.read(f"{MINIMAL}placement: {{nodeSelector: {{<<: {{gpu: 0x1}}}}}}"),
        dict(jobtext.read(f"{MINIMAL}placement: {{nodeSelector: {{gpu: 0x1}}}}")),
    ):
        with pytest.raises(SpecError, match=r"gpu is 1, which YAML does not read as a string"):
            jobfile.from_raw(raw)
