"""`make mutants`: change the code in small ways, one at a time, and see whether a unit test notices.

A mutant is a copy of the code with one change: a comparison turned, a number off by one, a check left out. The tests of
the changed module run on it (its own test module first, then the others that import it). If they all pass, a second
round runs the tests that use it from outside: of the commands for `jobs`, of the node and the stages for `trainer`.
A mutant on which these pass, too, survives, and shows a line whose meaning no test holds. Only modules whose tests need
no Paddle and no S3 server are changed, so that a mutant takes seconds. The sample is drawn by a seed: the same code and
seed draw the same.

    python -m tests.mutants --count 100
    python -m tests.mutants --only trainer/state/fencing.py --count 0     # all of one module's
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

ROOT: Final = Path(__file__).parents[1]
CRITICAL: Final = (
    "trainer/state/fencing.py",
    "trainer/state/checkpoints.py",
    "trainer/stages/publish.py",
    "trainer/registry/channels.py",
    "trainer/state/key.py",
    "trainer/rendezvous/handshake.py",
    "trainer/rendezvous/line.py",
    "trainer/rendezvous/member.py",
    "trainer/rendezvous/server.py",
)
"""Where a mistake costs a model or a run: no mutant may survive, and they get a third of the sample."""

IN_REAL_PROCESSES: Final = ("trainer/ppocr/", "trainer/storage/s3.py", "trainer/storage/transfers.py")
"""Not changed: tests/e2e proves these with a real Paddle or a real S3 server, which takes minutes a mutant."""

SECOND_ROUND: Final = {
    "jobs": (
        "tests/unit/jobs/commands",
        "tests/unit/jobs/runs",
        "tests/unit/jobs/diagnosis/test_cost.py",
        "tests/unit/jobs/diagnosis/test_events.py",
        "tests/unit/jobs/test_library.py",
    ),
    "trainer": (
        "tests/unit/trainer/test_main.py",
        "tests/unit/trainer/node/test_pipeline.py",
        "tests/unit/trainer/node/test_hold_on_failure.py",
        "tests/unit/trainer/stages",
    ),
}
"""Tests that use most modules from outside, for what the tests of a module have not noticed: 40 seconds at most."""

NOT_IN_SECOND_ROUND: Final = ("tests/unit/jobs/commands/test_flags.py",)
"""Takes as long as all others there, and asks each command the same questions about its options."""

SURVIVORS: Final = 0.10
"""The share of mutants that may survive elsewhere: some changes have no effect, such as a deadline of 31 s for 30."""

DEADLINE: Final = 300.0
"""Seconds for one round of a mutant's tests; one that hangs them is noticed, too."""

PYTEST: Final = ("-p", "no:cacheprovider", "-m", "not paddle", "--timeout=60")

_COMPARE: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
# Not `/`: most of it joins paths, and what fails with a TypeError wherever it runs tells nothing.
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change of one module."""

    module: str
    """Path from the root."""

    node: int
    """Which of the module's nodes, in the order of `_nodes`."""

    line: int
    change: str
    """The code before and after."""

    def text(self) -> str:
        """Return the whole module, changed."""
        tree = ast.parse((ROOT / self.module).read_text("utf-8"))
        _apply(next(node for number, node in enumerate(_nodes(tree)) if number == self.node))
        return ast.unparse(ast.fix_missing_locations(tree))


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Return all mutants of a module's source."""
    made = []
    for number, node in enumerate(_nodes(ast.parse(source))):
        if _can_change(node):
            line: int = getattr(node, "lineno", 1)
            change = f"{_short(ast.unparse(node))}  ->  {_short(_apply(copy.deepcopy(node)))}"
            made.append(Mutant(module=module, node=number, line=line, change=change))
    return made


def _short(text: str) -> str:
    first = text.splitlines()[0]
    return first if len(first) < 90 else f"{first[:87]}..."


def _nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what can be changed, in a fixed order: no annotations, docstrings, messages of errors or imports."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.JoinedStr):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue  # of `zip`: an assertion, which changes nothing while it holds
        if isinstance(node, ast.AnnAssign) and node.value and node in tree.body and _is_plain(node.value):
            continue  # a constant with a name, such as a deadline, a size or a colour: a test could only repeat it
        yield node
        skipped = {"annotation", "returns", "decorator_list", "type_params"}
        for name, value in ast.iter_fields(node):
            if name not in skipped:
                children = value if isinstance(value, list) else [value]
                todo.extend(child for child in reversed(children) if isinstance(child, ast.AST))


def _is_plain(value: ast.expr) -> bool:
    """Check for a number or a string, several of them, or such as `8 << 20` and `timedelta(seconds=30)`."""
    match value:
        case ast.Call(func=ast.Name(id="timedelta"), args=args, keywords=keywords):
            return all(map(_is_plain, (*args, *(keyword.value for keyword in keywords))))
        case ast.Tuple(elts=elements):
            return all(map(_is_plain, elements))
        case ast.BinOp(left=left, right=right):
            return _is_plain(left) and _is_plain(right)
    return isinstance(value, ast.Constant)


def _can_change(node: ast.AST) -> bool:
    match node:
        case ast.Compare():
            return len(node.ops) == 1 and type(node.ops[0]) in _COMPARE
        case ast.BinOp():
            return type(node.op) in _ARITHMETIC and not isinstance(node.left, ast.Constant | ast.JoinedStr)
        case ast.Constant():
            return isinstance(node.value, bool | int | float)
        case ast.Expr():  # a call for its effect; docstrings are no calls
            return isinstance(node.value, ast.Call)
        case ast.Return():
            # None for False changes nothing in a condition; True for False is another mutant.
            return node.value is not None and ast.unparse(node.value) not in ("None", "False")
        case ast.Call():
            return isinstance(node.func, ast.Name) and node.func.id in ("sorted", "reversed", "min", "max")
    return isinstance(node, ast.If | ast.IfExp | ast.While | ast.BoolOp)


def _apply(node: ast.AST) -> str:
    """Change a node in place; return what it is now."""
    match node:
        case ast.Compare():
            node.ops = [_COMPARE[type(node.ops[0])]()]
        case ast.BinOp():
            node.op = _ARITHMETIC[type(node.op)]()
        case ast.Constant():
            node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
        case ast.Expr():
            node.value = ast.Constant(...)
        case ast.If() | ast.IfExp() | ast.While():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.Return():
            node.value = ast.Constant(None)
        case ast.Call(func=ast.Name(id=("min" | "max") as name)):
            node.func = ast.Name("max" if name == "min" else "min", ast.Load())
        case ast.Call():
            node.func = ast.Name("list", ast.Load())
            node.keywords = []
    return ast.unparse(ast.fix_missing_locations(node))


def modules() -> list[str]:
    """Return the modules that are changed: all whose tests need neither Paddle nor an S3 server."""
    found = [path for top in ("jobs", "trainer") for path in (ROOT / top).rglob("*.py")]
    names = (path.relative_to(ROOT).as_posix() for path in found)
    return sorted(name for name in names if not name.startswith(IN_REAL_PROCESSES))


def sample(count: int, seed: int, only: Sequence[str]) -> list[Mutant]:
    """Draw mutants: a third from the critical modules, the rest from all others; 0 for all there are."""
    chosen = [name for name in modules() if not only or name.startswith(tuple(only))]
    pools = {True: [], False: []}  # type: dict[bool, list[Mutant]]
    for name in chosen:
        pools[name in CRITICAL] += mutants_of(name, (ROOT / name).read_text("utf-8"))
    if not count:
        return pools[True] + pools[False]
    dice = random.Random(seed)
    critical = dice.sample(pools[True], min(len(pools[True]), count if only else count // 3))
    others = dice.sample(pools[False], min(len(pools[False]), count - len(critical)))
    return critical + others


def tests_of(module: str) -> list[str]:
    """Return the test modules that could notice a change: its own first, then those that import it, then its room's."""
    path = Path(module)
    room = ROOT / "tests" / "unit" / path.parent
    own = room / f"test_{path.parent.name if path.stem == '__init__' else path.stem.strip('_')}.py"
    others = [
        test for test in sorted((ROOT / "tests" / "unit" / path.parts[0]).rglob("test_*.py")) if _imports(test, path)
    ]
    chosen = dict.fromkeys([own, *others, *sorted(room.glob("test_*.py"))])
    return [str(test.relative_to(ROOT)) for test in chosen if test.exists()]


def _imports(test: Path, module: Path) -> bool:
    package, _, name = ".".join(module.with_suffix("").parts).removesuffix(".__init__").rpartition(".")
    for node in ast.walk(ast.parse(test.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            named = node.module == package and any(alias.name == name for alias in node.names)
            if named or node.module == f"{package}.{name}":
                return True
    return False


def rounds_of(module: str) -> list[list[str]]:
    """Return the tests of a module, and those that the second round adds to them."""
    first = tests_of(module)
    found: list[Path] = []
    for place in SECOND_ROUND[Path(module).parts[0]]:
        path = ROOT / place
        found += sorted(path.glob("test_*.py")) if path.is_dir() else [path]
    second = [path.relative_to(ROOT).as_posix() for path in found if path.exists()]
    return [first, [test for test in second if test not in (*first, *NOT_IN_SECOND_ROUND)]]


def survives(mutant: Mutant, tree: Path, rounds: Sequence[Sequence[str]]) -> bool:
    """Run rounds of tests on a mutant in a copy of the project, until one fails; tell whether they all pass."""
    target = tree / mutant.module
    original = target.read_bytes()
    target.write_text(mutant.text(), "utf-8")
    try:
        return all(_pass(tests, tree) for tests in rounds if tests)
    finally:
        target.write_bytes(original)


def _pass(tests: Sequence[str], tree: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", *PYTEST, *tests]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired:
        return False
    # The module cannot be imported any more: by a test module (2), or by a conftest.
    broken = ran.returncode == 2 or b"while loading conftest" in ran.stderr
    if ran.returncode not in (0, 1) and not broken:
        said = (ran.stdout + ran.stderr).decode(errors="replace")[-2000:]
        raise RuntimeError(f"pytest ended with {ran.returncode}:\n{said}")
    return ran.returncode == 0


def _copy(folder: Path) -> Path:
    """Copy what git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return folder


def main() -> int:
    """Draw mutants, run their tests, and report those that survive."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="mutants to draw; 0: all there are")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], metavar="PATH", help="modules or folders to change")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    drawn = sample(arguments.count, arguments.seed, arguments.only)
    rounds = {name: rounds_of(name) for name in {mutant.module for mutant in drawn}}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        free: SimpleQueue[Path] = SimpleQueue()
        for number in range(arguments.workers):
            free.put(_copy(Path(folder, str(number))))

        def judge(mutant: Mutant) -> bool:
            tree = free.get()
            try:
                return survives(mutant, tree, rounds[mutant.module])
            finally:
                free.put(tree)

        survivors = []
        with ThreadPoolExecutor(arguments.workers) as pool:
            for done, (mutant, survived) in enumerate(zip(drawn, pool.map(judge, drawn), strict=True), 1):
                if survived:
                    survivors.append(mutant)
                    print(f"survived  {mutant.module}:{mutant.line}  {mutant.change}", flush=True)
                elif done % 10 == 0:
                    print(f"{done} of {len(drawn)}, {time.monotonic() - began:.0f} s", flush=True)
    critical = [mutant for mutant in survivors if mutant.module in CRITICAL]
    print(f"{len(survivors)} of {len(drawn)} mutants survived, {len(critical)} of them in critical modules.")
    return int(bool(critical) or len(survivors) > SURVIVORS * len(drawn))


if __name__ == "__main__":
    raise SystemExit(main())
