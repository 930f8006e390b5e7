"""Naming what was published, and fetching it once."""

from pathlib import Path

import pytest

from jobs.models import pull
from jobs.models.cache import Cache
from jobs.models.pull import Published
from trainer.errors import NotFoundError, SpecError


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("s3://b/x", Published("s3://b/x")),
        ("s3://b/x/", Published("s3://b/x")),
        ("s3://b", Published("s3://b")),
        ("s3://b/x@production", Published("s3://b/x", "production")),
        ("s3://b/x/@production", Published("s3://b/x", "production")),
        ("s3://b/x#slips-1a2b3c4d", Published("s3://b/x", "slips-1a2b3c4d")),
        ("file:///models/x#slips-1a2b3c4d", Published("file:///models/x", "slips-1a2b3c4d")),
        ("file:///a#1/x@y/z", Published("file:///a#1/x@y/z")),
        ("file:///a#1/x#slips-1a2b3c4d", Published("file:///a#1/x", "slips-1a2b3c4d")),
        ("file:///a#b/", Published("file:///a#b")),
    ],
)
def test_a_models_name_has_three_forms(text: str, published: Published) -> None:
    assert pull.parse(text) == published


@pytest.mark.parametrize("text", ["gs://b/x", "s3://b/x@", "s3://b/x@Production", "s3://b/x#a#b", "b/x"])
def test_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="does not name a published model"):
        pull.parse(text)


def test_a_model_is_fetched_once(published: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    moved: list[int] = []
    for _ in range(2):
        folder = pull.fetch(published, cache, progress=lambda done, total: moved.append(done))
    assert (folder / "inference.json").is_file()
    assert not (folder.parent / "record.json").exists()


def test_a_folder_of_this_machine_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference" / "inference.json").touch()
    for given in (tmp_path, tmp_path / "inference"):
        assert pull.fetch(str(given), Cache(tmp_path)) == tmp_path / "inference"
    with pytest.raises(NotFoundError, match=r"inference\.json"):
        pull.fetch(str(tmp_path / "none"), Cache(tmp_path))


def test_a_manifest_makes_no_folder_outside_the_cache(published: str, tmp_path: Path) -> None:
    """Its run becomes the name of a folder there."""
    path, outside = tmp_path / "models/runs/slips-00000002/manifest.json", tmp_path / "outside"
    path.write_text(path.read_text("utf-8").replace('"run": "slips-00000002"', f'"run": "{outside}"'), "utf-8")
    assert pull.parse(published).run() == "slips-00000001", "the newest one that is a model"
    with pytest.raises(SpecError, match="is not a manifest"):
        pull.fetch(f"{published}#slips-00000002", Cache(tmp_path / "cache"))
    assert not outside.exists()
    assert not (tmp_path / "cache").exists()
