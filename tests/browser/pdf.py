"""Read back what Chromium prints: the size and the text of each page of a PDF (ISO 32000)."""

import re
import unicodedata
import zlib
from typing import NamedTuple

_TWINS = {0x2ECB: "车", 0x2ED3: "长", 0x2ED4: "门", 0x2EE2: "马"}
"""Radicals that share a glyph with the character."""


class Sheet(NamedTuple):
    width: float
    """In points, 72 an inch."""
    height: float
    text: str
    """Letters and digits alone: words are placed, not written with blanks."""


def sheets(data: bytes) -> list[Sheet]:
    """Return the pages of a PDF in order."""
    objects = {
        int(number): content
        for number, content in re.findall(rb"(?:^|\n)(\d+) 0 obj\s(.*?)endobj", data, re.DOTALL)
    }
    return [_sheet(content, objects) for content in objects.values() if re.search(rb"/Type /Page\b", content)]


def _sheet(page: bytes, objects: dict[int, bytes]) -> Sheet:
    box = re.search(rb"/MediaBox \[([^\]]*)\]", page)
    assert box is not None
    _, _, width, height = map(float, box[1].split())
    fonts = {
        name.decode(): _letters(objects[int(number)], objects)
        for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", page)
    }
    contents = re.search(rb"/Contents (\d+) 0 R", page)
    assert contents is not None
    return Sheet(width, height, _text(_stream(objects[int(contents[1])]).decode("latin-1"), fonts))


def _text(content: str, fonts: dict[str, dict[int, str]]) -> str:
    """Return the text that a page shows, glyph by glyph."""
    found: list[str] = []
    letters: dict[int, str] = {}
    for font, glyphs in re.findall(r"/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>", content):
        if font:
            letters = fonts[font]
        else:
            found += [letters.get(int(glyphs[at : at + 4], 16), "") for at in range(0, len(glyphs), 4)]
    return comparable("".join(found))


def comparable(text: str) -> str:
    """Return the letters and digits of a text, in the characters that a PDF has for glyphs of several characters."""
    plain = unicodedata.normalize("NFKC", text).translate(_TWINS)
    return "".join(letter for letter in plain if letter.isalnum())


def _letters(font: bytes, objects: dict[int, bytes]) -> dict[int, str]:
    """Return the text of each glyph of a font, by its ``ToUnicode``."""
    number = re.search(rb"/ToUnicode (\d+) 0 R", font)
    if number is None:
        return {}
    table = _stream(objects[int(number[1])]).decode("latin-1")
    found: dict[int, str] = {}
    for block in re.findall(r"beginbfchar(.*?)endbfchar", table, re.DOTALL):
        for glyph, text in re.findall(r"<(\w+)> <(\w+)>", block):
            found[int(glyph, 16)] = bytes.fromhex(text).decode("utf-16-be")
    for block in re.findall(r"beginbfrange(.*?)endbfrange", table, re.DOTALL):
        for first, last, text in re.findall(r"<(\w+)> <(\w+)> <(\w+)>", block):
            for offset in range(int(last, 16) - int(first, 16) + 1):
                found[int(first, 16) + offset] = chr(int(text, 16) + offset)
    return found


def _stream(content: bytes) -> bytes:
    start = content.index(b"stream") + len(b"stream")
    body = content[start:].lstrip(b"\r\n")[: -len(b"endstream\n")]
    return zlib.decompressobj().decompress(body) if b"/FlateDecode" in content[:start] else body
