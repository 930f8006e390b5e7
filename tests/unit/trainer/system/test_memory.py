"""Where the kernel counts the processes that it has killed for lack of memory, in both versions of control groups."""

from pathlib import Path

import pytest

from trainer.system import memory

V2 = "low 0\nhigh 3\nmax 12\noom 5\noom_kill 2\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"


@pytest.mark.parametrize(
    ("own", "file", "text"),
    [
        ("0::/pods/a\n", "pods/a/memory.events", V2),
        ("0::/pods/a\n", "memory.events", V2),
        ("9:cpu,memory:/pods/a\n0::/\n", "memory/pods/a/memory.oom_control", V1),
        ("9:cpu:/\n4:memory:/pods/a\n", "memory/memory.oom_control", V1),
    ],
    ids=["v2", "v2 in a container", "v1", "v1 in a container"],
)
def test_the_count_of_the_own_control_group_is_read(tmp_path: Path, own: str, file: str, text: str) -> None:
    (tmp_path / "own").write_text(own)
    (tmp_path / "groups" / file).parent.mkdir(parents=True)
    (tmp_path / "groups" / file).write_text(text)
    assert memory.kills(own=tmp_path / "own", groups=tmp_path / "groups") == 2


@pytest.mark.parametrize("text", [None, "", "oom_kill many\n", "oom 5\n"])
def test_a_kernel_that_does_not_count_says_nothing(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "own").write_text("0::/\n")
    if text is not None:
        (tmp_path / "memory.events").write_text(text)
    assert memory.kills(own=tmp_path / "own", groups=tmp_path) is None
    assert memory.kills(own=tmp_path / "gone", groups=tmp_path) is None


def test_this_machines_own_count_is_a_number_or_nothing() -> None:
    assert memory.kills() is None or memory.kills() >= 0  # type: ignore[operator]


def group(root: Path, version: int, *, limit: str, used: int, cache: int) -> None:
    """Write a control group."""
    root.mkdir(parents=True, exist_ok=True)
    limit_file, used_file, stat = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "inactive_file 1\ntotal_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    (root / limit_file).write_text(f"{limit}\n")
    (root / used_file).write_text(f"{used}\n")
    (root / "memory.stat").write_text(f"anon 3\n{stat} {cache}\nactive_file 99\n")


@pytest.mark.parametrize(
    ("own", "place", "version"),
    [("0::/pods/a\n", "pods/a", 2), ("0::/pods/a\n", ".", 2), ("4:cpu,memory:/a\n0::/\n", "memory/a", 1)],
    ids=["v2", "v2 in a container", "v1"],
)
@pytest.mark.parametrize(
    ("limit", "used", "free", "left"),
    [("1000", 400, 9, 650), ("1000", 400, 0, 0), ("max", 400, 9, 9216), ("100", 400, 9, 0), ("20000", 400, 9, 9216)],
    ids=["the group", "the machine", "no limit", "above the limit", "the machine has less"],
)
def test_what_is_left_is_what_the_group_and_the_machine_both_have(
    tmp_path: Path, own: str, place: str, version: int, limit: str, used: int, free: int, left: int
) -> None:
    (tmp_path / "own").write_text(own)
    (tmp_path / "meminfo").write_text(f"MemTotal:  77 kB\nMemAvailable:   {free} kB\n")
    group(tmp_path / "groups" / place, version, limit=limit, used=used, cache=50)
    found = memory.available(own=tmp_path / "own", groups=tmp_path / "groups", meminfo=tmp_path / "meminfo")
    assert found == left


@pytest.mark.parametrize(
    ("own", "place", "version"),
    [("0::/pods/a\n", "pods/a", 2), ("0::/pods/a\n", ".", 2), ("4:cpu,memory:/a\n0::/\n", "memory/a", 1)],
    ids=["v2", "v2 in a container", "v1"],
)
@pytest.mark.parametrize(
    ("limit", "found"),
    [("1000", 1000), ("max", None), ("9223372036854771712", None)],
    ids=["limited", "no limit", "more than there is"],
)
def test_the_limit_is_the_groups_if_the_machine_has_more(
    tmp_path: Path, own: str, place: str, version: int, limit: str, found: int | None
) -> None:
    (tmp_path / "own").write_text(own)
    (tmp_path / "meminfo").write_text("MemTotal:  77 kB\nMemAvailable:   9 kB\n")
    group(tmp_path / "groups" / place, version, limit=limit, used=1, cache=0)
    files = {"own": tmp_path / "own", "groups": tmp_path / "groups", "meminfo": tmp_path / "meminfo"}
    assert memory.limit(**files) == found
    assert memory.total(meminfo=tmp_path / "meminfo") == 77 * 1024


def test_a_kernel_that_does_not_say_what_is_left_says_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert memory.available(own=gone, groups=gone, meminfo=gone) is None


def test_this_machine_has_memory_left() -> None:
    assert memory.available()


def test_memory_that_this_process_took_is_in_its_peak() -> None:
    before = memory.resident()
    block = bytearray(64 << 20)
    assert memory.resident() - before > 60 << 20
    del block
    assert memory.peak() >= before + (60 << 20)
