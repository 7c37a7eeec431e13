"""Hold the files of an outbox to what the guide says of ``capacity_bytes``, whatever waits for long in them."""

import asyncio
import random
from pathlib import Path

import pytest
from tests.terminal.outbox_kit import Clock, SmallDisk, outbox_in, record

from gatepost.retry import Done, RetryAt

IMAGES, BARE = 1.3, 2.5
"""Times ``capacity_bytes`` that files take, with images of 30 KB and without an image."""
STATE_BYTES = 600_000
"""Of two files of the state and the reserve."""


@pytest.mark.parametrize("stuck", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("image", "capacity", "times"), [(30_000, 4_000_000, IMAGES), (0, 400_000, BARE)], ids=["images", "bare"]
)
async def test_the_files_take_no_more_than_the_guide_says(
    tmp_path: Path, image: int, capacity: int, times: float, stuck: float
) -> None:
    rand, now, disk = random.Random(3), Clock(), SmallDisk(tmp_path)
    most = 0
    async with outbox_in(
        tmp_path, now=now, files=disk, capacity_bytes=capacity, history_events=100_000
    ) as outbox:
        for first in range(0, 3 * capacity // (image + 300), 8):
            images = [rand.randbytes(rand.randint(image // 2, 3 * image // 2)) or None for _ in range(8)]
            await asyncio.gather(
                *(outbox.put(record(first + at, image=one)) for at, one in enumerate(images))
            )
            for event in await outbox.claim(8, now=now()):
                is_stuck = rand.random() < stuck
                await outbox.settle([(event.id, RetryAt(4e9, reason="no") if is_stuck else Done())])
            most = max(most, disk.used)
        status = await outbox.status()
        assert status.refused_full == 0
        assert status.bytes + status.history_bytes > 0.9 * capacity, "it is used"
    assert most <= times * capacity + 2 * max(65_536, capacity // 16) + STATE_BYTES
