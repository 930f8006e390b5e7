"""`python -m tests.cluster.machine up|down|status`."""

import argparse
import sys

from tests.cluster.machine import lifetime
from tests.cluster.machine.layout import KUBECONFIG
from tests.cluster.machine.processes import ClusterError, say


def main() -> int:
    """Do what is asked; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.machine", description="A two-node cluster, here.")
    parser.add_argument("deed", choices=["up", "down", "status"])
    deed = parser.parse_args().deed
    try:
        if deed == "up":
            lifetime.up()
            print(KUBECONFIG)
        elif deed == "down":
            lifetime.down()
        else:
            return status()
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


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
