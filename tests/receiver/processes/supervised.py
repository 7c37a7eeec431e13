"""A supervisor with children that do as they are told: run as ``python supervised.py KIND KIND``.

With ``--no-memory`` the second process after the first ones cannot be started, once.

Kinds: ``steady`` runs until it is stopped, ``stubborn`` too, and ignores that it is told to; ``fails`` ends before it
is ready, with exit code 7; ``late`` is never ready. It writes ``NAME PID`` for each process that begins, ``ready``, and
``NAME SIGNAL``.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from itertools import count

from gatepost.receiver.observability.logs import to_stderr
from gatepost.receiver.processes.supervisor import Child, Supervisor


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def child(name: str, kind: str) -> Child:
    def run(ready: Callable[[], None]) -> int:
        numbers = (signal.SIGTERM, signal.SIGHUP)
        if kind == "late":
            say(f"{name} {os.getpid()}")
            while True:
                signal.pause()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
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
    kinds = [word for word in sys.argv[1:] if word != "--no-memory"]
    if "--no-memory" in sys.argv:
        fork, forks = os.fork, count(1)

        def short_of_memory() -> int:
            if next(forks) == len(kinds) + 1:
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            return fork()

        os.fork = short_of_memory
    children = [child(f"child-{place}", kind) for place, kind in enumerate(kinds)]
    supervisor = Supervisor(children, stop_timeout_s=1.0, on_ready=lambda: say("ready"), rand=lambda: 1.0)
    sys.exit(supervisor.run())
