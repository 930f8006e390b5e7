"""Stands in for a paddle worker: the same pipe and signals, and a stage that does what its name says."""

import os
import signal
import sys
import threading
from pathlib import Path

from trainer.datasets import decoding
from trainer.run.workdir import WorkDir
from trainer.system import stacks
from trainer.telemetry.events import Checkpointed, Events, Failed, Finished, Ready

rank = int(os.environ["PADDLE_TRAINER_ID"])
events = Events.from_environment(rank)
stage = sys.argv[1]
told_to_stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())

stacks.on_signals()
if stage == "never-meet":
    signal.pause()
events.send(Ready(pid=os.getpid()))
match stage:
    case "be-killed-once" if os.path.exists(os.environ["OCRFLEET_TEST_FIFO"]):
        # Opening it waits for the other rank: it is killed while both work.
        with open(os.environ["OCRFLEET_TEST_FIFO"], "r" if rank else "w"):
            if rank == 1:
                os.remove(os.environ["OCRFLEET_TEST_FIFO"])
                os.kill(os.getpid(), signal.SIGKILL)
        while True:
            signal.pause()
    case "succeed" | "be-killed-once":
        print(os.environ["PADDLE_MASTER"], flush=True)
        events.send(Finished(facts={"rank": rank, "environment": dict(os.environ)}))
    case "look-for-keys":
        found = {}
        for path in (os.path.join(sys.argv[3], "keys"), f"/proc/{os.getppid()}/environ"):
            try:
                with open(path, "rb") as file:
                    found[path] = len(file.read())
            except PermissionError:
                found[path] = None
        events.send(Finished(facts={"found": found, "home": os.environ["HOME"]}))
    case "refuse-data" if rank == 0:
        events.send(Failed(code=41, message="The data is wrong."))
        sys.exit(41)
    case "be-killed" if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    case "leave-readers":
        if os.fork() == 0:
            signal.pause()
        events.send(Failed(code=41, message="The data is wrong."))
        os._exit(41)
    case "decode":
        decoding.keep_in(WorkDir(Path(sys.argv[3])).decoding)
        with decoding.of(Path(sys.argv[3], "page.jpg")):
            os.kill(os.getpid(), signal.SIGSEGV)
    case "crash":
        print("a secret of the library", flush=True)
        sys.exit(9)
    case "stop-in-order":
        events.send(Checkpointed(step=1, seconds=0.1))
        told_to_stop.wait(30)
        events.send(Failed(code=143, message="Stopped after step 1; the state is saved."))
        sys.exit(143)
    case _:
        # A peer in a collective that will never end, deaf to SIGTERM.
        while True:
            signal.pause()
