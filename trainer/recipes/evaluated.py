"""PaddleOCR evaluates parts of its configuration as Python: what could call something there is refused.

`create_operators` evaluates the name of each operator, NormalizeImage its scale, and many networks the names of their
layers; which texts exactly depends on the version of PaddleOCR. So the rule is for all of them. Paddle-free.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from trainer.errors import SpecError

_CALL: Final = re.compile(r"[()\[\]{}]")
"""Without a bracket, an expression of Python has no call, no subscript and no comprehension."""

_COMPONENTS: Final = ("Architecture", "Loss", "Train.dataset.transforms", "Eval.dataset.transforms")
"""Where keys are names of classes, or of their arguments."""


def check(config: Mapping[str, Any], *, source: str) -> None:
    """Refuse a configuration with Python in it.

    Args:
        config: a whole PaddleOCR configuration.
        source: what it is, for messages.

    Raises:
        SpecError: a text has a bracket, or a component's key is no plain name.
    """
    for place, text, is_key in _texts(config, ""):
        within = place.startswith(_COMPONENTS)
        if is_key and within and not text.isidentifier():
            raise SpecError(
                f"{place} of {source} has the key {text!r}. PaddleOCR evaluates such keys as Python: write the name of "
                "a class or of an argument."
            )
        if _CALL.search(text):
            raise SpecError(
                f"{place} of {source} {'has the key' if is_key else 'is'} {text!r}. PaddleOCR evaluates such texts as "
                "Python, so they must not have brackets."
            )


def _texts(node: object, place: str) -> Iterator[tuple[str, str, bool]]:
    """Yield every text with its place, and whether it is the key of a mapping there."""
    if isinstance(node, str):
        yield place, node, False
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield place, str(key), True
            yield from _texts(value, f"{place}.{key}".lstrip("."))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _texts(item, place)
