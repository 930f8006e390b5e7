"""`make fuzz`: random input for all functions that parse what comes from outside.

The seed decides the inputs, for one version of the code and of the library that makes them: hypothesis, or with
`--guided` atheris (libFuzzer), which changes inputs that reached new lines, and makes many more a second.

    python -m tests.fuzz                                    # 10,000 inputs for each target
    python -m tests.fuzz --only manifest --count 1000000 --guided
"""

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.targets import Target, targets

COUNT: Final = 10_000
SEED: Final = 1


def fuzz(target: Target, *, count: int, number: int) -> tuple[int, int]:
    """Run a target, and return how many inputs it got and how many of them it took.

    Args:
        target: the target.
        count: how many inputs to generate. Hypothesis ends early if there are no more.
        number: the seed.

    Raises:
        Exception: what came out that is no refusal, with the smallest input that was found.
    """
    tried = taken = 0

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs())
    def run(raw: bytes) -> None:
        nonlocal tried, taken
        tried += 1
        try:
            target.parse(raw)
        except target.refuses:
            return
        taken += 1

    run()
    return tried, taken


def one(name: str, *, count: int, number: int) -> int:
    """Run a target with inputs of hypothesis, and print a line; 1 if it has a fault."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            tried, taken = fuzz(targets(Path(folder))[name], count=count, number=number)
        except Exception as error:  # noqa: BLE001  # any exception is a finding
            notes = "\n  ".join(getattr(error, "__notes__", ()))
            print(f"{name:16} FAULT {type(error).__name__}: {error}\n  {notes}", file=sys.stderr)
            return 1
    print(f"{name:16} {tried:>9,} inputs, {taken:>9,} taken, {time.monotonic() - began:>6.1f} s", flush=True)
    return 0


def guided(name: str, *, count: int, number: int) -> int:
    """Run a target with inputs of atheris, in a process that libFuzzer ends; 1 if it has a fault."""
    folder = tempfile.mkdtemp(prefix="ocrfleet-fuzz-")
    words = [sys.executable, "-m", "tests.fuzz.guided", name, str(count), str(number), folder]
    if subprocess.run(words, check=False).returncode:
        print(f"{name:16} FAULT; the input is in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def main() -> int:
    """Run the targets; 1 if one of them has a fault."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Random input for what parses input from outside.")
    parser.add_argument("--count", type=int, default=COUNT, help="inputs for each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="the seed (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="TARGET", help="this target; can be repeated")
    parser.add_argument("--guided", action="store_true", help="take atheris, which is guided by the lines reached")
    arguments = parser.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        names = list(targets(Path(folder)))
    if unknown := set(arguments.only or ()) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: unknown; the targets are {', '.join(names)}")
    faults = 0
    for name in arguments.only or names:
        if arguments.guided:
            faults += guided(name, count=arguments.count, number=arguments.seed)
        else:
            faults += one(name, count=arguments.count, number=arguments.seed)
    return int(faults > 0)


if __name__ == "__main__":
    raise SystemExit(main())
