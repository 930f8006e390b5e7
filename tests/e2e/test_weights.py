"""Weights from one run to the next, by the commands of the page that tells of it; and none that were not checked."""

import hashlib
import json
import pickle
import re
import shlex
from pathlib import Path

import pytest

from examples.demo import pages
from tests.e2e.commands import job_file, ocrfleet
from trainer.contract import ExitCode

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(300)]
PAGE = Path(__file__).parents[2] / "docs/tasks/run/start-from-weights.md"
COMMANDS = re.findall(r"^ocrfleet (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)


class Trap:
    """What a pickle can do to whoever opens it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.slow
def test_the_page_leads_from_a_published_run_to_one_that_starts_from_it(tmp_path):
    """One long test, since the road is long; at its end the weights in the bucket are exchanged for a trap."""
    pages.write_export(tmp_path / "pages", pages=6, seed=1)
    output = (tmp_path / "models").as_uri()
    files = {
        name: job_file(tmp_path, data=(tmp_path / "pages").as_uri(), output=output, name=name, sets=sets)
        for name, sets in (("slips-rec", ()), ("slips-more", ["run.init.pretrained=channel:production"]))
    }

    def do(words: str) -> str:
        for name, path in files.items():
            words = words.replace(f"{name}.yaml", str(path))
        words = words.replace("s3://ocr-models/slips-rec", output).replace(" slips-rec/", f" {tmp_path}/pulled/")
        place = ["--workdir", str(tmp_path / "runs")] if words.startswith("run ") else []
        ended = ocrfleet(*shlex.split(words), *place)
        assert ended.returncode == ExitCode.DONE, f"{words}\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    said = {words: do(words) for words in COMMANDS}
    first, more, shown, checked = (
        next(text for words, text in said.items() if words.startswith(begin))
        for begin in ("run slips-rec", "run slips-more", "models show", "check")
    )
    run = first.splitlines()[0]
    assert "weights/model.pdparams" in shown
    assert f"points to run {run} now" in checked
    assert f"; pretrained of run {run}" in more
    assert re.search(r"\b(\d+) of this network's \1 tensors are in pretrained\.pdparams\.", more), more
    weights = tmp_path / "models/runs" / run / "1/weights"
    digest = hashlib.sha256((weights / "model.pdparams").read_bytes()).hexdigest()
    (record,) = [
        json.loads(path.read_text("utf-8")) for path in (tmp_path / "models/runs").glob("slips-more*/1/record.json")
    ]
    assert (record["weights"]["pretrained"]["run"], record["weights"]["pretrained"]["sha256"]) == (run, digest)
    assert (tmp_path / "pulled/weights/dictionary.txt").read_bytes() == (weights / "dictionary.txt").read_bytes()
    assert (tmp_path / f"runs/weights/{digest}.pdparams").is_file()

    mark = tmp_path / "the trap has sprung"
    trap = pickle.dumps(Trap(mark))
    pickle.loads(trap)
    assert mark.exists()
    mark.unlink()
    (weights / "model.pdparams").write_bytes(trap)
    another = job_file(
        tmp_path,
        data=(tmp_path / "pages").as_uri(),
        output=output,
        name="another",
        sets=["run.init.pretrained=channel:production"],
    )
    ended = ocrfleet("run", str(another), "--workdir", str(tmp_path / "elsewhere"))
    assert ended.returncode == ExitCode.SPEC, ended.stderr
    assert f"is not the file that run {run} published" in ended.stderr
    assert not mark.exists()
