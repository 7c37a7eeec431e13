"""``gatepost serve`` with a route whose thread does not end: run as ``python blocking.py DATA``.

It says where it listens, and then, for each request to ``/blocked``, that its thread is at work.
"""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from litestar import get

from gatepost.receiver.api.access.authorization import OPEN
from gatepost.receiver.api.application import Pages
from gatepost.receiver.jobs.projector.lag import Lag
from gatepost.receiver.observability.logs import to_stderr
from gatepost.receiver.program import run
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import Store
from gatepost.store.privacy.permitted import Ask


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@get("/blocked", sync_to_thread=True, opt=OPEN)
def blocked() -> str:
    say("at work")
    threading.Event().wait(60)
    return "done"


def pages(
    store: Store,
    settings: ReceiverSettings,
    lag: Callable[[], Lag],
    heard: Mapping[int, int],
    asks: Callable[[], Sequence[Ask]],
) -> Pages:
    return Pages((blocked,))


if __name__ == "__main__":
    to_stderr()
    code = run(
        ReceiverSettings(listen="127.0.0.1:0", stop_timeout_s=1),
        Path(sys.argv[1]),
        pages=pages,
        listening=lambda where: say(where.pages),
    )
    sys.exit(code)
