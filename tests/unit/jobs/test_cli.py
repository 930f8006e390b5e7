"""The command line: words, errors, and what goes where."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from jobs.commands import run as run_command
from jobs.commands.completion import children, walk
from jobs.jobfile import model as jobfile
from jobs.local import plan
from trainer import recipes
from trainer.formats.yaml import parse_yaml

HEAVY = {
    "kubernetes",
    "boto3",
    "botocore",
    "obstore",
    "paddle",
    "cv2",
    "numpy",
    "tqdm",
    "prometheus_client",
    "pydantic",
}
COMMANDS = [path for path, parser in walk(cli.build_parser()) if not children(parser)]


def test_help_loads_nothing_heavy() -> None:
    """Measured in a process of its own by what is imported, not by time."""
    script = "import sys; from jobs import cli; cli.build_parser().format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & {name.partition(".")[0] for name in loaded}


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_with_examples(path: str, ocrfleet: Callable[..., Any]) -> None:
    words = path.strip("/").split("/")
    ran = ocrfleet(*words, "-h")
    assert ran.code == 0
    assert f"examples:\n  {'source <(' if words == ['completion'] else ''}ocrfleet {' '.join(words)}" in ran.out
    assert "--debug" in ran.out


RUN_DEFAULTS = {
    "nodes": None,
    "devices_per_node": None,
    "device": None,
    "workdir": None,
    "metrics_port": None,
    "stage": None,
    "sets": [],
    "debug": False,
}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ([], {}),
        (["--nodes", "2"], {"nodes": 2}),
        (["--devices-per-node", "3"], {"devices_per_node": 3}),
        (["--device", "gpu"], {"device": "gpu"}),
        (["--workdir", "/tmp/x"], {"workdir": Path("/tmp/x")}),
        (["--metrics-port", "9400"], {"metrics_port": 9400}),
        (["--stage", "verify"], {"stage": "verify"}),
        (["--set", "a=1", "--set", "b=2"], {"sets": ["a=1", "b=2"]}),
        (["--debug"], {"debug": True}),
    ],
)
def test_options_of_run(words: list[str], changed: dict[str, Any]) -> None:
    parsed = vars(cli.build_parser().parse_args(["run", "job.yaml", *words]))
    assert parsed == {"job": "job.yaml", "run": run_command.run, **RUN_DEFAULTS, **changed}


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["init", "x", "--recipe", "r"], "filename", None),
        (["init", "x", "--recipe", "r", "-f", "a"], "filename", Path("a")),
        (["init", "x", "--recipe", "r", "--filename", "a"], "filename", Path("a")),
        (["recipes"], "output", None),
        (["recipes", "-o", "json"], "output", "json"),
        (["recipes", "--output", "wide"], "output", "wide"),
        (["check", "j"], "cache", None),
        (["check", "j", "--cache", "c"], "cache", Path("c")),
        (["predict", "--rec", "m", "i"], "out", Path("predictions")),
        (["predict", "--rec", "m", "--out", "o", "i"], "out", Path("o")),
        (["predict", "--rec", "m", "i", "j"], "images", ["i", "j"]),
        (["data", "split", "d", "--out", "o"], "ratio", "6:2:2"),
        (["data", "split", "d", "--out", "o", "--ratio", "8:1:1"], "ratio", "8:1:1"),
        (["data", "split", "d", "--out", "o", "--seed", "7"], "seed", 7),
        (["data", "check", "d"], "task", None),
        (["data", "check", "d", "--task", "rec"], "task", "rec"),
        (["models", "pull", "m", "d", "--only", "inference"], "only", ["inference"]),
        (["models", "promote", "m", "c", "--single-writer"], "single_writer", True),
    ],
)
def test_options_of_the_others(words: list[str], name: str, value: Any) -> None:
    assert vars(cli.build_parser().parse_args(words))[name] == value


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["rendr"], "invalid choice"),
        (["run"], "the following arguments are required: JOB"),
        (["run", "j", "--nodes", "0"], "'0' is not a whole number above 0"),
        (["run", "j", "--nodes", "-1"], "--nodes"),
        (["run", "j", "--metrics-port", "70000"], "not a port from 1 to 65535"),
        (["run", "j", "--device", "tpu"], "invalid choice"),
        (["run", "j", "--node", "2"], "unrecognized arguments"),
        (["data", "split", "d", "--out", "o", "--ratio", "6:2"], "not three whole numbers"),
        (["data", "split", "d", "--out", "o", "--ratio", "0:0:0"], "not three whole numbers"),
        (["predict", "x.png"], "error: No model is given: use --det, --rec, or both."),
    ],
)
def test_a_wrong_command_line_ends_with_2(words: list[str], sentence: str, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet(*words)
    assert ran.code == 2
    assert sentence in ran.err
    assert ran.out == ""


def test_an_error_is_a_sentence_and_its_exit_code(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("run", "none.yaml")
    assert (ran.code, ran.out) == (40, "")
    assert ran.err.startswith("error: none.yaml is not there.")
    assert "Traceback" not in ran.err


def test_several_errors_are_lines(job: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("run", job, "--set", "run.tsk=1", "--set", "placement.nodes=0")
    assert ran.code == 40
    assert [line[:7] for line in ran.err.splitlines()] == ["error: "] * 2


def test_debug_shows_the_traceback(ocrfleet: Callable[..., Any]) -> None:
    assert "Traceback" in ocrfleet("run", "none.yaml", "--debug").err


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (RuntimeError("surprise"), 1, "error: Fault of ocrfleet: RuntimeError: surprise."),
        (KeyboardInterrupt(), 143, "Stopped."),
    ],
)
def test_what_nobody_expected(
    error: BaseException, code: int, sentence: str, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise error

    monkeypatch.setattr(recipes, "names", fail)
    ran = ocrfleet("recipes")
    assert ran.code == code
    assert sentence in ran.err
    assert "Traceback" not in ran.err


def test_a_reader_that_has_enough_is_no_error() -> None:
    process = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m jobs.cli recipes rec-pp-ocrv3 | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "name: rec-pp-ocrv3\n", "")


@pytest.mark.parametrize("recipe", recipes.names())
def test_init_writes_a_job_file_that_loads(recipe: str, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    assert ocrfleet("init", "slips", "--recipe", recipe, "-f", "job.yaml").code == 0
    job = jobfile.load(tmp_path / "job.yaml")
    assert (job.name, job.run.recipe, job.run.task) == ("slips", recipe, recipe[:3])
    assert ocrfleet("init", "slips", "--recipe", recipe).out.replace(" ", "") == (
        (tmp_path / "job.yaml").read_text().replace(" ", "")
    )


@pytest.mark.parametrize("recipe", ["rec-pp-ocrv3-distill", "det-pp-ocrv3-dml", "det-pp-ocrv3-cml"])
def test_init_writes_a_distillation_that_the_trainer_takes(recipe: str, ocrfleet: Callable[..., Any]) -> None:
    """As it is written, and with every line of its part taken in."""
    text = ocrfleet("init", "slips", "--recipe", recipe).out
    recipes.resolve(jobfile.load(text).run)
    whole = re.sub(r"^  # (distill:|  (?:networks|fineTuneEpochs|baseline):)", r"  \1", text, flags=re.MULTILINE)
    run = jobfile.load(whole).run
    assert (run.distill.networks, run.distill.fine_tune_epochs) == ({"Student3": "Student"}, 5)
    recipes.resolve(run)


def test_init_takes_locations(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("init", "x", "--recipe", "det-db-mobile", "--data", "s3://d/1", "--output", "file:///m")
    job = jobfile.load(ran.out)
    assert (job.run.data.train, job.run.output) == ("s3://d/1", "file:///m")


def test_init_refuses_to_overwrite(ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("mine")
    ran = ocrfleet("init", "x", "--recipe", "det-db-mobile", "-f", "job.yaml")
    assert (ran.code, (tmp_path / "job.yaml").read_text()) == (40, "mine")
    assert "already exists" in ran.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["X", "--recipe", "det-db-mobile"], "name is 'X'"),
        (["x", "--recipe", "det-db-mobil"], "Did you mean 'det-db-mobile'?"),
        (["x", "--recipe", "det-db-mobile", "--data", "gs://b/x"], "run.data.train is 'gs://b/x'"),
    ],
)
def test_init_refuses_what_could_not_run(words: list[str], sentence: str, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("init", *words)
    assert (ran.code, ran.out) == (40, "")
    assert sentence in ran.err


def test_recipes_are_listed(ocrfleet: Callable[..., Any]) -> None:
    table = ocrfleet("recipes").out.splitlines()
    assert table[0].split() == ["NAME", "TASK", "SUMMARY"]
    assert [line.split()[0] for line in table[1:]] == recipes.names()
    assert [row["name"] for row in json.loads(ocrfleet("recipes", "-o", "json").out)] == recipes.names()


def test_a_recipe_is_shown_in_full(ocrfleet: Callable[..., Any]) -> None:
    shown = parse_yaml(ocrfleet("recipes", "det-db-mobile").out, source="x")
    assert shown == json.loads(ocrfleet("recipes", "det-db-mobile", "-o", "json").out)
    assert shown["config"] == recipes.load("det-db-mobile").config


STUB = "import sys; print('said by the node'); sys.exit(int(sys.argv[1]))"


@pytest.mark.parametrize("code", [0, 41])
def test_run_prints_the_runs_id_alone_when_it_is_done(
    code: int, job: Path, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "NODE_PROGRAM", (sys.executable, "-c", STUB, str(code)))
    planned = plan.plan(jobfile.load(job), nodes=2)
    ran = ocrfleet("run", job, "--nodes", 2)
    assert ran.code == code
    assert ran.out == ("" if code else f"{planned.run_id}\n")
    assert f"Run {planned.run_id}: 2 nodes of 1 worker on cpu." in ran.err
    assert "said by the node" in ran.err


@pytest.mark.parametrize("how", ["option", "environment", "default"])
def test_where_run_works(
    how: str, job: Path, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plan, "NODE_PROGRAM", (sys.executable, "-c", STUB, "0"))
    if how == "environment":
        monkeypatch.setenv("OCRFLEET_WORKDIR", str(tmp_path / "environment"))
    ran = ocrfleet("run", job, *(["--workdir", tmp_path / "option"] if how == "option" else []))
    folder = {"default": ".ocrfleet"}.get(how, how)
    assert (tmp_path / folder / ran.out.strip() / "node-0" / "run.yaml").is_file()


def test_more_workers_than_cores_are_mentioned(job: Path) -> None:
    said = plan.announce(plan.plan(jobfile.load(job), devices_per_node=64), device_given=False)
    assert "64 workers share" in said[-1]
    assert "is what this machine has; --device changes it" in said[0]


def test_version(ocrfleet: Callable[..., Any]) -> None:
    assert ocrfleet("version").out.count(".") == 2
    assert "ocrfleet" in json.loads(ocrfleet("version", "-o", "json").out)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["ocrfleet", ""],
            "init recipes check run render diff submit list top status watch events logs stop resume delete prune "
            "shell predict data models version completion --help --version",
        ),
        (["ocrfleet", "models", "p"], "pull promote"),
        (["ocrfleet", "run", "job.yaml", "--no"], "--nodes"),
        (["ocrfleet", "completion", ""], "bash zsh fish --debug --help"),
    ],
)
def test_bash_completes(words: list[str], expected: str, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "complete").write_text(ocrfleet("completion", "bash").out)
    quoted = " ".join(f"'{word}'" for word in words)
    script = f'source complete; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _ocrfleet; echo "${{COMPREPLY[*]}}"'
    shown = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert sorted(shown.split()) == sorted(expected.split())


def test_zsh_and_fish_have_every_command(ocrfleet: Callable[..., Any]) -> None:
    assert ocrfleet("completion", "zsh").out.startswith("#compdef ocrfleet\n")
    fish = ocrfleet("completion", "fish").out
    for path in COMMANDS:
        assert f"-a {path.rpartition('/')[2]} " in fish
