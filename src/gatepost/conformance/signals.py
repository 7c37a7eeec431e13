"""End work in good order on SIGTERM, so that it can restore what it changed."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["until_told"]

T = TypeVar("T")


async def until_told(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``. SIGTERM cancels it, as Ctrl-C does, and raises KeyboardInterrupt once it has ended."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
