"""``gatepost serve`` as a process that can be looked into: is a text in any object that it still holds?

Run as ``python looked_into.py DATA DATABASE``. It says where it listens. Each of its processes that was forked has a
local socket, named after the process (:func:`place`): it is asked in a line of JSON (a list of texts, written backwards
so that the question is not what is looked for), and says in a line which objects one of them stands in.

What is looked through is everything that the interpreter can reach: objects that the collector tracks, what they refer
to, and what the functions that are being called have in their variables.
"""

import gc
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gatepost.receiver.program import run
from gatepost.settings import ReceiverSettings


def everything() -> Iterator[Any]:
    """Every object that is still held, each once, but for what this module's own thread holds."""
    gc.unfreeze()
    mine = threading.get_ident()
    found: list[Any] = gc.get_objects()
    for thread, frame in sys._current_frames().items():
        step: Any = frame if thread != mine else None
        while step is not None:
            found.extend(step.f_locals.values())
            step = step.f_back
    seen = {id(one) for one in found}
    seen.add(id(found))
    while found:
        one = found.pop()
        yield one
        inner = gc.get_referents(one)
        if isinstance(one, msgspec.Struct) and not gc.is_tracked(one):
            inner += msgspec.structs.astuple(one)
        for each in inner:
            if id(each) not in seen and not gc.is_tracked(each):
                seen.add(id(each))
                found.append(each)


def look(question: str) -> list[str]:
    """The beginning of each object that one of the texts was found in."""
    objects = everything()
    first = next(objects)
    needles = [text[::-1] for text in json.loads(question)]
    encoded = [needle.encode() for needle in needles]
    found = []
    for one in (first, *objects):
        if isinstance(one, str) and any(needle in one for needle in needles):
            found.append(one[:200])
        elif isinstance(one, bytes | bytearray) and any(needle in one for needle in encoded):
            found.append(one[:200].decode("utf-8", "replace"))
    return found


def place(pid: int) -> str:
    """Where a process is asked: a name of the system, and no file (unix(7), abstract)."""
    return f"\0gatepost-looked-into-{pid}"


def be_asked() -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(place(os.getpid()))
        bound.listen()
        while True:
            asked, _ = bound.accept()
            with asked, asked.makefile("rw") as lines:
                lines.write(json.dumps(look(lines.readline())) + "\n")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.register_at_fork(after_in_child=lambda: threading.Thread(target=be_asked, daemon=True).start())
    run(
        ReceiverSettings(listen="127.0.0.1:0", database=sys.argv[2]),
        Path(sys.argv[1]),
        listening=lambda where: say(where.pages),
    )
