"""Reads YAML as Helm does, and writes YAML that Helm reads back unchanged: job files, recipes and exports."""

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import yaml

from trainer.errors import SpecError
from trainer.formats.canonical_json import LARGEST

MAX_VALUES: Final = 20_000
"""Values in a file, with every alias written out. A whole configuration has some hundred; ten lines of aliases to
aliases have billions."""


def parse_yaml(text: str, *, source: str, exported: bool = False, most: int | None = None) -> Any:
    """Parse YAML as Helm does: `1e-4` is a number, `y` is true. A key twice in one mapping is an error.

    Args:
        text: the document.
        source: the file's name, for messages.
        exported: the document is an export's inference.yml, which has a value for each character of its dictionary,
            `y` among them.
        most: values that the document may have. None: as many as a job file, or as an export.

    Raises:
        SpecError: the text is not YAML, has too many values, or has a value that Helm would change. The message has
            file, line and column.
    """
    try:
        loader = (_Loader if exported else JobLoader)(text)
        loader.most = most or loader.most
        return loader.get_single_data()
    except RecursionError as error:
        raise SpecError(f"{source} is nested too deeply. Flatten it: no job file needs so many levels.") from error
    except ValueError as error:  # an int of thousands of digits
        raise SpecError(f"{source} is not YAML: {error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{source}:{_place(text, mark.line, mark.column)}" if mark else source
        what = getattr(error, "problem", None) or str(error)
        raise SpecError(f"{place} is not YAML: {what.splitlines()[0]}.") from error


def written(text: str, place: Sequence[str | int], value: object) -> str | None:
    """Return how a scalar is written in a job file that `parse_yaml` takes, such as `yes` for true.

    Args:
        text: the document.
        place: keys and numbers of items, from the root.
        value: the scalar.

    Returns:
        The text; None if this value is not written at the place, as when it comes in by a merge or by `--set`.
    """
    loader = JobLoader(text)
    node = loader.get_single_node()
    for step in place:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            return None
    found = loader.construct_object(node) if isinstance(node, yaml.ScalarNode) else None
    return str(node.value) if node and (type(found), found) == (type(value), value) else None


def _place(text: str, line: int, column: int) -> str:
    """Return line and column, from 1. Where libyaml points past the last line, return the end of that line."""
    lines = text.splitlines() or [""]
    return f"{line + 1}:{column + 1}" if line < len(lines) else f"{len(lines)}:{len(lines[-1]) + 1}"


def to_yaml(value: object) -> str:
    """Write JSON data as YAML that `parse_yaml` reads back the same."""
    return yaml.dump(value, Dumper=JobDumper, sort_keys=False, allow_unicode=True, width=110)


_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_TAG}merge"


if yaml.__with_libyaml__:
    # Four times as fast. Nodes are put together here, not in C, where deep nesting would end the process.
    from yaml._yaml import CParser

    class _Base(yaml.composer.Composer, CParser, yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            yaml.composer.Composer.__init__(self)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)
else:
    _Base = yaml.SafeLoader  # type: ignore[assignment,misc]


class _Loader(_Base):
    """SafeLoader with JSON's kinds of values and YAML 1.2 numbers, without duplicate keys, and without bombs."""

    composed = 0
    most: int = 1_000_000

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.composed += 1
        if self.composed > self.most:
            raise _refusal(f"it has more than {self.most:,} values", self.peek_event().start_mark)  # type: ignore[union-attr]
        return super().compose_node(parent, index)

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        self._count(node, {})
        return self.construct_document(node)

    def _count(self, node: yaml.Node, known: dict[int, int]) -> int:
        """Check a node and return the number of its values. A node is checked once, however many aliases name it."""
        if id(node) not in known:
            known[id(node)] = self.most  # what contains itself has no end
            known[id(node)] = 1 + sum(self._count(part, known) for part in _parts(node))
            if known[id(node)] > self.most:
                what = f"it has more than {self.most:,} values when its aliases are expanded"
                raise _refusal(what, node.start_mark)
            self.check(node)
        return known[id(node)]

    def check(self, node: yaml.Node) -> None:
        """Refuse values that JSON cannot hold."""
        if node.tag == f"{_TAG}float" and not math.isfinite(float(node.value.replace("_", ""))):
            raise _refusal(f"{node.value} is too large for a number", node.start_mark)


CONTROL: Final = "\x7f-\x9f\ufffe\uffff"
"""Characters that no string of a job file may have, as in the brackets of a regular expression.

Helm's toYaml writes nothing at all for a string with one of these.
"""
_CONTROL: Final = re.compile(f"[{CONTROL}]")


class JobLoader(_Loader):
    """Reads a job file as Helm does, and refuses what Helm would change."""

    most = MAX_VALUES
    bool_values: ClassVar = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def check(self, node: yaml.Node) -> None:
        """Also refuse values that Helm would change."""
        super().check(node)
        if node.tag == f"{_TAG}int" and not abs(self.construct_object(node)) <= LARGEST:
            raise _refusal(f"JSON would round {node.value}, so write it in quotes", node.start_mark)
        if isinstance(node, yaml.ScalarNode) and _CONTROL.search(node.value):
            raise _refusal("a control character, which YAML does not allow: remove it", node.start_mark)
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.tag not in (f"{_TAG}str", _MERGE):
                shown = f"the key {key.value!r}" if isinstance(key, yaml.ScalarNode) else "this key"
                raise _refusal(f"{shown} is not a string, so write it in quotes", key.start_mark)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return list(node.value) if isinstance(node, yaml.SequenceNode) else []
    keys = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            if (key.tag, key.value) in keys:
                raise _refusal(f"the key {key.value!r} appears twice", key.start_mark)
            keys.add((key.tag, key.value))
    return [part for pair in node.value for part in pair]


def _refusal(what: str, mark: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, mark)


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "")
    digits = text.lstrip("+-")
    value = int(digits, 8 if digits.isdigit() and digits[0] == "0" else 0)
    return -value if text[0] == "-" else value


# No bytes, dates or sets, whatever their tag says: JSON has none.
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rsplit(":")[-1] in ("null", "bool", "float", "str", "seq", "map")
} | {f"{_TAG}int": _int}
# Numbers as Go's YAML has them. To PyYAML (YAML 1.1) `1e-4` is a string, for want of a dot, `6:2:2` a number to the
# base 60, and 2026-11-01 a date.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.rsplit(":")[-1] not in ("int", "float", "timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_SIGNS: Final = list("-+0123456789")
_INT: Final = re.compile(
    r"^[-+]?_*(?:0_*[bB]_*[01][01_]*|0_*[xX]_*[0-9a-fA-F][0-9a-fA-F_]*|0_*[oO]_*[0-7][0-7_]*|0[0-7_]*|[1-9][0-9_]*)$"
)
# Neither .inf nor .nan: JSON has none, so neither have Helm nor digests.
_FLOAT: Final = re.compile(r"^[-+]?_*(?:\._*[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE]_*[-+]?_*[0-9][0-9_]*)?$")
_Loader.add_implicit_resolver(f"{_TAG}int", _INT, _SIGNS)
_Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, [*_SIGNS, "."])
_LETTERS: Final = re.compile(r"^[yYnN]$")
JobLoader.add_implicit_resolver(f"{_TAG}bool", _LETTERS, list("yYnN"))


class JobDumper(yaml.SafeDumper):
    """SafeDumper that quotes what the loader or Helm would take for a number or a boolean."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything in full."""
        return True


def _text(dumper: JobDumper, value: str) -> yaml.ScalarNode:
    # Line breaks to YAML 1.1, which only double quotes keep.
    style = '"' if any(character in value for character in "\x85\u2028\u2029") else None
    return dumper.represent_scalar(f"{_TAG}str", value, style=style)


JobDumper.add_representer(str, _text)
JobDumper.add_implicit_resolver(f"{_TAG}int", _INT, _SIGNS)
JobDumper.add_implicit_resolver(f"{_TAG}float", _FLOAT, [*_SIGNS, "."])
JobDumper.add_implicit_resolver(f"{_TAG}bool", _LETTERS, list("yYnN"))
