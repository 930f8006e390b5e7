"""Arguments that several commands share."""

import argparse
import math
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.kube.client import Cluster


def command(
    parser: argparse.ArgumentParser, *, run: Callable[[argparse.Namespace], int], text: str, examples: str
) -> None:
    """Make a parser that of a command.

    Args:
        parser: of its word.
        run: runs the command and returns the exit code.
        text: what it does, in one paragraph.
        examples: lines at the end of its help.
    """
    indented = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    parser.description = textwrap.fill(text, 80)
    parser.epilog = f"examples:\n{indented}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)


def group(parser: argparse.ArgumentParser, text: str, summaries: Mapping[str, str]) -> list[argparse.ArgumentParser]:
    """Return the parsers of a command's own commands, such as `models list`.

    Args:
        parser: of its word.
        text: what they have in common.
        summaries: of each by its name.
    """
    parser.description = text
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    return [commands.add_parser(name, help=summary, allow_abbrev=False) for name, summary in summaries.items()]


def job_file(parser: argparse.ArgumentParser) -> None:
    """Add JOB and --set."""
    parser.add_argument("job", metavar="JOB", help="the job file; - reads standard input")
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        dest="sets",
        action="append",
        default=[],
        help=r"override a field of the job file, as in Helm: run.train.epochs=3. The value is YAML; null removes the "
        r"field; write a dot inside a name as \. This option can be repeated",
    )


def output(parser: argparse.ArgumentParser, *choices: str) -> None:
    """Add -o."""
    parser.add_argument("-o", "--output", choices=choices, help="output format (default: a table or text)")


def cache(parser: argparse.ArgumentParser) -> None:
    """Add --cache."""
    parser.add_argument(
        "--cache",
        metavar="DIR",
        type=Path,
        help="folder for downloads (default: $OCRFLEET_CACHE, else ~/.cache/ocrfleet)",
    )


def namespace(parser: argparse.ArgumentParser) -> None:
    """Add -n."""
    parser.add_argument(
        "-n",
        "--namespace",
        metavar="NAMESPACE",
        type=_namespace,
        help="the namespace (default: none is written into the objects)",
    )


def run_name(parser: argparse.ArgumentParser) -> None:
    """Add RUN."""
    parser.add_argument(
        "name", metavar="RUN", help="a run's id or its object's name; or a job's name, for its newest run"
    )


def cluster(parser: argparse.ArgumentParser) -> None:
    """Add kubectl's flags that choose a cluster and a user, and --timeout."""
    parser.add_argument(
        "-n", "--namespace", metavar="NAMESPACE", type=_namespace, help="the namespace (default: that of the context)"
    )
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=duration,
        help="give up after this time: 90s, 5m, 1h30m (default: no limit)",
    )
    group = parser.add_argument_group("cluster and user, as for kubectl")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: the current one)")
    group.add_argument(
        "--kubeconfig", metavar="FILE", type=_file, help="the kubeconfig (default: $KUBECONFIG, else ~/.kube/config)"
    )
    group.add_argument("--cluster", metavar="NAME", help="cluster of the kubeconfig (default: that of the context)")
    group.add_argument("--user", metavar="NAME", help="user of the kubeconfig (default: that of the context)")
    group.add_argument("--server", metavar="URL", help="address of the API server (default: that of the cluster)")
    group.add_argument("--as", metavar="USER", dest="impersonate", help="impersonate this user (default: nobody)")
    group.add_argument(
        "--as-group",
        metavar="GROUP",
        dest="groups",
        action="append",
        default=[],
        help="impersonate this group, together with --as (default: none); this option can be repeated",
    )
    group.add_argument(
        "--request-timeout",
        metavar="TIME",
        type=_request_timeout,
        help="give up on one call to the API server after this time; 0: never (default: 30s)",
    )


def names_cluster(arguments: argparse.Namespace) -> bool:
    """Check whether an option chooses a cluster or a user."""
    chosen = ("namespace", "context", "kubeconfig", "cluster", "user", "server", "impersonate", "groups")
    return any(getattr(arguments, name) for name in (*chosen, "request_timeout"))


def connect(arguments: argparse.Namespace) -> "Cluster":
    """Return the cluster that the arguments name. No request is sent yet."""
    # Commands without a cluster have options, too, and must not wait for its client.
    from jobs.kube.client import DEADLINE, Cluster
    from jobs.kube.connection import connect
    from jobs.kube.kubeconfig import Target

    target = Target(
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        cluster=arguments.cluster,
        user=arguments.user,
        server=arguments.server,
        impersonate=arguments.impersonate,
        groups=tuple(arguments.groups),
    )
    deadline = arguments.request_timeout or DEADLINE
    deadline = min(arguments.timeout or deadline, deadline)
    return Cluster(connect(target), namespace=arguments.namespace, deadline=deadline)


def _namespace(text: str) -> str:
    if not re.fullmatch("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a namespace: use lower-case letters, digits and '-', at most 63 characters"
        )
    return text


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _request_timeout(text: str) -> float:
    return math.inf if text == "0" else duration(text)


def duration(text: str) -> float:
    """Parse a time as Go and kubectl write it, or whole seconds; return seconds."""
    units = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", text)
    hours, minutes, seconds, thousandths = units.groups(default="0") if units else ("0", "0", "0", "0")
    total = int(hours) * 3600 + int(minutes) * 60 + float(seconds) + int(thousandths) / 1000
    total = total or (int(text) if text.isdecimal() else 0)
    if not total:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 5m or 1h30m")
    return total


def positive(text: str) -> int:
    """Parse a whole number above 0."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def count(text: str) -> int:
    """Parse a whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def port(text: str) -> int:
    """Parse a TCP port."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)
