"""Divides pages into train, eval and test: by a hash of each page's path, so that it stays where it is."""

import hashlib
from collections.abc import Iterable
from typing import Final

SPLITS: Final = ("train", "eval", "test")


def shares_of(text: str) -> tuple[int, int, int]:
    """Read `6:2:2`."""
    train, evaluation, test = (int(part) for part in text.split(":"))
    return train, evaluation, test


def assign(pages: Iterable[str], *, shares: tuple[int, int, int], seed: int) -> dict[str, str]:
    """Assign each page to a split.

    A page's split depends only on the sha256 of seed and path, so it does not change when pages are added or
    removed. The one exception: a split with a share that would be empty borrows a page (train first, then eval,
    then test). It borrows from a split with two or more pages, else from a later split, and takes the page with the
    smallest hash of seed, split and path. The page returns as soon as the split has one of its own. At 6:2:2 a split
    is empty with 1 in 5 sets of 10 pages, and 1 in 35,000 of 50 pages.

    Args:
        pages: paths, each once.
        shares: of train, eval and test.
        seed: of the run.

    Returns:
        The split of each page.
    """
    members: dict[str, list[str]] = {split: [] for split in SPLITS}
    for page in pages:
        members[home(page, shares=shares, seed=seed)].append(page)
    wanted = [split for split, share in zip(SPLITS, shares, strict=True) if share]
    for rank, split in enumerate(wanted):
        if not members[split]:
            _borrow(members, split, later=wanted[rank + 1 :], seed=seed)
    return {page: split for split, pages_of in members.items() for page in pages_of}


def home(page: str, *, shares: tuple[int, int, int], seed: int) -> str:
    """Return the split of a page by its hash alone."""
    # Whole numbers, so that no rounding differs between machines.
    slot = _hash(seed, page) * sum(shares) >> 64
    return SPLITS[0] if slot < shares[0] else SPLITS[1] if slot < shares[0] + shares[1] else SPLITS[2]


def _borrow(members: dict[str, list[str]], split: str, *, later: list[str], seed: int) -> None:
    lenders = [name for name in SPLITS if len(members[name]) > 1]
    lenders = lenders or [name for name in reversed(later) if members[name]][:1]
    lent = min(
        ((_hash(seed, split, page), name, page) for name in lenders for page in members[name]),
        default=None,
    )
    if lent:
        _, lender, page = lent
        members[lender].remove(page)
        members[split].append(page)


def _hash(*parts: object) -> int:
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
