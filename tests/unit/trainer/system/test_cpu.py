"""How many cores a process counts on."""

import os
from pathlib import Path

import pytest

from trainer.system.cpu import cores, limit, mathematics

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, min(2, HERE)),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, HERE),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, HERE),
        ({"cpu.max": "100000000 100000\n"}, HERE),
        ({}, HERE),
    ],
    ids=[
        "one",
        "one and a half",
        "a tenth",
        "no limit",
        "version 1",
        "version 1, no limit",
        "more than there are",
        "none",
    ],
)
def test_a_containers_share_counts(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores(tmp_path) == expected


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu sse2 fma avx avx2 avx512f\n", {"MKL_DEBUG_CPU_TYPE": "5"}),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu sse2 avx\n", {}),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu sse2 fma avx avx2\n", {}),
        (None, {}),
    ],
    ids=["AMD", "AMD without AVX2", "Intel", "unknown"],
)
def test_mkl_is_told_to_use_avx2_where_it_would_not_by_itself(cpuinfo, expected, tmp_path):
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo, "utf-8")
    assert mathematics(tmp_path / "cpuinfo") == {"OMP_NUM_THREADS": "1", **expected}


@pytest.mark.parametrize(("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", None)])
def test_the_limit_is_a_fraction_of_cores(tmp_path: Path, text: str, cores: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert limit(tmp_path) == cores
