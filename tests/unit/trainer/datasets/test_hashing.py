"""A page stays in its split."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.datasets import hashing

PAGES = st.sets(st.text(min_size=1, max_size=8), max_size=40)
SHARES = st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
SEEDS = st.integers(0, 2**31 - 1)


@given(PAGES, SHARES, SEEDS)
def test_every_page_has_one_split_that_has_a_share(pages: set[str], shares: tuple[int, int, int], seed: int) -> None:
    found = hashing.assign(pages, shares=shares, seed=seed)
    assert found.keys() == pages
    assert set(found.values()) <= {name for name, share in zip(hashing.SPLITS, shares, strict=True) if share}


@given(PAGES, SHARES, SEEDS)
def test_the_order_of_the_pages_does_not_matter(pages: set[str], shares: tuple[int, int, int], seed: int) -> None:
    assert hashing.assign(sorted(pages), shares=shares, seed=seed) == hashing.assign(
        sorted(pages, reverse=True), shares=shares, seed=seed
    )


@given(PAGES, PAGES, SEEDS)
def test_a_page_stays_where_it_is_when_others_are_added(pages: set[str], more: set[str], seed: int) -> None:
    """All but the pages that an otherwise empty split has borrowed, at most one a split."""
    shares = (6, 2, 2)
    before = hashing.assign(pages, shares=shares, seed=seed)
    after = hashing.assign(pages | more, shares=shares, seed=seed)
    home = {page: hashing.home(page, shares=shares, seed=seed) for page in pages | more}
    borrowed = {page for page in pages if before[page] != home[page]} | {p for p in after if after[p] != home[p]}
    assert {page for page in pages if before[page] != after[page]} <= borrowed
    if {home[page] for page in pages} == set(hashing.SPLITS):
        assert all(before[page] == after[page] for page in pages)


@given(st.integers(1, 12), SEEDS)
def test_train_then_eval_then_test_are_filled_when_pages_are_few(count: int, seed: int) -> None:
    found = Counter(hashing.assign((f"{n}.jpg" for n in range(count)), shares=(6, 2, 2), seed=seed).values())
    assert [bool(found[name]) for name in hashing.SPLITS] == [True, count > 1, count > 2]


@given(SEEDS)
def test_training_borrows_from_the_last_split_and_the_others_keep_their_page(seed: int) -> None:
    homes: dict[str, str] = {}
    for number in range(200):
        homes.setdefault(hashing.home(f"{number}.jpg", shares=(6, 2, 2), seed=seed), f"{number}.jpg")
    found = hashing.assign([homes["eval"], homes["test"]], shares=(6, 2, 2), seed=seed)
    assert found == {homes["eval"]: "eval", homes["test"]: "train"}


@pytest.mark.parametrize("shares", [(6, 2, 2), (8, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_the_shares_converge(shares: tuple[int, int, int]) -> None:
    found = Counter(hashing.assign((f"{n}.jpg" for n in range(20_000)), shares=shares, seed=1).values())
    for name, share in zip(hashing.SPLITS, shares, strict=True):
        assert found[name] / 20_000 == pytest.approx(share / sum(shares), abs=0.015)


def test_the_seed_divides_otherwise() -> None:
    pages = [f"{n}.jpg" for n in range(50)]
    assert hashing.assign(pages, shares=(6, 2, 2), seed=1) != hashing.assign(pages, shares=(6, 2, 2), seed=2)


def test_what_an_empty_split_borrows_is_the_same_for_ever() -> None:
    """Four of these five pages are at home in eval; test borrows one of them."""
    found = hashing.assign([f"{name}.jpg" for name in "abcde"], shares=(1, 30, 1), seed=42)
    assert found == {"a.jpg": "eval", "b.jpg": "eval", "c.jpg": "test", "d.jpg": "train", "e.jpg": "eval"}


def test_the_division_is_the_same_for_ever() -> None:
    """A change of this table moves test pages of trained models into training."""
    found = hashing.assign([f"{n:03}.jpg" for n in range(12)], shares=(6, 2, 2), seed=42)
    assert "".join(found[f"{n:03}.jpg"][:2] + " " for n in range(12)) == "ev ev tr tr tr tr ev tr tr te te tr "
