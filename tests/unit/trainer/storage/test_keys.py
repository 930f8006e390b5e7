"""Keys that can be files."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import SpecError
from trainer.storage.keys import below, check_key, check_tree


@given(st.text(alphabet=st.sampled_from("ab./\\\0\n~% é"), min_size=0, max_size=12) | st.text(max_size=300))
def test_a_key_is_a_path_below_the_folder_or_is_refused(key: str) -> None:
    """No key leads out of the folder it is pulled into, however it is spelled."""
    root = Path("/nowhere/dest")
    try:
        path = below(root, key)
    except SpecError:
        return
    assert Path(os.path.normpath(path)).is_relative_to(root)
    assert Path(os.path.normpath(path)) != root
    assert path.relative_to(root).as_posix() == key  # two keys are never one file


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a/./b", "a\0b", "é" * 200])
def test_a_key_that_no_file_can_have_is_refused(key: str) -> None:
    with pytest.raises(SpecError, match="cannot be a file name"):
        check_key(key)


def test_a_key_that_is_both_file_and_folder_is_refused() -> None:
    with pytest.raises(SpecError, match=r"both 'a/b' and 'a/b/c/d'"):
        check_tree(["a/b/c/d", "a/b", "e"], where="s3://x/")
