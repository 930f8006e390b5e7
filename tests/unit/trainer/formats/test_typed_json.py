"""Documents from outside become values of a type, or a ValueError."""

import ast
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from trainer.formats import typed_json

ROOT: Final = Path(__file__).parents[4]

FIRST_USE: Final = """
import sys, threading
from dataclasses import make_dataclass
from trainer.formats import typed_json

def convert(kind):
    together.wait()
    typed_json.convert({"x": {"a0": "text"}}, kind)

sys.setswitchinterval(1e-6)
for _ in range(200):
    inner = make_dataclass("Inner", [(f"a{n}", "str | None", None) for n in range(10)])
    outer = make_dataclass("Outer", [("x", inner)])
    together = threading.Barrier(4)
    threads = [threading.Thread(target=convert, args=(outer,)) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


@dataclass(frozen=True, kw_only=True)
class Model:
    name: str
    metrics: dict[str, float]


def test_a_document_becomes_a_value_and_unknown_fields_are_ignored() -> None:
    assert typed_json.decode(b'{"name": "x", "metrics": {"acc": 1}, "later": []}', Model) == Model(
        name="x", metrics={"acc": 1.0}
    )


def test_a_character_in_two_escapes_is_read() -> None:
    assert typed_json.decode(rb'{"name": "\ud83d\ude00", "metrics": {}}', Model).name == "😀"


def test_what_python_writes_for_no_number_is_read() -> None:
    assert math.isnan(typed_json.decode('{"name": "x", "metrics": {"acc": NaN}}', Model).metrics["acc"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Expecting value"),
        (b"\xff", "codec can't decode"),
        (b"[" * 100_000, "nested too deeply"),
        (rb'{"name": "\ud83d", "metrics": {}}', "surrogates not allowed"),
        (b'{"name": "x", "metrics": null}', r"Expected `object`, got `null` - at `\$\.metrics`"),
        (b'{"name": "x", "metrics": {"acc": "1"}}', "Expected `float`, got `str`"),
        (b'{"name": "x"}', "missing required field `metrics`"),
        (b'{"name": "x", "metrics": {"acc": 1' + b"0" * 5000 + b"}}", "limit"),
    ],
    ids=["empty", "not UTF-8", "deep", "half of a character", "null", "text", "missing", "a number of 5000 digits"],
)
def test_anything_else_is_an_error_that_says_where(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        typed_json.decode(data, Model)


def test_threads_may_use_a_type_for_the_first_time_together() -> None:
    # In a process of its own, since msgspec alone crashes here.
    done = subprocess.run([sys.executable, "-c", FIRST_USE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_other_module_makes_a_decoder_or_converts_while_threads_run() -> None:
    elsewhere = {
        path.relative_to(ROOT).as_posix(): found
        for top in ("jobs", "trainer")
        for path in sorted((ROOT / top).rglob("*.py"))
        if (found := used_late(path.read_text("utf-8")))
    }
    assert elsewhere == {
        # Behind a lock of its own, since its kinds of lists are made as they are asked for.
        "jobs/kube/client.py": ["msgspec.json.Decoder(page)"],
        "trainer/formats/typed_json.py": [
            "msgspec.convert(value, kind, dec_hook=dec_hook)",
            "msgspec.json.Decoder(kind)",
        ],
    }


def used_late(source: str) -> list[str]:
    """Name the calls in functions by which msgspec may use a class for the first time."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    calls = (node for function in functions for node in ast.walk(function) if isinstance(node, ast.Call))
    using = ("msgspec.convert", "msgspec.json.decode", "msgspec.json.Decoder", "msgspec.yaml.decode")
    return sorted(ast.unparse(call) for call in calls if ast.unparse(call.func) in using)
