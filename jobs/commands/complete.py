"""Answers to a TAB: words from the parser, names of runs from the cluster."""

import argparse
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from jobs.commands import options
from jobs.kube.fields import label, run_of
from jobs.kube.objects import Object
from jobs.runs import find
from trainer.errors import OcrfleetError

DEADLINE: Final = 2.0
"""Seconds that a user waits after a TAB."""


def walk(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Return every parser with its path, such as `/models/list`."""
    yield path, parser
    for name, child in children(parser).items():
        yield from walk(child, f"{path}/{name}")


def children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a parser's commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def answer(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return what the last of these words can be; the empty list where it may be anything, such as a file.

    Args:
        parser: of all commands.
        words: all that follow `ocrfleet`, the last as far as it is typed.
    """
    *before, current = words or [""]
    for word in before:
        parser = children(parser).get(word, parser)
    takes = _option(parser, before[-1]) if before else None
    if takes and takes.nargs != 0:
        known = [str(each) for each in takes.choices or ()]
    elif (ask := named(parser)) and not current.startswith("-"):
        known = ask(before)
    else:
        known = [word for word in words_of(parser) if word.startswith("-") == current.startswith("-")]
    return [word for word in known if word.startswith(current)]


def in_time(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the answer; end this process if the cluster is too slow for a TAB."""
    timer = threading.Timer(DEADLINE, os._exit, args=(0,))
    timer.daemon = True
    timer.start()
    try:
        return answer(parser, words)
    except (OcrfleetError, argparse.ArgumentError):
        return []  # nobody who presses TAB wants to read a sentence
    finally:
        timer.cancel()


def named(parser: argparse.ArgumentParser) -> Callable[[Sequence[str]], list[str]] | None:
    """Return the function that asks the cluster for what a command's word can be."""
    for action in parser._actions:
        if not action.option_strings and (action.metavar == "RUN" or action.dest == "job_name"):
            return _runs if action.metavar == "RUN" else _names
    return None


def _runs(words: Sequence[str]) -> list[str]:
    return _unique(run_of(each) for each in _workloads(words))


def _names(words: Sequence[str]) -> list[str]:
    return _unique(label(each, find.NAME_LABEL) for each in _workloads(words))


def _workloads(words: Sequence[str]) -> list[Object]:
    """Return the workloads of the cluster that was typed before."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    options.cluster(parser)
    parser.set_defaults(request_timeout=DEADLINE)
    arguments, _ = parser.parse_known_args(list(words))
    return find.workloads(options.connect(arguments))


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, words)))[::-1]


def _option(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    return next((each for each in parser._actions if word in each.option_strings), None)


def words_of(parser: argparse.ArgumentParser) -> list[str]:
    """Return commands, choices of a word that stands by its place, and long options."""
    choices = [str(c) for a in parser._actions if not a.option_strings and a.choices for c in a.choices]
    return choices + [o for a in parser._actions for o in a.option_strings if o.startswith("--")]
