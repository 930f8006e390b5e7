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
    """Give each page its split.

    A page's place comes from the sha256 of seed and path alone, so it stays in its split whatever else is added
    or taken away. Only while a split with a share would be empty does it borrow one page, train before eval
    before test: from a split that has two or more, else from a later one; of these the page with the smallest
    hash of seed, split and path. A borrowed page goes home when the split gets one of its own. At 6:2:2 that
    is 1 in 5 for 10 pages, 1 in 35,000 for 50.

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
    """Give the split that a page's hash alone says."""
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
