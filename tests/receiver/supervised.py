"""A supervisor with children that do as they are told: run as ``python supervised.py KIND KIND``.

Kinds: ``steady`` runs until it is stopped, ``stubborn`` too, and ignores that it is told to; ``fails`` ends before it
is ready, with exit code 7. It writes ``NAME PID`` for each process that begins, ``ready``, and ``NAME SIGNAL``.
"""

import os
import signal
import sys
from collections.abc import Callable

from gatepost.receiver.logs import to_stderr
from gatepost.receiver.supervisor import Child, Supervisor


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def child(name: str, kind: str) -> Child:
    def run(ready: Callable[[], None]) -> int:
        numbers = (signal.SIGTERM, signal.SIGHUP)
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        say(f"{name} {os.getpid()}")
        if kind == "fails":
            return 7
        ready()
        while True:
            number = signal.Signals(signal.sigwait(numbers))
            say(f"{name} {number.name}")
            if number == signal.SIGTERM and kind == "steady":
                return 0

    return Child(name, run)


if __name__ == "__main__":
    to_stderr()
    children = [child(f"child-{place}", kind) for place, kind in enumerate(sys.argv[1:])]
    supervisor = Supervisor(children, stop_timeout_s=1.0, on_ready=lambda: say("ready"), rand=lambda: 1.0)
    sys.exit(supervisor.run())
