"""`make mutants`: what it changes, and that a change that no test notices is reported."""

import textwrap
from pathlib import Path

import pytest

from tests import mutants

SOURCE = textwrap.dedent('''
    """A docstring with 1 < 2."""

    LIMIT: "0 < 1" = 3
    SIZES: Final = (8 << 20, 16 * 1024)
    PATIENCE: Final = timedelta(seconds=30)
    KINDS: Final = {"page": False}

    def check(value: int) -> int:
        """Check it."""
        if value < LIMIT:
            raise ValueError(f"{value} is under {LIMIT + 1}")
        note(zip(value, value, strict=True))
        return value
''')


def test_each_mutant_changes_one_thing_and_neither_words_nor_named_constants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module.py").write_text(SOURCE, "utf-8")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    made = mutants.mutants_of("module.py", SOURCE)
    assert {mutant.change for mutant in made} == {
        "if value < LIMIT:  ->  if not value < LIMIT:",
        "value < LIMIT  ->  value <= LIMIT",
        "note(zip(value, value, strict=True))  ->  ...",
        "return value  ->  return None",
        "False  ->  True",
    }
    for mutant in made:
        changed = set(mutant.text().splitlines()) - set(mutants.ast.unparse(mutants.ast.parse(SOURCE)).splitlines())
        assert len(changed) == 1


def test_the_same_seed_draws_the_same_and_the_critical_get_a_third() -> None:
    drawn = mutants.sample(30, 7, ())
    assert drawn == mutants.sample(30, 7, ())
    assert drawn != mutants.sample(30, 8, ())
    assert sum(mutant.module in mutants.CRITICAL for mutant in drawn) == 10


@pytest.mark.parametrize("module", mutants.CRITICAL)
def test_the_critical_modules_are_there_and_have_tests_of_their_own(module: str) -> None:
    assert (mutants.ROOT / module).exists()
    assert mutants.tests_of(module)


@pytest.mark.timeout(120)  # pytest starts three times
def test_a_mutant_survives_if_and_only_if_the_tests_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module.py").write_text("def double(value):\n    return value * 2\n", "utf-8")
    (tmp_path / "test_weak.py").write_text("def test():\n    import module\n    module.double(1)\n", "utf-8")
    (tmp_path / "test_good.py").write_text(
        "def test():\n    import module\n    assert module.double(3) == 6\n", "utf-8"
    )
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    mutant = next(each for each in mutants.mutants_of("module.py", (tmp_path / "module.py").read_text("utf-8")))
    monkeypatch.setattr(mutants, "PYTEST", ("-p", "no:cacheprovider"))
    assert mutants.survives(mutant, tmp_path, [["test_weak.py"], []])
    assert not mutants.survives(mutant, tmp_path, [["test_weak.py"], ["test_good.py"]])
    assert "return value * 2" in (tmp_path / "module.py").read_text("utf-8")


def test_the_second_round_adds_the_tests_that_use_a_module_from_outside() -> None:
    first, second = mutants.rounds_of("jobs/diagnosis/kueue.py")
    assert "tests/unit/jobs/diagnosis/test_kueue.py" in first
    assert {"tests/unit/jobs/commands/test_status.py", "tests/unit/jobs/test_library.py"} <= {*second}
    assert not {*second} & {*first, *mutants.NOT_IN_SECOND_ROUND}
    assert "tests/unit/trainer/stages/test_publish.py" in mutants.rounds_of("trainer/system/atomic.py")[1]


@pytest.mark.parametrize("test", [*sum(mutants.SECOND_ROUND.values(), ()), *mutants.NOT_IN_SECOND_ROUND])
def test_what_the_second_round_names_is_there(test: str) -> None:
    assert (mutants.ROOT / test).exists()


@pytest.mark.timeout(120)  # pytest starts twice
@pytest.mark.parametrize("where", ["conftest.py", "test_it.py"])
def test_a_mutant_that_cannot_be_imported_does_not_survive(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module.py").write_text("", "utf-8")
    (tmp_path / "test_it.py").write_text("def test(): pass\n", "utf-8")
    with (tmp_path / where).open("a", encoding="utf-8") as stream:
        stream.write("import module\n")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "PYTEST", ("-p", "no:cacheprovider"))
    broken = mutants.Mutant(module="module.py", node=0, line=1, change="")
    monkeypatch.setattr(mutants.Mutant, "text", lambda _: "assert False\n")
    assert not mutants.survives(broken, tmp_path, [["test_it.py"]])
