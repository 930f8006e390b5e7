"""`python -m tests.cluster.machine up|down|status|build|pin`."""

import argparse
import sys

from tests.cluster.machine import lifetime, pin, programs, separate
from tests.cluster.machine.layout import KUBECONFIG
from tests.cluster.machine.processes import ClusterError, say


def main() -> int:
    """Do what is asked; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.machine", description="A two-node Kubernetes, here.")
    deeds = parser.add_subparsers(dest="deed", required=True, metavar="DEED")
    deeds.add_parser("up", help="bring it up, and print its kubeconfig")
    deeds.add_parser("down", help="take it down; what was built is kept")
    deeds.add_parser("status", help="say whether it is up (0) or down (3), and what is left of it")
    building = deeds.add_parser("build", help="build programs, by default all that tests need")
    building.add_argument("names", nargs="*", metavar="NAME", help="such as jobset, kueue or prometheus")
    moving = deeds.add_parser("pin", help="move a version, in tests/cluster/programs/go.mod")
    moving.add_argument("module", help="such as k8s.io/kubernetes@v1.37.1")
    asked = parser.parse_args()
    try:
        match asked.deed:
            case "up":
                lifetime.up()
                print(KUBECONFIG)
            case "down":
                lifetime.down()
            case "build":
                build(asked.names)
            case "pin":
                pin.pin(asked.module)
            case _:
                return status()
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


def build(names: list[str]) -> None:
    """Build programs, and print where they are.

    Args:
        names: of the programs; none for all.

    Raises:
        ClusterError: a name is not known, or Go fails.
    """
    others = {each.name: each for each in separate.ALL}
    if unknown := set(names) - {*programs.ALL, *others}:
        raise ClusterError(f"{', '.join(sorted(unknown))}: not known. Names: {', '.join([*programs.ALL, *others])}")
    if ours := {name: package for name, package in programs.ALL.items() if not names or name in names}:
        print(programs.build(ours))
    for name in [name for name in others if not names or name in names]:
        print(others[name].build())


def status() -> int:
    """Say whether it is up, and what is left of it when it isn't; 0 for up, 3 for down."""
    if lifetime.is_up():
        print(f"up: export KUBECONFIG={KUBECONFIG}")
        return 0
    found = lifetime.left()
    print("down" if not found else "not ready, or not all of it is down: " + ", ".join(found))
    return 3


if __name__ == "__main__":
    sys.exit(main())
