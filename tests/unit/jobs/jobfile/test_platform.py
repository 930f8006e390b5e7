"""A job file is the chart's values: what the model takes the schema takes, with the same defaults, in every Helm."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from docs import chart
from jobs.jobfile import model as jobfile
from tests.chart import helm
from trainer.errors import SpecError
from trainer.formats.yaml import parse_yaml, to_yaml
from trainer.run.identity import NO_IMAGE, only_when_set, run_id

ROOT = Path(__file__).parents[4]
FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = [
    *sorted([*ROOT.glob("examples/*/*.yaml"), *ROOT.glob("benchmarks/jobs/*.yaml")]),
    *sorted(ROOT.glob("charts/*/ci/*.yaml")),
]
JOBS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FILES} | {
    f"{page.relative_to(ROOT).as_posix()}:{number}": block
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    for number, block in enumerate(FENCE.findall(page.read_text("utf-8")))
    if "apiVersion: ocrfleet.io" in block
}
SCHEMA = json.loads((chart.CHART / "values.schema.json").read_text("utf-8"))


def matches(_: Any, pattern: str, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    """To Go and to pydantic `$` is the end; to Python's `re` it is also the last line's."""
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


VALIDATOR = jsonschema.validators.extend(jsonschema.Draft7Validator, {"pattern": matches})(SCHEMA)


def parts(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every field's path and schema."""
    for name, field in schema["properties"].items():
        if name != "global":
            yield f"{path}{name}", field
            if "properties" in field:
                yield from parts(field, f"{path}{name}.")


FIELDS = dict(parts(SCHEMA))
BESIDE = {
    "run.config": {"run.recipe": None},
    "run.init.pretrained": {"run.init.sha256": "0" * 64},
    "placement.storage.cache.storageClass": {"placement.storage.cache.ephemeral": "1Gi"},
    "chart.identity.role": {"chart.identity.preset": "aws-irsa"},
    "chart.identity.account": {"chart.identity.preset": "gke"},
    "chart.identity.clientId": {"chart.identity.preset": "azure"},
}
"""What a field needs beside it."""


def put(raw: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Give a copy with a field set; `...` takes it out."""
    result = copy.deepcopy(raw)
    place, (*steps, last) = result, path.split(".")
    for step in steps:
        if not isinstance(place.get(step), dict):
            place[step] = {}
        place = place[step]
    if value is ...:
        place.pop(last, None)
    else:
        place[last] = value
    return result


def with_examples(*paths: str) -> dict[str, Any]:
    raw: dict[str, Any] = chart.LEAST
    for path in paths:
        for beside, value in BESIDE.get(path, {}).items():
            raw = put(raw, beside, value)
        raw = put(raw, path, chart.EXAMPLES[path])
    return raw


RICH = with_examples(
    *(
        path
        for path in chart.EXAMPLES
        if path not in BESIDE
        and path not in ("placement.storage.cache.ephemeral", "placement.storage.cache.existingClaim")
        and path != "placement.credentialsSecret"
    )
) | {"schedule": {"cron": "0 3 * * 0", "timeZone": "Asia/Shanghai"}}
RICH["chart"] |= {
    "extraEnv": [{"name": "A", "value": "b"}],
    "podLabels": {"team": "ocr"},
    "extraVolumes": [{"name": "v"}],
}
RICH["placement"] |= {
    "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
    "tolerations": [{"operator": "Exists"}],
}


def verdicts(raw: dict[str, Any]) -> tuple[str, str]:
    """Give what the model and what the schema say; the model's rules over several fields by a word of their own."""
    by_schema = "taken" if VALIDATOR.is_valid(raw) else "refused"
    try:
        jobfile.load(to_yaml(raw))
    except SpecError as error:
        found = getattr(error.__cause__, "errors", list)()
        return ("rule" if found and all(e["type"] == "value_error" for e in found) else "refused"), by_schema
    return "taken", by_schema


@pytest.mark.parametrize("job", JOBS.values(), ids=list(JOBS))
def test_every_job_file_that_is_shown_is_values_of_the_chart(job: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(parse_yaml(job, source="job.yaml"))] == []


def test_a_job_with_every_field_is_taken_by_model_and_schema() -> None:
    assert verdicts(RICH) == ("taken", "taken")


@pytest.mark.parametrize("path", chart.EXAMPLES)
def test_every_example_in_the_values_fits(path: str) -> None:
    """What a reader uncomments is right."""
    assert verdicts(with_examples(path)) == ("taken", "taken")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70_000)
    | st.floats(-2, 70_000)
    | st.text(max_size=4)
    | st.sampled_from(["", "a", "A", "a.b", "a\n", "5m", "0s", "1Gi", "0:0:0", "1:0:0", "s3://b/x", "2.0", "yes", "/x"])
    | st.sampled_from([value for value in chart.EXAMPLES.values() if isinstance(value, str)])
    | st.sampled_from(["det", "acc", "aws-irsa", "azure", "auto", "Always", "10.0.0.0/8", "::/0", "10.0.0.256/8"])
)
VALUES = st.recursive(
    SCALARS,
    lambda v: (
        st.lists(v, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "value", "cpu", "a b", "kubernetes.io/x", "/x"]) | st.text(max_size=3), v
        )
    ),
    max_leaves=4,
)
CHANGES = st.tuples(
    st.sampled_from(list(FIELDS)),
    VALUES | st.sampled_from([field["default"] for field in FIELDS.values() if "default" in field]),
)
DROPS = st.tuples(st.sampled_from(list(FIELDS)), st.just(...))
STRANGERS = st.tuples(
    st.sampled_from(
        [f"{path}.{word}" for path, field in FIELDS.items() if "properties" in field for word in ("x", "name")]
    ),
    SCALARS,
)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from([chart.LEAST, RICH]), st.lists(CHANGES | DROPS | STRANGERS, min_size=1, max_size=2))
@example(chart.LEAST, [("run.init.student", "\x7f")])
def test_model_and_schema_take_and_refuse_the_same(raw: dict[str, Any], changes: list[tuple[str, Any]]) -> None:
    """But for rules over several fields, which the chart's templates say where the schema does not."""
    for path, value in changes:
        raw = put(raw, path, value)
    model, by_schema = verdicts(raw)
    assert model in ("rule", by_schema)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("run.recipe", ...),
        ("run.gate.metric", "hmean"),
        ("run.init.pretrained", "s3://b/x.pdparams"),
        ("placement.storage.cache.storageClass", "fast"),
        ("chart.identity.preset", "aws-irsa"),
        ("chart.identity.preset", "azure"),
        ("chart.identity.account", "a@b.iam.gserviceaccount.com"),
        ("chart.topology.required", True),
    ],
)
def test_a_rule_that_a_schema_can_say_in_words_is_in_it(path: str, value: Any) -> None:
    assert verdicts(put(chart.LEAST, path, value)) == ("rule", "refused")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("chart.podLabels", {"job-name": "a"}),
        ("chart.podAnnotations", {"ocrfleet.io/run": "a"}),
        ("chart.podMonitor.labels", {"ocrfleet.io/run": "a"}),
        ("chart.serviceAccount.annotations", {"eks.amazonaws.com/role-arn": "a"}),
        ("chart.extraEnv", [{"name": "A", "value": "b"}, {"name": "AWS_REGION", "value": "a"}]),
    ],
)
def test_a_name_that_only_ocrfleet_sets_is_refused_with_its_field(path: str, value: Any) -> None:
    with pytest.raises(SpecError, match=rf"{re.escape(path)} has "):
        jobfile.load(to_yaml(put(chart.LEAST, path, value)))


def texts() -> Iterator[tuple[str, Any, str]]:
    """Yield every place of the job file for a text or a free key: the field, its value with a mark there, the mark."""
    mark = "MARK"
    for path, field in FIELDS.items():
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        if "string" in kinds:
            yield path, f"{chart.EXAMPLES.get(path) or field.get('default') or ''}{mark}", mark
        elif "items" in field and "string" in field["items"]["type"]:
            yield path, [mark], mark
        elif "object" in kinds and "properties" not in field:
            for value in ({mark: "a"}, {"a": mark}, {"a": [{"b": [mark]}]}, {"a": {"b": {mark: 1}}}):
                yield path, value, mark
        elif "items" in field and path != "chart.extraEnv":
            for value in ([{mark: "a"}], [{"a": mark}], [{"a": [{"b": mark}]}]):
                yield path, value, mark
    yield "chart.extraEnv", [{"name": "A", "value": mark}], mark
    yield "chart.extraEnv", [{"name": "A", "valueFrom": {"a": {"b": mark}}}], mark


TEXTS = list(texts())


@pytest.mark.parametrize("character", ["\x7f", "\x80", "\x85", "\x9f", "\ufffe", "\uffff"])
def test_a_character_that_yaml_has_no_place_for_is_refused_in_every_text(character: str) -> None:
    for path, value, mark in TEXTS:
        spoilt = json.loads(json.dumps(value).replace(mark, json.dumps(f"a{character}")[1:-1]))
        assert verdicts(put(with_examples(), path, spoilt)) == ("refused", "refused"), (path, spoilt)


@pytest.mark.parametrize(
    "character", ["\x00", "\x1f", "\n", "\t", "~", "\xa0", "\ufeff", "\ufffd", "\U00010000", "\U0010ffff"]
)
def test_any_other_character_is_taken_in_a_free_text(character: str) -> None:
    for path, value in (
        ("run.init.student", character),
        ("run.overrides", {character: [{character: character}]}),
        ("chart.extraEnv", [{"name": "A", "value": character}]),
    ):
        assert verdicts(put(chart.LEAST, path, value)) == ("taken", "taken"), path


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("run.init.student", "a\x7f", "at '/run/init/student'"),
        ("run.data.train", "s3://b/\x85", "at '/run/data/train'"),
        ("run.overrides", {"a": [{"b\uffff": 1}]}, "at '/run/overrides/a/0'"),
    ],
)
def test_every_helm_refuses_such_a_character_and_helm_4_names_its_place(
    path: str, value: Any, place: str, tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(to_yaml(put(chart.LEAST, path, value)), "utf-8")
    with pytest.raises(helm.HelmError, match=re.escape(place)):
        helm.rendered("helm4", job)
    # Helm 3 writes the values as YAML for the schema, which fails for most. U+0085 gets as far as the templates.
    with pytest.raises(helm.HelmError, match=r"control characters are not allowed|the job file has a control char"):
        helm.rendered("helm3", job)


def test_every_form_of_a_text_has_its_remedy_in_the_schema() -> None:
    """A refusal in an editor says what to write, not only which expression does not match."""
    for path, field in FIELDS.items():
        for part in (field, field.get("items", {})):
            if "pattern" in part:
                assert len(part["description"]) > 20, path


def test_the_values_are_the_defaults_and_nothing_else() -> None:
    values = parse_yaml((chart.CHART / "values.yaml").read_text("utf-8"), source="values.yaml")
    assert values == chart.defaults() == json.loads((chart.CHART / "defaults.json").read_text("utf-8"))


def test_what_was_written_from_the_model_is_what_the_model_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make verify` has nothing to complain of."""
    monkeypatch.setattr(chart, "CHART", tmp_path)
    chart.write()
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (ROOT / "charts" / "ocr-training" / path.name).read_bytes()


LATER = " ".join('(unset .Values.run.{0} "{2}")'.format(*path.rpartition(".")) for path, _ in only_when_set())
"""Leaves out the fields that were added after 0.1. None of these jobs sets one."""

IDENTITY = f"""last (list {LATER} (toRawJson (dict "run" .Values.run "device" (.Values.placement.device | default "gpu")
  "image" (.Values.placement.image | default {json.dumps(NO_IMAGE)})
  "devices" (mul .Values.placement.nodes .Values.placement.devicesPerNode)) | sha256sum | trunc 8))"""


@pytest.mark.parametrize("which", helm.LAYERS)
@pytest.mark.parametrize("job", [*JOBS.values(), to_yaml(RICH)], ids=[*JOBS, "rich"])
def test_helm_lays_a_job_over_the_same_defaults_and_so_names_the_run_alike(
    which: str, job: str, tmp_path: Path
) -> None:
    """In the least Helm and in the newest."""
    values = helm.merged(which, chart=chart.CHART, job=job, scratch=tmp_path)
    known = jobfile.load(job)
    assert values == json.loads(json.dumps(jobfile.as_dict(known)))
    placement = known.placement
    name = run_id(
        known.name,
        run=known.run,
        image=placement.image,
        device=placement.device or "gpu",
        devices=placement.nodes * placement.devices_per_node,
    )
    in_helm = helm.seen(which, chart=chart.CHART, job=job, scratch=tmp_path, template=f"({IDENTITY})")
    assert name == f"{known.name}-{in_helm}"


@pytest.mark.parametrize("which", helm.LAYERS)
@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("run.recipe", ..., "recipe"),
        ("run.trian", 1, "trian"),
        ("run.data.train", "gs://x", "s3://"),
        ("run.gate.metric", "hmean", "acc"),
        ("run.init.pretrained", "s3://b/x.pdparams", "sha256"),
        ("name", "Receipts", "name"),
        ("placement.nodes", "two", "integer"),
        ("placement.nodes", 0, "nodes"),
        ("placement.nodeSelector", {"a b": "c"}, "a b"),
        ("placement.resources", {"limits": {"cpu": "1GB"}}, "limits"),
        ("chart.identity.preset", "azure", "clientId"),
        ("chart.networkPolicy.s3.cidrs", ["10.0.0.0"], "cidrs"),
        ("chart.proxy.no", ["x"], "no"),
    ],
)
def test_helm_refuses_what_the_schema_refuses_and_names_the_place(
    which: str, path: str, value: Any, words: str, tmp_path: Path
) -> None:
    """The least Helm and the newest, whose validators are not one."""
    with pytest.raises(helm.HelmError) as caught:
        helm.merged(which, chart=chart.CHART, job=to_yaml(put(chart.LEAST, path, value)), scratch=tmp_path)
    assert "values don't meet the specifications of the schema" in str(caught.value)
    assert words in str(caught.value)
    assert path.split(".")[0] in str(caught.value)
