"""What a folder that others have filled may hold."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trainer.datasets import labels
from trainer.errors import DatasetError, OcrfleetError
from trainer.storage import open_store
from trainer.system import regular

Reader = Callable[[Path, Path], object]
READERS: dict[str, Reader] = {
    "a folder": lambda root, _: labels.read(root, "rec"),
    "file://": lambda root, dest: open_store(root.as_uri()).pull(None, dest),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A dataset, and a file beside it."""
    root = tmp_path / "data"
    (root / "img").mkdir(parents=True)
    (root / "img" / "a.jpg").write_bytes(b"image")
    (root / "rec_gt.txt").write_text("img/a.jpg\tTEXT\n", "utf-8")
    (tmp_path / "secret").write_text("outside")
    # The name of a socket has at most 108 bytes.
    monkeypatch.chdir(root)
    return root


def make_socket() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("img/x.txt")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda: os.mkfifo("img/x.txt"), "is a FIFO", id="a FIFO"),
        pytest.param(make_socket, "is a socket", id="a socket"),
        pytest.param(lambda: os.symlink("../../secret", "img/x.txt"), "leads outside", id="a link to a file outside"),
        pytest.param(lambda: os.symlink("../..", "img/x.txt"), "leads outside", id="a link to a folder outside"),
        pytest.param(lambda: os.symlink("/dev/zero", "img/x.txt"), "leads outside", id="a link to a device"),
        pytest.param(lambda: os.symlink("gone", "img/x.txt"), "to nothing", id="a link to nothing"),
        pytest.param(lambda: os.symlink("x.txt", "img/x.txt"), "to nothing", id="a link to itself"),
    ],
)
def test_what_is_no_file_of_a_dataset_is_refused_by_name(
    root: Path, tmp_path: Path, reader: Reader, make: Callable[[], None], why: str
) -> None:
    make()
    with pytest.raises(DatasetError, match=rf"^'img/x\.txt' in .*data' is .*{why.removeprefix('is ')}"):
        reader(root, tmp_path / "dest")
    assert not list((tmp_path / "dest").glob("*/x.txt"))


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_hidden_files_do_not_matter_whatever_they_are(root: Path, tmp_path: Path, reader: Reader) -> None:
    os.mkfifo(".x.txt")
    os.mkdir(".venv")
    os.symlink("/", ".venv/root")
    reader(root, tmp_path / "dest")
    assert regular.files(root) == {"img/a.jpg", "rec_gt.txt"}
    assert not (tmp_path / "dest" / ".venv").exists()


def test_a_link_within_the_folder_stands_for_the_files_behind_it(root: Path, tmp_path: Path) -> None:
    os.symlink("img", "pages")
    os.symlink(root / "img" / "a.jpg", "b.jpg")
    os.symlink("..", "img/around")
    files = {"img/a.jpg", "pages/a.jpg", "b.jpg", "rec_gt.txt"}
    assert regular.files(root) == files
    pulled = open_store(root.as_uri()).pull(None, tmp_path / "dest")
    assert set(pulled.digests) == files


def test_a_mounted_config_map_is_read(root: Path) -> None:
    """Its files are links into a hidden folder."""
    (root / "..2026_11_30").mkdir()
    (root / "..2026_11_30" / "train.txt").write_text("img/a.jpg\tTEXT\n", "utf-8")
    os.symlink("..2026_11_30", "..data")
    os.symlink("..data/train.txt", "train.txt")
    assert "train.txt" in regular.files(root)


@pytest.mark.parametrize(
    ("path", "is_hidden"),
    [(".a", True), ("a/.b/c", True), ("a/..b", True), ("a.b", False), ("../a", False), ("./a", False), ("a", False)],
)
def test_a_dot_at_the_beginning_hides_a_file_and_what_is_below(path: str, is_hidden: bool) -> None:
    assert regular.hidden(path) is is_hidden


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda path: path.symlink_to("../../secret"), "is a symbolic link, or", id="link outside"),
        pytest.param(lambda path: path.symlink_to("a.jpg"), "is a symbolic link, or", id="link inside"),
        pytest.param(lambda path: path.symlink_to("x"), "is a symbolic link, or", id="link to itself"),
        pytest.param(os.mkfifo, "is not a regular file", id="FIFO"),
        pytest.param(os.mkdir, "is not a regular file", id="folder"),
    ],
)
def test_what_is_no_file_of_the_folder_itself_is_not_uploaded(
    root: Path, make: Callable[[Path], None], why: str
) -> None:
    regular.require(root, [root / "img" / "a.jpg"])
    make(root / "img" / "x")
    with pytest.raises(OcrfleetError, match=rf"img/x {why}"):
        regular.require(root, [root / "img" / "a.jpg", root / "img" / "x"])


def test_a_file_below_a_link_to_a_folder_is_not_uploaded(root: Path, tmp_path: Path) -> None:
    (root / "x").symlink_to(tmp_path)
    with pytest.raises(OcrfleetError, match="x/secret is a symbolic link, or is reached through one"):
        regular.require(root, [root / "x" / "secret"])


def test_a_folder_may_be_reached_through_a_link_itself(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    regular.require(tmp_path / "link", [tmp_path / "link" / "rec_gt.txt"])


def test_a_file_that_is_gone_is_no_link(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        regular.require(root, [root / "gone"])


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda: os.mkfifo("x"), "it is a FIFO", id="FIFO"),
        pytest.param(lambda: os.symlink("/dev/zero", "x"), "it is a character device", id="link to a device"),
        pytest.param(lambda: os.mkdir("x"), "Is a directory", id="folder"),
    ],
)
def test_what_would_keep_a_reader_waiting_is_not_opened(root: Path, make: Callable[[], None], why: str) -> None:
    make()
    with pytest.raises(OSError, match=why) as caught:
        regular.open_binary(root / "x")
    assert caught.value.filename == str(root / "x")


def test_a_regular_file_is_opened_through_a_link_too(root: Path) -> None:
    (root / "x").symlink_to(root / "rec_gt.txt")
    with regular.open_binary(root / "x") as file:
        assert file.read() == b"img/a.jpg\tTEXT\n"
