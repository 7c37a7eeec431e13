"""Convert a push body that is not UTF-8 into UTF-8. Pure.

JSON is UTF-8 (RFC 8259, section 8.1). Terminals send other text for two reasons: the firmware uses another encoding,
mostly GBK, or it cut a name at a number of bytes, inside a character.

Rules, first match wins:

1. A byte order mark, or the NUL bytes of a body that begins with ``{`` or ``[``, tell UTF-16 and UTF-32.
2. UTF-8 in which a character beyond U+FFFF is two sequences of three bytes, as Java writes it (CESU-8, Unicode TR 26).
3. The declared charset, where it is known and not UTF-8. Bytes that it cannot decode are replaced, unless UTF-8
   would have to replace fewer.
4. UTF-8 with replacement, if at least one multibyte sequence is valid and all others were cut: only their beginning,
   directly before an ASCII byte. The same if valid sequences prevail by far.
5. GB18030, if all of it decodes to assigned Chinese, and at least one character is of GB 2312.
6. UTF-8 with replacement.

One valid sequence alone does not prove UTF-8. In two of three GBK bodies with a Chinese name, two bytes are one by
chance; but then the others are nearly never cut sequences (``docs/decisions/not-utf-8.md``).
"""

import codecs
import re

from msgspec import Struct

from gatepost.wire.decoding.fields import Problem

__all__ = ["EXACT", "Converted", "is_wide", "outline", "to_utf8"]

_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
"""The halves of a character, as CESU-8 has them."""

_CUT = re.compile(
    rb"(?:\xed[\xa0-\xaf][\x80-\xbf](?:\xed[\xb0-\xbf]?)?|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})(?=[\x00-\x7f]|\Z)",
    re.DOTALL,
)
"""The beginning of a sequence (RFC 3629, section 4), after which the text was cut."""

_LONG_ASCII = re.compile(rb"(?<=[\x00-\x7f])[\x00-\x7f]{32,}+")
"""Without its first byte, which may be the second one of a character."""
_JUDGED = 65_536
"""Bytes that are examined to find the encoding, without long ASCII, to limit the time."""

_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_OPENS = {
    opening.encode(encoding): encoding
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
    for opening in "{["
}

_SINGLE_BYTE = re.compile(
    r"iso8859-\d+|cp(?:125\d|437|85\d|86\d|874)|koi8-[rtu]|tis-620|mac-cyrillic|mac-roman"
)
_ALIASES = {
    "windows-31j": "cp932", "cswindows31j": "cp932", "eucjp-win": "euc_jp", "cn-big5": "big5", "big-5": "big5",
    "gb_2312": "gb18030", "gb-2312": "gb18030", "gb_2312-80": "gb18030", "gb-18030": "gb18030", "cp20936": "gb18030",
    "ansi": "cp1252", "ms-ansi": "cp1252",
}  # fmt: skip
"""Python's name of an encoding by the name that senders use, without ``x-``."""

_CODE_PAGE = re.compile(r"\A(?:cs)?(?:windows|win|cp|ibm|ms)?[-_]?(\d{3,5})\Z")

_CHINESE = {"gb2312", "gbk", "gb18030"}
_MULTIBYTE = {"big5", "big5hkscs", "cp950", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "johab"}
_WIDE = {"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"}

_WITH_ASCII = {
    **dict.fromkeys(("gb18030",), re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")),
    **dict.fromkeys(("big5", "big5hkscs", "cp950"), re.compile(rb"[\x81-\xfe][\x40-\x7e\xa1-\xfe]")),
    **dict.fromkeys(("shift_jis", "cp932"), re.compile(rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]")),
    "johab": re.compile(rb"[\x84-\xd3\xd8-\xde\xe0-\xf9][\x31-\x7e\x81-\xfe]"),
}
"""Characters of two bytes, in encodings whose second byte may be a backslash or a bracket. It is never a quote."""


class Converted(Struct, frozen=True):
    """A text in UTF-8, and its original encoding."""

    text: bytes
    encoding: str
    """Its name in Python, such as ``gb18030``, or ``cesu-8``."""
    replaced: bool
    """Unreadable bytes became U+FFFD."""

    @property
    def problem(self) -> Problem:
        """Return the problem to note."""
        lost = ", and what cannot be read is replaced" if self.replaced else ""
        return Problem("", f"is no UTF-8; it is read as {self.encoding}{lost}")


EXACT = frozenset(
    Converted(b"", encoding, False).problem
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
)
"""Problems of a text that was converted without a guess."""


def is_wide(body: bytes) -> bool:
    """Return whether a body is UTF-16 or UTF-32."""
    return _wide(body)[0] is not None


def outline(text: bytes, encoding: str) -> bytes:
    """Return a text of the same length in which every byte that looks like ASCII is ASCII."""
    pairs = _WITH_ASCII.get(encoding)
    return text if pairs is None else pairs.sub(b"xx", text)


def to_utf8(body: bytes, declared: str | None = None) -> Converted | None:
    """Convert a body into UTF-8; return ``None`` if it is UTF-8 already.

    ``declared`` is the charset parameter of the content type. An unknown one is ignored.
    """
    wide, start = _wide(body)
    if wide is not None:
        return _convert(body[start:], wide)
    if _is_utf8(body):
        return None
    joined = _PAIR.sub(_character, body)
    if len(joined) < len(body) and _is_utf8(joined):
        return Converted(joined, "cesu-8", False)
    utf8 = _convert(joined, "utf-8")
    encoding_declared = _known(declared)
    if encoding_declared is not None:
        converted = _convert(body, encoding_declared)
        if not converted.replaced or _replacements(converted) <= _replacements(utf8):
            return converted
    sample = _LONG_ASCII.sub(b" ", body)[:_JUDGED]
    if _is_cut_utf8(_PAIR.sub(_character, sample)):
        return utf8
    if _is_chinese(sample):
        return _convert(body, "gb18030")
    return utf8


def _wide(body: bytes) -> tuple[str | None, int]:
    """Return whether a body is UTF-16 or UTF-32, and where its text begins."""
    for bom, encoding in _BOMS:
        if body.startswith(bom):
            return encoding, len(bom)
    for width in (4, 2):
        # The second character is ASCII, too. A text may also just begin with a NUL.
        if body[:width] in _OPENS and 0 in body[width : 2 * width]:
            return _OPENS[body[:width]], 0
    return None, 0


_ASCII = bytes(range(128))


def _character(pair: re.Match[bytes]) -> bytes:
    return (
        pair[0].decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16").encode()
    )


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _convert(body: bytes, encoding: str) -> Converted:
    try:
        return Converted(body.decode(encoding).encode(), encoding, False)
    except UnicodeError:
        # A half of a surrogate pair is no character either.
        text = body.decode(encoding, "replace").encode("utf-8", "replace")
        return Converted(text, encoding, True)


def _replacements(converted: Converted) -> int:
    return converted.text.count("\ufffd".encode())


def _known(declared: str | None) -> str | None:
    """Return Python's name of a declared charset other than UTF-8; ``None`` for any other name.

    Only encodings of text are accepted: Python's list has compressors and escapes as well.
    """
    if not declared:
        return None
    try:
        label = _CODE_PAGE.sub(r"cp\1", declared.strip().strip("\"'").lower().removeprefix("x-"))
        name = codecs.lookup(_ALIASES.get(label, label)).name
    except (LookupError, ValueError):
        return None
    if name in _CHINESE:
        return "gb18030"  # a superset of the others, as which browsers read them too
    if name in _MULTIBYTE or name in _WIDE or _SINGLE_BYTE.fullmatch(name):
        return name
    return None


def _is_cut_utf8(sample: bytes) -> bool:
    """Return whether a text is UTF-8 with cut or occasional broken sequences."""
    intact = sample.decode("utf-8", "ignore").encode()
    valid = len(intact.translate(None, _ASCII))
    broken = len(sample.translate(None, _ASCII)) - valid
    if not valid:
        return False
    return valid > 2 * broken or _CUT.sub(b"", sample).decode("utf-8", "replace").find("\ufffd") < 0


def _is_chinese(sample: bytes) -> bool:
    """Return whether a text is ASCII and assigned Chinese in GB18030, partly of GB 2312."""
    try:
        text = sample.decode("gb18030")
    except UnicodeDecodeError as error:
        if len(sample) < _JUDGED or error.start < _JUDGED - 4:
            return False
        text = sample[: error.start].decode("gb18030")
    foreign = {letter for letter in set(text) if letter > "\x7f"}
    return all(map(_is_assigned, foreign)) and any(map(_is_gb2312, foreign))


def _is_assigned(letter: str) -> bool:
    code = ord(letter)
    return (
        0x4E00 <= code <= 0x9FFF  # CJK Unified Ideographs
        or 0x3400 <= code <= 0x4DBF  # extension A
        or 0x20000 <= code <= 0x323AF  # extensions B to H
        or 0x3000 <= code <= 0x303F  # punctuation
        or 0xFF00 <= code <= 0xFFEF  # full-width forms
        or letter in "\u00b7\u2014\u2018\u2019\u201c\u201d\u2026"  # as between the parts of a Uyghur name
    )


def _is_gb2312(letter: str) -> bool:
    try:
        return "\u4e00" <= letter <= "\u9fff" and len(letter.encode("gb2312")) == 2
    except UnicodeEncodeError:
        return False
