"""A benchmark of speed fails when the median of a case misses its bound, and not at the bound."""

from benchmarks import reader, submit, train_throughput
from benchmarks.contest import Timing
from benchmarks.pairs import Case, Time


def side(speed: float) -> Timing:
    return Timing(seconds=1.0, samples_per_second=speed)


def test_training_below_its_bound_is_named_by_its_median() -> None:
    least = train_throughput.CASES["det-same-threads"].least
    at = [(side(least), side(1.0))]
    below = [(side(0.1), side(1.0)), (side(0.2), side(1.0)), (side(9.0), side(1.0))]
    assert train_throughput.misses({"det-same-threads": at}) == []
    (said,) = train_throughput.misses({"rec-same-threads": at, "det-same-threads": below})
    assert said.startswith("det-same-threads has a median ratio of 0.200, below")


def command(name: str, *ours: float, peer: float = 1.0) -> Case:
    pairs = [(Time(seconds=each, processor=each), Time(seconds=peer, processor=peer)) for each in ours]
    return Case(name, "peer", pairs)


def test_a_command_above_its_bound_is_named_by_its_median() -> None:
    bound = submit.MOST["render"]
    assert submit.misses([command("render", bound, 0.1, 100.0)]) == []
    (said,) = submit.misses([command("submit", 1.0), command("render", bound + 0.1)])
    assert said == "The median ratio of render is 3.10, above its bound of 3.0."


def test_many_files_have_the_bound_of_their_case() -> None:
    assert submit.misses([command("9 files", submit.MOST["files"])]) == []
    (said,) = submit.misses([command("9 files", 2 * submit.MOST["files"])])
    assert said.startswith("The median ratio of 9 files is 0.14, above")


def test_every_case_has_its_bound() -> None:
    assert submit.MOST.keys() == submit.CASES.keys()


def test_reading_below_its_bound_is_named_by_its_median() -> None:
    """The ratio is of processor time: the clock of a busy machine counts other work too."""

    def pair(ratio: float) -> tuple[Time, Time]:
        return Time(seconds=1.0, processor=1.0), Time(seconds=1.0, processor=ratio)

    least = reader.CASES["det-960"].least
    assert least is not None
    at = Case("det-960", "PaddleOCR", [pair(least)])
    without_bound = Case("det-pp-ocrv5", "PaddleOCR", [pair(0.1)])
    assert reader.misses([at, without_bound]) == []
    (said,) = reader.misses([at, Case("rec-aug", "PaddleOCR", [pair(0.1), pair(2.0), pair(9.0)])])
    assert said.startswith("rec-aug has a median ratio of 2.00, below")
