"""One target with inputs of atheris: `python -m tests.fuzz.guided TARGET COUNT SEED FOLDER`."""

import logging
import sys
import time
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["jobs", "trainer", "json", "yaml"]):
    from tests.fuzz import targets

MEMORY: Final = 300
"""MB that the process may take."""


def main() -> None:
    """Run the target; ends with another code than 0 if it has a fault, and leaves the input in the folder."""
    name, count, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    logging.disable()
    target = targets.targets(folder)[name]
    samples = folder / "samples"
    samples.mkdir()
    for number, sample in enumerate(target.samples):
        (samples / str(number)).write_bytes(sample)
    tried = taken = 0
    began = time.monotonic()

    def run(raw: bytes) -> None:
        nonlocal tried, taken
        tried += 1
        try:
            target.parse(raw)
            taken += 1
        except target.refuses:
            pass
        if tried == count:
            # libFuzzer does not return.
            print(f"{name:16} {tried:>9,} inputs, {taken:>9,} taken, {time.monotonic() - began:>6.1f} s", flush=True)

    flags = (f"-runs={count}", f"-seed={seed}", "-max_len=4096", f"-rss_limit_mb={MEMORY}", "-verbosity=0")
    atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={folder}/", str(samples)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
