"""The command line: words, errors, and what goes where."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from jobs.commands.complete import children, walk
from trainer import recipes

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


def loaded_by(*words: object) -> set[str]:
    """Return the modules that a command has loaded at its end, in a process of its own."""
    script = (
        "import os, sys; from jobs import cli; out = os.dup(1); os.dup2(2, 1)\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "os.write(out, ' '.join(sys.modules).encode())"
    )
    command = [sys.executable, "-c", script, *map(str, words)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_help_loads_no_command_and_nothing_heavy() -> None:
    loaded = loaded_by("--help")
    assert "jobs.commands" not in loaded
    assert not HEAVY & {name.partition(".")[0] for name in loaded}


@pytest.mark.parametrize(
    "words",
    [
        "init slips --recipe rec-crnn-mobile",
        "recipes",
        "render JOB",
        "run JOB --stage publish",
        "check JOB",
        "predict --rec none line.png",
        "data check none",
        "models list file://none",
        "version -o json",
        "completion bash",
    ],
)
def test_a_command_without_a_cluster_loads_no_client(words: str, job: Path) -> None:
    loaded = loaded_by(*words.replace("JOB", str(job)).split())
    assert f"jobs.commands.{words.split()[0]}" in loaded
    assert not {"urllib3", "kubernetes", "websocket", "jobs.kube.client"} & loaded


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_with_examples(path: str, ocrfleet: Callable[..., Any]) -> None:
    words = path.strip("/").split("/")
    ran = ocrfleet(*words, "-h")
    assert ran.code == 0
    assert f"examples:\n  {'source <(' if words == ['completion'] else ''}ocrfleet {' '.join(words)}" in ran.out
    assert "--debug" in ran.out


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
        (["data"], "the following arguments are required: COMMAND"),
        (["models"], "the following arguments are required: COMMAND"),
        (["data", "split", "d"], "the following arguments are required: --out"),
        (["data", "crop", "d", "--out", "o", "--task", "rec"], "unrecognized arguments: --task rec"),
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


@pytest.mark.parametrize("path", dict(walk(cli.build_parser())))
def test_no_option_is_abbreviated(path: str, ocrfleet: Callable[..., Any]) -> None:
    """A script that says `--hel` would break as soon as another option begins like that."""
    ran = ocrfleet(*filter(None, path.split("/")), "--hel")
    assert (ran.code, ran.out) == (2, "")


def test_an_error_is_a_sentence_and_its_exit_code(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("run", "none.yaml")
    assert (ran.code, ran.out) == (40, "")
    assert ran.err.startswith("error: none.yaml does not exist.")
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


def test_only_a_fault_without_a_traceback_asks_for_one(
    ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise RuntimeError("surprise")

    monkeypatch.setattr(recipes, "names", fail)
    said = {words: ocrfleet("recipes", *words).err.splitlines()[-1] for words in ((), ("--debug",))}
    fault = "error: Fault of ocrfleet: RuntimeError: surprise."
    assert said == {(): f"{fault} Run the command again with --debug, and report the traceback.", ("--debug",): fault}


def test_a_reader_that_has_enough_is_no_error() -> None:
    process = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m jobs.cli recipes rec-pp-ocrv3 | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "name: rec-pp-ocrv3\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["ocrfleet", ""],
            "init recipes check doctor run render diff submit list top status watch events logs stop resume delete "
            "prune shell predict data models version completion --help --version",
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


@pytest.mark.timeout(60)  # Python starts
@pytest.mark.parametrize("words", [("list",), ("check", "job.yaml", "-n", "a")])
def test_without_its_package_a_command_says_which_to_install(words: tuple[str, ...], tmp_path: Path) -> None:
    job = "name: a\nrun: {task: rec, recipe: rec-crnn-mobile, data: {train: file:///none}, output: file:///tmp/none}\n"
    (tmp_path / "job.yaml").write_text(f"apiVersion: ocrfleet.io/v1\n{job}", "utf-8")
    code = f"import sys; sys.modules['kubernetes'] = None\nfrom jobs import cli\nsys.exit(cli.main({list(words)!r}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 1
    assert "error: The package `kubernetes` is not installed" in ran.stderr
    assert "pip install 'ocrfleet[cluster]'" in ran.stderr.splitlines()[-1]


def test_an_error_does_not_control_the_terminal(
    tmp_path: Path, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_text('contexts: [{name: "\\e]0;mine\\a", context: {}}]', "utf-8")
    ran = ocrfleet("list", "--kubeconfig", path, "--context", "a")
    assert (ran.code, ran.err) == (40, "error: The kubeconfig has no context 'a'. Its contexts: \\x1b]0;mine\\x07.\n")
