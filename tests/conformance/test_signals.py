import asyncio
import os
import signal

import pytest

from gatepost.conformance.signals import until_told


async def test_what_work_answers_is_answered() -> None:
    assert await until_told(asyncio.sleep(0, result=5)) == 5


async def test_sigterm_lets_work_put_things_back_and_then_interrupts() -> None:
    put_back = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            put_back.append(True)

    with pytest.raises(KeyboardInterrupt):
        await until_told(work())
    assert put_back == [True]
