"""Recipes that want another PaddleOCR than the packaged one, and how a tree is judged without loading it."""

from pathlib import Path
from typing import Any

import pytest

from trainer import recipes
from trainer.datasets import dictionary
from trainer.errors import SpecError
from trainer.ppocr import tree
from trainer.recipes import Recipe

SOURCES = {
    "backbones/rec_pphgnetv2.py": """
        raise RuntimeError("a tree is read, not run")
        class PPHGNetV2: ...
        def PPHGNetV2_B4(pretrained=False, *, det=False, text_rec=False): ...
    """,
    "backbones/rec_lcnetv4.py": """
        class PPLCNetV4(Layer):
            def __init__(self, det=False, model_size="small", **kwargs): ...
    """,
    "necks/db_fpn.py": """
        class RepLKFPN(Layer):
            def __init__(self, in_channels, out_channels, **kwargs): ...
        class LKPAN(Layer):
            def __init__(self, in_channels, out_channels, mode="large", **kwargs): ...
    """,
    "heads/det_db_head.py": """
        class DBHead(Layer):
            def __init__(self, in_channels, k=50, **kwargs): ...
        class PFHeadLocal(DBHead):
            pass
        class MultiHead:
            def __init__(self, in_channels, out_channels_list, **kwargs): ...
    """,
}
NEWER = [name for name in recipes.names() if recipes.load(name).requires]
PACKAGED = sorted(set(recipes.names()) - set(NEWER))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small PaddleOCR of a version to come."""
    for name, source in SOURCES.items():
        path = tmp_path / "ppocr" / "modeling" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line[8:] for line in source.splitlines()), "utf-8")
    monkeypatch.setenv("PADDLEOCR_HOME", str(tmp_path))
    return tmp_path


def require(recipe: Recipe) -> None:
    tree.require(recipe.config["Architecture"], source=f"recipe {recipe.name}", requires=recipe.requires)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_packaged_tree_has_what_most_recipes_need(name: str) -> None:
    require(recipes.load(name))


@pytest.mark.parametrize("name", NEWER)
def test_a_recipe_that_needs_a_newer_tree_says_which(name: str) -> None:
    recipe = recipes.load(name)
    version = {"v5": "3.0.0", "v6": "3.7.0"}[name.split("-")[2].removeprefix("ocr")]
    assert recipe.summary.endswith(f". Needs PaddleOCR {version} in PADDLEOCR_HOME")
    with pytest.raises(SpecError) as error:
        require(recipe)
    assert f"does not have. Point PADDLEOCR_HOME at a checkout of PaddleOCR at tag v{version}" in str(error.value)


def test_what_is_missing_is_named_with_the_arguments_that_it_does_not_take() -> None:
    """PaddleOCR 2.10 has a PPHGNetV2_B4, but one for formulas."""
    with pytest.raises(SpecError, match=r"recipe det-pp-ocrv5-server needs PPHGNetV2_B4\(det=…\), which"):
        require(recipes.load("det-pp-ocrv5-server"))
    with pytest.raises(SpecError, match=r"recipe det-pp-ocrv6-medium needs PPLCNetV4 and RepLKPAN, which"):
        require(recipes.load("det-pp-ocrv6-medium"))


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("name", ["det-pp-ocrv5-server", "rec-pp-ocrv5-server", "det-pp-ocrv6-small"])
def test_a_checkout_that_has_it_will_do_and_is_not_run(name: str) -> None:
    require(recipes.load(name))


def test_a_checkout_that_lacks_it_is_named(checkout: Path) -> None:
    with pytest.raises(SpecError) as error:
        require(recipes.load("det-pp-ocrv6-medium"))
    assert f"RepLKPAN, which PADDLEOCR_HOME ({checkout}) does not have" in str(error.value)


@pytest.mark.usefixtures("checkout")
def test_a_whole_configuration_is_judged_too() -> None:
    architecture: dict[str, Any] = {"Backbone": {"name": "ResNet_Odd", "layers": 18}, "Neck": None}
    with pytest.raises(SpecError, match=r"^run.config needs ResNet_Odd, .* at a checkout of PaddleOCR that has it\.$"):
        tree.require(architecture, source="run.config")


BUILT_IN = sorted(
    path.relative_to(tree.root()).as_posix()
    for folder in ("ppocr/utils", "ppocr/utils/dict")
    for path in (tree.root() / folder).glob("*.txt")
)


def test_paddleocr_ships_dictionaries() -> None:
    assert {"ppocr/utils/en_dict.txt", "ppocr/utils/dict/bn_dict.txt"} <= set(BUILT_IN)


@pytest.mark.parametrize("path", BUILT_IN)
def test_every_built_in_dictionary_loads_by_name_and_by_path(path: str) -> None:
    """A class keeps its place, so that PaddleOCR's weights fit: every line but the space is an entry."""
    lines = (tree.root() / path).read_text("utf-8-sig").rstrip("\n").split("\n")
    assert dictionary.load(tree.built_in_dictionary(path)) == [line for line in lines if line != " "]
    assert dictionary.load(tree.built_in_dictionary(Path(path).stem))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("en_dict", "ppocr/utils/en_dict.txt"),
        ("en_dict.txt", "ppocr/utils/en_dict.txt"),
        ("ppocr/utils/en_dict.txt", "ppocr/utils/en_dict.txt"),
        ("ppocr/utils/dict/en_dict.txt", "ppocr/utils/dict/en_dict.txt"),
        ("./ppocr/utils/dict/ta_dict.txt", "ppocr/utils/dict/ta_dict.txt"),
        ("/paddle/PaddleOCR/ppocr/utils/ta_dict.txt", "ppocr/utils/dict/ta_dict.txt"),
        (r"ppocr\utils\dict\ta_dict.txt", "ppocr/utils/dict/ta_dict.txt"),
    ],
)
def test_a_path_of_paddleocr_is_its_built_in_dictionary(name: str, path: str) -> None:
    assert tree.built_in_dictionary(name) == tree.root() / path


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ppocr/utils/dict/en_dic.txt", "en_dict"),
        ("ppocr/utils/dict/PPOCR_keys_v2.txt", "ppocr_keys_v1"),
        ("/home/ann/en_dict.txt", "en_dict"),
        (r"C:\ocr\japan_dict.txt", "japan_dict"),
    ],
)
def test_an_unknown_dictionary_is_refused_with_the_nearest_file_name(name: str, hint: str) -> None:
    with pytest.raises(SpecError, match=f"not a built-in dictionary. Did you mean '{hint}'. For a file of your own, "):
        tree.built_in_dictionary(name)
