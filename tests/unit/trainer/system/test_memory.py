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
