"""How fast the submitter is, case by case, each beside a peer that does the same.

render: a cold `ocrfleet render`, and `helm template` of the same file.
files:  job files by the thousand, read and rendered in this process, against `helm template` of one of each hundred.
submit: a cold `ocrfleet submit`, and `helm install` of the same file under another name.
list:   a cold `ocrfleet list` of 1,000 runs with 4,000 pods, and the API server's own answers with the same objects,
        which the peer reads and does not parse.

The sides take turns, and who goes first changes from pair to pair; of a case the median ratio is printed, with the
least and the greatest. `submit` and `list` need a cluster with Kubernetes 1.32 or newer, that of the current
kubeconfig, and the right to make a namespace, which is deleted at the end; nothing runs in it. Run it on a machine that
does nothing else: on a busy one the seconds of its processors say more than those of the clock.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks import listing, namespaces
from benchmarks.pairs import Case, Pair, as_facts, as_table, in_turn, ran, timed
from jobs.commands.options import positive
from jobs.jobfile import model as jobfile
from jobs.rendering import helm
from jobs.rendering.render import Rendered, render
from tests.chart.helm import program
from trainer.errors import OcrfleetError

JOB: Final = helm.CHART / "ci" / "job-values.yaml"
"""The job file with the most objects."""

MOST: Final[Mapping[str, float]] = {"render": 3.0, "files": 0.07, "submit": 2.5, "list": 3.0}
"""The median ratio of a case, by the clock, must not be above this; that of `files` is of one file."""

_AGAIN: Final = 100
"""Files after which their peer, which takes twenty times as long, is timed again."""

OCRFLEET: Final = Path(sys.executable).with_name("ocrfleet")


def main() -> int:
    """Run the cases; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.submit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "job", nargs="?", type=Path, default=JOB, help="a job file to render (default: the chart's largest example)"
    )
    parser.add_argument("--case", choices=CASES, action="append", help="this one alone (default: all of them)")
    parser.add_argument("--pairs", type=positive, default=9, metavar="N", help="times a side (default: 9)")
    parser.add_argument(
        "--files", type=positive, default=1000, metavar="N", help="job files in one process (default: 1000)"
    )
    parser.add_argument("--runs", type=positive, default=1000, metavar="N", help="runs to list (default: 1000)")
    parser.add_argument("--nodes", type=positive, default=4, metavar="N", help="pods of each (default: 4)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default: table)")
    arguments = parser.parse_args()
    cases, code = list[Case](), 0
    for name in arguments.case or CASES:
        try:
            cases.append(CASES[name](arguments))
        except OcrfleetError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            code = 1
    if arguments.output == "json":
        print(json.dumps({"load": os.getloadavg()[0], "cases": {c.name: as_facts(c) for c in cases}}, indent=1))
    else:
        print(as_table(cases))
    for sentence in (missed := misses(cases)):
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if missed else code


def misses(cases: Sequence[Case]) -> list[str]:
    """Return a sentence for each case that misses its bound."""
    found = []
    for case in cases:
        median, most = as_facts(case)["seconds"]["ratio"]["median"], MOST[case.name.split()[-1]]
        if median > most:
            found.append(f"The median ratio of {case.name} is {median:.2f}, above its bound of {most}.")
    return found


def _render(arguments: argparse.Namespace) -> Case:
    pairs = in_turn(
        lambda: ran(OCRFLEET, "render", arguments.job), lambda: _template(arguments.job), pairs=arguments.pairs
    )
    return Case("render", "helm template", pairs)


def _files(arguments: argparse.Namespace) -> Case:
    return Case(f"{arguments.files} files", "helm template", run_files(arguments.job, files=arguments.files))


def _submit(arguments: argparse.Namespace) -> Case:
    with namespaces.own("submitting") as cluster:
        return Case("submit", "helm install", run_submits(cluster.namespace, pairs=arguments.pairs))


def _list(arguments: argparse.Namespace) -> Case:
    size = {"runs": arguments.runs, "nodes": arguments.nodes}
    with listing.fleet(**size) as cluster:
        return Case("list", "API server", listing.run_pairs(cluster, **size, pairs=arguments.pairs))


CASES: Final[Mapping[str, Callable[[argparse.Namespace], Case]]] = {
    "render": _render,
    "files": _files,
    "submit": _submit,
    "list": _list,
}


def _template(job: Path) -> bytes:
    return ran(program("helm4"), "template", "any", helm.CHART.resolve(), "--values", job)


def run_files(job: Path, *, files: int) -> list[Pair]:
    """Time each of many job files that differ in their names; for every hundredth `helm template` is timed anew."""

    def loaded(path: Path) -> Rendered:
        return render(jobfile.as_dict(jobfile.load(path)), checked=True)

    with _named(job) as next_file:
        loaded(job)  # the first loads the chart
        _template(job)
        found: list[Pair] = []
        for number in range(files):
            path = next_file()
            peer = timed(lambda path=path: _template(path)) if number % _AGAIN == 0 else found[-1][1]  # type: ignore[misc]
            found.append((timed(lambda path=path: loaded(path)), peer))  # type: ignore[misc]
        return found


def run_submits(namespace: str, *, pairs: int) -> list[Pair]:
    """Time what makes a job's objects on a cluster; each side has its own job each time, which no node can take."""
    with _named(listing.FILE) as next_file:
        start = f"{OCRFLEET} submit -n {namespace} --set placement.nodeSelector.place=nowhere".split()
        install = [program("helm4"), "install", "-n", namespace, "--set", "placement.nodeSelector.place=nowhere"]

        def theirs() -> bytes:
            path = next_file()
            return ran(*install, path.stem, helm.CHART.resolve(), "--values", path)

        return in_turn(lambda: ran(*start, next_file()), theirs, pairs=pairs)


@contextmanager
def _named(job: Path) -> Iterator[Callable[[], Path]]:
    """Give a function that writes the job file under another name each time."""
    text, numbers = job.read_text("utf-8"), count()
    with tempfile.TemporaryDirectory(prefix="submit-") as scratch:

        def write() -> Path:
            name = f"job-{next(numbers)}"
            path = Path(scratch) / f"{name}.yaml"
            path.write_text(re.sub(r"(?m)^name: .*$", f"name: {name}", text), "utf-8")
            return path

        yield write


if __name__ == "__main__":
    sys.exit(main())
