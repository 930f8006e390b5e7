"""`--set`, in Helm's manners."""

from typing import Any

import pytest

from jobs.jobfile.overrides import apply
from trainer.errors import SpecError


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("run.train.epochs=3", {"run": {"train": {"epochs": 3}, "old": 1}}),
        ("run.old=null", {"run": {}}),
        ("run.old=", {"run": {}}),
        ("run.none=null", {"run": {"old": 1}}),
        ("run.a=true", {"run": {"old": 1, "a": True}}),
        ("run.a=1e-4", {"run": {"old": 1, "a": 0.0001}}),
        ('run.a="3"', {"run": {"old": 1, "a": "3"}}),
        ("run.a=6:2:2", {"run": {"old": 1, "a": "6:2:2"}}),
        ("run.a=s3://b/k=v,w", {"run": {"old": 1, "a": "s3://b/k=v,w"}}),
        ("run.a=[x, 1]", {"run": {"old": 1, "a": ["x", 1]}}),
        ("run.a={x,1}", {"run": {"old": 1, "a": ["x", 1]}}),
        ("run.a={x: 1}", {"run": {"old": 1, "a": {"x": 1}}}),
        ("run.a[1]=x", {"run": {"old": 1, "a": [None, "x"]}}),
        ("run.a[0].b[0]=x", {"run": {"old": 1, "a": [{"b": ["x"]}]}}),
        (r"run.o.Global\.epoch_num=2", {"run": {"old": 1, "o": {"Global.epoch_num": 2}}}),
        (r"run.o.x\[0\]=2", {"run": {"old": 1, "o": {"x[0]": 2}}}),
        ("run.old=2,name=x", {"run": {"old": 2}, "name": "x"}),
    ],
)
def test_an_option_changes_one_field(option: str, expected: dict[str, Any]) -> None:
    raw: dict[str, Any] = {"run": {"old": 1}}
    apply(raw, option)
    assert raw == expected


def test_the_largest_index_is_999() -> None:
    raw: dict[str, Any] = {}
    apply(raw, "a[999]=3")
    assert raw == {"a": [*[None] * 999, 3]}


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("run.train.epochs", "has no value"),
        ("=3", "has no value"),
        ("a..b=3", "is not a path"),
        ("[0]=3", "is not a path"),
        ("a[x]=3", "is not a path"),
        ("a.=3", "is not a path"),
        ("run.old.x=3", "'x' cannot be a field of a number"),
        ("run[0]=3", "[0] cannot be an item of a mapping"),
        ("run.a[1000]=3", "is too large for a list of the job file"),
        (f"run.a[{'9' * 5000}]=3", "is not a path"),
        ("run.a=[1", "--set run.a:1:"),
    ],
)
def test_an_option_that_cannot_be_is_refused(option: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply({"run": {"old": 1}}, option)
    assert sentence in str(caught.value)
