"""The store on a real S3 server: transfers, conditions, broken lines and refusals."""

import hashlib
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from examples.local_s3 import Server
from tests.proxy import Proxy
from trainer.errors import AccessError, ConflictError, NotFoundError, SpecError, StoppedError, TransientError
from trainer.storage import Store, open_store
from trainer.storage.transfers import LARGE


@pytest.fixture
def store(bucket: str) -> Store:
    return open_store(bucket + "some/prefix")


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def files(folder: Path, contents: dict[str, bytes]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for number, (key, data) in enumerate(contents.items()):
        made[key] = folder / str(number)
        made[key].write_bytes(data)
    return made


@contextmanager
def took_less_than(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def test_the_first_object_is_one_that_a_pull_would_bring(store: Store) -> None:
    store.put(".ipynb_checkpoints/a.png", b"1")
    store.put("a.png", b"")
    assert store.first() is None
    store.put("b.png", b"2")
    found = store.first()
    assert found
    assert found.key == "b.png"


def test_what_is_pushed_is_pulled_and_not_moved_twice(store: Store, tmp_path: Path) -> None:
    contents = {f"imgs/{n:03}.jpg": secrets.token_bytes(3000) for n in range(300)}
    contents |= {"Label.txt": "图 ü".encode(), "a b+c%25&~.txt": b"", "large.bin": secrets.token_bytes(2 * LARGE + 17)}
    pushed = store.push(files(tmp_path / "source", contents))
    assert pushed.moved_files == 303
    first = store.pull(None, tmp_path / "dest")
    assert tree(tmp_path / "dest") == contents
    assert first.digests == {key: hashlib.sha256(data).hexdigest() for key, data in contents.items()}
    assert first.moved_bytes == sum(map(len, contents.values()))
    second = store.pull(None, tmp_path / "dest")
    assert (second.moved_files, second.moved_bytes, second.digests) == (0, 0, first.digests)


def test_a_changed_object_alone_is_pulled_again_and_a_removed_one_leaves(store: Store, tmp_path: Path) -> None:
    store.push(files(tmp_path / "source", {"a": b"1", "b": b"2", "c": b"3"}))
    store.pull(None, tmp_path / "dest")
    store.put("b", b"new")
    store.delete(["c", "never-there"])
    assert store.pull(None, tmp_path / "dest").moved_files == 1
    assert tree(tmp_path / "dest") == {"a": b"1", "b": b"new"}


def test_hidden_objects_are_listed_and_not_pulled_with_the_others(store: Store, tmp_path: Path) -> None:
    keys = ["a.txt", ".git/config", "img/.cache/x.jpg", ".DS_Store"]
    store.push(files(tmp_path / "source", dict.fromkeys(keys, b"1")))
    assert [info.key for info in store.list()] == sorted(keys)
    store.pull(None, tmp_path / "dest")
    assert tree(tmp_path / "dest") == {"a.txt": b"1"}
    store.pull([".git/config"], tmp_path / "one")
    assert tree(tmp_path / "one") == {".git/config": b"1"}


def test_a_large_file_that_is_there_already_is_not_sent_again(store: Store, tmp_path: Path) -> None:
    source = files(tmp_path, {"large": secrets.token_bytes(LARGE + 1), "middle": secrets.token_bytes(2 << 20)})
    store.push(source)
    assert store.push(source).moved_files == 0
    source["large"].write_bytes(secrets.token_bytes(LARGE + 1))
    assert store.push(source).moved_files == 1


def test_keys_are_relative_to_the_location_and_a_prefix_is_a_folder(bucket: str) -> None:
    root = open_store(bucket)
    for key in ["p/a", "p/q/b", "pp/c"]:
        root.put(key, b"")
    assert [o.key for o in open_store(bucket + "p/").list()] == ["a", "q/b"]
    assert [o.key for o in root.list("p")] == ["p/a", "p/q/b"]
    assert open_store(bucket + "nothing").list() == []


def test_a_folder_marker_is_no_file(bucket: str, s3_server: Server, tmp_path: Path) -> None:
    """Consoles create an empty object `x/` for a folder; it must not lie in the way of the folder."""
    import boto3

    store = open_store(bucket + "data/")
    store.put("sub/a", b"1")
    client = boto3.client("s3")
    for key in ("data/", "data/sub/"):
        client.put_object(Bucket=bucket[5:-1], Key=key, Body=b"")
    client.close()
    store.pull(None, tmp_path / "dest")
    assert tree(tmp_path / "dest") == {"sub/a": b"1"}


def test_conditions_of_writes_hold(store: Store) -> None:
    first = store.put("x", b"1", if_absent=True)
    with pytest.raises(ConflictError, match="already exists"):
        store.put("x", b"2", if_absent=True)
    second = store.put("x", b"3", if_match=first)
    with pytest.raises(ConflictError, match="Another writer"):
        store.put("x", b"4", if_match=first)
    assert store.read("x") == (b"3", second)
    assert store.etag("x") == second


@pytest.mark.parametrize("size", [1, LARGE + 1], ids=["small", "large"])
def test_a_push_if_absent_replaces_nothing(store: Store, tmp_path: Path, size: int) -> None:
    ours, theirs = b"1" * size, b"2" * size
    source = files(tmp_path, {"x": ours})
    store.push(source, if_absent=True)
    store.push(source, if_absent=True)  # the same content, as of a push whose answer was lost
    source["x"].write_bytes(theirs)
    with pytest.raises(ConflictError, match=r"/x already exists and was not overwritten\.$"):
        store.push(source, if_absent=True)
    assert store.get("x") == ours
    store.push(source)
    assert store.get("x") == theirs


def test_of_many_writers_of_an_absent_object_one_succeeds(store: Store) -> None:
    def write(number: int) -> bool:
        try:
            store.put("x", str(number).encode(), if_absent=True)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert sum(won) == 1
    assert store.get("x") == str(won.index(True)).encode()


def test_conditional_writes_are_proven_and_leave_nothing(store: Store) -> None:
    assert store.conditional_writes()
    assert store.list() == []


def test_a_missing_object_is_named(store: Store) -> None:
    for read in (store.get, store.etag):
        with pytest.raises(
            NotFoundError, match=r"The object s3://test-\w+/some/prefix/nothing does not exist at http://127"
        ):
            read("nothing")


def test_a_missing_bucket_is_named_with_the_endpoint(bucket: str, tmp_path: Path, s3_server: Server) -> None:
    store = open_store("s3://no-such-bucket/x/")
    deeds = {
        "list": store.list,
        "get": lambda: store.get("k"),
        "etag": lambda: store.etag("k"),
        "put": lambda: store.put("k", b""),
        "pull": lambda: store.pull(None, tmp_path / "a"),
        "pull keys": lambda: store.pull(["k"], tmp_path / "b"),
        "push": lambda: store.push(files(tmp_path / "c", {"k": b"1"})),
        "conditional writes": store.conditional_writes,
    }
    for name, deed in deeds.items():
        with pytest.raises(NotFoundError) as caught:
            deed()
        assert f"bucket 'no-such-bucket' does not exist at {s3_server.endpoint}" in str(caught.value), name


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_refused_at_once_and_not_shown(
    bucket: str, tmp_path: Path, s3_server: Server, wrong: str
) -> None:
    store = open_store(bucket, environ={**s3_server.environment, wrong: "wrong-but-not-to-be-shown"})
    for deed in (store.list, lambda: store.get("k"), lambda: store.put("k", b""), store.conditional_writes):
        with took_less_than(5), pytest.raises(AccessError, match="Check AWS_ACCESS_KEY_ID") as caught:
            deed()
        assert "wrong-but-not-to-be-shown" not in str(caught.value)
        assert s3_server.secret_key not in str(caught.value)


def test_a_reader_may_pull_but_not_push(bucket: str, tmp_path: Path, s3_server: Server) -> None:
    open_store(bucket).put("x", b"1")
    store = open_store(bucket, environ=s3_server.reader_environment)
    store.pull(None, tmp_path / "dest")
    deeds = {
        "s3:PutObject": (lambda: store.put("y", b""), lambda: store.push({"y": tmp_path / "dest" / "x"})),
        "s3:DeleteObject": (lambda: store.delete(["y"]),),
    }
    for action, refused in deeds.items():
        for deed in refused:
            with pytest.raises(AccessError) as caught:
                deed()
            assert f"Access to {bucket}y at {s3_server.endpoint} was refused (AccessDenied)" in str(caught.value)
            assert f"needs {action} on this key" in str(caught.value)


def test_a_missing_right_is_named_with_its_key(bucket: str, tmp_path: Path, s3_server: Server) -> None:
    open_store(bucket).put("x", b"1")
    large = tmp_path / "large"
    large.write_bytes(bytes(2 << 20))
    store = open_store(bucket, environ=s3_server.guest_environment)
    deeds = {
        "s3:GetObject on this key": (
            lambda: store.get("x"),
            lambda: store.etag("x"),
            lambda: store.pull(["x"], tmp_path / "a"),
            lambda: store.push({"x": large}),  # looks whether it is there already
        ),
        "s3:PutObject on this key": (lambda: store.put("x", b""),),
        f"s3:ListBucket on the bucket {bucket[5:-1]!r}": (store.list, lambda: store.pull(None, tmp_path / "b")),
    }
    for needed, refused in deeds.items():
        for deed in refused:
            with pytest.raises(AccessError) as caught:
                deed()
            assert needed in str(caught.value)


def test_keys_in_a_file_are_read_again_when_they_have_been_changed(
    bucket: str, tmp_path: Path, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a Secret that is mounted and rotated while a run trains."""
    profile = tmp_path / "credentials"

    def write(key: str, secret: str) -> None:
        profile.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n", "utf-8")

    write(s3_server.access_key, s3_server.secret_key)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("trainer.storage.s3._FILE_LASTS", timedelta(0))
    store = open_store(bucket)
    store.put("x", b"1")
    write(*s3_server.reader)
    assert store.get("x") == b"1"
    with pytest.raises(AccessError):
        store.put("y", b"2")
    profile.write_text("", "utf-8")  # half written: the last keys hold
    assert store.get("x") == b"1"
    write(s3_server.access_key, s3_server.secret_key)
    store.put("y", b"2")


def test_credentials_come_from_a_profile_when_the_environment_has_none(
    bucket: str, tmp_path: Path, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "credentials"
    profile.write_text(
        f"[team]\naws_access_key_id = {s3_server.access_key}\naws_secret_access_key = {s3_server.secret_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    monkeypatch.setenv("AWS_PROFILE", "team")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    store = open_store(bucket)
    store.put("x", b"1")
    assert store.get("x") == b"1"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AccessError, match="ProfileNotFound"):
        open_store(bucket)


def test_an_endpoint_that_is_down_is_named_after_the_retries(bucket: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        store = open_store(bucket, environ={**os.environ, "AWS_ENDPOINT_URL": endpoint}, patience=1)
        for deed in (
            store.list,
            lambda: store.put("k", b"", if_absent=True),
            lambda: store.pull(["k"], tmp_path / "d"),
        ):
            with took_less_than(10), pytest.raises(TransientError, match=f"{endpoint} does not answer"):
                deed()


def test_an_endpoint_that_says_nothing_is_given_up(bucket: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        store = open_store(bucket, environ={**os.environ, "AWS_ENDPOINT_URL": endpoint}, patience=1)
        with took_less_than(15), pytest.raises(TransientError, match="does not answer"):
            store.get("k")


def test_a_signal_stops_a_transfer_at_once(bucket: str, tmp_path: Path) -> None:
    """The pipeline's handler of SIGTERM raises; a transfer that waits must not swallow that."""

    def stop(*_: object) -> None:
        raise StoppedError("told to stop")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
            store = open_store(bucket, environ={**os.environ, "AWS_ENDPOINT_URL": endpoint}, patience=60)
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with took_less_than(10), pytest.raises(StoppedError):
                store.pull([str(n) for n in range(300)], tmp_path / "dest")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_outage_shorter_than_the_patience_is_ridden_out(
    store: Store, bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    contents = {f"{n}": secrets.token_bytes(20_000) for n in range(200)}
    store.push(files(tmp_path / "source", contents))
    # 4 MB over connections that carry less than 0.1 MB each: there are always more than 20 of them.
    proxy.cuts, proxy.budget = 20, 30_000
    broken = open_store(store.uri, environ={**os.environ, "AWS_ENDPOINT_URL": proxy.endpoint}, patience=10)
    broken.pull(None, tmp_path / "dest")
    assert proxy.cuts == 0
    assert tree(tmp_path / "dest") == contents


def test_a_large_object_goes_on_by_ranges_when_the_line_breaks(store: Store, proxy: Proxy, tmp_path: Path) -> None:
    data = secrets.token_bytes(3 * LARGE)
    store.push(files(tmp_path / "source", {"large": data}))
    proxy.cuts, proxy.budget = 5, 4 << 20
    broken = open_store(store.uri, environ={**os.environ, "AWS_ENDPOINT_URL": proxy.endpoint}, patience=10)
    assert broken.pull(None, tmp_path / "dest").digests["large"] == hashlib.sha256(data).hexdigest()
    assert tree(tmp_path / "dest") == {"large": data}
    assert proxy.cuts == 0
    assert proxy.passed < 1.5 * len(data)


def test_a_pull_that_failed_goes_on_where_it_was(store: Store, proxy: Proxy, tmp_path: Path) -> None:
    """What came down before the endpoint went away is not moved again, parts of a large object included."""
    contents = {f"{n}": secrets.token_bytes(50_000) for n in range(40)} | {"large": secrets.token_bytes(4 * LARGE)}
    store.push(files(tmp_path / "source", contents))
    proxy.cuts, proxy.budget = 1 << 30, 2 * LARGE
    environ = {**os.environ, "AWS_ENDPOINT_URL": proxy.endpoint}
    through = open_store(store.uri, environ=environ, patience=1)

    def end_midway(done: int, total: int) -> None:
        if done > 1.5 * LARGE:
            proxy.close()
            proxy.budget = 0

    with pytest.raises(TransientError, match="resumes where it left off"):
        through.pull(None, tmp_path / "dest", end_midway)
    assert not (tmp_path / "dest" / "large").exists()
    second = store.pull(None, tmp_path / "dest")
    assert second.moved_bytes < sum(map(len, contents.values())) - LARGE
    assert tree(tmp_path / "dest") == contents
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_a_key_that_climbs_is_refused_before_anything_is_asked(store: Store, tmp_path: Path) -> None:
    deeds = (
        lambda: store.get("../up"),
        lambda: store.put("../up", b""),
        lambda: store.pull(["../up"], tmp_path / "dest"),
        lambda: store.push({"a/../../up": tmp_path}),
        lambda: store.delete(["../up"]),
        lambda: store.list("../up"),
    )
    for deed in deeds:
        with pytest.raises(SpecError, match="cannot be a file name"):
            deed()
