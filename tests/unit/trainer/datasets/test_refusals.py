"""Refused samples, counted by reason."""

from trainer.datasets import refusals


def test_refusals_are_grouped_by_reason_the_commonest_first() -> None:
    lacking = [(f"a.txt:{n}", f"the dictionary lacks characters of the label: '{n}'") for n in range(5)]
    found = refusals.by_reason([("b.txt:1", "the image is cut short"), *lacking])
    assert [(each.reason, each.count, each.where) for each in found] == [
        ("the dictionary lacks characters of the label", 5, "a.txt:0, a.txt:1, a.txt:2 and 2 more"),
        ("the image is cut short", 1, "b.txt:1"),
    ]
