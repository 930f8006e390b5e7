"""`ocrfleet models` and `ocrfleet predict`: naming what was published."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.commands import predict
from jobs.models import pull
from jobs.models.cache import Cache
from jobs.models.pull import Published
from trainer.errors import NotFoundError, SpecError
from trainer.formats.yaml import parse_yaml


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("s3://b/x", Published("s3://b/x")),
        ("s3://b/x/", Published("s3://b/x")),
        ("s3://b", Published("s3://b")),
        ("s3://b/x@production", Published("s3://b/x", "production")),
        ("s3://b/x/@production", Published("s3://b/x", "production")),
        ("s3://b/x#slips-1a2b3c4d", Published("s3://b/x", "slips-1a2b3c4d")),
        ("file:///models/x#slips-1a2b3c4d", Published("file:///models/x", "slips-1a2b3c4d")),
    ],
)
def test_a_models_name_has_three_forms(text: str, published: Published) -> None:
    assert pull.parse(text) == published


@pytest.mark.parametrize("text", ["gs://b/x", "s3://b/x@", "s3://b/x@Production", "s3://b/x#a#b", "b/x"])
def test_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="does not name a published model"):
        pull.parse(text)


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
    [("@prod", "no channel 'prod'"), ("#slips-0000000", "Did you mean 'slips-0000000")],
)
def test_a_name_that_is_not_there(name: str, sentence: str, published: str, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("models", "show", published + name)
    assert ran.code == 40
    assert sentence in ran.err


def test_a_model_is_fetched_once(published: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    moved: list[int] = []
    for _ in range(2):
        folder = pull.fetch(published, cache, progress=lambda done, total: moved.append(done))
    assert (folder / "inference.json").is_file()
    assert not (folder.parent / "record.json").exists()


def test_a_folder_of_this_machine_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference" / "inference.json").touch()
    for given in (tmp_path, tmp_path / "inference"):
        assert pull.fetch(str(given), Cache(tmp_path)) == tmp_path / "inference"
    with pytest.raises(NotFoundError, match=r"inference\.json"):
        pull.fetch(str(tmp_path / "none"), Cache(tmp_path))


def test_predict_hands_folders_to_a_process_without_credentials(
    published: str, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process that loads Paddle is another program's; here it prints what it was given."""
    (tmp_path / "program").mkdir()
    package = tmp_path / "program" / "stub.py"
    package.write_text("import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)])); sys.exit(41)")
    monkeypatch.setattr(predict, "PROGRAM", (sys.executable, str(package)))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    ran = ocrfleet("predict", "--rec", published, "-o", "json", "--device", "cpu", "--", "-1.png", "b")
    assert ran.code == 41
    words, environment = json.loads(ran.out)
    assert Path(words[words.index("--rec") + 1]).is_relative_to(tmp_path / "cache")
    assert words[-4:] == ["json", "--", "-1.png", "b"]
    assert "--det" not in words
    assert "AWS_SECRET_ACCESS_KEY" not in environment


@pytest.mark.parametrize(
    ("given", "environ", "root"),
    [
        (Path("/c"), {"OCRFLEET_CACHE": "/e"}, "/c"),
        (None, {"OCRFLEET_CACHE": "/e", "XDG_CACHE_HOME": "/x"}, "/e"),
        (None, {"XDG_CACHE_HOME": "/x"}, "/x/ocrfleet"),
        (None, {}, str(Path.home() / ".cache/ocrfleet")),
    ],
)
def test_where_the_cache_is(given: Path | None, environ: dict[str, str], root: str) -> None:
    assert Cache.choose(given, environ).root == Path(root)
