"""What `ocrfleet render` refuses, `ocrfleet check` without a cluster refuses too: the same sentence, the same code."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from docs.chart import CHART
from jobs import cli
from tests.chart.helm import HelmError, outcome, rendered, sentence
from tests.chart.test_leaves import NEEDS, REFUSED, SILENT, other, with_fields
from tests.chart.test_rules import IN_THE_SCHEMA, REFUSALS
from trainer.contract import ExitCode
from trainer.formats.yaml import to_yaml

LARGE: Final = {"run.recipe": None, "run.config": {"Global": {"a": "é" * 103_000}}}
TWICE: Final = [{"name": "scans", "mountPath": "/a"}, {"name": "scans", "mountPath": "/b"}]
FROM_FILE: Final = [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "a", "path": "b", "volumeName": "c"}}}]
ONE_ENGINE: Final[list[dict[str, Any]]] = [
    *(
        {"placement.engine": engine, **NEEDS.get(path, {}), path: other(path)}
        for engine, paths in SILENT.items()
        for path in paths
    ),
    {"placement.engine": "trainjob", "chart.extraEnv": FROM_FILE},
    {
        "placement.engine": "trainjob",
        "chart.extraVolumes": [{"name": "scans", "emptyDir": {}}],
        "chart.extraVolumeMounts": TWICE,
    },
]
"""What the chart refuses for one engine."""

OTHERS: Final[list[dict[str, Any]]] = [
    *({path: other(path)} for path in REFUSED if path != "placement.engine"),
    *ONE_ENGINE,
    LARGE,
    {"placement.image": None},
    {"placement.nodes": 0},
    {"placement.retries": "three", "run.task": "cls"},
    {"run.data.trian": "s3://a/"},
    *(
        {"chart.extraEnv": [{"name": "A", "value": character}]}
        for character in ("\x7f", "\x85", "\x9f", "\ufffe", "\uffff")
    ),
]
CASES: Final = [*(fields for fields, *_ in (*REFUSALS, *IN_THE_SCHEMA)), *OTHERS]


@pytest.fixture
def ocrfleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCRFLEET_CACHE", str(tmp_path / "cache"))

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        return (cli.main(words), *capfd.readouterr())

    return run


@pytest.mark.parametrize("fields", CASES, ids=lambda fields: ",".join(fields))
def test_check_refuses_what_render_refuses(
    fields: dict[str, Any], ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    local = {"run.data.train": f"file://{tmp_path}/none", "run.output": f"file://{tmp_path}/models"}
    Path("job.yaml").write_text(to_yaml(with_fields({**local, **fields})), "utf-8")
    code, out, err = ocrfleet("render", "job.yaml")
    assert (code, out) == (ExitCode.SPEC, "")
    refusals = [line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")]
    checked, found, _ = ocrfleet("check", "job.yaml")
    assert checked == code
    assert [line for line in found.splitlines() if line.startswith("error")][: len(refusals)] == [
        f"error  {sentence}" for sentence in refusals
    ]
    assert found.splitlines()[-1].startswith("The job cannot run: ")


def test_the_cases_cover_every_sentence_with_which_the_chart_refuses(tmp_path: Path) -> None:
    """A new refusal gets a case here, so that `check` is proven to know it."""
    templates = "".join(path.read_text("utf-8") for path in sorted(CHART.glob("templates/**/*.tpl")))
    sentences = re.findall(r'fail \(?(?:printf )?"((?:[^"\\]|\\.)+)"', templates)
    assert len(sentences) == len(re.findall(r"\bfail\b", templates))
    met = {made for fields in CASES if isinstance(made := outcome(with_fields(fields)), str)}
    met.add(str(outcome(with_fields({"placement.engine": "auto"}))))
    met.add(_in_helm_3({"run.init.student": "\x85"}, tmp_path))
    unmet = [each for each in sentences if not any(re.match(_pattern(each), made) for made in met)]
    assert unmet == []


def _in_helm_3(fields: dict[str, Any], scratch: Path) -> str:
    """Return the sentence with which Helm 3 refuses what the schema refuses in the others."""
    job = scratch / "job.yaml"
    job.write_text(to_yaml(with_fields(fields)), "utf-8")
    with pytest.raises(HelmError) as refused:
        rendered("helm3", job)
    return sentence(refused.value)


def _pattern(sentence: str) -> str:
    return ".*".join(re.escape(part) for part in re.split("%[sdv]", sentence))
