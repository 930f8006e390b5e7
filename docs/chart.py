"""Writes what the chart says of its values from the model of the job file: values.yaml, the schema, the README.

A job file is the chart's values, so nothing here has a text or a default of its own. What a schema can't say (two
fields that exclude each other) the chart's templates say, in the model's own sentences.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from docs.fields import line, meaning, schema, table, values_of
from jobs.jobfile import model as jobfile
from trainer import contract
from trainer.formats.canonical_json import LARGEST
from trainer.formats.yaml import CONTROL, to_yaml
from trainer.run.identity import only_when_set
from trainer.run.spec import words_of

CHART: Final = Path(__file__).parents[1] / "charts" / "ocr-training"
HEAD: Final = "Written by docs/chart.py from the model of the job file; `make verify` writes it again."
WIDTH: Final = 100

LEAST: Final = {
    "apiVersion": contract.API_VERSION,
    "name": "receipts-rec",
    "run": {
        "task": "rec",
        "recipe": "rec-pp-ocrv3",
        "data": {"train": "s3://ocr-data/receipts/"},
        "output": "s3://ocr-models/receipts-rec/",
    },
}
"""The least job file, which every example fits into."""

EXAMPLES: Final[dict[str, Any]] = {
    "name": LEAST["name"],
    "run.task": "rec",
    "run.recipe": "rec-pp-ocrv3",
    "run.config": {"Global": {"epoch_num": 20}},
    "run.data.train": "s3://ocr-data/receipts/",
    "run.data.eval": "s3://ocr-data/receipts-eval/",
    "run.data.digest": "0" * 64,
    "run.init.pretrained": "s3://ocr-models/pretrained/rec.pdparams",
    "run.init.sha256": "0" * 64,
    "run.init.student": "Student",
    "run.distill.teacher": "channel:teacher",
    "run.distill.teacherSha256": "0" * 64,
    "run.distill.teacherNetwork": "Teacher",
    "run.distill.publish": "Student",
    "run.distill.fineTuneEpochs": 20,
    "run.distill.baseline": "channel:production",
    "run.train.epochs": 20,
    "run.train.batchSizePerDevice": 64,
    "run.train.readers": 4,
    "run.gate.metric": "acc",
    "run.gate.minimum": 0.9,
    "run.gate.notWorseThan": "production",
    "run.output": "s3://ocr-models/receipts-rec/",
    "run.publish.promote": "candidate",
    "placement.device": "gpu",
    "placement.image": "registry.example/ocrfleet/trainer:0.1.0",
    "placement.queue": "team-ocr",
    "placement.priority": "high",
    "placement.storage.cache.emptyDir": "50Gi",
    "placement.storage.cache.ephemeral": "200Gi",
    "placement.storage.cache.storageClass": "fast",
    "placement.storage.cache.existingClaim": "datasets",
    "placement.serviceAccount": "trainer",
    "placement.credentialsSecret": "bucket-keys",
    "notify.webhookSecret": "on-end",
    "schedule.cron": "0 3 * * 0",
    "chart.endpoint.url": "https://s3.example.com",
    "chart.endpoint.region": "eu-central-1",
    "chart.identity.role": "arn:aws:iam::123456789012:role/ocr-trainer",
    "chart.identity.account": "trainer@project.iam.gserviceaccount.com",
    "chart.identity.clientId": "00000000-0000-0000-0000-000000000000",
    "chart.serviceAccount.name": "ocr-trainer",
    "chart.networkPolicy.metricsFrom.namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
    "chart.networkPolicy.metricsFrom.podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    "chart.proxy.http": "http://proxy.example.com:3128",
    "chart.proxy.https": "http://proxy.example.com:3128",
    "chart.caBundle.configMap": "our-authorities",
    "chart.rdma.resource": "rdma.example.com/hca",
    "chart.topology.key": "topology.kubernetes.io/zone",
}
"""A value for each field that has no default."""

DET: Final = ["hmean", "precision", "recall"]
REC: Final = ["acc", "norm_edit_dis"]


def _needs(field: str, *, where: Mapping[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": where, "required": list(where)}, "then": {"required": [field]}}


# Of what a channel names, the manifest has the digest.
_FILE: Final = {"type": "string", "not": {"pattern": "^channel:"}}

RULES: Final[dict[str, list[dict[str, Any]]]] = {
    "run": [
        {
            "if": {"properties": {"config": {"type": "object"}}, "required": ["config"]},
            "else": {"required": ["recipe"], "properties": {"recipe": {"type": "string"}}},
        },
        {
            "if": {"properties": {"task": {"const": "det"}}},
            "then": {"properties": {"gate": {"properties": {"metric": {"enum": [*DET, None]}}}}},
            "else": {"properties": {"gate": {"properties": {"metric": {"enum": [*REC, None]}}}}},
        },
    ],
    "run.init": [_needs("sha256", where={"pretrained": _FILE})],
    "run.distill": [_needs("teacherSha256", where={"teacher": _FILE})],
    "placement.storage.cache": [_needs("ephemeral", where={"storageClass": {"type": "string"}})],
    "chart.identity": [
        _needs("role", where={"preset": {"const": "aws-irsa"}}),
        _needs("clientId", where={"preset": {"const": "azure"}}),
    ],
}
"""Rules over several fields that a schema can say so that a reader of its refusal knows what to do."""


def write() -> None:
    """Write the files."""
    files = {
        "Chart.yaml": f"# {HEAD}\n{to_yaml(about())}",
        "values.yaml": values(),
        "values.schema.json": _escaped(json.dumps(draft7(), indent=1, ensure_ascii=False)) + "\n",
        "defaults.json": json.dumps(defaults(), indent=1, ensure_ascii=False) + "\n",
        "identity.json": json.dumps(identity(), indent=1, ensure_ascii=False) + "\n",
        "README.md": readme(),
    }
    CHART.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (CHART / name).write_text(text, "utf-8", newline="\n")


def about() -> dict[str, Any]:
    """Give Chart.yaml: the chart has the version of the trainer that it runs."""
    return {
        "apiVersion": "v2",
        "name": "ocr-training",
        "description": "Trains a PaddleOCR text detector or recogniser from one job file",
        "type": "application",
        "version": version("ocrfleet"),
        "appVersion": version("ocrfleet"),
        "kubeVersion": ">=1.31.0-0",
        "keywords": ["ocr", "paddleocr", "paddlepaddle", "training"],
        # The templates hand it to the pod, and the command line refuses a chart of another one.
        "annotations": {contract.CONTRACT_ANNOTATION: str(contract.CONTRACT)},
    }


# --- the defaults ---------------------------------------------------------------------------------------------------


def defaults() -> dict[str, Any]:
    """Give every default of the job file, and nothing else.

    The templates lay the values over them: where a user writes `split: null`, Helm drops the chart's own default, and
    to the model a null means the default.
    """
    job = jobfile.as_dict(jobfile.load(to_yaml(LEAST)))
    return {**_without(job, LEAST), "apiVersion": contract.API_VERSION}


def _without(value: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without(item, given[key]) if isinstance(given.get(key), Mapping) else item
        for key, item in value.items()
        if key not in given or isinstance(given[key], Mapping)
    }


def identity() -> dict[str, Any]:
    """Return what the template of the run id has to know: the fields that are hashed only when they are set."""
    return {"onlyWhenSet": [{"path": path, "default": default} for path, default in only_when_set()]}


# --- values.yaml ----------------------------------------------------------------------------------------------------


def values() -> str:
    """Give values.yaml: every field with its text and its default, or an example where it has none."""
    found = schema()
    lines = [
        *_comment(f"{HEAD}", 0),
        *_comment("A job file is this chart's values. `global` is not read; it is there for charts above this one.", 0),
    ]
    return "\n".join([*lines, *_lines(found, found["$defs"], defaults(), path="")]) + "\n"


def _lines(
    part: Mapping[str, Any], classes: Mapping[str, Any], known: Mapping[str, Any], *, path: str
) -> Iterator[str]:
    indent = 2 * path.count(".")
    margin = " " * indent
    for name, field in part["properties"].items():
        place = f"{path}{name}"
        if not path:
            yield ""
        needed = "Required. " if name in part.get("required", ()) and name not in known else ""
        yield from _comment(needed + meaning(field, classes), indent)
        if "$ref" in field:
            # A mapping of comments alone would be a null.
            yield f"{margin}{name}:" + ("" if known[name] else " {}")
            inner = classes[field["$ref"].rsplit("/", 1)[-1]]
            yield from _lines(inner, classes, known[name], path=f"{place}.")
        elif name in known:
            yield f"{margin}{_entry(name, known[name])}"
        else:
            yield f"{margin}# {_entry(name, EXAMPLES[place])}"


def _entry(name: str, value: Any) -> str:
    text = to_yaml({name: value}).strip()
    return text if "\n" not in text else f"{name}: {json.dumps(value)}"


def _comment(text: str, indent: int) -> list[str]:
    head = " " * indent + "# "
    return textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=head, break_on_hyphens=False)


# --- values.schema.json ---------------------------------------------------------------------------------------------


def draft7() -> dict[str, Any]:
    """Give the schema of the values in JSON Schema's draft 7, the one that every Helm knows.

    No field is shared by reference, so that a refusal names the place in the values and an editor shows each text.
    """
    found = schema()
    result = _converted(found, found["$defs"], path="")
    result["properties"]["global"] = {"type": "object", "description": "Not read; for charts above this one."}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The job file of ocrfleet",
        **result,
        "allOf": [*result.get("allOf", ()), _TEXTS],
        "definitions": {
            "texts": {
                "pattern": _PLAIN,
                "patternProperties": {_PLAIN: _TEXTS},
                # Not propertyNames, of which Helm 4 names a wrong place.
                "additionalProperties": False,
                "items": _TEXTS,
            }
        },
    }


_PLAIN: Final = f"^[^{CONTROL}]*$"
_TEXTS: Final = {"$ref": "#/definitions/texts"}
"""No key and no text, at any depth, has a character that YAML has no place for; the model refuses it while reading."""


def _escaped(text: str) -> str:
    """Escape in JSON what an editor would not show."""
    return re.sub(f"[{CONTROL}]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _converted(part: Mapping[str, Any], classes: Mapping[str, Any], *, path: str) -> dict[str, Any]:
    if "$ref" in part:
        cls = classes[part["$ref"].rsplit("/", 1)[-1]]
        return _converted({**cls, **{k: v for k, v in part.items() if k != "$ref"}}, classes, path=path)
    choice = next(c for c in part.get("anyOf", [part]) if c.get("type") != "null")
    whole = {**choice, **{key: part[key] for key in ("description", "default") if key in part}}
    result = {key: whole[key] for key in _KEPT if whole.get(key) is not None}
    if result.get("type") == "integer" and "exclusiveMaximum" not in result:
        result.setdefault("maximum", LARGEST)
    if "const" in whole:
        result["enum"] = [whole["const"]]
    if text := line(f"{whole.get('description', '')} {_remedy(whole)}"):
        result["description"] = text
    return result | _inside(whole, classes, path=path)


def _remedy(part: Mapping[str, Any]) -> str:
    words = words_of(part.get("pattern", ""))
    return f"{words[0].upper()}{words[1:]}." if words else ""


_KEPT: Final = (
    *("type", "enum", "default", "pattern", "maxLength"),
    *("minimum", "maximum", "exclusiveMaximum", "required"),
)
"""Keywords that mean the same in both drafts. All that pydantic writes for these classes, but for those below."""


def _inside(part: Mapping[str, Any], classes: Mapping[str, Any], *, path: str) -> dict[str, Any]:
    """Convert what a part contains."""
    result: dict[str, Any] = {}
    if "properties" in part:
        required = part.get("required", ())
        result["properties"] = {
            name: _field(field, classes, path=f"{path}.{name}".strip("."), optional=name not in required)
            for name, field in part["properties"].items()
        }
        result["additionalProperties"] = False
        if path in RULES:
            result["allOf"] = RULES[path]
    if "patternProperties" in part:
        result["patternProperties"] = {
            pattern: _converted(item, classes, path=path) for pattern, item in part["patternProperties"].items()
        }
        result["additionalProperties"] = False
        if "propertyNames" in part:
            result["propertyNames"] = part["propertyNames"]
    elif isinstance(part.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _converted(part["additionalProperties"], classes, path=path)
    if "items" in part:
        result["items"] = _converted(part["items"], classes, path=path)
    return result


def _field(field: Mapping[str, Any], classes: Mapping[str, Any], *, path: str, optional: bool) -> dict[str, Any]:
    """Convert a field; one that may be left out may be null, which means the same."""
    result = _converted(field, classes, path=path)
    if optional:
        kind = result["type"]
        result["type"] = [*(kind if isinstance(kind, list) else [kind]), "null"]
        if "enum" in result:
            result["enum"] = [*result["enum"], None]
    return result


# --- README.md ------------------------------------------------------------------------------------------------------


def readme() -> str:
    """Give the chart's README: how to use it, and a table of all values."""
    found = schema()
    rows = list(_rows(found, found["$defs"], defaults(), path=""))
    return f"""<!-- {HEAD} -->

# ocr-training

{about()["description"]}, on Kubernetes 1.31 or newer, with Helm 3.16 or newer.
The job file is the chart's values; [this page](../../docs/reference/job-file.md) has its fields by their parts.

```console
$ helm install receipts charts/ocr-training -f job.yaml
$ helm template receipts charts/ocr-training -f job.yaml | kubectl apply -f -
```

The same file again changes nothing.
A changed `run` is a new run and leaves the old one alone; a changed `placement` goes on with the same run.
Uninstalling ends no run.

## Values

What has no default and is not required may be left out.

{table(("name", "value", "default", "meaning"), rows)}"""


def _rows(
    part: Mapping[str, Any], classes: Mapping[str, Any], known: Mapping[str, Any], *, path: str
) -> Iterator[tuple[str, ...]]:
    for name, field in part["properties"].items():
        if "$ref" in field:
            inner = classes[field["$ref"].rsplit("/", 1)[-1]]
            yield from _rows(inner, classes, known[name], path=f"{path}{name}.")
        else:
            default = f"`{json.dumps(known[name], ensure_ascii=False)}`" if name in known else ""
            required = name in part.get("required", ()) and not default
            yield f"`{path}{name}`", values_of(field), "**required**" if required else default, meaning(field, classes)
