"""The passages that every benchmark sends: the page's example, unique each time, with and without a 30 KB JPEG.

A body is a template with marks, each one byte 0x01 and a letter, replaced by text of a fixed width:
`S` serial (64 terminals), `U` uuid, `T` timestamp, `I` 20 characters inside the image's base64, `P` person (of 1,000).
`wrk/unique.lua` fills the same template; the values of the two never meet, as each run has its own random identifier.
"""

import io
import json
import random
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pybase64
from PIL import Image

IMAGE_BYTES = 30 * 1024
TAG = 20  # characters of base64, 15 bytes, right behind the first six bytes of the file
MARK = re.compile("\x01([A-Z])")


def run_id(rand: random.Random | None = None) -> str:
    """12 hexadecimal digits that no other run has."""
    return f"{(rand or random.SystemRandom()).getrandbits(48):012x}"


@cache
def _image() -> bytes:
    """A JPEG of exactly `IMAGE_BYTES`, whose first segment is a comment that begins with room for a tag."""
    noise = random.Random(30).randbytes(480 * 360 * 3)
    picture = Image.frombytes("RGB", (480, 360), noise).resize((200, 240))
    for quality in range(95, 5, -5):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        encoded = buffer.getvalue()
        room = IMAGE_BYTES - len(encoded)
        if room >= 200:
            break
    comment = b"\xff\xfe" + (room - 2).to_bytes(2, "big") + b"A" * (room - 4)
    return encoded[:2] + comment + encoded[2:]


def jpeg(n: int, run: str) -> bytes:
    """The `n`-th image of a run: 30 KB, a picture that opens, bytes that no other image has."""
    whole = _image()
    tag = pybase64.b64decode(f"{run}{n:08x}")
    return b"".join((whole[:6], tag, whole[6 + len(tag) :]))


@cache
def template(*, image: bool) -> str:
    """The JSON body with its marks."""
    if image:
        text = pybase64.b64encode_as_string(_image())
        text = f"{text[:8]}\x01I{text[8 + TAG :]}"
    else:
        text = " "
    body = {
        "type": 0,
        "data": {
            "deviceSN": "\x01S",
            "recognitionType": 1,
            "entry_mode": 1,
            "abnormal_type": 0,
            "uuid": "\x01U",
            "recognizeScore": 0.9302213788032532,
            "mask": 0,
            "mode": 3,
            "rgb_image": text,
            "bodyTemperature": 36.5,
            "pass": True,
            "timestamp": "\x01T",
            "user": {
                "name": "王五\x01P",
                "ic_number": "12345\x01P",
                "id_number": "",
                "job_number": "2\x01P",
                "pin": "",
                "user_id": "\x01P",
                "remark": "",
                "guest_time_start": 0,
                "guest_time_end": 0,
                "type": 1,
                "groups": [{"id": "3", "name": "测试3"}, {"id": "4", "name": "测试4"}],
            },
        },
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).replace("\\u0001", "\x01")
    return text.replace('"\x01T"', "\x01T")


def _values(run: str, start: int, step: float) -> dict[str, Callable[[int], str]]:
    return {
        "S": lambda n: f"BENCH{n % 64:07d}",
        "U": lambda n: f"{run[:8]}-{run[8:]}-4000-8000-{n:012x}",
        "T": lambda n: f"{start + int(n * step):010d}",
        "I": lambda n: f"{run}{n:08x}",
        "P": lambda n: f"{n % 1000:04d}",
    }


def bodies(
    run: str, *, image: bool, start: int | None = None, step: float = 1 / 64
) -> Callable[[int], bytes]:
    """Return a function that gives the `n`-th body of a run, UTF-8 JSON.

    `start`: when the first passage happened, Unix seconds (default: a day ago); `step`: seconds between two passages.
    """
    parts = MARK.split(template(image=image))
    values = _values(run, int(time.time()) - 86_400 if start is None else start, step)
    literal = [part.encode() for part in parts[::2]]
    fill = [values[mark] for mark in parts[1::2]]

    def body(n: int) -> bytes:
        out = [literal[0]]
        for value, piece in zip(fill, literal[1:], strict=True):
            out += (value(n).encode(), piece)
        return b"".join(out)

    return body


def write_template(folder: Path, *, image: bool) -> Path:
    """Put the template where `wrk/unique.lua` reads it, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "body.template").write_text(template(image=image), encoding="utf-8")
    return folder
