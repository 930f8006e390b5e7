"""`ocrfleet models`: list, show, pull and promote what was published."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.formats.yaml import parse_yaml


def test_list_shows_the_main_metric_and_the_channels(published: str, ocrfleet: Callable[..., Any]) -> None:
    ocrfleet("models", "promote", f"{published}#slips-00000001", "production")
    lines = ocrfleet("models", "list", published).out.splitlines()
    assert lines[0].split() == ["RUN", "METRIC", "VALUE", "CREATED", "CHANNELS"]
    assert lines[1].split() == ["slips-00000001", "acc", "0.9100", "2026-01-01T00:00:00.000Z", "production"]
    assert "rec-crnn-mobile" in ocrfleet("models", "list", published, "-o", "wide").out
    rows = json.loads(ocrfleet("models", "list", published, "-o", "json").out)
    assert [row["run"] for row in rows] == ["slips-00000001", "slips-00000002"]


def test_an_empty_location_is_said_to_be_empty(ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    ran = ocrfleet("models", "list", f"file://{tmp_path}/none")
    assert (ran.code, ran.out) == (0, "")
    assert "No model is published at" in ran.err


def test_without_a_channel_the_newest_is_meant(published: str, ocrfleet: Callable[..., Any]) -> None:
    shown = parse_yaml(ocrfleet("models", "show", published).out, source="x")
    assert shown["run"] == "slips-00000002"
    assert shown["files"][0]["path"] == "1/inference/inference.json"
    assert parse_yaml(ocrfleet("models", "show", published, "--record").out, source="x") == {"seed": 42}


def test_show_tells_of_a_distillation_network_by_network(
    published: str, ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    """Size, speed and figures of each, at each evaluation; which was picked and why; the gain."""
    folder = tmp_path / "models/runs/slips-00000002"
    manifest = json.loads((folder / "manifest.json").read_text())
    network = {"frozen": False, "parameters": 250, "metrics": {"acc": 0.92}, "seconds_per_image": 0.0125}
    manifest["distillation"] = {
        "picked": "Student",
        "why": "Student has the best acc.",
        "fine_tuned_epochs": 0,
        "exported_bytes": 900,
        "networks": [{**network, "name": "Student"}, {**network, "name": "Teacher", "frozen": True}],
        "gain": {"baseline": "lines-1", "run": "lines-1", "said": "It gains.", "gain": {"acc": 0.1}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    both = {"Student": {"acc": 0.92}, "Teacher": {"acc": 0.95}}
    joint = {"step": 7, "epoch": 1, "best": True, "metrics": {"acc": 0.92}, "network": "Student", "networks": both}
    alone = {"step": 9, "epoch": 1, "best": False, "metrics": {"acc": 0.9}, "network": "Student"}
    record = {"metrics": {"training": {"evaluations": [joint, alone]}}}
    (folder / "1/record.json").write_text(json.dumps(record))
    told = json.loads(ocrfleet("models", "show", published, "-o", "json").out)["distillation"]
    assert (told["picked"], told["why"]) == ("Student", "Student has the best acc.")
    assert told["exportedBytes"] == 900
    assert (told["gain"]["said"], told["gain"]["gain"]) == ("It gains.", {"acc": 0.1})
    assert [(each["name"], each["bytes"], each["msPerImage"]) for each in told["networks"]] == [
        ("Student", 1000, 12.5),
        ("Teacher", 1000, 12.5),
    ]
    assert told["evaluations"] == [
        {"step": 7, "epoch": 1, "kept": "Student", "networks": both},
        {"step": 9, "epoch": 1, "kept": None, "networks": {"Student": {"acc": 0.9}}},
    ]
    assert "distillation" not in ocrfleet("models", "show", f"{published}#slips-00000001").out


def test_pull_brings_the_model_and_compares_it(published: str, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    ran = ocrfleet("models", "pull", f"{published}#slips-00000001", "model")
    assert (ran.code, ran.out) == (0, "model\n")
    assert (tmp_path / "model" / "record.json").is_file()
    (tmp_path / "models/runs/slips-00000002/1/record.json").write_text("{}")
    ran = ocrfleet("models", "pull", published, "other")
    assert ran.code == 1
    assert "is not the file that was published" in ran.err


def test_promote_says_what_changed(published: str, ocrfleet: Callable[..., Any]) -> None:
    ocrfleet("models", "promote", f"{published}#slips-00000001", "production")
    ran = ocrfleet("models", "promote", published, "production")
    assert ran.out == "slips-00000002\n"
    assert "production now points to slips-00000002; before: slips-00000001." in ran.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("@prod", "channel 'prod'"), ("#slips-0000000", "Did you mean 'slips-0000000")],
)
def test_a_name_that_is_not_there(name: str, sentence: str, published: str, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("models", "show", published + name)
    assert ran.code == 40
    assert sentence in ran.err


def test_a_strange_manifest_and_a_strange_channel_are_skipped_with_a_warning(
    published: str, ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    """In a process of its own: pytest takes over what is logged."""
    path = tmp_path / "models/runs/slips-00000001/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "metrics": None}), "utf-8")
    (tmp_path / "models/channels").mkdir()
    (tmp_path / "models/channels/production.json").write_text("{}", "utf-8")
    command = [sys.executable, "-m", "jobs.cli", "models", "list", published]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4])
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["RUN", "slips-00000002"]
    assert "slips-00000001/manifest.json is not a manifest" in listed.stderr
    assert "channels/production.json is not a channel" in listed.stderr
    ran = ocrfleet("models", "show", f"{published}#slips-00000001")
    assert (ran.code, ran.out) == (40, "")
    assert "Expected `object`, got `null` - at `$.metrics`" in ran.err


@pytest.mark.parametrize("record", ["{}", '{"metrics": {"training": {"evaluations": [{"step": "x"}]}}}', "[]"])
def test_a_strange_record_of_a_distillation_is_refused(
    record: str, published: str, ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "models/runs/slips-00000002"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["distillation"] = {"picked": "Student", "why": "So.", "fine_tuned_epochs": 0, "networks": []}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (folder / "1/record.json").write_text(record, "utf-8")
    ran = ocrfleet("models", "show", published)
    assert (ran.code, ran.out) == (40, "")
    assert "record" in ran.err
