"""`ocrfleet doctor`."""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from jobs.commands import options
from jobs.commands.document import document
from jobs.jobfile import model as jobfile
from trainer.contract import ExitCode
from trainer.errors import OcrfleetError
from trainer.storage import open_store
from trainer.system import machine
from trainer.telemetry.units import size

_REQUESTS: Final = 5


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Show what this machine or pod has to train with: PaddlePaddle and its CUDA, cuDNN and NCCL; NVIDIA's "
        "driver and its devices, with bf16 and TF32; cores and memory, with the limits of the container; the size of "
        "/dev/shm and the limit of locked memory. With a job file or a location, also how long its store takes to "
        "answer. A node writes the same into its log when it starts, and into the record of a published model.",
        examples="ocrfleet doctor\n"
        "ocrfleet doctor job.yaml                 # and the store of run.output\n"
        "ocrfleet doctor s3://ocr-models/ -o json",
    )
    parser.add_argument(
        "store", metavar="JOB|LOCATION", nargs="?", help="a job file, for its run.output; or s3://… or file:///…"
    )
    options.output(parser, "yaml", "json")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; an error of the store comes last, and gives the exit code."""
    facts = machine.facts(machine.look())
    code = ExitCode.DONE
    if arguments.store:
        facts["store"], code = _ask(arguments.store)
    if arguments.output:
        document(facts, arguments.output)
    else:
        rows = list(_rows(facts))
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            print(f"{name.ljust(width)}   {value}")
    return int(code)


def _ask(named: str) -> tuple[dict[str, Any], ExitCode]:
    """Time some requests to a store: each looks whether there is any object."""
    seconds: list[float] = []
    location = named
    try:
        location = named if "://" in named else jobfile.load(Path(named)).run.output
        store = open_store(location)
        for _ in range(_REQUESTS):
            began = time.perf_counter()
            store.first()
            seconds.append(time.perf_counter() - began)
    except OcrfleetError as error:
        return {"location": location, "error": str(error)}, error.exit_code
    return {"location": location, "median": statistics.median(seconds), "slowest": max(seconds)}, ExitCode.DONE


def _rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _paddle(facts["paddle"])
    yield from _driver(facts["driver"])
    if facts["driver"]["devices"]:
        yield "bf16", "supported" if facts["bfloat16"] else "not supported by all devices"
        yield "TF32", _tf32(facts)
    limit = "no limit" if facts["cpu_limit"] is None else f"limit {facts['cpu_limit']:g}"
    yield "cores", f"{facts['cores']}, {limit}"
    yield "memory", f"{_size(facts['memory'])}, {_limit(facts['memory_limit'])}"
    yield "/dev/shm", _size(facts["shared_memory"])
    yield "locked memory", _limit(facts["memlock"])
    if store := facts.get("store"):
        times = f"{_REQUESTS} requests, median {_ms(store, 'median')}, slowest {_ms(store, 'slowest')}"
        yield "store", f"{store['location']}: {store.get('error') or times}"


def _paddle(paddle: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if paddle is None:
        yield "PaddlePaddle", "not installed"
        return
    yield "PaddlePaddle", f"{paddle['version']}, {'for CUDA ' + paddle['cuda'] if paddle['cuda'] else 'for CPUs'}"
    for name, key in (("cuDNN", "cudnn"), ("NCCL", "nccl")):
        if paddle[key]:
            yield name, paddle[key]


def _driver(driver: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if driver["error"]:
        yield "NVIDIA driver", f"does not work: {driver['error']}"
    elif driver["cuda"] is None:
        yield "NVIDIA driver", "not found"
    else:
        yield "NVIDIA driver", f"{driver['version'] or 'of an unknown version'}, for CUDA {driver['cuda']} and older"
    for number, device in enumerate(driver["devices"]):
        capability = ".".join(map(str, device["capability"]))
        yield f"device {number}", f"{device['name']}, {_size(device['memory'])}, compute capability {capability}"


def _tf32(facts: Mapping[str, Any]) -> str:
    if not facts["tf32"]:
        return "not supported by all devices"
    return "turned off by NVIDIA_TF32_OVERRIDE=0" if facts["tf32_override"] == "0" else "supported"


def _size(count: int | None) -> str:
    return "not known" if count is None else size(count)


def _limit(count: int | None) -> str:
    return "no limit" if count is None else f"limit {size(count)}"


def _ms(store: Mapping[str, Any], key: str) -> str:
    return f"{store.get(key, 0) * 1000:.1f} ms"
