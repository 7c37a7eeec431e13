"""What do images in a bucket cost: taking events in, moving packs there, reading one image?

SeaweedFS on this machine, which syncs what it stores. *Taken in*: a receiver with its packs in the bucket, against one
with packs on its disk; SQLite, 30 KB JPEG, `wrk -t1 -c64`, in turns. *Moved*: packs of 64 MB as the receiver puts them,
against one PUT an image with 16 under way. *Read*: ranges of 30 KB at random places of these packs, none of them
cached.
"""

import asyncio
import os
import random
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from unittest.mock import patch

from benchmarks.bench import Bench
from benchmarks.cell_servers import BUCKET, bucket, s3
from benchmarks.load import wrk
from benchmarks.payloads import bodies, run_id, write_template
from benchmarks.probe import post_one
from benchmarks.programs import BenchmarkError, free_port, gatepost, start
from benchmarks.report import Row
from gatepost.errors import JournalUnavailable
from gatepost.journal.folder import Folder
from gatepost.journal.packs.packs import Packs
from gatepost.store.images.bucket import Bucket

IMAGE, PACK = 30_000, 64_000_000
PACKS, READS, AT_ONCE = 4, 400, 16


def run(bench: Bench) -> list[Row]:
    """Measure all three on one bucket."""
    folder = bench.folder("cell-images")
    with bucket(folder / "bucket") as environment:
        rows = [_taken_in(bench, folder, environment), *_moved_and_read(bench, folder, environment)]
    shutil.rmtree(folder)
    return rows


def _taken_in(bench: Bench, folder: Path, environment: dict[str, str]) -> Row:
    template = write_template(folder / "wrk", image=True)
    rates: dict[str, list[float]] = {"local": [], "bucket": []}
    with ExitStack() as stack:
        ports = {}
        for name in rates:
            ports[name] = free_port()
            listen = f"127.0.0.1:{ports[name]}"
            command = gatepost("serve", "--data", folder / f"data-{name}", "--listen", listen)
            packs = f"s3://{BUCKET}/taken" if name == "bucket" else "file"
            stack.enter_context(
                start(
                    name,
                    command,
                    folder=folder / "out",
                    env={**environment, "GATEPOST_PACKS": packs},
                    port=ports[name],
                )
            )
            post_one(ports[name], bodies(run_id(), image=True)(0))
        for _ in range(bench.rounds):
            for name, port in ports.items():
                rates[name].append(wrk(port, template, seconds=bench.seconds).rate)
                bench.say(f"  {name} {rates[name][-1]:,.0f}/s")
    return Row(
        what="30 KB JPEG, packs in a bucket",
        value=median(rates["bucket"]),
        unit="/s",
        peer="packs on the disk",
        peer_value=median(rates["local"]),
        target=0.8,
    )


def _moved_and_read(bench: Bench, folder: Path, environment: dict[str, str]) -> list[Row]:
    size = max(IMAGE * 10, bench.sized(PACK))
    rand = random.Random(7)
    with patch.dict(os.environ, environment):
        target = Bucket(f"s3://{BUCKET}/moved")
        moving = Packs(Folder.open(folder / "journal"), target)
        names: list[str] = []
        packs, puts = [], []
        for turn in range(bench.rounds):
            content = rand.randbytes(size)
            packs.append(_put_packs(moving, content, turn, names))
            puts.append(asyncio.run(_put_images(environment, content, turn)))
            bench.say(f"  packs {packs[-1]:.1f} MB/s, one PUT an image {puts[-1]:.1f} MB/s")
        places = [(rand.choice(names), rand.randrange(size - IMAGE)) for _ in range(READS)]
        reads = sorted(_timed(target, name, offset) for name, offset in places)
    return [
        Row(
            what=f"packs of {size / 1e6:g} MB moved",
            value=median(packs),
            unit="MB/s",
            peer="one PUT an image",
            peer_value=median(puts),
            target=3,
        ),
        Row(
            what="an image out of a pack, half within",
            value=median(reads) * 1e3,
            unit="ms",
            target=5,
            at_most=True,
        ),
        Row(what="an image out of a pack, 99 % within", value=reads[int(READS * 0.99)] * 1e3, unit="ms"),
    ]


def _put_packs(packs: Packs, content: bytes, turn: int, names: list[str]) -> float:
    """Move packs as the receiver does, two at a time, and each synced before; return the MB a second."""
    folder = packs.folder
    folder.files.make_folder(folder.packs)
    for number in range(PACKS):
        names.append(f"people-20261201-{turn:013d}-00000000-records-{number:06d}.pack")
        with (folder.packs / names[-1]).open("wb") as file:
            file.write(number.to_bytes(4, "big") + content[4:])
            file.flush()
            os.fsync(file.fileno())
    began = time.perf_counter()
    try:
        moved = packs.move()
    except JournalUnavailable as error:
        raise BenchmarkError(str(error)) from error
    if moved != PACKS:
        raise BenchmarkError(f"{moved} packs of {PACKS} were moved")
    return PACKS * len(content) / (time.perf_counter() - began) / 1e6


async def _put_images(environment: dict[str, str], content: bytes, turn: int) -> float:
    from obstore import put_async
    from obstore.exceptions import BaseError

    store = s3(environment)
    left = iter(range(len(content) // IMAGE))

    async def worker() -> None:
        for number in left:
            image = content[number * IMAGE : (number + 1) * IMAGE]
            await put_async(store, f"single/{turn}/{number}", image, use_multipart=False)

    began = time.perf_counter()
    try:
        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    except BaseError as error:
        raise BenchmarkError(f"the bucket took no image: {str(error).splitlines()[0]}") from error
    return len(content) / (time.perf_counter() - began) / 1e6


def _timed(target: Bucket, name: str, offset: int) -> float:
    began = time.perf_counter()
    assert len(target.read(name, offset, IMAGE)) == IMAGE
    return time.perf_counter() - began
